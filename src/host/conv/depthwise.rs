//! Depthwise convolutions: one channel a group, so plain loops over channels replace the matrix product.

use super::super::Scalar;
use super::super::arena::Arena;
use super::super::reduce::sum_parts;
use super::super::simd::multiversion;
use crate::plan::ConvDims;
use rayon::prelude::*;
use std::ops::Range;

/// Taps of an output position that lie inside x, and the position of the first one, along axis `a`.
#[inline(always)]
fn inside(d: &ConvDims, a: usize, at: usize) -> (Range<usize>, usize) {
    let start = at * d.spec.stride[a];
    let from = d.spec.pad[a].saturating_sub(start).min(d.spec.kernel[a]);
    let to = (d.spec.input[a] + d.spec.pad[a]).saturating_sub(start).min(d.spec.kernel[a]);
    (from..to.max(from), start + from - d.spec.pad[a].min(start + from))
}

multiversion! {
    /// out[c] += a[c]·b[c]
    fn multiply_add<T: Scalar>(a: &[T], b: &[T], out: &mut [T]) {
        let (a, b) = (&a[..out.len()], &b[..out.len()]);
        for ((o, &a), &b) in out.iter_mut().zip(a).zip(b) {
            *o += a * b;
        }
    }
}

/// Calls `f(x pixel, w tap, y pixel)` for every product of row `oy` of an image.
#[inline(always)]
fn row_products(d: &ConvDims, oy: usize, mut f: impl FnMut(usize, usize, usize)) {
    let (wo, kw) = (d.spec.output()[1], d.spec.kernel[1]);
    let (kys, y0) = inside(d, 0, oy);
    for ox in 0..wo {
        let (kxs, x0) = inside(d, 1, ox);
        for (y, ky) in (y0..).zip(kys.clone()) {
            for (x, kx) in (x0..).zip(kxs.clone()) {
                f(y * d.spec.input[1] + x, ky * kw + kx, oy * wo + ox);
            }
        }
    }
}

/// (x, w) → y, a task a row of y.
pub fn conv<T: Scalar>(d: &ConvDims, x: &[T], w: &[T], y: &mut [T]) {
    let (c, [ho, wo]) = (d.cin, d.spec.output());
    let image = d.spec.input[0] * d.spec.input[1] * c;
    y.par_chunks_mut(wo * c).enumerate().for_each(|(row, y)| {
        let (x, oy) = (&x[row / ho * image..], row % ho);
        y.fill(T::ZERO);
        row_products(d, oy, |xi, wi, yi| {
            multiply_add(&x[xi * c..], &w[wi * c..], &mut y[(yi - oy * wo) * c..][..c]);
        });
    });
}

/// (y, w) → x, a task an image.
pub fn conv_x<T: Scalar>(d: &ConvDims, y: &[T], w: &[T], x: &mut [T]) {
    let (c, [ho, wo]) = (d.cin, d.spec.output());
    let image = d.spec.input[0] * d.spec.input[1] * c;
    x.par_chunks_mut(image).zip(y.par_chunks(ho * wo * c)).for_each(|(x, y)| {
        x.fill(T::ZERO);
        for oy in 0..ho {
            row_products(d, oy, |xi, wi, yi| multiply_add(&y[yi * c..], &w[wi * c..], &mut x[xi * c..][..c]));
        }
    });
}

/// (x, y) → w, a task some images with a partial w.
pub fn conv_w<T: Scalar>(d: &ConvDims, x: &[T], y: &[T], w: &mut [T], arena: &mut Arena<T>) {
    let (c, [ho, wo]) = (d.cin, d.spec.output());
    let image = d.spec.input[0] * d.spec.input[1] * c;
    let share = d.n.div_ceil(16);
    let (_, partial) = arena.shared(d.n.div_ceil(share) * w.len());
    partial.par_chunks_mut(w.len()).enumerate().for_each(|(task, w)| {
        w.fill(T::ZERO);
        for n in task * share..((task + 1) * share).min(d.n) {
            let (x, y) = (&x[n * image..], &y[n * ho * wo * c..]);
            for oy in 0..ho {
                row_products(d, oy, |xi, wi, yi| multiply_add(&x[xi * c..], &y[yi * c..], &mut w[wi * c..][..c]));
            }
        }
    });
    sum_parts(partial, w);
}
