//! How a network learns: Adam or gradient descent with momentum, with schedules, as what one step of a device is told.

use super::Schedule;
use crate::plan::{OPTIMISER_SCALARS, WeightDecay, Work};

/// How a network learns.
#[derive(Clone, Debug)]
pub enum Optimiser {
    /// Adam, with or without weight decay of either kind.
    Adam(Adam),
    /// Gradient descent with momentum.
    Sgd(Sgd),
}

/// Adam with schedules (Kingma & Ba 2015); with decoupled weight decay, AdamW (Loshchilov & Hutter 2019).
#[derive(Clone, Debug)]
pub struct Adam {
    /// Learning rate.
    pub lr: Schedule,
    /// Decay of the first moment.
    pub beta1: f64,
    /// Decay of the second moment.
    pub beta2: Schedule,
    /// Added outside the root.
    pub eps: f64,
    /// Times the learning rate.
    pub lr_scale: f64,
    /// Lazy regularisation (Karras 2020): a penalised step stands for so many, and with c = k/(k+1) the rate is lr·c, the
    /// decays β₁ᶜ and β₂ᶜ. 1 where every step is alike.
    pub lazy: u64,
    /// λ; 0 lets weights be.
    pub weight_decay: f64,
    /// Whether weights decay by themselves, w·(1 − lr·λ) (AdamW), or by their gradients, g + λ·w.
    pub decoupled: bool,
}

impl Adam {
    /// Without schedules and weight decay.
    pub fn new(lr: f64, beta1: f64, beta2: f64) -> Adam {
        let (lr, beta2) = (Schedule::Constant(lr), Schedule::Constant(beta2));
        Adam { lr, beta1, beta2, eps: 1e-8, lr_scale: 1.0, lazy: 1, weight_decay: 0.0, decoupled: false }
    }

    /// AdamW: with decoupled weight decay.
    pub fn decoupled(lr: f64, beta1: f64, beta2: f64, weight_decay: f64) -> Adam {
        Adam { weight_decay, decoupled: true, ..Adam::new(lr, beta1, beta2) }
    }

    fn decay(&self) -> WeightDecay {
        match self.decoupled {
            _ if self.weight_decay == 0.0 => WeightDecay::Off,
            true => WeightDecay::Decoupled,
            false => WeightDecay::L2,
        }
    }
}

/// Gradient descent with momentum and weight decay, by PyTorch's formula (`torch.optim.SGD`): g ← g + λ·w, m ← μ·m + g,
/// w ← w − lr·m, or, looking ahead (Nesterov), w − lr·(g + μ·m).
#[derive(Clone, Debug)]
pub struct Sgd {
    /// Learning rate.
    pub lr: Schedule,
    /// μ; with 0 it is plain gradient descent.
    pub momentum: f64,
    /// Whether the step looks ahead.
    pub nesterov: bool,
    /// λ, through the gradient; 0 lets weights be.
    pub weight_decay: f64,
    /// Times the learning rate.
    pub lr_scale: f64,
}

impl Sgd {
    /// Without schedule, weight decay and looking ahead.
    pub fn new(lr: f64, momentum: f64) -> Sgd {
        Sgd { lr: Schedule::Constant(lr), momentum, nesterov: false, weight_decay: 0.0, lr_scale: 1.0 }
    }
}

impl From<Adam> for Optimiser {
    fn from(adam: Adam) -> Optimiser {
        Optimiser::Adam(adam)
    }
}

impl From<Sgd> for Optimiser {
    fn from(sgd: Sgd) -> Optimiser {
        Optimiser::Sgd(sgd)
    }
}

/// What an optimiser has to know of its past: the products of Adam's β over the updates so far, by which bias correction stays
/// exact while β follows a schedule. 1 for what has no β.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Progress {
    /// Product of the first decay.
    pub beta1: f64,
    /// Product of the second decay.
    pub beta2: f64,
}

impl Progress {
    /// No update yet.
    pub const START: Progress = Progress { beta1: 1.0, beta2: 1.0 };
}

impl Optimiser {
    /// The step it takes on a device.
    pub fn work(&self) -> Work {
        match self {
            Optimiser::Adam(adam) => Work::Adam(adam.decay()),
            Optimiser::Sgd(sgd) => Work::Sgd { nesterov: sgd.nesterov },
        }
    }

    /// Names of the flat buffers it keeps beside the weights, as tensors of a checkpoint are prefixed by them: `adam.m.`.
    pub fn moments(&self) -> &'static [&'static str] {
        match self {
            Optimiser::Adam(_) => &["adam.m", "adam.v"],
            Optimiser::Sgd(_) => &["sgd.m"],
        }
    }

    /// The same with a learning rate that is `scale` times as large.
    pub fn scaled(mut self, scale: f64) -> Optimiser {
        match &mut self {
            Optimiser::Adam(adam) => adam.lr_scale *= scale,
            Optimiser::Sgd(sgd) => sgd.lr_scale *= scale,
        }
        self
    }

    /// The same where a penalised step stands for `k` steps: see [`Adam::lazy`]. Gradient descent is linear in its gradients and
    /// needs nothing of the kind.
    pub fn lazy(mut self, k: u64) -> Optimiser {
        if let Optimiser::Adam(adam) = &mut self {
            adam.lazy = k;
        }
        self
    }

    /// Counts the update after `kimg` thousand images.
    pub fn count(&self, kimg: f64, progress: &mut Progress) {
        if let Optimiser::Adam(adam) = self {
            let (beta1, beta2) = adam.betas(kimg);
            progress.beta1 *= beta1;
            progress.beta2 *= beta2;
        }
    }

    /// The scalars of [`Optimiser::work`] after `kimg` thousand images: `progress` counts this update too.
    pub fn scalars(&self, kimg: f64, progress: Progress, ema_beta: f64) -> [f32; OPTIMISER_SCALARS] {
        let correction = |product: f64| 1.0 / (1.0 - product);
        let scalars = match self {
            Optimiser::Adam(adam) => {
                let ((beta1, beta2), lr) = (adam.betas(kimg), adam.lr.at(kimg) * adam.share() * adam.lr_scale);
                let decay = match adam.decay() {
                    WeightDecay::Off => 0.0,
                    WeightDecay::L2 => adam.weight_decay,
                    WeightDecay::Decoupled => 1.0 - lr * adam.weight_decay,
                };
                let [c1, c2] = [progress.beta1, progress.beta2].map(correction);
                [lr, beta1, beta2, adam.eps, c1, c2, ema_beta, 1.0, decay]
            }
            Optimiser::Sgd(sgd) => {
                let lr = sgd.lr.at(kimg) * sgd.lr_scale;
                [lr, sgd.momentum, 0.0, 0.0, 0.0, 0.0, ema_beta, 1.0, sgd.weight_decay]
            }
        };
        scalars.map(|v| v as f32)
    }
}

impl Adam {
    /// c of lazy regularisation: the penalised step counts for k steps, so decay and rate shrink alike (StyleGAN2).
    fn share(&self) -> f64 {
        let k = self.lazy as f64;
        if k > 1.0 { k / (k + 1.0) } else { 1.0 }
    }

    fn betas(&self, kimg: f64) -> (f64, f64) {
        let c = self.share();
        (self.beta1.powf(c), self.beta2.at(kimg).powf(c))
    }
}
