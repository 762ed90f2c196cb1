//! Launches of `optim/adam.wgsl`.

use super::params::optim_adam::Params;
use super::{Binding, Dispatch, fold};
use crate::Result;
use crate::plan::Step;

/// The launch of a [`crate::plan::Work::Adam`].
pub fn lower(step: &Step) -> Result<Vec<Dispatch>> {
    let total = step.outputs[0].len;
    let params = Params { total: total as u32, ..Params::default() };
    let reads = step.inputs.iter().map(|&region| Binding::read(region));
    let writes = step.outputs.iter().map(|&region| Binding::write(region));
    Ok(vec![Dispatch::file("optim/adam.wgsl", params, reads.chain(writes).collect(), fold(total.div_ceil(256)))])
}
