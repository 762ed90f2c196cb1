//! Batches in parts: where nothing couples samples, the sum over the parts is the whole batch; what it saves, and what is refused.

use crate::primitives::gpu;
use crate::training::{config, trainer};
use danskin::device::Device;
use danskin::nn::{Init, layers::linear};
use danskin::plan::Options;
use danskin::train::checkpoint::{Checkpoint, Values};
use danskin::train::game::{Adam, Batch, Game, Phase, PhaseGraph, Player};
use danskin::train::{Feed, Settings, Trainer, stream};

/// Small networks on few faces; an ε of the size of a gradient keeps rounding from becoming whole steps.
const SHARED: &[&str] = &[
    "model.z=8",
    "model.d_norm=off",
    "data.size=16",
    "data.count=32",
    "train.batch=8",
    "optim.eps=0.01",
    "log.every_steps=10",
    "model.g_width=8",
    "model.d_width=8",
    "model.blocks=1",
    "model.hidden=16",
    "model.layers=2",
];

type Logged = (Vec<String>, Vec<Vec<f32>>, Checkpoint);

fn run(preset: &str, set: &[&str], parts: &str, device: &Device) -> Logged {
    let set = [SHARED, set, &[parts]].concat();
    let mut trainer = trainer(&config(preset, &set), device);
    (0..6).for_each(|_| trainer.iterate().unwrap());
    trainer.begin_log().unwrap();
    let rows = trainer.take_log(true).unwrap().unwrap().rows;
    (trainer.log_names().to_vec(), rows.into_iter().map(|row| row.values).collect(), trainer.checkpoint().unwrap())
}

/// Largest difference of two runs, of logs and of tensors, in units of the largest number of each.
fn apart(label: &str, a: &Logged, b: &Logged) -> f32 {
    assert_eq!(a.0, b.0, "{label}");
    let mut largest = 0f32;
    for (i, name) in a.0.iter().enumerate() {
        let scale = a.1.iter().map(|row| row[i].abs()).fold(f32::MIN_POSITIVE, f32::max);
        for (x, y) in a.1.iter().zip(&b.1) {
            let off = (x[i] - y[i]).abs() / scale;
            assert!(off.is_finite() && off < 1e-3, "{label}: {name} is {} and {}", x[i], y[i]);
            largest = largest.max(off);
        }
    }
    assert_eq!(a.2.tensors.len(), b.2.tensors.len(), "{label}");
    for (x, y) in a.2.tensors.iter().zip(&b.2.tensors) {
        let (Values::F32(u), Values::F32(v)) = (&x.data, &y.data) else { continue };
        let scale = u.iter().map(|v| v.abs()).fold(1e-6, f32::max);
        let off = u.iter().zip(v).map(|(a, b)| (a - b).abs() / scale).fold(0.0, f32::max);
        assert!(x.name == y.name && off < 1e-3, "{label}: {} is {off:e} apart", x.name);
        largest = largest.max(off);
    }
    largest
}

const R3GAN: &[&str] = &["model.kind=r3gan", "loss.kind=rpgan", "loss.r1_gamma=1", "loss.r2_gamma=0.5"];
const MLP: &[&str] = &["model.kind=mlp"];

/// Pairs, lazy penalties, critic steps, interpolated samples, attacks on reals and fakes, a classifier and its defence.
#[test]
fn parts_add_up_to_the_whole_batch() {
    let with = |base: &'static [&'static str], more: &[&'static str]| [base, more].concat();
    let classifier = ["train.task=classifier", "model.kind=lenet5", "data.label=glasses", "model.classes=6"];
    let cases = [
        ("r3gan", with(R3GAN, &[])),
        ("labels", with(R3GAN, &["data.label=glasses", "model.classes=6"])),
        ("lazy r1, critic steps", with(MLP, &["loss.r1_gamma=2", "loss.penalty_every=2", "loss.n_critic=2"])),
        ("wgan-gp", with(MLP, &["loss.kind=wgan", "loss.gp_lambda=10"])),
        ("pgd on both", with(MLP, &["adversary.kind=pgd", "adversary.on=both", "adversary.steps=2"])),
        ("pgd on latents", with(MLP, &["adversary.kind=pgd", "adversary.on=latents", "adversary.steps=2"])),
        ("dat", with(MLP, &["adversary.kind=dat"])),
        ("alr", with(MLP, &["adversary.kind=alr"])),
        ("lenet5", with(&[], &classifier)),
        (
            "pgd training",
            with(&[], &[&classifier[..], &["defence.kind=pgd", "attack.steps=2", "attack.eps=8/255"]].concat()),
        ),
    ];
    for (label, set) in &cases {
        let whole = run("faces32", set, "train.accumulate=1", &Device::Host);
        for parts in ["train.accumulate=2", "train.accumulate=4"] {
            let off = apart(label, &whole, &run("faces32", set, parts, &Device::Host));
            println!("{label}, {parts}: {off:.1e} apart");
            assert!(off < 2e-4, "{label}, {parts}: {off:e} apart");
        }
    }
}

#[test]
fn parts_add_up_in_wgsl() {
    let device = gpu();
    let whole = run("faces32", R3GAN, "train.accumulate=1", &device);
    let off = apart("wgsl", &whole, &run("faces32", R3GAN, "train.accumulate=4", &device));
    println!("{off:.1e} apart");
    assert!(off < 2e-4, "{off:e} apart");
}

/// Less is alive at once; an iteration is one submission that creates nothing; a restored run goes on bit for bit.
#[test]
fn parts_take_less_memory_and_one_submission() {
    let settings = |parts: &str| {
        let set = ["model.g_width=16", "model.d_width=16", "train.batch=64", "data.count=64", parts];
        Settings::new(&config("faces64", &set)).unwrap()
    };
    let [whole, parted] = ["train.accumulate=1", "train.accumulate=8"]
        .map(|parts| settings(parts).plan(None, Options::default()).unwrap().program.work_bytes() as f64);
    println!("work memory: {parted} of {whole}");
    assert!(parted < 0.2 * whole, "{parted} of {whole}");

    // Batch norm: statistics of each part.
    let set =
        ["data.count=32", "train.batch=8", "model.z=8", "model.g_width=4", "model.d_width=4", "train.accumulate=2"];
    for device in [Device::Host, gpu()] {
        let mut unbroken = trainer(&config("faces32", &set), &device);
        unbroken.iterate().unwrap();
        let state = unbroken.checkpoint().unwrap();
        let before = unbroken.counters();
        (0..2).for_each(|_| unbroken.iterate().unwrap());
        let after = unbroken.counters();
        let fixed = |c: danskin::plan::Counters| (c.buffers, c.bind_groups, c.pipelines, c.read_backs);
        assert_eq!(after.submissions - before.submissions, 2);
        assert_eq!(fixed(after), fixed(before));
        let mut resumed = trainer(&config("faces32", &set), &device);
        resumed.restore(&state, std::path::Path::new("memory")).unwrap();
        (0..2).for_each(|_| resumed.iterate().unwrap());
        assert_eq!(unbroken.checkpoint().unwrap().tensors, resumed.checkpoint().unwrap().tensors);
    }
}

/// A game of one's own that can't be cut is refused in words.
#[test]
fn games_that_need_whole_batches_are_refused() {
    let learn = |p: &mut PhaseGraph| {
        let score = linear(&p.network("D")?, p.batch("real"), 1, Init::Ones);
        p.minimise("D", score.square().mean_all())
    };
    let refused = |accumulate: usize, repeat: u32| {
        let game = Game {
            batch: 4,
            accumulate,
            sample: vec![2],
            networks: vec![Player::new("D", "discriminator", Adam::new(1e-3, 0.9, 0.99))],
            batches: vec![Batch::new("real", stream::DATA_D)],
            phases: vec![Phase { repeat, ..Phase::new("d", learn) }],
            ..Game::default()
        };
        let feed = Feed::from_fn(&[2], false, |_, n, _| Ok((vec![1.0; 2 * n], vec![])));
        Trainer::new(Settings::of(game), feed, &Device::Host).err().map(|error| error.to_string()).unwrap_or_default()
    };
    assert_eq!(refused(2, 1), "");
    assert!(refused(3, 1).contains("a batch of 4 can't be cut into 3 equal parts"), "{}", refused(3, 1));
    assert!(refused(2, 2).contains("phase d learns several times from a batch"), "{}", refused(2, 2));
}
