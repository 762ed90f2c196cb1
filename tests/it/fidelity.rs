//! The whole trainer against PyTorch: ten iterations of six small GANs on the same random numbers, with every logged scalar,
//! weight, moment, average and running statistic. `tests/goldens/trainer.py` made the files.

use crate::data::craft::{png, put};
use crate::goldens::load;
use crate::primitives::gpu;
use crate::training::config;
use danskin::device::Device;
use danskin::philox;
use danskin::train::checkpoint::{Checkpoint, Values};
use danskin::train::game::{Adam, Optimiser};
use danskin::train::{Feed, Settings, Trainer};
use image::RgbImage;
use safetensors::SafeTensors;
use std::collections::BTreeMap;
use std::path::Path;

/// Iterations of a golden, and images of its set.
pub const STEPS: usize = 10;
pub const IMAGES: u32 = 40;

/// Names of the logged scalars and a row of them per iteration.
pub type Logs = (Vec<String>, Vec<Vec<f64>>);

/// A golden file and the settings that make it again.
struct Case {
    name: &'static str,
    size: u32,
    set: &'static [&'static str],
}

/// What all cases share. Adam's ε is of the size of a typical gradient (larger with batch norm, whose gradients are): with a
/// smaller one an update is nearly a sign, and the rounding of a gradient near 0 becomes a whole step of its weight. Seeds are
/// those under which trainer.py finds no activation or sign of a gradient within rounding of 0; it refuses others.
const SHARED: &[&str] = &[
    "data.source=path",
    "data.mirror=false",
    "model.z=8",
    "model.g_width=4",
    "model.d_width=4",
    "train.batch=4",
    "train.kimg=1",
    "optim.lr=2e-3",
    "optim.beta2=0.99",
    "optim.eps=1e-4",
    "ema.half_life_kimg=0.02",
    "ema.ramp=0.5",
    "log.every_steps=10",
];

/// Batch norm in both networks, the generator's step on the discriminator's fakes, an average with a ramp.
const DCGAN: Case = Case { name: "dcgan", size: 32, set: &["data.mirror=true", "optim.beta2=0.999", "optim.eps=0.1"] };

/// Relativistic loss with R1 and R2, every schedule (they end during the run), a generator's step with reals and latents of
/// its own, a seed of more than 32 bits.
const R3GAN: Case = Case {
    name: "r3gan",
    size: 16,
    set: &[
        "data.size=16",
        "data.mirror=true",
        "model.kind=r3gan",
        "model.g_width=8",
        "model.d_width=8",
        "model.blocks=1",
        "model.d_norm=false",
        "loss.kind=rpgan",
        "loss.r1_gamma=1.0",
        "loss.r2_gamma=0.5",
        "loss.gamma_final=0.1",
        "optim.lr_final=2e-4",
        "optim.beta1=0.0",
        "optim.beta2=0.9",
        "optim.beta2_final=0.99",
        "optim.lr_d_scale=0.5",
        "optim.burn_in_kimg=0.026",
    ],
};

/// R1 at every fourth step; images streamed from their files.
const LAZY: Case = Case {
    name: "lazy",
    size: 32,
    set: &[
        "data.mode=stream",
        "model.g_width=8",
        "model.d_width=8",
        "model.d_norm=false",
        "loss.r1_gamma=100",
        "loss.penalty_every=4",
        "optim.lr=3e-3",
        "optim.lr_d_scale=1.5",
    ],
};

/// PGD on the reals, against a discriminator whose evaluation mode differs from its training mode.
const ATTACK: Case = Case {
    name: "attack",
    size: 32,
    set: &[
        "data.mirror=true",
        "attack.steps=3",
        "attack.eps=8/255",
        "attack.alpha=3/255",
        "optim.lr=5e-4",
        "optim.eps=0.1",
    ],
};

/// Wasserstein loss with gradient penalty, three discriminator steps per generator step.
const WGAN: Case = Case {
    name: "wgan",
    size: 32,
    set: &[
        "model.g_width=8",
        "model.d_width=8",
        "model.d_norm=false",
        "loss.kind=wgan",
        "loss.gp_lambda=10",
        "loss.n_critic=3",
        "optim.beta1=0.0",
        "optim.beta2=0.9",
        "ema.half_life_kimg=0.05",
        "ema.ramp=0.25",
    ],
};

/// Residual SNGAN: hinge loss, a power iteration at each pass in training mode, two discriminator steps per generator step, a learning
/// rate in a line down to 0 over the run, no average.
const SNGAN: Case = Case {
    name: "sngan",
    size: 32,
    set: &[
        "model.kind=sngan-resnet",
        "model.d_norm=false",
        "loss.kind=hinge",
        "loss.n_critic=2",
        "train.kimg=0.05",
        "optim.lr_schedule=linear",
        "optim.beta1=0.0",
        "optim.beta2=0.9",
        "optim.eps=0.1",
        "ema.half_life_kimg=0",
        "ema.ramp=0",
    ],
};

/// A trainer of a case, with `set` on top; the images go to `folder`.
fn trainer(case: &Case, set: &[&str], folder: &Path, device: &Device) -> Trainer {
    write_images(case.size, folder);
    let path = format!("data.path={}", folder.display());
    let seed = seed(&format!("trainer_{}", case.name));
    let config = config("faces32", &[SHARED, &[&path, &seed], case.set, set].concat());
    config.validate().unwrap();
    let feed = Feed::open(&config, &|_, _| {}).unwrap();
    Trainer::new(Settings::new(&config).unwrap(), feed, device).unwrap()
}

/// What ten iterations of a case log, and where they end.
fn run(case: &Case, device: &Device) -> (Logs, Checkpoint) {
    let folder = tempfile::tempdir().unwrap();
    ten_iterations(&mut trainer(case, &[], folder.path(), device))
}

/// What a fresh trainer's ten iterations log, and where they end.
pub fn ten_iterations(trainer: &mut Trainer) -> (Logs, Checkpoint) {
    (0..STEPS).for_each(|_| trainer.iterate().unwrap());
    trainer.begin_log().unwrap();
    let rows = trainer.take_log(true).unwrap().unwrap().rows;
    let rows = rows.iter().map(|row| row.values.iter().map(|v| f64::from(*v)).collect()).collect();
    ((trainer.log_names().to_vec(), rows), trainer.checkpoint().unwrap())
}

/// The per-step values of iteration `step`, as they can be read off what it did, under the name of the network or the log:
/// - `G.beta1`, `G.beta2`, `D.…`: from the products of decays that a checkpoint holds;
/// - `G.lr`, `D.lr`: from the weights and moments before and after;
/// - `ema`: from the averages before and after;
/// - `r1`, `r2`, `gp`: from the logged penalty, over that of the same weights and images under a weight of 1.
///
/// What the iteration does not use is missing.
fn scalars_at(case: &Case, step: usize) -> BTreeMap<String, f64> {
    let folder = tempfile::tempdir().unwrap();
    let logged = |trainer: &mut Trainer| {
        trainer.begin_log().unwrap();
        let row = trainer.take_log(true).unwrap().unwrap().rows.pop().unwrap();
        trainer.log_names().to_vec().into_iter().zip(row.values).collect::<BTreeMap<String, f32>>()
    };
    let mut run = trainer(case, &[], folder.path(), &Device::Host);
    (0..step).for_each(|_| run.iterate().unwrap());
    let before = run.checkpoint().unwrap();
    run.iterate().unwrap();
    let after = run.checkpoint().unwrap();
    let mut found = BTreeMap::new();

    let decays = |state: &Checkpoint, network: &str| -> Vec<f64> {
        let words = &state.meta[&format!("decay_{network}")];
        words.split(' ').map(|word| f64::from_bits(u64::from_str_radix(word, 16).unwrap())).collect()
    };
    for (letter, network) in [("G", "g"), ("D", "d")] {
        let (old, new) = (decays(&before, network), decays(&after, network));
        if old == new {
            continue;
        }
        for (i, name) in ["beta1", "beta2"].iter().enumerate() {
            // A first moment that forgets everything leaves nothing to divide.
            let beta = if old[i] == 0.0 { 0.0 } else { new[i] / old[i] };
            found.insert(format!("{letter}.{name}"), beta);
        }
        let Optimiser::Adam(Adam { eps, .. }) = run.settings().game.networks[0].optimiser else { panic!() };
        let (mut moved, mut unit) = (0.0, 0.0);
        for_weights(&after, letter, |name| {
            let [p0, p1, m, v] = [
                numbers(&before, name),
                numbers(&after, name),
                numbers(&after, &format!("adam.m.{name}")),
                numbers(&after, &format!("adam.v.{name}")),
            ];
            for i in 0..p0.len() {
                let direction = m[i] / (1.0 - new[0]) / ((v[i] / (1.0 - new[1])).sqrt() + eps);
                moved += direction * (p0[i] - p1[i]);
                unit += direction * direction;
            }
        });
        found.insert(format!("{letter}.lr"), moved / unit);
    }
    if found.contains_key("G.lr") {
        let (mut kept, mut unit) = (0.0, 0.0);
        for_weights(&after, "G", |name| {
            let average = format!("ema.{name}");
            let [p, old, new] = [numbers(&after, name), numbers(&before, &average), numbers(&after, &average)];
            for i in 0..p.len() {
                kept += (old[i] - p[i]) * (new[i] - p[i]);
                unit += (old[i] - p[i]).powi(2);
            }
        });
        found.insert("ema".into(), kept / unit);
    }

    let set = ["optim.burn_in_kimg=0", "loss.penalty_every=1"];
    let weights = ["r1_gamma", "r2_gamma", "gp_lambda"].map(|key| format!("loss.{key}=1"));
    let row = logged(&mut run);
    let penalised = run.settings().game.phases.iter().any(|p| p.name == "d" && p.when.is_due(step as u64));
    for (name, weight) in ["r1", "r2", "gp"].into_iter().zip(&weights) {
        if penalised && row.contains_key(name) {
            let mut plain = trainer(case, &[&set[..], &[weight]].concat(), folder.path(), &Device::Host);
            plain.restore(&before, Path::new("memory")).unwrap();
            plain.iterate().unwrap();
            found.insert(name.into(), f64::from(row[name]) / f64::from(logged(&mut plain)[name]));
        }
    }
    found
}

/// Calls `each` with the name of every weight of a network.
fn for_weights(state: &Checkpoint, letter: &str, mut each: impl FnMut(&str)) {
    let names = state.tensors.iter().filter_map(|t| t.name.strip_prefix("adam.m."));
    names.filter(|name| name.starts_with(letter)).for_each(&mut each);
}

fn numbers(state: &Checkpoint, name: &str) -> Vec<f64> {
    match &state.tensor(name).unwrap_or_else(|| panic!("no {name}")).data {
        Values::F32(values) => values.iter().map(|v| f64::from(*v)).collect(),
        Values::U32(_) => panic!("{name} holds whole numbers"),
    }
}

/// Image k as bytes [H,W,C]: the words of (seed 2024, stream 9, step k), each from its low end.
pub fn image(size: u32, k: u32) -> Vec<u8> {
    let words = (0..size * size * 3 / 16).flat_map(|i| philox::block(2024, [i, k, 9, 0]));
    words.flat_map(u32::to_le_bytes).collect()
}

fn write_images(size: u32, folder: &Path) {
    for k in 0..IMAGES {
        put(folder, &format!("{k:03}.png"), &png(RgbImage::from_raw(size, size, image(size, k)).unwrap()));
    }
}

/// The setting of the seed that a golden file was made with.
pub fn seed(golden: &str) -> String {
    let bytes = std::fs::read(format!("tests/goldens/{golden}.safetensors")).unwrap();
    let (_, header) = SafeTensors::read_metadata(&bytes).unwrap();
    format!("train.seed={}", header.metadata().as_ref().unwrap()["seed"])
}

/// Sum, norm and two projections of a tensor: trainer.py's `summary`.
fn summary(values: &[f32]) -> [f64; 4] {
    let n = values.len();
    let dot = |weight: &dyn Fn(usize) -> f64| values.iter().enumerate().map(|(i, v)| weight(i) * f64::from(*v)).sum();
    let norm = values.iter().map(|v| f64::from(*v).powi(2)).sum::<f64>().sqrt();
    let projection = |row: usize| dot(&|i| philox::uniform_at(77, 1, 0, (row * n + i) as u64) - 0.5);
    [dot(&|_| 1.0), norm, projection(0), projection(1)]
}

/// A number that is off.
struct Miss {
    /// When it was logged: what is off first tells most. The end comes last.
    step: usize,
    what: String,
    error: f64,
}

/// Compares logs and final state with a golden file: the largest error of logs and of tensors, and what is off.
fn compare(golden: &str, (names, rows): &Logs, end: &Checkpoint, allowed: [f64; 2]) -> ([f64; 2], Vec<Miss>) {
    let (of, golden) = (golden, load(golden));
    let mut largest = [0.0f64; 2];
    let mut missed = vec![];
    let mut check = |kind: usize, step: usize, what: String, error: f64| {
        largest[kind] = largest[kind].max(error);
        if error.is_nan() || error > allowed[kind] {
            missed.push(Miss { step, what, error });
        }
    };
    let mut wanted: Vec<&str> = golden.keys("log ");
    wanted.sort_unstable();
    let mut got: Vec<&str> = names.iter().map(String::as_str).collect();
    got.sort_unstable();
    assert_eq!(got, wanted, "{of}: names of the logged scalars");
    assert_eq!(rows.len(), STEPS);
    for (column, name) in names.iter().enumerate() {
        let want = &golden.array(&format!("log {name}")).1;
        let logged: Vec<f64> = want.iter().copied().filter(|v| !v.is_nan()).collect();
        let mean = logged.iter().map(|v| v.abs()).sum::<f64>() / logged.len() as f64;
        for (step, (row, want)) in rows.iter().zip(want).enumerate().filter(|(_, (_, want))| !want.is_nan()) {
            let error = (row[column] - want).abs() / want.abs().max(mean).max(f64::MIN_POSITIVE);
            check(0, step, format!("{name} of step {step} is {}, not {want}", row[column]), error);
        }
    }
    let mut compared = 0;
    for tensor in &end.tensors {
        let Values::F32(values) = &tensor.data else { continue };
        let want = &golden.array(&format!("end {}", tensor.name)).1;
        let got = summary(values);
        // A sum of n errors that are alike in size and independent is √n of one.
        // A bias before batch norm, and its moments, are rounding, of the size of f32 here and of f64 there: held against a small gradient.
        let rounding = if tensor.name.starts_with("adam.v.") { 1e-28 } else { 1e-14 };
        let idle = want[1] > 0.0 && want[1] < rounding;
        let norm = if idle { 1e-2 } else { want[1].max(f64::MIN_POSITIVE) };
        let scale = [norm * (values.len() as f64).sqrt(), norm, norm, norm];
        for (i, what) in ["sum", "norm", "projection 0", "projection 1"].iter().enumerate() {
            let error = (got[i] - want[i]).abs() / scale[i];
            check(1, STEPS, format!("{what} of {} is {}, not {}", tensor.name, got[i], want[i]), error);
        }
        compared += 1;
    }
    assert_eq!(compared, golden.keys("end ").len(), "{of}: tensors compared");
    (largest, missed)
}

fn check(case: &Case, device: &Device, allowed: [f64; 2]) {
    let (logs, end) = run(case, device);
    hold(&format!("trainer_{}", case.name), &logs, &end, allowed);
}

/// Fails where logs or final state differ from a golden file by more than is allowed.
pub fn hold(golden: &str, logs: &Logs, end: &Checkpoint, allowed: [f64; 2]) {
    let (largest, mut missed) = compare(golden, logs, end, allowed);
    println!("{golden}: logs {:.1e}, tensors {:.1e}", largest[0], largest[1]);
    missed.sort_by(|a, b| a.step.cmp(&b.step).then(b.error.total_cmp(&a.error)));
    let lines: Vec<String> = missed.iter().take(16).map(|m| format!("{}: {:.1e} off", m.what, m.error)).collect();
    assert!(lines.is_empty(), "{golden}: {} numbers, among them\n{}", missed.len(), lines.join("\n"));
}

/// Relative errors of logs and of tensors. trainer.py moves every initial weight by 1e-6 of itself (eight units in the last
/// place of f32, what sums of thousands of products cost) and refuses a golden whose logs then move by more than 5e-5; errors
/// made anew at each of ten steps may add up to √10 of that.
pub const ALLOWED: [f64; 2] = [1.6e-4, 1e-4];

#[test]
fn batch_norm_and_shared_fakes() {
    for device in [Device::Host, gpu()] {
        check(&DCGAN, &device, ALLOWED);
    }
}

#[test]
fn relativistic_with_schedules() {
    for device in [Device::Host, gpu()] {
        check(&R3GAN, &device, ALLOWED);
    }
}

#[test]
fn lazy_r1() {
    check(&LAZY, &Device::Host, ALLOWED);
}

#[test]
fn attacked_reals() {
    check(&ATTACK, &Device::Host, ALLOWED);
}

#[test]
fn wasserstein_with_penalty_and_three_critic_steps() {
    check(&WGAN, &Device::Host, ALLOWED);
}

#[test]
fn spectral_norm_and_hinge() {
    for device in [Device::Host, gpu()] {
        check(&SNGAN, &device, ALLOWED);
    }
}

/// From `start` to `end` during the burn-in of 26 images.
fn cosine(start: f64, end: f64, step: usize) -> f64 {
    let t = (4.0 * step as f64 / 26.0).min(1.0);
    end + (start - end) * (std::f64::consts::FRAC_PI_2 * t).cos().powi(2)
}

/// Half of the average goes in `min(longest, share · images seen)` images.
fn ema(images: f64, longest: f64, share: f64, step: usize) -> f64 {
    (-images * std::f64::consts::LN_2 / (share * 4.0 * (step as f64 + 1.0)).min(longest)).exp()
}

/// Compares what `scalars_at` finds with closed forms. It divides differences of weights in f32, whose last place is 1e-9 to
/// 6e-8, by steps of some 1e-3, over thousands of weights.
fn check_scalars(case: &Case, steps: &[usize], closed: impl Fn(usize) -> Vec<(&'static str, f64)>) {
    for &step in steps {
        let found = scalars_at(case, step);
        let wanted = closed(step);
        let names: Vec<&str> = wanted.iter().map(|(name, _)| *name).collect();
        assert_eq!(found.len(), names.len(), "{} step {step}: found {found:?}, expected {names:?}", case.name);
        for (name, want) in wanted {
            let got = found[name];
            assert!((got - want).abs() <= 2e-5 * want, "{} step {step}: {name} is {got}, not {want}", case.name);
        }
    }
}

#[test]
fn scalars_of_schedules() {
    check_scalars(&R3GAN, &[0, 1, 4, 6, 7, 9], |step| {
        let (lr, beta2) = (cosine(2e-3, 2e-4, step), cosine(0.9, 0.99, step));
        vec![
            ("G.lr", lr),
            ("D.lr", 0.5 * lr),
            ("G.beta1", 0.0),
            ("D.beta1", 0.0),
            ("G.beta2", beta2),
            ("D.beta2", beta2),
            ("ema", ema(4.0, 20.0, 0.5, step)),
            ("r1", cosine(1.0, 0.1, step)),
            ("r2", cosine(0.5, 0.1, step)),
        ]
    });
}

/// The half-life of the average on its way from 5 to 20 images, with no ramp below it.
#[test]
fn scalars_of_an_average_that_grows_longer() {
    let set = [R3GAN.set, &["ema.half_life_start_kimg=0.005", "ema.ramp=0"]].concat().leak();
    let found = |step| scalars_at(&Case { set, ..R3GAN }, step)["ema"];
    for step in [0, 1, 3, 6, 9] {
        let want = (-4.0 * std::f64::consts::LN_2 / cosine(5.0, 20.0, step)).exp();
        let got = found(step);
        assert!((got - want).abs() <= 2e-5 * want, "step {step}: the average keeps {got}, not {want}");
    }
}

#[test]
fn scalars_of_lazy_steps() {
    let c = 4.0 / 5.0;
    check_scalars(&LAZY, &[0, 1, 3, 4], |step| {
        let mut scalars = vec![
            ("G.lr", 3e-3),
            ("D.lr", 3e-3 * 1.5 * c),
            ("G.beta1", 0.5),
            ("D.beta1", 0.5f64.powf(c)),
            ("G.beta2", 0.99),
            ("D.beta2", 0.99f64.powf(c)),
            ("ema", ema(4.0, 20.0, 0.5, step)),
        ];
        scalars.extend((step % 4 == 0).then_some(("r1", 4.0 * 100.0)));
        scalars
    });
}

#[test]
fn scalars_of_critic_steps() {
    check_scalars(&WGAN, &[0, 1, 2, 5], |step| {
        let mut scalars = vec![("D.lr", 2e-3), ("D.beta1", 0.0), ("D.beta2", 0.9), ("gp", 10.0)];
        if step % 3 == 2 {
            let g = [("G.lr", 2e-3), ("G.beta1", 0.0), ("G.beta2", 0.9), ("ema", ema(12.0, 50.0, 0.25, step))];
            scalars.extend(g);
        }
        scalars
    });
}
