//! DCGAN (Radford 2015) in its common form: 4×4 kernels, stride 2, no biases, names as in PyTorch's `nn.Sequential`.

use super::layers::{Conv, batch_norm, batch_stddev, conv, conv_transpose};
use super::model::at_least_one;
use super::{Init, Mode, Pair, Scope};
use crate::error::{Error, Result};
use crate::graph::Tensor;

const WEIGHT: Init = Init::Normal { mean: 0.0, std: 0.02 };
/// The widest stages have so many times the channels of the narrowest.
const MOST: usize = 8;
const NORM: Init = Init::Normal { mean: 1.0, std: 0.02 };

/// The numbers of a DCGAN.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dcgan {
    /// Image side: a power of two from 16. At 64 the published five stages; each halving has one less, each doubling one more.
    pub size: usize,
    /// Latent extent.
    pub z: usize,
    /// Channels of the generator's last hidden stage; they double towards 4×4, up to 8 times.
    pub ngf: usize,
    /// Channels of the discriminator's first stage; they double towards 4×4, up to 8 times.
    pub ndf: usize,
    /// Image channels.
    pub channels: usize,
    /// Batch normalisation in the discriminator (all but its first and last convolution). Turn it off for R1 and
    /// WGAN-GP, which need a gradient per sample.
    pub d_norm: bool,
    /// No stage has more channels.
    pub max_width: usize,
    /// Groups of the minibatch standard deviation that the discriminator's last layer reads beside its features; 0 is none.
    pub stddev: usize,
}

impl Dcgan {
    /// The published numbers at `size`: 100 latents, 64 channels, RGB, batch normalisation in both networks.
    pub fn new(size: usize) -> Dcgan {
        Dcgan { size, z: 100, ngf: 64, ndf: 64, channels: 3, d_norm: true, max_width: usize::MAX, stddev: 0 }
    }

    /// Channels of the stages from 4×4 outwards: 8, 4, 2 and 1 times `width` at 64.
    fn widths(&self, width: usize) -> Vec<usize> {
        let top = self.size / 8;
        (0..=top.ilog2()).map(|i| (width * (top >> i).min(MOST)).min(self.max_width)).collect()
    }
}

impl Pair for Dcgan {
    fn check(&self, place: &str) -> Result<()> {
        at_least_one(place, &[("z", self.z), ("ngf", self.ngf), ("ndf", self.ndf), ("channels", self.channels)])?;
        at_least_one(place, &[("max_width", self.max_width)])?;
        if self.size < 16 || !self.size.is_power_of_two() {
            return Err(Error::setting(place, "size", self.size, "must be a power of two, 16 or more, for dcgan"));
        }
        Ok(())
    }

    fn latent(&self) -> usize {
        self.z
    }

    fn sample(&self) -> Vec<usize> {
        vec![self.size, self.size, self.channels]
    }

    fn generate<'g>(&self, scope: &Scope<'g>, z: Tensor<'g>, mode: Mode) -> Tensor<'g> {
        let main = scope.child("main");
        let mut x = z.reshape([z.dim(0), 1, 1, z.dim(1)]);
        let mut module = 0; // position in the nn.Sequential, activations included
        for (stage, channels) in self.widths(self.ngf).into_iter().enumerate() {
            let (stride, pad) = if stage == 0 { (1, 0) } else { (2, 1) };
            let layer = Conv { channels, kernel: 4, stride, pad, groups: 1 };
            x = conv_transpose(&main.child(module.to_string()), x, layer, WEIGHT);
            x = batch_norm(&main.child((module + 1).to_string()), x, mode, NORM).relu();
            module += 3;
        }
        let layer = Conv { channels: self.channels, kernel: 4, stride: 2, pad: 1, groups: 1 };
        conv_transpose(&main.child(module.to_string()), x, layer, WEIGHT).tanh()
    }

    fn judge<'g>(&self, scope: &Scope<'g>, x: Tensor<'g>, mode: Mode) -> (Tensor<'g>, Tensor<'g>) {
        let main = scope.child("main");
        let n = x.dim(0);
        let mut x = x;
        let mut module = 0;
        for (stage, channels) in self.widths(self.ndf).into_iter().rev().enumerate() {
            let layer = Conv { channels, kernel: 4, stride: 2, pad: 1, groups: 1 };
            x = conv(&main.child(module.to_string()), x, layer, WEIGHT);
            module += 1;
            if self.d_norm && stage > 0 {
                x = batch_norm(&main.child(module.to_string()), x, mode, NORM);
                module += 1;
            }
            x = x.leaky_relu(0.2);
            module += 1;
        }
        let x = batch_stddev(x, self.stddev);
        let layer = Conv { channels: 1, kernel: 4, stride: 1, pad: 0, groups: 1 };
        (conv(&main.child(module.to_string()), x, layer, WEIGHT).reshape([n, 1]), x)
    }
}
