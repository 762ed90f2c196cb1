//! Primitives whose addresses are data: rows by index, bilinear samples by coordinate.

use super::Scalar;
use super::simd::multiversion;
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

/// Where a point lies: its upper left pixel, and how far it is from that.
struct Around<T> {
    corner: [isize; 2],
    part: [T; 2],
}

impl<T: Scalar> Around<T> {
    /// The pixels around a point (y, x), unless all of them lie outside of an image.
    #[inline(always)]
    fn new(at: &[T], [h, w]: [usize; 2]) -> Option<Around<T>> {
        let (y, x) = (at[0], at[1]);
        let near = |v: T, n: usize| v > -T::ONE && v < T::of(n as f64);
        let (y0, x0) = (y.floor(), x.floor());
        let corner = [y0.to_f64() as isize, x0.to_f64() as isize];
        (near(y, h) && near(x, w)).then_some(Around { corner, part: [y - y0, x - x0] })
    }

    /// Weights of the four pixels, row after row.
    #[inline(always)]
    fn weights(&self) -> [T; 4] {
        let [fy, fx] = self.part;
        let (gy, gx) = (T::ONE - fy, T::ONE - fx);
        [gy * gx, gy * fx, fy * gx, fy * fx]
    }

    /// The first pixel, where all four lie inside.
    #[inline(always)]
    fn inside(&self, [h, w]: [usize; 2]) -> Option<usize> {
        let [y, x] = self.corner.map(|v| v as usize);
        (y < h - 1 && x < w - 1).then_some(y * w + x)
    }

    /// The pixels that lie inside, with their weights.
    #[inline(always)]
    fn pixels(&self, [h, w]: [usize; 2]) -> impl Iterator<Item = (usize, T)> {
        let ([y0, x0], weights) = (self.corner, self.weights());
        (0..4).filter_map(move |i| {
            let (y, x) = ((y0 + i as isize / 2) as usize, (x0 + i as isize % 2) as usize);
            (y < h && x < w).then_some((y * w + x, weights[i]))
        })
    }
}

/// Bilinear samples of x at (y, x) in pixels, zero outside; a task makes an image.
pub fn sample<T: Scalar>(s: Sampling, x: &[T], grid: &[T], out: &mut [T]) {
    let (pixels, points) = (s.from[0] * s.from[1], s.to[0] * s.to[1]);
    out.fill(T::ZERO);
    if pixels * points * s.c == 0 {
        return;
    }
    let images = out.par_chunks_mut(points * s.c).zip(x.par_chunks(pixels * s.c)).zip(grid.par_chunks(points * 2));
    images.for_each(|((out, image), grid)| match s.c {
        1 => sample_image::<T, 1>(s, image, grid, out),
        3 => sample_image::<T, 3>(s, image, grid, out),
        _ => sample_channels(s, image, grid, out),
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
    images.for_each(|((image, y), grid)| match s.c {
        1 => spread_image::<T, 1>(s, y, grid, image),
        3 => spread_image::<T, 3>(s, y, grid, image),
        _ => spread_channels(s, y, grid, image),
    });
}

multiversion! {
    /// An image of C channels, whose samples are added up in registers.
    fn sample_image<T: Scalar, const C: usize>(s: Sampling, image: &[T], grid: &[T], out: &mut [T]) {
        for (out, at) in out.chunks_exact_mut(C).zip(grid.chunks_exact(2)) {
            let Some(around) = Around::new(at, s.from) else { continue };
            let mut sum = [T::ZERO; C];
            let mut add = |pixel: usize, weight: T| {
                let pixel = &image[pixel * C..][..C];
                sum.iter_mut().zip(pixel).for_each(|(sum, &v)| *sum += weight * v);
            };
            match around.inside(s.from) {
                Some(first) => {
                    let places = [first, first + 1, first + s.from[1], first + s.from[1] + 1];
                    places.into_iter().zip(around.weights()).for_each(|(pixel, weight)| add(pixel, weight));
                }
                None => around.pixels(s.from).for_each(|(pixel, weight)| add(pixel, weight)),
            }
            out.copy_from_slice(&sum);
        }
    }

    /// The adjoint of [`sample_image`].
    fn spread_image<T: Scalar, const C: usize>(s: Sampling, y: &[T], grid: &[T], image: &mut [T]) {
        for (y, at) in y.chunks_exact(C).zip(grid.chunks_exact(2)) {
            let Some(around) = Around::new(at, s.from) else { continue };
            let mut add = |pixel: usize, weight: T| {
                let pixel = &mut image[pixel * C..][..C];
                pixel.iter_mut().zip(y).for_each(|(to, &v)| *to += weight * v);
            };
            match around.inside(s.from) {
                Some(first) => {
                    let places = [first, first + 1, first + s.from[1], first + s.from[1] + 1];
                    places.into_iter().zip(around.weights()).for_each(|(pixel, weight)| add(pixel, weight));
                }
                None => around.pixels(s.from).for_each(|(pixel, weight)| add(pixel, weight)),
            }
        }
    }

    /// An image of any number of channels.
    fn sample_channels<T: Scalar>(s: Sampling, image: &[T], grid: &[T], out: &mut [T]) {
        for (out, at) in out.chunks_exact_mut(s.c).zip(grid.chunks_exact(2)) {
            let Some(around) = Around::new(at, s.from) else { continue };
            around.pixels(s.from).for_each(|(pixel, weight)| multiply_add(weight, &image[pixel * s.c..][..s.c], out));
        }
    }

    /// The adjoint of [`sample_channels`].
    fn spread_channels<T: Scalar>(s: Sampling, y: &[T], grid: &[T], image: &mut [T]) {
        for (y, at) in y.chunks_exact(s.c).zip(grid.chunks_exact(2)) {
            let Some(around) = Around::new(at, s.from) else { continue };
            around.pixels(s.from).for_each(|(pixel, weight)| multiply_add(weight, y, &mut image[pixel * s.c..][..s.c]));
        }
    }
}

/// out += weight·x
#[inline(always)]
fn multiply_add<T: Scalar>(weight: T, x: &[T], out: &mut [T]) {
    out.iter_mut().zip(x).for_each(|(o, &x)| *o += weight * x);
}
