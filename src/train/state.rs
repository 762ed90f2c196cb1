//! The whole state of a trainer as a checkpoint, and back.

use super::assembly::{Assembly, Learner};
use super::checkpoint::{Checkpoint, NamedTensor, Values};
use super::sampler::tensor;
use super::trainer::Trainer;
use crate::nn::layout;
use crate::optim::Progress;
use crate::optim::initial_values;
use crate::plan::{Executor, Region};
use crate::{Error, Result};

impl Trainer {
    /// Everything training needs to go on from here, bit for bit.
    pub fn checkpoint(&mut self) -> Result<Checkpoint> {
        let mut tensors = vec![];
        for learner in &self.assembly.learners {
            for (prefix, region) in flats(learner) {
                let values = self.device.read(region)?;
                for entry in &learner.flat.entries {
                    let span = &values[entry.offset..entry.offset + entry.spec.shape.elems()];
                    let spec = &entry.spec;
                    let shape = layout::torch_shape(spec.layout, &spec.shape).to_vec();
                    let data = layout::to_torch(spec.layout, &spec.shape, span);
                    let name = format!("{prefix}{}", spec.name);
                    tensors.push(NamedTensor { name, shape, data: Values::F32(data) });
                }
            }
            if let Some(training) = &learner.training {
                let counts = self.device.read_u32(training.bad)?;
                let name = format!("nonfinite.{}", learner.name);
                tensors.push(NamedTensor { name, shape: vec![counts.len()], data: Values::U32(counts) });
            }
        }
        for (spec, region) in &self.assembly.states {
            let data = Values::F32(self.device.read(*region)?);
            tensors.push(NamedTensor { name: spec.name.clone(), shape: spec.shape.to_vec(), data });
        }
        let bits = |v: f64| format!("{:016x}", v.to_bits());
        let mut meta = std::collections::BTreeMap::from([
            ("step".to_owned(), self.step.to_string()),
            ("attempt".to_owned(), self.attempt.to_string()),
            ("config".to_owned(), self.settings.config_toml.clone()),
        ]);
        for (learner, progress) in self.assembly.learners.iter().zip(&self.progress) {
            meta.insert(progress_key(learner), format!("{} {}", bits(progress.beta1), bits(progress.beta2)));
        }
        Ok(Checkpoint { tensors, meta })
    }

    /// Goes to the state of a checkpoint.
    ///
    /// # Errors
    /// A checkpoint of another model: missing tensors, other shapes.
    pub fn restore(&mut self, checkpoint: &Checkpoint, place: &std::path::Path) -> Result<()> {
        let refuse = |reason: String| Error::checkpoint(place, reason);
        // Read everything before anything is overwritten.
        let mut writes: Vec<(Region, Vec<f32>)> = vec![];
        let mut counts: Vec<(Region, Vec<u32>)> = vec![];
        for learner in &self.assembly.learners {
            for (prefix, region) in flats(learner) {
                writes.push((region, flat_of(checkpoint, place, learner, &prefix)?));
            }
            let Some(training) = &learner.training else { continue };
            match checkpoint.tensor(&format!("nonfinite.{}", learner.name)).map(|t| &t.data) {
                Some(Values::U32(data)) if data.len() == training.bad.len => counts.push((training.bad, data.clone())),
                _ => return Err(refuse("holds no counters of this model: is it a checkpoint of it?".into())),
            }
        }
        for (spec, region) in &self.assembly.states {
            writes.push((*region, tensor(checkpoint, place, &spec.name, &spec.shape)?.to_vec()));
        }
        let meta = |key: &str| {
            checkpoint.meta.get(key).ok_or_else(|| refuse(format!("its header lacks {key}: is it a checkpoint?")))
        };
        let number = |key: &str| meta(key)?.parse::<u64>().map_err(|_| refuse(format!("its header has a bad {key}")));
        let progress = |key: &str| -> Result<Progress> {
            let parse = |t: &str| u64::from_str_radix(t, 16).ok().map(f64::from_bits);
            let pair = meta(key)?.split_once(' ').and_then(|(a, b)| Some((parse(a)?, parse(b)?)));
            let (beta1, beta2) = pair.ok_or_else(|| refuse(format!("its header has a bad {key}")))?;
            Ok(Progress { beta1, beta2 })
        };
        let (step, attempt) = (number("step")?, number("attempt")? as u32);
        let progress =
            self.assembly.learners.iter().map(|l| progress(&progress_key(l))).collect::<Result<Vec<Progress>>>()?;
        for (region, values) in &writes {
            self.device.write(*region, values)?;
        }
        for (region, values) in &counts {
            self.device.write_u32(*region, values)?;
        }
        (self.step, self.attempt, self.progress) = (step, attempt, progress);
        self.restart_log()
    }
}

/// The tensors `PREFIX NAME` of a checkpoint as one of a network's flat buffers.
///
/// # Errors
/// A tensor that the checkpoint lacks or holds in another shape.
pub(super) fn flat_of(
    checkpoint: &Checkpoint,
    place: &std::path::Path,
    learner: &Learner,
    prefix: &str,
) -> Result<Vec<f32>> {
    let mut values = vec![0.0; learner.flat.len];
    for entry in &learner.flat.entries {
        let spec = &entry.spec;
        let shape = layout::torch_shape(spec.layout, &spec.shape);
        let data = tensor(checkpoint, place, &format!("{prefix}{}", spec.name), &shape)?;
        let span = layout::from_torch(spec.layout, &spec.shape, data);
        values[entry.offset..entry.offset + span.len()].copy_from_slice(&span);
    }
    Ok(values)
}

/// Fills networks that are only applied with weights as they are at the start of a training of this seed.
pub(super) fn fresh_weights(assembly: &Assembly, device: &mut dyn Executor, seed: u64) -> Result<()> {
    for learner in &assembly.learners {
        device.write(learner.param, &learner.flat.init(seed))?;
    }
    for (spec, region) in &assembly.states {
        device.write(*region, &initial_values(spec.init, seed, &spec.name, region.len))?;
    }
    Ok(())
}

/// Gives networks that are only applied the weights of a checkpoint, the averaged ones where it has them; `place` is its file.
pub(super) fn take_weights(
    assembly: &Assembly,
    device: &mut dyn Executor,
    checkpoint: &Checkpoint,
    place: &std::path::Path,
) -> Result<()> {
    for learner in &assembly.learners {
        let first = learner.flat.entries.first().map_or("", |entry| entry.spec.name.as_str());
        let prefix = if checkpoint.tensor(&format!("ema.{first}")).is_some() { "ema." } else { "" };
        device.write(learner.param, &flat_of(checkpoint, place, learner, prefix)?)?;
    }
    for (spec, region) in &assembly.states {
        device.write(*region, tensor(checkpoint, place, &spec.name, &spec.shape)?)?;
    }
    Ok(())
}

/// The flat buffers of a network that a checkpoint holds, with the prefix of their tensors' names.
fn flats(learner: &Learner) -> Vec<(String, Region)> {
    let mut flats = vec![(String::new(), learner.param)];
    let moments = learner.training.iter().flat_map(|t| &t.moments);
    flats.extend(moments.map(|(name, region)| (format!("{name}."), *region)));
    flats.extend(learner.ema.map(|ema| ("ema.".to_owned(), ema)));
    flats
}

/// Where the header keeps the products of the decays of a network's optimiser.
fn progress_key(learner: &Learner) -> String {
    format!("decay_{}", learner.name.to_lowercase())
}
