//! A profile as a Chrome trace (<https://ui.perfetto.dev> reads it too), and its most expensive kernels.

use crate::plan::{Slice, Step};
use crate::train::Profile;
use serde_json::{Value, json};

/// Lanes of the trace.
const HOST: u64 = 1;
const DEVICE: u64 = 2;

/// What one step of a phase cost over all profiled iterations.
#[derive(Clone, Debug, PartialEq)]
pub struct Hot {
    /// The phase.
    pub phase: String,
    /// What its (first) kernel is and makes.
    pub kernel: String,
    /// Seconds of all its runs.
    pub seconds: f64,
    /// Share of the seconds of all steps.
    pub share: f64,
    /// Runs.
    pub count: usize,
    /// Floating-point operations of all its runs.
    pub flops: u64,
    /// Bytes read and written in all its runs, each element once.
    pub bytes: u64,
}

/// The `count` steps that took longest in all, the longest first.
pub fn hottest(profile: &Profile, count: usize) -> Vec<Hot> {
    let total: f64 = profile.slices.iter().map(|s| s.seconds).sum();
    let mut steps: Vec<((usize, usize), Hot)> = vec![];
    for slice in &profile.slices {
        let key = (slice.plan, slice.step);
        let at = steps.iter().position(|(known, _)| *known == key).unwrap_or_else(|| {
            let phase = profile.program.plans[slice.plan].name.clone();
            let kernel = slice.kernel.clone();
            steps.push((key, Hot { phase, kernel, seconds: 0.0, share: 0.0, count: 0, flops: 0, bytes: 0 }));
            steps.len() - 1
        });
        let hot = &mut steps[at].1;
        hot.seconds += slice.seconds;
        // A step of several kernels counts once, with its first.
        if slice.part == 0 {
            let step = step(profile, slice);
            hot.count += 1;
            hot.flops += step.flops;
            hot.bytes += profile.program.moved(step);
        }
    }
    let mut hot: Vec<Hot> = steps.into_iter().map(|(_, hot)| hot).collect();
    hot.iter_mut().for_each(|h| h.share = if total > 0.0 { h.seconds / total } else { 0.0 });
    hot.sort_by(|a, b| b.seconds.total_cmp(&a.seconds));
    hot.truncate(count);
    hot
}

fn step<'a>(profile: &'a Profile, slice: &Slice) -> &'a Step {
    &profile.program.plans[slice.plan].steps[slice.step]
}

/// The trace: one process, a lane of kernels on the device and a lane of what the training thread did. Times are in
/// microseconds since the profile began; device times are placed after the submission of their iteration.
pub fn chrome(profile: &Profile) -> Value {
    let name = |kind: &str, lane: u64, name: &str| json!({"ph": "M", "pid": 1, "tid": lane, "name": kind, "args": {"name": name}});
    let mut events = vec![
        name("process_name", 0, "danskin"),
        name("thread_name", HOST, "training thread"),
        name("thread_name", DEVICE, &profile.device),
    ];
    let slice = |lane: u64, name: &str, start: f64, seconds: f64, args: Value| json!({"ph": "X", "pid": 1, "tid": lane, "name": name, "ts": 1e6 * start, "dur": 1e6 * seconds, "args": args});
    events.extend(profile.spans.iter().map(|s| slice(HOST, s.name, s.start, s.seconds, json!({}))));
    for s in &profile.slices {
        let step = step(profile, s);
        // Work is the step's: its first kernel has it all, the others tell which step they end.
        let work = |count: u64| if s.part == 0 { count } else { 0 };
        let phase = &profile.program.plans[s.plan].name;
        let args = json!({
            "phase": phase, "step": step.label, "kind": step.name(), "part": s.part,
            "flops": work(step.flops), "bytes": work(profile.program.moved(step)),
        });
        events.push(slice(DEVICE, &s.kernel, s.start, s.seconds, args));
    }
    json!({
        "traceEvents": events,
        "displayTimeUnit": "ms",
        "otherData": {"device": profile.device, "iterations": profile.steps},
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{Buffer, Class, Element, Plan, Program, Region, Work};
    use crate::train::Span;

    /// Two steps, the second of two kernels, in two iterations.
    fn profile() -> Profile {
        let region = Region { buffer: 0, offset: 0, len: 4 };
        let step = |label: &str, flops| Step {
            work: Work::LogRow { count: 1, rows: 1 },
            inputs: vec![region],
            outputs: vec![region],
            scratch: None,
            label: label.into(),
            flops,
        };
        let plan = Plan { name: "d".into(), steps: vec![step("a", 10), step("b", 100)], ..Plan::default() };
        let slice = |step, part, start, seconds| {
            let kernel = format!("{step}.{part}");
            Slice { plan: 0, step, part, kernel, start, seconds }
        };
        Profile {
            device: "some device".into(),
            program: Program {
                buffers: vec![Buffer { name: "x".into(), len: 4, element: Element::F32, class: Class::State }],
                plans: vec![plan],
            },
            steps: vec![3, 4],
            slices: vec![
                slice(0, 0, 0.0, 1.0),
                slice(1, 0, 1.0, 2.0),
                slice(1, 1, 3.0, 1.0),
                slice(0, 0, 5.0, 1.0),
                slice(1, 0, 6.0, 2.0),
                slice(1, 1, 8.0, 1.0),
            ],
            spans: vec![Span { name: "run", start: 0.0, seconds: 4.5 }],
        }
    }

    #[test]
    fn steps_are_summed_over_iterations_and_kernels() {
        let hot = hottest(&profile(), 10);
        let row = |h: &Hot| (h.kernel.clone(), h.seconds, h.share, h.count, h.flops, h.bytes);
        let rows: Vec<_> = hot.iter().map(row).collect();
        assert_eq!(rows, [("1.0".into(), 6.0, 0.75, 2, 200, 64), ("0.0".into(), 2.0, 0.25, 2, 20, 64)]);
        assert_eq!(hottest(&profile(), 1).len(), 1);
    }

    #[test]
    fn a_trace_holds_every_slice_with_its_work() {
        let trace = chrome(&profile());
        let events = trace["traceEvents"].as_array().unwrap();
        let slices: Vec<&Value> = events.iter().filter(|e| e["ph"] == "X").collect();
        assert_eq!(slices.len(), 7);
        assert_eq!((slices[2]["ts"].as_f64(), slices[2]["dur"].as_f64()), (Some(1e6), Some(2e6)));
        let flops: u64 = slices.iter().filter_map(|e| e["args"]["flops"].as_u64()).sum();
        assert_eq!(flops, 220);
    }
}
