//! A run from its first step to its last: training, logs, grids, checkpoints, and what happens when numbers break.
//!
//! Nothing here prints: events go to the caller. Statistics, grids and checkpoints are functions of the step, so a run that
//! was killed and resumed leaves the same ones as an unbroken run.

use super::checkpoint::{self, Checkpoint, Latest, Values};
use super::measuring::Measuring;
use super::pictures::{Drawing, Pictures};
use super::profile::{Profile, Profiler};
use super::reports::{Reports, not_finite};
use super::run_folder::RunFolder;
use super::run_page;
use super::samples::PendingSamples;
use super::stats::Report;
use super::tensorboard::Picture;
use super::trainer::Trainer;
use crate::config::Config;
use crate::data::toys::{self, Toy};
use crate::{Error, Result, grid, metrics};
use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

/// Points in a scatter plot and in the count of modes.
const POINTS: u32 = 2500;
/// Width of a scatter plot in pixels.
const PLOT: usize = 512;
/// Reads of the log that may be under way before the oldest is waited for.
const PENDING_LOGS: usize = 2;

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// At its last step.
    Finished,
    /// Asked to stop; saved.
    Stopped,
}

/// What a run tells its caller.
pub enum Event<'a> {
    /// Numbers of the last steps.
    Report(&'a Report),
    /// A sentence worth keeping.
    Note(String),
    /// The profile that was asked for, or what the run was long enough for.
    Profile(Profile),
}

/// A run in progress.
pub struct Session {
    config: Config,
    trainer: Trainer,
    toy: Option<Toy>,
    run: RunFolder,
    reports: Reports,
    /// Samples on their way from the device, oldest first, with their step and where they go.
    drawings: VecDeque<(u64, PathBuf, PendingSamples)>,
    pictures: Pictures,
    profiler: Option<Profiler>,
    /// Where the last roll-back went.
    rolled_back_to: Option<PathBuf>,
    /// What measures checkpoints.
    measuring: Option<Measuring>,
    /// Mean distance between reals, to measure the diversity of samples by.
    spread: Option<f64>,
}

impl Session {
    /// A new run, or with `latest` one that goes on from a checkpoint.
    ///
    /// # Errors
    /// A checkpoint of another model; files that can't be written.
    pub fn new(
        config: Config,
        mut trainer: Trainer,
        toy: Option<Toy>,
        run: RunFolder,
        latest: Option<&Latest>,
    ) -> Result<Session> {
        let reports = match latest {
            None => Reports::create(&run, &config)?,
            Some(latest) => {
                trainer.restore(&latest.checkpoint, &latest.path)?;
                let reports = Reports::resume(&run, &config, trainer.step(), &latest.checkpoint, &latest.path)?;
                // Only now is it known that the run can go on, with the settings that may have changed.
                run.write_config(&config)?;
                reports
            }
        };
        let (drawings, pictures) = (VecDeque::new(), Pictures::default());
        let (profiler, rolled_back_to, measuring, spread) = (None, None, None, None);
        Ok(Session {
            config,
            trainer,
            toy,
            run,
            reports,
            drawings,
            pictures,
            profiler,
            rolled_back_to,
            measuring,
            spread,
        })
    }

    /// Measures checkpoints from now on.
    ///
    /// # Errors
    /// What the run measured before, if it can't be read.
    pub fn measure_by(&mut self, mut measuring: Measuring) -> Result<()> {
        measuring.go_on(&self.run.metrics(), self.trainer.kimg())?;
        self.measuring = Some(measuring);
        Ok(())
    }

    /// The trainer, for what a run does not do by itself.
    pub fn trainer(&mut self) -> &mut Trainer {
        &mut self.trainer
    }

    /// Profiles `iterations` iterations of the next [`Session::run`], after a few to warm up. They do what they always do.
    ///
    /// # Errors
    /// A device that has no timestamps.
    pub fn profile(&mut self, iterations: usize) -> Result<()> {
        self.trainer.check_profile()?;
        let program = self.trainer.assembly().program.clone();
        self.profiler = Some(Profiler::new(iterations, self.trainer.describe_device(), program));
        Ok(())
    }

    /// Takes reals from [`super::Feed::preview`] for what the samples are to be compared with: `samples/reals.png`, and their diversity.
    ///
    /// # Errors
    /// A disk that fails.
    pub fn draw_reals(&mut self, reals: &[f32]) -> Result<()> {
        let path = self.run.samples().join("reals.png");
        let per_image = self.trainer.settings().game.sample_elems();
        self.spread = metrics::mean_distance(reals, per_image).filter(|spread| *spread > 0.0);
        if reals.is_empty() || path.exists() {
            return Ok(());
        }
        grid::write(&path, reals, image_shape(&self.trainer, reals.len() / per_image), 0, grid::Scale::Auto)
    }

    /// Trains to the end of the run, or until `stop`.
    ///
    /// # Errors
    /// A number that is not finite, for the second time; a device or a disk that fails. The last checkpoint stays.
    pub fn run(&mut self, stop: &AtomicBool, show: &mut dyn FnMut(Event)) -> Result<Outcome> {
        let end = self.trainer.settings().steps_in(self.config.train.kimg);
        if self.trainer.step() == 0 {
            self.begin_drawing()?;
            self.take_logs(true, end, show)?;
            self.note_pictures(true, show)?;
            let state = self.trainer.checkpoint()?;
            self.save(state)?;
        }
        // A run that was stopped before it had measured its last checkpoint does so now.
        if self.trainer.step() > 0 && self.measures(end) && self.measure(show)? {
            return Ok(Outcome::Finished);
        }
        self.reports.restart_clock(self.trainer.step());
        while self.trainer.step() < end {
            self.iterate(show)?;
            let step = self.trainer.step();
            let stopped = stop.load(Ordering::Relaxed);
            let last = step == end;
            let draws = !last && self.is_due(self.config.sample.every_kimg);
            let saves = last || stopped || self.is_due(self.config.checkpoint.every_kimg) || self.measures(end);
            let mut problem = None;
            // The last report tells what the last plot shows; those before it, what the plot before showed.
            if last {
                problem = self.take_logs(true, end, show)?;
                if problem.is_none() {
                    self.begin_drawing()?;
                    problem = self.take_logs(true, end, show)?;
                }
            }
            let from = Instant::now();
            if draws || saves || step.is_multiple_of(self.trainer.settings().log_every as u64) {
                self.trainer.begin_log()?;
            }
            self.spent("start to read the log", from);
            if draws && !saves {
                let from = Instant::now();
                self.begin_drawing()?;
                self.spent("start a grid", from);
            }
            let from = Instant::now();
            if problem.is_none() {
                problem = self.take_logs(saves, end, show)?;
            }
            self.spent("read and write the log", from);
            let from = Instant::now();
            let state = if saves && problem.is_none() { Some(self.trainer.checkpoint()?) } else { None };
            problem = problem.or_else(|| not_finite(&self.trainer, state.as_ref()?));
            if let Some(problem) = problem {
                self.roll_back(&problem, show)?;
                continue;
            }
            if saves {
                self.spent("read back the state", from);
            }
            if draws && saves {
                let from = Instant::now();
                self.begin_drawing()?;
                self.take_logs(true, end, show)?;
                self.spent("draw a grid", from);
            }
            // A run that goes on from a checkpoint finds every picture of the steps before it.
            self.note_pictures(saves, show)?;
            if let Some(state) = state {
                let from = Instant::now();
                let path = self.save(state)?;
                self.spent("write a checkpoint", from);
                if last || stopped {
                    show(Event::Note(format!("saved {}", path.display())));
                }
                let ends = !stopped && self.measures(end) && self.measure(show)?;
                // The page tells what other files tell; a run does not end for it.
                if let Err(error) = run_page::write(&self.run, &self.config, &self.trainer.describe_device()) {
                    show(Event::Note(format!("no page of the run was written: {error}")));
                }
                if ends {
                    self.end_profile(show);
                    return Ok(Outcome::Finished);
                }
            }
            if stopped && !last {
                self.end_profile(show);
                return Ok(Outcome::Stopped);
            }
        }
        self.end_profile(show);
        Ok(Outcome::Finished)
    }

    /// The next iteration, profiled where it is to be.
    fn iterate(&mut self, show: &mut dyn FnMut(Event)) -> Result<()> {
        // What follows an iteration (logs, grids) belongs to it, so that a profile ends where the next one begins.
        if self.profiler.as_ref().is_some_and(Profiler::is_complete) {
            self.end_profile(show);
        }
        let Some(profiler) = self.profiler.as_mut() else { return self.trainer.iterate() };
        if !profiler.is_due() {
            return self.trainer.iterate();
        }
        // What was submitted before must not count as time of this iteration.
        self.trainer.wait()?;
        let from = Instant::now();
        profiler.add(self.trainer.profile()?, from);
        Ok(())
    }

    fn end_profile(&mut self, show: &mut dyn FnMut(Event)) {
        if let Some(profiler) = self.profiler.take() {
            show(Event::Profile(profiler.finish()));
        }
    }

    /// Tells the profiler what was done since `from`.
    fn spent(&mut self, what: &'static str, from: Instant) {
        if let Some(profiler) = &mut self.profiler {
            profiler.span(what, from);
        }
    }

    /// Whether this step completes another `every` thousand images.
    fn is_due(&self, every: f64) -> bool {
        every > 0.0 && self.trainer.step().is_multiple_of(self.trainer.settings().steps_in(every))
    }

    /// Takes the logs and samples that have arrived, in the order they were begun: a report holds the modes of the plot
    /// before it, and a picture is made when the numbers up to it are known to be finite. What is saved must be known to be
    /// finite, so that it `waits` for all. Returns what is wrong with the numbers, if anything.
    fn take_logs(&mut self, waits: bool, end: u64, show: &mut dyn FnMut(Event)) -> Result<Option<String>> {
        loop {
            let wait = waits || self.trainer.pending_logs() > PENDING_LOGS;
            if let Some((step, _, samples)) = self.drawings.front_mut()
                && self.trainer.oldest_log().is_none_or(|first| first >= *step)
            {
                match self.trainer.poll_samples(samples, wait)? {
                    true => self.hand_over()?,
                    false => return Ok(None),
                }
                continue;
            }
            let Some(logged) = self.trainer.take_log(wait)? else { return Ok(None) };
            let problem = self.reports.take_rows(&self.trainer, &logged, end, show)?;
            if problem.is_some() {
                return Ok(problem);
            }
        }
    }

    /// Starts drawing the grid (or the plot) of this step; never waits for the device.
    fn begin_drawing(&mut self) -> Result<()> {
        if !self.trainer.draws() {
            return Ok(());
        }
        let step = self.trainer.step();
        let images = step * self.trainer.settings().game.batch as u64;
        let path = self.run.samples().join(format!("{:06}.{:03}.png", images / 1000, images % 1000));
        let count = if self.toy.is_some() { POINTS } else { self.config.sample.count.cells() as u32 };
        let samples = self.trainer.begin_samples(&(0..count).collect::<Vec<u32>>())?;
        self.drawings.push_back((step, path, samples));
        Ok(())
    }

    /// Hands the oldest samples, which have arrived, to the thread that writes pictures.
    fn hand_over(&mut self) -> Result<()> {
        let Some((step, path, samples)) = self.drawings.pop_front() else { return Ok(()) };
        let values = samples.into_values();
        let paint: Box<dyn FnOnce() -> Result<image::RgbImage> + Send> = match self.toy {
            Some(toy) => {
                // A stream of their own: reals of the plot are not those of training.
                let real = toys::batch(toy, self.config.train.seed, 0, u32::MAX, POINTS as usize);
                self.reports.set_modes(metrics::modes(toy, &values));
                Box::new(move || Ok(toys::plot(toy, &real, &values, PLOT)))
            }
            None => {
                let found = metrics::mean_distance(&values, self.trainer.settings().game.sample_elems());
                if let Some((found, spread)) = found.zip(self.spread) {
                    self.reports.set_diversity(found / spread);
                }
                let cells = self.config.sample.count;
                let shape = image_shape(&self.trainer, cells.cells());
                Box::new(move || grid::image(&values, shape, cells.columns, grid::Scale::Auto))
            }
        };
        self.pictures.draw(Drawing { step, path, paint })
    }

    /// Tells of the pictures that were written since the last call; with `waits`, of all that were handed over.
    fn note_pictures(&mut self, waits: bool, show: &mut dyn FnMut(Event)) -> Result<()> {
        while let Some(drawn) = self.pictures.collect(waits)? {
            let (width, height) = drawn.side;
            self.reports.image(drawn.step, Picture { png: &drawn.png, width, height, channels: 3 })?;
            show(Event::Note(format!("drew {}", drawn.path.display())));
        }
        Ok(())
    }

    /// Whether the checkpoint of this step is to be measured, and was not yet.
    fn measures(&self, end: u64) -> bool {
        let Some(measuring) = &self.measuring else { return false };
        let due = self.trainer.step() == end || self.is_due(measuring.every_kimg);
        due && !measuring.has(self.trainer.kimg())
    }

    /// Measures the checkpoint of this step and says what it means; whether the run is to end early.
    fn measure(&mut self, show: &mut dyn FnMut(Event)) -> Result<bool> {
        let (kimg, step) = (self.trainer.kimg(), self.trainer.step());
        let path = self.run.checkpoint(step * self.trainer.settings().game.batch as u64);
        let Some(measuring) = &mut self.measuring else { return Ok(false) };
        let from = Instant::now();
        let verdict = measuring.measure(&path, kimg)?;
        self.reports.measured(step, &verdict.measured)?;
        show(Event::Note(verdict.said));
        let stops = verdict.stop.is_some();
        verdict.alarm.into_iter().chain(verdict.stop).for_each(|text| show(Event::Note(text)));
        self.spent("measure a checkpoint", from);
        // What was measured is no time of training.
        self.reports.leave_out(from.elapsed());
        Ok(stops)
    }

    fn save(&mut self, mut state: Checkpoint) -> Result<PathBuf> {
        // Only where every run of this configuration saves: one that was stopped and goes on reports what an unbroken one does.
        let due = self.trainer.step() == 0 || self.is_due(self.config.checkpoint.every_kimg);
        if let Some(gap) = average_gap(&state).filter(|_| due) {
            self.reports.set_average_gap(gap);
        }
        self.reports.write(&mut state);
        let path = self.run.checkpoint(self.trainer.step() * self.trainer.settings().game.batch as u64);
        state.save(&path)?;
        checkpoint::mark_good(&path)?;
        checkpoint::prune(&self.run.checkpoints(), self.config.checkpoint.keep)?;
        Ok(path)
    }

    /// Goes back to the last good checkpoint with other random numbers. Gives up where the last roll-back went to the same one:
    /// a stretch of finite numbers that reached another checkpoint is worth a new attempt.
    fn roll_back(&mut self, problem: &str, show: &mut dyn FnMut(Event)) -> Result<()> {
        let folder = self.run.checkpoints();
        let path = match checkpoint::marked_good(&folder) {
            Some(path) => path,
            None => checkpoint::latest_good(&folder)?.path,
        };
        let state = Checkpoint::load(&path)?;
        let attempt = self.trainer.attempt();
        if self.rolled_back_to.as_ref() == Some(&path) {
            let (path, run) = (path.display(), self.run.root().display());
            return Err(Error::Training(format!(
                "{problem}, again after going back to {path}: go on from there by --resume {run} with a lower --set optim.lr=…"
            )));
        }
        show(Event::Note(format!("{problem}: going back to {} with other random numbers", path.display())));
        for (_, _, mut samples) in std::mem::take(&mut self.drawings) {
            self.trainer.poll_samples(&mut samples, true)?;
        }
        self.note_pictures(true, show)?;
        self.trainer.restore(&state, &path)?;
        self.trainer.next_attempt(attempt + 1);
        self.rolled_back_to = Some(path.clone());
        self.reports = Reports::resume(&self.run, &self.config, self.trainer.step(), &state, &path)?;
        let kimg = self.trainer.kimg();
        match &mut self.measuring {
            Some(measuring) => measuring.go_on(&self.run.metrics(), kimg),
            None => Ok(()),
        }
    }
}

/// Distance of averaged from trained weights, relative to the latter; `None` where nothing is averaged.
fn average_gap(state: &Checkpoint) -> Option<f64> {
    let (mut between, mut of_trained, mut any) = (0.0, 0.0, false);
    for averaged in &state.tensors {
        let Some(name) = averaged.name.strip_prefix("ema.") else { continue };
        let trained = state.tensor(name)?;
        let (Values::F32(averaged), Values::F32(trained)) = (&averaged.data, &trained.data) else { continue };
        for (a, t) in averaged.iter().zip(trained) {
            between += f64::from(a - t).powi(2);
            of_trained += f64::from(*t).powi(2);
        }
        any = true;
    }
    (any && of_trained > 0.0).then(|| (between / of_trained).sqrt())
}

/// [n, h, w, c] of `count` images of a trainer.
pub(super) fn image_shape(trainer: &Trainer, count: usize) -> [usize; 4] {
    let sample = &trainer.settings().game.sample;
    [count, sample[0], sample[1], sample[2]]
}
