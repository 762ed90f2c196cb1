//! The adversary of a GAN: what it changes of the batches that the discriminator learns from, in the submission of the iteration.
//!
//! Networks are constants for an attack (Danskin's theorem) and in evaluation mode: no weight gradients, no statistics updated. Free
//! training is the exception: it takes what the discriminator's own step leaves. The generator's step sees no perturbation.

use super::{Gan, Verdict};
use crate::Result;
use crate::attack::{self, Bounds, Norm};
use crate::autodiff::grad;
use crate::config::{AdversaryKind, AdversaryOn, Config};
use crate::graph::{Dist, Tensor};
use crate::loss::{self, classifier::cross_entropy};
use crate::nn::{Mode, Scope};
use crate::optim::Schedule;
use crate::train::game::{PhaseGraph, Value};
use crate::train::games::attack::DELTA;
use crate::train::stream;

/// Who perturbs what the discriminator learns from. Lengths are in units of the samples, or of latents.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum GanAdversary {
    /// Nobody.
    #[default]
    Off,
    /// PGD in the maximum norm from a random start (Madry 2018). On reals it lowers D(x), on fakes it raises D(x), on latents D(G(z)):
    /// what makes the discriminator's loss larger.
    Pgd(On, Ascent),
    /// Free adversarial training on reals (FastGAN of Zhong 2020): the discriminator's step runs so many times on each batch, on
    /// box(x + δ); its backward pass also gives δ ← clamp(δ + ε·sign g, ±ε), which the next batch starts from.
    Free {
        /// Radius and length of a step.
        eps: f64,
        /// Discriminator steps per batch.
        replays: u32,
    },
    /// Rob-GAN (Liu & Hsieh 2019): PGD from the reals themselves against softplus(−D(x)) plus the cross-entropy of the class. The
    /// discriminator has both heads ([`crate::nn::BothHeads`]) and learns the class of reals; the generator is to be told its fakes' class
    /// by it. (Fakes whose class is not right yet would mislead the classifier: their class is the generator's matter.)
    RobGan(Ascent),
    /// Direct adversarial training (Li 2020): one step of Euclidean length ε per example, along which D(x) − D(G(z)) shrinks.
    Dat {
        /// Reals, fakes or both.
        on: On,
        /// Length of the step.
        eps: f64,
    },
    /// Adversarial Lipschitz regularisation (Terjék 2020), see [`loss::lipschitz_penalty`].
    Alr {
        /// Reals, fakes or both, of which the mean is taken.
        on: On,
        /// λ.
        weight: f64,
    },
}

/// What is perturbed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum On {
    /// Images of the data.
    Reals,
    /// Images of the generator.
    Fakes,
    /// Both.
    Both,
    /// What the discriminator's fakes are made of.
    Latents,
}

/// Steps of projected gradient ascent.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ascent {
    /// How many.
    pub steps: u32,
    /// Radius of the ball.
    pub eps: f64,
    /// Length of a step.
    pub alpha: f64,
}

impl On {
    fn reals(self) -> bool {
        matches!(self, On::Reals | On::Both)
    }

    fn fakes(self) -> bool {
        matches!(self, On::Fakes | On::Both)
    }
}

impl GanAdversary {
    /// That of a configuration.
    pub fn of(config: &Config) -> GanAdversary {
        let force = config.adversary();
        let on = match force.on {
            AdversaryOn::Reals => On::Reals,
            AdversaryOn::Fakes => On::Fakes,
            AdversaryOn::Both => On::Both,
            AdversaryOn::Latents => On::Latents,
        };
        let ascent = Ascent { steps: force.steps, eps: force.eps, alpha: force.alpha };
        match force.kind {
            AdversaryKind::Off => GanAdversary::Off,
            AdversaryKind::Pgd => GanAdversary::Pgd(on, ascent),
            AdversaryKind::Free => GanAdversary::Free { eps: force.eps, replays: config.adversary.replays },
            AdversaryKind::RobGan => GanAdversary::RobGan(ascent),
            AdversaryKind::Dat => GanAdversary::Dat { on, eps: force.eps },
            AdversaryKind::Alr => GanAdversary::Alr { on, weight: config.adversary.weight },
        }
    }

    /// One line on the adversary of a configuration and what it costs; `None` where there is none.
    pub fn about(config: &Config) -> Option<String> {
        let force = config.adversary();
        let (passes, plain) = (GanAdversary::of(config).passes(), GanAdversary::Off.passes());
        (force.kind != AdversaryKind::Off).then(|| {
            format!(
                "adversary {} on {}: {passes} D passes per iteration, {plain} without (a pass is a batch of reals or fakes through D, \
                 forward or backward; G's step apart)",
                force.kind.name(),
                force.on.name()
            )
        })
    }

    /// What phases before the discriminator's change.
    fn moves(&self) -> Option<On> {
        match self {
            GanAdversary::Pgd(on, _) | GanAdversary::Dat { on, .. } => Some(*on),
            GanAdversary::RobGan(_) => Some(On::Reals),
            GanAdversary::Off | GanAdversary::Free { .. } | GanAdversary::Alr { .. } => None,
        }
    }

    /// Whether the discriminator sees fakes that a phase before has changed, and so needs fakes before it.
    pub(super) fn moves_fakes(&self) -> bool {
        self.moves().is_some_and(On::fakes)
    }

    /// Whether the discriminator's fakes are of latents of their own.
    pub(super) fn moves_latents(&self) -> bool {
        self.moves() == Some(On::Latents)
    }

    /// Whether the discriminator tells classes too.
    pub fn tells_classes(&self) -> bool {
        matches!(self, GanAdversary::RobGan(_))
    }

    /// Steps that start from what an earlier phase left.
    fn ascent(&self) -> Option<&Ascent> {
        match self {
            GanAdversary::Pgd(_, ascent) | GanAdversary::RobGan(ascent) => Some(ascent),
            _ => None,
        }
    }

    /// Whether there is a phase that begins, and how many times the phase that steps runs; `None` without such phases.
    pub(super) fn attacks(&self) -> Option<(bool, u32)> {
        self.moves().map(|_| self.ascent().map_or((false, 1), |ascent| (true, ascent.steps)))
    }

    /// Runs of the discriminator's phase per batch.
    pub(super) fn replays(&self) -> u32 {
        if let GanAdversary::Free { replays, .. } = self { (*replays).max(1) } else { 1 }
    }

    /// What its phases read.
    pub(super) fn values(&self) -> Vec<Value> {
        let values = match *self {
            GanAdversary::Off => vec![],
            GanAdversary::Pgd(_, Ascent { eps, alpha, .. }) | GanAdversary::RobGan(Ascent { eps, alpha, .. }) => {
                vec![("attack_eps", eps), ("attack_alpha", alpha)]
            }
            GanAdversary::Free { eps, .. } | GanAdversary::Dat { eps, .. } => vec![("attack_eps", eps)],
            GanAdversary::Alr { weight, .. } => vec![("alr_weight", weight)],
        };
        values.into_iter().map(|(name, value)| Value::new(name, Schedule::Constant(value))).collect()
    }

    /// Passes of a batch through the discriminator for one of its steps, forward and backward each counted, penalties left out. Without
    /// an adversary there are 4, two each for reals and fakes.
    pub fn passes(&self) -> u64 {
        let batches = |on: On| if on == On::Both { 2 } else { 1 };
        match self {
            GanAdversary::Off => 4,
            GanAdversary::Pgd(on, ascent) => 4 + 2 * batches(*on) * u64::from(ascent.steps),
            GanAdversary::RobGan(ascent) => 4 + 2 * u64::from(ascent.steps),
            GanAdversary::Free { .. } => 4 * u64::from(self.replays()),
            GanAdversary::Dat { on, .. } => 4 + 2 * batches(*on),
            // To the probe and back to it, to the far end and back to the weights.
            GanAdversary::Alr { on, .. } => 4 + 4 * batches(*on),
        }
    }
}

impl Gan {
    /// The reals and fakes that the discriminator's step sees.
    pub(super) fn shown<'g>(
        &self,
        p: &PhaseGraph<'g>,
        d: &Scope<'g>,
        labels: Option<Tensor<'g>>,
    ) -> Result<(Tensor<'g>, Tensor<'g>)> {
        let (adversary, clean) = (&self.adversary, p.batch("real"));
        let real = match adversary {
            GanAdversary::Free { .. } => {
                let delta = d.state(DELTA, p.batch_shape(), 0.0);
                (clean + delta).clamp(Bounds::IMAGE.lo, Bounds::IMAGE.hi)
            }
            other if other.moves().is_some_and(On::reals) => p.shared("x_adv", p.batch_shape()),
            _ => clean,
        };
        let fake = if adversary.moves_fakes() {
            p.shared("fake_adv", p.batch_shape())
        } else if adversary.moves_latents() {
            let z = p.shared("z_adv", [p.rows(), self.latent]);
            self.generator.forward(&p.network("G")?, z, labels, Mode::Train).detach()
        } else {
            self.clean_fakes(p, labels)?
        };
        Ok((real, fake))
    }

    /// Moves δ of free training along the gradient that the discriminator's loss has at the reals it saw.
    pub(super) fn move_delta<'g>(&self, p: &mut PhaseGraph<'g>, d: &Scope<'g>, real: Tensor<'g>, loss: Tensor<'g>) {
        if !matches!(self.adversary, GanAdversary::Free { .. }) {
            return;
        }
        let delta = d.state(DELTA, p.batch_shape(), 0.0);
        let gradient = grad(loss, &[real])[0];
        p.log("attack_loss", loss);
        p.log("attack_frozen", attack::frozen(gradient));
        let eps = p.value("attack_eps").reshape(vec![1; real.shape().len()]);
        d.update(DELTA, (delta + gradient.sign() * eps).max(-eps).min(eps));
    }

    /// What adversarial Lipschitz regularisation adds to the discriminator's loss, of (samples, their logits).
    pub(super) fn steepness<'g>(
        &self,
        p: &mut PhaseGraph<'g>,
        critic: impl Fn(Tensor<'g>) -> Tensor<'g>,
        real: (Tensor<'g>, Tensor<'g>),
        fake: (Tensor<'g>, Tensor<'g>),
    ) -> Option<Tensor<'g>> {
        let GanAdversary::Alr { on, .. } = self.adversary else { return None };
        let parts = [(on.reals(), real, stream::LIPSCHITZ_REALS), (on.fakes(), fake, stream::LIPSCHITZ_FAKES)];
        let found: Vec<loss::Lipschitz> = parts
            .into_iter()
            .filter(|(is, ..)| *is)
            .map(|(_, (x, logits), stream)| loss::lipschitz_penalty(&critic, x, logits, stream))
            .collect();
        let mean = |of: &dyn Fn(&loss::Lipschitz<'g>) -> Tensor<'g>| {
            let sum = found.iter().map(of).reduce(|a, b| a + b)?;
            Some(sum.scale(1.0 / found.len() as f64))
        };
        p.log("attack_loss", mean(&|l| l.slope)?);
        p.log("attack_frozen", mean(&|l| attack::frozen(l.gradient))?);
        let penalty = mean(&|l| l.penalty)? * p.value("alr_weight");
        p.log_penalty("alr", penalty);
        Some(penalty)
    }

    /// Where PGD starts: `x_adv` a random point of the ε-ball around the reals (Rob-GAN: the reals), `fake_adv` and `z_adv` likewise.
    pub(super) fn attack_start(&self, p: &mut PhaseGraph) -> Result<()> {
        let Some(on) = self.adversary.moves() else { return Ok(()) };
        let (graph, eps) = (p.graph(), p.value("attack_eps"));
        let uniform = |shape: &[usize], stream| {
            let eps = eps.reshape(vec![1; shape.len()]);
            (graph.rand(Dist::Uniform, stream, shape).scale(2.0) - 1.0) * eps
        };
        if on.reals() {
            let real = p.batch("real");
            let random = !self.adversary.tells_classes();
            let start = || attack::start(Norm::Inf, real, eps, Bounds::IMAGE, stream::ATTACK);
            p.share("x_adv", if random { start() } else { real });
        }
        if on.fakes() {
            let labels = self.labels(p, "real");
            let fake = self.clean_fakes(p, labels)?;
            let start = fake + uniform(&p.batch_shape(), stream::ATTACK_FAKES);
            if !self.makes_fakes_ahead() {
                p.share("fake", fake);
            }
            p.share("fake_adv", no_further_out(start, fake));
        }
        if on == On::Latents {
            let shape = [p.rows(), self.latent];
            let z = graph.rand(Dist::Normal, stream::Z_D, shape);
            let start = z + uniform(&shape, stream::ATTACK_LATENTS);
            p.share("z", z);
            p.share("z_adv", start);
        }
        Ok(())
    }

    /// One step of the attack on whatever is attacked.
    pub(super) fn attack_step(&self, p: &mut PhaseGraph) -> Result<()> {
        match self.adversary.moves() {
            None => Ok(()),
            Some(On::Reals) => self.attack_reals(p),
            Some(On::Fakes) => self.attack_fakes(p),
            Some(On::Both) => self.attack_reals(p).and_then(|()| self.attack_fakes(p)),
            Some(On::Latents) => self.attack_latents(p),
        }
    }

    /// Norm, length of a step, radius.
    fn stride<'g>(&self, p: &PhaseGraph<'g>) -> (Norm, Tensor<'g>, Tensor<'g>) {
        let eps = p.value("attack_eps");
        match self.adversary.ascent() {
            Some(_) => (Norm::Inf, p.value("attack_alpha"), eps),
            None => (Norm::Two, eps, eps),
        }
    }

    /// Where the step begins that leads from `clean` to `name`: the first time, or the only one, at `clean` itself.
    fn reached<'g>(&self, p: &PhaseGraph<'g>, name: &str, clean: Tensor<'g>) -> Tensor<'g> {
        if self.adversary.ascent().is_some() { p.shared(name, clean.shape()) } else { clean }
    }

    /// What rises is the raw −D(x): every loss falls with D(x), and the gradient of a saturated one would be zero. Beside the loss of
    /// classes, Rob-GAN's is the published one.
    fn attack_reals(&self, p: &mut PhaseGraph) -> Result<()> {
        let real = p.batch("real");
        let x = self.reached(p, "x_adv", real);
        let labels = self.labels(p, "real");
        let Verdict { logit, classes } = self.judge(&p.network("D")?, x, labels, Mode::Eval);
        // Summed, not averaged: each example has its own attack.
        let harm = match classes.zip(labels) {
            Some((classes, labels)) => (-logit).softplus().sum_all() + cross_entropy(classes, labels).sum_all(),
            None => -logit.sum_all(),
        };
        let gradient = self.uphill(p, "attack", harm, x);
        let (norm, alpha, eps) = self.stride(p);
        p.share("x_adv", attack::step(norm, x, real, gradient, alpha, eps, Bounds::IMAGE));
        Ok(())
    }

    /// What rises is D(x). Fakes of a generator without a last tanh may lie outside of the box: they stay there, no further out.
    fn attack_fakes(&self, p: &mut PhaseGraph) -> Result<()> {
        let labels = self.labels(p, "real");
        let walks = self.adversary.ascent().is_some();
        let fake = if walks { p.shared("fake", p.batch_shape()) } else { self.clean_fakes(p, labels)? };
        let x = self.reached(p, "fake_adv", fake);
        let harm = self.judge(&p.network("D")?, x, labels, Mode::Eval).logit.sum_all();
        let gradient = self.uphill(p, "attack_fake", harm, x);
        let (norm, alpha, eps) = self.stride(p);
        p.share("fake_adv", no_further_out(attack::step_unbounded(norm, x, fake, gradient, alpha, eps), fake));
        Ok(())
    }

    /// What rises is D(G(z)): the discriminator learns from the fakes near by that it takes for the most real.
    fn attack_latents(&self, p: &mut PhaseGraph) -> Result<()> {
        let shape = [p.rows(), self.latent];
        let (z0, z, labels) = (p.shared("z", shape), p.shared("z_adv", shape), self.labels(p, "real"));
        let fake = self.generator.forward(&p.network("G")?, z, labels, Mode::Eval);
        let harm = self.judge(&p.network("D")?, fake, labels, Mode::Eval).logit.sum_all();
        let gradient = self.uphill(p, "attack", harm, z);
        let (norm, alpha, eps) = self.stride(p);
        p.share("z_adv", attack::step_unbounded(norm, z, z0, gradient, alpha, eps));
        Ok(())
    }

    /// The gradient of `harm` at x, with the mean of the one and what is frozen of the other logged.
    fn uphill<'g>(&self, p: &mut PhaseGraph<'g>, name: &str, harm: Tensor<'g>, x: Tensor<'g>) -> Tensor<'g> {
        p.log(&format!("{name}_loss"), harm.scale(1.0 / p.rows() as f64));
        let gradient = grad(harm, &[x])[0];
        p.log(&format!("{name}_frozen"), attack::frozen(gradient));
        gradient
    }
}

/// x within the box, or where `x0` is outside of it no further out than that.
fn no_further_out<'g>(x: Tensor<'g>, x0: Tensor<'g>) -> Tensor<'g> {
    let at = |bound: f64| x0.graph().constant(bound, x0.shape());
    x.max(x0.min(at(Bounds::IMAGE.lo))).min(x0.max(at(Bounds::IMAGE.hi))).detach()
}
