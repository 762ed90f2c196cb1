//! Fully connected generator and discriminator, for points of the plane (ring and grid of Gaussians) and for images.

use super::layers::{bias, flatten, linear};
use super::model::at_least_one;
use super::{Init, Mode, Pair, Scope};
use crate::error::Result;
use crate::graph::Tensor;

/// What follows each hidden layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activation {
    /// max(x, 0)
    Relu,
    /// x where positive, else 0.2·x
    Leaky,
}

/// The numbers of a pair of fully connected networks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mlp {
    /// Latent extent.
    pub z: usize,
    /// Units of each hidden layer.
    pub hidden: usize,
    /// Hidden layers.
    pub layers: usize,
    /// What follows each of them.
    pub activation: Activation,
    /// Extents of a sample: `[2]`, or `[H,W,C]` of images, which the generator ends in a tanh.
    pub sample: Vec<usize>,
}

impl Pair for Mlp {
    fn check(&self, place: &str) -> Result<()> {
        at_least_one(
            place,
            &[
                ("z", self.z),
                ("hidden", self.hidden),
                ("layers", self.layers),
                ("sample", self.sample.iter().product()),
            ],
        )
    }

    fn latent(&self) -> usize {
        self.z
    }

    fn sample(&self) -> Vec<usize> {
        self.sample.clone()
    }

    fn generate<'g>(&self, scope: &Scope<'g>, z: Tensor<'g>, _: Mode) -> Tensor<'g> {
        let y = self.network(scope, z, self.sample.iter().product()).0;
        let [h, w, c] = self.sample[..] else { return y };
        // PyTorch's order of features: channel, row, column.
        y.tanh().reshape([z.dim(0), c, h, w]).permute(&[0, 2, 3, 1])
    }

    fn judge<'g>(&self, scope: &Scope<'g>, x: Tensor<'g>, _: Mode) -> (Tensor<'g>, Tensor<'g>) {
        self.network(scope, flatten(x), 1)
    }
}

impl Mlp {
    /// (rows of `out` numbers, the features of the last hidden layer).
    fn network<'g>(&self, scope: &Scope<'g>, mut x: Tensor<'g>, out: usize) -> (Tensor<'g>, Tensor<'g>) {
        let main = scope.child("main");
        let (slope, gain): (f64, f64) = match self.activation {
            Activation::Relu => (0.0, 2.0),
            Activation::Leaky => (0.2, 2.0 / 1.04),
        };
        for layer in 0..self.layers {
            x = affine(&main.child((2 * layer).to_string()), x, self.hidden, gain.sqrt()).leaky_relu(slope);
        }
        (affine(&main.child((2 * self.layers).to_string()), x, out, 1.0), x)
    }
}

/// `weight` [in,out] and `bias` [out].
fn affine<'g>(scope: &Scope<'g>, x: Tensor<'g>, out: usize, gain: f64) -> Tensor<'g> {
    let init = Init::scaled(gain, x.dim(1));
    bias(scope, "bias", linear(scope, x, out, init))
}
