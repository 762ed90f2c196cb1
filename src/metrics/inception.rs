//! Inception-v3 as the Fréchet Inception distance uses it (Szegedy 2016; Heusel 2017), by the weights that pytorch-fid was published with,
//! given as a file: they are not part of this program.
//!
//! It differs from the published network where TensorFlow's port of 2015 does: average pooling counts no padding, and the last block pools
//! by the largest number.

use super::feature_network::{FeatureNetwork, Weights};
use crate::graph::{ConvSpec, FirSpec, Real, Tensor};
use crate::nn::layers::{BatchNorm, batch_norm_by};
use crate::nn::pool::max_pool;
use crate::nn::{Init, Layout, Mode, Scope};
use crate::{Error, Result};
use std::path::Path;

/// Side of the images it reads.
const SIDE: usize = 299;
/// Numbers per image.
const DIMS: usize = 2048;
/// Classes that the network of 2015 was trained to tell apart, in the unused last layer of its weights: others have a thousand.
const CLASSES: usize = 1008;
/// What batch normalisation adds to the variance here.
const EPS: f64 = 1e-3;

/// Inception-v3 up to its last pooling.
pub struct InceptionV3 {
    weights: Weights,
    /// Whether the weights are those of 2015.
    published: bool,
}

impl InceptionV3 {
    /// The network by the weights of a safetensors file, under the names of torchvision.
    ///
    /// # Errors
    /// A file that can't be read; images of another size than the network takes are refused when it is planned.
    pub fn read(path: &Path) -> Result<InceptionV3> {
        let bytes = std::fs::read(path).map_err(Error::io(path, "reading the feature network"))?;
        let weights = Weights::parse(&bytes).map_err(|reason| Error::checkpoint(path, reason))?;
        Ok(InceptionV3::new(weights))
    }

    /// The network by these weights.
    pub fn new(weights: Weights) -> InceptionV3 {
        let published = weights.tensor("fc.weight", &[CLASSES, DIMS]).is_ok();
        InceptionV3 { weights, published }
    }
}

impl FeatureNetwork for InceptionV3 {
    fn name(&self) -> &str {
        "inception-v3"
    }

    fn distance(&self) -> &'static str {
        if self.published { "FID" } else { "FD" }
    }

    fn size(&self) -> usize {
        SIDE
    }

    fn dims(&self) -> usize {
        DIMS
    }

    fn rows(&self) -> usize {
        8
    }

    fn features<'g>(&self, scope: &Scope<'g>, images: Tensor<'g>) -> Tensor<'g> {
        let at = |name: &str| scope.child(name);
        let x = unit(&at("Conv2d_1a_3x3"), images, 32, [3, 3], 2, [0, 0]);
        let x = unit(&at("Conv2d_2a_3x3"), x, 32, [3, 3], 1, [0, 0]);
        let x = unit(&at("Conv2d_2b_3x3"), x, 64, [3, 3], 1, [1, 1]);
        let x = max_pool(x, 3, 2);
        let x = unit(&at("Conv2d_3b_1x1"), x, 80, [1, 1], 1, [0, 0]);
        let x = unit(&at("Conv2d_4a_3x3"), x, 192, [3, 3], 1, [0, 0]);
        let mut x = max_pool(x, 3, 2);
        for (name, pooled) in [("Mixed_5b", 32), ("Mixed_5c", 64), ("Mixed_5d", 64)] {
            x = block_a(&at(name), x, pooled);
        }
        x = block_b(&at("Mixed_6a"), x);
        for (name, inner) in [("Mixed_6b", 128), ("Mixed_6c", 160), ("Mixed_6d", 160), ("Mixed_6e", 192)] {
            x = block_c(&at(name), x, inner);
        }
        x = block_d(&at("Mixed_7a"), x);
        x = block_e(&at("Mixed_7b"), x, mean_pool);
        x = block_e(&at("Mixed_7c"), x, largest_pool);
        x.mean(&[1, 2]).reshape([x.dim(0), DIMS])
    }

    fn weights(&self) -> &Weights {
        &self.weights
    }
}

/// Convolution without bias, batch normalisation by its running statistics, ReLU.
fn unit<'g>(
    scope: &Scope<'g>,
    x: Tensor<'g>,
    channels: usize,
    kernel: [usize; 2],
    stride: usize,
    pad: [usize; 2],
) -> Tensor<'g> {
    let shape = [kernel[0], kernel[1], x.dim(3), channels];
    let w = scope.child("conv").param("weight", shape, Init::Zeros, Layout::Conv);
    let spec = ConvSpec { stride: [stride; 2], pad, groups: 1, kernel, input: [x.dim(1), x.dim(2)] };
    let norm = BatchNorm { eps: EPS, ..BatchNorm::new(Init::Zeros) };
    batch_norm_by(&scope.child("bn"), x.conv_spec(w, spec), Mode::Eval, norm).relu()
}

/// A unit that keeps the size of the image.
fn same<'g>(scope: &Scope<'g>, name: &str, x: Tensor<'g>, channels: usize, kernel: [usize; 2]) -> Tensor<'g> {
    unit(&scope.child(name), x, channels, kernel, 1, [kernel[0] / 2, kernel[1] / 2])
}

/// A unit of 3×3 that halves the image.
fn half<'g>(scope: &Scope<'g>, name: &str, x: Tensor<'g>, channels: usize) -> Tensor<'g> {
    unit(&scope.child(name), x, channels, [3, 3], 2, [0, 0])
}

/// Mean of 3×3 pixels as far as they lie within the image.
fn mean_pool(x: Tensor<'_>) -> Tensor<'_> {
    let sums = FirSpec { taps: vec![Real(1.0); 3], up: 1, down: 1, pad: [[1, 1]; 2], flip: true };
    let counts = x.graph().constant(1.0, [1, x.dim(1), x.dim(2), 1]).fir(sums.clone());
    x.fir(sums) * counts.pow(-1.0)
}

/// Largest of 3×3 pixels. None is negative, so that zeros around the image change nothing.
fn largest_pool(x: Tensor<'_>) -> Tensor<'_> {
    let [n, h, w, c] = [0, 1, 2, 3].map(|axis| x.dim(axis));
    max_pool(x.pad(&[0, 1, 1, 0], [n, h + 2, w + 2, c]), 3, 1)
}

fn block_a<'g>(s: &Scope<'g>, x: Tensor<'g>, pooled: usize) -> Tensor<'g> {
    let one = same(s, "branch1x1", x, 64, [1, 1]);
    let five = same(s, "branch5x5_2", same(s, "branch5x5_1", x, 48, [1, 1]), 64, [5, 5]);
    let three = same(s, "branch3x3dbl_2", same(s, "branch3x3dbl_1", x, 64, [1, 1]), 96, [3, 3]);
    let three = same(s, "branch3x3dbl_3", three, 96, [3, 3]);
    let pool = same(s, "branch_pool", mean_pool(x), pooled, [1, 1]);
    Tensor::concat(&[one, five, three, pool], 3)
}

fn block_b<'g>(s: &Scope<'g>, x: Tensor<'g>) -> Tensor<'g> {
    let three = half(s, "branch3x3", x, 384);
    let twice = same(s, "branch3x3dbl_2", same(s, "branch3x3dbl_1", x, 64, [1, 1]), 96, [3, 3]);
    let twice = half(s, "branch3x3dbl_3", twice, 96);
    Tensor::concat(&[three, twice, max_pool(x, 3, 2)], 3)
}

fn block_c<'g>(s: &Scope<'g>, x: Tensor<'g>, inner: usize) -> Tensor<'g> {
    let one = same(s, "branch1x1", x, 192, [1, 1]);
    let seven = same(s, "branch7x7_2", same(s, "branch7x7_1", x, inner, [1, 1]), inner, [1, 7]);
    let seven = same(s, "branch7x7_3", seven, 192, [7, 1]);
    let twice = same(s, "branch7x7dbl_2", same(s, "branch7x7dbl_1", x, inner, [1, 1]), inner, [7, 1]);
    let twice = same(s, "branch7x7dbl_4", same(s, "branch7x7dbl_3", twice, inner, [1, 7]), inner, [7, 1]);
    let twice = same(s, "branch7x7dbl_5", twice, 192, [1, 7]);
    let pool = same(s, "branch_pool", mean_pool(x), 192, [1, 1]);
    Tensor::concat(&[one, seven, twice, pool], 3)
}

fn block_d<'g>(s: &Scope<'g>, x: Tensor<'g>) -> Tensor<'g> {
    let three = half(s, "branch3x3_2", same(s, "branch3x3_1", x, 192, [1, 1]), 320);
    let seven = same(s, "branch7x7x3_2", same(s, "branch7x7x3_1", x, 192, [1, 1]), 192, [1, 7]);
    let seven = half(s, "branch7x7x3_4", same(s, "branch7x7x3_3", seven, 192, [7, 1]), 192);
    Tensor::concat(&[three, seven, max_pool(x, 3, 2)], 3)
}

fn block_e<'g>(s: &Scope<'g>, x: Tensor<'g>, pool: fn(Tensor<'g>) -> Tensor<'g>) -> Tensor<'g> {
    let fork = |x: Tensor<'g>, wide: &str, high: &str| [same(s, wide, x, 384, [1, 3]), same(s, high, x, 384, [3, 1])];
    let one = same(s, "branch1x1", x, 320, [1, 1]);
    let three = fork(same(s, "branch3x3_1", x, 384, [1, 1]), "branch3x3_2a", "branch3x3_2b");
    let twice = same(s, "branch3x3dbl_2", same(s, "branch3x3dbl_1", x, 448, [1, 1]), 384, [3, 3]);
    let twice = fork(twice, "branch3x3dbl_3a", "branch3x3dbl_3b");
    let pool = same(s, "branch_pool", pool(x), 192, [1, 1]);
    Tensor::concat(&[one, three[0], three[1], twice[0], twice[1], pool], 3)
}
