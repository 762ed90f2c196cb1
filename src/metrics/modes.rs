//! Mode coverage of the 2-D toys (Srivastava et al. 2017, VEEGAN, section 4.1).

use std::fmt;

use crate::data::toys::Toy;

/// How a set of generated points meets the modes of a toy. The two numbers belong together: noise reaches every mode, and a
/// collapsed generator gives only good samples.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Modes {
    /// Modes with at least one sample within 3σ.
    pub covered: usize,
    /// Modes there are.
    pub total: usize,
    /// Share of samples within 3σ of a mode, 0 to 1.
    pub high_quality: f64,
}

/// `8/8 modes, 97.2 % high-quality`.
impl fmt::Display for Modes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{} modes, {:.1} % high-quality", self.covered, self.total, 100.0 * self.high_quality)
    }
}

/// Counts modes reached by `samples` `[n,2]`. Samples that are not finite are near no mode; without samples nothing is covered.
pub fn modes(toy: Toy, samples: &[f32]) -> Modes {
    let reach = (3.0 * toy.sigma()).powi(2);
    let centres: Vec<[f64; 2]> = (0..toy.modes()).map(|k| toy.centre(k)).collect();
    let mut seen = vec![false; toy.modes()];
    let (mut good, mut n) = (0usize, 0usize);
    for p in samples.chunks_exact(2) {
        let distance = |c: &[f64; 2]| (f64::from(p[0]) - c[0]).powi(2) + (f64::from(p[1]) - c[1]).powi(2);
        n += 1;
        // Modes lie much further apart than 6σ, so at most one is in reach.
        if let Some(k) = centres.iter().position(|c| distance(c) <= reach) {
            seen[k] = true;
            good += 1;
        }
    }
    let covered = seen.into_iter().filter(|&s| s).count();
    Modes { covered, total: toy.modes(), high_quality: if n == 0 { 0.0 } else { good as f64 / n as f64 } }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::toys;

    #[test]
    fn known_points() {
        // On a mode, 2.9σ from one, 3.1σ from one, far away, not a number.
        let points = [1.0, 0.0, 0.0, 1.029, 0.0, -1.031, 5.0, 5.0, f32::NAN, 0.0];
        let found = modes(Toy::Ring8, &points);
        assert_eq!(found, Modes { covered: 2, total: 8, high_quality: 0.4 });
        assert_eq!(found.to_string(), "2/8 modes, 40.0 % high-quality");
        assert_eq!(modes(Toy::Grid25, &[]), Modes { covered: 0, total: 25, high_quality: 0.0 });
    }

    #[test]
    fn real_points_cover_everything() {
        for toy in Toy::ALL {
            let found = modes(toy, &toys::batch(toy, 3, 0, 0, 10_000));
            assert_eq!(found.covered, toy.modes());
            // 1 − e^(−9/2) of a round Gaussian lies within 3σ.
            assert!((found.high_quality - 0.98889).abs() < 0.005, "{toy:?}: {}", found.high_quality);
        }
    }

    #[test]
    fn collapse_and_noise_are_told_apart() {
        let one: Vec<f32> = [4.0, -4.0].repeat(100);
        assert_eq!(modes(Toy::Grid25, &one), Modes { covered: 1, total: 25, high_quality: 1.0 });
        let lattice = |i: usize| -5.0 + 0.05 * i as f32;
        let noise: Vec<f32> = (0..201).flat_map(|i| (0..201).flat_map(move |j| [lattice(i), lattice(j)])).collect();
        let found = modes(Toy::Grid25, &noise);
        assert!(found.covered == 25 && found.high_quality < 0.02, "{found}");
    }
}
