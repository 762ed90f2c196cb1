//! What may change when a run goes on: one rule for each setting, with the reason where it must stay.

use super::{Config, Overrides, layers::Layers, text};
use crate::{Error, Result};
use std::path::Path;
use toml::Value;

/// Whether a setting may change when a run goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnResume {
    /// It may.
    Free,
    /// It may, but neither to 0 nor away from 0: the graphs of the run have this term, or lack it.
    Weight,
    /// It may not; why.
    Fixed(&'static str),
}

use OnResume::{Fixed, Free, Weight};

const DATA: &str = "the run learns these images; start another with --init";
const SHAPE: &str = "the networks in its checkpoints have this shape";
const MOMENTS: &str = "the optimiser's moments were averaged with it";

/// The rule of every setting, in the order of [`super::KEYS`].
const RULES: &[(&str, OnResume)] = &[
    ("data.source", Fixed(DATA)),
    // Moved data; whether it is the same data is found out when it is opened.
    ("data.path", Free),
    ("data.size", Fixed(SHAPE)),
    ("data.channels", Fixed(SHAPE)),
    ("data.count", Fixed(DATA)),
    ("data.seed", Fixed(DATA)),
    ("data.label", Fixed(DATA)),
    ("data.mirror", Fixed(DATA)),
    ("data.crop", Fixed(DATA)),
    ("data.limit", Fixed(DATA)),
    ("data.mode", Free),
    ("model.kind", Fixed(SHAPE)),
    ("model.z", Fixed(SHAPE)),
    ("model.g_width", Fixed(SHAPE)),
    ("model.d_width", Fixed(SHAPE)),
    ("model.max_width", Fixed(SHAPE)),
    ("model.d_norm", Fixed(SHAPE)),
    ("model.d_stddev", Fixed(SHAPE)),
    ("model.blocks", Fixed(SHAPE)),
    ("model.expansion", Fixed(SHAPE)),
    ("model.group_width", Fixed(SHAPE)),
    ("model.hidden", Fixed(SHAPE)),
    ("model.layers", Fixed(SHAPE)),
    ("model.classes", Fixed(SHAPE)),
    ("model.width", Fixed(SHAPE)),
    ("model.g", Fixed(SHAPE)),
    ("model.d", Fixed(SHAPE)),
    ("model.c", Fixed(SHAPE)),
    ("loss.kind", Fixed("both networks were trained against this loss; start another run with --init")),
    ("loss.r1_gamma", Weight),
    ("loss.r2_gamma", Weight),
    ("loss.gp_lambda", Weight),
    ("loss.gamma_final", Free),
    ("loss.n_critic", Fixed("the steps of both networks are counted by it")),
    ("loss.penalty_every", Fixed(MOMENTS)),
    ("optim.kind", Fixed("its checkpoints hold the moments of this optimiser; start another run with --init")),
    ("optim.lr", Free),
    ("optim.lr_schedule", Free),
    ("optim.lr_final", Free),
    ("optim.lr_peak_kimg", Free),
    ("optim.lr_drops", Free),
    ("optim.lr_drop_factor", Free),
    ("optim.beta1", Fixed(MOMENTS)),
    ("optim.beta2", Fixed(MOMENTS)),
    ("optim.beta2_final", Fixed(MOMENTS)),
    ("optim.eps", Free),
    ("optim.momentum", Fixed(MOMENTS)),
    ("optim.nesterov", Free),
    ("optim.weight_decay", Free),
    ("optim.lr_d_scale", Free),
    ("optim.burn_in_kimg", Free),
    ("ema.half_life_kimg", Free),
    ("ema.half_life_start_kimg", Free),
    ("ema.ramp", Free),
    ("attack.steps", Weight),
    ("attack.eps", Free),
    ("attack.alpha", Free),
    ("attack.kind", Fixed("the run was trained against this attack; start another with --init")),
    ("augment.kind", Fixed("the run was trained by it; start another with --init")),
    ("augment.policy", Fixed("the run was trained by it; start another with --init")),
    ("augment.p", Free),
    ("augment.p_final", Free),
    ("augment.target", Free),
    ("augment.interval", Free),
    ("augment.speed_kimg", Free),
    ("adversary.kind", Fixed("the run was trained against it; start another with --init")),
    ("adversary.on", Fixed("the run was trained against an adversary that changes it")),
    ("adversary.steps", Free),
    ("adversary.eps", Free),
    ("adversary.alpha", Free),
    ("adversary.latent_eps", Free),
    ("adversary.replays", Fixed("its steps are counted in replays of each batch")),
    ("adversary.weight", Free),
    ("defence.kind", Fixed("the run was trained by it; start another with --init")),
    ("defence.beta", Free),
    ("defence.replays", Fixed("its steps are counted in replays of each batch")),
    ("defence.warmup_kimg", Free),
    ("defence.gamma", Free),
    ("validate.count", Free),
    ("validate.steps", Free),
    ("validate.patience", Free),
    ("eval.every_kimg", Free),
    ("eval.samples", Free),
    ("eval.metrics", Free),
    ("train.task", Fixed("the networks of the run are trained for it")),
    ("train.kimg", Free),
    ("train.batch", Fixed("its steps are counted in batches of this size")),
    ("train.accumulate", Fixed("it changes how every number is rounded")),
    ("train.seed", Fixed("every random number of the run follows from it")),
    ("train.precision", Fixed("losses are scaled in 16 bits and not in 32; start another run with --init")),
    ("log.every_steps", Free),
    ("sample.every_kimg", Free),
    ("sample.count", Free),
    ("checkpoint.every_kimg", Free),
    ("checkpoint.keep", Free),
    ("plan.fuse", Fixed("it changes how every number is rounded")),
    ("plan.recompute", Free),
];

/// The rule of a setting; `None` for a name that is no setting.
pub fn on_resume(key: &str) -> Option<OnResume> {
    RULES.iter().find(|(name, _)| *name == key).map(|(_, rule)| *rule)
}

impl Config {
    /// The configuration of a run that goes on: the one it was started with, with `--set` and flags over it. A setting
    /// that is named again with the value it has is no change.
    ///
    /// Errors: as [`Config::load`]; a change that [`on_resume`] rules out.
    pub fn resume(path: &Path, overrides: &Overrides) -> Result<(Config, Vec<String>)> {
        let before = Layers::file(path, None)?.finish()?;
        let mut layers = Layers::file(path, None)?;
        layers.typed(overrides)?;
        let config = layers.finish()?;
        let (old, new) = (before.table(), config.table());
        for (key, rule) in RULES {
            let (was, is) = (text::lookup(&old, key), text::lookup(&new, key));
            if was == is {
                continue;
            }
            let stood = match was {
                Some(_) => format!("it is {}", before.value(key)),
                None => "it is not set".into(),
            };
            let why = match rule {
                Free => continue,
                Weight if is_zero(was) == is_zero(is) => continue,
                Weight if is_zero(was) => "the run was started without this term".to_string(),
                Weight => "the run was started with this term, which may change but not vanish".to_string(),
                Fixed(why) => why.to_string(),
            };
            let hint = format!("can't change while a run goes on ({stood}): {why}");
            return Err(Error::setting(config.place(key), *key, config.value(key), hint));
        }
        let warnings = config.validate()?;
        Ok((config, warnings))
    }
}

fn is_zero(value: Option<&Value>) -> bool {
    match value {
        Some(Value::Float(v)) => *v == 0.0,
        Some(Value::Integer(v)) => *v == 0,
        _ => true,
    }
}
