//! The phases of a GAN as graphs: discriminator step, generator step, samples. Those of an attack are in `adversary`.

use super::Gan;
use crate::Result;
use crate::graph::{Dist, Tensor, refuse};
use crate::loss::{self, classifier::cross_entropy};
use crate::nn::{ClassLogits, Mode, Scope};
use crate::train::game::PhaseGraph;
use crate::train::games::accuracy;
use crate::train::stream;

/// What the discriminator says of samples.
pub(super) struct Verdict<'g> {
    /// Larger means more real, `[N,1]`.
    pub logit: Tensor<'g>,
    /// Logits of their classes, where it tells them.
    pub classes: Option<Tensor<'g>>,
}

impl Gan {
    pub(super) fn judge<'g>(
        &self,
        d: &Scope<'g>,
        x: Tensor<'g>,
        labels: Option<Tensor<'g>>,
        mode: Mode,
    ) -> Verdict<'g> {
        let Some(network) = &self.discriminator else {
            refuse("a game without a discriminator trains nothing".into());
        };
        let said = network.forward(d, x, labels, mode);
        if !self.adversary.tells_classes() {
            return Verdict { logit: said, classes: None };
        }
        if self.classes == 0 {
            refuse("a discriminator that tells classes wants labels: give the game its number of classes".into());
        }
        let (logit, classes) = ClassLogits::split(said);
        Verdict { logit, classes: Some(classes) }
    }

    pub(super) fn labels<'g>(&self, p: &PhaseGraph<'g>, batch: &str) -> Option<Tensor<'g>> {
        (self.classes > 0).then(|| p.labels(batch))
    }

    fn fakes<'g>(&self, p: &PhaseGraph<'g>, g: &Scope<'g>, stream: u32, labels: Option<Tensor<'g>>) -> Tensor<'g> {
        let z = p.graph().rand(Dist::Normal, stream, [p.rows(), self.latent]);
        self.generator.forward(g, z, labels, Mode::Train)
    }

    /// The fakes of the discriminator's step as the generator made them, detached.
    pub(super) fn clean_fakes<'g>(&self, p: &PhaseGraph<'g>, labels: Option<Tensor<'g>>) -> Result<Tensor<'g>> {
        if !self.makes_fakes_ahead() {
            return Ok(self.fakes(p, &p.network("G")?, stream::Z_D, labels).detach());
        }
        Ok(p.shared("fake", p.batch_shape()))
    }

    /// Loss and gradients of the discriminator; without penalties on the steps between lazy ones.
    pub(super) fn discriminate(&self, p: &mut PhaseGraph, penalties: bool) -> Result<()> {
        let (d, labels) = (p.network("D")?, self.labels(p, "real"));
        let (real, fake) = self.shown(p, &d, labels)?;
        let rows = p.rows();
        let augment = self.augmentation(p, &d, stream::AUGMENT_D, 2 * rows);
        // Two passes: batch statistics of reals and fakes must not mix.
        let of_real = self.judge(&d, augment.apply(real, 0), labels, Mode::Train);
        let (d_real, of_fake) = (of_real.logit, augment.apply(fake, rows));
        let d_fake = self.judge(&d, of_fake, labels, Mode::Train).logit;
        self.steer(p, &d, d_real);
        let mut loss = self.loss.d_loss(d_real, d_fake);
        p.log("d_loss", loss);
        p.log("d_real", d_real.mean_all());
        p.log("d_fake", d_fake.mean_all());
        self.move_delta(p, &d, real, loss);
        if let Some((classes, labels)) = of_real.classes.zip(labels) {
            let told = cross_entropy(classes, labels).mean_all();
            p.log("class_loss", told);
            p.log("robust_accuracy", accuracy(classes, labels));
            loss = loss + told;
        }
        let critic = |x| self.judge(&d, augment.apply(x, 0), labels, Mode::Train).logit;
        if let Some(steepness) = self.steepness(p, critic, (real, d_real), (fake, d_fake)) {
            loss = loss + steepness;
        }
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
        // Of a batch in parts each draws its own.
        let rows = p.rows();
        let count = rows * if fresh { 2 } else { 1 };
        let augment = self.augmentation(p, &d, stream::AUGMENT_G, count);
        let seen = |x| augment.apply(x, rows);
        let d_real = fresh.then(|| self.judge(&d, seen(p.batch(batch)), labels, Mode::Train).logit);
        let of_fake = self.judge(&d, augment.apply(fake, 0), labels, Mode::Train);
        let mut loss = self.loss.g_loss(of_fake.logit, d_real);
        p.log("g_loss", loss);
        if let Some((classes, labels)) = of_fake.classes.zip(labels) {
            let told = cross_entropy(classes, labels).mean_all();
            p.log("g_class_loss", told);
            loss = loss + told;
        }
        if self.makes_fakes_ahead() {
            p.share("fake", fake);
        }
        p.minimise("G", loss)?;
        p.keep_updates("G")?;
        p.keep_updates("D")
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
