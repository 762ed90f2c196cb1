//! 2-D mixtures of Gaussians on which a GAN's mode collapse can be counted: a ring of 8 and a grid of 25.
//!
//! Samples are in the published units (Metz et al. 2017; Srivastava et al. 2017, VEEGAN), not rescaled. They are endless:
//! point j of a batch is a pure function of (seed, step, stream, j).

mod plot;

pub use plot::plot;

use crate::philox;

/// A mixture of equally likely round Gaussians.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Toy {
    /// 8 modes on a circle of radius 1, σ = .01.
    Ring8,
    /// 5×5 modes at {−4, −2, 0, 2, 4}², σ = .05.
    Grid25,
}

impl Toy {
    /// All of them.
    pub const ALL: [Toy; 2] = [Toy::Ring8, Toy::Grid25];

    /// Name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Toy::Ring8 => "ring8",
            Toy::Grid25 => "grid25",
        }
    }

    /// How many modes.
    pub fn modes(self) -> usize {
        match self {
            Toy::Ring8 => 8,
            Toy::Grid25 => 25,
        }
    }

    /// Standard deviation of a mode along each axis.
    pub fn sigma(self) -> f64 {
        match self {
            Toy::Ring8 => 0.01,
            Toy::Grid25 => 0.05,
        }
    }

    /// Centre of mode `k` < [`Toy::modes`].
    pub fn centre(self, k: usize) -> [f64; 2] {
        match self {
            Toy::Ring8 => {
                let (sin, cos) = (std::f64::consts::TAU * k as f64 / 8.0).sin_cos();
                [cos, sin]
            }
            Toy::Grid25 => [2.0 * (k % 5) as f64 - 4.0, 2.0 * (k / 5) as f64 - 4.0],
        }
    }

    /// The square [−e, e]² holds every mode with room around it.
    pub fn extent(self) -> f64 {
        match self {
            Toy::Ring8 => 1.5,
            Toy::Grid25 => 5.5,
        }
    }
}

/// A batch of real points, `[n, 2]`. Point j takes Philox block (j, step, stream, 2): its mode is `(word₀ · modes) >> 32`, its
/// offset σ times the normal pair of words 2 and 3.
pub fn batch(toy: Toy, seed: u64, step: u32, stream: u32, n: usize) -> Vec<f32> {
    let point = |j: usize| {
        let word = philox::block(seed, [j as u32, step, stream, 2]);
        let centre = toy.centre(((u64::from(word[0]) * toy.modes() as u64) >> 32) as usize);
        let offset = philox::normal_pair(word[2], word[3]);
        [0, 1].map(|a| (centre[a] + toy.sigma() * offset[a]) as f32)
    };
    (0..n).flat_map(point).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each point belongs to the nearest mode; modes are even, spread has the published σ in both axes.
    #[test]
    fn statistics() {
        for toy in Toy::ALL {
            let n = 20_000;
            let points = batch(toy, 11, 4, 1, n);
            let mut counts = vec![0usize; toy.modes()];
            let mut squares = [0.0f64; 2];
            for p in points.chunks_exact(2) {
                let offset = |k: usize| [0, 1].map(|a| f64::from(p[a]) - toy.centre(k)[a]);
                let distance = |k: &usize| offset(*k).map(|d| d * d).iter().sum::<f64>();
                let nearest = (0..toy.modes()).min_by(|a, b| distance(a).total_cmp(&distance(b))).unwrap();
                counts[nearest] += 1;
                squares = [0, 1].map(|a| squares[a] + offset(nearest)[a].powi(2));
            }
            let (even, spread) = (n as f64 / toy.modes() as f64, (even_deviation(n, toy.modes())));
            assert!(counts.iter().all(|&c| (c as f64 - even).abs() < 4.5 * spread), "{toy:?}: {counts:?}");
            for s in squares {
                let sigma = (s / n as f64).sqrt();
                assert!((sigma / toy.sigma() - 1.0).abs() < 0.02, "{toy:?}: σ {sigma}");
            }
        }
    }

    fn even_deviation(n: usize, modes: usize) -> f64 {
        let p = 1.0 / modes as f64;
        (n as f64 * p * (1.0 - p)).sqrt()
    }

    #[test]
    fn a_batch_is_a_function_of_its_coordinates() {
        let base = batch(Toy::Ring8, 1, 2, 3, 64);
        assert_eq!(base, batch(Toy::Ring8, 1, 2, 3, 64));
        assert_eq!(base[..32], batch(Toy::Ring8, 1, 2, 3, 16), "a smaller batch is the start of a larger one");
        for other in [(2, 2, 3), (1, 3, 3), (1, 2, 4)] {
            assert_ne!(base, batch(Toy::Ring8, other.0, other.1, other.2, 64));
        }
    }
}
