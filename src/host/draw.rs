//! Drawing a batch from a resident data set of bytes.

use super::Scalar;
use crate::philox;
use crate::plan::Draw;
use rayon::prelude::*;

/// The images of a batch in [−1, 1], and their labels where the set has them.
pub fn draw<T: Scalar>(
    d: &Draw,
    (seed, step): (u64, u32),
    images: &[u32],
    labels: &[u32],
    batch: &mut [T],
    out_labels: &mut [T],
) {
    let word = |j: usize, page: u32| philox::block(seed, [(j / 4) as u32, step, d.stream, page])[j % 4];
    let number = |j: usize| ((u64::from(word(j, 0)) * d.count as u64) >> 32) as usize;
    let [_, width, channels] = d.image;
    let size: usize = d.image.iter().product();
    batch.par_chunks_mut(size.max(1)).enumerate().for_each(|(j, out)| {
        let first = number(j) * size;
        let mirror = d.mirror && word(j, 1) >> 31 == 1;
        let byte = |i: usize| images[(first + i) / 4] >> (8 * ((first + i) % 4)) & 0xff;
        for (row, out) in out.chunks_exact_mut(width * channels).enumerate() {
            for (x, pixel) in out.chunks_exact_mut(channels).enumerate() {
                let x = if mirror { width - 1 - x } else { x };
                let from = (row * width + x) * channels;
                for (c, o) in pixel.iter_mut().enumerate() {
                    *o = T::of(f64::from(byte(from + c)) / 127.5 - 1.0);
                }
            }
        }
    });
    for (j, label) in out_labels.iter_mut().enumerate() {
        *label = T::of(f64::from(labels[number(j)]));
    }
}
