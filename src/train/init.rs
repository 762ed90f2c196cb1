//! A run that starts from the weights of another.

use super::checkpoint::Checkpoint;
use super::games::attack::belongs_to_run;
use super::sampler::tensor;
use super::state::flat_of;
use super::sums::Sums;
use super::trainer::Trainer;
use crate::Result;
use crate::plan::Region;
use std::path::Path;

impl Trainer {
    /// Takes weights, averaged weights and states (such as batch-norm statistics) of a checkpoint whose networks have the
    /// same names and shapes; `place` is its file. Adam's moments stay 0, and the step and the scales of losses where they are.
    ///
    /// # Errors
    /// A tensor that the checkpoint lacks or holds in another shape, by name; nothing is taken then.
    pub fn init_from(&mut self, checkpoint: &Checkpoint, place: &Path) -> Result<()> {
        let mut writes: Vec<(Region, Vec<f32>)> = vec![];
        for network in &self.assembly.learners {
            let average = network.ema.map(|region| ("ema.", region));
            for (prefix, region) in [Some(("", network.param)), average].into_iter().flatten() {
                writes.push((region, flat_of(checkpoint, place, network, prefix)?));
            }
        }
        for (spec, region) in self.assembly.network_states().filter(|(spec, _)| !belongs_to_run(&spec.name)) {
            writes.push((*region, tensor(checkpoint, place, &spec.name, &spec.shape)?.to_vec()));
        }
        writes.iter().try_for_each(|(region, values)| self.device.write(*region, values))
    }

    /// The checkpoint of a run that has not started: nothing was reported yet.
    ///
    /// # Errors
    /// A device that fails.
    pub fn first_checkpoint(&mut self) -> Result<Checkpoint> {
        let mut state = self.checkpoint()?;
        Sums::default().write(&mut state);
        Ok(state)
    }
}
