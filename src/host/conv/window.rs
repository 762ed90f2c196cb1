//! Unfolding: the window of pixels that a product needs, copied into one row (im2col), and its adjoint.

use super::super::Scalar;

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

/// Extents of a window in pixels.
#[derive(Clone, Copy)]
pub struct Extent {
    pub h: usize,
    pub w: usize,
}

impl Source {
    /// Elements of one image.
    pub fn image(&self) -> usize {
        self.h * self.w * self.c
    }

    /// The part of a run of `n` pixels from `x` on that lies inside a row: (pixels before, pixels inside).
    #[inline(always)]
    fn clip(&self, x: isize, n: usize) -> (usize, usize) {
        let before = (-x).clamp(0, n as isize) as usize;
        let end = (self.w as isize - x).clamp(0, n as isize) as usize;
        (before, end.max(before) - before)
    }

    /// Copies the window whose corner is pixel (y, x) of `image` to `out` [h, w, channels], zero outside of the image.
    #[inline]
    pub fn unfold<T: Scalar>(&self, image: &[T], [y, x]: [isize; 2], extent: Extent, out: &mut [T]) {
        let n = self.channels;
        let (before, inside) = self.clip(x, extent.w);
        for (dy, out) in out.chunks_exact_mut(extent.w * n).enumerate() {
            let y = y + dy as isize;
            if y < 0 || y >= self.h as isize || inside == 0 {
                out.fill(T::ZERO);
                continue;
            }
            let from = (y as usize * self.w + (x + before as isize) as usize) * self.c + self.channel;
            out[..before * n].fill(T::ZERO);
            out[(before + inside) * n..].fill(T::ZERO);
            let out = &mut out[before * n..][..inside * n];
            if n == self.c {
                out.copy_from_slice(&image[from..from + inside * n]);
            } else {
                for (out, pixel) in out.chunks_exact_mut(n).zip(image[from..].chunks(self.c)) {
                    out.copy_from_slice(&pixel[..n]);
                }
            }
        }
    }

    /// Adds a window [h, w, channels] to the pixels of `image` it came from.
    #[inline]
    pub fn fold<T: Scalar>(&self, window: &[T], [y, x]: [isize; 2], extent: Extent, image: &mut [T]) {
        let n = self.channels;
        let (before, inside) = self.clip(x, extent.w);
        for (dy, window) in window.chunks_exact(extent.w * n).enumerate() {
            let y = y + dy as isize;
            if y < 0 || y >= self.h as isize || inside == 0 {
                continue;
            }
            let to = (y as usize * self.w + (x + before as isize) as usize) * self.c + self.channel;
            let window = &window[before * n..][..inside * n];
            if n == self.c {
                add(&mut image[to..to + inside * n], window);
            } else {
                for (pixel, window) in image[to..].chunks_mut(self.c).zip(window.chunks_exact(n)) {
                    add(&mut pixel[..n], window);
                }
            }
        }
    }
}

#[inline(always)]
fn add<T: Scalar>(to: &mut [T], values: &[T]) {
    to.iter_mut().zip(values).for_each(|(to, &v)| *to += v);
}
