//! The phases of a GAN as graphs: discriminator step, generator step, attack, samples.

use super::Gan;
use crate::Result;
use crate::attack::{self, Bounds, Norm};
use crate::autodiff::grad;
use crate::graph::{Dist, Tensor, refuse};
use crate::loss;
use crate::nn::{Mode, Scope};
use crate::train::game::PhaseGraph;
use crate::train::stream;

impl Gan {
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
    pub(super) fn discriminate(&self, p: &mut PhaseGraph, penalties: bool) -> Result<()> {
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
    pub(super) fn generate(&self, p: &mut PhaseGraph) -> Result<()> {
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
    pub(super) fn attack_start(&self, p: &mut PhaseGraph) -> Result<()> {
        let start = attack::start(Norm::Inf, p.batch("real"), p.value("attack_eps"), Bounds::IMAGE, stream::ATTACK);
        p.share("x_adv", start);
        Ok(())
    }

    /// One PGD step on `x_adv` that raises the discriminator's loss on reals. Its networks are constants (Danskin) and in
    /// evaluation mode: no weight gradients, no statistics updated. What rises is the raw −D(x): every loss falls with D(x), and
    /// the gradient of a saturated one would be zero.
    pub(super) fn attack_step(&self, p: &mut PhaseGraph) -> Result<()> {
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
    pub(super) fn sample(&self, p: &mut PhaseGraph) -> Result<()> {
        let labels = (self.classes > 0).then(|| p.given("classes", &[]));
        let z = p.given("latents", &[self.latent]);
        let images = self.generator.forward(&p.network("G")?, z, labels, Mode::Eval);
        p.output(images);
        Ok(())
    }
}
