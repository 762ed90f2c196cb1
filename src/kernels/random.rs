//! Launches of `random/`: random numbers, and the count of rounds that tells their runs apart.

use super::params::random_rand::Params;
use super::params::random_round;
use super::{Binding, Dispatch, RNG_REGION, fold};
use crate::Result;
use crate::graph::Dist;
use crate::plan::{Step, Work};

/// The launch of a [`Work::Rand`].
pub fn lower(step: &Step) -> Result<Vec<Dispatch>> {
    let &Work::Rand { dist, stream } = &step.work else { return Ok(vec![]) };
    let total = step.outputs[0].len;
    let normal = u32::from(dist == Dist::Normal);
    let params = Params { total: total as u32, stream, normal, ..Params::default() };
    let bindings = vec![Binding::read(RNG_REGION), Binding::write(step.outputs[0])];
    Ok(vec![Dispatch::file("random/rand.wgsl", params, bindings, fold(total.div_ceil(4 * 256)))])
}

/// The launch of a [`Work::Round`].
pub fn round(step: &Step) -> Result<Vec<Dispatch>> {
    let &Work::Round { reset } = &step.work else { return Ok(vec![]) };
    let params = random_round::Params { reset: u32::from(reset), ..random_round::Params::default() };
    Ok(vec![Dispatch::file("random/round.wgsl", params, vec![Binding::write(step.outputs[0])], [1; 3])])
}
