//! Launches of `random/rand.wgsl`.

use super::params::random_rand::Params;
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
