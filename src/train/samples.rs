//! Samples of a generator in training, read back while training goes on.

use super::game::Inference;
use super::stream;
use super::trainer::Trainer;
use crate::philox;
use crate::plan::ReadId;
use crate::{Error, Result};
use std::collections::VecDeque;

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
    /// Whether the game makes samples.
    pub(super) fn draws(&self) -> bool {
        let inference = self.settings.game.inference.as_ref();
        inference.is_some_and(|i| i.inputs.iter().any(|(name, _)| name == "latents"))
    }

    /// Samples of the averaged generator, one per seed: NHWC images in [-1, 1], or points.
    pub fn sample(&mut self, seeds: &[u32]) -> Result<Vec<f32>> {
        let mut samples = self.begin_samples(seeds)?;
        self.poll_samples(&mut samples, true)?;
        Ok(samples.values)
    }

    /// What the trained networks make of any number of rows, with averaged weights where there are any: the classes of images, say.
    /// `values` holds one list per input, in the order of [`Inference::inputs`].
    ///
    /// # Errors
    /// A game without inference; lists of other lengths; a device that fails.
    pub fn infer(&mut self, values: &[Vec<f32>]) -> Result<Vec<f32>> {
        let (Some(answer), Some(inference)) = (&self.assembly.answer, &self.settings.game.inference) else {
            return Err(Error::Training("this game has no inference".into()));
        };
        let mut outputs = vec![];
        for (count, parts) in parts(inference, values)? {
            for ((_, region), part) in answer.inputs.iter().zip(&parts) {
                self.device.write(*region, part)?;
            }
            self.device.run(&[(answer.plan, 1)])?;
            let rows = self.device.read(answer.output)?;
            outputs.extend_from_slice(&rows[..count * inference.output.iter().product::<usize>()]);
        }
        Ok(outputs)
    }

    /// Starts drawing samples of the averaged generator as it is now; never waits for the device.
    pub(super) fn begin_samples(&mut self, seeds: &[u32]) -> Result<PendingSamples> {
        let (Some(answer), Some(inference)) = (&self.assembly.answer, &self.settings.game.inference) else {
            return Err(Error::Training("this game makes no samples".into()));
        };
        let mut reads = VecDeque::new();
        for chunk in seeds.chunks(inference.rows) {
            for ((_, region), values) in answer.inputs.iter().zip(given(inference, self.settings.seed, chunk)?) {
                self.device.write(*region, &values)?;
            }
            self.device.run(&[(answer.plan, 1)])?;
            reads.push_back(self.device.begin_read(answer.output)?);
        }
        let len = seeds.len() * inference.output.iter().product::<usize>();
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

/// What an inference that makes samples is given for these seeds, padded to its rows: `latents`, and `classes` that go round.
///
/// # Errors
/// An inference that wants something else.
fn given(inference: &Inference, seed: u64, seeds: &[u32]) -> Result<Vec<Vec<f32>>> {
    let one = |(name, extents): &(String, Vec<usize>)| -> Result<Vec<f32>> {
        let per_row: usize = extents.iter().product();
        let mut values = match name.as_str() {
            "latents" => latents(seed, per_row, seeds),
            "classes" => seeds.iter().map(|&s| (s % inference.classes.max(1) as u32) as f32).collect(),
            other => return Err(Error::Training(format!("{} wants {other}: it makes no samples", inference.name))),
        };
        values.resize(inference.rows * per_row, 0.0);
        Ok(values)
    };
    inference.inputs.iter().map(one).collect()
}

/// Rows for an inference as it takes them: (how many, one list per input, padded to its rows).
///
/// # Errors
/// Lists of other lengths.
pub(super) fn parts(inference: &Inference, values: &[Vec<f32>]) -> Result<Vec<(usize, Vec<Vec<f32>>)>> {
    let takes: Vec<usize> = inference.inputs.iter().map(|(_, extents)| extents.iter().product()).collect();
    let rows = values.first().zip(takes.first()).map_or(0, |(v, per_row)| v.len() / per_row.max(&1));
    let fits = values.len() == takes.len() && values.iter().zip(&takes).all(|(v, per_row)| v.len() == rows * per_row);
    if !fits {
        let lengths: Vec<usize> = values.iter().map(Vec::len).collect();
        let reason = format!("{} is given {lengths:?} numbers and takes {:?}", inference.name, inference.inputs);
        return Err(Error::Training(reason));
    }
    let part = |from: usize| {
        let count = inference.rows.min(rows - from);
        let of = |(v, per_row): (&Vec<f32>, &usize)| {
            let mut part = v[from * per_row..(from + count) * per_row].to_vec();
            part.resize(inference.rows * per_row, 0.0);
            part
        };
        (count, values.iter().zip(&takes).map(of).collect())
    };
    Ok((0..rows).step_by(inference.rows).map(part).collect())
}

/// Latents of the samples with these seeds: the same on every device and at every step.
pub(super) fn latents(seed: u64, z: usize, seeds: &[u32]) -> Vec<f32> {
    let at = |sample: u32, i: usize| philox::normal_at(seed, stream::SAMPLE, sample, i as u64) as f32;
    seeds.iter().flat_map(|&sample| (0..z).map(move |i| at(sample, i))).collect()
}
