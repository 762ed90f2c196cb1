//! Measurements as lines of a table.

use super::output::bytes;
use crate::bench::clock::Timing;
use crate::bench::kernel::KernelRow;
use crate::bench::peak::Peaks;
use crate::bench::step::{Phase, StepRow};
use std::fmt::Write;

/// Other processes take more than this share of the cores on a machine that is not quiet.
const BUSY: f64 = 0.05;

/// What the device can do at most.
pub fn peaks(peaks: &Peaks) -> String {
    let fma = &peaks.fma.common;
    format!(
        "{}\npeaks: {:.1} GFLOP/s of multiply-adds, {:.1} GB/s copied (read and written){}",
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
        "kernel", "rung", "ms", "min ms", "GFLOP/s", "GB/s", "% FMA", "% copy", "% roof"
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
        percent(row.of_copy),
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
        "{:.3} ms an iteration (min {:.3}, {} samples){}; {:.1} img/s, {:.3} s/kimg; first step after {:.3} s",
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

/// Whole numbers without decimals.
fn number(v: f64) -> String {
    if v.fract() == 0.0 { format!("{v}") } else { format!("{v:.2}") }
}

/// A remark where other processes may have disturbed a measurement.
fn busy(timing: &Timing) -> String {
    match timing.others_cpu {
        Some(share) if share > BUSY => format!("  [others took {:.0} % of the cores]", 100.0 * share),
        _ => String::new(),
    }
}
