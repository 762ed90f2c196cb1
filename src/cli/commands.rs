//! The commands: a job is prepared, its warnings are shown, and the engine is called.

use super::args::{CheckArgs, PlanArgs, SampleArgs, TrainArgs};
use super::device::DeviceChoice;
use super::job::{PlanJob, SampleJob, TrainJob};
use super::progress::Progress;
use super::{interrupt, output};
use crate::{Error, Result};
use std::sync::atomic::AtomicBool;

pub(super) fn train(args: &TrainArgs) -> Result<()> {
    if args.device == DeviceChoice::List {
        return devices();
    }
    let job = TrainJob::prepare(args)?;
    job.warnings.iter().for_each(output::warning);
    let stop = interrupt::watch()?;
    let mut progress = Progress::new(job.config.train.kimg);
    let done = engine::train(&job, &stop, &mut progress);
    progress.finish();
    done
}

pub(super) fn sample(args: &SampleArgs) -> Result<()> {
    if args.device == DeviceChoice::List {
        return devices();
    }
    let job = SampleJob::prepare(args)?;
    job.latest.warnings.iter().for_each(output::warning);
    engine::sample(&job)
}

pub(super) fn devices() -> Result<()> {
    engine::devices()?.iter().for_each(output::line);
    Ok(())
}

pub(super) fn plan(args: &PlanArgs) -> Result<()> {
    let job = PlanJob::prepare(args)?;
    job.warnings.iter().for_each(output::warning);
    output::line(engine::plan(&job)?);
    Ok(())
}

pub(super) fn check(args: &CheckArgs) -> Result<()> {
    if args.device == DeviceChoice::List {
        return devices();
    }
    engine::check(args.device, &mut |text| output::line(text))
}

/// The calls into the rooms below.
mod engine {
    use super::*;

    fn absent(what: &str) -> Error {
        Error::Training(format!("this build has no engine for `danskin {what}`"))
    }

    /// Opens `job.device`, then `job.open_run()`, and trains until the end or until `stop`.
    pub fn train(_job: &TrainJob, _stop: &AtomicBool, _progress: &mut Progress) -> Result<()> {
        Err(absent("train"))
    }

    /// Draws `job.seeds` from `job.latest` and writes `job.picture` and `job.each`.
    pub fn sample(_job: &SampleJob) -> Result<()> {
        Err(absent("sample"))
    }

    /// One line a device.
    pub fn devices() -> Result<Vec<String>> {
        Err(absent("devices"))
    }

    /// The table, or the JSON, of a step's plans.
    pub fn plan(_job: &PlanJob) -> Result<String> {
        Err(absent("plan"))
    }

    /// Compares kernel by kernel; `show` gets one line each.
    pub fn check(_device: DeviceChoice, _show: &mut dyn FnMut(&str)) -> Result<()> {
        Err(absent("check"))
    }
}
