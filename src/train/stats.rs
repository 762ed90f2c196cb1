//! Statistics of a run: one JSON object per line in `stats.jsonl`, and the plain record behind each line.
//!
//! Deliberately absent: printing and plotting. Whoever trains fills a [`Report`]; whoever prints or plots reads it.

use crate::{Error, Result};
use serde::{Deserialize, Deserializer, Serialize};
use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

/// What is known after some step. A number that is not finite is written as JSON's `null` and read back as NaN.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Report {
    /// Iterations done.
    pub step: u64,
    /// Samples of the data seen, in thousands.
    pub kimg: f64,
    /// Seconds per thousand samples, since the last report.
    #[serde(deserialize_with = "nullable")]
    pub sec_per_kimg: f64,
    /// Samples of the data per second, since the last report.
    #[serde(deserialize_with = "nullable")]
    pub img_per_s: f64,
    /// Seconds to the end of the run.
    #[serde(deserialize_with = "nullable")]
    pub eta: f64,
    /// Device memory in bytes.
    pub memory: u64,
    /// Gradient elements that were not finite, since the start of the run.
    pub nonfinite: u64,
    /// What the phases of the game logged, and what was measured of its samples, by name: `d_loss`, `modes`. Means since the last
    /// report; losses before their penalties.
    #[serde(flatten, deserialize_with = "nullable_map")]
    pub scalars: BTreeMap<String, f64>,
}

impl Report {
    /// Every number to plot against the step, with its TensorBoard tag.
    pub fn tagged(&self) -> Vec<(String, f64)> {
        let named = [
            ("progress/kimg", self.kimg),
            ("speed/sec_per_kimg", self.sec_per_kimg),
            ("speed/img_per_s", self.img_per_s),
            ("device/memory_bytes", self.memory as f64),
            ("device/nonfinite", self.nonfinite as f64),
        ];
        let own = self.scalars.iter().map(|(name, value)| (format!("train/{name}"), *value));
        named.map(|(tag, value)| (tag.to_string(), value)).into_iter().chain(own).collect()
    }

    /// The scalar of a name; NaN where it was not logged.
    pub fn scalar(&self, name: &str) -> f64 {
        self.scalars.get(name).copied().unwrap_or(f64::NAN)
    }
}

fn nullable<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or(f64::NAN))
}

fn nullable_map<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BTreeMap<String, f64>, D::Error> {
    let map = BTreeMap::<String, Option<f64>>::deserialize(deserializer)?;
    Ok(map.into_iter().map(|(name, value)| (name, value.unwrap_or(f64::NAN))).collect())
}

/// An open `stats.jsonl`; each line is on its way to the disk before [`StatsLog::append`] returns.
#[derive(Debug)]
pub struct StatsLog {
    file: File,
    path: PathBuf,
}

impl StatsLog {
    /// A new, empty file.
    ///
    /// Errors: [`Error::Io`], also where the file exists already.
    pub fn create(path: &Path) -> Result<StatsLog> {
        let opened = OpenOptions::new().append(true).create_new(true).open(path);
        let file = opened.map_err(Error::io(path, "creating the statistics"))?;
        Ok(StatsLog { file, path: path.into() })
    }

    /// The file of a run that goes on at `step`: lines of later steps, and one cut short by a crash, are removed, so
    /// that it continues as if the run had never stopped. A missing file is created.
    ///
    /// Errors: [`Error::Io`]; [`Error::Checkpoint`] with the line that is no report.
    pub fn resume(path: &Path, step: u64) -> Result<StatsLog> {
        let opened = OpenOptions::new().append(true).create(true).open(path);
        let file = opened.map_err(Error::io(path, "opening the statistics"))?;
        let text = read_text(path)?;
        let mut keep = 0;
        for (number, line) in whole_lines(&text) {
            if parse(path, number, line)?.step > step {
                break;
            }
            keep += line.len() + 1;
        }
        file.set_len(keep as u64).map_err(Error::io(path, "shortening the statistics"))?;
        Ok(StatsLog { file, path: path.into() })
    }

    /// Adds a line.
    ///
    /// Errors: [`Error::Io`], for instance on a full disk.
    pub fn append(&mut self, report: &Report) -> Result<()> {
        let mut line = serde_json::to_vec(report)
            .map_err(|e| Error::checkpoint(&self.path, format!("a report can't be written: {e}")))?;
        line.push(b'\n');
        self.file.write_all(&line).map_err(Error::io(&self.path, "writing the statistics"))
    }
}

/// Every report in a file; a last line cut short by a crash is left out.
///
/// Errors: [`Error::Io`]; [`Error::Checkpoint`] with the line that is no report.
pub fn read(path: &Path) -> Result<Vec<Report>> {
    whole_lines(&read_text(path)?).map(|(number, line)| parse(path, number, line)).collect()
}

fn read_text(path: &Path) -> Result<String> {
    std::fs::read_to_string(path).map_err(Error::io(path, "reading the statistics"))
}

/// Lines that end in a line feed, numbered from 1.
fn whole_lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let whole = text.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n'));
    whole.enumerate().map(|(i, line)| (i + 1, line))
}

fn parse(path: &Path, number: usize, line: &str) -> Result<Report> {
    serde_json::from_str(line)
        .map_err(|e| Error::checkpoint(path, format!("line {number} is not a report ({e}); repair or remove the file")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(step: u64) -> Report {
        let scalars = [("d_loss".to_owned(), 0.1 + step as f64), ("g_loss".to_owned(), f64::NAN)].into();
        Report { step, kimg: step as f64 * 0.064, scalars, ..Report::default() }
    }

    #[test]
    fn a_resumed_file_equals_an_unbroken_one() {
        let dir = tempfile::tempdir().unwrap();
        let (broken, unbroken) = (dir.path().join("a.jsonl"), dir.path().join("b.jsonl"));
        let mut log = StatsLog::create(&unbroken).unwrap();
        (0..=9).for_each(|s| log.append(&report(10 * s)).unwrap());

        let mut log = StatsLog::create(&broken).unwrap();
        (0..=7).for_each(|s| log.append(&report(10 * s)).unwrap());
        log.file.write_all(b"{\"step\": 80, \"kimg\"").unwrap();
        assert_eq!(read(&broken).unwrap().len(), 8, "the torn line is not read");
        let mut log = StatsLog::resume(&broken, 55).unwrap();
        (6..=9).for_each(|s| log.append(&report(10 * s)).unwrap());
        assert_eq!(std::fs::read(&broken).unwrap(), std::fs::read(&unbroken).unwrap());

        let back = read(&unbroken).unwrap();
        assert_eq!((back[3].step, back[3].scalar("d_loss")), (30, 30.1));
        assert!(back[3].scalars["g_loss"].is_nan());
    }

    #[test]
    fn what_is_no_report_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("stats.jsonl");
        StatsLog::create(&path).unwrap().append(&report(1)).unwrap();
        assert!(StatsLog::create(&path).is_err(), "an old file is never overwritten");
        OpenOptions::new().append(true).open(&path).unwrap().write_all(b"hello\n").unwrap();
        let message = StatsLog::resume(&path, 1).unwrap_err().to_string();
        assert!(message.contains("line 2 is not a report"), "{message}");
    }

    #[test]
    fn a_missing_file_starts_empty_on_resume() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("stats.jsonl");
        StatsLog::resume(&path, 7).unwrap().append(&report(8)).unwrap();
        assert_eq!(read(&path).unwrap().len(), 1);
    }
}
