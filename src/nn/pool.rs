//! Pooling and enlarging of images `[N,H,W,C]`, by the rules of PyTorch.

use crate::graph::{FirSpec, Real, Tensor};

/// Extent that a window of `kernel` at every `stride` leaves of `n` ≥ kernel; what does not fill a window is left out.
pub(super) fn pooled(n: usize, kernel: usize, stride: usize) -> usize {
    (n - kernel) / stride + 1
}

/// Largest number of each window of `kernel`² pixels, a window every `stride` pixels. The gradient of a tie goes to the
/// first in reading order, as in PyTorch.
///
/// # Panics
/// If the image is smaller than the kernel, or a number is 0.
pub fn max_pool(x: Tensor<'_>, kernel: usize, stride: usize) -> Tensor<'_> {
    let [n, h, w, c] = [0, 1, 2, 3].map(|a| x.dim(a));
    let (ho, wo) = (pooled(h, kernel, stride), pooled(w, kernel, stride));
    // Blocks of stride² pixels: pixel (i, j) of every window lies at one place of them. Those that the last windows reach
    // into are filled up, and never read beyond the image.
    let reach = (kernel - 1) / stride;
    let (rows, columns) = ((ho + reach) * stride, (wo + reach) * stride);
    let inside = x.slice(&[0; 4], [n, h.min(rows), w.min(columns), c]);
    let filled = inside.pad(&[0; 4], [n, rows, columns, c]);
    let at = |i: usize, j: usize| {
        let block = filled.slice(&[0, i / stride * stride, j / stride * stride, 0], [n, ho * stride, wo * stride, c]);
        let split = block.reshape([n * ho, stride, wo, stride, c]);
        split.slice(&[0, i % stride, 0, j % stride, 0], [n * ho, 1, wo, 1, c]).reshape([n, ho, wo, c])
    };
    let mut best = at(0, 0);
    let mut which = x.graph().constant(0.0, best.shape());
    for pixel in 1..kernel * kernel {
        let next = at(pixel / kernel, pixel % kernel);
        let larger = next - best;
        best = larger.select(next, best);
        which = larger.select(x.graph().constant(pixel as f64, which.shape()), which);
    }
    if kernel != stride || kernel == 1 {
        return best;
    }
    // Where windows tile the image, the derivative is shorter to write than by way of every pixel's own slice: it passes where a
    // pixel's number in its window is that of the largest.
    let apart = inside.reshape([n * ho, kernel, wo, kernel, c]);
    let number = |pixel: usize| {
        let minus = x.graph().constant(-(pixel as f64), [1; 5]);
        minus.pad(&[0, pixel / kernel, 0, pixel % kernel, 0], [1, kernel, 1, kernel, 1])
    };
    let numbers = (2..kernel * kernel).fold(number(1), |sum, pixel| sum + number(pixel));
    let other = (which.reshape([n * ho, 1, wo, 1, c]) + numbers).abs();
    let nothing = x.graph().constant(0.0, apart.shape());
    let largest = other.select(nothing, apart).sum(&[1, 3]).reshape([n, ho, wo, c]);
    best.detach() + (largest - largest.detach())
}

/// Mean of each window of `kernel`² pixels, a window every `stride` pixels.
pub fn avg_pool(x: Tensor<'_>, kernel: usize, stride: usize) -> Tensor<'_> {
    let taps = vec![Real(1.0 / kernel as f64); kernel];
    x.fir(FirSpec { taps, up: 1, down: stride, pad: [[0, 0]; 2], flip: true })
}

/// Mean of all pixels, as an image of one.
pub fn global_avg_pool(x: Tensor<'_>) -> Tensor<'_> {
    x.mean(&[1, 2])
}

/// Every pixel `factor`² times.
pub fn upsample_nearest(x: Tensor<'_>, factor: usize) -> Tensor<'_> {
    // Of `factor` neighbours among the zeros between pixels, one is a pixel.
    let taps = vec![Real(1.0); factor];
    x.fir(FirSpec { taps, up: factor, down: 1, pad: [[factor as i64 - 1, 0]; 2], flip: true })
}

/// `factor` times the height and width, interpolated between the centres of pixels (`align_corners=False`); beyond the
/// border the image goes on as it ends.
pub fn upsample_bilinear(x: Tensor<'_>, factor: usize) -> Tensor<'_> {
    let mut wider = x;
    for axis in [1, 2] {
        let (mut shape, mut last) = (wider.shape().to_vec(), [0; 4]);
        last[axis] = shape[axis] - 1;
        shape[axis] = 1;
        let edges = [wider.slice(&[0; 4], shape.as_slice()), wider.slice(&last, shape.as_slice())];
        wider = Tensor::concat(&[edges[0], wider, edges[1]], axis);
    }
    // A triangle over pixel centres: of even factors the centres lie between two places of the finer grid.
    let f = factor as i64;
    let count = 2 * f - f % 2;
    let middle = (count - 1) as f64 / 2.0;
    let taps = (0..count).map(|t| Real(1.0 - (t as f64 - middle).abs() / f as f64)).collect();
    // The first output looks from half a pixel before the first centre; one pixel was put before it.
    let before = f / 2 - 1;
    let pad = [before, count - 1 - 2 * f - before];
    wider.fir(FirSpec { taps, up: factor, down: 1, pad: [pad; 2], flip: true })
}
