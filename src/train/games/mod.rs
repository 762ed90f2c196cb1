//! The games that come with the program, one file each, and which of them a configuration means.

pub mod attack;
mod classifier;
mod gan;

pub use classifier::Classifier;
pub use gan::Gan;

use super::game::{Adam, Average, Game};
use crate::config::{Config, LossKind, ModelKind};
use crate::nn::{Activation, Dcgan, Mlp, Model, R3gan};
use crate::optim::Schedule;
use crate::{Error, Result, loss};
use std::sync::Arc;

/// The game of a configuration.
///
/// # Errors
/// A setting that makes no model.
pub fn of(config: &Config) -> Result<Game> {
    Ok(gan(config)?.game())
}

/// The attack of a configuration, alone, on its discriminator.
///
/// # Errors
/// A setting that makes no model; no attack.
pub fn attack_of(config: &Config) -> Result<Game> {
    let gan = gan(config)?;
    match gan.attack {
        Some((steps, eps, alpha)) => Ok(attack::pgd(gan.discriminator, &gan.sample, gan.batch, steps, eps, alpha)),
        None => Err(Error::setting("command line", "attack.steps", 0, "must be at least 1 to measure an attack")),
    }
}

fn gan(config: &Config) -> Result<Gan> {
    let model = model(config)?;
    model.check(config.place("model"))?;
    let (l, o) = (&config.loss, &config.optim);
    let course = |from: f64, to: Option<f64>| match to {
        Some(to) => Schedule::Cosine { from, to, kimg: o.burn_in_kimg },
        None => Schedule::Constant(from),
    };
    let gamma = |from: f64| (from > 0.0).then(|| course(from, l.gamma_final));
    let adam = Adam {
        lr: course(o.lr, o.lr_final),
        beta2: course(o.beta2, o.beta2_final),
        eps: o.eps,
        ..Adam::new(o.lr, o.beta1, o.beta2)
    };
    let attack = &config.attack;
    Ok(Gan {
        sample: model.sample_shape(1)[1..].to_vec(),
        latent: model.latent(),
        classes: 0,
        generator: Arc::new(crate::nn::Generator::new(model.clone())),
        discriminator: Arc::new(crate::nn::Discriminator::new(model)),
        batch: config.train.batch,
        loss: match l.kind {
            LossKind::Ns => loss::Gan::Ns,
            LossKind::Hinge => loss::Gan::Hinge,
            LossKind::Lsgan => loss::Gan::Lsgan,
            LossKind::Wgan => loss::Gan::Wgan,
            LossKind::Rpgan => loss::Gan::Rpgan,
        },
        r1: gamma(l.r1_gamma),
        r2: gamma(l.r2_gamma),
        gp: (l.gp_lambda > 0.0).then_some(Schedule::Constant(l.gp_lambda)),
        n_critic: u64::from(l.n_critic),
        penalty_every: u64::from(l.penalty_every),
        attack: (attack.steps > 0).then(|| (attack.steps, attack.radius(), attack.step_size())),
        adam_d: Adam { lr_scale: o.lr_d_scale, ..adam.clone() },
        adam_g: adam,
        average: Average { half_life_kimg: Schedule::Constant(config.ema.half_life_kimg), ramp: config.ema.ramp },
    })
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
