//! Launches of `shape/pad.wgsl`.

use super::params::shape_pad::Params;
use super::{Binding, Dispatch, fold};
use crate::plan::{Step, Work};
use crate::{Error, Result};

/// The launch of a [`Work::Pad`].
pub fn lower(step: &Step) -> Result<Vec<Dispatch>> {
    let Work::Pad { from, to, start } = &step.work else { return Ok(vec![]) };
    let axes = merge(from, to, start);
    let mut params = Params { total: to.elems() as u32, rank: axes.len() as u32, ..Params::default() };
    if axes.len() > params.axes.len() {
        return Err(Error::Graph(format!("{}: padding of {from} to {to} along more than 8 axes", step.label)));
    }
    let mut stride = 1;
    for (slot, &[from, to, start]) in params.axes[..axes.len()].iter_mut().zip(&axes).rev() {
        *slot = [to, from, start, stride].map(|v| v as u32);
        stride *= from;
    }
    let bindings = vec![Binding::read(step.inputs[0]), Binding::write(step.outputs[0])];
    Ok(vec![Dispatch::file("shape/pad.wgsl", params, bindings, fold(to.elems().div_ceil(256)))])
}

/// [from, to, start] of each axis, an axis that is not padded merged into its left neighbour.
fn merge(from: &[usize], to: &[usize], start: &[usize]) -> Vec<[usize; 3]> {
    let mut axes: Vec<[usize; 3]> = vec![];
    for ((&from, &to), &start) in from.iter().zip(to).zip(start) {
        match axes.last_mut() {
            Some(left) if from == to => *left = left.map(|v| v * to),
            _ => axes.push([from, to, start]),
        }
    }
    axes
}

#[cfg(test)]
mod tests {
    use super::merge;

    #[test]
    fn merges_axes_without_padding() {
        assert_eq!(merge(&[2, 3, 4], &[5, 3, 4], &[1, 0, 0]), [[24, 60, 12]]);
        assert_eq!(merge(&[2, 3, 4], &[2, 5, 4], &[0, 1, 0]), [[2, 2, 0], [12, 20, 4]]);
    }
}
