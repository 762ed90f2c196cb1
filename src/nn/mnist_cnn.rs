//! The classifier of the MNIST challenge (Madry 2018), for images of any size.

use super::layers::{Conv, bias_of, conv, flatten, linear};
use super::model::at_least_one;
use super::pool::max_pool;
use super::{Init, Mode, Network, Scope};
use crate::error::Result;
use crate::graph::Tensor;

/// Convolution 5×5, ReLU, largest of 2×2, the same again with twice the channels, a linear layer with 32 times as many, ReLU, a linear
/// layer to the logits. As published: padding that keeps the extent, windows that reach over an odd border.
///
/// Parameters: `conv1`, `conv2`, `fc1`, `fc2`, each with `weight` and `bias`, filled as PyTorch does; features are ordered by channel,
/// row, column before `fc1`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MnistCnn {
    /// Extents of an image: [H, W, C].
    pub image: [usize; 3],
    /// Classes to tell apart.
    pub classes: usize,
    /// Channels of the first convolution.
    pub width: usize,
}

impl MnistCnn {
    /// The published widths: 32, 64, 1024.
    pub fn new(image: [usize; 3], classes: usize) -> MnistCnn {
        MnistCnn { image, classes, width: 32 }
    }

    /// Whether the numbers make a network; `place` is the file or command line they came from.
    ///
    /// # Errors
    /// A number that is 0.
    pub fn check(&self, place: &str) -> Result<()> {
        at_least_one(place, &[("classes", self.classes), ("width", self.width)])
    }
}

impl Network for MnistCnn {
    fn input(&self) -> Vec<usize> {
        self.image.to_vec()
    }

    fn output(&self) -> Vec<usize> {
        vec![self.classes]
    }

    fn forward<'g>(&self, scope: &Scope<'g>, x: Tensor<'g>, _: Option<Tensor<'g>>, _: Mode) -> Tensor<'g> {
        let stage = |name: &str, x: Tensor<'g>, channels: usize| {
            let (scope, init) = (scope.child(name), Init::torch(25 * x.dim(3)));
            let x = conv(&scope, x, Conv { channels, kernel: 5, stride: 1, pad: 2, groups: 1 }, init);
            let x = bias_of(&scope, "bias", x, init).relu();
            // Zeros beyond an odd border are below none of what a ReLU leaves.
            let [n, h, w, c] = [0, 1, 2, 3].map(|a| x.dim(a));
            max_pool(x.pad(&[0; 4], [n, h.next_multiple_of(2), w.next_multiple_of(2), c]), 2, 2)
        };
        let full = |name: &str, x: Tensor<'g>, out: usize| {
            let (scope, init) = (scope.child(name), Init::torch(x.dim(1)));
            bias_of(&scope, "bias", linear(&scope, x, out, init), init)
        };
        let x = stage("conv1", x, self.width);
        let x = stage("conv2", x, 2 * self.width);
        let x = full("fc1", flatten(x), 32 * self.width).relu();
        full("fc2", x, self.classes)
    }
}
