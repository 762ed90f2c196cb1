//! The models a run can choose from, behind one interface: a generator of samples and a discriminator of them.

use super::{Dcgan, Mlp, Mode, Pair, R3gan, Scope, SnganResnet};
use crate::error::{Error, Result};
use crate::graph::{Shape, Tensor};

/// A generator and its discriminator.
#[derive(Clone, Debug, PartialEq)]
pub enum Model {
    /// Transposed convolutions and batch normalisation.
    Dcgan(Dcgan),
    /// Residual blocks without normalisation.
    R3gan(R3gan),
    /// Residual blocks, batch normalisation and spectral normalisation.
    Sngan(SnganResnet),
    /// Fully connected, for points of the plane and for images.
    Mlp(Mlp),
}

impl Model {
    /// Whether the numbers make a network; `place` is the file or command line they came from.
    ///
    /// The other methods rely on this: they panic on a model that fails it.
    pub fn check(&self, place: &str) -> Result<()> {
        Pair::check(self, place)
    }

    /// Extent of the latent vector: the generator reads z [N, this].
    pub fn latent(&self) -> usize {
        Pair::latent(self)
    }

    /// Extents of `n` samples: `[N,H,W,C]` images in [-1, 1], or `[N,2]` points.
    pub fn sample_shape(&self, n: usize) -> Shape {
        [vec![n], self.sample()].concat().into()
    }

    /// Samples of latents z [N, [`Model::latent`]].
    pub fn generator<'g>(&self, scope: &Scope<'g>, z: Tensor<'g>, mode: Mode) -> Tensor<'g> {
        self.generate(scope, z, mode)
    }

    /// Raw logits `[N,1]` of samples; larger means more real.
    pub fn discriminator<'g>(&self, scope: &Scope<'g>, x: Tensor<'g>, mode: Mode) -> Tensor<'g> {
        self.judge(scope, x, mode).0
    }
}

/// Refuses a setting that is zero.
pub(super) fn at_least_one(place: &str, settings: &[(&str, usize)]) -> Result<()> {
    match settings.iter().find(|(_, value)| *value == 0) {
        Some((key, _)) => Err(Error::setting(place, *key, 0, "must be at least 1")),
        None => Ok(()),
    }
}
