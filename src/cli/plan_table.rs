//! `danskin plan`: the dispatch list of a preset's phases, as a table or as JSON.
//!
//! Plans are the GPU's (kernels, launches, scratch), made without a device: nothing is loaded or run.

use super::job::PlanJob;
use super::output::bytes;
use crate::plan::{Options, Plan, Program, Step};
use crate::train::{Assembly, Resident, Settings};
use crate::{Error, Result};
use crate::{device, kernels};
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt::Write;

#[derive(Serialize)]
struct Row {
    kernel: &'static str,
    makes: String,
    dispatches: usize,
    flops: u64,
    bytes: u64,
    writes: String,
}

#[derive(Serialize)]
struct Phase {
    phase: String,
    steps: Vec<Row>,
    dispatches: usize,
    flops: u64,
    bytes: u64,
    work_bytes: u64,
    live_bytes: u64,
}

#[derive(Serialize)]
struct Report {
    preset: String,
    phases: Vec<Phase>,
    bytes_by_class: BTreeMap<&'static str, u64>,
    buffers_by_class: BTreeMap<&'static str, usize>,
    recompute: Recompute,
    work_bytes: u64,
    live_bytes: u64,
    total_bytes: u64,
}

/// What recomputation does to all phases, whether or not it is on.
#[derive(Serialize)]
struct Recompute {
    on: bool,
    steps: usize,
    work_bytes_without: u64,
    work_bytes_with: u64,
    extra_flops: f64,
}

/// The text to print.
///
/// # Errors
/// A configuration that makes no model; a phase that is not one of the plan's.
pub fn table(job: &PlanJob) -> Result<String> {
    let settings = Settings::new(&job.config)?;
    let resident = Resident::of(&job.config, &settings.game);
    let planned = |recompute: bool| {
        let scratch = std::sync::Arc::new(kernels::scratch);
        settings.plan(resident, Options { recompute, scratch, ..Options::default() })
    };
    let (plain, again) = (planned(false)?, planned(true)?);
    let on = settings.fit.recompute == device::Recompute::On;
    let recompute = Recompute::of(on, &plain.program, &again.program);
    let assembly = if on { again } else { plain };
    let program = &assembly.program;
    // Of a batch in parts a phase has a plan for each: d.1, d.2.
    let is = |plan: &Plan, name: &str| {
        plan.name.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    };
    let wanted = |plan: &&Plan| job.phase.as_ref().is_none_or(|name| is(plan, name));
    let plans: Vec<&Plan> = program.plans.iter().filter(wanted).collect();
    if plans.is_empty() {
        let names: Vec<&str> = program.plans.iter().map(|p| p.name.as_str()).collect();
        let asked = job.phase.as_deref().unwrap_or_default();
        return Err(Error::setting("command line", "--phase", asked, format!("must be one of {}", names.join(", "))));
    }
    let (mut bytes_by_class, mut buffers_by_class) = (BTreeMap::new(), BTreeMap::new());
    for buffer in &program.buffers {
        *bytes_by_class.entry(buffer.class.name()).or_insert(0) += buffer.bytes();
        *buffers_by_class.entry(buffer.class.name()).or_insert(0) += 1;
    }
    let report = Report {
        preset: job.config.preset.clone(),
        phases: plans.into_iter().map(|plan| phase(plan, &assembly)).collect::<Result<_>>()?,
        work_bytes: program.work_bytes(),
        live_bytes: program.plans.iter().map(|p| p.live_bytes).max().unwrap_or(0),
        total_bytes: assembly.bytes(),
        bytes_by_class,
        buffers_by_class,
        recompute,
    };
    if job.json {
        return serde_json::to_string_pretty(&report).map_err(|e| Error::Graph(e.to_string()));
    }
    Ok(text(&report))
}

impl Recompute {
    fn of(on: bool, plain: &Program, again: &Program) -> Recompute {
        let work = plain.work_bytes();
        let none = device::Recomputed { steps: 0, before: work, after: work, extra: 0.0 };
        let found = device::Recomputed::between(plain, again).unwrap_or(none);
        let device::Recomputed { steps, before, after, extra } = found;
        Recompute { on, steps, work_bytes_without: before, work_bytes_with: after, extra_flops: extra }
    }
}

fn phase(plan: &Plan, assembly: &Assembly) -> Result<Phase> {
    let row = |step: &Step| -> Result<Row> {
        let buffers: Vec<&str> =
            step.outputs.iter().map(|r| assembly.program.buffers[r.buffer].name.as_str()).collect();
        Ok(Row {
            kernel: step.name(),
            makes: step.label.clone(),
            dispatches: kernels::lower(step)?.len(),
            flops: step.flops,
            bytes: assembly.program.moved(step),
            writes: buffers.join(" "),
        })
    };
    let steps: Vec<Row> = plan.steps.iter().map(row).collect::<Result<_>>()?;
    Ok(Phase {
        phase: plan.name.clone(),
        dispatches: steps.iter().map(|r| r.dispatches).sum(),
        flops: steps.iter().map(|r| r.flops).sum(),
        bytes: steps.iter().map(|r| r.bytes).sum(),
        work_bytes: plan.work_bytes,
        live_bytes: plan.live_bytes,
        steps,
    })
}

fn text(report: &Report) -> String {
    let mut out = String::new();
    for phase in &report.phases {
        let _ = writeln!(out, "{} {}", report.preset, phase.phase);
        let _ = writeln!(out, "  {:<14} {:<34} {:>3} {:>10} {:>10}  buffer", "kernel", "makes", "n", "MFLOP", "bytes");
        for row in &phase.steps {
            let mflop = row.flops as f64 / 1e6;
            let _ = writeln!(
                out,
                "  {:<14} {:<34} {:>3} {:>10.3} {:>10}  {}",
                row.kernel,
                row.makes,
                row.dispatches,
                mflop,
                bytes(row.bytes),
                row.writes
            );
        }
        let _ = writeln!(
            out,
            "  {} dispatches, {:.3} GFLOP, {} moved; work memory {}, liveness bound {}\n",
            phase.dispatches,
            phase.flops as f64 / 1e9,
            bytes(phase.bytes),
            bytes(phase.work_bytes),
            bytes(phase.live_bytes)
        );
    }
    let _ = writeln!(out, "{:<10} {:>8} {:>12} {:>7}", "class", "buffers", "bytes", "share");
    let mut line = |class: &str, buffers: usize, count: u64| {
        let share = 100.0 * count as f64 / report.total_bytes.max(1) as f64;
        let _ = writeln!(out, "{class:<10} {buffers:>8} {:>12} {share:>5.1} %", bytes(count));
    };
    for (class, count) in &report.bytes_by_class {
        line(class, report.buffers_by_class[class], *count);
    }
    line("all", report.buffers_by_class.values().sum(), report.total_bytes);
    let _ = writeln!(out, "work memory {}, liveness bound {}", bytes(report.work_bytes), bytes(report.live_bytes));
    let Recompute { on, work_bytes_without, work_bytes_with, extra_flops, .. } = report.recompute;
    let _ = write!(
        out,
        "recompute: {} \u{2192} {} of work memory, +{:.0} % FLOPs{}",
        bytes(work_bytes_without),
        bytes(work_bytes_with),
        100.0 * extra_flops,
        if on { " (shown above)" } else { "" }
    );
    out
}
