//! The commands: a job is prepared, its warnings are shown, and the engine is called.

use super::args::{CheckArgs, ConfigArgs, PlanArgs, TrainArgs, TuningArgs};
use super::device::DeviceChoice;
use super::job::{PlanJob, TrainJob};
use super::progress::Progress;
use super::{interrupt, output, startup};
use crate::bench::report;
use crate::check::variants;
use crate::config::Config;
use crate::device::{Autotune, Device};
use crate::train::games::GanAdversary;
use crate::train::{Event, Feed, Measuring, Outcome, Session, Settings, Trainer};
use crate::{Error, Result, files};

pub(super) fn train(args: &TrainArgs) -> Result<()> {
    if args.device == DeviceChoice::List {
        return devices();
    }
    let job = TrainJob::prepare(args)?;
    args.profile.as_deref().map(report::check_place).transpose()?;
    job.warnings.iter().for_each(output::warning);
    if let (Some(root), Some(kimg)) = (&args.resume, job.finished()?) {
        let root = root.display();
        output::line(format_args!("{root}: already finished at {kimg} kimg; give a larger --kimg to go on"));
        return Ok(());
    }
    let tuning = job.tuning(&args.tuning)?;
    let device = startup::open(job.device, &tuning)?;
    let settings = Settings::new(&job.config)?;
    if settings.game.phases.is_empty() {
        let hint = "a generator alone can be drawn from; training wants a list of layers in [model.d]";
        return Err(Error::setting(job.config.place("model.g"), "model.d", "is not set", hint));
    }
    let mut feed = match open_data(&job.config) {
        Err(Error::Data { path, reason }) if args.resume.is_some() && !path.exists() => {
            return Err(Error::data(
                path,
                format!("{reason}; name where the data of the run lies now with --data PATH"),
            ));
        }
        feed => feed?,
    };
    let (toy, reals, fingerprint) = (feed.toy_kind(), std::mem::take(&mut feed.preview), feed.fingerprint());
    let mut trainer = Trainer::new(settings, feed, &device)?;
    if args.profile.is_some() {
        trainer.check_profile()?;
    }
    if let Some(init) = &job.init {
        trainer.init_from(&init.checkpoint, &init.path)?;
        init.warnings.iter().for_each(output::warning);
        output::line(format_args!("weights of {}", init.path.display()));
    }
    let (run, latest) = job.open_run()?;
    run.check_data(&fingerprint, args.data_changed)?.iter().for_each(output::warning);
    // A file that is in force already stays as it is.
    let kept = run.tuning();
    let schedules = device.schedules(&trainer.assembly().program).filter(|_| tuning.tuning.as_ref() != Some(&kept));
    latest.iter().flat_map(|l| &l.warnings).for_each(output::warning);
    let root = run.root().to_owned();
    if args.resume.is_some() && latest.is_none() {
        output::line(format_args!("{}: was stopped before its first checkpoint; it starts anew", root.display()));
    }
    output::line(format_args!("{}: {}", root.display(), trainer.describe_device()));
    GanAdversary::about(&job.config).iter().for_each(output::line);
    trainer.recomputed().iter().for_each(output::line);
    let stop = interrupt::watch()?;
    let mut session = Session::new(job.config.clone(), trainer, toy, run, latest.as_ref())?;
    if let Some(text) = schedules {
        files::write(&kept, "writing the schedules", text.as_bytes())?;
    }
    let bar = output::counter("reals to measure by");
    let measuring = Measuring::new(&job.config, &device, &|done, total| output::count(&bar, done, total));
    bar.finish_and_clear();
    if let Some(measuring) = measuring? {
        output::line(&measuring.about);
        session.measure_by(measuring)?;
    }
    session.draw_reals(&reals)?;
    if args.profile.is_some() {
        session.profile(args.profile_steps as usize)?;
    }
    let shown = session.trainer().settings().game.shown.clone();
    let mut written = Ok(());
    let mut progress = Progress::new(job.config.train.kimg, shown);
    let outcome = session.run(&stop, &mut |event| match (event, &args.profile) {
        (Event::Report(report), _) => progress.report(report),
        (Event::Note(text), _) => progress.note(&text),
        (Event::Profile(profile), Some(path)) => match super::bench::profile(&profile, path) {
            Ok(text) => progress.note(&text),
            Err(error) => written = Err(error),
        },
        (Event::Profile(_), None) => {}
    });
    progress.finish();
    written?;
    if outcome? == Outcome::Stopped {
        output::line(format_args!("stopped; go on with: danskin train --resume {}", root.display()));
    }
    Ok(())
}

/// Opens the data set, with a line on what it is and one on what had to be left out.
fn open_data(config: &Config) -> Result<Feed> {
    let bar = output::counter("data");
    let feed = Feed::open(config, &|done, total| output::count(&bar, done, total));
    bar.finish_and_clear();
    let feed = feed?;
    output::line(format_args!("data: {}", feed.description));
    if feed.skipped.count > 0 {
        output::warning(format_args!("left out: {}", feed.skipped));
    }
    Ok(feed)
}

pub(super) fn config(args: &ConfigArgs) -> Result<()> {
    let config = Config::layered(&args.settings.overrides())?;
    // Whoever prints a configuration to write one may not know yet where the data lies.
    config.validate_without_data()?.iter().for_each(output::warning);
    output::line(config.explained().trim_end());
    Ok(())
}

pub(super) fn devices() -> Result<()> {
    crate::device::list().iter().for_each(output::line);
    Ok(())
}

pub(super) fn plan(args: &PlanArgs) -> Result<()> {
    let job = PlanJob::prepare(args)?;
    job.warnings.iter().for_each(output::warning);
    output::line(super::plan_table::table(&job)?);
    Ok(())
}

pub(super) fn check(args: &CheckArgs) -> Result<()> {
    if args.device == DeviceChoice::List {
        return devices();
    }
    if args.all_variants {
        return check_variants(args);
    }
    // With the schedules that training uses.
    let device = startup::open(args.device, &TuningArgs { autotune: Autotune::Cached, tuning: None })?;
    let report = crate::check::run(&device, &mut |row| output::line(row))?;
    output::line(format_args!("{} checks on {}, {} missed", report.rows, report.device, report.missed.len()));
    match report.missed.first() {
        None => Ok(()),
        Some(first) => Err(Error::Check(format!(
            "{} of {} differ from the f64 host by more than rounding allows, first {first}: report this table with the driver's version",
            report.missed.len(),
            report.rows
        ))),
    }
}

/// A row per family of kernels.
fn check_variants(args: &CheckArgs) -> Result<()> {
    let setup = startup::quiet(&TuningArgs { autotune: Autotune::Cached, tuning: None });
    let (device, notice) = Device::select_with(&args.device.to_string(), setup)?;
    let Device::Gpu(device) = device else {
        let hint = match notice {
            Some(_) => {
                "there is no hardware GPU, and the host runs every primitive in one way; name a device (danskin devices lists them)"
            }
            None => "the host runs every primitive in one way; name a GPU (danskin devices lists them)",
        };
        return Err(Error::setting("command line", "--device", args.device, hint));
    };
    let bar = output::counter("ways to run");
    let families = variants::run(&device, &mut |done, total| output::count(&bar, done, total));
    bar.finish_and_clear();
    let families = families?;
    families.iter().for_each(output::line);
    let sum = |of: fn(&variants::Family) -> usize| families.iter().map(of).sum::<usize>();
    let (kernels, results, wrong) = (sum(|f| f.variants), sum(|f| f.comparisons), sum(|f| f.wrong.len()));
    output::line(format_args!("{kernels} variants on {}: {results} results, {wrong} wrong", device.facts().describe()));
    variants::verdict(&families)
}
