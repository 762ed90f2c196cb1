//! Stacked-MNIST (Metz et al. 2017, section 3.3.1): images of three random digits, one in each of the colours, with a thousand modes.

use super::idx::Idx;
use crate::philox;

/// Random stream of the digits of an image.
const STREAM: u32 = 15;

/// Digits, and the seed by which they are drawn.
#[derive(Debug)]
pub(super) struct Stack {
    pub digits: Idx,
    pub seed: u64,
}

impl Stack {
    /// Numbers of the digits in red, green and blue of image `k`: each is drawn from all, independently.
    pub fn parts(&self, k: usize) -> [usize; 3] {
        let words = philox::block(self.seed, [k as u32, (k as u64 >> 32) as u32, STREAM, 0]);
        let count = self.digits.count() as u64;
        [words[0], words[1], words[2]].map(|word| ((u64::from(word) * count) >> 32) as usize)
    }

    /// Image `k` as `[size,size,3]` bytes.
    pub fn pixels(&self, k: usize, size: usize) -> Vec<u8> {
        let [red, green, blue] = self.parts(k).map(|digit| self.digits.pixels(digit, size, 1));
        red.into_iter().zip(green).zip(blue).flat_map(|((r, g), b)| [r, g, b]).collect()
    }

    /// Labels of the first `count` images, where digits have them: the number that is read in red, green, blue.
    pub fn labels(&self, count: usize) -> Option<Vec<u32>> {
        let labels = self.digits.labels.as_ref()?;
        let read = |k: usize| self.parts(k).iter().fold(0, |number, &digit| 10 * number + labels[digit].min(9));
        Some((0..count).map(read).collect())
    }
}
