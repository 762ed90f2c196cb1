//! The whole state of a trainer as a checkpoint, and back.

use super::checkpoint::{Checkpoint, NamedTensor, Values};
use super::gan::Network;
use super::sampler::tensor;
use super::trainer::{Decay, Trainer};
use crate::nn::layout;
use crate::plan::Region;
use crate::{Error, Result};

impl Trainer {
    /// Everything training needs to go on from here, bit for bit.
    pub fn checkpoint(&mut self) -> Result<Checkpoint> {
        let mut tensors = vec![];
        for network in [&self.gan.g, &self.gan.d] {
            for (prefix, region) in flats(network) {
                let values = self.device.read(region)?;
                for entry in &network.flat.entries {
                    let span = &values[entry.offset..entry.offset + entry.spec.shape.elems()];
                    let spec = &entry.spec;
                    let shape = layout::torch_shape(spec.layout, &spec.shape).to_vec();
                    let data = layout::to_torch(spec.layout, &spec.shape, span);
                    let name = format!("{prefix}{}", spec.name);
                    tensors.push(NamedTensor { name, shape, data: Values::F32(data) });
                }
            }
            let name = format!("nonfinite.{}", network_name(network));
            let counts = self.device.read_u32(network.bad)?;
            tensors.push(NamedTensor { name, shape: vec![counts.len()], data: Values::U32(counts) });
        }
        for (spec, region) in &self.gan.states {
            let data = Values::F32(self.device.read(*region)?);
            tensors.push(NamedTensor { name: spec.name.clone(), shape: spec.shape.to_vec(), data });
        }
        let bits = |v: f64| format!("{:016x}", v.to_bits());
        let meta = [
            ("step", self.step.to_string()),
            ("attempt", self.attempt.to_string()),
            ("decay_g", format!("{} {}", bits(self.decay_g.beta1), bits(self.decay_g.beta2))),
            ("decay_d", format!("{} {}", bits(self.decay_d.beta1), bits(self.decay_d.beta2))),
            ("config", self.settings.config_toml.clone()),
        ];
        Ok(Checkpoint { tensors, meta: meta.into_iter().map(|(k, v)| (k.to_owned(), v)).collect() })
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
        for network in [&self.gan.g, &self.gan.d] {
            for (prefix, region) in flats(network) {
                let mut values = vec![0.0; network.flat.len];
                for entry in &network.flat.entries {
                    let spec = &entry.spec;
                    let shape = layout::torch_shape(spec.layout, &spec.shape);
                    let data = tensor(checkpoint, place, &format!("{prefix}{}", spec.name), &shape)?;
                    let span = layout::from_torch(spec.layout, &spec.shape, data);
                    values[entry.offset..entry.offset + span.len()].copy_from_slice(&span);
                }
                writes.push((region, values));
            }
            match checkpoint.tensor(&format!("nonfinite.{}", network_name(network))).map(|t| &t.data) {
                Some(Values::U32(data)) if data.len() == network.bad.len => counts.push((network.bad, data.clone())),
                _ => return Err(refuse("holds no counters of this model: is it a checkpoint of it?".into())),
            }
        }
        for (spec, region) in &self.gan.states {
            writes.push((*region, tensor(checkpoint, place, &spec.name, &spec.shape)?.to_vec()));
        }
        let meta = |key: &str| {
            checkpoint.meta.get(key).ok_or_else(|| refuse(format!("its header lacks {key}: is it a checkpoint?")))
        };
        let number = |key: &str| meta(key)?.parse::<u64>().map_err(|_| refuse(format!("its header has a bad {key}")));
        let decay = |key: &str| -> Result<Decay> {
            let parse = |t: &str| u64::from_str_radix(t, 16).ok().map(f64::from_bits);
            let pair = meta(key)?.split_once(' ').and_then(|(a, b)| Some((parse(a)?, parse(b)?)));
            let (beta1, beta2) = pair.ok_or_else(|| refuse(format!("its header has a bad {key}")))?;
            Ok(Decay { beta1, beta2 })
        };
        let (step, attempt) = (number("step")?, number("attempt")? as u32);
        let (decay_g, decay_d) = (decay("decay_g")?, decay("decay_d")?);
        for (region, values) in &writes {
            self.device.write(*region, values)?;
        }
        for (region, values) in &counts {
            self.device.write_u32(*region, values)?;
        }
        (self.step, self.attempt, self.decay_g, self.decay_d) = (step, attempt, decay_g, decay_d);
        self.restart_log()
    }
}

/// The flat buffers of a network that a checkpoint holds, with the prefix of their tensors' names.
fn flats(network: &Network) -> Vec<(&'static str, Region)> {
    let mut flats = vec![("", network.param), ("adam.m.", network.m), ("adam.v.", network.v)];
    flats.extend(network.ema.map(|ema| ("ema.", ema)));
    flats
}

fn network_name(network: &Network) -> &str {
    network.flat.entries.first().and_then(|e| e.spec.name.split('.').next()).unwrap_or("network")
}
