//! Brightness, contrast, luma flip, hue and saturation of the pipe of Karras 2020, as one affine map of colours.

use super::affine::{direction, gate, power_of_two};
use super::draws::Draws;
use super::per_image;
use crate::graph::Tensor;
use crate::nn::softmax::iota;

/// Standard deviations: of what is added, of the binary logarithms of contrast and saturation. Published.
const BRIGHTNESS: f64 = 0.2;
const CONTRAST: f64 = 0.5;
const SATURATION: f64 = 1.0;

/// An affine map of colours per image, each `[M,1]`. The grey part of a colour (its mean m, in all channels) and the rest (x − m, at right
/// angles to it) go their own ways: grey is scaled and shifted, the rest scaled and turned around the grey axis.
#[derive(Clone, Copy, Debug)]
pub(super) struct Colour<'g> {
    /// What grey is multiplied by, and what is added then.
    grey: Tensor<'g>,
    shift: Tensor<'g>,
    /// What the rest is multiplied by, and how much of it at right angles is added.
    rest: Tensor<'g>,
    turn: Tensor<'g>,
}

impl<'g> Colour<'g> {
    pub fn draw(d: &Draws<'g>, p: Tensor<'g>) -> Colour<'g> {
        let brightness = gate(p, d.u(12)) * d.n(8).scale(BRIGHTNESS);
        let contrast = power_of_two(gate(p, d.u(13)), d.n(9), CONTRAST);
        let flips = (gate(p, d.u(15)) * (d.u(14) - 0.5).step()).scale(-2.0) + 1.0;
        let [cos, sin] = direction(gate(p, d.u(16)), d.n(10), d.n(11));
        let saturation = power_of_two(gate(p, d.u(17)), d.n(12), SATURATION);
        let (grey, rest) = (contrast * flips, contrast * saturation);
        Colour { grey, shift: grey * brightness, rest: rest * cos, turn: (rest * sin).scale(1.0 / 3f64.sqrt()) }
    }

    /// `n` images from number `from` on.
    pub fn part(self, from: usize, n: usize) -> Colour<'g> {
        let [grey, shift, rest, turn] =
            [self.grey, self.shift, self.rest, self.turn].map(|v| v.slice(&[from, 0], [n, 1]));
        Colour { grey, shift, rest, turn }
    }

    /// x `[N,H,W,C]` in other colours; grey images, of one channel, have neither hue nor saturation.
    pub fn apply(&self, x: Tensor<'g>) -> Tensor<'g> {
        let [grey, shift, rest, turn] = [self.grey, self.shift, self.rest, self.turn].map(per_image);
        if x.dim(3) == 1 {
            return x * grey + shift;
        }
        let mean = x.mean(&[3]);
        // In this form the identity is exact: 1·x and nothing else.
        x * rest + mean * (grey - rest) + at_right_angles(x) * turn + shift
    }
}

/// (1, 1, 1) × x for the colours x `[N,H,W,3]`: (b − g, r − b, g − r).
fn at_right_angles(x: Tensor<'_>) -> Tensor<'_> {
    let pixels = x.shape().elems() / 3;
    let at = iota(x.graph(), 3);
    // ½d³ − 3/2·d is the antisymmetric −1, 1 at d = 1, 2.
    let d = at.reshape([3, 1]) - at.reshape([1, 3]);
    let turn = d * (d.square().scale(0.5) - 1.5);
    x.reshape([pixels, 3]).matmul(turn).reshape(x.shape())
}
