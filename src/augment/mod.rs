//! Differentiable augmentation of images: what a discriminator is shown instead of a batch, so that it can't learn a small data set
//! by heart.
//!
//! Uses `graph` and `nn` (whole numbers in a row). Each transform is a function of images `[N,H,W,C]` and of numbers drawn per image,
//! made of primitives, so that gradients of any order flow through it; what is drawn is data. Deliberately absent: how strong it
//! is at a step, and where in a step it applies: that is the game's.

mod affine;
mod colour;
mod corrupt;
mod diffaugment;
mod draws;
mod filter;
mod pipe;
mod warp;
mod wavelet;

pub use diffaugment::{DiffAugment, DiffTransform};
pub use draws::Draws;
pub use pipe::{AdaPipe, AdaTransforms};

use crate::graph::Tensor;
use crate::nn::softmax::iota;

/// A number per image, `[N,1]`, as `[N,1,1,1]`.
fn per_image(v: Tensor<'_>) -> Tensor<'_> {
    v.reshape([v.dim(0), 1, 1, 1])
}

/// 0 inside of a rectangle, else 1, as `[N,H,W,1]`. `middle` is its (row, column) and `half` are half its extents, each per image `[N,1]`, in the
/// unit of `places`, the numbers of rows `[1,H,1,1]` and columns `[1,1,W,1]`.
fn outside<'g>(places: [Tensor<'g>; 2], middle: [Tensor<'g>; 2], half: [Tensor<'g>; 2]) -> Tensor<'g> {
    let near = |axis: usize| (per_image(half[axis]) - (places[axis] - per_image(middle[axis])).abs()).step();
    (near(0) * near(1)).scale(-1.0) + 1.0
}

/// How many of the thresholds `first`, `first + step`, … (`count` of them) each number of v `[M,1]` is above.
fn passed(v: Tensor<'_>, first: f64, step: f64, count: usize) -> Tensor<'_> {
    let thresholds = (iota(v.graph(), count).scale(step) + first).reshape([1, count]);
    (v - thresholds).step().sum(&[1])
}
