//! Modes of Stacked-MNIST (Metz et al. 2017, section 3.3.1): a thousand combinations of three digits.

use std::fmt;

/// Combinations of three digits.
const MODES: usize = 1000;

/// How generated images of three digits each meet the thousand modes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StackedModes {
    /// Modes that an image fell into.
    pub covered: usize,
    /// Images.
    pub samples: usize,
    /// KL(p ‖ q) in nats, p the share of images in each mode, q that of the data: products of the shares of the digits.
    pub kl: f64,
    /// KL(p ‖ u), u the same share of each mode.
    pub kl_uniform: f64,
}

/// `987 of 1000 modes, KL 0.123`.
impl fmt::Display for StackedModes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {MODES} modes, KL {:.3} (to equal shares {:.3})", self.covered, self.kl, self.kl_uniform)
    }
}

/// Modes of images whose channels show these digits; `shares` are those of the ten digits in the data.
pub fn stacked_modes(digits: impl IntoIterator<Item = [u32; 3]>, shares: &[f64; 10]) -> StackedModes {
    let mut counts = vec![0usize; MODES];
    for [a, b, c] in digits {
        counts[(a * 100 + b * 10 + c) as usize % MODES] += 1;
    }
    let samples: usize = counts.iter().sum();
    let share = |mode: usize| shares[mode / 100] * shares[mode / 10 % 10] * shares[mode % 10];
    let (mut kl, mut kl_uniform) = (0.0, 0.0);
    for (mode, count) in counts.iter().enumerate().filter(|(_, count)| **count > 0) {
        let p = *count as f64 / samples as f64;
        kl += p * (p / share(mode)).ln();
        kl_uniform += p * (p * MODES as f64).ln();
    }
    StackedModes { covered: counts.iter().filter(|count| **count > 0).count(), samples, kl, kl_uniform }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all() -> impl Iterator<Item = [u32; 3]> {
        (0..1000).map(|k| [k / 100, k / 10 % 10, k % 10])
    }

    #[test]
    fn known_shares() {
        let even = [0.1; 10];
        let found = stacked_modes(all(), &even);
        assert_eq!((found.covered, found.samples), (1000, 1000));
        assert!(found.kl.abs() < 1e-12 && found.kl_uniform.abs() < 1e-12, "{found}");
        // One mode alone, and half of them.
        let one = stacked_modes([[3, 1, 4]; 50], &even);
        assert!(one.covered == 1 && (one.kl - 1000f64.ln()).abs() < 1e-12, "{one}");
        let half = stacked_modes(all().filter(|digits| digits[0] < 5), &even);
        assert!(half.covered == 500 && (half.kl - 2f64.ln()).abs() < 1e-12, "{half}");
        // Data in which the first five digits alone occur has the half as its truth.
        let mut shares = [0.0; 10];
        shares[..5].fill(0.2);
        let fitting = stacked_modes(all().filter(|digits| digits.iter().all(|d| *d < 5)), &shares);
        assert!(fitting.covered == 125 && fitting.kl.abs() < 1e-12 && fitting.kl_uniform > 2.0, "{fitting}");
        // A digit that the data lacks is infinitely surprising.
        assert_eq!(stacked_modes([[9, 0, 0]], &shares).kl, f64::INFINITY);
        assert_eq!(stacked_modes([], &even).covered, 0);
    }
}
