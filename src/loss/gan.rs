//! The adversarial losses, on raw logits [N,1].

use crate::error::{Error, Result};
use crate::graph::{Tensor, refuse};
use std::fmt;
use std::str::FromStr;

/// A pair of losses. D(x) are logits of reals, D(G) of fakes; each is a mean over the batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum GanLoss {
    /// Non-saturating (Goodfellow 2014): softplus(−D(x)) + softplus(D(G)); softplus(−D(G)).
    Ns,
    /// Hinge (Miyato 2018): relu(1−D(x)) + relu(1+D(G)); −D(G).
    Hinge,
    /// Least squares (Mao 2017), without the optional halves: (D(x)−1)² + D(G)²; (D(G)−1)².
    Lsgan,
    /// Wasserstein (Arjovsky 2017): D(G) − D(x); −D(G). Needs a Lipschitz critic, see [`super::gradient_penalty`].
    Wgan,
    /// Relativistic pairing (Jolicoeur-Martineau 2018): softplus(−(D(x)−D(G))); softplus(D(x)−D(G)). Pairs real n with
    /// fake n; only differences of logits mean anything.
    Rpgan,
}

impl GanLoss {
    /// Every loss, in declaration order.
    pub const ALL: [GanLoss; 5] = [GanLoss::Ns, GanLoss::Hinge, GanLoss::Lsgan, GanLoss::Wgan, GanLoss::Rpgan];

    /// What the discriminator minimises, as `[1]`.
    pub fn d_loss<'g>(self, real: Tensor<'g>, fake: Tensor<'g>) -> Tensor<'g> {
        match self {
            GanLoss::Ns => (-real).softplus().mean_all() + fake.softplus().mean_all(),
            GanLoss::Hinge => (-real + 1.0).relu().mean_all() + (fake + 1.0).relu().mean_all(),
            GanLoss::Lsgan => (real - 1.0).square().mean_all() + fake.square().mean_all(),
            GanLoss::Wgan => fake.mean_all() - real.mean_all(),
            GanLoss::Rpgan => (fake - real).softplus().mean_all(),
        }
    }

    /// What the generator minimises, as `[1]`. `real` is read where [`GanLoss::generator_needs_reals`].
    ///
    /// # Panics
    /// If the loss needs `real` and it is `None`.
    pub fn g_loss<'g>(self, fake: Tensor<'g>, real: Option<Tensor<'g>>) -> Tensor<'g> {
        match self {
            GanLoss::Ns => (-fake).softplus().mean_all(),
            GanLoss::Hinge | GanLoss::Wgan => -fake.mean_all(),
            GanLoss::Lsgan => (fake - 1.0).square().mean_all(),
            GanLoss::Rpgan => {
                let Some(real) = real else {
                    refuse("the relativistic generator loss compares with logits of reals: give them".into())
                };
                (real - fake).softplus().mean_all()
            }
        }
    }

    /// Whether the generator's loss compares with logits of reals.
    pub fn generator_needs_reals(self) -> bool {
        self == GanLoss::Rpgan
    }

    /// The name in configuration files.
    pub fn name(self) -> &'static str {
        match self {
            GanLoss::Ns => "ns",
            GanLoss::Hinge => "hinge",
            GanLoss::Lsgan => "lsgan",
            GanLoss::Wgan => "wgan",
            GanLoss::Rpgan => "rpgan",
        }
    }
}

impl fmt::Display for GanLoss {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for GanLoss {
    type Err = Error;
    fn from_str(text: &str) -> Result<GanLoss> {
        GanLoss::ALL
            .into_iter()
            .find(|g| g.name() == text)
            .ok_or_else(|| Error::setting("loss", "gan", text, "must be ns, hinge, lsgan, wgan or rpgan"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_read_back() {
        for gan in GanLoss::ALL {
            assert_eq!(gan.to_string().parse::<GanLoss>().unwrap(), gan);
        }
        let message = "wgan-gp".parse::<GanLoss>().unwrap_err().to_string();
        assert!(message.contains("wgan-gp") && message.contains("rpgan"), "{message}");
    }
}
