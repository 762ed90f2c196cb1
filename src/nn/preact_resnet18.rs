//! The pre-activation residual network with 18 layers (He 2016) in its form for small images: a 3×3 stem without pooling.

use super::layers::{Conv, batch_norm, bias_of, conv, linear};
use super::model::at_least_one;
use super::pool::global_avg_pool;
use super::{Init, Mode, Network, Scope};
use crate::error::Result;
use crate::graph::Tensor;

/// Stages, each with twice the channels and, from the second on, half the side of the one before.
const STAGES: usize = 4;
/// Blocks of a stage.
const BLOCKS: usize = 2;

/// A 3×3 convolution, four stages of two blocks (batch norm, ReLU, 3×3, batch norm, ReLU, 3×3, and the block's input added, through a 1×1
/// convolution of the first activation where shapes change), batch norm, ReLU, the mean over pixels, a linear layer.
///
/// Parameters carry the common names: `conv1`, `layer1.0.bn1`, `layer1.0.conv1`, …, `layer2.0.shortcut.0`, `bn`, `linear`; they are filled
/// as PyTorch does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PreactResnet18 {
    /// Extents of an image: [H, W, C].
    pub image: [usize; 3],
    /// Classes to tell apart.
    pub classes: usize,
    /// Channels of the first stage.
    pub width: usize,
}

impl PreactResnet18 {
    /// The published widths: 64, 128, 256, 512.
    pub fn new(image: [usize; 3], classes: usize) -> PreactResnet18 {
        PreactResnet18 { image, classes, width: 64 }
    }

    /// Whether the numbers make a network; `place` is the file or command line they came from.
    ///
    /// # Errors
    /// A number that is 0.
    pub fn check(&self, place: &str) -> Result<()> {
        at_least_one(place, &[("classes", self.classes), ("width", self.width)])
    }
}

impl Network for PreactResnet18 {
    fn input(&self) -> Vec<usize> {
        self.image.to_vec()
    }

    fn output(&self) -> Vec<usize> {
        vec![self.classes]
    }

    fn forward<'g>(&self, scope: &Scope<'g>, x: Tensor<'g>, _: Option<Tensor<'g>>, mode: Mode) -> Tensor<'g> {
        let mut x = conv3(&scope.child("conv1"), x, self.width, 1);
        for stage in 0..STAGES {
            for block in 0..BLOCKS {
                let scope = scope.child(format!("layer{}.{block}", stage + 1));
                let stride = if stage > 0 && block == 0 { 2 } else { 1 };
                x = residual(&scope, x, self.width << stage, stride, mode);
            }
        }
        let x = batch_norm(&scope.child("bn"), x, mode, Init::Ones).relu();
        let (n, features) = (x.dim(0), x.dim(3));
        let (scope, init) = (scope.child("linear"), Init::torch(features));
        bias_of(&scope, "bias", linear(&scope, global_avg_pool(x).reshape([n, features]), self.classes, init), init)
    }
}

fn conv3<'g>(scope: &Scope<'g>, x: Tensor<'g>, channels: usize, stride: usize) -> Tensor<'g> {
    conv(scope, x, Conv { channels, kernel: 3, stride, pad: 1, groups: 1 }, Init::torch(9 * x.dim(3)))
}

fn residual<'g>(scope: &Scope<'g>, x: Tensor<'g>, channels: usize, stride: usize, mode: Mode) -> Tensor<'g> {
    let active = batch_norm(&scope.child("bn1"), x, mode, Init::Ones).relu();
    let shortcut = if stride != 1 || x.dim(3) != channels {
        let layer = Conv { stride, ..Conv::pointwise(channels) };
        conv(&scope.child("shortcut.0"), active, layer, Init::torch(x.dim(3)))
    } else {
        x
    };
    let y = conv3(&scope.child("conv1"), active, channels, stride);
    let y = batch_norm(&scope.child("bn2"), y, mode, Init::Ones).relu();
    conv3(&scope.child("conv2"), y, channels, 1) + shortcut
}
