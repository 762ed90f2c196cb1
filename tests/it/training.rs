//! Training as a library user runs it: what an iteration costs, what it reaches, and that it can be stopped at any moment.

use crate::primitives::gpu;
use danskin::config::{Config, Overrides};
use danskin::data::toys::Toy;
use danskin::device::Device;
use danskin::metrics;
use danskin::train::{Feed, Settings, Trainer};

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

#[test]
fn host_and_wgsl_train_alike() {
    let config = config("faces32", SMALL);
    let run = |device: &Device| {
        let mut trainer = trainer(&config, device);
        (0..4).for_each(|_| trainer.iterate().unwrap());
        trainer.begin_log().unwrap();
        trainer.take_log(true).unwrap().unwrap().rows
    };
    let (host, wgsl) = (run(&Device::Host), run(&gpu()));
    for (h, w) in host.iter().zip(&wgsl) {
        for (a, b) in h.values.iter().zip(&w.values) {
            assert!((a - b).abs() <= 2e-3 * (1.0 + a.abs()), "step {}: {:?} and {:?}", h.step, h.values, w.values);
        }
    }
}
