//! R3GAN (Huang 2024): residual networks without any normalisation, meant for the relativistic loss with R1 and R2.
//!
//! A stage is residual blocks of 1×1 → grouped 3×3 → 1×1 at one resolution; a bilinear resampling and, where the widths
//! differ, a 1×1 convolution join stages. Parameters carry the published names.

use super::layers::{Conv, batch_stddev, bias, conv, linear};
use super::model::at_least_one;
use super::resample::{down, up};
use super::{Init, Layout, Mode, Pair, Scope};
use crate::error::{Error, Result};
use crate::graph::Tensor;

const SLOPE: f64 = 0.2;

/// The numbers of an R3GAN; the discriminator mirrors the generator. Where the two shall differ, describe each by a value of
/// its own: [`super::Generator`] reads one, [`super::Discriminator`] the other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct R3gan {
    /// Image side: a power of two from 16 to 256.
    pub size: usize,
    /// Latent extent.
    pub z: usize,
    /// Channels of each stage from 4×4 outwards; as many as the doublings from 4 to `size`, plus one. `expansion` times each is a multiple
    /// of `group_width`.
    pub widths: Vec<usize>,
    /// Residual blocks of each stage, in the same order.
    pub blocks: Vec<usize>,
    /// Image channels.
    pub channels: usize,
    /// Channels inside a block per channel of its stage; published: 2.
    pub expansion: usize,
    /// Channels that a group of a 3×3 convolution reads; published: 16 (96 groups of 2·768 channels).
    pub group_width: usize,
    /// Groups of the minibatch standard deviation that the discriminator's last layers read beside their features; 0, as published, is none.
    pub stddev: usize,
}

impl R3gan {
    /// A compact one for a single GPU: 128 channels up to 16×16, then half as many at each doubling, 2 blocks a stage.
    pub fn compact(size: usize) -> R3gan {
        let stages = (size / 4).max(1).ilog2() as usize + 1;
        let widths = (0..stages).map(|s| (128 >> s.saturating_sub(2)).max(16)).collect();
        let blocks = vec![2; stages];
        R3gan { size, z: 64, widths, blocks, channels: 3, expansion: 2, group_width: 16, stddev: 0 }
    }

    /// x after the residual blocks of the discriminator's `stage`, and the scope of the transition that follows them.
    fn judge_blocks<'g>(&self, scope: &Scope<'g>, mut x: Tensor<'g>, stage: usize) -> (Tensor<'g>, Scope<'g>) {
        let layers = scope.child(format!("MainLayers.{stage}.Layers"));
        let blocks = self.blocks[self.blocks.len() - 1 - stage];
        for block in 0..blocks {
            x = self.residual(&layers.child(block.to_string()), x);
        }
        (x, layers.child(blocks.to_string()))
    }

    /// x + a block of three convolutions that starts as zero. The gain makes the variance of an update independent of
    /// the number of blocks (fix-up initialisation, Zhang 2019).
    fn residual<'g>(&self, scope: &Scope<'g>, x: Tensor<'g>) -> Tensor<'g> {
        let (width, inner) = (x.dim(3), self.expansion * x.dim(3));
        let depth = self.blocks.iter().sum::<usize>() as f64;
        let gain = (2.0 / (1.0 + SLOPE * SLOPE)).sqrt() * depth.powf(-0.25);
        let grouped = Conv { channels: inner, kernel: 3, stride: 1, pad: 1, groups: inner / self.group_width };
        let layer = |n: usize| scope.child(format!("LinearLayer{n}.Layer"));
        let activate = |n: usize, y| bias(&scope.child(format!("NonLinearity{n}")), "Bias", y).leaky_relu(SLOPE);
        let y = activate(1, conv(&layer(1), x, Conv::pointwise(inner), Init::scaled(gain, width)));
        let y = activate(2, conv(&layer(2), y, grouped, Init::scaled(gain, 9 * self.group_width)));
        x + conv(&layer(3), y, Conv::pointwise(width), Init::Zeros)
    }
}

impl Pair for R3gan {
    fn check(&self, place: &str) -> Result<()> {
        at_least_one(place, &[("z", self.z), ("channels", self.channels)])?;
        at_least_one(place, &[("expansion", self.expansion), ("group_width", self.group_width)])?;
        if !(16..=256).contains(&self.size) || !self.size.is_power_of_two() {
            return Err(Error::setting(place, "size", self.size, "must be 16, 32, 64, 128 or 256 for r3gan"));
        }
        let stages = (self.size / 4).ilog2() as usize + 1;
        for (key, list) in [("widths", &self.widths), ("blocks", &self.blocks)] {
            if list.len() != stages || list.contains(&0) {
                let hint = format!("must be {stages} numbers from 1, one per resolution from 4 to {}", self.size);
                return Err(Error::setting(place, key, format!("{list:?}"), hint));
            }
        }
        if self.widths.iter().any(|w| !(w * self.expansion).is_multiple_of(self.group_width)) {
            let least = (1..).find(|w| (w * self.expansion).is_multiple_of(self.group_width)).unwrap_or(1);
            let hint = format!("must be multiples of {least}");
            return Err(Error::setting(place, "widths", format!("{:?}", self.widths), hint));
        }
        Ok(())
    }

    fn latent(&self) -> usize {
        self.z
    }

    fn sample(&self) -> Vec<usize> {
        vec![self.size, self.size, self.channels]
    }

    fn generate<'g>(&self, scope: &Scope<'g>, z: Tensor<'g>, _: Mode) -> Tensor<'g> {
        let mut x = z; // replaced by the basis of stage 0
        for (stage, (&width, &blocks)) in self.widths.iter().zip(&self.blocks).enumerate() {
            let layers = scope.child(format!("MainLayers.{stage}.Layers"));
            let transition = layers.child("0");
            x = if stage == 0 {
                generative_basis(&transition, z, width)
            } else {
                up(change_width(&transition, x, width))
            };
            for block in 1..=blocks {
                x = self.residual(&layers.child(block.to_string()), x);
            }
        }
        conv(&scope.child("AggregationLayer.Layer"), x, Conv::pointwise(self.channels), Init::scaled(1.0, x.dim(3)))
    }

    fn judge<'g>(&self, scope: &Scope<'g>, x: Tensor<'g>, _: Mode) -> (Tensor<'g>, Tensor<'g>) {
        let (basis, features) = self.features(scope, x);
        (linear(&basis.child("LinearLayer"), features, 1, Init::scaled(1.0, features.dim(1))), features)
    }

    /// A linear map of the class's one-hot vector stands beside the latent: `EmbeddingLayer.weight`.
    fn generate_class<'g>(
        &self,
        scope: &Scope<'g>,
        z: Tensor<'g>,
        labels: Tensor<'g>,
        extents: [usize; 2],
        mode: Mode,
    ) -> Tensor<'g> {
        self.generate(scope, Tensor::concat(&[z, class_vector(scope, labels, extents, 1.0)], 1), mode)
    }

    /// The last layer makes as many numbers as the widest stage has channels, and the logit is their product with a vector of the class.
    fn judge_class<'g>(
        &self,
        scope: &Scope<'g>,
        x: Tensor<'g>,
        labels: Tensor<'g>,
        classes: usize,
        _: Mode,
    ) -> Tensor<'g> {
        let width = self.widths[0];
        let (basis, features) = self.features(scope, x);
        let said = linear(&basis.child("LinearLayer"), features, width, Init::scaled(1.0, features.dim(1)));
        let gain = (width as f64).powf(-0.5);
        (said * class_vector(scope, labels, [classes, width], gain)).sum(&[1])
    }
}

impl R3gan {
    /// One number per channel of the last stage (a depthwise 4×4 convolution), `[N,F]`, and the scope of the layer that makes them.
    fn features<'g>(&self, scope: &Scope<'g>, x: Tensor<'g>) -> (Scope<'g>, Tensor<'g>) {
        let last = self.widths.len() - 1;
        let extract = Conv::pointwise(self.widths[last]);
        let mut x = conv(&scope.child("ExtractionLayer.Layer"), x, extract, Init::scaled(1.0, self.channels));
        for stage in 0..last {
            let (y, transition) = self.judge_blocks(scope, x, stage);
            x = change_width(&transition, down(y), self.widths[last - stage - 1]);
        }
        let (y, basis) = self.judge_blocks(scope, x, last);
        let x = batch_stddev(y, self.stddev);
        let (n, width) = (x.dim(0), x.dim(3));
        let depthwise = Conv { channels: width, kernel: 4, stride: 1, pad: 0, groups: width };
        let features = conv(&basis.child("Basis"), x, depthwise, Init::scaled(1.0, 16)).reshape([n, width]);
        (basis, features)
    }
}

/// A 1×1 convolution where the widths of two stages differ.
fn change_width<'g>(scope: &Scope<'g>, x: Tensor<'g>, width: usize) -> Tensor<'g> {
    if x.dim(3) == width {
        return x;
    }
    conv(&scope.child("LinearLayer.Layer"), x, Conv::pointwise(width), Init::scaled(1.0, x.dim(3)))
}

/// A learned 4×4 image per channel, scaled by a linear map of z.
fn generative_basis<'g>(scope: &Scope<'g>, z: Tensor<'g>, width: usize) -> Tensor<'g> {
    let basis = scope.param("Basis", [width, 4, 4], Init::Normal { mean: 0.0, std: 1.0 }, Layout::Plain);
    let scale = linear(&scope.child("LinearLayer"), z, width, Init::scaled(1.0, z.dim(1)));
    basis.permute(&[1, 2, 0]).reshape([1, 4, 4, width]) * scale.reshape([z.dim(0), 1, 1, width])
}

/// Rows `[N,width]` of the linear map `EmbeddingLayer` of one-hot vectors, one per class number of `labels`.
fn class_vector<'g>(scope: &Scope<'g>, labels: Tensor<'g>, [classes, width]: [usize; 2], gain: f64) -> Tensor<'g> {
    let init = Init::scaled(gain, classes);
    scope.child("EmbeddingLayer").param("weight", [classes, width], init, Layout::Linear).gather(labels)
}
