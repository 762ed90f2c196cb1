//! The grammar of `danskin bench`.

use super::args::{Recipe, TuningArgs};
use super::device::DeviceChoice;
use clap::{Args, Subcommand};
use std::path::PathBuf;

/// What can be measured.
#[derive(Debug, Subcommand)]
pub enum BenchCommand {
    /// Measure single kernels against what the device can do at most.
    Kernels(KernelsArgs),
    /// Measure an iteration of training: a preset, or a workload that other engines run too.
    Step(StepArgs),
    /// Measure what a step of an attack costs beside the bare passes through the model.
    Attack(AttackBenchArgs),
    /// Compare two files of measurements.
    Compare(CompareArgs),
}

/// `danskin bench kernels`
#[derive(Debug, Args)]
pub struct KernelsArgs {
    /// Kernels whose name contains this (w1, conv_x), or a shape: matmul:MxNxK, or conv:N,H,W,CIN,COUT,K,STRIDE,PAD and
    /// GROUPS where there are several; may be given often.
    #[arg(long, value_name = "SHAPE")]
    pub shape: Vec<String>,
    /// Every way to run a product, from the naive kernel up (GPUs only).
    #[arg(long)]
    pub ladder: bool,
    /// Device: auto, host, list, vulkan, vulkan:1, metal, dx12.
    #[arg(long, default_value = "auto")]
    pub device: DeviceChoice,
    /// Measured schedules.
    #[command(flatten)]
    pub tuning: TuningArgs,
    /// Most seconds of samples per kernel.
    #[arg(long, value_name = "S", default_value = "2", value_parser = seconds)]
    pub max_s: f64,
    /// JSON lines on stdout instead of a table, or beside it in a file.
    #[arg(long, value_name = "FILE.jsonl", num_args = 0..=1, value_parser = json)]
    pub json: Option<Option<PathBuf>>,
    /// Roofline diagram.
    #[arg(long, value_name = "FILE.svg", value_parser = svg)]
    pub plot: Option<PathBuf>,
}

/// `danskin bench attack`
#[derive(Debug, Args)]
pub struct AttackBenchArgs {
    /// Preset, file, settings: a classifier (mnist, classifier), or a GAN's discriminator (w5).
    #[command(flatten)]
    pub settings: Recipe,
    /// Gradient steps per batch.
    #[arg(long, value_name = "N", default_value = "40", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub steps: u32,
    /// Device: auto, host, list, vulkan, vulkan:1, metal, dx12.
    #[arg(long, default_value = "auto")]
    pub device: DeviceChoice,
    /// Measured schedules.
    #[command(flatten)]
    pub tuning: TuningArgs,
    /// Most seconds of samples per row.
    #[arg(long, value_name = "S", default_value = "10", value_parser = seconds)]
    pub max_s: f64,
    /// JSON lines on stdout instead of a table, or beside it in a file.
    #[arg(long, value_name = "FILE.jsonl", num_args = 0..=1, value_parser = json)]
    pub json: Option<Option<PathBuf>>,
}

/// `danskin bench step`
#[derive(Debug, Args)]
pub struct StepArgs {
    /// Preset (or w4, w5, w6, w7: what other engines are measured by), file, settings.
    #[command(flatten)]
    pub settings: Recipe,
    /// Device: auto, host, list, vulkan, vulkan:1, metal, dx12.
    #[arg(long, default_value = "auto")]
    pub device: DeviceChoice,
    /// Measured schedules.
    #[command(flatten)]
    pub tuning: TuningArgs,
    /// Exactly this many samples, however long they take.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub steps: Option<u32>,
    /// Most seconds of samples.
    #[arg(long, value_name = "S", default_value = "20", value_parser = seconds)]
    pub max_s: f64,
    /// JSON on stdout instead of a table, or beside it in a file.
    #[arg(long, value_name = "FILE.jsonl", num_args = 0..=1, value_parser = json)]
    pub json: Option<Option<PathBuf>>,
}

/// `danskin bench compare`
#[derive(Debug, Args)]
pub struct CompareArgs {
    /// Measurements before, as `--json` writes them.
    pub before: PathBuf,
    /// Measurements after.
    pub after: PathBuf,
}

fn seconds(text: &str) -> Result<f64, String> {
    let number = text.parse::<f64>().ok().filter(|s| s.is_finite() && *s > 0.0);
    number.ok_or_else(|| "must be a number of seconds above 0".into())
}

/// Told apart from a preset that follows `--json`.
fn json(text: &str) -> Result<PathBuf, String> {
    ending(text, &["json", "jsonl"]).ok_or_else(|| "must end in .json or .jsonl".into())
}

fn svg(text: &str) -> Result<PathBuf, String> {
    ending(text, &["svg"]).ok_or_else(|| "must end in .svg".into())
}

fn ending(text: &str, endings: &[&str]) -> Option<PathBuf> {
    let path = PathBuf::from(text);
    let ending = path.extension()?.to_str()?.to_lowercase();
    endings.contains(&ending.as_str()).then_some(path)
}
