//! Which images make the batch of a step: the host twin of `plan::Draw`.

use crate::philox;

/// Number of the image at place `j` of a batch: `(word · count) >> 32`, word = lane j%4 of Philox block
/// (j/4, step, stream, 0). `count` must be from 1 to 2³².
pub fn draw_index(seed: u64, step: u32, stream: u32, j: usize, count: usize) -> usize {
    let word = lane(seed, step, stream, j, 0);
    ((u64::from(word) * count as u64) >> 32) as usize
}

/// Whether the image at place `j` of a batch is flipped left to right: the top bit of lane j%4 of block
/// (j/4, step, stream, 1).
pub fn mirror(seed: u64, step: u32, stream: u32, j: usize) -> bool {
    lane(seed, step, stream, j, 1) >> 31 == 1
}

fn lane(seed: u64, step: u32, stream: u32, j: usize, purpose: u32) -> u32 {
    philox::block(seed, [(j / 4) as u32, step, stream, purpose])[j % 4]
}

/// How batches are drawn; with a step and a set it gives a batch.
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
}

impl DrawRule {
    /// The batch of `step` from `count` images: (number of the image, flipped?) for each place.
    pub fn picks(&self, step: u32, count: usize) -> impl Iterator<Item = (usize, bool)> + use<> {
        let DrawRule { seed, stream, n, mirror: flips } = *self;
        (0..n).map(move |j| (draw_index(seed, step, stream, j, count), flips && mirror(seed, step, stream, j)))
    }
}

/// Writes an image of bytes `[size,size,channels]` as floats in [-1,1], byte/127.5 − 1, flipped left to right if asked.
pub(super) fn write_floats(bytes: &[u8], flip: bool, size: usize, channels: usize, out: &mut [f32]) {
    let float = |b: u8| f32::from(b) / 127.5 - 1.0;
    for (row, out) in bytes.chunks_exact(size * channels).zip(out.chunks_exact_mut(size * channels)) {
        for (x, pixel) in row.chunks_exact(channels).enumerate() {
            let at = if flip { size - 1 - x } else { x } * channels;
            for (o, &b) in out[at..at + channels].iter_mut().zip(pixel) {
                *o = float(b);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The rule of `plan::Draw`, written out once more from its text.
    #[test]
    fn rule_of_the_plan() {
        let (seed, step, stream, count) = (0x1234_5678_9abc_def0, 77, 3, 1000);
        let rule = DrawRule { seed, stream, n: 10, mirror: true };
        let picks: Vec<_> = rule.picks(step, count).collect();
        for j in 0..10u32 {
            let word = philox::block(seed, [j / 4, step, stream, 0])[j as usize % 4];
            let flip = philox::block(seed, [j / 4, step, stream, 1])[j as usize % 4] & 0x8000_0000 != 0;
            assert_eq!(picks[j as usize], (((word as u128 * 1000) >> 32) as usize, flip));
        }
    }

    #[test]
    fn draws_are_even_and_in_range() {
        let mut seen = [0usize; 7];
        let mut flips = 0;
        for step in 0..1000 {
            for (k, flip) in (DrawRule { seed: 5, stream: 0, n: 7, mirror: true }).picks(step, 7) {
                seen[k] += 1;
                flips += usize::from(flip);
            }
        }
        // 7,000 draws: 1,000 each with a standard deviation of 29; 3,500 flips with one of 42.
        assert!(seen.iter().all(|&n| n.abs_diff(1000) < 150), "{seen:?}");
        assert!(flips.abs_diff(3500) < 210, "{flips}");
    }

    #[test]
    fn floats_and_flip() {
        let mut out = [0.0; 4];
        write_floats(&[0, 255, 51, 204], true, 2, 1, &mut out);
        assert_eq!(out, [1.0, -1.0, 0.6, -0.6]);
    }
}
