//! What a run is told beside its game, in the units of the engine, and the one place where a run is planned.

use super::assembly::{Assembly, Resident};
use super::game::Game;
use super::games;
use crate::Result;
use crate::config::{self, Config};
use crate::device::{Fit, Recompute};
use crate::plan::{Options, Precision};

/// A game, and how it is run.
#[derive(Clone)]
pub struct Settings {
    /// What is trained.
    pub game: Game,
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
    /// The configuration as a file, stored in every checkpoint; empty where there is none.
    pub config_toml: String,
}

impl Settings {
    /// A game with the seed 0, in 32 bits, logged every 50 iterations.
    pub fn of(game: Game) -> Settings {
        let (fit, config_toml) = (Fit::default(), String::new());
        Settings { game, seed: 0, log_every: 50, fuse: true, precision: Precision::F32, fit, config_toml }
    }

    /// Resolves a configuration.
    ///
    /// # Errors
    /// A setting that makes no model.
    pub fn new(config: &Config) -> Result<Settings> {
        let recompute = match config.plan.recompute {
            config::RecomputeKind::Off => Recompute::Off,
            config::RecomputeKind::Auto => Recompute::Auto,
            config::RecomputeKind::On => Recompute::On,
        };
        Ok(Settings {
            seed: config.train.seed,
            log_every: config.log.every_steps as usize,
            fuse: config.plan.fuse,
            precision: match config.train.precision {
                config::PrecisionKind::F32 => Precision::F32,
                config::PrecisionKind::F16 => Precision::F16,
            },
            fit: Fit { recompute, limit: None },
            config_toml: config.to_toml(),
            ..Settings::of(games::of(config)?)
        })
    }

    /// Plans the run with the options of a device.
    ///
    /// # Errors
    /// As [`Assembly::new`].
    pub fn plan(&self, resident: Option<Resident>, options: Options) -> Result<Assembly> {
        let options = Options { fuse: self.fuse, precision: self.precision, ..options };
        Assembly::new(&self.game, resident, self.log_every, options)
    }

    /// Thousands of samples of the data shown after `step` iterations.
    pub fn kimg_at(&self, step: u64) -> f64 {
        step as f64 * self.game.batch as f64 / 1000.0
    }

    /// Iterations in `kimg` thousand samples: at least 1.
    pub fn steps_in(&self, kimg: f64) -> u64 {
        ((kimg * 1000.0 / self.game.batch as f64).ceil() as u64).max(1)
    }
}
