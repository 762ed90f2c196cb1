//! Measurements as JSON lines, with the fields that other engines' benchmarks of the same workloads use.

use super::clock::Timing;
use crate::{Error, Result};
use serde::Serialize;
use std::path::Path;

/// What every measurement says.
#[derive(Clone, Debug, Serialize)]
pub struct Common {
    /// The engine.
    pub peer: String,
    /// The device, for people.
    pub device: String,
    /// What was measured: `W5`, a preset, or a kernel's shape.
    pub workload: String,
    /// Images a call; 0 where there are none.
    pub batch: usize,
    /// How long it took.
    #[serde(flatten)]
    pub timing: Timing,
    /// Images per second, by the median.
    pub img_per_s: Option<f64>,
    /// Processor threads.
    pub threads: usize,
    /// What else must be known.
    pub note: String,
    /// 10⁹ floating-point operations per second, by the median.
    pub gflops: Option<f64>,
}

impl Common {
    /// A measurement of `flops` operations.
    pub fn new(device: &str, workload: &str, batch: usize, timing: Timing, flops: u64) -> Common {
        let rate = |count: f64| (count > 0.0).then(|| count / timing.median_s);
        Common {
            peer: concat!("danskin ", env!("CARGO_PKG_VERSION")).into(),
            device: device.into(),
            workload: workload.into(),
            batch,
            img_per_s: rate(batch as f64),
            threads: std::thread::available_parallelism().map_or(1, usize::from),
            note: String::new(),
            gflops: rate(flops as f64 / 1e9),
            timing,
        }
    }
}

/// One JSON object.
///
/// # Errors
/// A number that JSON can't hold.
pub fn line(row: &impl Serialize) -> Result<String> {
    serde_json::to_string(row).map_err(|e| Error::Bench(format!("a result can't be written as JSON: {e}")))
}

/// Whether a file can be put at `path`, before the work whose result it is to hold.
///
/// # Errors
/// A folder that is missing, or one of that name.
pub fn check_place(path: &Path) -> Result<()> {
    let refuse = |reason: &str| Err(Error::Bench(format!("{}: {reason}", path.display())));
    if path.is_dir() {
        return refuse("is a folder; name a file");
    }
    match folder(path).is_dir() {
        true => Ok(()),
        false => refuse("its folder does not exist; make it first"),
    }
}

fn folder(path: &Path) -> &Path {
    path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Writes a whole file or nothing.
///
/// # Errors
/// A folder that is missing or can't be written.
pub fn write(path: &Path, text: &str) -> Result<()> {
    crate::files::write(path, "writing the file", text.as_bytes())
}
