//! Everything a run can be told, as typed sections; where each value came from; and what goes together.
//!
//! A configuration is layered: base values, a preset, a file, `--set key=value`, flags; each layer overrides the ones
//! before it, setting by setting. Uses nothing else of this crate. Deliberately absent: devices, networks, and the
//! numbers that change while training.

mod adversary;
mod augment;
mod choice;
mod key;
mod layers;
mod quantity;
mod resume;
mod text;
mod validate;

pub use adversary::{AdversaryConfig, AdversaryInForce};
pub use augment::AugmentConfig;
pub use choice::{
    AdversaryKind, AdversaryOn, AttackKind, AugmentKind, DataMode, DataSource, DefenceKind, LossKind, LrSchedule,
    MetricKind, ModelKind, OptimKind, PrecisionKind, RecomputeKind, Task,
};
pub use key::{KEYS, Key, Kind};
pub use layers::Overrides;
pub use quantity::{Amount, Grid};
pub use resume::{OnResume, on_resume};

use crate::Result;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// The presets by name, with their text.
const PRESETS: &[(&str, &str)] = &[
    ("faces32", include_str!("presets/faces32.toml")),
    ("faces64", include_str!("presets/faces64.toml")),
    ("sngan32", include_str!("presets/sngan32.toml")),
    ("wgan-gp32", include_str!("presets/wgan-gp32.toml")),
    ("r3gan32", include_str!("presets/r3gan32.toml")),
    ("r3gan64", include_str!("presets/r3gan64.toml")),
    ("r3gan256", include_str!("presets/r3gan256.toml")),
    ("ring8", include_str!("presets/ring8.toml")),
    ("grid25", include_str!("presets/grid25.toml")),
    ("digits32", include_str!("presets/digits32.toml")),
    ("classifier", include_str!("presets/classifier.toml")),
    ("mnist", include_str!("presets/mnist.toml")),
    ("stacked-mnist", include_str!("presets/stacked-mnist.toml")),
];

/// Names of the presets.
pub fn presets() -> impl Iterator<Item = &'static str> {
    PRESETS.iter().map(|(name, _)| *name)
}

/// Everything in force for a run.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The preset it started from; names the run folder.
    pub preset: String,
    /// Real samples.
    pub data: DataConfig,
    /// Both networks.
    pub model: ModelConfig,
    /// Losses and penalties.
    pub loss: LossConfig,
    /// The optimiser and its schedules.
    pub optim: OptimConfig,
    /// The moving average of the generator.
    pub ema: EmaConfig,
    /// Adversarial perturbation of the images that D sees.
    pub attack: AttackConfig,
    /// What the discriminator of a GAN is shown instead of an image.
    pub augment: AugmentConfig,
    /// Who perturbs what the discriminator of a GAN learns from.
    pub adversary: AdversaryConfig,
    /// How a classifier withstands attacks.
    pub defence: DefenceConfig,
    /// How checkpoints of a classifier are measured.
    pub validate: ValidateConfig,
    /// How a generator of images is measured while it trains.
    pub eval: EvalConfig,
    /// Length, batch, seed.
    pub train: TrainConfig,
    /// Statistics.
    pub log: LogConfig,
    /// Sample grids.
    pub sample: SampleConfig,
    /// Checkpoints.
    pub checkpoint: CheckpointConfig,
    /// How graphs are lowered.
    pub plan: PlanConfig,
    /// Where each setting came from, by dotted name.
    #[serde(skip)]
    origins: BTreeMap<String, layers::Origin>,
}

/// `[data]`: real samples.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DataConfig {
    /// Where they come from.
    pub source: DataSource,
    /// Folder, archive, file of numbers or packed set, for sources that [need one](DataSource::needs_path).
    pub path: Option<PathBuf>,
    /// Side of the square images.
    pub size: usize,
    /// 1 (grey) or 3 (colour).
    pub channels: usize,
    /// How many built-in faces to render, or stacks of digits to draw.
    pub count: usize,
    /// Seed of their population, and of the choice of `limit`.
    pub seed: u64,
    /// The factor that labels them.
    pub label: Option<String>,
    /// Flip half of the images left to right.
    pub mirror: bool,
    /// Shift training images at random by at most so many pixels over black, as a crop of the image with a border of so many
    /// pixels; 0 is off.
    pub crop: usize,
    /// How many images of the set are used, chosen by `seed`; all unless given.
    pub limit: Option<usize>,
    /// Where the set lives.
    pub mode: DataMode,
}

/// `[model]`: both networks.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelConfig {
    /// Architecture.
    pub kind: ModelKind,
    /// Latent numbers per sample.
    pub z: usize,
    /// Channels of the generator at full resolution; they double towards 4×4 (dcgan: up to 8 times; r3gan: down to 8×8; sngan-resnet: not
    /// at 32, above up to 16 times).
    pub g_width: usize,
    /// Channels of the discriminator, likewise.
    pub d_width: usize,
    /// No stage has more channels (dcgan, r3gan).
    pub max_width: Option<usize>,
    /// Batch norm in the discriminator (dcgan).
    pub d_norm: bool,
    /// Groups of the minibatch standard deviation that the discriminator's last layer reads too (dcgan, r3gan, sngan-resnet); 0 is none.
    pub d_stddev: usize,
    /// Residual blocks per resolution (r3gan).
    pub blocks: usize,
    /// Channels inside a block per channel of its stage (r3gan).
    pub expansion: usize,
    /// Channels that a group of a 3×3 convolution reads (r3gan).
    pub group_width: usize,
    /// Units per layer (mlp).
    pub hidden: usize,
    /// Hidden layers (mlp).
    pub layers: usize,
    /// Classes that both networks of a GAN are told of, 0 is none; or that a classifier tells apart, 0 is as many as the data has.
    pub classes: usize,
    /// Channels of a classifier's first stage, where they are not those published: 64 (preact-resnet18), 32 (mnist-cnn), 6 (lenet5).
    /// A dcgan or r3gan that learns classes has `d_width`.
    pub width: Option<usize>,
    /// Layers of the generator (sequential): `prefix`, `init`, and a list `layers` of tables. See `nn::Sequential`.
    pub g: Option<toml::Table>,
    /// Layers of the discriminator (sequential).
    pub d: Option<toml::Table>,
    /// Layers of the classifier (sequential).
    pub c: Option<toml::Table>,
}

/// `[loss]`: losses and penalties.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LossConfig {
    /// Adversarial loss.
    pub kind: LossKind,
    /// γ of R1, on reals; 0 is off.
    pub r1_gamma: f64,
    /// γ of R2, on fakes; 0 is off.
    pub r2_gamma: f64,
    /// λ of the WGAN gradient penalty; 0 is off.
    pub gp_lambda: f64,
    /// Both γ after the burn-in, where they change at all.
    pub gamma_final: Option<f64>,
    /// Discriminator steps per generator step.
    pub n_critic: u32,
    /// Lazy regularisation: penalties are computed every so many discriminator steps.
    pub penalty_every: u32,
}

/// `[optim]`: the optimiser and its schedules.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OptimConfig {
    /// What networks learn by.
    pub kind: OptimKind,
    /// Learning rate of both networks.
    pub lr: f64,
    /// Its course.
    pub lr_schedule: LrSchedule,
    /// Learning rate after the burn-in, where it changes at all; at the end of the other courses, 0 unless given.
    pub lr_final: Option<f64>,
    /// Thousands of images after which a triangle has its peak; half of the run unless given.
    pub lr_peak_kimg: Option<f64>,
    /// Thousands of images at which the learning rate drops, where it goes in steps.
    pub lr_drops: Option<Vec<f64>>,
    /// What it is multiplied by there.
    pub lr_drop_factor: f64,
    /// Decay of the first moment.
    pub beta1: f64,
    /// Decay of the second moment.
    pub beta2: f64,
    /// β₂ after the burn-in, where it changes at all.
    pub beta2_final: Option<f64>,
    /// Added outside of the root.
    pub eps: f64,
    /// Momentum of gradient descent.
    pub momentum: f64,
    /// Whether it looks ahead.
    pub nesterov: bool,
    /// λ of weight decay, through the gradient, or decoupled with [`OptimKind::Adamw`]; 0 is off.
    pub weight_decay: f64,
    /// The discriminator's learning rate in units of `lr`.
    pub lr_d_scale: f64,
    /// Length of the cosine from start to final values in thousands of images; 0 keeps the start values.
    pub burn_in_kimg: f64,
}

/// `[ema]`: the moving average of the generator.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EmaConfig {
    /// Half-life in thousands of images; 0 copies the weights.
    pub half_life_kimg: f64,
    /// Half-life at the start, where it grows to `half_life_kimg` during the burn-in.
    pub half_life_start_kimg: Option<f64>,
    /// The half-life is at most this share of the images seen so far; 0 leaves it as it is.
    pub ramp: f64,
}

/// `[attack]`: adversarial perturbation of the images that D sees.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AttackConfig {
    /// Steps; 0 is off.
    pub steps: u32,
    /// Largest change of a pixel.
    pub eps: Amount,
    /// Change per step; see [`AttackConfig::step_size`].
    pub alpha: Option<Amount>,
    /// How the change is found.
    pub kind: AttackKind,
}

impl AttackConfig {
    /// Radius of the ball around an image, in [-1, 1] units.
    pub fn radius(&self) -> f64 {
        self.eps.in_model_units()
    }

    /// Length of a step in [-1, 1] units: `alpha`, or 2.5 ε / steps (Madry 2018).
    pub fn step_size(&self) -> f64 {
        match &self.alpha {
            Some(alpha) => alpha.in_model_units(),
            None => 2.5 * self.radius() / f64::from(self.steps.max(1)),
        }
    }
}

/// `[defence]`: how a classifier withstands attacks. The attack itself is that of `[attack]`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DefenceConfig {
    /// What it learns from.
    pub kind: DefenceKind,
    /// Weight of the second term (trades, mart).
    pub beta: Option<f64>,
    /// Steps per batch (free).
    pub replays: u32,
    /// Thousands of images over which the radius grows from 0.
    pub warmup_kimg: f64,
    /// How far each layer's weights are moved, as a share of their length (awp).
    pub gamma: f64,
}

/// `[validate]`: how checkpoints of a classifier are measured, or of a GAN with `--adversary robgan`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ValidateConfig {
    /// Images; 0 is off.
    pub count: usize,
    /// Steps of PGD.
    pub steps: u32,
    /// Checkpoints without a better one before the run ends; 0 is never.
    pub patience: u32,
}

/// `[eval]`: how a generator of images is measured while it trains.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EvalConfig {
    /// Thousands of images from one measurement to the next, each of a checkpoint; 0 is off.
    pub every_kimg: f64,
    /// Generated images, and as many reals.
    pub samples: usize,
    /// What is measured.
    pub metrics: Vec<MetricKind>,
}

/// `[train]`: length, batch, seed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrainConfig {
    /// What is trained.
    pub task: Task,
    /// Length of the run in thousands of real images.
    pub kimg: f64,
    /// Samples per step.
    pub batch: usize,
    /// Parts that a batch is cut into, whose gradients are summed before a step: less memory, and batch norm per part.
    pub accumulate: usize,
    /// Seed of every random number of the run.
    pub seed: u64,
    /// How activations are stored.
    pub precision: PrecisionKind,
}

/// `[log]`: statistics.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogConfig {
    /// Steps from one line to the next.
    pub every_steps: u32,
}

/// `[sample]`: sample grids.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SampleConfig {
    /// Thousands of images from one grid to the next; 0 draws only the last.
    pub every_kimg: f64,
    /// Columns and rows.
    pub count: Grid,
}

/// `[checkpoint]`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CheckpointConfig {
    /// Thousands of images from one checkpoint to the next.
    pub every_kimg: f64,
    /// How many are kept.
    pub keep: usize,
}

/// `[plan]`: how graphs are lowered.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlanConfig {
    /// Fuse pointwise kernels.
    pub fuse: bool,
    /// When intermediate values are made again.
    pub recompute: RecomputeKind,
}

impl Config {
    /// A preset as it is. Digits and MNIST need a path before they [validate](Config::validate).
    ///
    /// Errors: a name that is none of [`presets`].
    pub fn preset(name: &str) -> Result<Config> {
        layers::Layers::preset(name, "preset")?.finish()
    }

    /// Where a setting came from, for messages: `preset ring8`, `runs/ring8-1/config.toml`, `command line`.
    pub fn place(&self, key: &str) -> &str {
        self.origins.get(key).map_or("configuration", |origin| origin.place.as_str())
    }
}
