//! Depthwise convolutions: one channel per group, so plain loops over channels replace the matrix product.

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

/// out[c] += a[c]·b[c]
#[inline(always)]
fn multiply_add<T: Scalar>(a: &[T], b: &[T], out: &mut [T]) {
    let (a, b) = (&a[..out.len()], &b[..out.len()]);
    for ((o, &a), &b) in out.iter_mut().zip(a).zip(b) {
        *o += a * b;
    }
}

/// Which of x, w and y the two factors and the result of a member of the family are.
type Roles = [usize; 3];
const X: usize = 0;
const W: usize = 1;
const Y: usize = 2;

multiversion! {
    /// All products of row `oy` of an image: result += first factor · second factor. `y0` is the pixel that y starts at.
    fn row<T: Scalar>(d: &ConvDims, oy: usize, y0: usize, roles: Roles, a: &[T], b: &[T], out: &mut [T]) {
        let (c, wo, kw) = (d.cin, d.spec.output()[1], d.spec.kernel[1]);
        let (kys, first_y) = inside(d, 0, oy);
        for ox in 0..wo {
            let (kxs, first_x) = inside(d, 1, ox);
            for (y, ky) in (first_y..).zip(kys.clone()) {
                for (x, kx) in (first_x..).zip(kxs.clone()) {
                    let at = [y * d.spec.input[1] + x, ky * kw + kx, oy * wo + ox - y0];
                    let [first, second, result] = roles.map(|role| at[role] * c);
                    multiply_add(&a[first..], &b[second..], &mut out[result..][..c]);
                }
            }
        }
    }
}

/// Elements of one image of x and of y.
fn images(d: &ConvDims) -> [usize; 2] {
    [d.spec.input, d.spec.output()].map(|[h, w]| h * w * d.cin)
}

/// (x, w) → y, a task per row of y.
pub fn conv<T: Scalar>(d: &ConvDims, x: &[T], w: &[T], y: &mut [T]) {
    let ([image, _], [ho, wo]) = (images(d), d.spec.output());
    y.par_chunks_mut(wo * d.cin).enumerate().for_each(|(i, y)| {
        y.fill(T::ZERO);
        row(d, i % ho, i % ho * wo, [X, W, Y], &x[i / ho * image..], w, y);
    });
}

/// (y, w) → x, a task per image.
pub fn conv_x<T: Scalar>(d: &ConvDims, y: &[T], w: &[T], x: &mut [T]) {
    let [image_x, image_y] = images(d);
    x.par_chunks_mut(image_x).zip(y.par_chunks(image_y)).for_each(|(x, y)| {
        x.fill(T::ZERO);
        (0..d.spec.output()[0]).for_each(|oy| row(d, oy, 0, [Y, W, X], y, w, x));
    });
}

/// (x, y) → w, a task some images with a partial w.
pub fn conv_w<T: Scalar>(d: &ConvDims, x: &[T], y: &[T], w: &mut [T], arena: &mut Arena<T>) {
    let [image_x, image_y] = images(d);
    let share = d.n.div_ceil(16);
    let (_, partial) = arena.shared(d.n.div_ceil(share) * w.len());
    partial.par_chunks_mut(w.len()).enumerate().for_each(|(task, w)| {
        w.fill(T::ZERO);
        for n in task * share..((task + 1) * share).min(d.n) {
            let (x, y) = (&x[n * image_x..], &y[n * image_y..]);
            (0..d.spec.output()[0]).for_each(|oy| row(d, oy, 0, [X, Y, W], x, y, w));
        }
    });
    sum_parts(partial, w);
}
