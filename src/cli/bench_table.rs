//! Measurements as lines of a table.

use super::output::bytes;
use crate::bench::attack::AttackRow;
use crate::bench::clock::{self, Timing};
use crate::bench::compare::{Pair, Verdict};
use crate::bench::kernel::KernelRow;
use crate::bench::peak::Peaks;
use crate::bench::step::{Phase, StepRow};
use crate::bench::trace::Hot;
use crate::train::Profile;
use std::fmt::Write;
use std::path::Path;

/// What the device can do at most.
pub fn peaks(peaks: &Peaks) -> String {
    let fma = &peaks.fma.common;
    format!(
        "{}\npeaks: {:.1} GFLOP/s of multiply-adds, {:.1} GB/s of memory (read and written){}",
        fma.device,
        peaks.gflops(),
        peaks.gbytes_per_s(),
        busy(&fma.timing)
    )
}

/// Names of the columns of [`kernel`].
pub fn kernel_head() -> String {
    format!(
        "{:<34} {:<30} {:>10} {:>10} {:>9} {:>8} {:>6} {:>6} {:>6}",
        "kernel", "rung", "ms", "min ms", "GFLOP/s", "GB/s", "% FMA", "% mem", "% roof"
    )
}

/// A kernel.
pub fn kernel(row: &KernelRow) -> String {
    let timing = &row.common.timing;
    let percent = |share: Option<f64>| share.map_or("-".into(), |s| format!("{:.1}", 100.0 * s));
    format!(
        "{:<34} {:<30} {:>10.4} {:>10.4} {:>9.2} {:>8.2} {:>6} {:>6} {:>6}{}",
        row.common.workload,
        row.rung,
        1e3 * timing.median_s,
        1e3 * timing.min_s,
        row.common.gflops.unwrap_or(0.0),
        row.gbytes_per_s,
        percent(row.of_fma),
        percent(row.of_memory),
        percent(row.of_roof),
        busy(timing)
    )
}

/// A whole iteration with its phases.
pub fn step(row: &StepRow) -> String {
    let (common, timing) = (&row.common, &row.common.timing);
    let mut out = format!("{} on {}, batch {}\n", common.workload, common.device, common.batch);
    let _ = writeln!(
        out,
        "{:.3} ms per iteration (min {:.3}, {} samples){}; {:.1} img/s, {:.3} s/kimg; first step after {:.3} s",
        1e3 * timing.median_s,
        1e3 * timing.min_s,
        timing.reps,
        busy(timing),
        common.img_per_s.unwrap_or(0.0),
        row.sec_per_kimg,
        timing.first_s
    );
    let _ = writeln!(
        out,
        "{} dispatches in {} submissions, {:.3} GFLOP at {:.2} GFLOP/s, {} moved; {} of device memory",
        number(row.dispatches),
        number(row.submissions),
        row.flops / 1e9,
        common.gflops.unwrap_or(0.0),
        bytes(row.bytes as u64),
        bytes(row.memory_bytes)
    );
    if !common.note.is_empty() {
        let _ = writeln!(out, "{}", common.note);
    }
    let _ = write!(
        out,
        "  {:<14} {:>5} {:>10} {:>9} {:>11} {:>10} {:>6} {:>9} {:>8}",
        "phase", "runs", "dispatches", "GFLOP", "bytes", "ms", "%", "GFLOP/s", "GB/s"
    );
    let total: f64 = row.phases.iter().filter_map(|p| p.ms).sum();
    for p in &row.phases {
        out.push('\n');
        out += &phase(p, total);
    }
    out
}

/// What stands above the lines of [`attack`].
pub fn attack_head() -> String {
    format!(
        "{:<28} {:>5} {:>5} {:>10} {:>10} {:>8} {:>10} {:>9} {:>16}",
        "attack", "batch", "steps", "ms", "min", "ratio", "dispatches", "GFLOP/s", "weight gradients"
    )
}

/// A measurement of an attack, in a line.
pub fn attack(row: &AttackRow) -> String {
    let (common, timing) = (&row.common, &row.common.timing);
    format!(
        "{:<28} {:>5} {:>5} {:>10.2} {:>10.2} {:>8.3} {:>10} {:>9.1} {:>16}{}",
        common.workload,
        common.batch,
        row.steps,
        1e3 * timing.median_s,
        1e3 * timing.min_s,
        row.ratio,
        row.dispatches,
        common.gflops.unwrap_or(0.0),
        row.weight_gradients,
        busy(timing)
    )
}

fn phase(p: &Phase, total: f64) -> String {
    let timed =
        |f: fn(&Phase, f64) -> f64, digits: usize| p.ms.map_or("-".into(), |ms| format!("{:.digits$}", f(p, ms)));
    format!(
        "  {:<14} {:>5} {:>10} {:>9.3} {:>11} {:>10} {:>6} {:>9} {:>8}",
        p.phase,
        number(p.runs),
        p.dispatches.map_or("-".into(), number),
        p.flops / 1e9,
        bytes(p.bytes as u64),
        timed(|_, ms| ms, 3),
        p.ms.map_or("-".into(), |ms| format!("{:.1}", 100.0 * ms / total.max(1e-12))),
        timed(|p, ms| p.flops / ms.max(1e-9) / 1e6, 1),
        timed(|p, ms| p.bytes / ms.max(1e-9) / 1e6, 1),
    )
}

/// The kernels of a profile that took longest, in lines.
pub fn hottest(profile: &Profile, hot: &[Hot], path: &Path) -> String {
    let seconds: f64 = profile.slices.iter().map(|s| s.seconds).sum();
    let mut out = format!(
        "profile of {} iterations, {:.3} ms of kernels each: {} (chrome://tracing or ui.perfetto.dev)\n  {:<13} {:<44} {:>5} {:>10} {:>6} {:>9} {:>8}",
        profile.steps.len(),
        1e3 * seconds / profile.steps.len() as f64,
        path.display(),
        "phase",
        "kernel",
        "runs",
        "ms",
        "%",
        "GFLOP/s",
        "GB/s"
    );
    for h in hot {
        let rate = |count: u64| count as f64 / h.seconds.max(1e-12) / 1e9;
        let _ = write!(
            out,
            "\n  {:<13} {:<44} {:>5} {:>10.3} {:>6.1} {:>9.1} {:>8.1}",
            h.phase,
            h.kernel,
            h.count,
            1e3 * h.seconds,
            100.0 * h.share,
            rate(h.flops),
            rate(h.bytes)
        );
    }
    out
}

/// Names of the columns of [`pair`].
pub fn compare_head() -> String {
    format!(
        "{:>10} {:>10} {:>8} {:>8} {:>7}  {:<7} measurement; ratios are after/before",
        "ms before", "ms after", "median", "minimum", "noise", "verdict"
    )
}

/// A measurement before and after.
pub fn pair(pair: &Pair) -> String {
    let [median, minimum] = pair.ratios();
    let verdict = match pair.verdict {
        Verdict::Faster => "faster",
        Verdict::Slower => "SLOWER",
        Verdict::Same => "same",
    };
    let mut out = format!(
        "{:>10.3} {:>10.3} {median:>8.3} {minimum:>8.3} {:>5.1} %  {verdict:<7} {}",
        1e3 * pair.median_s[0],
        1e3 * pair.median_s[1],
        100.0 * pair.noise,
        pair.name
    );
    for (share, when) in pair.busy.iter().zip(["before", "after"]) {
        if let Some(share) = share {
            let _ = write!(out, "  [unreliable: others took {:.0} % of the cores {when}]", 100.0 * share);
        }
    }
    out
}

/// Whole numbers without decimals.
fn number(v: f64) -> String {
    if v.fract() == 0.0 { format!("{v}") } else { format!("{v:.2}") }
}

/// A remark where other processes may have disturbed a measurement.
fn busy(timing: &Timing) -> String {
    let remark = |share: f64| format!("  [others took {:.0} % of the cores]", 100.0 * share);
    clock::disturbance(timing.others_cpu).map_or_else(String::new, remark)
}
