//! `danskin bench`: what is asked for is measured, shown as a table, and written as JSON lines or drawn.

use super::bench_args::{BenchCommand, KernelsArgs, StepArgs};
use super::bench_table as table;
use super::commands::devices;
use super::device::DeviceChoice;
use super::output;
use crate::bench::clock::Limits;
use crate::bench::ladder::{self, Rung};
use crate::bench::peak::Peaks;
use crate::bench::workload::Peer;
use crate::bench::{kernel, report, shape, step};
use crate::config::Config;
use crate::device::Device;
use crate::{Error, Result};
use serde::Serialize;
use std::path::PathBuf;

/// Least seconds of samples a kernel.
const KERNEL_S: f64 = 0.25;

pub(super) fn bench(command: &BenchCommand) -> Result<()> {
    match command {
        BenchCommand::Kernels(args) if args.device == DeviceChoice::List => devices(),
        BenchCommand::Step(args) if args.device == DeviceChoice::List => devices(),
        BenchCommand::Kernels(args) => kernels(args),
        BenchCommand::Step(args) => measure_step(args),
        BenchCommand::Compare(_) => Ok(()),
    }
}

/// Where results go.
struct Sink {
    lines: Vec<String>,
    /// `Some(None)` is stdout.
    json: Option<Option<PathBuf>>,
}

impl Sink {
    fn new(json: &Option<Option<PathBuf>>) -> Sink {
        Sink { lines: vec![], json: json.clone() }
    }

    /// Whether stdout is for people.
    fn shows_table(&self) -> bool {
        self.json != Some(None)
    }

    fn table(&self, line: impl std::fmt::Display) {
        if self.shows_table() {
            output::line(line);
        }
    }

    fn add(&mut self, row: &impl Serialize) -> Result<()> {
        match &self.json {
            None => {}
            Some(None) => output::line(report::line(row)?),
            Some(Some(_)) => self.lines.push(report::line(row)?),
        }
        Ok(())
    }

    fn finish(self) -> Result<()> {
        match self.json {
            Some(Some(path)) => report::write(&path, &(self.lines.join("\n") + "\n")),
            _ => Ok(()),
        }
    }
}

fn measure_step(args: &StepArgs) -> Result<()> {
    let typed = args.settings.overrides();
    let peer = typed.preset.as_deref().and_then(Peer::find);
    if let (Some(peer), Some(file)) = (peer, &typed.file) {
        let hint = format!("{} has settings of its own; use --set, or leave {} out", peer.name(), peer.name());
        return Err(Error::setting("command line", "--config", file.display(), hint));
    }
    let overrides = peer.map_or(typed.clone(), |peer| peer.overrides(&typed));
    let (config, warnings) = Config::load(&overrides)?;
    warnings.iter().for_each(output::warning);
    let limits = Limits { exactly: args.steps.map(|n| n as usize), ..Limits::of(args.max_s) };
    let mut sink = Sink::new(&args.json);
    let bar = output::counter();
    let mut select = || {
        let (device, notice) = Device::select(&args.device.to_string())?;
        notice.iter().for_each(output::warning);
        Ok(device)
    };
    let row = step::run(&config, peer, &limits, &|done, total| output::count(&bar, done, total), &mut select);
    bar.finish_and_clear();
    let row = row?;
    sink.table(table::step(&row));
    sink.add(&row)?;
    sink.finish()
}

fn kernels(args: &KernelsArgs) -> Result<()> {
    let mut items = vec![];
    for asked in &args.shape {
        items.extend(shape::find(asked)?);
    }
    if args.shape.is_empty() {
        items = shape::all();
    }
    let (device, notice) = Device::select(&args.device.to_string())?;
    notice.iter().for_each(output::warning);
    if args.ladder && matches!(device, Device::Host) {
        let hint = "the host has one way to run each kernel; name a GPU with --device, or leave --ladder out";
        return Err(Error::setting("command line", "--ladder", "on the host", hint));
    }
    let rungs = |item| if args.ladder { ladder::rungs(item) } else { vec![Rung::Chosen] };
    let work: Vec<(&shape::Item, Rung)> =
        items.iter().flat_map(|i| rungs(i).into_iter().map(move |r| (i, r))).collect();
    let mut sink = Sink::new(&args.json);
    let peaks = Peaks::measure(&device, &device.describe())?;
    sink.add(&peaks.fma)?;
    sink.add(&peaks.copy)?;
    sink.table(table::peaks(&peaks));
    sink.table(table::kernel_head());
    let limits = Limits { samples: 5, least_s: KERNEL_S, most_s: args.max_s, exactly: None };
    let bar = output::counter();
    for (done, (item, rung)) in work.iter().enumerate() {
        output::count(&bar, done, work.len());
        let row = kernel::measure(&device, item, rung, Some(&peaks), &limits)?;
        bar.suspend(|| sink.table(table::kernel(&row)));
        sink.add(&row)?;
    }
    bar.finish_and_clear();
    sink.finish()
}
