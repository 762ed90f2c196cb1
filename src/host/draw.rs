//! Drawing a batch from a resident data set of bytes.

use super::Scalar;
use crate::philox;
use crate::plan::Draw;
use rayon::prelude::*;

/// The images of a batch in [−1, 1], and their labels where the set has them; `cursor` is (epoch, place) of the first.
pub fn draw<T: Scalar>(
    d: &Draw,
    (seed, step): (u64, u32),
    (images, labels, cursor): (&[u32], &[u32], &[u32]),
    batch: &mut [T],
    out_labels: &mut [T],
) {
    let number = |j: usize| {
        let at = cursor[1] as usize + j;
        let (epoch, place) = (cursor[0].wrapping_add((at / d.count) as u32), (at % d.count) as u32);
        philox::shuffled(seed, d.stream, epoch, place, d.count as u32) as usize
    };
    let flipped = |j: usize| philox::block(seed, [(j / 4) as u32, step, d.stream, 1])[j % 4] >> 31 == 1;
    let shift = |j: usize| philox::shift(philox::block(seed, [(j / 4) as u32, step, d.stream, 3])[j % 4], d.crop);
    let [height, width, channels] = d.image;
    let size: usize = d.image.iter().product();
    batch.par_chunks_mut(size.max(1)).enumerate().for_each(|(j, out)| {
        let first = number(j) * size;
        let mirror = d.mirror && flipped(j);
        let [down, right] = if d.crop > 0 { shift(j) } else { [0; 2] };
        let byte = |i: usize| images[(first + i) / 4] >> (8 * ((first + i) % 4)) & 0xff;
        for (row, out) in out.chunks_exact_mut(width * channels).enumerate() {
            for (x, pixel) in out.chunks_exact_mut(channels).enumerate() {
                let x = if mirror { width - 1 - x } else { x };
                // Counted from the border that is put around the image.
                let (row, x) = ((row + down).wrapping_sub(d.crop), (x + right).wrapping_sub(d.crop));
                let inside = row < height && x < width;
                for (c, o) in pixel.iter_mut().enumerate() {
                    let byte = if inside { byte((row * width + x) * channels + c) } else { 0 };
                    *o = T::of((2.0 * f64::from(byte) - 255.0) / 255.0);
                }
            }
        }
    });
    for (j, label) in out_labels.iter_mut().enumerate() {
        *label = T::of(f64::from(labels[number(j)]));
    }
}
