//! `[augment]`: what the discriminator of a GAN is shown instead of an image, and what goes together.

use super::{AdversaryKind, AugmentKind, Config, LossKind, Task};
use crate::Result;
use serde::{Deserialize, Serialize};

/// `[augment]`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AugmentConfig {
    /// How.
    pub kind: AugmentKind,
    /// Words of DiffAugment with commas between them, or a set of ADA's transforms; all three, and `bgc`, unless given.
    pub policy: Option<String>,
    /// With which probability each transform fires (fixed).
    pub p: f64,
    /// The same after the burn-in, where it changes at all.
    pub p_final: Option<f64>,
    /// Mean sign of D(x) on reals that it is steered towards (ada).
    pub target: f64,
    /// Discriminator steps from one measurement to the next (ada).
    pub interval: u32,
    /// Thousands of images in which the probability can go from 0 to 1 (ada).
    pub speed_kimg: f64,
}

impl Config {
    pub(super) fn check_augment(&self) -> Result<()> {
        let a = &self.augment;
        if a.kind == AugmentKind::None {
            return Ok(());
        }
        let why = "it is for the discriminator of a GAN; a classifier has data.mirror and data.crop";
        self.together(self.train.task == Task::Gan, ["augment.kind", "train.task"], why)?;
        self.together(self.data.source.is_images(), ["augment.kind", "data.source"], "only images are augmented")?;
        let alone = self.adversary().kind == AdversaryKind::Off;
        let key = if self.adversary.kind == AdversaryKind::Off { "attack.steps" } else { "adversary.kind" };
        let why =
            "it would attack another draw of the augmentation than the discriminator is shown: leave one of them out";
        self.together(alone, ["augment.kind", key], why)?;
        let signed = matches!(self.loss.kind, LossKind::Ns | LossKind::Hinge);
        let why =
            "its controller reads the sign of D(x), a verdict with ns and hinge alone; choose augment.kind \"fixed\"";
        self.together(a.kind != AugmentKind::Ada || signed, ["augment.kind", "loss.kind"], why)
    }

    /// (unwise, key, why) of settings that are legal.
    pub(super) fn augment_warnings(&self) -> Vec<(bool, &'static str, &'static str)> {
        let a = &self.augment;
        let fixed = a.kind == AugmentKind::Fixed;
        vec![
            (
                a.kind == AugmentKind::None && a.policy.is_some(),
                "augment.policy",
                "is read only where augment.kind names one",
            ),
            (!fixed && a.p > 0.0, "augment.p", "is read only with augment.kind \"fixed\""),
            (!fixed && a.p_final.is_some(), "augment.p_final", "is read only with augment.kind \"fixed\""),
            (fixed && a.p == 0.0 && a.p_final.is_none_or(|p| p == 0.0), "augment.p", "lets no transform fire"),
            (
                fixed && a.p_final.is_some() && self.optim.burn_in_kimg == 0.0,
                "augment.p_final",
                "is never reached while optim.burn_in_kimg is 0",
            ),
        ]
    }
}
