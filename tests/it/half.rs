//! Half precision: activations in 16-bit floats against the f64 host, what stays in 32 bits, and dynamic loss scaling.

use crate::primitives::gpu;
use crate::training::config;
use danskin::check::{Loaded, cases, games, rng};
use danskin::device::Device;
use danskin::host;
use danskin::kernels;
use danskin::plan::{Builder, Class, Element, LOSS_SCALE, LOSS_SCALE_STEPS, Options, Precision, Region, Work};
use danskin::train::checkpoint::Values;
use danskin::train::{Assembly, Feed, Settings, Trainer};
use std::path::Path;

fn half(device: &Device) -> Options {
    Options { precision: Precision::F16, ..device.options(true) }
}

/// Phases that magnify rounding to 11 bits by more than there is room for: a largest of a window, a sign of a gradient, or a rectifier
/// of 18 normalised layers falls the other way.
const MAGNIFYING: [&str; 3] = ["mnist-cnn", "class head of r3gan", "preact-resnet18"];

/// Rounding to 11 bits between layers, instead of 24.
#[test]
fn wgsl_in_half_precision_matches_the_f64_oracle_within_its_rounding() {
    let (device, mut cases) = (gpu(), cases());
    cases.retain(|case| !MAGNIFYING.iter().any(|name| case.name.starts_with(name)));
    let mut loaded = Loaded::new(&cases, &device, half(&device)).unwrap();
    let mut missed = vec![];
    for (i, case) in cases.iter().enumerate() {
        let reference = host::eval::<f64>(&case.dag, &case.feeds, rng()).unwrap();
        for (root, values) in loaded.run(i).unwrap() {
            let norm = |v: &mut dyn Iterator<Item = f64>| v.map(|x| x * x).sum::<f64>().sqrt();
            let size = norm(&mut reference[&root].iter().copied()).max(1e-6);
            let off = norm(&mut values.iter().zip(&reference[&root]).map(|(&v, r)| f64::from(v) - r)) / size;
            // A rectifier that flips at a rounding error moves whole gradients: phases have room for it.
            let room = if case.kind.is_some() { 2e-3 } else { 6e-2 };
            if off > room || off.is_nan() {
                missed.push(format!("{} {root}: {off:.1e}", case.name));
            }
        }
    }
    assert!(missed.is_empty(), "{} rows:\n{}", missed.len(), missed.join("\n"));
}

#[test]
fn sums_penalties_and_everything_persistent_stay_in_32_bits() {
    for (name, spec) in games() {
        let options =
            Options { precision: Precision::F16, scratch: std::sync::Arc::new(kernels::scratch), ..Options::default() };
        let gan = Assembly::new(&spec.game(), None, 8, options).unwrap();
        let program = &gan.program;
        let is_half = |r: &Region| program.buffers[r.buffer].element == Element::F16;
        for buffer in program.buffers.iter().filter(|b| b.class != Class::Work) {
            assert_ne!(buffer.element, Element::F16, "{name}: {}", buffer.name);
        }
        let mut halves = 0;
        for (plan, step) in program.plans.iter().flat_map(|p| p.steps.iter().map(move |s| (p, s))) {
            let sums = matches!(step.work.product(), Work::Reduce { .. } | Work::ConvW(_));
            assert!(!(sums && step.outputs.iter().any(is_half)), "{name} {}: {} is rounded", plan.name, step.label);
            assert!(step.scratch.iter().all(|r| !is_half(r)), "{name} {}: scratch of {}", plan.name, step.label);
            halves += usize::from(step.outputs.iter().any(is_half));
        }
        assert!(halves > 0 || spec.sample == [2], "{name}: nothing is stored in 16 bits");
    }
}

/// One step of loss scaling, on both devices: (square of the norm, state) → (state, gradient scale, norm, scale, left out).
/// Corrections of Adam's moments have a test of their own.
#[test]
fn the_scale_of_losses_follows_their_gradients() {
    let adam = [1e-3, 0.5, 0.9, 1e-8, 2.0, 10.0, 0.99, 1.0, 0.25];
    let table: [(f32, [f32; 3], [f32; 7]); 6] = [
        // The first step.
        (4.0, [0.0; 3], [LOSS_SCALE, 1.0, 0.0, 1.0 / LOSS_SCALE, 4.0 / LOSS_SCALE / LOSS_SCALE, LOSS_SCALE, 0.0]),
        (4.0, [8.0, 5.0, 2.0], [8.0, 6.0, 2.0, 0.125, 0.0625, 8.0, 2.0]),
        (4.0, [8.0, LOSS_SCALE_STEPS - 1.0, 2.0], [16.0, 0.0, 2.0, 0.125, 0.0625, 8.0, 2.0]),
        (f32::INFINITY, [8.0, 5.0, 2.0], [4.0, 0.0, 3.0, 0.0, 0.0, 8.0, 3.0]),
        (f32::NAN, [1.0, 0.0, 0.0], [1.0, 0.0, 1.0, 0.0, 0.0, 1.0, 1.0]),
        (
            1.0,
            [16_777_216.0, LOSS_SCALE_STEPS, 0.0],
            [16_777_216.0, 0.0, 0.0, 2f32.powi(-24), 2f32.powi(-48), 16_777_216.0, 0.0],
        ),
    ];
    for device in [Device::Host, gpu()] {
        let mut b = Builder::new(device.options(true));
        let mut buffer = |len| b.buffer("buffer", len, Element::F32, Class::State);
        let [square, scalars, state, gated, norm, used, left_out] = [1, 9, 5, 9, 1, 1, 1].map(&mut buffer);
        b.step("scale", Work::LossScale, vec![square, scalars], vec![state, gated, norm, used, left_out]);
        let mut device = device.load(b.finish()).unwrap();
        device.write(scalars, &adam).unwrap();
        for (value, before, expected) in table {
            device.write(square, &[value]).unwrap();
            device.write(state, &[&before[..], &[0.0; 2]].concat()).unwrap();
            device.run(&[(0, 1)]).unwrap();
            let mut got = device.read(state).unwrap()[..3].to_vec();
            let after = device.read(gated).unwrap();
            assert_eq!((&after[..4], after[6], after[8]), (&adam[..4], adam[6], adam[8]));
            got.push(after[7]);
            got.extend([norm, used, left_out].map(|r| device.read(r).unwrap()[0]));
            assert_eq!(got, expected, "{}: norm² {value}, state {before:?}", device.describe());
        }
    }
}

/// Adam's moments are corrected for the steps that were made: those left out before the first one do not count, nor those
/// between. Decays follow a schedule.
#[test]
fn steps_that_are_left_out_correct_no_moment() {
    for device in [Device::Host, gpu()] {
        let mut b = Builder::new(device.options(true));
        let mut buffer = |len| b.buffer("buffer", len, Element::F32, Class::State);
        let [square, scalars, state, gated, norm, used, left_out] = [1, 9, 5, 9, 1, 1, 1].map(&mut buffer);
        b.step("scale", Work::LossScale, vec![square, scalars], vec![state, gated, norm, used, left_out]);
        let mut device = device.load(b.finish()).unwrap();
        device.write(state, &[0.0; 5]).unwrap();
        let mut products = [1.0f64; 2];
        for (step, good) in [false, false, false, true, true, false, true].into_iter().enumerate() {
            let betas = [0.5, 0.9 + 0.01 * step as f64];
            // What the host sends counts every step.
            let sent = [1e-3, betas[0] as f32, betas[1] as f32, 1e-8, 7.0, 7.0, 0.99, 1.0, 0.0];
            device.write(scalars, &sent).unwrap();
            device.write(square, &[if good { 1.0 } else { f32::INFINITY }]).unwrap();
            device.run(&[(0, 1)]).unwrap();
            let got = device.read(gated).unwrap();
            if !good {
                assert_eq!(got[7], 0.0, "{}: step {step} is not left out", device.describe());
                continue;
            }
            for (i, (product, beta)) in products.iter_mut().zip(betas).enumerate() {
                *product *= beta;
                let want = 1.0 / (1.0 - *product);
                let off = (f64::from(got[4 + i]) - want).abs() / want;
                assert!(off < 1e-5, "{}: step {step}, c{} is {}, not {want}", device.describe(), i + 1, got[4 + i]);
            }
        }
    }
}

fn trainer(sets: &[&str]) -> Trainer {
    let base = ["data.count=256", "model.g_width=8", "model.d_width=8", "train.batch=8", "log.every_steps=4"];
    let config = config("faces32", &[base.as_slice(), sets].concat());
    let feed = Feed::open(&config, &|_, _| {}).unwrap();
    Trainer::new(Settings::new(&config).unwrap(), feed, &gpu()).unwrap()
}

/// Gives both losses this scale.
fn set_scale(trainer: &mut Trainer, scale: f32) {
    let mut checkpoint = trainer.checkpoint().unwrap();
    for tensor in checkpoint.tensors.iter_mut().filter(|t| t.name.starts_with("scaler.")) {
        let Values::F32(state) = &mut tensor.data else { panic!("{} holds whole numbers", tensor.name) };
        state[0] = scale;
    }
    trainer.restore(&checkpoint, Path::new("test")).unwrap();
}

/// Rows of the log of some iterations, by name.
fn logged(trainer: &mut Trainer, steps: usize) -> Vec<Vec<f32>> {
    (0..steps).for_each(|_| trainer.iterate().unwrap());
    trainer.begin_log().unwrap();
    trainer.take_log(true).unwrap().unwrap().rows.into_iter().map(|row| row.values).collect()
}

#[test]
fn training_in_half_precision_follows_training_in_single() {
    // With a smaller ε Adam's first updates are nearly signs, and small differences grow quickly.
    let (mut single, mut half) = (trainer(&["optim.eps=0.1"]), trainer(&["optim.eps=0.1", "train.precision=f16"]));
    let work = |t: &Trainer| t.memory().into_iter().find(|(class, _)| *class == Class::Work).unwrap().1;
    assert!(3 * work(&half) < 2 * work(&single), "{} and {} bytes of work", work(&half), work(&single));
    let names = single.log_names().to_vec();
    // The default is too much for these first gradients, and the step would be left out.
    set_scale(&mut half, 256.0);
    let mut largest = 0f32;
    let rows = logged(&mut single, 4).into_iter().zip(logged(&mut half, 4));
    for (step, (a, b)) in rows.enumerate() {
        for name in ["d_loss", "d_grad_norm", "g_loss", "g_grad_norm"] {
            let at = |names: &[String]| names.iter().position(|n| n == name).unwrap();
            let (a, b) = (a[at(&names)], b[at(half.log_names())]);
            let off = (a - b).abs() / (0.1 + a.abs());
            largest = largest.max(off);
            assert!(off < 0.02, "step {step}, {name}: {a} in f32, {b} in f16");
        }
    }
    println!("single and half precision: {largest:.1e} apart");
}

/// A scale that makes gradients overflow: the step is left out, said in the log, and the next ones count again.
#[test]
fn a_step_whose_gradients_overflow_is_left_out() {
    let mut trainer = trainer(&["train.precision=f16"]);
    let checkpoint = trainer.checkpoint().unwrap();
    set_scale(&mut trainer, 1e30);
    let row = logged(&mut trainer, 1).remove(0);
    let value = |name: &str| row[trainer.log_names().iter().position(|n| n == name).unwrap()];
    assert_eq!((value("d_steps_left_out"), value("g_steps_left_out")), (1.0, 1.0));
    assert_eq!((value("d_grad_norm"), value("d_loss_scale")), (0.0, 1e30));
    let after = trainer.checkpoint().unwrap();
    for (a, b) in checkpoint.tensors.iter().zip(&after.tensors) {
        let stays = ["running", "scaler"].iter().all(|part| !a.name.contains(part));
        assert!(!stays || a.data == b.data, "{} changed in a step that was left out", a.name);
    }
}

/// Weights go from one precision to the other; how losses are scaled does not go with them.
#[test]
fn a_run_in_half_precision_starts_from_the_weights_of_another() {
    let mut single = trainer(&[]);
    logged(&mut single, 1);
    let weights = single.checkpoint().unwrap();
    let mut half = trainer(&["train.precision=f16"]);
    half.init_from(&weights, Path::new("single")).unwrap();
    let started = half.checkpoint().unwrap();
    logged(&mut half, 2);
    let used = half.checkpoint().unwrap();
    let mut again = trainer(&["train.precision=f16"]);
    again.init_from(&used, Path::new("half")).unwrap();
    for (state, source) in [(&started, &weights), (&again.checkpoint().unwrap(), &used)] {
        for tensor in state.tensors.iter().filter(|t| !t.name.starts_with("nonfinite.")) {
            match tensor.name.starts_with("adam.") || tensor.name.starts_with("scaler.") {
                true => {
                    assert!(matches!(&tensor.data, Values::F32(v) if v.iter().all(|v| *v == 0.0)), "{}", tensor.name)
                }
                false => assert_eq!(Some(tensor), source.tensor(&tensor.name), "{}", tensor.name),
            }
        }
    }
}

#[test]
fn the_host_refuses_half_precision() {
    let config = config("faces32", &["train.precision=f16"]);
    let feed = Feed::open(&config, &|_, _| {}).unwrap();
    let error = Trainer::new(Settings::new(&config).unwrap(), feed, &Device::Host).err().unwrap().to_string();
    assert!(error.contains("host") && error.contains("f16") && error.contains("f32"), "{error}");
}
