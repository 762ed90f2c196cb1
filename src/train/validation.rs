//! Checkpoints of a classifier, or of a GAN whose discriminator tells classes (Rob-GAN), measured on images it does not learn from:
//! clean accuracy, and what PGD leaves of it.
//!
//! The best checkpoint is the one of highest robust accuracy (clean accuracy where nothing withstands attacks).

use super::attacker::{Attacker, Judge};
use super::checkpoint::Checkpoint;
use super::feed::Feed;
use super::games;
use super::measurement::Measurement;
use crate::attack::{AttackOptions, named};
use crate::config::{AdversaryKind, Config, DataSource, Task};
use crate::data::{self, DataSet, Spec, Split};
use crate::device::Device;
use crate::{Error, Result};
use std::path::Path;

/// Images at once.
const BATCH: usize = 128;
/// A classifier's images to measure checkpoints by, and the attack.
pub struct Validation {
    judge: Judge,
    attacker: Attacker,
    images: Vec<f32>,
    labels: Vec<u32>,
    eps: f64,
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
        if !Validation::wanted(config) {
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
        let eps = match config.train.task {
            Task::Gan => config.adversary().eps,
            Task::Classifier => config.attack.radius(),
        };
        Ok(Some(Validation { judge, attacker, images, labels, eps, about }))
    }

    /// Whether a configuration has classes told, and measured.
    pub(super) fn wanted(config: &Config) -> bool {
        let tells = config.train.task == Task::Classifier || config.adversary().kind == AdversaryKind::RobGan;
        tells && config.validate.count > 0
    }

    /// Measures a checkpoint; `place` is its file.
    ///
    /// # Errors
    /// A device that fails.
    pub fn measure(&mut self, state: &Checkpoint, place: &Path) -> Result<Measurement> {
        self.judge.load(state, place)?;
        self.attacker.load(state, place)?;
        self.attacker.rewind();
        let said = self.judge.classes(&self.images)?;
        let right: Vec<bool> = said.iter().zip(&self.labels).map(|(said, label)| said == label).collect();
        let found = self.attacker.run(&self.images, &self.labels, None, self.eps, &mut |_| true)?;
        let standing = right.iter().zip(&found.fooled).filter(|(right, fooled)| **right && !**fooled).count();
        let share = |count: usize| Some(count as f64 / self.labels.len() as f64);
        let clean = share(right.iter().filter(|right| **right).count());
        Ok(Measurement { clean, robust: share(standing), ..Measurement::default() })
    }
}

/// Images that the run does not learn from, and what they are: another population of built-in faces, the test part of a set that
/// comes divided; of any other set the images of the run itself, which is said.
fn held_out(config: &Config) -> Result<(DataSet, &'static str)> {
    let d = &config.data;
    let source = Feed::held_out(config, config.validate.count)?;
    let load =
        |split| data::load(&Spec { channels: d.channels, split, ..Spec::new(source.clone(), d.size) }, &|_, _| {});
    if d.source == DataSource::Faces {
        return Ok((load(Split::Train)?, "another population"));
    }
    match load(Split::Test) {
        Ok(set) => Ok((set, "the test part")),
        // What is wrong with the set as such is said by the second try.
        Err(_) => Ok((load(Split::Train)?, "the set it learns from")),
    }
}
