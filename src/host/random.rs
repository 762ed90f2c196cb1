//! Random tensors: Philox blocks as uniform or normal numbers.

use super::Scalar;
use super::eval::Rng;
use super::simd::multiversion;
use crate::graph::Dist;
use crate::philox;
use rayon::prelude::*;

/// Philox blocks made side by side.
const WIDTH: usize = 16;

multiversion! {
    /// Elements `start..start + out.len()` of a stream; `start` is a multiple of 4·[`WIDTH`].
    fn fill<T: Scalar>(dist: Dist, rng: Rng, stream: u32, start: usize, out: &mut [T]) {
        for (i, out) in out.chunks_mut(4 * WIDTH).enumerate() {
            let first = (start / 4 + i * WIDTH) as u32;
            let mut words = [[0; WIDTH]; 4];
            for (b, counter) in (first..first + WIDTH as u32).enumerate() {
                let block = philox::block(rng.seed, [counter, rng.step, stream, rng.round << 2]);
                (0..4).for_each(|lane| words[lane][b] = block[lane]);
            }
            let mut values = [[T::ZERO; WIDTH]; 4];
            for pair in [0, 2] {
                for b in 0..WIDTH {
                    let (first, second) = (uniform::<T>(words[pair][b]), uniform::<T>(words[pair + 1][b]));
                    [values[pair][b], values[pair + 1][b]] = match dist {
                        Dist::Uniform => [first, second],
                        Dist::Normal => normal_pair(first, second),
                    };
                }
            }
            for (j, o) in out.iter_mut().enumerate() {
                *o = values[j % 4][j / 4];
            }
        }
    }
}

/// A word as a number in (0, 1): `philox::uniform`, exact in f32 too.
#[inline(always)]
fn uniform<T: Scalar>(word: u32) -> T {
    T::of(philox::uniform(word))
}

/// Two uniform numbers as two normal ones (Box–Muller).
#[inline(always)]
fn normal_pair<T: Scalar>(a: T, b: T) -> [T; 2] {
    let radius = (T::of(-2.0) * a.ln()).sqrt();
    b.turn().map(|v| radius * v)
}

/// Element i is lane i%4 of block (i/4, step, stream, 4·round).
pub fn rand<T: Scalar>(dist: Dist, rng: Rng, stream: u32, out: &mut [T]) {
    const TASK: usize = 1 << 13;
    out.par_chunks_mut(TASK).enumerate().for_each(|(i, out)| fill(dist, rng, stream, i * TASK, out));
}
