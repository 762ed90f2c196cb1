//! Schedules that were measured, by shape, and the shapes themselves: what [`Schedule::pick`] is replaced with on a device that
//! was tuned. Pure data; measuring is `gpu::tune`'s.

use super::tile::{Product, Schedule, Tile, UNITS};
use super::{Dispatch, conv, matmul};
use crate::Result;
use crate::plan::{Step, Work};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Most parts of the depth that a file may ask for.
const MOST_PARTS: usize = 256;

/// In place of a tile: the kernel with one thread per output.
const NAIVE: &str = "naive";

/// A schedule without the shape it is for, and what it took when it was measured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Choice {
    /// Rows, columns and depth of the tile, then rows and columns of a thread: `64x64x8 8x4`. Or `naive`: the kernel with one thread
    /// per output, for a device on which no tile gives the right result.
    pub tile: String,
    /// Parts of the depth.
    pub parts: usize,
    /// Milliseconds per launch on the device that was measured.
    pub ms: f64,
}

/// Measured schedules by bucket of shapes. With an empty one every shape gets what [`Schedule::pick_on`] estimates.
///
/// For a given tuning results are the same in every run. Two tunings add up the same sums in other orders: their results
/// agree within rounding, no closer.
#[derive(Clone, Debug, PartialEq)]
pub struct Tuning {
    choices: BTreeMap<String, Choice>,
    /// Workgroups that the device runs side by side, for estimates.
    units: usize,
}

impl Default for Tuning {
    /// Of a GPU that nothing was measured on.
    fn default() -> Tuning {
        Tuning::of(UNITS)
    }
}

/// The file of a tuning.
#[derive(Serialize, Deserialize)]
struct Saved {
    /// What was measured: version, back end, adapter, driver.
    device: String,
    schedules: BTreeMap<String, Choice>,
}

impl Choice {
    /// A measured schedule.
    pub fn new(schedule: &Schedule, seconds: f64) -> Choice {
        // Nanoseconds are more than any clock here resolves.
        Choice { tile: schedule.tile.to_string(), parts: schedule.parts, ms: (1e9 * seconds).round() / 1e6 }
    }

    /// The kernel with one thread per output.
    pub fn naive(seconds: f64) -> Choice {
        Choice { tile: NAIVE.into(), parts: 1, ms: (1e9 * seconds).round() / 1e6 }
    }

    /// Whether it is the kernel with one thread per output.
    pub fn is_naive(&self) -> bool {
        self.tile == NAIVE && self.parts == 1
    }

    /// `None` for what no tiled kernel was made for.
    fn tile(&self) -> Option<Tile> {
        Tile::ALL
            .into_iter()
            .find(|tile| tile.to_string() == self.tile)
            .filter(|_| (1..=MOST_PARTS).contains(&self.parts))
    }
}

impl Tuning {
    /// Of a device that runs `units` workgroups side by side and that nothing was measured on.
    pub fn of(units: usize) -> Tuning {
        Tuning { choices: BTreeMap::new(), units }
    }

    /// The schedule of a product of this bucket.
    pub fn schedule(&self, bucket: &str, product: &Product) -> Schedule {
        let choice = self.choices.get(bucket).and_then(|choice| Some((choice.tile()?, choice.parts)));
        choice
            .map_or_else(|| Schedule::pick_on(product, self.units), |(tile, parts)| Schedule::new(product, tile, parts))
    }

    /// Whether products of this bucket run by the naive kernel.
    pub(super) fn is_naive(&self, bucket: &str) -> bool {
        self.choices.get(bucket).is_some_and(Choice::is_naive)
    }

    /// Whether this bucket was measured.
    pub fn holds(&self, bucket: &str) -> bool {
        self.choices.contains_key(bucket)
    }

    /// Adds or replaces a choice.
    pub fn set(&mut self, bucket: String, choice: Choice) {
        self.choices.insert(bucket, choice);
    }

    /// Takes over all choices of another, also where there is one already.
    pub fn merge(&mut self, other: &Tuning) {
        self.choices.extend(other.choices.iter().map(|(bucket, choice)| (bucket.clone(), choice.clone())));
    }

    /// Bucket and choice, in the order of the buckets' names.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Choice)> {
        self.choices.iter().map(|(bucket, choice)| (bucket.as_str(), choice))
    }

    /// The choices for the work of `steps` alone.
    pub fn only<'a>(&self, steps: impl Iterator<Item = &'a Step>) -> Tuning {
        let mut tuning = Tuning::default();
        for (bucket, _) in steps.filter_map(|step| bucket(&step.work)) {
            if let Some(choice) = self.choices.get(&bucket) {
                tuning.set(bucket, choice.clone());
            }
        }
        tuning
    }

    /// As JSON, with the device it was measured on.
    pub fn to_json(&self, device: &str) -> String {
        let saved = Saved { device: device.into(), schedules: self.choices.clone() };
        serde_json::to_string_pretty(&saved).unwrap_or_default() + "\n"
    }

    /// Reads [`Tuning::to_json`] back, with the device it was measured on.
    ///
    /// # Errors
    /// A clause for people: why the text can't be used.
    pub fn from_json(text: &str) -> Result<(Tuning, String), String> {
        let saved: Saved = serde_json::from_str(text).map_err(|e| format!("it holds no schedules ({e})"))?;
        match saved.schedules.iter().find(|(_, choice)| choice.tile().is_none() && !choice.is_naive()) {
            Some((bucket, choice)) => {
                Err(format!("{bucket}: there is no kernel with tile {} in {} parts", choice.tile, choice.parts))
            }
            None => Ok((Tuning { choices: saved.schedules, units: UNITS }, saved.device)),
        }
    }
}

/// The bucket of a piece of work that takes a schedule, and its product; `None` for other work.
pub fn bucket(work: &Work) -> Option<(String, Product)> {
    let work = work.product();
    matmul::bucket(work).or_else(|| conv::bucket(work))
}

/// `conv_x k4x4 s2x2: 4 of 2048x64x512`: shapes of one bucket differ by less than half, and take the same schedule.
pub(super) fn name(family: &str, p: &Product) -> String {
    format!("{family}: {} of {}x{}x{}", rounded(p.count), rounded(p.rows), rounded(p.cols), rounded(p.depth))
}

/// Up to the next of 1, 2, 3, 4, 6, 8, 12, 16, 24, …
fn rounded(n: usize) -> usize {
    let power = n.next_power_of_two();
    if power >= 4 && n <= power / 4 * 3 { power / 4 * 3 } else { power }
}

/// The launches of a step by a given schedule; nothing for work that takes none.
///
/// # Errors
/// A step without the room that the schedule needs.
pub fn scheduled(step: &Step, schedule: &Schedule) -> Result<Vec<Dispatch>> {
    match step.work {
        Work::MatMul { .. } => matmul::tiled(step, schedule),
        _ => conv::scheduled(step, schedule),
    }
}

/// The launch of a step with one thread per output: what [`scheduled`] is compared with.
pub fn naive(step: &Step) -> Vec<Dispatch> {
    match step.work {
        Work::MatMul { .. } => matmul::naive(step),
        _ => conv::naive(step),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_hold_shapes_that_differ_by_less_than_half() {
        assert_eq!(
            [1, 2, 3, 4, 5, 6, 7, 9, 13, 17, 25, 64, 65].map(rounded),
            [1, 2, 3, 4, 6, 6, 8, 12, 16, 24, 32, 64, 96]
        );
        for n in 1..5000 {
            assert!(rounded(n) >= n && 2 * rounded(n) <= 3 * n.max(2), "{n}");
        }
    }

    #[test]
    fn a_choice_serves_its_bucket_and_survives_the_file() {
        let product = Product { count: 1, rows: 60, cols: 60, depth: 500 };
        let mut tuning = Tuning::default();
        assert_eq!(tuning.schedule("a", &product), Schedule::pick(&product));
        let chosen = Schedule::new(&product, Tile::ALL[6], 4);
        tuning.set("a".into(), Choice::new(&chosen, 0.25));
        assert_eq!(tuning.schedule("a", &product), chosen);
        assert_eq!(tuning.schedule("b", &product), Schedule::pick(&product));
        let (back, device) = Tuning::from_json(&tuning.to_json("a device")).unwrap();
        assert_eq!((back, device.as_str()), (tuning.clone(), "a device"));
        // No tile at all is a choice too.
        tuning.set("a".into(), Choice::naive(0.25));
        assert!(tuning.is_naive("a") && !tuning.is_naive("b"));
        assert_eq!(Tuning::from_json(&tuning.to_json("")).unwrap().0, tuning);
        tuning.set("a".into(), Choice::new(&chosen, 0.25));
        let odd = tuning.to_json("").replace("\"parts\": 4", "\"parts\": 1000");
        assert!(Tuning::from_json(&odd).unwrap_err().contains("1000 parts"));
        assert!(Tuning::from_json("[1, 2").is_err());
    }
}
