//! Improved precision and recall (Kynkäänniemi et al. 2019).

use super::Features;
use super::pairs::Pairs;
use crate::device::Device;
use crate::{Error, Result};

/// The neighbour whose distance is the radius of an image's ball.
pub const NEIGHBOURS: usize = 3;

/// How two sets lie in each other, each number from 0 to 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PrecisionRecall {
    /// Share of fakes that lie in the ball of a real: how real they are.
    pub precision: f64,
    /// Share of reals that lie in the ball of a fake: how varied the fakes are.
    pub recall: f64,
}

/// Precision and recall of `fakes` among `reals`, with balls that reach to each image's third nearest neighbour of its own set.
///
/// # Errors
/// Sets of at most three images; a device that fails.
pub fn precision_recall(reals: &Features, fakes: &Features, device: &Device) -> Result<PrecisionRecall> {
    let least = reals.count().min(fakes.count());
    if least <= NEIGHBOURS {
        return Err(Error::Check(format!("{least} images have no {NEIGHBOURS} neighbours each: take more")));
    }
    let mut pairs = Pairs::new(reals.dims, reals.count().max(fakes.count()), device)?;
    pairs.centre(reals);
    let of_fakes = radii(&mut pairs, fakes)?;
    let of_reals = radii(&mut pairs, reals)?;
    // The columns are the reals now.
    let (mut inside, mut covered) = (0usize, vec![false; reals.count()]);
    pairs.distances(&fakes.values, &mut |fake, row| {
        inside += usize::from(row.iter().zip(&of_reals).any(|(distance, radius)| distance <= radius));
        covered.iter_mut().zip(row).for_each(|(covered, distance)| *covered |= *distance <= of_fakes[fake]);
    })?;
    let reached = covered.iter().filter(|covered| **covered).count();
    Ok(PrecisionRecall {
        precision: inside as f64 / fakes.count() as f64,
        recall: reached as f64 / reals.count() as f64,
    })
}

/// Squared distance of each image to its third nearest other one; leaves the set loaded.
fn radii(pairs: &mut Pairs, set: &Features) -> Result<Vec<f32>> {
    pairs.load(&set.values)?;
    let mut radii = Vec::with_capacity(set.count());
    let mut others = vec![];
    pairs.distances(&set.values, &mut |image, row| {
        others.clear();
        others.extend(row.iter().enumerate().filter(|(other, _)| *other != image).map(|(_, distance)| *distance));
        let (_, radius, _) = others.select_nth_unstable_by(NEIGHBOURS - 1, f32::total_cmp);
        radii.push(*radius);
    })?;
    Ok(radii)
}
