//! The search for the latents of an image, on a device: some steps at a time, each time one submission, with the best so far read back
//! in between and nothing else.

use super::assembly::Assembly;
use super::checkpoint::Checkpoint;
use super::games::projection::{self, Projection};
use super::state::{fresh_weights, take_weights};
use super::stream;
use crate::device::{Device, Fit};
use crate::plan::{Counters, Executor, Options, Region};
use crate::{Error, Result, philox};
use std::path::Path;

/// Above every loss: what any image beats.
const MOST: f32 = 1e30;

/// What a search has found so far.
#[derive(Clone, Debug, PartialEq)]
pub struct Projected {
    /// The row of the batch that found it.
    pub start: usize,
    /// Its loss: the distance of images, and the prior.
    pub loss: f32,
    /// Its latents.
    pub latents: Vec<f32>,
    /// What the generator makes of them, [H, W, C] in [-1, 1].
    pub image: Vec<f32>,
}

/// A generator on a device, and searches for the latents of an image.
pub struct Projector {
    search: Projection,
    assembly: Assembly,
    device: Box<dyn Executor>,
    plan: usize,
    left: u32,
}

impl Projector {
    /// Plans the search. The weights are zeros until [`Projector::load`] or [`Projector::initialise`].
    ///
    /// # Errors
    /// A generator of other extents; a device that fails or has too little memory.
    pub fn new(search: &Projection, device: &Device) -> Result<Projector> {
        let game = search.game();
        let plan = |device: &Device, recompute: bool| {
            Assembly::new(&game, None, 1, Options { recompute, ..device.options(true) })
        };
        let fitted = device.fitted(&Fit::default(), |assembly: &Assembly| &assembly.program, plan)?;
        let (assembly, device) = (fitted.planned, fitted.executor);
        let plan = assembly.schedule(0).first().map_or(0, |(plan, _)| *plan);
        Ok(Projector { search: search.clone(), assembly, device, plan, left: 0 })
    }

    /// Fills the generator with weights as they are at the start of a training of this seed.
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

    /// Begins the search for `image` [H, W, C] in [-1, 1]: `steps` of them at the learning rate `rate`, from standard normal latents of
    /// `seed`. Where the generator is told classes, row k searches in class `class`, or in class k of all, going round.
    ///
    /// # Errors
    /// An image of another length; a device that fails.
    pub fn begin(&mut self, image: &[f32], class: Option<u32>, seed: u64, rate: f64, steps: u32) -> Result<()> {
        let (rows, z, elems) = (self.search.starts, self.search.latent(), self.assembly.game.sample_elems());
        if image.len() != elems {
            return Err(Error::Training(format!("{} numbers of an image of {elems}", image.len())));
        }
        let mut scalars = vec![0.0; self.assembly.scalars.len];
        for (name, value) in [(projection::RATE, rate), (projection::STRIDE, 1.0 / f64::from(steps.max(1)))] {
            if let Some(region) = self.assembly.value(name) {
                scalars[region.offset] = value as f32;
            }
        }
        self.device.write(self.assembly.scalars, &scalars)?;
        let classes: Vec<f32> = (0..rows).map(|row| self.class_of(row, class) as f32).collect();
        for fed in &self.assembly.fed {
            self.device.write(fed.values, &image.repeat(rows))?;
            if let Some(region) = fed.labels {
                self.device.write(region, &classes)?;
            }
        }
        let numbers = (0..rows as u32).flat_map(|row| (0..z as u64).map(move |i| (row, i)));
        let starts: Vec<f32> =
            numbers.map(|(row, i)| philox::normal_at(seed, stream::PROJECT, row, i) as f32).collect();
        self.set(projection::BEST_LATENTS, &starts)?;
        self.set(projection::LATENTS, &starts)?;
        self.set(projection::FIRST, &vec![0.0; rows * z])?;
        self.set(projection::SECOND, &vec![0.0; rows * z])?;
        self.set(projection::CLOCK, &[1.0, 1.0, 0.0])?;
        self.set(projection::BEST, &vec![MOST; rows])?;
        self.set(projection::BEST_IMAGES, &vec![0.0; rows * elems])?;
        self.left = steps;
        Ok(())
    }

    /// The class that a row searches in.
    pub fn class_of(&self, row: usize, class: Option<u32>) -> u32 {
        class.unwrap_or((row % self.search.classes.max(1)) as u32)
    }

    /// The next steps, at most so many, in one submission (more only where the device's watchdog asks for it); how many are left.
    ///
    /// # Errors
    /// A device that fails.
    pub fn advance(&mut self, steps: u32) -> Result<u32> {
        let steps = steps.min(self.left);
        if steps > 0 {
            self.device.run(&[(self.plan, steps)])?;
        }
        self.left -= steps;
        Ok(self.left)
    }

    /// The best that any row has met; of equal ones the first.
    ///
    /// # Errors
    /// A device that fails; losses that are no numbers.
    pub fn best(&mut self) -> Result<Projected> {
        let losses = self.kept(projection::BEST)?;
        let best = (0..losses.len()).filter(|&row| losses[row] < MOST).min_by(|&a, &b| losses[a].total_cmp(&losses[b]));
        let Some(start) = best else {
            return Err(Error::Training("the search met no image with a finite loss: lower its learning rate".into()));
        };
        let row = |values: Vec<f32>| values.chunks(values.len() / losses.len()).nth(start).unwrap_or(&[]).to_vec();
        let (latents, image) = (row(self.kept(projection::BEST_LATENTS)?), row(self.kept(projection::BEST_IMAGES)?));
        Ok(Projected { start, loss: losses[start], latents, image })
    }

    /// What the search keeps under a name of `games::projection`, of all rows.
    ///
    /// # Errors
    /// A name it does not know; a device that fails.
    pub fn kept(&mut self, name: &str) -> Result<Vec<f32>> {
        let region = self.region(name)?;
        self.device.read(region)
    }

    /// What the device did so far.
    pub fn counters(&self) -> Counters {
        self.device.counters()
    }

    fn set(&mut self, name: &str, values: &[f32]) -> Result<()> {
        let region = self.region(name)?;
        self.device.write(region, values)
    }

    fn region(&self, name: &str) -> Result<Region> {
        let region = self.assembly.shared.get(name).copied();
        region.ok_or_else(|| Error::Training(format!("a search keeps nothing called {name}")))
    }
}
