//! What attacks raise: losses of logits, one number per example.

use super::Scene;
use crate::error::{Error, Result};
use crate::graph::Tensor;
use crate::loss::classifier::{cross_entropy, kl, margin};
use crate::nn::softmax::{largest, one_hot};
use std::fmt;
use std::str::FromStr;

/// Where attacks that raise [`Loss::Kl`] keep the logits of the images as they are.
const CLEAN: &str = "clean_logits";

/// A loss that an attack raises. With z the logits, y the label and t the target of a targeted attack.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Loss {
    /// Cross-entropy −ln p(y); targeted ln p(t).
    Ce,
    /// max over i ≠ y of zᵢ − z_y (Carlini & Wagner 2017); targeted z_t − max over i ≠ t of zᵢ.
    Margin,
    /// Difference of logits ratio (Croce & Hein 2020): −(z_y − max over i ≠ y of zᵢ)/(z₍₁₎ − z₍₃₎); targeted
    /// −(z_y − z_t)/(z₍₁₎ − ½(z₍₃₎ + z₍₄₎)). No change of scale or offset of the logits changes it. Wants three classes, targeted four.
    Dlr,
    /// KL(p(x₀) ‖ p(x)) between the predictions for the image and for the example (Zhang 2019). Has no target, and no gradient at the
    /// image itself: start elsewhere.
    Kl,
    /// softplus(−s·z) of one logit, s = ±1: what D minimises on reals (s = 1) and fakes (non-saturating).
    Bce,
    /// relu(1 − s·z) of one logit.
    Hinge,
    /// −s·z of one logit.
    Wgan,
}

impl Loss {
    /// Every loss, in declaration order.
    pub const ALL: [Loss; 7] = [Loss::Ce, Loss::Margin, Loss::Dlr, Loss::Kl, Loss::Bce, Loss::Hinge, Loss::Wgan];

    /// The name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Loss::Ce => "ce",
            Loss::Margin => "margin",
            Loss::Dlr => "dlr",
            Loss::Kl => "kl",
            Loss::Bce => "bce",
            Loss::Hinge => "hinge",
            Loss::Wgan => "wgan",
        }
    }

    /// What a model of so many logits is attacked by unless something else is said.
    pub fn default_for(classes: usize) -> Loss {
        if classes == 1 { Loss::Wgan } else { Loss::Ce }
    }

    /// Whether a model of `classes` logits has this loss.
    ///
    /// # Errors
    /// One sentence: dlr of fewer than three classes, a loss of one logit for a classifier, and the other way round.
    pub fn check(self, attack: &str, classes: usize) -> Result<()> {
        let hint = match (self, classes) {
            (Loss::Dlr, 2) => "divides by the gap to the third class, and the model has two classes: use margin",
            (Loss::Bce | Loss::Hinge | Loss::Wgan, 2..) => "is of one logit, and the model tells classes apart: use ce",
            (Loss::Ce | Loss::Margin | Loss::Dlr | Loss::Kl, ..2) => {
                "is of classes, and the model has one logit: use bce"
            }
            _ => return Ok(()),
        };
        Err(Error::setting(format!("attack {attack}"), "loss", self.name(), hint))
    }

    /// Leaves what later stages need to know of the images; called once, by the first stage.
    pub(super) fn prepare(self, s: &Scene) {
        if self == Loss::Kl {
            s.store(CLEAN, s.logits(s.images));
        }
    }

    /// The loss of each example, `[N,1]`. [`Loss::Kl`] compares with what an earlier stage of its attack has kept.
    pub fn each<'g>(self, s: &Scene<'_, 'g>, logits: Tensor<'g>) -> Tensor<'g> {
        let rows = s.rows();
        let sign = || s.labels.reshape([rows, 1]).scale(2.0) - 1.0;
        match (self, s.target) {
            (Loss::Ce, None) => cross_entropy(logits, s.labels),
            (Loss::Ce, Some(target)) => -cross_entropy(logits, target),
            (Loss::Margin, None) => margin(logits, s.labels),
            (Loss::Margin, Some(target)) => -margin(logits, target),
            (Loss::Dlr, None) => dlr(logits, s.labels),
            (Loss::Dlr, Some(target)) => targeted_dlr(logits, s.labels, target),
            (Loss::Kl, _) => kl(s.load(CLEAN, logits.shape()), logits),
            (Loss::Bce, _) => (-(sign() * logits)).softplus(),
            (Loss::Hinge, _) => (-(sign() * logits) + 1.0).relu(),
            (Loss::Wgan, _) => -(sign() * logits),
        }
    }
}

/// −(z_y − max over i ≠ y of zᵢ)/(z₍₁₎ − z₍₃₎ + 1e-12)
fn dlr<'g>(logits: Tensor<'g>, labels: Tensor<'g>) -> Tensor<'g> {
    let [first, _, third] = sorted(logits);
    margin(logits, labels) * (first - third + 1e-12).pow(-1.0)
}

/// −(z_y − z_t)/(z₍₁₎ − ½(z₍₃₎ + z₍₄₎) + 1e-12)
pub(super) fn targeted_dlr<'g>(logits: Tensor<'g>, labels: Tensor<'g>, target: Tensor<'g>) -> Tensor<'g> {
    let at = |class: Tensor<'g>| (one_hot(class, logits.dim(1)) * logits).sum(&[1]);
    let [first, _, third, fourth] = sorted(logits);
    (at(target) - at(labels)) * (first - (third + fourth).scale(0.5) + 1e-12).pow(-1.0)
}

/// The largest of each row, the next, and so on: `[N,1]` each.
pub(super) fn sorted<'g, const COUNT: usize>(logits: Tensor<'g>) -> [Tensor<'g>; COUNT] {
    let mut left = logits;
    std::array::from_fn(|_| {
        let (value, place) = largest(left);
        left = place.detach().select(left.graph().constant(-1e30, left.shape()), left);
        value
    })
}

impl fmt::Display for Loss {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Loss {
    type Err = Error;
    fn from_str(text: &str) -> Result<Loss> {
        let names = Loss::ALL.map(Loss::name).join(", ");
        let found = Loss::ALL.into_iter().find(|loss| loss.name() == text);
        found.ok_or_else(|| Error::setting("attack", "loss", text, format!("must be one of {names}")))
    }
}
