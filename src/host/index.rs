//! Primitives whose addresses are data: rows by index, bilinear samples by coordinate.

use super::Scalar;
use rayon::prelude::*;

/// A real index as a row, clamped to the table; NaN is row 0.
fn row<T: Scalar>(index: T, rows: usize) -> usize {
    (index.to_f64().max(0.0) as usize).min(rows.saturating_sub(1))
}

/// out[b] = table[index[b]] over rows of `cols` elements.
pub fn gather<T: Scalar>(rows: usize, cols: usize, table: &[T], index: &[T], out: &mut [T]) {
    out.par_chunks_mut(cols.max(1)).zip(index).for_each(|(out, &i)| {
        let from = row(i, rows) * cols;
        out.copy_from_slice(&table[from..from + cols]);
    });
}

/// out[index[b]] += values[b], in order of b.
pub fn scatter_add<T: Scalar>(rows: usize, cols: usize, values: &[T], index: &[T], out: &mut [T]) {
    out.fill(T::ZERO);
    for (b, &i) in index.iter().enumerate() {
        let to = row(i, rows) * cols;
        out[to..to + cols].iter_mut().zip(&values[b * cols..]).for_each(|(o, &v)| *o += v);
    }
}

/// Extents of a bilinear sampling of a batch: x [n, from, c], grid [n, to, 2], y [n, to, c].
#[derive(Clone, Copy)]
pub struct Sampling {
    pub c: usize,
    pub from: [usize; 2],
    pub to: [usize; 2],
}

/// The up to four pixels around (y, x) that lie inside an image, as (pixel, weight).
fn corners<T: Scalar>(y: T, x: T, [h, w]: [usize; 2]) -> impl Iterator<Item = (usize, T)> {
    let near = |v: T, n: usize| v > -T::ONE && v < T::of(n as f64);
    let inside = near(y, h) && near(x, w);
    let (y0, x0) = (y.floor(), x.floor());
    let (fy, fx) = (y - y0, x - x0);
    let (y0, x0) = (y0.to_f64() as isize, x0.to_f64() as isize);
    (0..4).filter_map(move |corner| {
        let (dy, dx) = (corner / 2, corner % 2);
        let (py, px) = ((y0 + dy) as usize, (x0 + dx) as usize);
        let weight = (if dy == 1 { fy } else { T::ONE - fy }) * (if dx == 1 { fx } else { T::ONE - fx });
        (inside && py < h && px < w).then_some((py * w + px, weight))
    })
}

/// Bilinear samples of x at (y, x) in pixels, zero outside; a task makes an image.
pub fn sample<T: Scalar>(s: Sampling, x: &[T], grid: &[T], out: &mut [T]) {
    let (pixels, points) = (s.from[0] * s.from[1], s.to[0] * s.to[1]);
    out.fill(T::ZERO);
    if pixels * points * s.c == 0 {
        return;
    }
    let images = out.par_chunks_mut(points * s.c).zip(x.par_chunks(pixels * s.c)).zip(grid.par_chunks(points * 2));
    images.for_each(|((out, image), grid)| {
        for (out, at) in out.chunks_exact_mut(s.c).zip(grid.chunks_exact(2)) {
            for (pixel, weight) in corners(at[0], at[1], s.from) {
                multiply_add(weight, &image[pixel * s.c..][..s.c], out);
            }
        }
    });
}

/// The adjoint of [`sample`]: each point spreads its value over the pixels it was made of; a task makes an image.
pub fn sample_adjoint<T: Scalar>(s: Sampling, y: &[T], grid: &[T], out: &mut [T]) {
    let (pixels, points) = (s.from[0] * s.from[1], s.to[0] * s.to[1]);
    out.fill(T::ZERO);
    if pixels * points * s.c == 0 {
        return;
    }
    let images = out.par_chunks_mut(pixels * s.c).zip(y.par_chunks(points * s.c)).zip(grid.par_chunks(points * 2));
    images.for_each(|((image, y), grid)| {
        for (y, at) in y.chunks_exact(s.c).zip(grid.chunks_exact(2)) {
            for (pixel, weight) in corners(at[0], at[1], s.from) {
                multiply_add(weight, y, &mut image[pixel * s.c..][..s.c]);
            }
        }
    });
}

/// out += weight·x
#[inline(always)]
fn multiply_add<T: Scalar>(weight: T, x: &[T], out: &mut [T]) {
    out.iter_mut().zip(x).for_each(|(o, &x)| *o += weight * x);
}
