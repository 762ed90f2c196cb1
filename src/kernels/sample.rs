//! Launches of `shaders/index/sample*.wgsl`: bilinear sampling, and its adjoint as a gather without atomics.

use super::params::{index_sample, index_sample_adjoint, index_sample_bounds};
use super::{Binding, Dispatch, fold, room};
use crate::Result;
use crate::plan::{Step, Work};

/// Elements of room for the bounds of the grid's 8×8 blocks: (least y, least x, greatest y, greatest x) each.
pub fn scratch(work: &Work) -> usize {
    match work {
        Work::SampleAdjoint { n, to, .. } => 4 * n * blocks(*to),
        _ => 0,
    }
}

/// 8×8 blocks of an extent.
fn blocks(extent: [usize; 2]) -> usize {
    extent[0].div_ceil(8) * extent[1].div_ceil(8)
}

/// The launches of [`Work::Sample`] and [`Work::SampleAdjoint`]; nothing for other work.
///
/// # Errors
/// [`Error::Graph`](crate::Error::Graph) where the step lacks the room that [`scratch`] asks for.
pub fn lower(step: &Step) -> Result<Vec<Dispatch>> {
    let out = step.outputs[0];
    let pair = |v: [usize; 2]| v.map(|v| v as u32);
    match step.work {
        Work::Sample { n, c, from, to } => {
            let params = index_sample::Params {
                n: n as u32,
                channels: c as u32,
                input: pair(from),
                output: pair(to),
                ..Default::default()
            };
            let bindings = vec![Binding::read(step.inputs[0]), Binding::read(step.inputs[1]), Binding::write(out)];
            Ok(vec![Dispatch::file("index/sample.wgsl", params, bindings, fold(out.len.div_ceil(64)))])
        }
        Work::SampleAdjoint { n, c, from, to } => {
            let room = room(step, scratch(&step.work))?;
            let (y, grid) = (step.inputs[0], step.inputs[1]);
            let (input, output) = (pair(from), pair(to));
            let bounds = index_sample_bounds::Params { n: n as u32, input, output, ..Default::default() };
            let params =
                index_sample_adjoint::Params { n: n as u32, channels: c as u32, input, output, ..Default::default() };
            let first = vec![Binding::read(grid), Binding::write(room)];
            let second = vec![Binding::read(y), Binding::read(grid), Binding::read(room), Binding::write(out)];
            let tiles = n * blocks(from) * c.div_ceil(4);
            Ok(vec![
                Dispatch::file("index/sample_bounds.wgsl", bounds, first, fold((n * blocks(to)).div_ceil(64))),
                Dispatch::file("index/sample_adjoint.wgsl", params, second, fold(tiles)),
            ])
        }
        _ => Ok(vec![]),
    }
}
