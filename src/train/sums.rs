//! What the next report is made of, kept in checkpoints: reports of a resumed run equal the unbroken one's.

use super::checkpoint::Checkpoint;
use crate::{Error, Result, metrics};
use std::path::Path;

/// What the next report is made of. Part of a checkpoint: reports of a resumed run equal the unbroken one's.
#[derive(Clone, Debug, Default)]
pub(super) struct Sums {
    /// Of logged scalars since the last report.
    pub values: Vec<f64>,
    pub count: u64,
    /// Of the last plot.
    pub modes: Option<metrics::Modes>,
    /// Of the last grid, as a share of the reals'.
    pub diversity: Option<f64>,
    /// Of the last checkpoint: distance of averaged from trained weights, relative to the latter.
    pub average_gap: Option<f64>,
}

/// Numbers that are kept as they are, with their keys in a checkpoint.
const NUMBERS: [&str; 2] = ["diversity", "average_gap"];

impl Sums {
    /// Adds them to a checkpoint. Bits, not decimals: a resumed report must not differ in the last digit.
    pub fn write(&self, state: &mut Checkpoint) {
        let mut words = vec![format!("{}", self.count)];
        words.extend(self.values.iter().map(|v| format!("{:016x}", v.to_bits())));
        state.meta.insert("log_sums".into(), words.join(" "));
        if let Some(modes) = &self.modes {
            let share = modes.high_quality.to_bits();
            state.meta.insert("modes".into(), format!("{} {} {share:016x}", modes.covered, modes.total));
        }
        for (key, number) in NUMBERS.into_iter().zip([self.diversity, self.average_gap]) {
            if let Some(number) = number {
                state.meta.insert(key.into(), format!("{:016x}", number.to_bits()));
            }
        }
    }

    /// Those of a checkpoint; `place` is its file.
    ///
    /// # Errors
    /// A checkpoint that is not of a run.
    pub fn read(state: &Checkpoint, place: &Path) -> Result<Sums> {
        let bits = |word: &str| u64::from_str_radix(word, 16).ok().map(f64::from_bits);
        let modes = |text: &String| {
            let [covered, total, share] = text.split(' ').collect::<Vec<_>>()[..] else { return None };
            let (covered, total) = (covered.parse().ok()?, total.parse().ok()?);
            Some(metrics::Modes { covered, total, high_quality: bits(share)? })
        };
        let parse = || {
            let mut words = state.meta.get("log_sums")?.split(' ');
            let count = words.next()?.parse().ok()?;
            let values = words.map(bits).collect::<Option<Vec<f64>>>()?;
            let modes = match state.meta.get("modes") {
                Some(text) => Some(modes(text)?),
                None => None,
            };
            let number = |key: &str| match state.meta.get(key) {
                Some(word) => bits(word).map(Some),
                None => Some(None),
            };
            let [diversity, average_gap] = NUMBERS.map(number);
            Some(Sums { values, count, modes, diversity: diversity?, average_gap: average_gap? })
        };
        parse().ok_or_else(|| {
            Error::checkpoint(place, "its header has no sound log_sums and modes: is it a checkpoint of a run?")
        })
    }
}
