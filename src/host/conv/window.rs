//! Unfolding: the windows of pixels that a product needs, copied into the rows of a panel (im2col), and its adjoint.

use super::super::Scalar;
use super::super::simd::multiversion;

/// NHWC images that windows are taken from, and the channels they use.
#[derive(Clone, Copy)]
pub struct Source {
    /// Extents of one image.
    pub h: usize,
    pub w: usize,
    pub c: usize,
    /// First channel and number of channels of a window.
    pub channel: usize,
    pub channels: usize,
}

/// Windows whose corners lie on one row of an image, `step` pixels apart; corners may lie outside.
#[derive(Clone, Copy)]
pub struct Run {
    /// Corner of the first window.
    pub y: isize,
    pub x: isize,
    pub step: usize,
    pub count: usize,
    /// Extents of a window in pixels, not zero.
    pub h: usize,
    pub w: usize,
}

/// A row of a window: where it starts in the panel and in the image, and which of its pixels lie inside the image.
struct Line {
    panel: usize,
    image: usize,
    before: usize,
    inside: usize,
}

impl Source {
    /// Elements of one image.
    pub fn image(&self) -> usize {
        self.h * self.w * self.c
    }

    /// Row `dy` of window `i`.
    #[inline(always)]
    fn line(&self, run: &Run, i: usize, dy: usize) -> Line {
        let x = run.x + (i * run.step) as isize;
        let y = run.y + dy as isize;
        let before = (-x).clamp(0, run.w as isize) as usize;
        let end = (self.w as isize - x).clamp(before as isize, run.w as isize) as usize;
        let inside = if y < 0 || y >= self.h as isize { 0 } else { end - before };
        let image = if inside == 0 { 0 } else { y as usize * self.w + (x + before as isize) as usize };
        let panel = (i * run.h + dy) * run.w * self.channels;
        Line { panel, image: image * self.c + self.channel, before, inside }
    }
}

// The loops stand here twice, because a closure would be compiled once, for the narrowest vectors.
multiversion! {
    /// Copies windows [h, w, channels] of `image` to consecutive rows of `panel`, zero outside of the image. May write
    /// past the last window: fill panels in order.
    pub fn unfold<T: Scalar>(source: Source, image: &[T], run: Run, panel: &mut [T]) {
        let n = source.channels;
        for i in 0..run.count {
            for dy in 0..run.h {
                let line = source.line(&run, i, dy);
                let out = &mut panel[line.panel..];
                if line.inside == run.w && n == source.c {
                    copy_short(&image[line.image..], out, run.w * n);
                    continue;
                }
                let (before, rest) = out[..run.w * n].split_at_mut(line.before * n);
                let (inside, after) = rest.split_at_mut(line.inside * n);
                before.fill(T::ZERO);
                after.fill(T::ZERO);
                for (out, pixel) in inside.chunks_exact_mut(n).zip(image[line.image..].chunks(source.c)) {
                    out.copy_from_slice(&pixel[..n]);
                }
            }
        }
    }

    /// Adds windows [h, w, channels] from consecutive rows of `panel` to the pixels of `image` they came from.
    pub fn fold<T: Scalar>(source: Source, panel: &[T], run: Run, image: &mut [T]) {
        let n = source.channels;
        if n == 3 {
            return fold_narrow::<T, 3>(source, panel, run, image);
        } else if n == 1 {
            return fold_narrow::<T, 1>(source, panel, run, image);
        }
        for i in 0..run.count {
            for dy in 0..run.h {
                let line = source.line(&run, i, dy);
                let inside = &panel[line.panel + line.before * n..][..line.inside * n];
                if n == source.c {
                    add(inside, &mut image[line.image..][..inside.len()]);
                    continue;
                }
                for (pixel, window) in image[line.image..].chunks_mut(source.c).zip(inside.chunks_exact(n)) {
                    add(window, &mut pixel[..n]);
                }
            }
        }
    }
}

/// Copies `len` elements, or more where both sides have them: a copy of fixed length is a few moves without a call.
#[inline(always)]
fn copy_short<T: Scalar>(from: &[T], to: &mut [T], len: usize) {
    if !copy_fixed::<T, 16>(from, to, len) && !copy_fixed::<T, 32>(from, to, len) && !copy_fixed::<T, 64>(from, to, len)
    {
        to[..len].copy_from_slice(&from[..len]);
    }
}

/// Copies N elements if `len` are no more and both sides have N; says whether it did.
#[inline(always)]
fn copy_fixed<T: Scalar, const N: usize>(from: &[T], to: &mut [T], len: usize) -> bool {
    let fits = len <= N && from.len() >= N && to.len() >= N;
    if fits {
        to[..N].copy_from_slice(&from[..N]);
    }
    fits
}

/// [`fold`] for windows of N channels, tap by tap: neighbouring windows overlap, and adding whole rows of them would read
/// what was just written in other pieces, which stalls.
#[inline(always)]
fn fold_narrow<T: Scalar, const N: usize>(source: Source, panel: &[T], run: Run, image: &mut [T]) {
    let cols = run.h * run.w * N;
    for dy in (0..run.h).filter(|&dy| (0..source.h as isize).contains(&(run.y + dy as isize))) {
        let row = (run.y + dy as isize) as usize * source.w;
        for dx in 0..run.w {
            // Windows i whose tap lies inside: 0 ≤ x + i·step < w.
            let x = run.x + dx as isize;
            let first = (-x).max(0) as usize;
            let windows = first.div_ceil(run.step)..((source.w as isize - x).max(0) as usize).div_ceil(run.step);
            for i in windows.start..windows.end.min(run.count) {
                let pixel = row + (x + (i * run.step) as isize) as usize;
                let to = &mut image[pixel * source.c + source.channel..][..N];
                let from = &panel[i * cols + (dy * run.w + dx) * N..][..N];
                (0..N).for_each(|c| to[c] += from[c]);
            }
        }
    }
}

/// to += values, in fours so that short runs are vectors too.
#[inline(always)]
fn add<T: Scalar>(values: &[T], to: &mut [T]) {
    let (to4, to1) = to.as_chunks_mut::<4>();
    let (values4, values1) = values.as_chunks::<4>();
    for (to, v) in to4.iter_mut().zip(values4) {
        (0..4).for_each(|i| to[i] += v[i]);
    }
    to1.iter_mut().zip(values1).for_each(|(to, &v)| *to += v);
}
