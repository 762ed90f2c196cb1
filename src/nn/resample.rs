//! Resampling with binomial filters: instances of the Fir primitive, so the adjoint of each is one too.

use crate::graph::{FirSpec, Real, Tensor};

/// The bilinear filter of StyleGAN and R3GAN: [1,2,1] for interpolation between pixels, which on the finer grid of
/// resampling by 2 is [1,2,1] ∗ [1,1].
const BILINEAR: [f64; 4] = [1.0, 3.0, 3.0, 1.0];

fn fir<'g>(x: Tensor<'g>, taps: &[f64], gain: f64, up: usize, down: usize, pad: [i64; 2]) -> Tensor<'g> {
    let total: f64 = taps.iter().sum();
    let taps = taps.iter().map(|t| Real(t * gain / total)).collect();
    x.fir(FirSpec { taps, up, down, pad: [pad; 2], flip: false })
}

/// Twice the height and width of x `[N,H,W,C]`, with zeros beyond the border; keeps the mean of the interior.
pub fn up(x: Tensor<'_>) -> Tensor<'_> {
    // Zero insertion keeps one pixel of two along each axis: gain 2 restores the level.
    fir(x, &BILINEAR, 2.0, 2, 1, [2, 1])
}

/// Half the height and width of x `[N,H,W,C]`, which must be even.
pub fn down(x: Tensor<'_>) -> Tensor<'_> {
    fir(x, &BILINEAR, 1.0, 1, 2, [1, 1])
}

/// The same extent, filtered by `taps` normalised to sum 1, along H and W; an even filter looks half a pixel back.
pub fn blur<'g>(x: Tensor<'g>, taps: &[f64]) -> Tensor<'g> {
    let n = taps.len() as i64;
    fir(x, taps, 1.0, 1, 1, [n / 2, (n - 1) / 2])
}
