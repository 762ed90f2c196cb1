//! The kernel inception distance (Bińkowski et al. 2018), on the features of any network.

use super::Features;
use super::pairs::Pairs;
use crate::device::Device;
use crate::{Error, Result, philox};

/// Subsets that are averaged over.
pub const SUBSETS: usize = 100;
/// Most images of a subset.
const MOST: usize = 1000;
/// Random stream of the subsets of either set.
const STREAMS: [u32; 2] = [40, 41];

/// The squared maximum mean discrepancy under the kernel (x·y/d + 1)³, without bias: the mean over [`SUBSETS`] pairs of subsets, which were
/// drawn without replacement, and how far they are apart. It may be below 0.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Kid {
    /// The estimate.
    pub mean: f64,
    /// The standard deviation of the subsets' estimates.
    pub deviation: f64,
}

/// KID of two sets of features of one network; the same subsets at every call.
///
/// # Errors
/// Fewer than two images; a device that fails.
pub fn kid(a: &Features, b: &Features, device: &Device) -> Result<Kid> {
    let m = a.count().min(b.count()).min(MOST);
    if m < 2 {
        return Err(Error::Check(format!("{m} images have no KID: take two or more")));
    }
    let mut pairs = Pairs::new(a.dims, m, device)?;
    let found = (0..SUBSETS as u32)
        .map(|subset| estimate(&mut pairs, &drawn(a, STREAMS[0], subset, m), &drawn(b, STREAMS[1], subset, m), a.dims))
        .collect::<Result<Vec<f64>>>()?;
    let mean = found.iter().sum::<f64>() / found.len() as f64;
    let variance = found.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / found.len() as f64;
    Ok(Kid { mean, deviation: variance.sqrt() })
}

/// The rows of subset number `subset`.
fn drawn(features: &Features, stream: u32, subset: u32, m: usize) -> Vec<f32> {
    let row = |place: u32| features.row(philox::shuffled(0, stream, subset, place, features.count() as u32) as usize);
    (0..m as u32).flat_map(row).copied().collect()
}

/// The unbiased estimate of one pair of subsets of equal size.
fn estimate(pairs: &mut Pairs, x: &[f32], y: &[f32], dims: usize) -> Result<f64> {
    let m = (x.len() / dims) as f64;
    let sum = |sums: Vec<f32>| sums.into_iter().map(f64::from).sum::<f64>();
    // An image with itself is no pair.
    let own = |rows: &[f32]| -> f64 {
        let square = |row: &[f32]| row.iter().map(|v| f64::from(*v).powi(2)).sum::<f64>();
        rows.chunks(dims).map(|row| (square(row) / dims as f64 + 1.0).powi(3)).sum()
    };
    pairs.load(x)?;
    let within_x = sum(pairs.kernel_sums(x)?) - own(x);
    let between = sum(pairs.kernel_sums(y)?);
    pairs.load(y)?;
    let within_y = sum(pairs.kernel_sums(y)?) - own(y);
    Ok((within_x + within_y) / (m * (m - 1.0)) - 2.0 * between / (m * m))
}
