//! The feature network of the built-in faces: a compact convolutional network whose pooled activations measure how alike sets of
//! images are. Its heads, which tell factors of a portrait, are for its training alone.

use super::layers::{Conv, batch_norm, bias_of, conv, linear};
use super::pool::global_avg_pool;
use super::{Init, Mode, Scope};
use crate::graph::Tensor;

/// Five convolutions without bias, each with batch norm and ReLU, from 32×32 to 2×2, and the mean over pixels.
///
/// Parameters: `conv1` … `conv5` and `bn1` … `bn5`; of a head of the name `glasses`, `head.glasses`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FaceFeatures;

/// (channels, kernel, stride) of each convolution; padding 1.
const STAGES: [(usize, usize, usize); 5] = [(32, 4, 2), (64, 4, 2), (128, 4, 2), (128, 3, 1), (FaceFeatures::DIMS, 4, 2)];

impl FaceFeatures {
    /// Side of the square RGB images it reads.
    pub const SIZE: usize = 32;
    /// Features of an image.
    pub const DIMS: usize = 64;

    /// Images `[N,32,32,3]` in [-1, 1] to features `[N,64]`, none below 0.
    pub fn features<'g>(self, scope: &Scope<'g>, images: Tensor<'g>, mode: Mode) -> Tensor<'g> {
        let mut x = images;
        for (i, (channels, kernel, stride)) in STAGES.into_iter().enumerate() {
            let layer = Conv { channels, kernel, stride, pad: 1, groups: 1 };
            let init = Init::scaled(2f64.sqrt(), kernel * kernel * x.dim(3));
            x = conv(&scope.child(format!("conv{}", i + 1)), x, layer, init);
            x = batch_norm(&scope.child(format!("bn{}", i + 1)), x, mode, Init::Ones).relu();
        }
        global_avg_pool(x).reshape([x.dim(0), Self::DIMS])
    }

    /// Logits `[N,classes]` of the head `name`.
    pub fn head<'g>(self, scope: &Scope<'g>, name: &str, features: Tensor<'g>, classes: usize) -> Tensor<'g> {
        let (scope, init) = (scope.child(format!("head.{name}")), Init::torch(Self::DIMS));
        bias_of(&scope, "bias", linear(&scope, features, classes, init), init)
    }
}
