//! What `danskin bench step` can run: any preset, and four workloads by which engines are compared.

use crate::config::Overrides;

/// A workload that other engines run too. Random weights and built-in faces: nothing depends on the values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peer {
    /// A step of a DCGAN at 64×64, both networks 64 wide, batch 16.
    W4,
    /// The same at 32×32, 32 wide, batch 64.
    W5,
    /// W5 without batch normalisation in D, and R1 with γ 10 in every step.
    W6,
    /// PGD-10 in the ∞-norm on the discriminator of W5 with batch statistics.
    W7,
}

impl Peer {
    /// Every one of them.
    pub const ALL: [Peer; 4] = [Peer::W4, Peer::W5, Peer::W6, Peer::W7];

    /// Its name in reports.
    pub fn name(self) -> &'static str {
        match self {
            Peer::W4 => "W4",
            Peer::W5 => "W5",
            Peer::W6 => "W6",
            Peer::W7 => "W7",
        }
    }

    /// The workload of a name, in either case.
    pub fn find(name: &str) -> Option<Peer> {
        Peer::ALL.into_iter().find(|peer| peer.name().eq_ignore_ascii_case(name))
    }

    /// Settings over the preset `faces32`.
    fn settings(self) -> Vec<&'static str> {
        let common = ["optim.lr=2e-4", "optim.beta1=0.5", "optim.beta2=0.999", "optim.eps=1e-8", "data.count=64"];
        let sized = match self {
            Peer::W4 => ["data.size=64", "model.g_width=64", "model.d_width=64", "model.z=100", "train.batch=16"],
            _ => ["data.size=32", "model.g_width=32", "model.d_width=32", "model.z=100", "train.batch=64"],
        };
        let own: &[&str] = match self {
            Peer::W4 | Peer::W5 => &[],
            Peer::W6 => &["model.d_norm=false", "loss.r1_gamma=10", "loss.penalty_every=1"],
            // 16/255 and 4/255 of images in [-1, 1].
            Peer::W7 => &["attack.steps=10", "attack.eps=8/255", "attack.alpha=2/255"],
        };
        common.iter().chain(&sized).chain(own).copied().collect()
    }

    /// Its configuration, with what the command line says over it.
    pub fn overrides(self, typed: &Overrides) -> Overrides {
        let settings = self.settings().into_iter().map(str::to_owned);
        Overrides {
            preset: Some("faces32".into()),
            set: settings.chain(typed.set.iter().cloned()).collect(),
            ..typed.clone()
        }
    }
}
