//! Optimisers, defences and adversaries inside the real trainer against PyTorch: ten iterations each, from the same random numbers.
//! `tests/goldens/defences.py` and `tests/goldens/adversaries.py` made the files.

use crate::fidelity::{ALLOWED, IMAGES, hold, image, seed, ten_iterations};
use crate::primitives::gpu;
use crate::training::config;
use danskin::config::Config;
use danskin::data::DataSet;
use danskin::device::Device;
use danskin::train::checkpoint::{Checkpoint, Values};
use danskin::train::{Feed, Settings, Trainer};
use std::path::Path;

/// Side of the images.
const SIZE: u32 = 8;
const CLASSES: u32 = 3;

/// Ten iterations of `config` on the images of the goldens, held against one of them. Tolerances are those of the other trainers'
/// goldens: the scripts refuse a file whose log is moved by more than 5e-5 where initial weights are 1e-6 off, so that no sign of a
/// gradient and no class lies within rounding of another.
fn check(golden: &str, config: &Config, device: &Device) {
    check_from(golden, config, device, |_| {});
}

/// The same from initial weights that `change` has changed.
fn check_from(golden: &str, config: &Config, device: &Device, change: fn(&mut Checkpoint)) {
    let labels = (0..IMAGES).map(|k| k % CLASSES).collect();
    let images = (0..IMAGES).flat_map(|k| image(SIZE, k)).collect();
    let set = DataSet::from_images("noise", images, Some(labels), [SIZE as usize, SIZE as usize, 3]).unwrap();
    let settings = Settings::new(config).unwrap();
    let mut trainer = Trainer::new(settings, Feed::from_set(set, false), device).unwrap();
    let mut start = trainer.checkpoint().unwrap();
    change(&mut start);
    trainer.restore(&start, Path::new("start")).unwrap();
    let (logs, end) = ten_iterations(&mut trainer);
    hold(golden, &logs, &end, ALLOWED);
}

/// What all classifiers share; places of schedules are in thousands of images, four per iteration.
const CLASSIFIER: &[&str] = &[
    "model.kind=sequential",
    "data.size=8",
    "data.mirror=false",
    "model.classes=3",
    "train.batch=4",
    "train.kimg=0.04",
    "optim.lr=0.1",
    "optim.weight_decay=0",
    "optim.lr_schedule=cosine",
    "optim.lr_drop_factor=0.3",
    "optim.lr_peak_kimg=0.016",
    "ema.half_life_kimg=0.02",
    "ema.ramp=0.5",
    "attack.eps=12/255",
    "attack.steps=3",
    "log.every_steps=10",
];
const DROPS: &[&str] = &["optim.lr_schedule=steps", "optim.lr_drops=[0.012, 0.028]"];
const ADAM: &[&str] = &["optim.lr=3e-3", "optim.beta1=0.9", "optim.beta2=0.99", "optim.eps=1e-3"];
const ALPHA: &str = "attack.alpha=5/255";

fn classifier(name: &str, set: &[&str], device: &Device) {
    let dropout = if name == "free" { "{ type = 'dropout', p = 0.25 }," } else { "" };
    let layers = format!(
        "model.c={{ layers = [{{ type = 'conv', out = 6, kernel = 3, padding = 1, bias = false }}, {{ type = 'batch_norm' }}, {{ type = 'silu' }}, \
         {{ type = 'avg_pool', kernel = 2 }}, {{ type = 'conv', out = 8, kernel = 3, padding = 1 }}, {{ type = 'softplus' }}, \
         {{ type = 'flatten' }}, {{ type = 'linear', out = 12 }}, {{ type = 'tanh' }}, {dropout} {{ type = 'linear', out = 3 }}] }}"
    );
    let golden = format!("defence_{name}");
    let seed = seed(&golden);
    check(&golden, &config("classifier", &[CLASSIFIER, &[&layers, &seed], set].concat()), device);
}

/// SGD with momentum and weight decay, a rate that drops.
#[test]
fn sgd_with_drops() {
    classifier("sgd", &[DROPS, &["optim.weight_decay=0.02"]].concat(), &Device::Host);
}

/// Nesterov's momentum, a rate that rises and falls.
#[test]
fn nesterov_with_a_triangle() {
    let set = ["optim.nesterov=true", "optim.weight_decay=0.02", "optim.lr_schedule=triangle", "optim.lr_final=0.01"];
    for device in [Device::Host, gpu()] {
        classifier("nesterov", &set, &device);
    }
}

/// Weight decay through the gradient.
#[test]
fn adam_with_drops() {
    classifier("adam", &[ADAM, DROPS, &["optim.kind=adam", "optim.weight_decay=0.05"]].concat(), &Device::Host);
}

/// Weights that decay by themselves.
#[test]
fn adamw_with_a_triangle() {
    let set = ["optim.kind=adamw", "optim.weight_decay=0.2", "optim.lr_schedule=triangle", "optim.lr_final=3e-4"];
    for device in [Device::Host, gpu()] {
        classifier("adamw", &[ADAM, &set].concat(), &device);
    }
}

/// From a radius that grows; the step is a share of it.
#[test]
fn pgd_training() {
    classifier("pgd", &["defence.kind=pgd", "defence.warmup_kimg=0.024"], &Device::Host);
}

#[test]
fn fast_training() {
    let triangle = ["optim.lr_schedule=triangle", "optim.lr_final=0.01"];
    classifier("fast", &[&["defence.kind=fast"], &triangle[..]].concat(), &Device::Host);
}

/// In steps across the ball: near the image its attack follows a small difference of large numbers, of which a sign may fall either way.
#[test]
fn trades() {
    for device in [Device::Host, gpu()] {
        let set = ["defence.kind=trades", "attack.eps=4/255", "attack.alpha=8/255", "optim.lr=0.02"];
        classifier("trades", &set, &device);
    }
}

#[test]
fn mart() {
    classifier("mart", &["defence.kind=mart", ALPHA], &Device::Host);
}

/// Each replay drops other features: the fourth word of the random numbers counts them. On the host only: in the last replay lavapipe rounds
/// one sign of the gradient the other way, and an element of δ with it.
#[test]
fn free_training() {
    classifier("free", &["defence.kind=free", "defence.replays=3"], &Device::Host);
}

#[test]
fn adversarial_weight_perturbation() {
    classifier("awp", &["defence.kind=awp", "defence.gamma=0.05", "optim.weight_decay=0.02", ALPHA], &Device::Host);
}

/// What all GANs share.
const GAN: &[&str] = &[
    "model.kind=sequential",
    "data.size=8",
    "data.mirror=false",
    "model.z=6",
    "train.batch=4",
    "train.kimg=0.04",
    "optim.lr=1e-3",
    "optim.beta1=0.5",
    "optim.beta2=0.99",
    "optim.eps=1e-2",
    "ema.half_life_kimg=0.02",
    "ema.ramp=0.5",
    "adversary.eps=12/255",
    "adversary.alpha=5/255",
    "adversary.steps=3",
    "log.every_steps=10",
];

/// D without batch norm where a penalty is on each sample's own slope, with a logit for each class where it tells them.
fn gan(name: &str, set: &[&str], device: &Device, change: fn(&mut Checkpoint)) {
    let tells = name == "robgan";
    let told = if tells { "{ type = 'embedding', classes = 3, dim = 4 }," } else { "" };
    let g = format!(
        "model.g={{ layers = [{told} {{ type = 'linear', out = 128 }}, {{ type = 'reshape', shape = [8, 4, 4] }}, \
         {{ type = 'batch_norm' }}, {{ type = 'silu' }}, {{ type = 'upsample', factor = 2 }}, \
         {{ type = 'conv', out = 3, kernel = 3, padding = 1 }}, {{ type = 'tanh' }}] }}"
    );
    let norm = if ["free", "alr"].contains(&name) { "" } else { "{ type = 'batch_norm' }," };
    let d = format!(
        "model.d={{ layers = [{{ type = 'conv', out = 6, kernel = 4, stride = 2, padding = 1 }}, {{ type = 'silu' }}, \
         {{ type = 'conv', out = 8, kernel = 3, padding = 1, bias = false }}, {norm} {{ type = 'tanh' }}, {{ type = 'flatten' }}, \
         {{ type = 'linear', out = {}, bias = false }}] }}",
        if tells { 1 + CLASSES } else { 1 }
    );
    let golden = format!("adversary_{name}");
    let (seed, kind) = (seed(&golden), if name == "both" || name == "latents" { "pgd" } else { name });
    let kind = format!("adversary.kind={kind}");
    check_from(&golden, &config("faces32", &[GAN, &[&g, &d, &seed, &kind], set].concat()), device, change);
}

/// Reals and fakes, with a loss whose generator's step has reals and latents of its own.
#[test]
fn pgd_on_reals_and_fakes() {
    for device in [Device::Host, gpu()] {
        gan("both", &["adversary.on=both", "loss.kind=rpgan"], &device, |_| {});
    }
}

#[test]
fn pgd_on_latents() {
    gan("latents", &["adversary.on=latents", "adversary.latent_eps=0.1"], &Device::Host, |_| {});
}

/// Each replay of the discriminator's step draws other points for its gradient penalty.
#[test]
fn free_training_of_a_discriminator() {
    let set = ["adversary.replays=2", "adversary.eps=4/255", "loss.kind=wgan", "loss.gp_lambda=10"];
    for device in [Device::Host, gpu()] {
        gan("free", &set, &device, |_| {});
    }
}

#[test]
fn robgan() {
    gan("robgan", &[], &Device::Host, |_| {});
}

#[test]
fn direct_adversarial_training() {
    gan("dat", &["adversary.eps=60/255"], &Device::Host, |_| {});
}

/// From last weights of 32 times their size: a fresh discriminator is too flat to be penalised.
#[test]
fn adversarial_lipschitz_regularisation() {
    gan("alr", &["loss.kind=wgan", "adversary.weight=10"], &Device::Host, |state| {
        let last = state.tensors.iter_mut().find(|tensor| tensor.name == "D.5.weight").unwrap();
        let Values::F32(values) = &mut last.data else { panic!("weights are f32") };
        values.iter_mut().for_each(|v| *v *= 32.0);
    });
}
