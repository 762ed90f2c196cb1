//! Attacks one after another on the same images, and what is left of the accuracy.

use super::examples::Examples;
use super::model::TrainedModel;
use super::store::Store;
use crate::attack::{Attack, AttackOptions, Ball, Norm, named};
use crate::device::Device;
use crate::train::{Attacker, Judge};
use crate::{Error, Result};
use std::time::Instant;

/// The ensemble that may be called AutoAttack (Croce & Hein 2020), in its order: each attacks what those before it left standing.
pub const AUTO: [&str; 4] = ["apgd-ce", "apgd-t", "fab-t", "square"];

/// What one attack found.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Trial {
    /// The attack's name.
    pub attack: String,
    /// The best examples it met, like the images; the image itself where it was not attacked.
    pub adversarial: Vec<f32>,
    /// What the model says of them.
    pub predicted: Vec<u32>,
    /// Which images the model gets right and still does: those that were not attacked count as they stood.
    pub robust: Vec<bool>,
    /// How many were attacked.
    pub attacked: usize,
    /// Size of the change of each example in the norm of the evaluation.
    pub sizes: Vec<f32>,
    /// Seconds of the device and everything around it.
    pub seconds: f64,
    /// Passes through the model that one image costs: (forward, backward).
    pub passes: (u64, u64),
    /// Submissions to the device.
    pub submissions: u64,
    /// Whether every image was attacked before it was stopped.
    pub complete: bool,
}

impl Trial {
    /// Share of all images that are still right.
    pub fn accuracy(&self) -> f64 {
        share(&self.robust)
    }
}

/// Share that is true.
pub(super) fn share(of: &[bool]) -> f64 {
    of.iter().filter(|is| **is).count() as f64 / of.len().max(1) as f64
}

/// One model, its images, and where attacks on them run.
pub struct Suite<'a> {
    model: &'a TrainedModel,
    examples: &'a Examples,
    device: &'a Device,
    judge: Judge,
    /// What the model says of the images as they are.
    pub predicted: Vec<u32>,
    /// Which of them it gets right.
    pub clean: Vec<bool>,
    /// Radius of the ball, in units of the images, and its norm.
    pub eps: f64,
    /// The norm of the ball.
    pub norm: Norm,
    /// What attacks are told.
    pub options: AttackOptions,
    /// Images per batch.
    pub batch: usize,
    /// Seed of random numbers.
    pub seed: u64,
    /// Classes that targeted attacks go for, one per image.
    pub target: Option<Vec<u32>>,
}

/// Hears (attack, images done with a share of those under way, images in all) and says whether to go on.
pub type AttackListener<'p> = &'p mut dyn FnMut(&str, f64, usize) -> bool;

impl<'a> Suite<'a> {
    /// Looks at all images as they are.
    ///
    /// # Errors
    /// Images of other extents than the model's; a device that fails.
    pub fn new(model: &'a TrainedModel, examples: &'a Examples, device: &'a Device, batch: usize) -> Result<Suite<'a>> {
        if examples.sample != model.victim.sample {
            let (found, wanted) = (&examples.sample, &model.victim.sample);
            let hint = format!("the model wants {wanted:?}: give images of that size");
            return Err(Error::setting(&model.name, "images", format!("{found:?}"), hint));
        }
        if examples.is_empty() {
            return Err(Error::setting(&model.name, "images", 0, "there is nothing to attack"));
        }
        let batch = batch.clamp(1, examples.len());
        let mut judge = model.judge(batch, device)?;
        let predicted = judge.classes(&examples.images)?;
        let clean = predicted.iter().zip(&examples.labels).map(|(said, label)| said == label).collect();
        let options = model.options();
        let (eps, norm, seed, target) = (0.0, Norm::Inf, 0, None);
        Ok(Suite { model, examples, device, judge, predicted, clean, eps, norm, options, batch, seed, target })
    }

    /// Lets attacks go for a class: its number, or `least-likely`. Images that are of it already are left alone.
    ///
    /// # Errors
    /// A class that the model does not know; a device that fails.
    pub fn aim(&mut self, text: &str) -> Result<()> {
        let (classes, rows) = (self.model.classes(), self.examples.len());
        let target = match text {
            "least-likely" => {
                let logits = self.logits(&self.examples.images)?;
                let least = |row: &[f32]| (0..row.len()).min_by(|&a, &b| row[a].total_cmp(&row[b])).unwrap_or(0) as u32;
                logits.chunks(classes).map(least).collect()
            }
            number => match number.parse::<u32>() {
                Ok(class) if (class as usize) < classes => vec![class; rows],
                _ => {
                    let hint = format!("must be a class from 0 to {}, or least-likely", classes.max(1) - 1);
                    return Err(Error::setting("command line", "--target", text, hint));
                }
            },
        };
        for (clean, (target, label)) in self.clean.iter_mut().zip(target.iter().zip(&self.examples.labels)) {
            *clean &= target != label;
        }
        self.target = Some(target);
        Ok(())
    }

    /// Share of the images that the model gets right as they are.
    pub fn accuracy(&self) -> f64 {
        share(&self.clean)
    }

    /// The attack of a name, with the options of this suite.
    ///
    /// # Errors
    /// Those of [`named`]; one whose ball has another norm.
    pub fn attack(&self, name: &str) -> Result<Attack> {
        let options = AttackOptions { norm: Some(self.norm), targeted: self.target.is_some(), ..self.options.clone() };
        named(name, &options)
    }

    /// Runs an attack on the images that `standing` names as right so far; `store` keeps what was found, and knows what an
    /// interrupted evaluation found already.
    ///
    /// # Errors
    /// An attack that leaves the ball or the box, which would be a defect of this program; a device or a disk that fails.
    pub fn run(
        &mut self,
        name: &str,
        standing: &[bool],
        store: Option<&Store>,
        progress: AttackListener,
    ) -> Result<Trial> {
        let known = store.map(|store| store.read(name, self.examples)).transpose()?.flatten();
        if let Some(trial) = known.as_ref().filter(|trial| trial.complete) {
            return Ok(trial.clone());
        }
        let mut attacker = self.attacker(self.attack(name)?)?;
        let trial = self.go_on(&mut attacker, standing, known, progress)?;
        store.map(|store| store.write(&trial, self.examples)).transpose()?;
        Ok(trial)
    }

    /// An attack on this suite's model, loaded.
    ///
    /// # Errors
    /// A device that fails.
    pub fn attacker(&self, attack: Attack) -> Result<Attacker> {
        self.model.attacker(attack, self.batch, self.target.is_some(), self.seed, self.device)
    }

    /// Runs an attack that is loaded.
    ///
    /// # Errors
    /// As [`Suite::run`].
    pub fn run_on(&mut self, attacker: &mut Attacker, standing: &[bool], progress: AttackListener) -> Result<Trial> {
        self.go_on(attacker, standing, None, progress)
    }

    /// Runs an attack on what is standing and was not attacked when it was stopped.
    fn go_on(
        &mut self,
        attacker: &mut Attacker,
        standing: &[bool],
        known: Option<Trial>,
        progress: AttackListener,
    ) -> Result<Trial> {
        let (name, ball) = (attacker.attack().name, attacker.attack().ball);
        let all: Vec<usize> = (0..self.examples.len()).filter(|&k| standing[k]).collect();
        let mut trial = known.unwrap_or_else(|| Trial {
            attack: name.into(),
            adversarial: self.examples.images.clone(),
            predicted: self.predicted.clone(),
            robust: standing.to_vec(),
            sizes: vec![0.0; self.examples.len()],
            ..Trial::default()
        });
        // Batches have random numbers of their own: it goes on with those of the next one.
        let done_before = trial.attacked.min(all.len());
        attacker.skip(done_before / self.batch);
        let numbers = &all[done_before..];
        let (picked, elems) = (self.examples.pick(numbers), self.examples.elems());
        let target = self.target.as_ref().map(|target| numbers.iter().map(|&k| target[k]).collect::<Vec<u32>>());
        let (from, before) = (Instant::now(), attacker.submissions());
        let total = all.len();
        let go_on = &mut |done: f64| progress(name, done_before as f64 + done, total);
        let found = attacker.run_watched(&picked.images, &picked.labels, target.as_deref(), self.eps, go_on)?;
        trial.attacked = done_before + found.fooled.len();
        trial.seconds += from.elapsed().as_secs_f64();
        trial.passes = attacker.passes();
        trial.submissions += attacker.submissions() - before;
        trial.complete = trial.attacked == total;
        // What counts is what the model says of the example that is there, and how far it is from the image.
        let said = self.judge.classes(&found.adversarial)?;
        for (i, &k) in numbers.iter().take(found.fooled.len()).enumerate() {
            let example = &found.adversarial[i * elems..(i + 1) * elems];
            let size = size(self.norm, example, self.examples.image(k));
            self.check(name, ball, k, example, size)?;
            // Of an attack that looks for the smallest change, a larger one than the radius is none.
            if matches!(ball, Ball::Smallest(_)) && size > self.eps * (1.0 + 1e-4) {
                continue;
            }
            trial.adversarial[k * elems..(k + 1) * elems].copy_from_slice(example);
            (trial.predicted[k], trial.sizes[k]) = (said[i], size as f32);
            trial.robust[k] = match &target {
                Some(target) => said[i] != target[i],
                None => said[i] == picked.labels[i],
            };
        }
        Ok(trial)
    }

    fn check(&self, name: &str, ball: Ball, k: usize, example: &[f32], size: f64) -> Result<()> {
        let refuse = |reason: String| Err(Error::Check(format!("attack {name}: the example of image {k} {reason}")));
        if example.iter().any(|v| !(-1.0..=1.0).contains(v)) {
            return refuse("leaves the box from -1 to 1".into());
        }
        // Rounding of x₀ + δ.
        if matches!(ball, Ball::Radius(norm) if norm == self.norm) && size > self.eps * (1.0 + 1e-5) + 1e-6 {
            return refuse(format!("is {size} away, and the ball ends at {}", self.eps));
        }
        Ok(())
    }

    /// Logits of any images.
    ///
    /// # Errors
    /// A device that fails.
    pub fn logits(&mut self, images: &[f32]) -> Result<Vec<f32>> {
        self.judge.logits(images)
    }

    /// Classes of any images.
    ///
    /// # Errors
    /// A device that fails.
    pub fn classes(&mut self, images: &[f32]) -> Result<Vec<u32>> {
        self.judge.classes(images)
    }

    /// AttackOptions of attacks on the model, all at the attack's own defaults.
    pub(super) fn model_options(&self) -> AttackOptions {
        self.model.options()
    }

    /// The images under attack.
    pub fn examples(&self) -> &'a Examples {
        self.examples
    }
}

/// Runs the ensemble [`AUTO`]: each attack on what is standing, in order, until it is stopped.
///
/// # Errors
/// As [`Suite::run`]; a model of fewer than four classes, on which the ensemble is not defined.
pub fn auto(suite: &mut Suite, store: Option<&Store>, progress: AttackListener) -> Result<Vec<Trial>> {
    let mut standing = suite.clean.clone();
    let mut trials = vec![];
    for name in AUTO {
        let trial = suite.run(name, &standing, store, progress)?;
        standing.clone_from(&trial.robust);
        let stopped = !trial.complete;
        trials.push(trial);
        if stopped {
            break;
        }
    }
    Ok(trials)
}

/// Size of the change of an image.
fn size(norm: Norm, example: &[f32], image: &[f32]) -> f64 {
    let change = example.iter().zip(image).map(|(a, b)| f64::from(*a) - f64::from(*b));
    match norm {
        Norm::Inf => change.fold(0.0, |most, c| most.max(c.abs())),
        Norm::Two => change.map(|c| c * c).sum::<f64>().sqrt(),
    }
}
