//! Two files of measurements against each other, row by row.

use super::clock;
use super::peak::PEAKS;
use crate::{Error, Result};
use serde_json::Value;
use std::path::Path;

/// Two measurements of one thing differ by at least this share before they are said to differ.
const LEAST_NOISE: f64 = 0.05;

/// A row of a file, as far as it is compared.
#[derive(Clone, Debug, PartialEq)]
struct Row {
    /// Workload, device, batch, and which way of running it.
    key: String,
    /// The same without the device.
    work: String,
    /// Engine, its version, and its device.
    place: String,
    /// The engine.
    engine: String,
    median_s: f64,
    min_s: f64,
    others_cpu: Option<f64>,
}

/// What became of a measurement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Median and minimum are lower by more than the noise.
    Faster,
    /// Median and minimum are higher by more than the noise.
    Slower,
    /// Anything else.
    Same,
}

/// A measurement in both files.
#[derive(Clone, Debug, PartialEq)]
pub struct Pair {
    /// Workload, device, batch, and which way of running it; both engines and devices where they differ.
    pub name: String,
    /// Seconds before and after, medians.
    pub median_s: [f64; 2],
    /// Seconds before and after, minima.
    pub min_s: [f64; 2],
    /// What the measurements scatter by: the greater of how far each median lies above its minimum, and 5 %.
    pub noise: f64,
    /// Whether it moved by more than that.
    pub verdict: Verdict,
    /// Share of the cores that other processes took before and after, where that disturbs.
    pub busy: [Option<f64>; 2],
}

impl Row {
    /// Whether both measure one thing on one device.
    fn is_same(&self, other: &Row) -> bool {
        self.key == other.key && self.engine == other.engine
    }

    /// What a device can do at most, which comes with every measurement of kernels and which other engines do not tell.
    fn is_peak(&self) -> bool {
        PEAKS.contains(&self.work.as_str())
    }

    /// The row of `others` to compare with: of the same device, or else of whatever engine and device, where this is the
    /// one row of its work among `own` and that among `others`.
    fn partner<'a>(&self, own: &[Row], others: &'a [Row]) -> Option<&'a Row> {
        let alike = |row: &&Row| row.work == self.work;
        let alone = own.iter().filter(alike).count() == 1 && others.iter().filter(alike).count() == 1;
        let same = others.iter().find(|row| row.is_same(self));
        same.or_else(|| others.iter().find(alike).filter(|_| alone))
    }
}

impl Pair {
    fn new(before: &Row, after: &Row) -> Pair {
        let spread = |row: &Row| row.median_s / row.min_s - 1.0;
        let noise = spread(before).max(spread(after)).max(LEAST_NOISE);
        let ratios = [after.median_s / before.median_s, after.min_s / before.min_s];
        let verdict = match ratios {
            r if r.iter().all(|r| *r > 1.0 + noise) => Verdict::Slower,
            r if r.iter().all(|r| *r < 1.0 / (1.0 + noise)) => Verdict::Faster,
            _ => Verdict::Same,
        };
        Pair {
            name: match before.is_same(after) {
                true => after.key.clone(),
                false => format!("{}  [{} before, {} after]", after.work, before.place, after.place),
            },
            median_s: [before.median_s, after.median_s],
            min_s: [before.min_s, after.min_s],
            noise,
            verdict,
            busy: [before, after].map(|row| clock::disturbance(row.others_cpu)),
        }
    }

    /// After in units of before: medians, minima.
    pub fn ratios(&self) -> [f64; 2] {
        [self.median_s[1] / self.median_s[0], self.min_s[1] / self.min_s[0]]
    }
}

/// The rows of two files that measure the same, and those that only one file has, named with it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Comparison {
    /// In the order of the second file.
    pub pairs: Vec<Pair>,
    /// `W5 on host …, batch 64 only in a.jsonl`.
    pub unpaired: Vec<String>,
}

/// Compares two files of JSON lines. A measurement that a file holds several times counts as it was made last; rows
/// without times (a workload that was not supported) are left out. Work that each file measures on one device alone is
/// compared even where the devices differ, or the engines.
///
/// # Errors
/// A file that can't be read or holds something else; files that have no measurement in common.
pub fn compare(before: &Path, after: &Path) -> Result<Comparison> {
    let (a, b) = (read(before)?, read(after)?);
    let mut found = Comparison::default();
    for row in &b {
        match row.partner(&b, &a) {
            Some(partner) => found.pairs.push(Pair::new(partner, row)),
            None if row.is_peak() => {}
            None => found.unpaired.push(format!("{} only in {}", row.key, after.display())),
        }
    }
    let alone = a.iter().filter(|row| row.partner(&a, &b).is_none() && !row.is_peak());
    found.unpaired.extend(alone.map(|row| format!("{} only in {}", row.key, before.display())));
    if found.pairs.is_empty() {
        return Err(Error::Bench(format!(
            "{} and {} have no workload in common that can be paired: the first is of {}, the second of {}",
            before.display(),
            after.display(),
            first(&a),
            first(&b)
        )));
    }
    Ok(found)
}

fn first(rows: &[Row]) -> &str {
    rows.first().map_or("nothing", |row| row.key.as_str())
}

fn read(path: &Path) -> Result<Vec<Row>> {
    let text = std::fs::read_to_string(path).map_err(Error::io(path, "reading measurements"))?;
    let mut rows: Vec<Row> = vec![];
    for (number, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let refuse = |what: &str| {
            let hint = "measurements are JSON lines as danskin bench --json writes them";
            Error::Bench(format!("{} line {}: {what}; {hint}", path.display(), number + 1))
        };
        let value: Value = serde_json::from_str(line).map_err(|e| refuse(&e.to_string()))?;
        if let Some(row) = row(&value).map_err(|what| refuse(&what))? {
            match rows.iter_mut().find(|known| known.is_same(&row)) {
                Some(known) => *known = row,
                None => rows.push(row),
            }
        }
    }
    match rows.is_empty() {
        false => Ok(rows),
        true => Err(Error::Bench(format!("{}: holds no measurement", path.display()))),
    }
}

/// The row of a line; `None` for one without times.
fn row(value: &Value) -> Result<Option<Row>, String> {
    let text = |field: &str| value[field].as_str().ok_or_else(|| format!("{field} is missing or no text"));
    let (workload, device) = (text("workload")?, text("device")?);
    let mut more = String::new();
    if let Some(batch) = value["batch"].as_u64().filter(|b| *b > 0) {
        more += &format!(", batch {batch}");
    }
    if let Some(rung) = value["rung"].as_str().filter(|r| *r != "chosen") {
        more += &format!(", {rung}");
    }
    let peer = value["peer"].as_str().unwrap_or("unknown");
    // Versions of one engine are what is compared most.
    let engine = peer.split(' ').next().unwrap_or(peer).to_owned();
    let (key, work) = (format!("{workload} on {device}{more}"), format!("{workload}{more}"));
    if value["median_s"].is_null() && value.get("median_s").is_some() {
        return Ok(None);
    }
    let time = |field: &str| {
        let seconds = value[field].as_f64().filter(|s| *s > 0.0);
        seconds.ok_or_else(|| format!("{field} is missing or no time"))
    };
    let (median_s, min_s) = (time("median_s")?, time("min_s")?);
    let place = format!("{peer} on {device}");
    Ok(Some(Row { key, work, place, engine, median_s, min_s, others_cpu: value["others_cpu"].as_f64() }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(median_s: f64, min_s: f64) -> Row {
        let [key, work, place, engine] = ["W5 on d", "W5", "danskin on d", "danskin"].map(str::to_owned);
        Row { key, work, place, engine, median_s, min_s, others_cpu: None }
    }

    #[test]
    fn what_moved_must_have_moved_by_median_and_minimum() {
        use Verdict::{Faster, Same, Slower};
        for (before, after, verdict) in [
            ((1.0, 1.0), (1.04, 1.04), Same),
            ((1.0, 1.0), (1.06, 1.06), Slower),
            ((1.0, 1.0), (0.94, 0.94), Faster),
            ((1.0, 1.0), (0.96, 0.96), Same),
            // The median moved and the minimum did not: a busy machine.
            ((1.0, 1.0), (1.5, 1.0), Same),
            // Both moved by less than one of them scatters.
            ((1.2, 1.0), (1.4, 1.15), Same),
            ((1.2, 1.0), (1.5, 1.25), Slower),
        ] {
            let pair = Pair::new(&row(before.0, before.1), &row(after.0, after.1));
            assert_eq!(pair.verdict, verdict, "{before:?} to {after:?}");
        }
    }

    #[test]
    fn rows_in_which_others_were_busy_are_marked() {
        let before = Row { others_cpu: Some(0.04), ..row(1.0, 1.0) };
        let after = Row { others_cpu: Some(0.5), ..row(1.0, 1.0) };
        assert_eq!(Pair::new(&before, &after).busy, [None, Some(0.5)]);
    }
}
