//! What was measured of checkpoints, and the file of a run that keeps it: a JSON object per line in `metrics.jsonl`.

use crate::{Error, Result, files};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// What was measured of a checkpoint; what was not is absent.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Measurement {
    /// Thousands of images the run has learned from.
    pub kimg: f64,
    /// The feature network.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub features: Option<String>,
    /// Generated images, and reals of either population.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub samples: Option<usize>,
    /// Fréchet distance of the fakes to reals that the run learns from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fd: Option<f64>,
    /// That of other reals to them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fd_floor: Option<f64>,
    /// That of the fakes to reals that the run does not learn from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fd_held_out: Option<f64>,
    /// KID, likewise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kid: Option<f64>,
    /// See `fd_floor`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kid_floor: Option<f64>,
    /// See `fd_held_out`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kid_held_out: Option<f64>,
    /// Share of fakes among the reals that the run learns from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub precision: Option<f64>,
    /// Share of other reals among them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub precision_floor: Option<f64>,
    /// Share of those reals among the fakes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recall: Option<f64>,
    /// Share of those reals among other reals.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recall_floor: Option<f64>,
    /// Of a classifier: share of images it gets right.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clean: Option<f64>,
    /// Share that it still gets right under PGD.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub robust: Option<f64>,
    /// Time it took.
    pub seconds: f64,
}

impl Measurement {
    /// Every measure with its TensorBoard tag.
    pub fn tagged(&self) -> Vec<(&'static str, f64)> {
        let all = [
            ("metrics/fd", self.fd),
            ("metrics/fd_floor", self.fd_floor),
            ("metrics/fd_held_out", self.fd_held_out),
            ("metrics/kid", self.kid),
            ("metrics/kid_floor", self.kid_floor),
            ("metrics/kid_held_out", self.kid_held_out),
            ("metrics/precision", self.precision),
            ("metrics/precision_floor", self.precision_floor),
            ("metrics/recall", self.recall),
            ("metrics/recall_floor", self.recall_floor),
            ("validation/clean", self.clean),
            ("validation/robust", self.robust),
        ];
        all.into_iter().filter_map(|(tag, value)| Some((tag, value?))).collect()
    }
}

/// The measurements of a run, in order, and their file.
pub(super) struct Measurements {
    file: PathBuf,
    /// By kimg.
    pub all: Vec<Measurement>,
}

impl Measurements {
    /// Those of a run that goes on after `kimg` thousand images; lines of later ones are removed from its file.
    ///
    /// # Errors
    /// As [`read`]; a disk that fails.
    pub fn go_on(file: &Path, kimg: f64) -> Result<Measurements> {
        let mut all = read(file)?;
        let count = all.len();
        all.retain(|measured| measured.kimg <= kimg);
        let kept = Measurements { file: file.into(), all };
        if kept.all.len() < count {
            kept.write(&kept.all)?;
        }
        Ok(kept)
    }

    fn write<'a>(&self, all: impl IntoIterator<Item = &'a Measurement>) -> Result<()> {
        let text = all.into_iter().map(line).collect::<Result<String>>()?;
        files::write(&self.file, "writing what was measured", text.as_bytes())
    }

    /// Adds one, in the file too.
    ///
    /// # Errors
    /// A disk that fails.
    pub fn add(&mut self, measured: Measurement) -> Result<()> {
        self.write(self.all.iter().chain([&measured]))?;
        self.all.push(measured);
        Ok(())
    }

    /// Whether something was measured after exactly so many thousand images.
    pub fn has(&self, kimg: f64) -> bool {
        self.all.iter().any(|measured| measured.kimg == kimg)
    }
}

/// What a file tells, or nothing where there is none.
///
/// # Errors
/// A file that can't be read or holds something else.
pub(super) fn read(file: &Path) -> Result<Vec<Measurement>> {
    let text = match std::fs::read_to_string(file) {
        Ok(text) => text,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(vec![]),
        Err(e) => return Err(Error::io(file, "reading what was measured")(e)),
    };
    let parse = |(number, line): (usize, &str)| {
        serde_json::from_str(line).map_err(|e| {
            Error::checkpoint(file, format!("line {} is no measurement ({e}); repair or remove the file", number + 1))
        })
    };
    text.lines().enumerate().map(parse).collect()
}

fn line(measured: &Measurement) -> Result<String> {
    serde_json::to_string(measured).map(|line| line + "\n").map_err(|e| Error::Training(e.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_came_later_is_forgotten() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("metrics.jsonl");
        let mut kept = Measurements::go_on(&file, 0.0).unwrap();
        assert!(!file.exists());
        for kimg in [1.0, 2.0, 3.0] {
            kept.add(Measurement { kimg, fd: Some(10.0 / kimg), ..Measurement::default() }).unwrap();
        }
        let whole = std::fs::read_to_string(&file).unwrap();
        assert_eq!(whole.lines().next().unwrap(), r#"{"kimg":1.0,"fd":10.0,"seconds":0.0}"#);
        let mut again = Measurements::go_on(&file, 2.0).unwrap();
        assert!(again.has(2.0) && !again.has(3.0));
        again.add(kept.all[2].clone()).unwrap();
        assert_eq!(std::fs::read_to_string(&file).unwrap(), whole);
        std::fs::write(&file, "what\n").unwrap();
        assert!(Measurements::go_on(&file, 2.0).err().unwrap().to_string().contains("line 1 is no measurement"));
    }
}
