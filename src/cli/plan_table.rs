//! `danskin plan`: the dispatch list of a preset's phases, as a table or as JSON.
//!
//! Plans are the GPU's (kernels, launches, scratch), made without a device: nothing is loaded or run.

use super::job::PlanJob;
use super::output::bytes;
use crate::kernels;
use crate::plan::{Class, Options, Plan, Step};
use crate::train::{Gan, Resident, Settings};
use crate::{Error, Result};
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
    work_bytes: u64,
    live_bytes: u64,
    total_bytes: u64,
}

/// The text to print.
///
/// # Errors
/// A configuration that makes no model; a phase that is not one of the plan's.
pub fn table(job: &PlanJob) -> Result<String> {
    let settings = Settings::new(&job.config)?;
    let resident = settings.gan.sample.len() == 3;
    let resident = resident.then_some(Resident { count: job.config.data.count, mirror: job.config.data.mirror });
    let options = Options {
        fuse: settings.fuse,
        precision: settings.precision,
        scratch: std::sync::Arc::new(kernels::scratch),
        ..Options::default()
    };
    let gan = Gan::new(&settings.gan, resident, 16, settings.log_every, settings.penalty_every > 1, options)?;
    let program = &gan.program;
    let wanted = |plan: &&Plan| job.phase.as_ref().is_none_or(|name| *name == plan.name);
    let plans: Vec<&Plan> = program.plans.iter().filter(wanted).collect();
    if plans.is_empty() {
        let names: Vec<&str> = program.plans.iter().map(|p| p.name.as_str()).collect();
        let asked = job.phase.as_deref().unwrap_or_default();
        return Err(Error::setting("command line", "--phase", asked, format!("must be one of {}", names.join(", "))));
    }
    let mut bytes_by_class = BTreeMap::new();
    for buffer in &program.buffers {
        *bytes_by_class.entry(buffer.class.name()).or_insert(0) += buffer.bytes();
    }
    let report = Report {
        preset: job.config.preset.clone(),
        phases: plans.into_iter().map(|plan| phase(plan, &gan)).collect::<Result<_>>()?,
        work_bytes: bytes_by_class.get(Class::Work.name()).copied().unwrap_or(0),
        live_bytes: program.plans.iter().map(|p| p.live_bytes).max().unwrap_or(0),
        total_bytes: gan.bytes(),
        bytes_by_class,
    };
    if job.json {
        return serde_json::to_string_pretty(&report).map_err(|e| Error::Graph(e.to_string()));
    }
    Ok(text(&report))
}

fn phase(plan: &Plan, gan: &Gan) -> Result<Phase> {
    let row = |step: &Step| -> Result<Row> {
        let buffers: Vec<&str> = step.outputs.iter().map(|r| gan.program.buffers[r.buffer].name.as_str()).collect();
        Ok(Row {
            kernel: step.name(),
            makes: step.label.clone(),
            dispatches: kernels::lower(step)?.len(),
            flops: step.flops,
            bytes: gan.program.moved(step),
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
    let classes: Vec<String> =
        report.bytes_by_class.iter().map(|(class, count)| format!("{class} {}", bytes(*count))).collect();
    let _ = write!(
        out,
        "memory: {} in all ({}); work memory {}, liveness bound {}",
        bytes(report.total_bytes),
        classes.join(", "),
        bytes(report.work_bytes),
        bytes(report.live_bytes)
    );
    out
}
