//! The convolution family as matrix products over unfolded images (im2col), one image at a time.

use super::Scalar;
use super::matmul::{Mat, gemm};
use crate::plan::ConvDims;
use rayon::prelude::*;

/// Sizes derived from the dimensions.
struct Sizes {
    /// Elements of one image of x and of y.
    x: usize,
    y: usize,
    /// Rows (output pixels) and columns (kernel taps × channels of one group) of an unfolded image.
    rows: usize,
    cols: usize,
    /// Channels of one group of x and of y.
    gin: usize,
    gout: usize,
}

fn sizes(d: &ConvDims) -> Sizes {
    let [ho, wo] = d.spec.output();
    let [h, w] = d.spec.input;
    let gin = d.cin / d.spec.groups;
    let cols = d.spec.kernel[0] * d.spec.kernel[1] * gin;
    let rows = ho * wo;
    Sizes { x: h * w * d.cin, y: rows * d.cout, rows, cols, gin, gout: d.cout / d.spec.groups }
}

/// Calls `f(position in the unfolded image, position in x, length)` for every run of channels inside the image.
fn taps(d: &ConvDims, s: &Sizes, group: usize, mut f: impl FnMut(usize, usize, usize)) {
    let ([_, wo], [h, w], [kh, kw]) = (d.spec.output(), d.spec.input, d.spec.kernel);
    for row in 0..s.rows {
        let (oy, ox) = (row / wo, row % wo);
        for tap in 0..kh * kw {
            let y = (oy * d.spec.stride[0] + tap / kw).wrapping_sub(d.spec.pad[0]);
            let x = (ox * d.spec.stride[1] + tap % kw).wrapping_sub(d.spec.pad[1]);
            if y < h && x < w {
                f(row * s.cols + tap * s.gin, (y * w + x) * d.cin + group * s.gin, s.gin);
            }
        }
    }
}

fn unfold<T: Scalar>(d: &ConvDims, s: &Sizes, group: usize, x: &[T], panel: &mut [T]) {
    panel.fill(T::ZERO);
    taps(d, s, group, |to, from, n| panel[to..to + n].copy_from_slice(&x[from..from + n]));
}

fn fold<T: Scalar>(d: &ConvDims, s: &Sizes, group: usize, panel: &[T], x: &mut [T]) {
    taps(d, s, group, |from, to, n| {
        x[to..to + n].iter_mut().zip(&panel[from..from + n]).for_each(|(x, &p)| *x += p);
    });
}

/// (x, w) → y
pub fn conv<T: Scalar>(d: &ConvDims, x: &[T], w: &[T], y: &mut [T]) {
    let s = sizes(d);
    y.par_chunks_mut(s.y.max(1)).zip(x.par_chunks(s.x.max(1))).for_each(|(y, x)| {
        let mut panel = vec![T::ZERO; s.rows * s.cols];
        for g in 0..d.spec.groups {
            unfold(d, &s, g, x, &mut panel);
            let w = Mat::new(&w[g * s.gout..], s.cols, s.gout, d.cout);
            gemm(Mat::new(&panel, s.rows, s.cols, s.cols), w, &mut y[g * s.gout..], d.cout, false);
        }
    });
}

/// (y, w) → x
pub fn conv_x<T: Scalar>(d: &ConvDims, y: &[T], w: &[T], x: &mut [T]) {
    let s = sizes(d);
    x.par_chunks_mut(s.x.max(1)).zip(y.par_chunks(s.y.max(1))).for_each(|(x, y)| {
        x.fill(T::ZERO);
        let mut panel = vec![T::ZERO; s.rows * s.cols];
        for g in 0..d.spec.groups {
            let w = Mat::new(&w[g * s.gout..], s.cols, s.gout, d.cout);
            gemm(Mat::new(&y[g * s.gout..], s.rows, s.gout, d.cout), w.t(), &mut panel, s.cols, false);
            fold(d, &s, g, &panel, x);
        }
    });
}

/// (x, y) → w
pub fn conv_w<T: Scalar>(d: &ConvDims, x: &[T], y: &[T], w: &mut [T]) {
    let s = sizes(d);
    let mut panel = vec![T::ZERO; s.rows * s.cols];
    w.fill(T::ZERO);
    for (x, y) in x.chunks(s.x.max(1)).zip(y.chunks(s.y.max(1))) {
        for g in 0..d.spec.groups {
            unfold(d, &s, g, x, &mut panel);
            let y = Mat::new(&y[g * s.gout..], s.rows, s.gout, d.cout);
            gemm(Mat::new(&panel, s.rows, s.cols, s.cols).t(), y, &mut w[g * s.gout..], d.cout, true);
        }
    }
}
