//! Checkpoints measured while a run trains: when, what it means, and which of them is the best.
//!
//! A classifier is measured by its accuracy ([`Validation`]), a generator of images by features ([`Evaluation`]). What is measured is a
//! function of the checkpoint, so that a run that was killed and goes on leaves the same lines.

use super::checkpoint::{self, Checkpoint};
use super::evaluation::{EvalOptions, Evaluation};
use super::measurement::{self, Measurement, Measurements};
use super::validation::Validation;
use crate::Result;
use crate::config::{Config, DefenceKind, Task};
use crate::device::Device;
use std::path::Path;
use std::time::Instant;

/// A fall of robust accuracy by more than this, from one checkpoint to the next, is an alarm.
const FALL: f64 = 0.2;

enum Measurer {
    Classifier(Box<Validation>),
    Generator(Box<Evaluation>),
}

/// What measures the checkpoints of a run.
pub struct Measuring {
    measurer: Measurer,
    kept: Option<Measurements>,
    /// Whether robust accuracy decides which checkpoint is best.
    robust: bool,
    patience: u32,
    /// Thousands of images from one measurement to the next.
    pub(super) every_kimg: f64,
    /// One line on what it measures.
    pub about: String,
}

/// What a measurement means for a run.
pub(super) struct Verdict {
    /// The numbers.
    pub measured: Measurement,
    /// In words.
    pub said: String,
    /// A sentence on a fall of robust accuracy alone, where there is one.
    pub alarm: Option<String>,
    /// The sentence with which the run's patience ends, where it does.
    pub stop: Option<String>,
}

impl Measuring {
    /// Loads what a configuration measures by; `None` where it measures nothing. `progress` hears (done, total) while images are loaded.
    ///
    /// # Errors
    /// Data that can't be read; a device that fails.
    pub fn new(config: &Config, device: &Device, progress: &dyn Fn(usize, usize)) -> Result<Option<Measuring>> {
        if !Measuring::wanted(config) {
            return Ok(None);
        }
        let robust = config.defence.kind != DefenceKind::None;
        let (measurer, about, every_kimg) = match config.train.task {
            Task::Classifier => {
                let Some(validation) = Validation::new(config, device)? else { return Ok(None) };
                let about = validation.about.clone();
                (Measurer::Classifier(Box::new(validation)), about, config.checkpoint.every_kimg)
            }
            Task::Gan => {
                let options = EvalOptions {
                    metrics: config.eval.metrics.clone(),
                    samples: config.eval.samples,
                    data: None,
                };
                let evaluation = Evaluation::new(config, &options, device, progress)?;
                let about = evaluation.about();
                (Measurer::Generator(Box::new(evaluation)), about, config.eval.every_kimg)
            }
        };
        let patience = config.validate.patience;
        Ok(Some(Measuring { measurer, kept: None, robust, patience, every_kimg, about }))
    }

    /// Whether a configuration measures anything.
    pub fn wanted(config: &Config) -> bool {
        match config.train.task {
            Task::Classifier => config.validate.count > 0,
            Task::Gan => config.eval.every_kimg > 0.0 && config.data.source.is_images(),
        }
    }

    /// Whether the file `metrics.jsonl` at `file` tells of a checkpoint after so many thousand images.
    ///
    /// # Errors
    /// A file that can't be read or holds something else.
    pub fn has_measured(file: &Path, kimg: f64) -> Result<bool> {
        Ok(measurement::read(file)?.iter().any(|measured| measured.kimg == kimg))
    }

    /// Takes what the run has measured up to `kimg` thousand images; what came later is forgotten.
    ///
    /// # Errors
    /// As [`Measurements::go_on`].
    pub(super) fn go_on(&mut self, file: &Path, kimg: f64) -> Result<()> {
        self.kept = Some(Measurements::go_on(file, kimg)?);
        Ok(())
    }

    /// Whether the checkpoint after so many thousand images has been measured.
    pub(super) fn has(&self, kimg: f64) -> bool {
        self.kept.as_ref().is_some_and(|kept| kept.has(kimg))
    }

    /// Measures a checkpoint, marks it where it is the best so far, and keeps the numbers; `place` is its file.
    ///
    /// # Errors
    /// A device or a disk that fails.
    pub(super) fn measure(&mut self, place: &Path, kimg: f64) -> Result<Verdict> {
        let (state, from) = (Checkpoint::load(place)?, Instant::now());
        let mut measured = match &mut self.measurer {
            Measurer::Classifier(validation) => validation.measure(&state, place)?,
            Measurer::Generator(evaluation) => evaluation.measure(&state, place)?,
        };
        (measured.kimg, measured.seconds) = (kimg, from.elapsed().as_secs_f64());
        let history = self.kept.as_ref().map_or(&[][..], |kept| &kept.all);
        let score = self.score(&measured);
        let best = score.is_some() && history.iter().all(|earlier| self.score(earlier) < score);
        let alarm = history.last().and_then(|last| self.alarm(last, &measured));
        // What is only as good as the first best is no better.
        let scores: Vec<Option<f64>> = history.iter().chain([&measured]).map(|m| self.score(m)).collect();
        let top = scores.iter().flatten().copied().fold(f64::MIN, f64::max);
        let first = scores.iter().position(|score| score.is_some_and(|score| score >= top)).unwrap_or(0);
        let (since, patience) = (scores.len() - 1 - first, self.patience);
        let stop = (patience > 0 && since >= patience as usize)
            .then(|| format!("no better checkpoint for {patience} in a row: stopped early; the best is kept"));
        let said = self.said(&measured, best);
        // A run that is killed here measures again, and marks again.
        if best {
            checkpoint::mark_best(place)?;
        }
        if let Some(kept) = &mut self.kept {
            kept.add(measured.clone())?;
        }
        Ok(Verdict { measured, said, alarm, stop })
    }

    /// What decides which checkpoint is best: the larger the better.
    fn score(&self, measured: &Measurement) -> Option<f64> {
        match &self.measurer {
            Measurer::Classifier(_) => if self.robust { measured.robust } else { measured.clean },
            Measurer::Generator(_) => measured.fd.or(measured.kid).map(|distance| -distance),
        }
    }

    fn said(&self, measured: &Measurement, best: bool) -> String {
        let best = if best { ", the best so far" } else { "" };
        match &self.measurer {
            Measurer::Classifier(_) => {
                let [clean, robust] = [measured.clean, measured.robust].map(|share| 100.0 * share.unwrap_or(0.0));
                format!("measured: clean {clean:.2} %, robust {robust:.2} %{best}")
            }
            Measurer::Generator(evaluation) => format!("measured: {}{best}", evaluation.said(measured)),
        }
    }

    /// The sentence on catastrophic overfitting (Wong 2020): a fall of robust accuracy that clean accuracy does not share.
    fn alarm(&self, last: &Measurement, now: &Measurement) -> Option<String> {
        let fell = self.robust && last.robust? - now.robust? > FALL && now.clean? > last.clean? - FALL;
        let (from, to) = (100.0 * last.robust?, 100.0 * now.robust?);
        fell.then(|| {
            format!(
                "ALARM: robust accuracy fell from {from:.1} to {to:.1} % while clean accuracy stayed (catastrophic overfitting): start \
                 again from the best checkpoint with a smaller attack.alpha or optim.lr, or with defence.kind=pgd"
            )
        })
    }
}
