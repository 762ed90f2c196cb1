//! Launches of `optim/adam.wgsl` and `optim/loss_scale.wgsl`.

use super::params::optim_adam::Params;
use super::params::optim_loss_scale as loss_scale;
use super::{Binding, Dispatch, fold};
use crate::Result;
use crate::plan::{LOSS_SCALE, LOSS_SCALE_STEPS, Step};

/// The launch of a [`crate::plan::Work::Adam`].
pub fn lower(step: &Step) -> Result<Vec<Dispatch>> {
    let total = step.outputs[0].len;
    let params = Params { total: total as u32, ..Params::default() };
    let reads = step.inputs.iter().map(|&region| Binding::read(region));
    let writes = step.outputs.iter().map(|&region| Binding::write(region));
    Ok(vec![Dispatch::file("optim/adam.wgsl", params, reads.chain(writes).collect(), fold(total.div_ceil(256)))])
}

/// The launch of a [`crate::plan::Work::LossScale`].
pub fn loss_scale(step: &Step) -> Result<Vec<Dispatch>> {
    let params = loss_scale::Params { start: LOSS_SCALE, steps: LOSS_SCALE_STEPS, ..loss_scale::Params::default() };
    let reads = step.inputs.iter().map(|&region| Binding::read(region));
    let writes = step.outputs.iter().map(|&region| Binding::write(region));
    Ok(vec![Dispatch::file("optim/loss_scale.wgsl", params, reads.chain(writes).collect(), [1; 3])])
}
