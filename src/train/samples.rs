//! Samples of a generator in training, read back while training goes on.

use super::trainer::Trainer;
use crate::Result;
use crate::philox;
use crate::plan::ReadId;
use std::collections::VecDeque;

/// Stream of the latents of sample grids; the step counter is the seed of each sample.
const Z_SAMPLE: u32 = 100;

/// Samples under way.
pub(super) struct PendingSamples {
    /// Reads that were not taken yet.
    reads: VecDeque<ReadId>,
    /// What the others brought.
    values: Vec<f32>,
    len: usize,
}

impl PendingSamples {
    /// The values, once [`Trainer::poll_samples`] has said that they are there.
    pub(super) fn into_values(self) -> Vec<f32> {
        self.values
    }
}

impl Trainer {
    /// Samples of the averaged generator, one a seed: NHWC images in [-1, 1], or points.
    pub fn sample(&mut self, seeds: &[u32]) -> Result<Vec<f32>> {
        let mut samples = self.begin_samples(seeds)?;
        self.poll_samples(&mut samples, true)?;
        Ok(samples.values)
    }

    /// Starts drawing samples of the averaged generator as it is now; never waits for the device.
    pub(super) fn begin_samples(&mut self, seeds: &[u32]) -> Result<PendingSamples> {
        let z = self.settings.gan.z;
        let at_once = self.gan.latents.len / z;
        let per_image = self.gan.images.len / at_once;
        let mut reads = VecDeque::new();
        for chunk in seeds.chunks(at_once) {
            let mut z = latents(self.settings.seed, z, chunk);
            z.resize(self.gan.latents.len, 0.0);
            self.device.write(self.gan.latents, &z)?;
            self.device.run(&[(self.gan.plans.sample, 1)])?;
            reads.push_back(self.device.begin_read(self.gan.images)?);
        }
        let len = seeds.len() * per_image;
        Ok(PendingSamples { reads, values: Vec::with_capacity(len), len })
    }

    /// Takes what has arrived of samples that were begun; whether that is all. With `wait`, waits for it.
    pub(super) fn poll_samples(&mut self, samples: &mut PendingSamples, wait: bool) -> Result<bool> {
        while let Some(&read) = samples.reads.front() {
            let words = if wait { Some(self.device.finish(read)?) } else { self.device.try_finish(read)? };
            let Some(words) = words else { return Ok(false) };
            samples.reads.pop_front();
            samples.values.extend(words.into_iter().map(f32::from_bits));
        }
        // The last batch may hold more than was asked for.
        samples.values.truncate(samples.len);
        Ok(true)
    }
}

/// Latents of the samples with these seeds: the same on every device and at every step.
pub(super) fn latents(seed: u64, z: usize, seeds: &[u32]) -> Vec<f32> {
    let at = |sample: u32, i: usize| philox::normal_at(seed, Z_SAMPLE, sample, i as u64) as f32;
    seeds.iter().flat_map(|&sample| (0..z).map(move |i| at(sample, i))).collect()
}
