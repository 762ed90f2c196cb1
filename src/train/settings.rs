//! From a configuration to what the trainer works with: models built, units converted, optional finals resolved.

use super::phases::GanSpec;
use crate::config::{self, Config, LossKind, ModelKind};
use crate::device::{Fit, Recompute};
use crate::loss;
use crate::nn::{Activation, Dcgan, Mlp, Model, R3gan};
use crate::plan::Precision;
use crate::{Error, Result};

/// The numbers of a run, in the units of the engine.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Networks, losses, penalties, batch.
    pub gan: GanSpec,
    /// Discriminator steps a generator step.
    pub n_critic: u64,
    /// Discriminator steps from one penalty to the next.
    pub penalty_every: u64,
    /// γ of R1 at the start.
    pub r1_gamma: f64,
    /// γ of R2 at the start.
    pub r2_gamma: f64,
    /// Both γ after the burn-in, as a share of their start.
    pub gamma_final_ratio: f64,
    /// λ of the WGAN penalty.
    pub gp_lambda: f64,
    /// Learning rate at the start.
    pub lr: f64,
    /// Learning rate after the burn-in.
    pub lr_final: f64,
    /// The discriminator's rate in units of the generator's.
    pub lr_d_scale: f64,
    /// Decay of the first moment.
    pub beta1: f64,
    /// Decay of the second moment at the start.
    pub beta2: f64,
    /// Decay of the second moment after the burn-in.
    pub beta2_final: f64,
    /// Adam's ε.
    pub eps: f64,
    /// Length of the cosine from start to final values.
    pub burn_in_kimg: f64,
    /// Half-life of the weight average.
    pub ema_half_life_kimg: f64,
    /// Largest half-life as a share of the images seen.
    pub ema_ramp: f64,
    /// Steps of the attack on reals.
    pub attack_steps: u32,
    /// Its radius in [-1, 1] units.
    pub attack_eps: f64,
    /// Its step in [-1, 1] units.
    pub attack_alpha: f64,
    /// Seed of everything random.
    pub seed: u64,
    /// Iterations from one read of the log to the next.
    pub log_every: usize,
    /// Merge pointwise nodes.
    pub fuse: bool,
    /// How intermediate values are stored.
    pub precision: Precision,
    /// When intermediate values are made again, and how much memory a program may take.
    pub fit: Fit,
    /// The configuration as a file, stored in every checkpoint.
    pub config_toml: String,
}

impl Settings {
    /// Resolves a configuration.
    ///
    /// # Errors
    /// A setting that makes no model.
    pub fn new(config: &Config) -> Result<Settings> {
        let model = model(config)?;
        model.check(config.place("model"))?;
        let (l, o) = (&config.loss, &config.optim);
        let precision = match config.train.precision {
            config::Precision::F32 => Precision::F32,
            config::Precision::F16 => Precision::F16,
        };
        let gan = GanSpec {
            loss: match l.kind {
                LossKind::Ns => loss::Gan::Ns,
                LossKind::Hinge => loss::Gan::Hinge,
                LossKind::Lsgan => loss::Gan::Lsgan,
                LossKind::Wgan => loss::Gan::Wgan,
                LossKind::Rpgan => loss::Gan::Rpgan,
            },
            batch: config.train.batch,
            z: model.latent(),
            sample: model.sample_shape(1)[1..].to_vec(),
            r1: l.r1_gamma > 0.0,
            r2: l.r2_gamma > 0.0,
            gp: l.gp_lambda > 0.0,
            attack: config.attack.steps > 0,
            scale_losses: precision == Precision::F16,
            model,
        };
        let gamma = l.r1_gamma.max(l.r2_gamma);
        Ok(Settings {
            n_critic: u64::from(l.n_critic),
            penalty_every: u64::from(l.penalty_every),
            r1_gamma: l.r1_gamma,
            r2_gamma: l.r2_gamma,
            gamma_final_ratio: l.gamma_final.filter(|_| gamma > 0.0).map_or(1.0, |last| last / gamma),
            gp_lambda: l.gp_lambda,
            lr: o.lr,
            lr_final: o.lr_final.unwrap_or(o.lr),
            lr_d_scale: o.lr_d_scale,
            beta1: o.beta1,
            beta2: o.beta2,
            beta2_final: o.beta2_final.unwrap_or(o.beta2),
            eps: o.eps,
            burn_in_kimg: o.burn_in_kimg,
            ema_half_life_kimg: config.ema.half_life_kimg,
            ema_ramp: config.ema.ramp,
            attack_steps: config.attack.steps,
            attack_eps: config.attack.radius(),
            attack_alpha: config.attack.step_size(),
            seed: config.train.seed,
            log_every: config.log.every_steps as usize,
            fuse: config.plan.fuse,
            precision,
            fit: Fit { recompute: recompute(config.plan.recompute), limit: None },
            config_toml: config.to_toml(),
            gan,
        })
    }

    /// Thousands of real images shown after `step` iterations.
    pub fn kimg_at(&self, step: u64) -> f64 {
        step as f64 * self.gan.batch as f64 / 1000.0
    }

    /// Iterations in `kimg` thousand images: at least 1.
    pub fn steps_in(&self, kimg: f64) -> u64 {
        ((kimg * 1000.0 / self.gan.batch as f64).ceil() as u64).max(1)
    }
}

fn recompute(word: config::Recompute) -> Recompute {
    match word {
        config::Recompute::Off => Recompute::Off,
        config::Recompute::Auto => Recompute::Auto,
        config::Recompute::On => Recompute::On,
    }
}

fn model(config: &Config) -> Result<Model> {
    let (m, data) = (&config.model, &config.data);
    Ok(match m.kind {
        ModelKind::Dcgan => Model::Dcgan(Dcgan {
            size: data.size,
            z: m.z,
            ngf: m.g_width,
            ndf: m.d_width,
            channels: data.channels,
            d_norm: m.d_norm,
        }),
        ModelKind::R3gan => {
            if data.size < 16 {
                return Err(Error::setting(config.place("data.size"), "data.size", data.size, "must be at least 16"));
            }
            if m.d_width != m.g_width {
                let hint = format!("r3gan gives both networks the same widths: set it to model.g_width, {}", m.g_width);
                return Err(Error::setting(config.place("model.d_width"), "model.d_width", m.d_width, hint));
            }
            let stages = (data.size / 4).ilog2() as usize + 1;
            // Channels double from the largest resolution down to 8x8 and stay there.
            let widths = (0..stages).map(|s| m.g_width << (stages - 1 - s).min(stages.saturating_sub(2))).collect();
            Model::R3gan(R3gan {
                size: data.size,
                z: m.z,
                widths,
                blocks: vec![m.blocks; stages],
                channels: data.channels,
            })
        }
        ModelKind::Mlp => Model::Mlp(Mlp { z: m.z, hidden: m.hidden, layers: m.layers, activation: Activation::Leaky }),
    })
}
