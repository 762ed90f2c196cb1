//! `danskin bench`: what is asked for is measured, shown as a table, and written as JSON lines or drawn.

use super::bench_args::{AttackBenchArgs, BenchCommand, CompareArgs, KernelsArgs, StepArgs};
use super::bench_table as table;
use super::commands::devices;
use super::device::DeviceChoice;
use super::{output, startup};
use crate::bench::clock::Limits;
use crate::bench::ladder::{self, Rung};
use crate::bench::peak::Peaks;
use crate::bench::workload::Peer;
use crate::bench::{attack, compare, kernel, report, roofline, shape, step, trace};
use crate::config::{Config, Task};
use crate::device::Device;
use crate::train::{Feed, Profile};
use crate::{Error, Result};
use serde::Serialize;
use std::path::{Path, PathBuf};

/// Kernels in the table of a profile.
const HOTTEST: usize = 10;
/// Least seconds of samples per kernel.
const KERNEL_S: f64 = 0.25;

pub(super) fn bench(command: &BenchCommand) -> Result<()> {
    match command {
        BenchCommand::Kernels(args) if args.device == DeviceChoice::List => devices(),
        BenchCommand::Step(args) if args.device == DeviceChoice::List => devices(),
        BenchCommand::Attack(args) if args.device == DeviceChoice::List => devices(),
        BenchCommand::Attack(args) => attacks(args),
        BenchCommand::Kernels(args) => kernels(args),
        BenchCommand::Step(args) => measure_step(args),
        BenchCommand::Compare(args) => compare_files(args),
    }
}

/// Where results go.
struct Sink {
    lines: Vec<String>,
    /// `Some(None)` is stdout.
    json: Option<Option<PathBuf>>,
}

impl Sink {
    fn new(json: &Option<Option<PathBuf>>) -> Result<Sink> {
        json.iter().flatten().try_for_each(|path| report::check_place(path))?;
        Ok(Sink { lines: vec![], json: json.clone() })
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

fn attacks(args: &AttackBenchArgs) -> Result<()> {
    let mut sink = Sink::new(&args.json)?;
    let typed = args.settings.overrides();
    let peer = typed.preset.as_deref().and_then(Peer::find);
    let overrides = peer.map_or(typed.clone(), |peer| peer.overrides(&typed));
    let mut config = Config::layered(&overrides)?;
    config.validate_without_data()?.iter().for_each(output::warning);
    // No image is read: of a classifier that is told no classes, ten.
    if config.model.classes == 0 && config.train.task == Task::Classifier {
        config.model.classes = 10;
    }
    let (device, notice) = Device::select_with(&args.device.to_string(), startup::quiet(&args.tuning))?;
    notice.iter().for_each(output::warning);
    let rows = attack::run(&config, args.steps, &Limits::of(args.max_s), &device)?;
    sink.table(table::attack_head());
    for row in &rows {
        sink.table(table::attack(row));
        sink.add(row)?;
    }
    sink.finish()
}

fn measure_step(args: &StepArgs) -> Result<()> {
    let mut sink = Sink::new(&args.json)?;
    let typed = args.settings.overrides();
    let peer = typed.preset.as_deref().and_then(Peer::find);
    if let (Some(peer), Some(file)) = (peer, &typed.file) {
        let hint = format!("{} has settings of its own; use --set, or leave {} out", peer.name(), peer.name());
        return Err(Error::setting("command line", "--config", file.display(), hint));
    }
    let overrides = peer.map_or(typed.clone(), |peer| peer.overrides(&typed));
    let (mut config, warnings) = Config::load(&overrides)?;
    Feed::complete(&mut config)?;
    warnings.iter().for_each(output::warning);
    let limits = Limits { exactly: args.steps.map(|n| n as usize), ..Limits::of(args.max_s) };
    let bar = output::counter("data");
    let mut select = || {
        let (device, notice) = Device::select_with(&args.device.to_string(), startup::quiet(&args.tuning))?;
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

/// Writes a profile's trace; gives the table of its hottest kernels.
pub(super) fn profile(profile: &Profile, path: &Path) -> Result<String> {
    if profile.steps.is_empty() {
        return Ok(format!("the run ended before an iteration was profiled: {} was not written", path.display()));
    }
    report::write(path, &trace::chrome(profile).to_string())?;
    Ok(table::hottest(profile, &trace::hottest(profile, HOTTEST), path))
}

fn kernels(args: &KernelsArgs) -> Result<()> {
    let mut sink = Sink::new(&args.json)?;
    args.plot.as_deref().map(report::check_place).transpose()?;
    let mut items = vec![];
    for asked in &args.shape {
        items.extend(shape::find(asked)?);
    }
    if args.shape.is_empty() {
        items = shape::all();
    }
    let (device, notice) = Device::select_with(&args.device.to_string(), startup::quiet(&args.tuning))?;
    notice.iter().for_each(output::warning);
    if args.ladder && matches!(device, Device::Host) {
        let hint = "the host has one way to run each kernel; name a GPU with --device, or leave --ladder out";
        return Err(Error::setting("command line", "--ladder", "on the host", hint));
    }
    let rungs = |item| if args.ladder { ladder::rungs(item) } else { vec![Rung::Chosen] };
    let work: Vec<(&shape::Item, Rung)> =
        items.iter().flat_map(|i| rungs(i).into_iter().map(move |r| (i, r))).collect();
    let peaks = Peaks::measure(&device, &device.describe())?;
    peaks.rows().try_for_each(|row| sink.add(row))?;
    sink.table(table::peaks(&peaks));
    sink.table(table::kernel_head());
    let limits = Limits { samples: 5, least_s: KERNEL_S, most_s: args.max_s, exactly: None };
    let mut chosen = vec![];
    let bar = output::counter("kernels");
    for (done, (item, rung)) in work.iter().enumerate() {
        output::count(&bar, done, work.len());
        let row = kernel::measure(&device, item, rung, Some(&peaks), &limits)?;
        bar.suspend(|| {
            sink.table(table::kernel(&row));
            sink.add(&row)
        })?;
        if matches!(rung, Rung::Chosen) {
            chosen.push(row);
        }
    }
    bar.finish_and_clear();
    sink.finish()?;
    match &args.plot {
        Some(path) => report::write(path, &roofline::svg(&peaks, &chosen)),
        None => Ok(()),
    }
}

fn compare_files(args: &CompareArgs) -> Result<()> {
    let found = compare::compare(&args.before, &args.after)?;
    output::line(table::compare_head());
    found.pairs.iter().for_each(|pair| output::line(table::pair(pair)));
    if found.unpaired.is_empty() {
        return Ok(());
    }
    let (count, some) = (found.unpaired.len(), found.unpaired.iter().take(3).cloned().collect::<Vec<_>>());
    let more = if count > some.len() { ", …" } else { "" };
    let hint = "measure the same on both sides";
    Err(Error::Bench(format!("rows without a partner: {count} ({}{more}); {hint}", some.join(", "))))
}
