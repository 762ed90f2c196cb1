//! How far apart two images are, one number per row: what a search for the latents of an image makes small.

use crate::graph::Tensor;
use crate::nn::pool::avg_pool;

/// Sides below which an image is not made smaller: means of fewer pixels say nothing of its shapes.
const LEAST_SIDE: usize = 4;

/// Features of images `[N,H,W,C]`: any number of tensors `[N,…]`, of a network that was trained for something else.
pub type FeatureMaps<'a> = &'a dyn for<'g> Fn(Tensor<'g>) -> Vec<Tensor<'g>>;

/// Mean square of the difference of pixels, plus the mean of its size at full, half, a quarter … of the resolution, each scale counting
/// alike: the square alone lets small errors of large areas be. `[N,1]` of images `[N,H,W,C]`.
pub fn pixel_distance<'g>(x: Tensor<'g>, target: Tensor<'g>) -> Tensor<'g> {
    let mut difference = x - target;
    let square = row_mean(difference.square());
    let mut sizes = vec![row_mean(difference.abs())];
    // Differences of means are means of differences.
    while (1..3).all(|axis| difference.dim(axis).is_multiple_of(2) && difference.dim(axis) >= 2 * LEAST_SIDE) {
        difference = avg_pool(difference, 2, 2);
        sizes.push(row_mean(difference.abs()));
    }
    let scales = sizes.len() as f64;
    let sum = sizes.into_iter().reduce(|a, b| a + b);
    sum.map_or(square, |sum| square + sum.scale(1.0 / scales))
}

/// [`pixel_distance`], and where features are given the mean square of the difference of each, every tensor of them counting alike
/// (as LPIPS does with its weights at one; Zhang et al. 2018). `[N,1]`.
pub fn image_distance<'g>(x: Tensor<'g>, target: Tensor<'g>, features: Option<FeatureMaps>) -> Tensor<'g> {
    let pixels = pixel_distance(x, target);
    let Some(features) = features else { return pixels };
    let pairs: Vec<_> = features(x).into_iter().zip(features(target)).collect();
    let count = pairs.len().max(1) as f64;
    pairs.into_iter().fold(pixels, |sum, (a, b)| sum + row_mean((a - b.detach()).square()).scale(1.0 / count))
}

/// How untypical latents `[N,Z]` are of standard normal ones: (|z|²/Z − 1)², `[N,1]`. Nearly all of these lie close to the sphere of
/// radius √Z, where this is 0; a prior that is largest at 0, as their density is, would draw a search away from there.
pub fn untypical<'g>(z: Tensor<'g>) -> Tensor<'g> {
    (z.square().mean(&[1]) - 1.0).square()
}

/// Mean of each row, `[N,1]`.
fn row_mean<'g>(x: Tensor<'g>) -> Tensor<'g> {
    let n = x.dim(0);
    x.reshape([n, x.shape().elems() / n.max(1)]).mean(&[1])
}
