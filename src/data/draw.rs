//! Which images make the batch of a step: the host twin of `plan::Draw`.

use crate::philox;

/// Most images of a set: numbers of images, and a place plus a batch, stay within 32 bits.
pub const MAX_COUNT: usize = 1 << 31;

/// Number of the image at `position` of a stream: the position counts the images drawn from it before. Every image of
/// the set comes once per epoch of `count` positions, in an order of its own (`philox::shuffled`). `count` must be from 1
/// to [`MAX_COUNT`].
pub fn draw_index(seed: u64, stream: u32, position: u64, count: usize) -> usize {
    let [epoch, place] = cursor(position, count);
    philox::shuffled(seed, stream, epoch, place, count as u32) as usize
}

/// (epoch, place) of a position: what a device is told of the first image of a batch. `count` as in [`draw_index`].
pub fn cursor(position: u64, count: usize) -> [u32; 2] {
    let count = count.max(1) as u64;
    [(position / count) as u32, (position % count) as u32]
}

/// Whether the image at place `j` of a batch is flipped left to right: the top bit of lane j%4 of block
/// (j/4, step, stream, 1).
pub fn mirror(seed: u64, step: u32, stream: u32, j: usize) -> bool {
    philox::block(seed, [(j / 4) as u32, step, stream, 1])[j % 4] >> 31 == 1
}

/// Rows and columns from the corner of the border of `crop` pixels that is put around the image at place `j` of a batch to the
/// window that is cut out: halves of lane j%4 of block (j/4, step, stream, 3) as shares of 2·crop + 1.
pub fn shift(seed: u64, step: u32, stream: u32, j: usize, crop: usize) -> [usize; 2] {
    philox::shift(philox::block(seed, [(j / 4) as u32, step, stream, 3])[j % 4], crop)
}

/// An image of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pick {
    /// Its number in the set.
    pub image: usize,
    /// Pixels of the border of byte 0 around it, and rows and columns from the border's corner to the window that is taken.
    pub crop: usize,
    /// See `crop`.
    pub shift: [usize; 2],
    /// Whether the window is flipped left to right.
    pub flip: bool,
}

/// How batches are drawn; with a position, a step and a set it gives a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DrawRule {
    /// Seed of the run.
    pub seed: u64,
    /// Random stream of the phase that asks.
    pub stream: u32,
    /// Images in a batch.
    pub n: usize,
    /// Flip half of the images left to right.
    pub mirror: bool,
    /// Put a black border of so many pixels around each image and cut a window of its size out at random; 0 for none.
    pub crop: usize,
}

impl DrawRule {
    /// The batch of `step` from `count` images, of which `first` were drawn before.
    pub fn picks(&self, first: u64, step: u32, count: usize) -> impl Iterator<Item = Pick> + use<> {
        let DrawRule { seed, stream, n, mirror: flips, crop } = *self;
        (0..n).map(move |j| Pick {
            image: draw_index(seed, stream, first.wrapping_add(j as u64), count),
            crop,
            shift: if crop > 0 { shift(seed, step, stream, j, crop) } else { [0; 2] },
            flip: flips && mirror(seed, step, stream, j),
        })
    }

    /// Numbers of the images of a batch after `first` others, in order.
    pub fn numbers(&self, first: u64, count: usize) -> impl Iterator<Item = usize> + use<> {
        let DrawRule { seed, stream, n, .. } = *self;
        (0..n).map(move |j| draw_index(seed, stream, first.wrapping_add(j as u64), count))
    }
}

/// A byte as a number in [-1, 1]: (2·byte − 255)/255.
fn float(byte: u8) -> f32 {
    (2.0 * f32::from(byte) - 255.0) / 255.0
}

/// Bytes of an image as numbers in [-1, 1], in the same order.
pub fn floats(bytes: &[u8]) -> impl Iterator<Item = f32> {
    bytes.iter().map(|&byte| float(byte))
}

/// Writes an image of bytes `[size,size,channels]` as floats in [-1,1], byte/127.5 − 1 with one rounding, shifted and flipped as
/// `pick` says: the bits that the host draws from a resident set.
pub(super) fn write_floats(bytes: &[u8], pick: &Pick, size: usize, channels: usize, out: &mut [f32]) {
    let [down, right] = pick.shift;
    for (y, out) in out.chunks_exact_mut(size * channels).enumerate() {
        let y = (y + down).wrapping_sub(pick.crop);
        for (x, pixel) in out.chunks_exact_mut(channels).enumerate() {
            let x = if pick.flip { size - 1 - x } else { x };
            let x = (x + right).wrapping_sub(pick.crop);
            let inside = y < size && x < size;
            for (c, o) in pixel.iter_mut().enumerate() {
                *o = float(if inside { bytes[(y * size + x) * channels + c] } else { 0 });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The rule of `plan::Draw`, written out once more from its text.
    fn expected(seed: u64, stream: u32, position: u64, count: u64) -> usize {
        let (epoch, place) = (position / count, position % count);
        let keys = philox::block(seed, [epoch as u32, 0, stream, 2]);
        let b = (2..).step_by(2).find(|b| 1u64 << b >= count).unwrap();
        let h = b / 2;
        let mix = |mut v: u32| {
            v ^= v >> 16;
            v = v.wrapping_mul(0x7feb352d);
            v ^= v >> 15;
            v = v.wrapping_mul(0x846ca68b);
            v ^= v >> 16;
            u64::from(v)
        };
        let mut x = place;
        loop {
            let (mut l, mut r) = (x / (1 << h), x % (1 << h));
            for key in keys {
                (l, r) = (r, l ^ (mix(r as u32 ^ key) % (1 << h)));
            }
            x = l * (1 << h) + r;
            if x < count {
                return x as usize;
            }
        }
    }

    #[test]
    fn rule_of_the_plan() {
        let (seed, step, stream) = (0x1234_5678_9abc_def0, 77, 3);
        let rule = DrawRule { seed, stream, n: 10, mirror: true, crop: 4 };
        for count in [1, 2, 3, 4, 5, 16, 17, 1000, 65_536, 65_537, MAX_COUNT - 1, MAX_COUNT] {
            for first in [0, 9, 994, 123_456_789, u64::from(u32::MAX) * 3] {
                for (j, pick) in rule.picks(first, step, count).enumerate() {
                    let flip = philox::block(seed, [j as u32 / 4, step, stream, 1])[j % 4] & 0x8000_0000 != 0;
                    let word = philox::block(seed, [j as u32 / 4, step, stream, 3])[j % 4];
                    let shift = [word / 65_536, word % 65_536].map(|half| (half * 9 / 65_536) as usize);
                    let image = expected(seed, stream, first + j as u64, count as u64);
                    assert_eq!(pick, Pick { image, crop: 4, shift, flip }, "{count} {first}");
                }
            }
        }
    }

    /// Whatever the size of batches, and where they straddle epochs: each image once in every `count` draws.
    #[test]
    fn every_image_comes_once_per_epoch() {
        for count in [1usize, 2, 3, 7, 64, 1000, 4097] {
            for n in [1, 5, 64, 3000] {
                let rule = DrawRule { seed: 8, stream: 5, n, mirror: false, crop: 0 };
                let batches = (3 * count).div_ceil(n);
                let drawn: Vec<usize> = (0..batches).flat_map(|b| rule.numbers((b * n) as u64, count)).collect();
                for epoch in drawn.chunks_exact(count) {
                    let mut seen = epoch.to_vec();
                    seen.sort_unstable();
                    assert!(seen.into_iter().eq(0..count), "{count} images in batches of {n}");
                }
            }
        }
    }

    #[test]
    fn orders_differ() {
        let order = |seed, stream, epoch: u64| -> Vec<usize> {
            let rule = DrawRule { seed, stream, n: 100, mirror: false, crop: 0 };
            rule.numbers(100 * epoch, 100).collect()
        };
        let base = order(1, 2, 3);
        assert_ne!(base, (0..100).collect::<Vec<_>>());
        for other in [order(2, 2, 3), order(1 << 32 | 1, 2, 3), order(1, 3, 3), order(1, 2, 4)] {
            assert_ne!(base, other);
            // Two unrelated orders agree in one place on average; in ten hardly ever.
            assert!(base.iter().zip(&other).filter(|(a, b)| a == b).count() < 10);
        }
    }

    /// Over some epochs each tenth of the images comes in each tenth of the places alike, half of the images are
    /// flipped, and every shift comes as often as any other.
    #[test]
    fn places_flips_and_shifts_are_even() {
        let mut seen = [[0usize; 10]; 10];
        let mut flips = 0;
        let mut shifts = [[0usize; 3]; 3];
        for epoch in 0..70 {
            let rule = DrawRule { seed: 5, stream: 0, n: 1000, mirror: true, crop: 1 };
            for (place, pick) in rule.picks(1000 * epoch, epoch as u32, 1000).enumerate() {
                seen[place / 100][pick.image / 100] += 1;
                flips += usize::from(pick.flip);
                shifts[pick.shift[0]][pick.shift[1]] += 1;
            }
        }
        // 700 each with a standard deviation of 24; 35,000 flips with one of 132.
        assert!(seen.iter().flatten().all(|&n| n.abs_diff(700) < 120), "{seen:?}");
        assert!(flips.abs_diff(35_000) < 660, "{flips}");
        // 7778 each with a standard deviation of 83.
        assert!(shifts.iter().flatten().all(|&n| n.abs_diff(7778) < 415), "{shifts:?}");
    }

    #[test]
    fn cursors() {
        assert_eq!(cursor(0, 10), [0, 0]);
        assert_eq!(cursor(29, 10), [2, 9]);
        assert_eq!(cursor(MAX_COUNT as u64 * 5 + 7, MAX_COUNT), [5, 7]);
    }

    #[test]
    fn floats_shifts_and_flips() {
        let image = [0, 255, 51, 204];
        for (crop, shift, flip, expected) in [
            (0, [0, 0], true, [1.0, -1.0, 0.6, -0.6]),
            (1, [1, 1], false, [-1.0, 1.0, -0.6, 0.6]),
            // Over the border, which is black: above the image, to its right, below it.
            (1, [0, 1], false, [-1.0, -1.0, -1.0, 1.0]),
            (1, [0, 2], false, [-1.0, -1.0, 1.0, -1.0]),
            (1, [2, 1], false, [-0.6, 0.6, -1.0, -1.0]),
            // What was cut out is flipped.
            (1, [2, 2], true, [-1.0, 0.6, -1.0, -1.0]),
        ] {
            let mut out = [0.0; 4];
            write_floats(&image, &Pick { image: 0, crop, shift, flip }, 2, 1, &mut out);
            assert_eq!(out, expected, "{crop} {shift:?} {flip}");
        }
    }
}
