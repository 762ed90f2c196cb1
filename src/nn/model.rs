//! The models a run can choose from, behind one interface: a generator of samples and a discriminator of them.

use super::{Dcgan, Mlp, Mode, R3gan, Scope};
use crate::error::{Error, Result};
use crate::graph::{Shape, Tensor};

/// A generator and its discriminator.
#[derive(Clone, Debug, PartialEq)]
pub enum Model {
    /// Transposed convolutions and batch normalisation.
    Dcgan(Dcgan),
    /// Residual blocks without normalisation.
    R3gan(R3gan),
    /// Fully connected, for points of the plane.
    Mlp(Mlp),
}

impl Model {
    /// Whether the numbers make a network; `place` is the file or command line they came from.
    ///
    /// The other methods rely on this: they panic on a model that fails it.
    pub fn check(&self, place: &str) -> Result<()> {
        match self {
            Model::Dcgan(m) => m.check(place),
            Model::R3gan(m) => m.check(place),
            Model::Mlp(m) => m.check(place),
        }
    }

    /// Extent of the latent vector: the generator reads z [N, this].
    pub fn latent(&self) -> usize {
        match self {
            Model::Dcgan(m) => m.z,
            Model::R3gan(m) => m.z,
            Model::Mlp(m) => m.z,
        }
    }

    /// Extents of `n` samples: `[N,H,W,C]` images in [-1, 1], or `[N,2]` points.
    pub fn sample_shape(&self, n: usize) -> Shape {
        match self {
            Model::Dcgan(m) => [n, m.size, m.size, m.channels].into(),
            Model::R3gan(m) => [n, m.size, m.size, m.channels].into(),
            Model::Mlp(_) => [n, 2].into(),
        }
    }

    /// Samples of latents z [N, [`Model::latent`]].
    pub fn generator<'g>(&self, scope: &Scope<'g>, z: Tensor<'g>, mode: Mode) -> Tensor<'g> {
        match self {
            Model::Dcgan(m) => m.generator(scope, z, mode),
            Model::R3gan(m) => m.generator(scope, z),
            Model::Mlp(m) => m.generator(scope, z),
        }
    }

    /// Raw logits `[N,1]` of samples; larger means more real.
    pub fn discriminator<'g>(&self, scope: &Scope<'g>, x: Tensor<'g>, mode: Mode) -> Tensor<'g> {
        match self {
            Model::Dcgan(m) => m.discriminator(scope, x, mode),
            Model::R3gan(m) => m.discriminator(scope, x),
            Model::Mlp(m) => m.discriminator(scope, x),
        }
    }
}

/// Refuses a setting that is zero.
pub(super) fn at_least_one(place: &str, settings: &[(&str, usize)]) -> Result<()> {
    match settings.iter().find(|(_, value)| *value == 0) {
        Some((key, _)) => Err(Error::setting(place, *key, 0, "must be at least 1")),
        None => Ok(()),
    }
}
