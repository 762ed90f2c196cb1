//! The residual networks of spectrally normalised GANs (Miyato 2018), conditional ones with class-conditional batch normalisation and
//! projection (Miyato & Koyama 2018). Names are those of the published code in PyTorch's words: `block2.c1.weight`, `block1.c_sc.weight_orig`.

use super::layers::{BatchNorm, Conv, batch_norm, batch_stddev, bias, conditional_batch_norm, conv, linear, sum_pool};
use super::model::at_least_one;
use super::pool::{avg_pool, upsample_nearest};
use super::spectral::{spectral_conv, spectral_embedding, spectral_linear};
use super::{Init, Mode, Pair, Scope};
use crate::error::{Error, Result};
use crate::graph::Tensor;

/// The widest stages have so many times the channels of the narrowest.
const MOST: usize = 16;

/// The numbers of a residual SNGAN. Where generator and discriminator shall differ, describe each by a value of its own:
/// [`super::Generator`] reads one, [`super::Discriminator`] the other.
///
/// The generator: a linear layer to 4×4, a block for each doubling (batch norm, ReLU, nearest upsampling, 3×3, batch norm, ReLU, 3×3, and
/// the input through upsampling and 1×1), batch norm, ReLU, 3×3, tanh. The discriminator: blocks (ReLU, 3×3, ReLU, 3×3, mean of 2×2,
/// and the input through 1×1 and the mean) without normalisation of activations, ReLU, the sum over pixels, a linear layer; spectral
/// normalisation of every weight. At 32 all stages are as wide, and of four blocks of the discriminator the first two halve the image;
/// above 32 channels double inwards, up to 16 times.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SnganResnet {
    /// Image side: 32, 64 or 128.
    pub size: usize,
    /// Latent extent.
    pub z: usize,
    /// Channels at full resolution.
    pub width: usize,
    /// Image channels.
    pub channels: usize,
    /// Groups of the minibatch standard deviation that the discriminator's last layer reads beside its features; 0 is none.
    pub stddev: usize,
}

/// How a generator is told classes: labels `[N]` and how many there are.
type Classes<'g> = Option<(Tensor<'g>, usize)>;

impl SnganResnet {
    /// At `size`, with the published 128 latents; `width` channels at full resolution (published at 32: 256 of the generator, 128 of the
    /// discriminator; at 64 and 128: 64).
    pub fn new(size: usize, width: usize) -> SnganResnet {
        SnganResnet { size, z: 128, width, channels: 3, stddev: 0 }
    }

    /// Doublings from 4 to the side of the image.
    fn doublings(&self) -> usize {
        (self.size / 4).ilog2() as usize
    }

    /// Channels of the generator at 4×4 and after each doubling.
    fn up_widths(&self) -> Vec<usize> {
        let n = self.doublings();
        (0..=n).map(|i| if n <= 3 { self.width } else { self.width * (1 << (n - i)).min(MOST) }).collect()
    }

    /// Channels of the discriminator after each block, and whether the block halves the image.
    fn down_widths(&self) -> Vec<(usize, bool)> {
        let n = self.doublings();
        if n <= 3 {
            return (0..4).map(|i| (self.width, i < 2)).collect();
        }
        (0..=n).map(|i| (self.width * (1 << i).min(MOST), i < 5)).collect()
    }

    fn make<'g>(&self, scope: &Scope<'g>, z: Tensor<'g>, classes: Classes<'g>, mode: Mode) -> Tensor<'g> {
        let widths = self.up_widths();
        let (n, c) = (z.dim(0), widths[0]);
        let first = scope.child("l1");
        let row = bias(&first, "bias", linear(&first, z, 16 * c, Init::glorot(1.0, z.dim(1), 16 * c)));
        let mut x = row.reshape([n, c, 4, 4]).permute(&[0, 2, 3, 1]);
        for (i, &width) in widths[1..].iter().enumerate() {
            x = up_block(&scope.child(format!("block{}", i + 2)), x, width, classes, mode);
        }
        let last = widths.len() + 1;
        let x = batch_norm(&scope.child(format!("b{last}")), x, mode, Init::Ones).relu();
        plain(&scope.child(format!("conv{last}")), x, self.channels, 3, 1.0).tanh()
    }
}

/// A biased convolution that keeps the extent.
fn plain<'g>(scope: &Scope<'g>, x: Tensor<'g>, channels: usize, kernel: usize, gain: f64) -> Tensor<'g> {
    let layer = same(channels, kernel);
    bias(scope, "bias", conv(scope, x, layer, fill(gain, x.dim(3), layer)))
}

/// The same with spectral normalisation.
fn normalised<'g>(
    scope: &Scope<'g>,
    x: Tensor<'g>,
    channels: usize,
    kernel: usize,
    gain: f64,
    mode: Mode,
) -> Tensor<'g> {
    let layer = same(channels, kernel);
    bias(scope, "bias", spectral_conv(scope, x, layer, fill(gain, x.dim(3), layer), mode))
}

fn same(channels: usize, kernel: usize) -> Conv {
    Conv { channels, kernel, stride: 1, pad: kernel / 2, groups: 1 }
}

fn fill(gain: f64, from: usize, layer: Conv) -> Init {
    let window = layer.kernel * layer.kernel;
    Init::glorot(gain, window * from, window * layer.channels)
}

fn up_block<'g>(scope: &Scope<'g>, x: Tensor<'g>, width: usize, classes: Classes<'g>, mode: Mode) -> Tensor<'g> {
    let norm = |name: &str, x| match classes {
        None => batch_norm(&scope.child(name), x, mode, Init::Ones),
        Some((labels, count)) => {
            conditional_batch_norm(&scope.child(name), x, labels, count, mode, BatchNorm::new(Init::Ones))
        }
    };
    let gain = 2f64.sqrt();
    let h = upsample_nearest(norm("b1", x).relu(), 2);
    let h = norm("b2", plain(&scope.child("c1"), h, width, 3, gain)).relu();
    let h = plain(&scope.child("c2"), h, width, 3, gain);
    // A map of single pixels may come before they are repeated.
    h + upsample_nearest(plain(&scope.child("c_sc"), x, width, 1, 1.0), 2)
}

/// The `first` block reads the image itself, without a rectifier before.
fn down_block<'g>(
    scope: &Scope<'g>,
    x: Tensor<'g>,
    (width, halves): (usize, bool),
    first: bool,
    mode: Mode,
) -> Tensor<'g> {
    let gain = 2f64.sqrt();
    let half = |x| if halves { avg_pool(x, 2, 2) } else { x };
    let (from, hidden) = if first { (x, width) } else { (x.relu(), x.dim(3)) };
    let h = normalised(&scope.child("c1"), from, hidden, 3, gain, mode).relu();
    let h = half(normalised(&scope.child("c2"), h, width, 3, gain, mode));
    if !halves && x.dim(3) == width {
        return h + x;
    }
    // A map of single pixels may come after their mean.
    h + normalised(&scope.child("c_sc"), half(x), width, 1, 1.0, mode)
}

impl Pair for SnganResnet {
    fn check(&self, place: &str) -> Result<()> {
        at_least_one(place, &[("z", self.z), ("width", self.width), ("channels", self.channels)])?;
        if ![32, 64, 128].contains(&self.size) {
            return Err(Error::setting(place, "size", self.size, "must be 32, 64 or 128 for sngan-resnet"));
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
        self.make(scope, z, None, mode)
    }

    fn generate_class<'g>(
        &self,
        scope: &Scope<'g>,
        z: Tensor<'g>,
        labels: Tensor<'g>,
        [classes, _]: [usize; 2],
        mode: Mode,
    ) -> Tensor<'g> {
        self.make(scope, z, Some((labels, classes)), mode)
    }

    fn judge<'g>(&self, scope: &Scope<'g>, x: Tensor<'g>, mode: Mode) -> (Tensor<'g>, Tensor<'g>) {
        let blocks = self.down_widths();
        let mut x = x;
        for (i, block) in blocks.iter().enumerate() {
            x = down_block(&scope.child(format!("block{}", i + 1)), x, *block, i == 0, mode);
        }
        let x = batch_stddev(x.relu(), self.stddev);
        let features = sum_pool(x);
        let last = scope.child(format!("l{}", blocks.len() + 1));
        let init = Init::glorot(1.0, features.dim(1), 1);
        (bias(&last, "bias", spectral_linear(&last, features, 1, init, mode)), features)
    }

    fn judge_class<'g>(
        &self,
        scope: &Scope<'g>,
        x: Tensor<'g>,
        labels: Tensor<'g>,
        classes: usize,
        mode: Mode,
    ) -> Tensor<'g> {
        let (logit, features) = self.judge(scope, x, mode);
        let extents = [classes, features.dim(1)];
        let init = Init::glorot(1.0, extents[0], extents[1]);
        logit + (spectral_embedding(&scope.child("l_y"), labels, extents, init, mode) * features).sum(&[1])
    }
}
