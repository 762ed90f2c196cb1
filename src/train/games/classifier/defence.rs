//! Training that withstands attacks: what the classifier learns from, and the attack before it.
//!
//! The attack is a constant for the weights (Danskin's theorem), in evaluation mode, and leaves its last example.

use super::Classifier;
use crate::attack::{AttackOptions, Bounds, Keep, named};
use crate::autodiff::grad;
use crate::graph::Tensor;
use crate::loss::classifier::{cross_entropy, kl, mart};
use crate::nn::{Mode, Scope};
use crate::optim::Schedule;
use crate::train::game::{Loop, Phase, PhaseGraph, Value};
use crate::train::games::accuracy;
use crate::train::games::attack::{DELTA, Victim, mount};
use crate::{Error, Result};
use std::collections::HashMap;

/// How a classifier is trained to withstand attacks. All in the maximum norm.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Defence {
    /// Not at all.
    #[default]
    None,
    /// On examples of PGD (Madry 2018).
    Pgd(Adversary),
    /// On examples of one step from a random start (Wong 2020).
    Fast(Adversary),
    /// Cross-entropy of the images, plus β·KL(p(x) ‖ p(x′)) where x′ maximises it (TRADES, Zhang 2019).
    Trades(Adversary, f64),
    /// Cross-entropy of PGD's examples with a margin, plus β·KL(p(x) ‖ p(x′))·(1 − p(x)_y) (MART, Wang 2020).
    Mart(Adversary, f64),
    /// Each batch so many times; each pass gives the gradients of weights and images, and the change of the images persists (Shafahi
    /// 2019).
    Free {
        /// Radius, in units of the images.
        eps: f64,
        /// Steps per batch.
        replays: u32,
    },
    /// PGD's examples, at weights moved by γ·‖w‖/‖∇‖·∇ per layer towards a larger loss (AWP, Wu 2020).
    Awp(Adversary, f64),
}

/// The attack inside a training step.
#[derive(Clone, Debug, PartialEq)]
pub struct Adversary {
    /// Radius, in units of the images.
    pub eps: f64,
    /// Gradient steps.
    pub steps: u32,
    /// Length of a step in units of the images; the attack's own unless given.
    pub alpha: Option<f64>,
}

/// What its phases are named by.
const NAME: &str = "adversary";

impl Defence {
    fn adversary(&self) -> Option<(&'static str, &Adversary)> {
        match self {
            Defence::None | Defence::Free { .. } => None,
            Defence::Fast(adversary) => Some(("ffgsm", adversary)),
            Defence::Trades(adversary, _) => Some(("tpgd", adversary)),
            Defence::Pgd(adversary) | Defence::Mart(adversary, _) | Defence::Awp(adversary, _) => {
                Some(("pgd", adversary))
            }
        }
    }

    /// Radius, in units of the images.
    fn eps(&self) -> f64 {
        match self {
            Defence::Free { eps, .. } => *eps,
            other => other.adversary().map_or(0.0, |(_, adversary)| adversary.eps),
        }
    }
}

/// The phases that attack, what of them is looped, and the values they read.
pub(super) type Before = (Vec<Phase>, Vec<Loop>, Vec<Value>);

impl Classifier {
    /// What runs before the phase that learns.
    ///
    /// # Errors
    /// An attack that the classifier does not suit.
    pub(super) fn before(&self) -> Result<Before> {
        let eps = match self.warmup_kimg {
            0.0 => Schedule::Constant(self.defence.eps()),
            // From the full radius a small network may never leave chance.
            kimg => Schedule::Linear(vec![(0.0, 0.0), (kimg, self.defence.eps())]),
        };
        let eps = Value::new(&format!("{NAME}_eps"), eps);
        let Some((name, adversary)) = self.defence.adversary() else {
            let reads = matches!(self.defence, Defence::Free { .. });
            return Ok((vec![], vec![], if reads { vec![eps] } else { vec![] }));
        };
        let options = AttackOptions {
            steps: Some(adversary.steps.max(1)),
            alpha: adversary.alpha,
            keep: Keep::Last,
            classes: self.classes,
            sample: self.sample.clone(),
            ..AttackOptions::default()
        };
        let attack = named(name, &options)?;
        let (network, name, sample) = (self.network.clone(), "C".to_owned(), self.sample.clone());
        let mounted = mount(&attack, &Victim { network, name, sample }, NAME, "images", false);
        Ok((mounted.phases, mounted.loops, vec![eps]))
    }

    /// How many times the phase that learns runs on each batch.
    pub(super) fn replays(&self) -> u32 {
        if let Defence::Free { replays, .. } = self.defence { replays.max(1) } else { 1 }
    }

    fn logits<'g>(&self, scope: &Scope<'g>, x: Tensor<'g>, mode: Mode) -> Tensor<'g> {
        self.network.forward(scope, x, None, mode)
    }

    /// The phase that learns: its loss, what it logs, and its gradients.
    pub(super) fn learn(&self, p: &mut PhaseGraph) -> Result<()> {
        let (scope, labels, clean) = (p.network("C")?, p.labels("images"), p.batch("images"));
        let attacked = || p.shared(&format!("{NAME}/{}", crate::attack::ADVERSARIAL), p.batch_shape());
        let score = |logits| accuracy(logits, labels);
        // Accuracy on the images and on the attacked ones, where they are known.
        let (loss, clean_accuracy, robust_accuracy) = match &self.defence {
            Defence::None => {
                let logits = self.logits(&scope, clean, Mode::Train);
                (cross_entropy(logits, labels).mean_all(), Some(score(logits)), None)
            }
            Defence::Pgd(_) => {
                let logits = self.logits(&scope, attacked(), Mode::Train);
                let of_clean = self.logits(&scope, clean, Mode::Eval);
                (cross_entropy(logits, labels).mean_all(), Some(score(of_clean)), Some(score(logits)))
            }
            Defence::Fast(_) => {
                // No pass over the images themselves: it would be a fourth of the work.
                let logits = self.logits(&scope, attacked(), Mode::Train);
                (cross_entropy(logits, labels).mean_all(), None, Some(score(logits)))
            }
            Defence::Trades(_, beta) => {
                let [of_clean, of_attacked] = [clean, attacked()].map(|x| self.logits(&scope, x, Mode::Train));
                let apart = kl(of_clean, of_attacked).mean_all();
                let loss = cross_entropy(of_clean, labels).mean_all() + apart.scale(*beta);
                (loss, Some(score(of_clean)), Some(score(of_attacked)))
            }
            Defence::Mart(_, beta) => {
                let [of_clean, of_attacked] = [clean, attacked()].map(|x| self.logits(&scope, x, Mode::Train));
                let loss = mart(of_clean, of_attacked, labels, *beta).mean_all();
                (loss, Some(score(of_clean)), Some(score(of_attacked)))
            }
            Defence::Free { .. } => {
                let (loss, logits) = self.replay(p, &scope, clean, labels);
                (loss, None, Some(score(logits)))
            }
            Defence::Awp(_, gamma) => {
                let x = attacked();
                // What looks for the change moves no running statistics, as its authors' proxy does not.
                let aside = scope.aside();
                let here = cross_entropy(self.logits(&aside, x, Mode::Train), labels).mean_all();
                let logits = self.logits(&scope.shifted(shifts(&aside, here, *gamma)), x, Mode::Train);
                let of_clean = self.logits(&scope, clean, Mode::Eval);
                (cross_entropy(logits, labels).mean_all(), Some(score(of_clean)), Some(score(logits)))
            }
        };
        p.log("loss", loss);
        for (name, value) in [("accuracy", clean_accuracy), ("robust_accuracy", robust_accuracy)] {
            value.into_iter().for_each(|value| p.log(name, value));
        }
        p.minimise("C", loss)?;
        p.keep_updates("C")
    }

    /// One pass of free training: its loss and logits. The gradient of the images moves the change that the next pass starts from.
    fn replay<'g>(
        &self,
        p: &PhaseGraph<'g>,
        scope: &Scope<'g>,
        clean: Tensor<'g>,
        labels: Tensor<'g>,
    ) -> (Tensor<'g>, Tensor<'g>) {
        let delta = scope.state(DELTA, p.batch_shape(), 0.0);
        let x = (clean + delta).clamp(Bounds::IMAGE.lo, Bounds::IMAGE.hi);
        let logits = self.logits(scope, x, Mode::Train);
        let loss = cross_entropy(logits, labels).mean_all();
        let eps = p.value(&format!("{NAME}_eps")).reshape(vec![1; x.shape().len()]);
        let moved = delta + grad(loss, &[x])[0].sign() * eps;
        scope.update(DELTA, moved.max(-eps).min(eps));
        (loss, logits)
    }
}

/// γ·‖w‖/‖∇‖ along the gradient of `loss`, of each weight of two and more axes, as a constant.
fn shifts<'g>(scope: &Scope<'g>, loss: Tensor<'g>, gamma: f64) -> HashMap<String, Tensor<'g>> {
    let (specs, weights) = (scope.params(), scope.param_tensors());
    let length = |t: Tensor<'g>| (t.square().sum_all() + 1e-20).sqrt();
    let mut shifts = HashMap::new();
    for ((spec, weight), gradient) in specs.iter().zip(&weights).zip(grad(loss, &weights)) {
        if spec.shape.len() > 1 {
            let scale = length(*weight) * length(gradient).pow(-1.0);
            let scale = scale.scale(gamma).reshape(vec![1; spec.shape.len()]);
            shifts.insert(spec.name.clone(), (gradient * scale).detach());
        }
    }
    shifts
}

impl Defence {
    /// The word of a configuration, with what belongs to it.
    ///
    /// # Errors
    /// Numbers that make no sense.
    pub(in crate::train::games) fn check(&self, place: &str) -> Result<()> {
        let refuse = |key: &str, value: f64, hint: &str| Err(Error::setting(place, key, value, hint));
        match self {
            Defence::None => Ok(()),
            other if other.eps() <= 0.0 => refuse("attack.eps", 0.0, "must be above 0: there is nothing to withstand"),
            Defence::Awp(_, gamma) if *gamma <= 0.0 => refuse("defence.gamma", *gamma, "must be above 0"),
            Defence::Trades(_, beta) | Defence::Mart(_, beta) if *beta <= 0.0 => {
                refuse("defence.beta", *beta, "must be above 0")
            }
            _ => Ok(()),
        }
    }
}
