//! `[adversary]`: who perturbs what the discriminator of a GAN learns from, what is in force, and what goes together.

use super::{AdversaryKind, AdversaryOn, Amount, Config, DataSource, ModelKind, Task};
use crate::{Error, Result};
use serde::{Deserialize, Serialize};

/// Steps of an attack where none are named.
const STEPS: u32 = 5;

/// `[adversary]`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AdversaryConfig {
    /// How the change is found.
    pub kind: AdversaryKind,
    /// What is changed: reals unless given, with dat and alr both.
    pub on: Option<AdversaryOn>,
    /// Gradient steps (pgd, robgan).
    pub steps: Option<u32>,
    /// Largest change of a pixel; with dat the Euclidean length of the change of an image.
    pub eps: Option<Amount>,
    /// Change per step (pgd, robgan).
    pub alpha: Option<Amount>,
    /// Largest change of a latent number (pgd on latents).
    pub latent_eps: f64,
    /// Discriminator steps per batch (free).
    pub replays: u32,
    /// Weight of the penalty (alr).
    pub weight: f64,
}

/// The adversary of a configuration with every number resolved; lengths in the engine's units ([-1, 1] of pixels, those of latents).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AdversaryInForce {
    /// How the change is found.
    pub kind: AdversaryKind,
    /// What is changed.
    pub on: AdversaryOn,
    /// Gradient steps.
    pub steps: u32,
    /// Radius of the ball.
    pub eps: f64,
    /// Length of a step.
    pub alpha: f64,
}

impl Config {
    /// The adversary that is in force. `attack.steps` above 0 is PGD on the reals, by the radius and the step of `[attack]`. Published
    /// radii stand where none is named: free .006 up to 32×32 and .03 above (Zhong 2020), robgan .03125 by steps of .0078 (Liu & Hsieh
    /// 2019), all between images in [-1, 1]. The length .25 of dat is this program's own: at 1 one of
    /// three small DCGANs collapsed.
    pub fn adversary(&self) -> AdversaryInForce {
        let (a, attack) = (&self.adversary, &self.attack);
        let implied = a.kind == AdversaryKind::Off && attack.steps > 0 && self.train.task == Task::Gan;
        let kind = if implied { AdversaryKind::Pgd } else { a.kind };
        let given = |amount: &Option<Amount>| amount.as_ref().map(Amount::in_model_units);
        let both = matches!(kind, AdversaryKind::Dat | AdversaryKind::Alr);
        let on = a.on.unwrap_or(if both { AdversaryOn::Both } else { AdversaryOn::Reals });
        let steps = a.steps.or((attack.steps > 0).then_some(attack.steps)).unwrap_or(STEPS);
        let even = |eps: f64| 2.5 * eps / f64::from(steps.max(1));
        let (eps, alpha) = match kind {
            AdversaryKind::Pgd if on == AdversaryOn::Latents => (a.latent_eps, even(a.latent_eps)),
            AdversaryKind::Off | AdversaryKind::Pgd => {
                let eps = given(&a.eps).unwrap_or(attack.radius());
                (eps, given(&a.alpha).or(given(&attack.alpha)).unwrap_or(even(eps)))
            }
            AdversaryKind::Free => {
                let eps = given(&a.eps).unwrap_or(if self.data.size <= 32 { 0.006 } else { 0.03 });
                (eps, eps)
            }
            AdversaryKind::RobGan => (given(&a.eps).unwrap_or(0.03125), given(&a.alpha).unwrap_or(0.0078)),
            AdversaryKind::Dat => {
                let eps = given(&a.eps).unwrap_or(0.25);
                (eps, eps)
            }
            AdversaryKind::Alr => (0.0, 0.0),
        };
        AdversaryInForce { kind, on, steps, eps, alpha }
    }

    pub(super) fn check_adversary(&self) -> Result<()> {
        let (a, on) = (&self.adversary, self.adversary().on);
        let kind = a.kind;
        if kind == AdversaryKind::Off {
            return Ok(());
        }
        let why = "it takes part in the steps of a GAN; a classifier has --defence";
        self.together(self.train.task == Task::Gan, ["adversary.kind", "train.task"], why)?;
        let alone = kind == AdversaryKind::Pgd || self.attack.steps == 0;
        let why = "that is PGD on the reals, and there is one adversary at a time: leave one of the two out";
        self.together(alone, ["adversary.kind", "attack.steps"], why)?;
        let (fits, why) = match kind {
            AdversaryKind::Free | AdversaryKind::RobGan => (on == AdversaryOn::Reals, "it changes reals alone"),
            AdversaryKind::Dat | AdversaryKind::Alr => (on != AdversaryOn::Latents, "only pgd changes latents"),
            AdversaryKind::Off | AdversaryKind::Pgd => (true, ""),
        };
        self.together(fits, ["adversary.on", "adversary.kind"], why)?;
        let points = kind == AdversaryKind::Alr || on == AdversaryOn::Latents;
        let why = "it changes pixels; in the plane there are alr, and pgd on latents";
        self.together(points || self.data.source.is_images(), ["adversary.kind", "data.source"], why)?;
        // Of a list of layers it is looked at when it is read.
        let lists = self.model.kind == ModelKind::Sequential;
        let alone = kind != AdversaryKind::Alr || !self.model.d_norm || lists;
        let why = "the penalty is on each sample's own slope, and batch norm couples samples";
        self.together(alone, ["adversary.kind", "model.d_norm"], why)?;
        if kind == AdversaryKind::RobGan && self.model.classes < 2 && !lists {
            let faces = self.data.source == DataSource::Faces && self.data.label.is_none();
            let label = if faces { ", and data.label a factor of the built-in faces" } else { "" };
            let hint = format!("must be at least 2 with adversary.kind \"robgan\": name the number of classes{label}");
            return Err(Error::setting(self.place("adversary.kind"), "model.classes", self.model.classes, hint));
        }
        for (key, amount) in [("adversary.eps", &a.eps), ("adversary.alpha", &a.alpha)] {
            self.require(amount.as_ref().is_none_or(|a| a.in_pixel_units() > 0.0), key, "must be above 0")?;
        }
        Ok(())
    }

    /// (unwise, key, why) of settings that are legal.
    pub(super) fn adversary_warnings(&self) -> Vec<(bool, &'static str, String)> {
        let a = &self.adversary;
        let off = a.kind == AdversaryKind::Off;
        let given = [
            ("adversary.on", a.on.is_some()),
            ("adversary.steps", a.steps.is_some()),
            ("adversary.eps", a.eps.is_some()),
            ("adversary.alpha", a.alpha.is_some()),
        ];
        let unread = "is read only where adversary.kind names one";
        let mut warnings: Vec<_> = given.iter().map(|(key, is)| (off && *is, *key, unread.to_owned())).collect();
        let force = self.adversary();
        // What [attack] alone says is warned of there.
        let own = self.attack.steps == 0 || given[1..].iter().any(|(_, is)| *is);
        let walks = own && matches!(a.kind, AdversaryKind::Pgd | AdversaryKind::RobGan);
        // A step of exactly eps / steps is long enough, whatever its last bit.
        let reach = f64::from(force.steps) * force.alpha * (1.0 + 1e-9);
        let blamed = given.iter().rev().find(|(key, is)| *is && *key != "adversary.on").map_or("attack.alpha", |b| b.0);
        let (steps, alpha, eps) = (force.steps, force.alpha, force.eps);
        let short = format!("leaves {steps} steps of {alpha} in a ball of {eps}: the attack can't reach its edge");
        warnings.push((walks && reach < eps, blamed, short));
        warnings.push((walks && eps == 0.0, "attack.eps", "lets the adversary change nothing".into()));
        warnings
    }
}
