//! The commands: a job is prepared, its warnings are shown, and the engine is called.

use super::args::{CheckArgs, PlanArgs, SampleArgs, TrainArgs, Tuning};
use super::device::DeviceChoice;
use super::job::{PlanJob, SampleJob, TrainJob};
use super::progress::Progress;
use super::{interrupt, output, startup};
use crate::bench::report;
use crate::config::{Config, Source};
use crate::data::toys::{self, Toy};
use crate::device::Autotune;
use crate::train::{Event, Feed, Outcome, Sampler, Session, Settings, Trainer};
use crate::{Error, Result, grid, metrics};

pub(super) fn train(args: &TrainArgs) -> Result<()> {
    if args.device == DeviceChoice::List {
        return devices();
    }
    let job = TrainJob::prepare(args)?;
    args.profile.as_deref().map(report::check_place).transpose()?;
    job.warnings.iter().for_each(output::warning);
    let device = startup::open(job.device, &args.tuning)?;
    let settings = Settings::new(&job.config)?;
    let mut feed = open_data(&job.config)?;
    let (toy, reals) = (feed.toy_kind(), std::mem::take(&mut feed.preview));
    let mut trainer = Trainer::new(settings, feed, &device)?;
    if args.profile.is_some() {
        trainer.check_profile()?;
    }
    let (run, latest) = job.open_run()?;
    latest.iter().flat_map(|l| &l.warnings).for_each(output::warning);
    let root = run.root().to_owned();
    output::line(format_args!("{}: {}", root.display(), trainer.describe_device()));
    trainer.recomputed().iter().for_each(output::line);
    let stop = interrupt::watch()?;
    let mut session = Session::new(job.config.clone(), trainer, toy, run, latest.as_ref())?;
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

pub(super) fn sample(args: &SampleArgs) -> Result<()> {
    if args.device == DeviceChoice::List {
        return devices();
    }
    let job = SampleJob::prepare(args)?;
    let is_plane = !job.config.data.source.is_images();
    if let Some(folder) = job.each.as_ref().filter(|_| is_plane) {
        let hint = "this run makes points of the plane, shown in one plot; leave --each out";
        return Err(Error::setting("command line", "--each", folder.display(), hint));
    }
    job.latest.warnings.iter().for_each(output::warning);
    let device = startup::open(job.device, &args.tuning)?;
    let seeds = job.seeds.iter().map(|&seed| sample_seed(seed)).collect::<Result<Vec<u32>>>()?;
    let settings = Settings::new(&job.config)?;
    let mut sampler = Sampler::new(&settings, &job.latest.checkpoint, &job.latest.path, &device)?;
    let values = sampler.sample(&seeds)?;
    if is_plane {
        return plot_points(&job, &values);
    }
    let shape = sampler.image_shape(seeds.len());
    if let Some((cells, path)) = &job.picture {
        grid::write(path, &values, shape, cells.columns, grid::Scale::Auto)?;
        output::line(path.display());
    }
    if let Some(folder) = &job.each {
        std::fs::create_dir_all(folder).map_err(Error::io(folder, "creating the folder for images"))?;
        let each = values.chunks_exact(shape[1] * shape[2] * shape[3]);
        for (seed, values) in seeds.iter().zip(each) {
            grid::write_each(folder, values, [1, shape[1], shape[2], shape[3]], *seed as usize)?;
        }
        output::line(format_args!("{} images in {}", seeds.len(), folder.display()));
    }
    Ok(())
}

/// Generated points of a 2-D toy over real ones.
fn plot_points(job: &SampleJob, values: &[f32]) -> Result<()> {
    let toy = if job.config.data.source == Source::Ring8 { Toy::Ring8 } else { Toy::Grid25 };
    let real = toys::batch(toy, job.config.train.seed, 0, u32::MAX, values.len() / 2);
    if let Some((_, path)) = &job.picture {
        grid::save(path, &toys::plot(toy, &real, values, 512))?;
        output::line(path.display());
    }
    let modes = metrics::modes(toy, values);
    output::line(format_args!(
        "{} of {} modes, {:.1} % within 3 sigma",
        modes.covered,
        modes.total,
        100.0 * modes.high_quality
    ));
    Ok(())
}

fn sample_seed(seed: u64) -> Result<u32> {
    let hint = format!("must be at most {}", u32::MAX);
    u32::try_from(seed).map_err(|_| Error::setting("command line", "--seeds", seed, hint))
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
    // With the schedules that training uses.
    let device = startup::open(args.device, &Tuning { autotune: Autotune::Cached, tuning: None })?;
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
