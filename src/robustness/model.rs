//! A trained model under attack: its network, its weights, and what it says of images.

use crate::attack::{Attack, AttackOptions};
use crate::config::{Config, Task};
use crate::device::Device;
use crate::train::checkpoint::{self, Checkpoint};
use crate::train::games::{self, Victim};
use crate::train::run_folder::RunFolder;
use crate::train::{Attacker, Judge};
use crate::{Error, Result};
use std::path::{Path, PathBuf};

/// The classifier of a run, alone or in a discriminator that tells classes too, or a discriminator, which tells reals (class 1) from fakes
/// by the sign of one logit.
pub struct TrainedModel {
    /// What tables call it: the name of the run's folder.
    pub name: String,
    /// Its configuration.
    pub config: Config,
    /// Its network.
    pub victim: Victim,
    /// Sentences about checkpoints that were passed over.
    pub warnings: Vec<String>,
    checkpoint: Checkpoint,
    place: PathBuf,
}

impl TrainedModel {
    /// The model of a run, by a checkpoint as `danskin sample` finds it, or the newest.
    ///
    /// # Errors
    /// A folder that is no run; a checkpoint that is not there; a run whose game has nothing to attack.
    pub fn open(run: &Path, asked: Option<&str>) -> Result<TrainedModel> {
        let folder = RunFolder::open(run)?;
        let config = Config::read(&folder.config())?;
        let latest = match asked {
            Some(asked) => checkpoint::find(&folder.checkpoints(), asked)?,
            None => checkpoint::best_or_latest(&folder.checkpoints())?,
        };
        let Some(victim) = games::victim_of(&config)? else {
            let hint = "this run holds neither a classifier nor a discriminator of images: there is nothing to attack";
            return Err(Error::setting(run.display().to_string(), "train.task", config.train.task.name(), hint));
        };
        let name =
            run.file_name().map_or_else(|| run.display().to_string(), |name| name.to_string_lossy().into_owned());
        let (warnings, checkpoint, place) = (latest.warnings, latest.checkpoint, latest.path);
        Ok(TrainedModel { name, config, victim, warnings, checkpoint, place })
    }

    /// Logits of an image.
    pub fn classes(&self) -> usize {
        self.victim.classes()
    }

    /// The label of every image where the model needs none: a discriminator should call reals real.
    pub fn only_class(&self) -> Option<u32> {
        (self.config.train.task == Task::Gan && self.classes() == 1).then_some(1)
    }

    /// AttackOptions of attacks on it, all at the attack's own defaults.
    pub fn options(&self) -> AttackOptions {
        AttackOptions { classes: self.classes(), sample: self.victim.sample.clone(), ..AttackOptions::default() }
    }

    /// An attack on it, loaded on a device.
    ///
    /// # Errors
    /// A checkpoint of another model; a device that fails.
    pub fn attacker(
        &self,
        attack: Attack,
        batch: usize,
        targeted: bool,
        seed: u64,
        device: &Device,
    ) -> Result<Attacker> {
        let mut attacker = Attacker::new(attack, &self.victim, batch, targeted, seed, device)?;
        attacker.load(&self.checkpoint, &self.place)?;
        Ok(attacker)
    }

    /// The model alone, loaded on a device.
    ///
    /// # Errors
    /// As [`TrainedModel::attacker`].
    pub fn judge(&self, batch: usize, device: &Device) -> Result<Judge> {
        let mut judge = Judge::new(&self.victim, batch, device)?;
        judge.load(&self.checkpoint, &self.place)?;
        Ok(judge)
    }
}
