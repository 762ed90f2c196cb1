//! LeNet-5 (LeCun 1998) as it is used today: ReLU, largest of 2×2, full connections.

use super::layers::{Conv, bias_of, conv, flatten, linear};
use super::model::at_least_one;
use super::pool::max_pool;
use super::{Init, Mode, Network, Scope};
use crate::error::{Error, Result};
use crate::graph::Tensor;

/// Images below this side are padded by 2, as the digits of 28 were to 32.
const SIDE: usize = 32;

/// Two convolutions 5×5, each followed by ReLU and the largest of 2×2, then three linear layers.
///
/// Parameters: `conv1`, `conv2`, `fc1`, `fc2`, `fc3`, each with `weight` and `bias`, filled as PyTorch does; features are ordered by
/// channel, row, column before `fc1`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lenet5 {
    /// Extents of an image: [H, W, C], sides of 12 and more.
    pub image: [usize; 3],
    /// Classes to tell apart.
    pub classes: usize,
    /// Channels of the first convolution; the other layers widen with it.
    pub width: usize,
}

impl Lenet5 {
    /// The published widths: 6, 16, 120, 84.
    pub fn new(image: [usize; 3], classes: usize) -> Lenet5 {
        Lenet5 { image, classes, width: 6 }
    }

    /// Whether the numbers make a network; `place` is the file or command line they came from.
    ///
    /// # Errors
    /// A number that is 0; an image that is too small.
    pub fn check(&self, place: &str) -> Result<()> {
        at_least_one(place, &[("classes", self.classes), ("width", self.width)])?;
        let [h, w, _] = self.image;
        if h.min(w) < 12 {
            return Err(Error::setting(place, "size", h.min(w), "must be at least 12 for lenet5"));
        }
        Ok(())
    }

    /// A published width at this network's.
    fn scaled(&self, published: usize) -> usize {
        (published * self.width).div_ceil(6)
    }
}

impl Network for Lenet5 {
    fn input(&self) -> Vec<usize> {
        self.image.to_vec()
    }

    fn output(&self) -> Vec<usize> {
        vec![self.classes]
    }

    fn forward<'g>(&self, scope: &Scope<'g>, x: Tensor<'g>, _: Option<Tensor<'g>>, _: Mode) -> Tensor<'g> {
        let stage = |name: &str, x: Tensor<'g>, channels: usize, pad: usize| {
            let (scope, init) = (scope.child(name), Init::torch(25 * x.dim(3)));
            let x = conv(&scope, x, Conv { channels, kernel: 5, stride: 1, pad, groups: 1 }, init);
            max_pool(bias_of(&scope, "bias", x, init).relu(), 2, 2)
        };
        let full = |name: &str, x: Tensor<'g>, out: usize| {
            let (scope, init) = (scope.child(name), Init::torch(x.dim(1)));
            bias_of(&scope, "bias", linear(&scope, x, out, init), init)
        };
        let pad = if self.image[0].min(self.image[1]) < SIDE { 2 } else { 0 };
        let x = stage("conv1", x, self.width, pad);
        let x = flatten(stage("conv2", x, self.scaled(16), 0));
        let x = full("fc1", x, self.scaled(120)).relu();
        let x = full("fc2", x, self.scaled(84)).relu();
        full("fc3", x, self.classes)
    }
}
