//! Noise and cutout of the pipe of Karras 2020.

use super::affine::gate;
use super::draws::Draws;
use super::warp::places;
use super::{outside, per_image};
use crate::graph::Tensor;

/// Standard deviation of the noise's standard deviation.
const NOISE: f64 = 0.1;
/// Side of the hole as a share of the image.
const CUTOUT: f64 = 0.5;

/// x + noise of one strength per image.
pub(super) fn noisy<'g>(x: Tensor<'g>, d: &Draws<'g>, p: Tensor<'g>) -> Tensor<'g> {
    x + d.noise * per_image(gate(p, d.u(22)) * d.n(17).abs().scale(NOISE))
}

/// x with a rectangle of zeros half as high and wide, its middle anywhere in the image.
pub(super) fn cut_out<'g>(x: Tensor<'g>, d: &Draws<'g>, p: Tensor<'g>) -> Tensor<'g> {
    let [h, w] = [x.dim(1), x.dim(2)];
    let [rows, columns] = places(x.graph(), [h, w]);
    let centres = [(rows + 0.5).scale(1.0 / h as f64), (columns + 0.5).scale(1.0 / w as f64)];
    let half = gate(p, d.u(23)).scale(CUTOUT / 2.0);
    x * outside(centres, [d.u(25), d.u(24)], [half, half])
}
