//! The grammar of the command line. What it means is in `job`; what is done about it in `commands`.

use super::attack_args::AttackArgs;
use super::bench_args::BenchCommand;
use super::data_args::DataCommand;
use super::device::DeviceChoice;
use super::seeds::Seeds;
use crate::config::{Grid, Overrides};
use crate::device::Autotune;
use crate::grid::FilmFormat;
use clap::{Args, Parser, Subcommand, value_parser};
use std::path::PathBuf;

/// `danskin …`
#[derive(Debug, Parser)]
#[command(name = "danskin", version, about, arg_required_else_help = true)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Train a GAN or a classifier, or go on with a run.
    Train(TrainArgs),
    /// Draw images from a run.
    Sample(SampleArgs),
    /// Search for the latents of an image: what a run's generator makes that is nearest to it.
    Project(ProjectArgs),
    /// Measure the generator of a run, or count how many images of a set its classifier gets right.
    Eval(EvalArgs),
    /// Attack the classifier of a run: what is left of its accuracy, and a report.
    Attack(Box<AttackArgs>),
    /// Repeat a published result: train, attack, and print our numbers beside the published ones.
    Reproduce(ReproduceArgs),
    /// Print every setting with its meaning and value, as the TOML that --config reads.
    Config(ConfigArgs),
    /// Write the network of a run for other programs: weights for PyTorch, or an ONNX model.
    Export(ExportArgs),
    /// Make a run of the weights in a safetensors file of another program.
    Import(ImportArgs),
    /// Train the feature network that danskin eval measures images by, on the built-in faces.
    Features(FeaturesArgs),
    /// List the devices of this machine.
    Devices,
    /// Show what a training step launches: kernels, floating-point operations, bytes, memory.
    Plan(PlanArgs),
    /// Measure the schedules of a preset's products on a GPU, and keep the fastest.
    Tune(TuneArgs),
    /// Compare a device with the host, kernel by kernel.
    Check(CheckArgs),
    /// Look into a data set, or pack it for fast starts.
    #[command(subcommand)]
    Data(DataCommand),
    /// Measure kernels and training steps.
    #[command(subcommand)]
    Bench(BenchCommand),
}

/// Arguments that make up a configuration.
#[derive(Clone, Debug, Default, Args)]
pub struct Recipe {
    /// Preset to start from: faces32 (unless --config names another), faces64, ring8, grid25, digits32, classifier, mnist,
    /// stacked-mnist.
    pub preset: Option<String>,
    /// TOML file over the preset.
    #[arg(long, value_name = "FILE.toml")]
    pub config: Option<PathBuf>,
    /// One setting over the file, such as optim.lr=1e-4; may be given often.
    #[arg(long, value_name = "KEY=VALUE", value_parser = assignment)]
    pub set: Vec<String>,
    /// Built-in source (faces, ring8, grid25), or a folder, archive, IDX, CIFAR, NumPy or packed file.
    #[arg(long, value_name = "PATH")]
    pub data: Option<String>,
    /// Samples per step.
    #[arg(long)]
    pub batch: Option<u32>,
    /// How activations are stored: f32, or f16 on GPUs that have 16-bit floats.
    #[arg(long)]
    pub precision: Option<String>,
}

impl Recipe {
    /// As layers of a configuration.
    pub fn overrides(&self) -> Overrides {
        Overrides {
            preset: self.preset.clone(),
            file: self.config.clone(),
            set: self.set.clone(),
            data: self.data.clone(),
            batch: self.batch,
            precision: self.precision.clone(),
            ..Overrides::default()
        }
    }
}

/// `danskin train`
#[derive(Debug, Args)]
pub struct TrainArgs {
    /// Preset, file, settings.
    #[command(flatten)]
    pub settings: Recipe,
    /// Length of the run in thousands of real images.
    #[arg(long)]
    pub kimg: Option<f64>,
    /// Seed of every random number of the run.
    #[arg(long, value_parser = value_parser!(u64).range(..=i64::MAX as u64))]
    pub seed: Option<u64>,
    /// How a classifier is trained to withstand attacks: none, pgd, trades, mart, free, fast, awp.
    #[arg(long, value_name = "KIND")]
    pub defence: Option<String>,
    /// Who perturbs what the discriminator of a GAN learns from: off, pgd, free, robgan, dat, alr.
    #[arg(long, value_name = "KIND")]
    pub adversary: Option<String>,
    /// Measure generated images every so many thousand images: Fréchet distance, KID, precision and recall; the best checkpoint is kept.
    #[arg(long, value_name = "KIMG")]
    pub eval_every: Option<f64>,
    /// Device: auto, host, list, vulkan, vulkan:1, metal, dx12.
    #[arg(long, default_value = "auto")]
    pub device: DeviceChoice,
    /// Measured schedules.
    #[command(flatten)]
    pub tuning: TuningArgs,
    /// Folder of the run; runs/PRESET-N unless given, or runs/PRESET-DATA-N with --data PATH.
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Go on with this run. --kimg, --set and --data may change what its networks do not depend on: lengths, intervals,
    /// learning rates, weights of penalties, where the data lies.
    #[arg(long, value_name = "RUN", conflicts_with_all = ["preset", "config", "out"])]
    pub resume: Option<PathBuf>,
    /// Start from the weights of another run: of its newest checkpoint, or of a file in its checkpoints/.
    #[arg(long, value_name = "RUN", conflicts_with = "resume")]
    pub init: Option<PathBuf>,
    /// Go on with --resume although the data is not what it was.
    #[arg(long, requires = "resume")]
    pub data_changed: bool,
    /// Write where the time of a few iterations goes, kernel by kernel: for chrome://tracing or ui.perfetto.dev.
    #[arg(long, value_name = "FILE.json")]
    pub profile: Option<PathBuf>,
    /// How many iterations --profile covers.
    #[arg(long, value_name = "N", default_value = "5", requires = "profile", value_parser = value_parser!(u32).range(1..=1000))]
    pub profile_steps: u32,
}

impl TrainArgs {
    /// As layers of a configuration.
    pub fn overrides(&self) -> Overrides {
        let mut layers = Overrides { kimg: self.kimg, seed: self.seed, ..self.settings.overrides() };
        layers.set.extend(self.defence.iter().map(|kind| format!("defence.kind={kind}")));
        layers.set.extend(self.adversary.iter().map(|kind| format!("adversary.kind={kind}")));
        layers.set.extend(self.eval_every.iter().map(|kimg| format!("eval.every_kimg={kimg}")));
        layers
    }
}

/// `danskin reproduce`
#[derive(Debug, Args)]
pub struct ReproduceArgs {
    /// Which result; without it they are listed.
    pub name: Option<String>,
    /// Folder of the data that it wants.
    #[arg(long, value_name = "PATH")]
    pub data: Option<PathBuf>,
    /// Seeds from 0 on.
    #[arg(long, default_value = "3", value_parser = value_parser!(u32).range(1..=100))]
    pub seeds: u32,
    /// Folder of its runs; runs/reproduce/NAME unless given. What is done there already is not done again.
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Device: auto, host, vulkan, vulkan:1, metal, dx12.
    #[arg(long, default_value = "auto")]
    pub device: DeviceChoice,
}

/// `danskin config`
#[derive(Debug, Args)]
pub struct ConfigArgs {
    /// Preset, file, settings.
    #[command(flatten)]
    pub settings: Recipe,
}

/// `danskin export`
#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("file").required(true).multiple(true).args(["safetensors", "onnx"]))]
pub struct ExportArgs {
    /// Folder of the run.
    pub run: PathBuf,
    /// Weights under PyTorch's names and in its layouts, for load_state_dict.
    #[arg(long, value_name = "FILE.safetensors", value_parser = safetensors)]
    pub safetensors: Option<PathBuf>,
    /// The network itself as an ONNX model, for any number of rows.
    #[arg(long, value_name = "FILE.onnx", value_parser = onnx)]
    pub onnx: Option<PathBuf>,
    /// Which checkpoint: thousands of images, such as 12 or 12.032, or a file; the best or the newest unless given.
    #[arg(long, value_name = "KIMG|FILE")]
    pub checkpoint: Option<String>,
    /// Which network: g (the generator) or d (the discriminator) of a GAN, c of a classifier; g or c unless given.
    #[arg(long, value_name = "g|d|c")]
    pub network: Option<String>,
    /// The last weights instead of the averaged ones.
    #[arg(long)]
    pub raw: bool,
}

/// `danskin import`
#[derive(Debug, Args)]
pub struct ImportArgs {
    /// Tensors under the names and in the layouts of this program's checkpoints: F32, F16, BF16 or F64.
    #[arg(value_name = "FILE.safetensors")]
    pub file: PathBuf,
    /// Preset, file, settings: the networks that the tensors belong to.
    #[command(flatten)]
    pub settings: Recipe,
    /// Folder of the run.
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
    /// Device: host, auto, list, vulkan, vulkan:1, metal, dx12.
    #[arg(long, default_value = "host")]
    pub device: DeviceChoice,
    /// Measured schedules.
    #[command(flatten)]
    pub tuning: TuningArgs,
}

/// `danskin sample`
#[derive(Debug, Args)]
pub struct SampleArgs {
    /// Folder of the run.
    pub run: PathBuf,
    /// Which checkpoint: thousands of images, such as 12 or 12.032, `best`, or a file; the best unless given, or the newest.
    #[arg(long, value_name = "KIMG|FILE")]
    pub checkpoint: Option<String>,
    /// Which images: 0-63,70,80-90. As many as the grid holds unless given.
    #[arg(long)]
    pub seeds: Option<Seeds>,
    /// Only this class, where the run knows classes; otherwise they take turns.
    #[arg(long, value_name = "N")]
    pub class: Option<u32>,
    /// Every class: a row of the picture each, of the same latents.
    #[arg(long, conflicts_with_all = ["class", "grid", "each"])]
    pub classes: bool,
    /// Draw latents towards their mean, to this share of their distance from it: 1 changes nothing, less is more typical and less
    /// varied.
    #[arg(long, value_name = "PSI", value_parser = share)]
    pub trunc: Option<f64>,
    /// A film: each cell of the grid (1x1 unless given) goes through so many seeds and back to the first.
    #[arg(long, value_name = "N", value_parser = value_parser!(u32).range(2..=1000), conflicts_with_all = ["classes", "each"])]
    pub interpolate: Option<u32>,
    /// Frames of the film from one seed to the next.
    #[arg(long, value_name = "F", default_value = "24", requires = "interpolate", value_parser = value_parser!(u32).range(1..=1000))]
    pub frames: u32,
    /// Frames of the film per second.
    #[arg(long, default_value = "24", requires = "interpolate", value_parser = value_parser!(u16).range(1..=50))]
    pub fps: u16,
    /// Draw from these latents instead of seeds: the tensor `latents` [n, z] of a file, numbered from 0.
    #[arg(long, value_name = "FILE.safetensors", conflicts_with = "seeds")]
    pub latents: Option<PathBuf>,
    /// Also write what was drawn as numbers: `latents` [n, z], `classes` `[n]` where there are any, and `images` [n, C, H, W].
    #[arg(long, value_name = "FILE.safetensors", value_parser = safetensors)]
    pub save_latents: Option<PathBuf>,
    /// Columns x rows of the picture, such as 8x8.
    #[arg(long)]
    pub grid: Option<Grid>,
    /// Folder for one file per image.
    #[arg(long, value_name = "DIR")]
    pub each: Option<PathBuf>,
    /// The picture, which ends in .png; or the film, which may end in .gif too (256 colours); in RUN/samples unless given.
    #[arg(long, value_name = "FILE.png", value_parser = picture)]
    pub out: Option<PathBuf>,
    /// Device: auto, host, list, vulkan, vulkan:1, metal, dx12.
    #[arg(long, default_value = "auto")]
    pub device: DeviceChoice,
    /// Measured schedules.
    #[command(flatten)]
    pub tuning: TuningArgs,
}

/// `danskin project`
#[derive(Debug, Args)]
pub struct ProjectArgs {
    /// The image: of any size and mode; it is fitted to those of the run.
    pub image: PathBuf,
    /// Folder of the run.
    pub run: PathBuf,
    /// The picture: target, what was found, and their difference on grey.
    #[arg(long, value_name = "FILE.png", value_parser = png)]
    pub out: PathBuf,
    /// File for the latents, which danskin sample --latents reads; beside the picture unless given.
    #[arg(long, value_name = "FILE.safetensors", value_parser = safetensors)]
    pub latents: Option<PathBuf>,
    /// A film of the search, .png or .gif.
    #[arg(long, value_name = "FILE")]
    pub film: Option<PathBuf>,
    /// Frames of the film per second.
    #[arg(long, default_value = "24", requires = "film", value_parser = value_parser!(u16).range(1..=50))]
    pub fps: u16,
    /// Which checkpoint: thousands of images, such as 12 or 12.032, or a file; the newest unless given.
    #[arg(long, value_name = "KIMG|FILE")]
    pub checkpoint: Option<String>,
    /// Steps of the search.
    #[arg(long, default_value = "500", value_parser = value_parser!(u32).range(1..=1_000_000))]
    pub steps: u32,
    /// Searches from different latents at once, of which the best is kept.
    #[arg(long, default_value = "8", value_parser = value_parser!(u32).range(1..=1024))]
    pub starts: u32,
    /// Learning rate of Adam; it falls to 0 over the last quarter of the steps.
    #[arg(long, default_value = "0.05", value_parser = positive)]
    pub lr: f64,
    /// Weight of the prior, (|z|^2/Z - 1)^2: how much latents of untypical length cost.
    #[arg(long, default_value = "0.01", value_parser = not_negative)]
    pub prior: f64,
    /// Seed of the latents it starts from.
    #[arg(long, default_value = "0")]
    pub seed: u64,
    /// Search in this class, where the run knows classes; otherwise the starts take turns.
    #[arg(long, value_name = "N")]
    pub class: Option<u32>,
    /// Device: auto, host, list, vulkan, vulkan:1, metal, dx12.
    #[arg(long, default_value = "auto")]
    pub device: DeviceChoice,
    /// Measured schedules.
    #[command(flatten)]
    pub tuning: TuningArgs,
}

/// `danskin eval`
#[derive(Debug, Args)]
pub struct EvalArgs {
    /// Folder of the run.
    pub run: PathBuf,
    /// Which checkpoint: thousands of images, such as 12 or 12.032, `best`, or a file; the best unless given, or the newest.
    #[arg(long, value_name = "KIMG|FILE")]
    pub checkpoint: Option<String>,
    /// Images to compare with, for a classifier with labels: a folder, archive or IDX files; those the run learns unless given.
    #[arg(long, value_name = "PATH")]
    pub data: Option<PathBuf>,
    /// Of a classifier: images that the run does not learn from, another population of built-in faces, the test part of a set that comes
    /// divided, such as MNIST's t10k files.
    #[arg(long)]
    pub test: bool,
    /// What is measured of generated images: fd (Fréchet distance), kid, pr (precision and recall); modes, of a run on stacked-mnist.
    #[arg(long, value_name = "LIST")]
    pub metrics: Option<String>,
    /// Generated images, and as many reals of either kind; 2048 unless given.
    #[arg(long, value_name = "N", value_parser = value_parser!(u32).range(4..=1_000_000))]
    pub samples: Option<u32>,
    /// The classifier of digits by which modes are counted: a run of the preset mnist, at 28 or 32.
    #[arg(long, value_name = "RUN")]
    pub labels: Option<PathBuf>,
    /// A picture of samples beside the images of the data that are nearest to them.
    #[arg(long, value_name = "FILE.png", value_parser = png)]
    pub neighbours: Option<PathBuf>,
    /// The network by whose features images are compared: the weights of Inception-v3 that pytorch-fid uses, as safetensors; a small one
    /// that comes with the program unless given.
    #[arg(long, value_name = "FILE.safetensors")]
    pub features: Option<PathBuf>,
    /// A file for the numbers.
    #[arg(long, value_name = "FILE.json")]
    pub json: Option<PathBuf>,
    /// Also write the `logits` of the first 256 images, with their `images` [n, C, H, W] and `labels`.
    #[arg(long, value_name = "FILE.safetensors", value_parser = safetensors)]
    pub save_logits: Option<PathBuf>,
    /// Device: auto, host, list, vulkan, vulkan:1, metal, dx12.
    #[arg(long, default_value = "auto")]
    pub device: DeviceChoice,
    /// Measured schedules.
    #[command(flatten)]
    pub tuning: TuningArgs,
}

/// `danskin features`
#[derive(Debug, Args)]
pub struct FeaturesArgs {
    /// File of the network.
    #[arg(long, value_name = "FILE.safetensors")]
    pub out: PathBuf,
    /// Thousands of images it learns from.
    #[arg(long, default_value = "150")]
    pub kimg: f64,
    /// Device: auto, host, list, vulkan, vulkan:1, metal, dx12.
    #[arg(long, default_value = "auto")]
    pub device: DeviceChoice,
    /// Measured schedules.
    #[command(flatten)]
    pub tuning: TuningArgs,
}

/// `danskin tune`
#[derive(Debug, Args)]
pub struct TuneArgs {
    /// Preset, file, settings.
    #[command(flatten)]
    pub settings: Recipe,
    /// Device: auto, list, vulkan, vulkan:1, metal, dx12.
    #[arg(long, default_value = "auto")]
    pub device: DeviceChoice,
    /// File for the schedules of this preset, to be used with --tuning.
    #[arg(long, value_name = "FILE.json")]
    pub export: Option<PathBuf>,
}

/// How matrix products and convolutions are cut into workgroups.
#[derive(Clone, Debug, Default, Args)]
pub struct TuningArgs {
    /// Schedules of matrix products and convolutions. off: the estimated ones; cached: those measured on this GPU before,
    /// and what was never measured is, once; full: all are measured again. Without `full` nothing is measured on a
    /// software adapter, and the host has no schedules. Differently tuned runs agree within rounding.
    #[arg(long, value_name = "off|cached|full", default_value = "cached")]
    pub autotune: Autotune,
    /// Schedules written by danskin tune --export; they go before all others.
    #[arg(long, value_name = "FILE.json")]
    pub tuning: Option<PathBuf>,
}

/// `danskin plan`
#[derive(Debug, Args)]
pub struct PlanArgs {
    /// Preset, file, settings.
    #[command(flatten)]
    pub settings: Recipe,
    /// Only this phase, step by step.
    #[arg(long)]
    pub phase: Option<String>,
    /// As JSON.
    #[arg(long)]
    pub json: bool,
}

/// `danskin check`
#[derive(Debug, Args)]
pub struct CheckArgs {
    /// Device: auto, host, list, vulkan, vulkan:1, metal, dx12.
    #[arg(long, default_value = "auto")]
    pub device: DeviceChoice,
    /// Every kernel variant that the device may come to run, each tile and split, in 32 and 16 bits: a row per family.
    #[arg(long)]
    pub all_variants: bool,
}

fn safetensors(text: &str) -> Result<PathBuf, String> {
    ending(text, "safetensors")
}

fn onnx(text: &str) -> Result<PathBuf, String> {
    ending(text, "onnx")
}

/// A file by its ending.
fn ending(text: &str, wanted: &str) -> Result<PathBuf, String> {
    let path = PathBuf::from(text);
    match path.extension() {
        Some(end) if end.eq_ignore_ascii_case(wanted) => Ok(path),
        _ => Err(format!("must end in .{wanted}")),
    }
}

fn assignment(text: &str) -> Result<String, String> {
    match text.split_once('=') {
        Some((key, _)) if !key.trim().is_empty() => Ok(text.into()),
        _ => Err("must be key=value, such as optim.lr=1e-4".into()),
    }
}

/// A file for a picture or a film; which of the two it may be is settled where both are known.
fn picture(text: &str) -> Result<PathBuf, String> {
    let path = PathBuf::from(text);
    match FilmFormat::of(&path) {
        Ok(_) => Ok(path),
        Err(reason) if path.extension().is_some_and(|e| e.eq_ignore_ascii_case("webp")) => Err(reason.into()),
        Err(_) => Err("must end in .png, or .apng or .gif for a film".into()),
    }
}

fn png(text: &str) -> Result<PathBuf, String> {
    ending(text, "png")
}

fn positive(text: &str) -> Result<f64, String> {
    let number = text.parse().ok().filter(|number: &f64| *number > 0.0 && number.is_finite());
    number.ok_or_else(|| "must be a number above 0".into())
}

fn not_negative(text: &str) -> Result<f64, String> {
    let number = text.parse().ok().filter(|number: &f64| *number >= 0.0 && number.is_finite());
    number.ok_or_else(|| "must be a number from 0".into())
}

/// A number from 0 to 1.
fn share(text: &str) -> Result<f64, String> {
    let number = text.parse().ok().filter(|number| (0.0..=1.0).contains(number));
    number.ok_or_else(|| "must be a number from 0 to 1".into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_grammar_holds_together() {
        Cli::command().debug_assert();
    }

    #[test]
    fn what_is_typed_arrives() {
        let words = "danskin train ring8 --set a.b=1 --set c.d=x --kimg 3 --seed 7 --device vulkan:1 --out o --batch 9";
        let Command::Train(train) = Cli::try_parse_from(words.split(' ')).unwrap().command else { panic!() };
        assert_eq!(train.settings.set, ["a.b=1", "c.d=x"]);
        assert_eq!((train.kimg, train.seed, train.settings.batch), (Some(3.0), Some(7), Some(9)));
        assert_eq!(train.settings.overrides().preset.as_deref(), Some("ring8"));
        assert_eq!(train.device.to_string(), "vulkan:1");
        let words = "danskin sample runs/a --seeds 0-2,9 --grid 2x2 --each d --out x.PNG";
        let Command::Sample(sample) = Cli::try_parse_from(words.split(' ')).unwrap().command else { panic!() };
        assert_eq!(sample.seeds.unwrap().iter().collect::<Vec<_>>(), [0, 1, 2, 9]);
        assert_eq!(sample.grid, Some(Grid { columns: 2, rows: 2 }));
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for (words, part) in [
            ("", "Usage"),
            ("fly", "unrecognized subcommand"),
            ("train --set lr", "must be key=value"),
            ("train --set =3", "must be key=value"),
            ("train --resume r ring8", "cannot be used with"),
            ("train --data-changed", "--resume"),
            ("train --resume r --init i", "cannot be used with"),
            ("train --resume r --out o", "cannot be used with"),
            ("train --seed 9223372036854775808", "not in 0..=9223372036854775807"),
            ("train --kimg many", "invalid"),
            ("train --batch -1", "unexpected argument"),
            ("train --device cuda", "must be auto, host, list"),
            ("train --autotune fast", "must be off, cached or full"),
            ("sample", "required"),
            ("sample r --seeds 5-1", "5-1 runs backwards"),
            ("sample r --grid 8", "must be columns x rows"),
            ("sample r --out x.jpg", "must end in .png"),
            ("sample r --out x.webp", "end it in .png or .apng (exact colours) or .gif"),
            ("sample r --trunc 1.5", "must be a number from 0 to 1"),
            ("sample r --trunc nan", "must be a number from 0 to 1"),
            ("sample r --interpolate 1", "not in 2..=1000"),
            ("sample r --interpolate 2 --fps 51", "not in 1..=50"),
            ("project i.png r", "--out"),
            ("project i.png r --out o.gif", "must end in .png"),
            ("project i.png r --out o.png --latents z.npy", "must end in .safetensors"),
            ("project i.png r --out o.png --lr 0", "must be a number above 0"),
            ("project i.png r --out o.png --prior=-1", "must be a number from 0"),
            ("project i.png r --out o.png --steps 0", "not in 1..="),
            ("sample r --frames 3", "--interpolate"),
            ("sample r --classes --class 1", "cannot be used with"),
            ("plan ring8 --seed 3", "unexpected argument"),
        ] {
            let words = ["danskin"].into_iter().chain(words.split(' ').filter(|w| !w.is_empty()));
            let message = Cli::try_parse_from(words.clone()).unwrap_err().to_string();
            assert!(message.contains(part), "{:?}: {message}", words.collect::<Vec<_>>());
        }
    }
}
