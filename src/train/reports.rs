//! From rows of the log to reports: sums over an interval, `stats.jsonl` and event files, and whether numbers are finite.

use super::alarms::Alarms;
use super::checkpoint::{Checkpoint, Values};
use super::game::Player;
use super::measurement::Measurement;
use super::run_folder::RunFolder;
use super::session::Event;
use super::stats::{self, Report, StatsLog};
use super::sums::Sums;
use super::tensorboard::{EventWriter, Picture};
use super::trainer::{LogRow, Logged, Trainer};
use crate::config::Config;
use crate::metrics::Modes;
use crate::{Error, Result};
use std::collections::HashMap;
use std::path::Path;
use std::time::{Duration, Instant};

/// Steps left out in a row before a run ends: the scale of losses has then fallen below any use.
const MOST_LEFT_OUT: u64 = 200;

/// The reports of a run.
pub(super) struct Reports {
    stats: StatsLog,
    events: EventWriter,
    sums: Sums,
    /// Gradients that were not finite when training last (re)started.
    known_nonfinite: u64,
    /// By network, where losses are scaled: steps left out so far, and the last step that was not.
    left_out: HashMap<String, (f32, u64)>,
    alarms: Alarms,
    /// Time and step at the last report.
    clock: (Instant, u64),
}

impl Reports {
    /// Those of a new run.
    pub fn create(run: &RunFolder, config: &Config) -> Result<Reports> {
        let (stats, events) = (StatsLog::create(&run.stats())?, EventWriter::create(run.root())?);
        Ok(Reports {
            stats,
            events,
            sums: Sums::default(),
            known_nonfinite: 0,
            left_out: HashMap::new(),
            alarms: Alarms::new(config),
            clock: (Instant::now(), 0),
        })
    }

    /// Those of a run that goes on at `step` from a checkpoint; what was reported after it is dropped.
    ///
    /// # Errors
    /// A checkpoint that is not of a run; files that can't be read or written.
    pub fn resume(run: &RunFolder, config: &Config, step: u64, state: &Checkpoint, place: &Path) -> Result<Reports> {
        let stats = StatsLog::resume(&run.stats(), step)?;
        let mut alarms = Alarms::new(config);
        stats::read(&run.stats())?.iter().for_each(|report| drop(alarms.watch(report)));
        Ok(Reports {
            sums: Sums::read(state, place)?,
            stats,
            events: EventWriter::resume(run.root(), step)?,
            known_nonfinite: nonfinite(state),
            left_out: HashMap::new(),
            alarms,
            clock: (Instant::now(), step),
        })
    }

    /// Counts the time of the next report from now on.
    pub fn restart_clock(&mut self, step: u64) {
        self.clock = (Instant::now(), step);
    }

    /// What the next report says of the last plot.
    pub fn set_modes(&mut self, modes: Modes) {
        self.sums.modes = Some(modes);
    }

    /// What the next report says of the diversity of the last samples, as a share of the reals'.
    pub fn set_diversity(&mut self, diversity: f64) {
        self.sums.diversity = Some(diversity);
    }

    /// What the next report says of the distance of averaged from trained weights, relative to the latter.
    pub fn set_average_gap(&mut self, gap: f64) {
        self.sums.average_gap = Some(gap);
    }

    /// Adds a picture to the event file.
    pub fn image(&mut self, step: u64, picture: Picture) -> Result<()> {
        self.events.image(step, "samples", picture)
    }

    /// Adds what was measured of a checkpoint to the event file.
    pub fn measured(&mut self, step: u64, measured: &Measurement) -> Result<()> {
        self.events.scalars(step, measured.tagged())
    }

    /// Leaves a time out of the speed of the next report.
    pub fn leave_out(&mut self, time: Duration) {
        self.clock.0 += time;
    }

    /// Adds what the next report is made of to a checkpoint.
    pub fn write(&self, state: &mut Checkpoint) {
        self.sums.write(state);
    }

    /// Adds rows to the sums and reports where an interval is complete. Returns what is wrong with the numbers, if anything.
    pub fn take_rows(
        &mut self,
        trainer: &Trainer,
        logged: &Logged,
        end: u64,
        show: &mut dyn FnMut(Event),
    ) -> Result<Option<String>> {
        let every = trainer.settings().log_every as u64;
        let total: u64 = logged.nonfinite.iter().map(|(_, n)| u64::from(*n)).sum();
        let problem = problem(trainer, logged, total > self.known_nonfinite);
        if problem.is_some() {
            return Ok(problem);
        }
        if let Some(reason) = self.stuck(trainer.log_names(), &logged.rows) {
            return Err(Error::Training(reason));
        }
        for row in &logged.rows {
            self.sums.values.resize(row.values.len(), 0.0);
            self.sums.values.iter_mut().zip(&row.values).for_each(|(sum, v)| *sum += f64::from(*v));
            self.sums.count += 1;
            let done = row.step + 1;
            if done.is_multiple_of(every) || done == end {
                self.report(trainer, row, end, total, show)?;
            }
        }
        Ok(None)
    }

    /// The sentence that ends a run in which every step has been left out for a long time: a scale of losses that falls cures
    /// gradients that overflow, not activations that do.
    fn stuck(&mut self, names: &[String], rows: &[LogRow]) -> Option<String> {
        for row in rows {
            for (name, &now) in names.iter().zip(&row.values).filter(|(name, _)| name.ends_with("_steps_left_out")) {
                let (known, good) = self.left_out.entry(name.clone()).or_insert((now, row.step));
                if now <= *known {
                    *good = row.step;
                }
                *known = now;
                if row.step - *good >= MOST_LEFT_OUT {
                    let since = *good + 1;
                    return Some(format!(
                        "{name}: every step since {since} was left out, so that activations, not gradients, overflow in 16 bits: \
                         start again with train.precision=f32, or a lower optim.lr"
                    ));
                }
            }
        }
        None
    }

    fn report(
        &mut self,
        trainer: &Trainer,
        last: &LogRow,
        end: u64,
        nonfinite: u64,
        show: &mut dyn FnMut(Event),
    ) -> Result<()> {
        let step = last.step + 1;
        let (values, count) = (std::mem::take(&mut self.sums.values), std::mem::take(&mut self.sums.count));
        let names = trainer.log_names();
        let mut report = Report { step, kimg: trainer.settings().kimg_at(step), nonfinite, ..Report::default() };
        for ((name, sum), &now) in names.iter().zip(values).zip(&last.values) {
            // Means over the interval, but for what counts up.
            let value = if name.ends_with("_steps_left_out") { f64::from(now) } else { sum / count as f64 };
            // The device logs squares.
            let value = if name.ends_with("_grad_norm") { value.sqrt() } else { value };
            report.scalars.insert(name.clone(), value);
        }
        if let Some(modes) = &self.sums.modes {
            report.scalars.insert("modes".into(), modes.covered as f64);
            report.scalars.insert("high_quality".into(), modes.high_quality);
        }
        let measured = [("diversity", self.sums.diversity), ("average_gap", self.sums.average_gap)];
        report.scalars.extend(measured.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))));
        let batch = trainer.settings().game.batch as f64;
        let seconds = self.clock.0.elapsed().as_secs_f64().max(1e-9);
        let images = step.saturating_sub(self.clock.1).max(1) as f64 * batch;
        report.img_per_s = images / seconds;
        report.sec_per_kimg = 1000.0 * seconds / images;
        report.eta = (end - step) as f64 * batch / report.img_per_s;
        report.memory = trainer.assembly().bytes();
        self.clock = (Instant::now(), step);
        self.stats.append(&report)?;
        let scalars = report.tagged();
        self.events.scalars(step, scalars.iter().map(|(tag, value)| (tag.as_str(), *value)))?;
        show(Event::Report(&report));
        for alarm in self.alarms.watch(&report) {
            show(Event::Note(format!("ALARM: {}", alarm.text)));
        }
        Ok(())
    }
}

/// Where numbers first were not finite. `counted`: gradients were met that are not.
fn problem(trainer: &Trainer, logged: &Logged, counted: bool) -> Option<String> {
    let names = trainer.log_names();
    let broken = |row: &LogRow| {
        let found = names.iter().zip(&row.values).filter(|(_, v)| !v.is_finite());
        // Of several, the one that is logged first in an iteration.
        let (name, value) = found.min_by_key(|(name, _)| trainer.phase_of(name))?;
        Some((row.step, name.clone(), *value))
    };
    let first = logged.rows.iter().find_map(broken);
    let step = match &first {
        Some((step, ..)) => *step,
        None if counted => logged.rows.last().map_or(0, |row| row.step),
        None => return None,
    };
    let network = first.as_ref().and_then(|(_, name, _)| trainer.network_of(name));
    let of =
        |tensor: &str, player: &Player| tensor.strip_prefix(player.name.as_str()).is_some_and(|t| t.starts_with('.'));
    let tensor = logged.nonfinite.iter().find(|(tensor, _)| counted && network.is_none_or(|n| of(tensor, n)));
    Some(match (tensor, first) {
        (Some((tensor, _)), _) => {
            let title = trainer.settings().game.networks.iter().find(|n| of(tensor, n)).map_or("", |n| &n.title);
            format!("the gradient of {tensor} is not finite in the {title} step, at step {step}")
        }
        (None, Some((_, name, value))) => {
            let place = network.map_or(String::new(), |n| format!(" in the {} step", n.title));
            format!("{name} is {value}{place}, at step {step}")
        }
        (None, None) => format!("gradients are not finite, at step {step} or before"),
    })
}

/// Gradients that were not finite up to a checkpoint.
fn nonfinite(state: &Checkpoint) -> u64 {
    let counters = state.tensors.iter().filter(|t| t.name.starts_with("nonfinite."));
    let counts = counters.filter_map(|t| match &t.data {
        Values::U32(counts) => Some(counts.iter().map(|&n| u64::from(n)).sum::<u64>()),
        Values::F32(_) => None,
    });
    counts.sum()
}

/// What is not finite in a state that is about to be saved: the last weight update of all is in no log.
pub(super) fn not_finite(trainer: &Trainer, state: &Checkpoint) -> Option<String> {
    let broken = |values: &Values| matches!(values, Values::F32(v) if v.iter().any(|x| !x.is_finite()));
    let name = &state.tensors.iter().find(|t| broken(&t.data))?.name;
    let owner = trainer.settings().game.networks.iter().find(|n| name.split('.').any(|part| *part == n.name));
    let after = owner.map_or(String::new(), |n| format!(" after the {} step", n.title));
    Some(format!("{name} is not finite{after}, at step {}", trainer.step().saturating_sub(1)))
}
