//! Training as a library user runs it: what an iteration costs, what it reaches, and that it can be stopped at any moment.

use crate::primitives::gpu;
use danskin::config::{Config, Overrides};
use danskin::data::toys::Toy;
use danskin::device::Device;
use danskin::metrics;
use danskin::nn::{Init, layers::linear};
use danskin::train::game::{Adam, Batch, Game, Phase, PhaseGraph, Player};
use danskin::train::{Feed, Settings, Trainer, stream};

/// A preset with settings on top.
pub fn config(preset: &str, set: &[&str]) -> Config {
    let overrides = Overrides {
        preset: Some(preset.to_owned()),
        set: set.iter().map(|s| s.to_string()).collect(),
        ..Overrides::default()
    };
    Config::load(&overrides).unwrap().0
}

pub fn trainer(config: &Config, device: &Device) -> Trainer {
    let feed = Feed::open(config, &|_, _| {}).unwrap();
    Trainer::new(Settings::new(config).unwrap(), feed, device).unwrap()
}

/// A DCGAN small enough for a software driver, attacked.
pub const SMALL: &[&str] = &[
    "model.z=8",
    "model.g_width=4",
    "model.d_width=4",
    "train.batch=4",
    "data.count=32",
    "attack.steps=2",
    "log.every_steps=4",
];

#[test]
fn ring8_reaches_all_modes() {
    let config = config("ring8", &[]);
    let mut trainer = trainer(&config, &Device::Host);
    let end = trainer.settings().steps_in(config.train.kimg);
    while trainer.step() < end {
        trainer.iterate().unwrap();
    }
    let points = trainer.sample(&(0..2500).collect::<Vec<u32>>()).unwrap();
    let modes = metrics::modes(Toy::Ring8, &points);
    assert!(modes.covered == 8 && modes.high_quality >= 0.9, "{modes}");
}

/// The other losses that need no penalty of their own, on a shorter course.
#[test]
fn hinge_and_least_squares_reach_all_modes_of_ring8() {
    for loss in ["loss.kind=hinge", "loss.kind=lsgan"] {
        let config = config("ring8", &[loss, "train.kimg=1200", "optim.burn_in_kimg=1200"]);
        let mut trainer = trainer(&config, &Device::Host);
        let end = trainer.settings().steps_in(config.train.kimg);
        let covered = |trainer: &mut Trainer| {
            let points = trainer.sample(&(0..2500).collect::<Vec<u32>>()).unwrap();
            metrics::modes(Toy::Ring8, &points)
        };
        let before = covered(&mut trainer);
        assert!(before.covered < 8, "{loss}: {before} before training");
        while trainer.step() < end {
            trainer.iterate().unwrap();
        }
        let modes = covered(&mut trainer);
        println!("{loss}: {modes}");
        assert!(modes.covered == 8 && modes.high_quality >= 0.8, "{loss}: {modes}");
    }
}

#[test]
fn an_iteration_creates_nothing_and_submits_once() {
    for device in [Device::Host, gpu()] {
        let mut trainer = trainer(&config("faces32", SMALL), &device);
        trainer.iterate().unwrap();
        let before = trainer.counters();
        for _ in 0..3 {
            trainer.iterate().unwrap();
        }
        let after = trainer.counters();
        assert_eq!(after.submissions - before.submissions, 3);
        assert_eq!((after.dispatches - before.dispatches) % 3, 0);
        assert!(after.dispatches > before.dispatches);
        let fixed = |c: danskin::plan::Counters| (c.buffers, c.bind_groups, c.pipelines, c.read_backs);
        assert_eq!(fixed(after), fixed(before), "{}", trainer.describe_device());
    }
}

#[test]
fn attack_steps_are_free_at_run_time() {
    let mut trainer = trainer(&config("faces32", SMALL), &Device::Host);
    let mut dispatches = vec![];
    for steps in [1, 2, 10] {
        trainer.set_repeat("attack_step", steps).unwrap();
        let before = trainer.counters();
        trainer.iterate().unwrap();
        let after = trainer.counters();
        assert_eq!(after.submissions - before.submissions, 1);
        dispatches.push(after.dispatches - before.dispatches);
    }
    let step = dispatches[1] - dispatches[0];
    assert_eq!(dispatches[2] - dispatches[1], 8 * step, "{dispatches:?}");
}

#[test]
fn a_restored_trainer_goes_on_bit_for_bit() {
    for device in [Device::Host, gpu()] {
        let config = config("faces32", SMALL);
        let mut unbroken = trainer(&config, &device);
        (0..3).for_each(|_| unbroken.iterate().unwrap());
        let state = unbroken.checkpoint().unwrap();
        (0..3).for_each(|_| unbroken.iterate().unwrap());
        let mut resumed = trainer(&config, &device);
        resumed.restore(&state, std::path::Path::new("memory")).unwrap();
        (0..3).for_each(|_| resumed.iterate().unwrap());
        let (a, b) = (unbroken.checkpoint().unwrap(), resumed.checkpoint().unwrap());
        assert_eq!(a.meta, b.meta);
        for (a, b) in a.tensors.iter().zip(&b.tensors) {
            assert_eq!(a, b, "{} differs on {}", a.name, unbroken.describe_device());
        }
        let seeds: Vec<u32> = (0..5).collect();
        assert_eq!(unbroken.sample(&seeds).unwrap(), resumed.sample(&seeds).unwrap());
    }
}

/// How far two devices may be apart after four iterations: as far as ten of them may be from PyTorch (`fidelity`).
const ALIKE: f32 = 1.6e-4;

#[test]
fn host_and_wgsl_train_alike() {
    // With a smaller ε Adam's first updates are nearly signs, and the rounding of a gradient near 0 a whole step of its weight.
    let config = config("faces32", &[SMALL, &["optim.eps=0.1"]].concat());
    let run = |device: &Device| {
        let mut trainer = trainer(&config, device);
        (0..4).for_each(|_| trainer.iterate().unwrap());
        trainer.begin_log().unwrap();
        (trainer.log_names().to_vec(), trainer.take_log(true).unwrap().unwrap().rows)
    };
    let ((names, host), (same, wgsl)) = (run(&Device::Host), run(&gpu()));
    assert_eq!((&names, host.len(), wgsl.len()), (&same, 4, 4));
    let mut largest = 0f32;
    for (h, w) in host.iter().zip(&wgsl) {
        assert_eq!((h.step, h.values.len(), w.values.len()), (w.step, names.len(), names.len()));
        for ((name, a), b) in names.iter().zip(&h.values).zip(&w.values) {
            let off = (a - b).abs() / (0.1 + a.abs());
            largest = largest.max(off);
            assert!(off <= ALIKE, "step {}: {name} is {a} on the host and {b} on WGSL", h.step);
        }
    }
    println!("host and WGSL: {largest:.1e} apart");
}

/// What is no number does not become one in a rectifier: a run would go on with it.
#[test]
fn rectifiers_hand_on_what_is_no_number() {
    let build = |p: &mut PhaseGraph| {
        let score = linear(&p.network("D")?, p.batch("real"), 1, Init::Ones);
        p.log("relu", score.relu().mean_all());
        p.log("leaky_relu", score.leaky_relu(0.2).mean_all());
        p.minimise("D", score.relu().square().mean_all())
    };
    for device in [Device::Host, gpu()] {
        let game = Game {
            batch: 4,
            sample: vec![2],
            networks: vec![Player::new("D", "discriminator", Adam::new(1e-3, 0.9, 0.99))],
            batches: vec![Batch::new("real", stream::DATA_D)],
            phases: vec![Phase::new("d", build)],
            ..Game::default()
        };
        let feed = Feed::from_fn(&[2], false, |first, n, _| {
            let bad = if first == 0 { 1.0 } else { f32::NAN };
            Ok(([bad, 1.0].repeat(n), vec![]))
        });
        let mut trainer = Trainer::new(Settings::of(game), feed, &device).unwrap();
        for finite in [true, false] {
            trainer.iterate().unwrap();
            for name in ["relu", "leaky_relu", "d_grad_norm"] {
                let value = trainer.latest(name).unwrap();
                assert_eq!(value.is_finite(), finite, "{name} is {value}, {}", trainer.describe_device());
            }
        }
    }
}
