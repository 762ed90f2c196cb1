//! A generator against a discriminator: every preset, conditional or not, with penalties, lazy ones too, and with an attack on
//! the images that the discriminator sees.

use crate::Result;
use crate::attack::{self, Bounds, Norm};
use crate::autodiff::grad;
use crate::graph::{Dist, Tensor, refuse};
use crate::loss;
use crate::nn::{Mode, Network, Scope};
use crate::optim::Schedule;
use crate::train::game::{Adam, Ahead, Average, Batch, Game, Inference, Phase, PhaseGraph, Player, Shown, Value, When};
use crate::train::stream;
use std::sync::Arc;

/// A GAN; [`Gan::game`] makes a game of it.
#[derive(Clone)]
pub struct Gan {
    /// Latents `[N, latent]` to samples.
    pub generator: Arc<dyn Network>,
    /// Samples to logits `[N,1]`; larger means more real.
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
    /// The pair of losses.
    pub loss: loss::Gan,
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
    /// Steps, ε and α of PGD on the reals that the discriminator sees, in units of the samples.
    pub attack: Option<(u32, f64, f64)>,
    /// How the generator learns.
    pub adam_g: Adam,
    /// How the discriminator learns; its `lazy` follows `penalty_every`.
    pub adam_d: Adam,
    /// The generator's moving average.
    pub average: Average,
}

impl Gan {
    /// The game: attack, discriminator step, generator step.
    pub fn game(&self) -> Game {
        let fresh = self.loss.generator_needs_reals();
        let labels = self.classes > 0;
        let batch = |name: &str, stream| Batch { name: name.into(), stream, labels };
        let batches = [Some(batch("real", stream::DATA_D)), fresh.then(|| batch("real_g", stream::DATA_G))];
        let player = |name: &str, title: &str, adam: &Adam, average: Option<&Average>| Player {
            name: name.into(),
            title: title.into(),
            adam: adam.clone(),
            average: average.cloned(),
        };
        let penalised = |name: &str, schedule: Option<Schedule>| {
            schedule.map(|schedule| Value { weight: self.penalty_every as f64, ..Value::new(name, schedule) })
        };
        let mut values: Vec<Value> = [("r1_gamma", self.r1), ("r2_gamma", self.r2), ("gp_lambda", self.gp)]
            .into_iter()
            .filter_map(|(name, schedule)| penalised(name, schedule))
            .collect();
        let lazy = When::first_of(self.penalty_every);
        let phase = |name: &str, build: for<'g> fn(&Gan, &mut PhaseGraph<'g>) -> Result<()>| {
            let gan = self.clone();
            Phase::new(name, move |p| build(&gan, p))
        };
        let mut phases = vec![];
        if let Some((steps, eps, alpha)) = self.attack {
            values.extend(
                [("attack_eps", eps), ("attack_alpha", alpha)].map(|(n, v)| Value::new(n, Schedule::Constant(v))),
            );
            phases.push(phase("attack_start", Gan::attack_start));
            phases.push(Phase { repeat: steps, ..phase("attack_step", Gan::attack_step) });
        }
        phases.push(phase("d", |gan, p| gan.discriminate(p, true)).when(lazy));
        if self.penalty_every > 1 {
            phases.push(phase("d_plain", |gan, p| gan.discriminate(p, false)).when(lazy.otherwise()));
        }
        let before =
            phases.iter().map(|phase: &Phase| phase.name.clone()).filter(|name| name.starts_with('d')).collect();
        let ahead = (!fresh).then(|| Ahead { makes: "fake".into(), before });
        phases.push(Phase { ahead, ..phase("g", Gan::generate).when(When::last_of(self.n_critic)) });
        let adam_d = Adam { lazy: self.penalty_every, ..self.adam_d.clone() };
        if self.discriminator.is_none() {
            phases.clear();
        }
        let gan = self.clone();
        Game {
            batch: self.batch,
            sample: self.sample.clone(),
            classes: labels.then_some(self.classes),
            networks: [
                Some(player("G", "generator", &self.adam_g, Some(&self.average))),
                self.discriminator.as_ref().map(|_| player("D", "discriminator", &adam_d, None)),
            ]
            .into_iter()
            .flatten()
            .collect(),
            batches: batches.into_iter().flatten().collect(),
            values,
            phases,
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

    fn judge<'g>(&self, d: &Scope<'g>, x: Tensor<'g>, labels: Option<Tensor<'g>>, mode: Mode) -> Tensor<'g> {
        match &self.discriminator {
            Some(network) => network.forward(d, x, labels, mode),
            None => refuse("a game without a discriminator trains nothing".into()),
        }
    }

    fn labels<'g>(&self, p: &PhaseGraph<'g>, batch: &str) -> Option<Tensor<'g>> {
        (self.classes > 0).then(|| p.labels(batch))
    }

    fn fakes<'g>(&self, p: &PhaseGraph<'g>, g: &Scope<'g>, stream: u32, labels: Option<Tensor<'g>>) -> Tensor<'g> {
        let z = p.graph().rand(Dist::Normal, stream, [self.batch, self.latent]);
        self.generator.forward(g, z, labels, Mode::Train)
    }

    /// Loss and gradients of the discriminator; without penalties on the steps between lazy ones.
    fn discriminate(&self, p: &mut PhaseGraph, penalties: bool) -> Result<()> {
        let (d, labels) = (p.network("D")?, self.labels(p, "real"));
        let clean = p.batch("real");
        let real = if self.attack.is_some() { p.shared("x_adv", p.batch_shape()) } else { clean };
        let fake = if self.loss.generator_needs_reals() {
            self.fakes(p, &p.network("G")?, stream::Z_D, labels).detach()
        } else {
            p.shared("fake", p.batch_shape())
        };
        // Two passes: batch statistics of reals and fakes must not mix.
        let d_real = self.judge(&d, real, labels, Mode::Train);
        let d_fake = self.judge(&d, fake, labels, Mode::Train);
        let mut loss = self.loss.d_loss(d_real, d_fake);
        p.log("d_loss", loss);
        p.log("d_real", d_real.mean_all());
        p.log("d_fake", d_fake.mean_all());
        if penalties && self.r1.is_some() {
            let r1 = loss::r1_penalty(d_real, real, p.value("r1_gamma"));
            p.log_penalty("r1", r1);
            loss = loss + r1;
        }
        if penalties && self.r2.is_some() {
            let r2 = loss::r2_penalty(d_fake, fake, p.value("r2_gamma"));
            p.log_penalty("r2", r2);
            loss = loss + r2;
        }
        if penalties && self.gp.is_some() {
            let critic = |x| self.judge(&d, x, labels, Mode::Train);
            let gp = loss::gradient_penalty(critic, real, fake, stream::PENALTY) * p.value("gp_lambda");
            p.log_penalty("gp", gp);
            loss = loss + gp;
        }
        p.minimise("D", loss)?;
        p.keep_updates("D")
    }

    /// Loss and gradients of the generator through the discriminator as it stands after its own step. A relativistic loss draws
    /// reals and latents of its own (R3GAN); the others reuse the fakes of the discriminator step (DCGAN).
    fn generate(&self, p: &mut PhaseGraph) -> Result<()> {
        let fresh = self.loss.generator_needs_reals();
        let (g, d) = (p.network("G")?, p.network("D")?);
        let (batch, latents) = if fresh { ("real_g", stream::Z_G) } else { ("real", stream::Z_D) };
        let labels = self.labels(p, batch);
        let fake = self.fakes(p, &g, latents, labels);
        let d_real = fresh.then(|| self.judge(&d, p.batch(batch), labels, Mode::Train));
        let d_fake = self.judge(&d, fake, labels, Mode::Train);
        let loss = self.loss.g_loss(d_fake, d_real);
        p.log("g_loss", loss);
        if !fresh {
            p.share("fake", fake);
        }
        p.minimise("G", loss)?;
        p.keep_updates("G")?;
        p.keep_updates("D")
    }

    /// `x_adv` becomes a random point of the ε-ball around the reals.
    fn attack_start(&self, p: &mut PhaseGraph) -> Result<()> {
        let start = attack::start(Norm::Inf, p.batch("real"), p.value("attack_eps"), Bounds::IMAGE, stream::ATTACK);
        p.share("x_adv", start);
        Ok(())
    }

    /// One PGD step on `x_adv` that raises the discriminator's loss on reals. Its networks are constants (Danskin) and in
    /// evaluation mode: no weight gradients, no statistics updated. What rises is the raw −D(x): every loss falls with D(x), and
    /// the gradient of a saturated one would be zero.
    fn attack_step(&self, p: &mut PhaseGraph) -> Result<()> {
        let (real, x) = (p.batch("real"), p.shared("x_adv", p.batch_shape()));
        let logits = self.judge(&p.network("D")?, x, self.labels(p, "real"), Mode::Eval);
        // Summed, not averaged: each example has its own attack.
        let harm = -logits.sum_all();
        p.log("attack_loss", harm.scale(1.0 / self.batch as f64));
        let gradient = grad(harm, &[x])[0];
        p.log("attack_frozen", attack::frozen(gradient));
        let (eps, alpha) = (p.value("attack_eps"), p.value("attack_alpha"));
        p.share("x_adv", attack::step(Norm::Inf, x, real, gradient, alpha, eps, Bounds::IMAGE));
        Ok(())
    }

    /// Images of given latents, with running statistics.
    fn sample(&self, p: &mut PhaseGraph) -> Result<()> {
        let labels = (self.classes > 0).then(|| p.given("classes", &[]));
        let z = p.given("latents", &[self.latent]);
        let images = self.generator.forward(&p.network("G")?, z, labels, Mode::Eval);
        p.output(images);
        Ok(())
    }
}
