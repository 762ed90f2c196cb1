//! Shape primitives, plainly: every element by its indices.

use super::Scalar;
use crate::graph::Shape;
use rayon::prelude::*;

/// Calls `f(n, offset)` for every element n of `extents` in order, where offset = Σ iₐ·strides[a].
fn walk(extents: &[usize], strides: &[usize], mut f: impl FnMut(usize, usize)) {
    let total: usize = extents.iter().product();
    let mut index = vec![0; extents.len()];
    let mut offset = 0;
    for n in 0..total {
        f(n, offset);
        for a in (0..extents.len()).rev() {
            index[a] += 1;
            offset += strides[a];
            if index[a] < extents[a] {
                break;
            }
            offset -= strides[a] * extents[a];
            index[a] = 0;
        }
    }
}

/// Strides that walk a tensor of shape `from` in step with `to`, repeating its axes of extent 1.
fn broadcast_strides(from: &Shape, to: &Shape) -> Vec<usize> {
    let strides = from.strides();
    (0..from.len()).map(|a| if from[a] == to[a] { strides[a] } else { 0 }).collect()
}

/// Start of a box inside a row-major tensor.
fn start_offset(start: &[usize], strides: &[usize]) -> usize {
    start.iter().zip(strides).map(|(s, stride)| s * stride).sum()
}

/// Output axis i is axis `axes[i]` of x.
pub fn permute<T: Scalar>(x: &[T], from: &Shape, axes: &[usize], to: &Shape) -> Vec<T> {
    let strides = from.strides();
    let strides: Vec<usize> = axes.iter().map(|&a| strides[a]).collect();
    let mut out = vec![T::ZERO; to.elems()];
    walk(to, &strides, |n, at| out[n] = x[at]);
    out
}

/// Axes of extent 1 repeated.
pub fn expand<T: Scalar>(x: &[T], from: &Shape, to: &Shape) -> Vec<T> {
    let mut out = vec![T::ZERO; to.elems()];
    walk(to, &broadcast_strides(from, to), |n, at| out[n] = x[at]);
    out
}

/// Sum over the axes where `to` has extent 1, accumulated in f64.
pub fn sum<T: Scalar>(x: &[T], from: &Shape, to: &Shape) -> Vec<T> {
    let mut total = vec![0.0; to.elems()];
    walk(from, &broadcast_strides(to, from), |n, at| total[at] += x[n].to_f64());
    total.into_iter().map(T::of).collect()
}

/// The box at `start` of shape `to`.
pub fn slice<T: Scalar>(x: &[T], from: &Shape, start: &[usize], to: &Shape) -> Vec<T> {
    let strides = from.strides();
    let first = start_offset(start, &strides);
    let mut out = vec![T::ZERO; to.elems()];
    walk(to, &strides, |n, at| out[n] = x[first + at]);
    out
}

/// x [from] at `start` inside zeros of shape `to`, row by row.
pub fn pad<T: Scalar>(x: &[T], from: &[usize], start: &[usize], to: &[usize], out: &mut [T]) {
    const TASK: usize = 1 << 14;
    let axes = to.len() - 1;
    let (width, before, inner) = (to[axes], start[axes], from[axes]);
    let rows = (TASK / width.max(1)).max(1);
    out.par_chunks_mut((rows * width).max(1)).enumerate().for_each(|(task, out)| {
        for (i, out) in out.chunks_exact_mut(width).enumerate() {
            out.fill(T::ZERO);
            // The row's indices, innermost first: which row of x, if any, lies here.
            let (mut row, mut source, mut stride, mut inside) = (task * rows + i, 0, 1, true);
            for a in (0..axes).rev() {
                let at = (row % to[a]).wrapping_sub(start[a]);
                inside &= at < from[a];
                source += at.min(from[a]) * stride;
                stride *= from[a];
                row /= to[a];
            }
            if inside {
                out[before..before + inner].copy_from_slice(&x[source * inner..][..inner]);
            }
        }
    });
}

/// `out` = aᵀ for the matrix a [rows, cols], rows of a `stride` and rows of `out` `out_stride` apart. In tiles of 16×16 by
/// way of the stack, so that each cache line is met once: strides that are powers of two would evict it in between.
pub fn transpose<T: Scalar>(a: &[T], stride: usize, [rows, cols]: [usize; 2], out: &mut [T], out_stride: usize) {
    const TILE: usize = 16;
    let mut tile = [[T::ZERO; TILE]; TILE];
    for r0 in (0..rows).step_by(TILE) {
        for c0 in (0..cols).step_by(TILE) {
            let (height, width) = (TILE.min(rows - r0), TILE.min(cols - c0));
            for r in 0..height {
                let row = &a[(r0 + r) * stride + c0..][..width];
                row.iter().enumerate().for_each(|(c, &v)| tile[c][r] = v);
            }
            for c in 0..width {
                out[(c0 + c) * out_stride + r0..][..height].copy_from_slice(&tile[c][..height]);
            }
        }
    }
}

/// `out` = aᵀ for the row-major matrix a [rows, cols]; a task makes a band of rows of `out`.
pub fn transpose_all<T: Scalar>(a: &[T], [rows, cols]: [usize; 2], out: &mut [T]) {
    const BAND: usize = 16;
    out.par_chunks_mut((BAND * rows).max(1)).enumerate().for_each(|(i, out)| {
        transpose(&a[i * BAND..], cols, [rows, out.len() / rows], out, rows);
    });
}
