//! Attacks on a device: what a step costs beside the bare passes through the model that it cannot do without.
//!
//! Weights are those of the start: no time depends on them. The bare passes, forward and backward to the input, are an attack too,
//! one that moves nothing; so both are submitted, timed and counted alike.

use super::clock::{self, Limits};
use super::report::Common;
use crate::attack::{ADVERSARIAL, Attack, AttackOptions, Ball, FOOLED, Keep, Loss, Norm, Stage, named};
use crate::config::Config;
use crate::device::Device;
use crate::philox::uniform_at;
use crate::train::{Attacker, games};
use crate::{Error, Result};
use serde::Serialize;

/// What was measured of an attack.
#[derive(Clone, Debug, Serialize)]
pub struct AttackRow {
    /// Workload and time.
    #[serde(flatten)]
    pub common: Common,
    /// Gradient steps.
    pub steps: u32,
    /// Median time in units of as many bare passes, measured in turn.
    pub ratio: f64,
    /// Kernels launched per batch (host device: steps run).
    pub dispatches: u64,
    /// Kernels that make gradients of weights, which an attack has no use for.
    pub weight_gradients: usize,
}

/// Measures `steps` bare passes and PGD of as many, keeping its last example and keeping its best, on the model of a configuration.
///
/// # Errors
/// A configuration without a model to attack; a device that fails.
pub fn run(config: &Config, steps: u32, limits: &Limits, device: &Device) -> Result<Vec<AttackRow>> {
    let Some(victim) = games::victim_of(config)? else {
        return Err(Error::Bench(format!(
            "{} holds nothing to attack: name a classifier or a GAN of images",
            config.preset
        )));
    };
    let (classes, sample, batch) = (victim.classes(), victim.sample.clone(), config.train.batch);
    let options = AttackOptions { classes, sample: sample.clone(), steps: Some(steps), ..AttackOptions::default() };
    let pgd = |keep: Keep| named("pgd", &AttackOptions { keep, ..options.clone() });
    let attacks = [
        ("passes alone", passes(steps, Loss::default_for(classes))),
        ("pgd, last example", pgd(Keep::Last)?),
        ("pgd, best example", pgd(Keep::Best)?),
    ];
    let elems: usize = sample.iter().product();
    let images: Vec<f32> = (0..batch * elems).map(|i| (2.0 * uniform_at(1, 0, 0, i as u64) - 1.0) as f32).collect();
    let labels: Vec<u32> = (0..batch).map(|i| (i % classes.max(2)) as u32).collect();
    let mut rows: Vec<AttackRow> = vec![];
    for (name, attack) in attacks {
        let mut attacker = Attacker::new(attack, &victim, batch, false, 0, device)?;
        attacker.initialise(config.train.seed)?;
        // A radius that lets every example be fooled at once would stop it: nothing is spared the work, masks only hold it back.
        let mut once = || attacker.run(&images, &labels, None, 0.1, &mut |_| true).map(|_| ());
        let ((), first) = clock::time(&mut once)?;
        let timing = clock::sample(limits, first, &mut once)?;
        let dispatches = {
            let before = attacker.counters().dispatches;
            attacker.run(&images, &labels, None, 0.1, &mut |_| true)?;
            attacker.counters().dispatches - before
        };
        let (flops, weight_gradients) = (attacker.flops(), attacker.weight_gradients());
        let base = rows.first().map_or(timing.median_s, |row| row.common.timing.median_s);
        let ratio = timing.median_s / base;
        let workload = format!("{} {name}", config.preset);
        let common = Common::new(&attacker.describe_device(), &workload, batch, timing, flops);
        rows.push(AttackRow { common, steps, ratio, dispatches, weight_gradients });
    }
    Ok(rows)
}

/// Forward and backward to the input, so many times in a row on the same images.
fn passes(steps: u32, loss: Loss) -> Attack {
    let begin = Stage::new("begin", |s| {
        s.store(ADVERSARIAL, s.images);
        s.store(FOOLED, s.each(0.0));
    });
    let pass = Stage::new("pass", move |s| {
        let x = s.load_images(ADVERSARIAL);
        // Stored, so that the work is done; the images stay as they are.
        s.store("gradient", s.gradient(loss.each(s, s.logits(x)), x));
    });
    Attack::new("none", Ball::Radius(Norm::Inf), vec![begin, pass.repeat(steps)])
}
