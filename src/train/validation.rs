//! Checkpoints of a classifier, measured on images it does not learn from: clean accuracy, and what PGD leaves of it.
//!
//! The best checkpoint is the one of highest robust accuracy (clean accuracy where nothing withstands attacks); it is kept, and used
//! unless another is asked for. A fall of robust accuracy that clean accuracy does not share is catastrophic overfitting (Wong 2020).

use super::attacker::{Attacker, Judge};
use super::checkpoint::Checkpoint;
use super::games;
use crate::attack::{AttackOptions, named};
use crate::config::{Config, DataSource, DefenceKind, Task};
use crate::data::{self, DataSet, Spec, Split};
use crate::device::Device;
use crate::{Error, Result, files};
use serde::{Deserialize, Serialize};
use std::path::Path;

/// Images at once.
const BATCH: usize = 128;
/// A fall of robust accuracy by more than this, from one checkpoint to the next, is an alarm.
const FALL: f64 = 0.2;

/// What was measured of a checkpoint.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Measured {
    /// Thousands of images it has learned from.
    pub kimg: f64,
    /// Share of the images it gets right.
    pub clean: f64,
    /// Share that it still gets right under PGD.
    pub robust: f64,
}

/// A classifier's images to measure checkpoints by, and the attack.
pub struct Validation {
    judge: Judge,
    attacker: Attacker,
    images: Vec<f32>,
    labels: Vec<u32>,
    eps: f64,
    /// Whether robust accuracy decides which checkpoint is best.
    robust: bool,
    patience: u32,
    /// What was measured so far, in order.
    history: Vec<Measured>,
    /// One line on what it measures.
    pub about: String,
}

impl Validation {
    /// Loads images and models; `None` where a configuration measures nothing.
    ///
    /// # Errors
    /// Data that can't be read; a device that fails.
    pub fn new(config: &Config, device: &Device) -> Result<Option<Validation>> {
        let v = &config.validate;
        if v.count == 0 || config.train.task != Task::Classifier {
            return Ok(None);
        }
        let Some(victim) = games::victim_of(config)? else { return Ok(None) };
        let (set, part) = held_out(config)?;
        let Some(all) = &set.labels else { return Err(Error::data(&set.name, "its images have no labels")) };
        let count = set.count.min(v.count);
        let (images, labels) = ((0..count).flat_map(|k| data::floats(set.image(k))).collect(), all[..count].to_vec());
        let (sample, classes) = (victim.sample.clone(), victim.classes());
        let options = AttackOptions { steps: Some(v.steps), classes, sample, ..AttackOptions::default() };
        let batch = BATCH.min(count);
        let attacker = Attacker::new(named("pgd", &options)?, &victim, batch, false, 0, device)?;
        let judge = Judge::new(&victim, batch, device)?;
        let about = format!("checkpoints are measured on {count} images of {part}, clean and by PGD-{}", v.steps);
        let (eps, robust) = (config.attack.radius(), config.defence.kind != DefenceKind::None);
        Ok(Some(Validation {
            judge,
            attacker,
            images,
            labels,
            eps,
            robust,
            patience: v.patience,
            history: vec![],
            about,
        }))
    }

    /// Takes what the run has measured up to `kimg` thousand images; what came later is forgotten.
    ///
    /// # Errors
    /// A file that can't be read.
    pub(super) fn go_on(&mut self, file: &Path, kimg: f64) -> Result<()> {
        self.history = if file.exists() {
            let text = std::fs::read_to_string(file).map_err(Error::io(file, "reading what was measured"))?;
            serde_json::from_str(&text).map_err(|e| Error::checkpoint(file, format!("is damaged ({e}): remove it")))?
        } else {
            vec![]
        };
        self.history.retain(|measured| measured.kimg <= kimg);
        Ok(())
    }

    /// Keeps what was measured.
    ///
    /// # Errors
    /// A disk that fails.
    pub(super) fn keep(&self, file: &Path) -> Result<()> {
        let text = serde_json::to_string_pretty(&self.history).map_err(|e| Error::Training(e.to_string()))?;
        files::write(file, "keeping what was measured", text.as_bytes())
    }

    /// Measures a checkpoint; `place` is its file.
    ///
    /// # Errors
    /// A device that fails.
    pub fn measure(&mut self, state: &Checkpoint, place: &Path, kimg: f64) -> Result<Verdict> {
        self.judge.load(state, place)?;
        self.attacker.load(state, place)?;
        self.attacker.rewind();
        let said = self.judge.classes(&self.images)?;
        let right: Vec<bool> = said.iter().zip(&self.labels).map(|(said, label)| said == label).collect();
        let found = self.attacker.run(&self.images, &self.labels, None, self.eps, &mut |_| true)?;
        let standing = right.iter().zip(&found.fooled).filter(|(right, fooled)| **right && !**fooled).count();
        let share = |count: usize| count as f64 / self.labels.len() as f64;
        let clean = share(right.iter().filter(|right| **right).count());
        let measured = Measured { kimg, clean, robust: share(standing) };
        let last = self.history.last().copied();
        let best = self.history.iter().all(|earlier| self.score(earlier) < self.score(&measured));
        self.history.push(measured);
        // What is only as good as the first best is no better.
        let first = self.history.iter().position(|m| self.score(m) >= self.top()).unwrap_or(0);
        let since = self.history.len() - 1 - first;
        let stop = self.patience > 0 && since >= self.patience as usize;
        let alarm = last
            .filter(|last| self.robust && last.robust - measured.robust > FALL && measured.clean > last.clean - FALL);
        Ok(Verdict { measured, best, stop, alarm: alarm.map(|last| last.robust) })
    }

    fn score(&self, measured: &Measured) -> f64 {
        if self.robust { measured.robust } else { measured.clean }
    }

    fn top(&self) -> f64 {
        self.history.iter().map(|m| self.score(m)).fold(f64::MIN, f64::max)
    }
}

/// What a measurement means for a run.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Verdict {
    /// The numbers.
    pub measured: Measured,
    /// Whether no checkpoint before was as good.
    pub best: bool,
    /// Whether the run's patience is at its end.
    pub stop: bool,
    /// The robust accuracy from which it fell, where it fell alone.
    pub alarm: Option<f64>,
}

/// Images that the run does not learn from, and what they are: another population of built-in faces, the test part of a set that
/// comes divided; of any other set the images of the run itself, which is said.
fn held_out(config: &Config) -> Result<(DataSet, &'static str)> {
    let d = &config.data;
    let spec = |source, split| Spec { channels: d.channels, split, ..Spec::new(source, d.size) };
    let quiet = &|_, _| {};
    match (d.source, &d.path) {
        (DataSource::Faces, _) => {
            let (seed, count, label) = (d.seed.wrapping_add(1), config.validate.count, d.label.clone());
            Ok((
                data::load(&spec(data::Source::Faces { seed, count, label }, Split::Train), quiet)?,
                "another population",
            ))
        }
        (_, Some(path)) => {
            let source = data::Source::Path(path.clone());
            match data::load(&spec(source.clone(), Split::Test), quiet) {
                Ok(set) => Ok((set, "the test part")),
                // What is wrong with the set as such is said by the second try.
                Err(_) => Ok((data::load(&spec(source, Split::Train), quiet)?, "the set it learns from")),
            }
        }
        (_, None) => Err(Error::setting(config.place("data.path"), "data.path", "is not set", "give --data PATH")),
    }
}
