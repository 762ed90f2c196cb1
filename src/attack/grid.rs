//! Places on the grid of an image: whole numbers and windows out of comparisons, as there is no rounding among the primitives.

use super::{AttackOptions, refused};
use crate::error::Result;
use crate::graph::{Graph, Tensor};
use crate::nn::softmax::iota;

/// Extents [H, W, C] of the images that an attack is for.
///
/// # Errors
/// Examples that are no images.
pub(super) fn extents(attack: &str, o: &AttackOptions) -> Result<[usize; 3]> {
    <[usize; 3]>::try_from(o.sample.as_slice()).map_err(|_| {
        refused(attack, "sample", format!("{:?}", o.sample), "this attack is for images: height, width, channels")
    })
}

/// Refuses a model of one logit.
///
/// # Errors
/// A model that does not tell classes apart.
pub(super) fn several_classes(attack: &str, o: &AttackOptions) -> Result<()> {
    let hint = "this attack is for models that tell classes apart: use pgd";
    if o.classes < 2 { Err(refused(attack, "classes", o.classes, hint)) } else { Ok(()) }
}

/// The largest whole number up to each number in [0, `below`), by counting how many of 1, …, below−1 it has reached.
pub(super) fn floor(x: Tensor<'_>, below: usize) -> Tensor<'_> {
    let (graph, shape) = (x.graph(), x.shape());
    if below < 2 {
        return graph.constant(0.0, shape);
    }
    let counted = (iota(graph, below - 1) + 1.0).reshape([1, below - 1]);
    let missed = (counted - x.reshape([shape.elems(), 1])).step();
    (-missed + 1.0).sum(&[1]).reshape(shape).detach()
}

/// 1 where `from` ≤ `at` < `until`, else 0; whole numbers.
pub(super) fn within<'g>(at: Tensor<'g>, from: Tensor<'g>, until: Tensor<'g>) -> Tensor<'g> {
    (at - from + 0.5).step() * (until - at - 0.5).step()
}

/// Numbers of the rows `[1,H,1,1]` and columns `[1,1,W,1]` of images.
pub(super) fn rows_and_columns(graph: &Graph, [height, width]: [usize; 2]) -> [Tensor<'_>; 2] {
    [iota(graph, height).reshape([1, height, 1, 1]), iota(graph, width).reshape([1, 1, width, 1])]
}
