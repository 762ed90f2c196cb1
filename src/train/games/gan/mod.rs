//! A generator against a discriminator: every preset, conditional or not, with penalties, lazy ones too, and with an adversary
//! that perturbs what the discriminator sees.

mod adversary;
mod augment;
mod phases;

pub use adversary::{Ascent, GanAdversary, On};
pub use augment::{GanAugment, Strength};
use phases::Verdict;

use crate::Result;
use crate::loss;
use crate::nn::Network;
use crate::optim::Schedule;
use crate::train::game::{
    Ahead, Average, Batch, Game, Inference, Optimiser, Phase, PhaseGraph, Player, Shown, Value, When,
};
use crate::train::stream;
use std::sync::Arc;

/// A GAN; [`Gan::game`] makes a game of it.
#[derive(Clone)]
pub struct Gan {
    /// Latents `[N, latent]` to samples.
    pub generator: Arc<dyn Network>,
    /// Samples to logits `[N,1]`; larger means more real. Where it tells classes ([`GanAdversary::RobGan`]), to
    /// `[N, 1 + classes]`, their logits behind the first.
    /// Without one, the game draws samples and trains nothing.
    pub discriminator: Option<Arc<dyn Network>>,
    /// Extents of a sample: [H, W, C] or `[2]`.
    pub sample: Vec<usize>,
    /// Latent numbers per sample.
    pub latent: usize,
    /// Classes that both networks are told of; 0 for none.
    pub classes: usize,
    /// Samples per batch.
    pub batch: usize,
    /// Parts that a batch is cut into, see [`Game::accumulate`].
    pub accumulate: usize,
    /// The pair of losses.
    pub loss: loss::GanLoss,
    /// γ of the gradient penalty on reals, where there is one.
    pub r1: Option<Schedule>,
    /// γ of the gradient penalty on fakes, where there is one.
    pub r2: Option<Schedule>,
    /// λ of the WGAN gradient penalty, where there is one.
    pub gp: Option<Schedule>,
    /// Discriminator steps per generator step.
    pub n_critic: u64,
    /// Discriminator steps from one penalty to the next (lazy regularisation).
    pub penalty_every: u64,
    /// Who perturbs what the discriminator learns from.
    pub adversary: GanAdversary,
    /// How images are augmented before the discriminator sees them, in both steps. Not together with an adversary.
    pub augment: GanAugment,
    /// How the generator learns.
    pub optimiser_g: Optimiser,
    /// How the discriminator learns; lazy regularisation follows `penalty_every`.
    pub optimiser_d: Optimiser,
    /// The generator's moving average.
    pub average: Average,
}

impl Gan {
    /// Whether the generator's forward pass runs once, before whatever reads its fakes. With a relativistic loss, and where the
    /// discriminator's fakes are of latents that an adversary chose, its own step is of others. Where batches come in parts, keeping what the
    /// forward pass leaves until the discriminator has learned from all of them would keep whole batches: each part is made again.
    fn makes_fakes_ahead(&self) -> bool {
        !self.loss.generator_needs_reals() && !self.adversary.moves_latents() && self.accumulate <= 1
    }

    /// The game: attack, discriminator step, generator step.
    pub fn game(&self) -> Game {
        let fresh = self.loss.generator_needs_reals();
        let labels = self.classes > 0;
        let batch = |name: &str, stream| Batch { name: name.into(), stream, labels };
        let batches = [Some(batch("real", stream::DATA_D)), fresh.then(|| batch("real_g", stream::DATA_G))];
        let player = |name: &str, title: &str, optimiser: &Optimiser, average: Option<&Average>| Player {
            average: average.cloned(),
            ..Player::new(name, title, optimiser.clone())
        };
        let penalised = |name: &str, schedule: &Option<Schedule>| {
            schedule.clone().map(|schedule| Value { weight: self.penalty_every as f64, ..Value::new(name, schedule) })
        };
        let mut values: Vec<Value> = [("r1_gamma", &self.r1), ("r2_gamma", &self.r2), ("gp_lambda", &self.gp)]
            .into_iter()
            .filter_map(|(name, schedule)| penalised(name, schedule))
            .collect();
        let lazy = When::first_of(self.penalty_every);
        let phase = |name: &str, build: for<'g> fn(&Gan, &mut PhaseGraph<'g>) -> Result<()>| {
            let gan = self.clone();
            Phase::new(name, move |p| build(&gan, p))
        };
        let mut phases = vec![];
        values.extend(self.adversary.values());
        values.extend(self.augment.values());
        if let Some((starts, steps)) = self.adversary.attacks() {
            phases.extend(starts.then(|| phase("attack_start", Gan::attack_start)));
            phases.push(Phase { repeat: steps, ..phase("attack_step", Gan::attack_step) });
        }
        let repeat = self.adversary.replays();
        phases.push(Phase { repeat, ..phase("d", |gan, p| gan.discriminate(p, true)).when(lazy) });
        if self.penalty_every > 1 {
            let plain = phase("d_plain", |gan, p| gan.discriminate(p, false)).when(lazy.otherwise());
            phases.push(Phase { repeat, ..plain });
        }
        let reads = |name: &str| name.starts_with('d') || self.adversary.moves_fakes();
        let before = phases.iter().map(|phase: &Phase| phase.name.clone()).filter(|name| reads(name)).collect();
        let ahead = self.makes_fakes_ahead().then(|| Ahead { makes: "fake".into(), before });
        phases.push(Phase { ahead, ..phase("g", Gan::generate).when(When::last_of(self.n_critic)) });
        let optimiser_d = self.optimiser_d.clone().lazy(self.penalty_every);
        if self.discriminator.is_none() {
            phases.clear();
        }
        let gan = self.clone();
        Game {
            batch: self.batch,
            accumulate: self.accumulate,
            sample: self.sample.clone(),
            classes: labels.then_some(self.classes),
            networks: [
                Some(player("G", "generator", &self.optimiser_g, Some(&self.average))),
                self.discriminator.as_ref().map(|_| player("D", "discriminator", &optimiser_d, None)),
            ]
            .into_iter()
            .flatten()
            .collect(),
            batches: batches.into_iter().flatten().collect(),
            values,
            phases,
            loops: vec![],
            inference: Some(Inference {
                name: "sample".into(),
                inputs: [("latents", vec![self.latent]), ("classes", vec![])][..if labels { 2 } else { 1 }]
                    .iter()
                    .map(|(name, extents)| (name.to_string(), extents.clone()))
                    .collect(),
                output: self.sample.clone(),
                classes: self.classes,
                rows: if self.sample.len() == 3 { 16 } else { 250 },
                build: Arc::new(move |p| gan.sample(p)),
            }),
            shown: vec![
                Shown::value("D", "d_loss"),
                Shown::value("G", "g_loss"),
                Shown::difference("D(x)-D(G)", "d_real", "d_fake"),
                Shown::value("|grad D|", "d_grad_norm"),
                Shown::value("|grad G|", "g_grad_norm"),
            ],
        }
    }
}
