//! The Fréchet distance between Gaussians fitted to features (Heusel et al. 2017).

use super::Features;
use crate::{Error, Result};
use nalgebra::{DMatrix, DVector};

/// Mean and covariance of features.
#[derive(Clone, Debug, PartialEq)]
pub struct Gaussian {
    /// `[dims]`.
    pub mean: DVector<f64>,
    /// `[dims, dims]`, of n samples with the divisor n − 1.
    pub covariance: DMatrix<f64>,
}

impl Gaussian {
    /// The Gaussian of some features, in f64. Of fewer images than dimensions the covariance is singular; the distance stays finite, and
    /// says little.
    ///
    /// # Errors
    /// Fewer than two images; a feature that is not finite.
    pub fn of(features: &Features) -> Result<Gaussian> {
        let (n, d) = (features.count(), features.dims);
        if n < 2 {
            return Err(Error::Check(format!("{n} images have no covariance: take two or more")));
        }
        if let Some(at) = features.values.iter().position(|v| !v.is_finite()) {
            let (image, value) = (at / d, features.values[at]);
            return Err(Error::Check(format!("a feature of image {image} is {value}: the network's weights are damaged")));
        }
        let rows = DMatrix::from_row_iterator(n, d, features.values.iter().map(|v| f64::from(*v)));
        let mean = rows.row_mean();
        let mut centred = rows;
        centred.row_iter_mut().for_each(|mut row| row -= &mean);
        let covariance = centred.transpose() * &centred / (n - 1) as f64;
        Ok(Gaussian { mean: mean.transpose(), covariance })
    }
}

/// |μ₁ − μ₂|² + tr(C₁ + C₂ − 2·(C₁·C₂)^½).
///
/// The trace of the root is the sum of the roots of the eigenvalues of C₁·C₂, which are those of the symmetric Lᵀ·C₂·L with C₁ = L·Lᵀ: real,
/// and not below 0 but for rounding, also where a covariance is singular.
pub fn frechet(a: &Gaussian, b: &Gaussian) -> f64 {
    let root = factor(&a.covariance);
    let product = root.transpose() * &b.covariance * &root;
    let symmetric = (&product + product.transpose()) * 0.5;
    let overlap: f64 = symmetric.symmetric_eigenvalues().iter().map(|v| v.max(0.0).sqrt()).sum();
    let distance = (&a.mean - &b.mean).norm_squared() + a.covariance.trace() + b.covariance.trace() - 2.0 * overlap;
    distance.max(0.0)
}

/// L with L·Lᵀ = C of a symmetric matrix without negative eigenvalues, by Cholesky's method with pivots: what is left of a direction
/// without variance is a column of zeros.
fn factor(c: &DMatrix<f64>) -> DMatrix<f64> {
    let n = c.nrows();
    let mut rest: Vec<f64> = (0..n).map(|i| c[(i, i)]).collect();
    let least = rest.iter().copied().fold(0.0, f64::max) * n as f64 * f64::EPSILON;
    let mut left: Vec<bool> = vec![true; n];
    let mut l = DMatrix::zeros(n, n);
    for k in 0..n {
        let pivot = (0..n).filter(|&i| left[i]).max_by(|&i, &j| rest[i].total_cmp(&rest[j]));
        let Some(p) = pivot.filter(|&p| rest[p] > least) else { break };
        left[p] = false;
        let root = rest[p].sqrt();
        let known = l.row(p).columns(0, k).transpose();
        let mut column = c.column(p) - l.columns(0, k) * known;
        column /= root;
        for i in 0..n {
            if i == p {
                l[(i, k)] = root;
            } else if left[i] {
                l[(i, k)] = column[i];
                rest[i] -= column[i] * column[i];
            }
        }
    }
    l
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::philox::normal_at;

    fn gaussian(mean: &[f64], covariance: DMatrix<f64>) -> Gaussian {
        Gaussian { mean: DVector::from_row_slice(mean), covariance }
    }

    fn close(found: f64, wanted: f64) {
        assert!((found - wanted).abs() <= 1e-9 * (1.0 + wanted.abs()), "{found} is not {wanted}");
    }

    /// Where covariances commute it is |μ₁ − μ₂|² + Σ (√λ₁ − √λ₂)².
    #[test]
    fn closed_forms() {
        let diagonal = |v: &[f64]| DMatrix::from_diagonal(&DVector::from_row_slice(v));
        let a = gaussian(&[0.0, 1.0, 2.0], diagonal(&[1.0, 4.0, 9.0]));
        let b = gaussian(&[1.0, 1.0, 0.0], diagonal(&[4.0, 4.0, 1.0]));
        close(frechet(&a, &b), 5.0 + 1.0 + 0.0 + 4.0);
        close(frechet(&a, &a), 0.0);
        // The same in turned coordinates.
        let (s, c) = 0.7f64.sin_cos();
        let turn = DMatrix::from_row_slice(3, 3, &[c, -s, 0.0, s, c, 0.0, 0.0, 0.0, 1.0]);
        let turned = |g: &Gaussian| Gaussian { mean: &turn * &g.mean, covariance: &turn * &g.covariance * turn.transpose() };
        close(frechet(&turned(&a), &turned(&b)), 10.0);
        // Singular ones.
        let flat = gaussian(&[0.0; 3], diagonal(&[1.0, 0.0, 0.0]));
        close(frechet(&flat, &gaussian(&[0.0; 3], diagonal(&[0.0, 4.0, 0.0]))), 5.0);
        close(frechet(&flat, &gaussian(&[0.0; 3], diagonal(&[9.0, 4.0, 0.0]))), 8.0);
        close(frechet(&gaussian(&[0.0; 3], DMatrix::zeros(3, 3)), &flat), 1.0);
    }

    fn drawn(seed: u64, n: usize, dims: usize) -> Features {
        Features { values: (0..(n * dims) as u64).map(|i| normal_at(seed, 0, 0, i) as f32).collect(), dims }
    }

    /// Fewer images than dimensions: singular, and still finite, symmetric and above 0.
    #[test]
    fn few_images_are_finite() {
        let (a, b) = (Gaussian::of(&drawn(1, 5, 40)).unwrap(), Gaussian::of(&drawn(2, 7, 40)).unwrap());
        let (there, back) = (frechet(&a, &b), frechet(&b, &a));
        assert!(there.is_finite() && there > 1.0, "{there}");
        assert!((there - back).abs() < 1e-6 * there, "{there} and {back}");
        // Roots of rounding errors of the size 1e-16 remain.
        assert!(frechet(&a, &a) < 1e-5, "{}", frechet(&a, &a));
        assert!(Gaussian::of(&drawn(1, 1, 4)).unwrap_err().to_string().contains("two or more"));
        let mut broken = drawn(1, 4, 4);
        broken.values[6] = f32::NAN;
        assert!(Gaussian::of(&broken).unwrap_err().to_string().contains("image 1 is NaN"));
    }

    /// The divisor is n − 1.
    #[test]
    fn covariance_of_three_points() {
        let g = Gaussian::of(&Features { values: vec![0.0, 0.0, 2.0, 0.0, 1.0, 3.0], dims: 2 }).unwrap();
        assert_eq!((g.mean[0], g.mean[1]), (1.0, 1.0));
        assert_eq!((g.covariance[(0, 0)], g.covariance[(0, 1)], g.covariance[(1, 1)]), (1.0, 0.0, 3.0));
    }
}
