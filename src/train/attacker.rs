//! An attack on a device: images and labels in, adversarial examples out.
//!
//! A batch is one submission, whatever the attack does in between: more only where the device's watchdog asks for it, or a person who
//! waits ([`Attacker::run_watched`]). Nothing learns, and nothing is read back before the end.

use super::assembly::Assembly;
use super::checkpoint::Checkpoint;
use super::games::attack::{IMAGES, NAME, Passes, TARGET, Victim, evaluation};
use super::pace::Pace;
use super::state::{fresh_weights, take_weights};
use super::trainer::RNG_WORDS;
use crate::attack::{ADVERSARIAL, Attack, Ball, FOOLED, Norm, Stage};
use crate::device::{Device, Fit};
use crate::plan::{ALIGN, Counters, Executor, Options, Region, Work};
use crate::{Error, Result};
use std::path::Path;
use std::sync::PoisonError;

/// What an attack left of some images.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Found {
    /// The best examples it met, like the images.
    pub adversarial: Vec<f32>,
    /// Which of them fool the model, as the attack saw it.
    pub fooled: Vec<bool>,
}

/// An attack with a model, loaded on a device.
pub struct Attacker {
    attack: Attack,
    assembly: Assembly,
    device: Box<dyn Executor>,
    schedule: Vec<(usize, u32)>,
    pace: Pace,
    passes: Passes,
    seed: u64,
    targeted: bool,
    elems: usize,
    /// Batches attacked so far: each draws random numbers of its own.
    batches: u32,
    /// Submissions of attacks; reading what they found is not among them.
    submissions: u64,
}

impl Attacker {
    /// Plans an attack on `batch` images at once. The model's weights are zeros until [`Attacker::load`] or [`Attacker::initialise`].
    ///
    /// # Errors
    /// A model whose input is not of the victim's extents; a device that fails or has too little memory.
    pub fn new(
        attack: Attack,
        victim: &Victim,
        batch: usize,
        targeted: bool,
        seed: u64,
        device: &Device,
    ) -> Result<Attacker> {
        let (game, passes) = evaluation(&attack, victim, batch, targeted);
        let plan = |device: &Device, recompute: bool| {
            Assembly::new(&game, None, 1, Options { recompute, ..device.options(true) })
        };
        let fitted = device.fitted(&Fit::default(), |assembly: &Assembly| &assembly.program, plan)?;
        let (assembly, device) = (fitted.planned, fitted.executor);
        let schedule = assembly.schedule(0);
        let elems = victim.sample.iter().product();
        let pace = Pace::new(&assembly.program.plans, &schedule);
        let (batches, submissions) = (0, 0);
        Ok(Attacker { attack, assembly, device, schedule, pace, passes, seed, targeted, elems, batches, submissions })
    }

    /// Fills the model with weights as they are at the start of a training of this seed.
    ///
    /// # Errors
    /// A device that fails.
    pub fn initialise(&mut self, seed: u64) -> Result<()> {
        fresh_weights(&self.assembly, &mut *self.device, seed)
    }

    /// Takes the weights of a checkpoint, the averaged ones where it has them; `place` is its file.
    ///
    /// # Errors
    /// A tensor that the checkpoint lacks or holds in another shape, by name.
    pub fn load(&mut self, checkpoint: &Checkpoint, place: &Path) -> Result<()> {
        take_weights(&self.assembly, &mut *self.device, checkpoint, place)
    }

    /// Leaves out the random numbers of so many batches, as if they had been attacked.
    pub fn skip(&mut self, batches: usize) {
        self.batches += batches as u32;
    }

    /// Goes back to the random numbers of the first batch.
    pub fn rewind(&mut self) {
        self.batches = 0;
    }

    /// The attack.
    pub fn attack(&self) -> &Attack {
        &self.attack
    }

    /// Images per batch.
    pub fn batch(&self) -> usize {
        self.assembly.game.batch
    }

    /// Passes through the model that one image costs: (forward, backward).
    pub fn passes(&self) -> (u64, u64) {
        self.attack.passes(&self.passes.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// What the device did so far.
    pub fn counters(&self) -> Counters {
        self.device.counters()
    }

    /// Submissions so far: one per batch, more only where the device's watchdog asks for it, or whoever watches a slow one.
    pub fn submissions(&self) -> u64 {
        self.submissions
    }

    /// One line about the device.
    pub fn describe_device(&self) -> String {
        self.device.describe()
    }

    /// Floating-point operations of a batch.
    pub fn flops(&self) -> u64 {
        let plan = |plan: usize| self.assembly.program.plans[plan].steps.iter().map(|step| step.flops).sum::<u64>();
        self.schedule.iter().map(|&(number, times)| u64::from(times) * plan(number)).sum()
    }

    /// Steps of its plans that make gradients of weights: none, or it does what an attack has no use for.
    pub fn weight_gradients(&self) -> usize {
        let weights: Vec<usize> =
            self.assembly.learners.iter().flat_map(|l| l.flat.entries.iter().map(|e| e.spec.shape.elems())).collect();
        let steps = self.assembly.program.plans.iter().flat_map(|plan| &plan.steps);
        let by_batch = |k: usize| k == self.batch();
        steps
            .filter(|step| match step.work.product() {
                Work::ConvW(_) => true,
                // Of a linear layer: a sum over the batch of the size of a weight.
                Work::MatMul { m, n, k, ta: true, .. } => by_batch(*k) && weights.contains(&(m * n)),
                _ => false,
            })
            .count()
    }

    /// Attacks images, NHWC in [-1, 1], within `eps` of the same unit; `target` are the classes a targeted attack goes for. Any number of
    /// images: batch after batch, `done` hears how many are done after each and says whether to go on.
    ///
    /// # Errors
    /// Lists of other lengths; images outside of [-1, 1]; a device that fails.
    pub fn run(
        &mut self,
        images: &[f32],
        labels: &[u32],
        target: Option<&[u32]>,
        eps: f64,
        done: &mut dyn FnMut(usize) -> bool,
    ) -> Result<Found> {
        self.all(images, labels, target, eps, false, &mut |images| done(images as usize))
    }

    /// The same with the same bits, for a person who waits: a batch of more than half a second goes to the device in parts, and `heard`
    /// hears after each how many images are done, with a share of those under way. A batch in which it says stop is not among what was found.
    ///
    /// # Errors
    /// Those of [`Attacker::run`].
    pub fn run_watched(
        &mut self,
        images: &[f32],
        labels: &[u32],
        target: Option<&[u32]>,
        eps: f64,
        heard: &mut dyn FnMut(f64) -> bool,
    ) -> Result<Found> {
        self.all(images, labels, target, eps, true, heard)
    }

    fn all(
        &mut self,
        images: &[f32],
        labels: &[u32],
        target: Option<&[u32]>,
        eps: f64,
        watched: bool,
        heard: &mut dyn FnMut(f64) -> bool,
    ) -> Result<Found> {
        self.check(images, labels, target)?;
        self.write_radius(eps)?;
        let mut found = Found::default();
        for from in (0..labels.len()).step_by(self.batch()) {
            let until = labels.len().min(from + self.batch());
            let target = target.map(|target| &target[from..until]);
            self.feed(&images[from * self.elems..until * self.elems], &labels[from..until], target)?;
            let within: &mut dyn FnMut(f64) -> bool = &mut |share| heard(from as f64 + share * (until - from) as f64);
            if !self.attack_batch(watched.then_some(within))? {
                break;
            }
            self.collect(until - from, &mut found)?;
            if !heard(until as f64) {
                break;
            }
        }
        Ok(found)
    }

    fn check(&self, images: &[f32], labels: &[u32], target: Option<&[u32]>) -> Result<()> {
        let refuse = |reason: String| Err(Error::Training(format!("attack {}: {reason}", self.attack.name)));
        if images.len() != labels.len() * self.elems {
            return refuse(format!("{} numbers for {} images of {} each", images.len(), labels.len(), self.elems));
        }
        if self.targeted != target.is_some() || target.is_some_and(|target| target.len() != labels.len()) {
            return refuse(format!("{} images need one target each, where it has targets", labels.len()));
        }
        if let Some(at) = images.iter().position(|v| !(-1.0..=1.0).contains(v)) {
            let (image, value) = (at / self.elems.max(1), images[at]);
            return refuse(format!("image {image} holds {value}, outside of the box from -1 to 1"));
        }
        Ok(())
    }

    fn write_radius(&mut self, eps: f64) -> Result<()> {
        if !(eps >= 0.0 && eps.is_finite()) {
            return Err(Error::setting("attack", "eps", eps, "must be a number from 0"));
        }
        let mut scalars = vec![0.0; self.assembly.scalars.len];
        let at = self.assembly.values.first().map_or(0, |region| region.offset);
        debug_assert_eq!(at % ALIGN, 0);
        scalars[at] = eps as f32;
        self.device.write(self.assembly.scalars, &scalars)
    }

    /// Hands a batch to the device; a short one is filled up with its last image.
    fn feed(&mut self, images: &[f32], labels: &[u32], target: Option<&[u32]>) -> Result<()> {
        let (batch, rows) = (self.batch(), labels.len());
        let mut padded = images.to_vec();
        (rows..batch).for_each(|_| padded.extend_from_slice(&images[(rows - 1) * self.elems..]));
        let classes = |labels: &[u32]| -> Vec<f32> { (0..batch).map(|row| labels[row.min(rows - 1)] as f32).collect() };
        for fed in &self.assembly.fed {
            let name = self.assembly.game.batches[fed.batch].name.as_str();
            if name == IMAGES {
                self.device.write(fed.values, &padded)?;
            }
            let of = if name == TARGET { target.unwrap_or(labels) } else { labels };
            if let Some(region) = fed.labels {
                self.device.write(region, &classes(of))?;
            }
        }
        let (low, high) = (self.seed as u32, (self.seed >> 32) as u32);
        self.device.write_u32(RNG_WORDS, &[low, high, self.batches, 0])
    }

    /// Attacks the batch that is there, in parts where somebody listens; returns whether it came to the end.
    fn attack_batch(&mut self, heard: Option<&mut dyn FnMut(f64) -> bool>) -> Result<bool> {
        let end = self.region(FOOLED)?;
        let (device, submissions) = (&mut self.device, &mut self.submissions);
        let mut run = |schedule: &[(usize, u32)], waits: bool| {
            let before = device.counters().submissions;
            device.run(schedule)?;
            *submissions += device.counters().submissions - before;
            // A device runs ahead of the host: reading anything waits for it.
            if waits { device.read(end).map(drop) } else { Ok(()) }
        };
        match heard {
            None => run(&self.schedule, false).map(|()| true),
            Some(heard) => self.pace.run(&self.schedule, |part| run(part, true), heard),
        }
    }

    /// Takes what was found of the batch's first images.
    fn collect(&mut self, rows: usize, found: &mut Found) -> Result<()> {
        self.batches += 1;
        let adversarial = self.device.read(self.region(ADVERSARIAL)?)?;
        let fooled = self.device.read(self.region(FOOLED)?)?;
        found.adversarial.extend_from_slice(&adversarial[..rows * self.elems]);
        found.fooled.extend(fooled[..rows].iter().map(|&fooled| fooled > 0.0));
        Ok(())
    }

    /// Where the attack keeps what it calls `name`.
    fn region(&self, name: &str) -> Result<Region> {
        let region = self.assembly.shared.get(&format!("{NAME}/{name}")).copied();
        region.ok_or_else(|| Error::Training(format!("attack {} keeps nothing called {name}", self.attack.name)))
    }

    /// What the attack kept under a name, of the whole last batch: for tests, and for looking inside.
    ///
    /// # Errors
    /// A name it does not know; a device that fails.
    pub fn kept(&mut self, name: &str) -> Result<Vec<f32>> {
        let region = self.region(name)?;
        self.device.read(region)
    }
}

/// What [`Judge`] keeps its logits under.
const LOGITS: &str = "logits";

/// A model alone on a device: what it says of images.
pub struct Judge {
    attacker: Attacker,
    classes: usize,
}

impl Judge {
    /// Plans the model for `batch` images at once.
    ///
    /// # Errors
    /// As [`Attacker::new`].
    pub fn new(victim: &Victim, batch: usize, device: &Device) -> Result<Judge> {
        let look = Stage::new("look", |s| {
            let logits = s.logits(s.images);
            s.store(LOGITS, logits);
            s.store(ADVERSARIAL, s.images);
            s.store(FOOLED, s.fooled(logits));
        });
        let attack = Attack::new("none", Ball::Radius(Norm::Inf), vec![look]);
        Ok(Judge { attacker: Attacker::new(attack, victim, batch, false, 0, device)?, classes: victim.classes() })
    }

    /// Takes the weights of a checkpoint; see [`Attacker::load`].
    ///
    /// # Errors
    /// As [`Attacker::load`].
    pub fn load(&mut self, checkpoint: &Checkpoint, place: &Path) -> Result<()> {
        self.attacker.load(checkpoint, place)
    }

    /// Logits of any number of images, row after row.
    ///
    /// # Errors
    /// Images that are cut short, or outside of [-1, 1]; a device that fails.
    pub fn logits(&mut self, images: &[f32]) -> Result<Vec<f32>> {
        let mut logits = vec![];
        let elems = self.attacker.elems;
        for part in images.chunks(self.attacker.batch() * elems) {
            let rows = part.len() / elems;
            self.attacker.run(part, &vec![0; rows], None, 0.0, &mut |_| true)?;
            logits.extend_from_slice(&self.attacker.kept(LOGITS)?[..rows * self.classes]);
        }
        Ok(logits)
    }

    /// The class of the largest logit of each image; of one logit, 1 where it is positive, else 0.
    ///
    /// # Errors
    /// As [`Judge::logits`].
    pub fn classes(&mut self, images: &[f32]) -> Result<Vec<u32>> {
        Ok(self.logits(images)?.chunks(self.classes).map(largest).collect())
    }
}

/// The number of the largest logit, of equal ones the first; of one logit, whether it is positive.
fn largest(row: &[f32]) -> u32 {
    if let [logit] = row {
        return u32::from(*logit > 0.0);
    }
    let first = (0..row.len()).reduce(|best, k| if row[k] > row[best] { k } else { best });
    first.unwrap_or(0) as u32
}
