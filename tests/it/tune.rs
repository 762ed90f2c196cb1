//! Measured schedules: which are tried, which are refused, and what becomes of them. Shapes are tiny, so that a software driver
//! does it in seconds.

use crate::harness::{close, device, noise};
use crate::program::{command, done, stderr};
use crate::startup::{Heard, files};
use crate::training::{config, trainer};
use danskin::gpu::{Autotune, Device, Lowering, Setup};
use danskin::kernels::tile::{Product, Schedule, Tile};
use danskin::kernels::tuning::{Choice, bucket, scheduled};
use danskin::kernels::{self, Source, Tuning};
use danskin::plan::{Buffer, Class, Element, Executor, Plan, Program, Region, Step, Work};
use std::path::Path;

const WORK: Work = Work::MatMul { ta: false, tb: true, m: 70, n: 50, k: 300 };

/// One product, planned for a device.
fn program(device: &Device) -> Program {
    let float = |name: &str, len| Buffer { name: name.into(), len, element: Element::F32, class: Class::State };
    let room = kernels::scratch_with(device.tuning(), &WORK);
    let mut buffers = vec![Buffer { element: Element::U32, ..float("rng", 64) }];
    buffers.extend([float("a", 70 * 300), float("b", 50 * 300), float("c", 70 * 50), float("room", room.max(1))]);
    let region = |buffer: usize, len| Region { buffer, offset: 0, len };
    let step = Step {
        work: WORK,
        inputs: vec![region(1, 70 * 300), region(2, 50 * 300)],
        outputs: vec![region(3, 70 * 50)],
        scratch: (room > 0).then(|| region(4, room)),
        label: "matmul".into(),
        flops: 0,
    };
    Program { buffers, plans: vec![Plan { steps: vec![step], ..Plan::default() }] }
}

fn shape() -> (String, Product) {
    bucket(&WORK).unwrap()
}

fn open(autotune: Autotune, folder: Option<&Path>, heard: &Heard) -> Device {
    Device::open_with(&device().facts().id, Setup { autotune, ..heard.setup(folder) }).unwrap()
}

/// The product by the schedules of a device.
fn product(device: &Device) -> Vec<f32> {
    let mut gpu = danskin::gpu::Gpu::load(device.clone(), program(device)).unwrap();
    let region = |buffer: usize, len| Region { buffer, offset: 0, len };
    gpu.write(region(1, 70 * 300), &noise(1, 70 * 300)).unwrap();
    gpu.write(region(2, 50 * 300), &noise(2, 50 * 300)).unwrap();
    gpu.run(&[(0, 1)]).unwrap();
    gpu.read(region(3, 70 * 50)).unwrap()
}

#[test]
fn a_schedule_is_measured_kept_and_used() {
    let (dir, heard) = (tempfile::tempdir().unwrap(), Heard::default());
    let (name, shape) = shape();
    let first = open(Autotune::Full, Some(dir.path()), &heard);
    let tuned = first.tune(&program(&first)).unwrap().expect("there is a shape to measure");
    assert_eq!(heard.warnings(), Vec::<String>::new());
    let chosen = tuned.tuning().schedule(&name, &shape);
    assert!(Schedule::candidates(&shape, 8, |_| true).contains(&chosen), "{chosen:?}");
    let seconds = tuned.tuning().iter().map(|(_, choice)| choice.ms).collect::<Vec<_>>();
    assert!(matches!(seconds[..], [ms] if ms > 0.0 && ms < 1e4), "{seconds:?}");
    assert!(tuned.tune(&program(&tuned)).unwrap().is_none(), "a device measures a shape once");
    assert_eq!(
        first.tune(&program(&first)).unwrap().unwrap().tuning(),
        tuned.tuning(),
        "clones share what was measured"
    );
    assert_eq!(files(dir.path(), "tuning-").len(), 1);

    // The next start finds it, and has nothing to measure.
    let next = open(Autotune::Cached, Some(dir.path()), &heard);
    assert_eq!(next.tuning(), tuned.tuning());
    assert!(next.tune(&program(&next)).unwrap().is_none());
    assert_eq!(product(&next), product(&tuned), "the same schedule, the same bits");
    // Without tuning nothing of it is looked at.
    let off = open(Autotune::Off, Some(dir.path()), &heard);
    assert_eq!(off.tuning().iter().count(), 0);
    assert!(off.tune(&program(&off)).unwrap().is_none());
    let exact: Vec<f64> = product(&off).into_iter().map(f64::from).collect();
    close("tuned", &product(&next), &exact, 1e-5, 1e-5);
    assert_eq!(heard.warnings(), Vec::<String>::new());
}

#[test]
fn a_software_adapter_measures_only_when_told_to() {
    let heard = Heard::default();
    let device = open(Autotune::Cached, None, &heard);
    let tuned = device.tune(&program(&device)).unwrap();
    assert_eq!(tuned.is_none(), device.facts().is_software());
}

#[test]
fn candidates_that_compute_something_else_are_dropped_and_reported() {
    let (dir, heard) = (tempfile::tempdir().unwrap(), Heard::default());
    let (name, shape) = shape();
    let candidates = Schedule::candidates(&shape, 8, |_| true);
    let right = candidates[candidates.len() - 1];
    let device = open(Autotune::Full, Some(dir.path()), &heard);
    // All but one, the slowest by estimate, multiply the first operand by itself.
    let lowering = |step: &Step, schedule: &Schedule| {
        let mut launches = scheduled(step, schedule)?;
        if *schedule != right {
            launches[0].bindings[1] = launches[0].bindings[0];
        }
        Ok(launches)
    };
    let tuned = device.tune_with(&program(&device), &lowering).unwrap().expect("one is right");
    assert_eq!(tuned.tuning().schedule(&name, &shape), right);
    let warnings = heard.warnings();
    assert_eq!(warnings.len(), candidates.len() - 1, "{warnings:?}");
    assert!(warnings.iter().all(|w| w.contains(&name) && w.contains("is not used") && w.contains('%')), "{warnings:?}");
}

/// Where no candidate is right, or none compiles, the naive kernel is what the device runs, and what it remembers.
#[test]
fn where_no_candidate_is_right_the_naive_kernel_is_used_and_told_of_once() {
    let (name, _) = shape();
    let wrong = |step: &Step, schedule: &Schedule| {
        let mut launches = scheduled(step, schedule)?;
        launches[0].bindings[1] = launches[0].bindings[0];
        Ok(launches)
    };
    let broken = |step: &Step, schedule: &Schedule| {
        let mut launches = scheduled(step, schedule)?;
        let text = format!("no kernel for {}", schedule.tile);
        launches[0].source = Source::Generated { template: "matmul/tiled.wgsl", text };
        Ok(launches)
    };
    let exact: Vec<f64> = product(&device()).into_iter().map(f64::from).collect();
    let lowerings: [(&Lowering, &str); 2] = [(&wrong, "% of its results differ"), (&broken, "matmul/tiled.wgsl")];
    for (lowering, reason) in lowerings {
        let (dir, heard) = (tempfile::tempdir().unwrap(), Heard::default());
        let device = open(Autotune::Full, Some(dir.path()), &heard);
        let tuned = device.tune_with(&program(&device), lowering).unwrap().expect("the naive kernel is a choice");
        let [warning] = heard.warnings().try_into().unwrap();
        assert!([&name, "so the naive kernel is used", reason].iter().all(|part| warning.contains(part)), "{warning}");
        // The next start takes it from the file, without a word.
        let again = Heard::default();
        let next = open(Autotune::Cached, Some(dir.path()), &again);
        assert!(next.tune(&program(&next)).unwrap().is_none());
        assert_eq!(again.warnings(), Vec::<String>::new());
        for device in [tuned, next] {
            let choices: Vec<(&str, bool)> = device.tuning().iter().map(|(n, c)| (n, c.is_naive())).collect();
            assert_eq!(choices, [(name.as_str(), true)]);
            let [step] = &program(&device).plans[0].steps[..] else { panic!("one step") };
            let launches = kernels::lower_with(device.tuning(), step).unwrap();
            assert_eq!(launches[0].source, Source::File("matmul/naive.wgsl"));
            close("naive", &product(&device), &exact, 1e-5, 1e-5);
        }
    }
}

/// A kernel that one driver refuses costs that candidate alone.
#[test]
fn a_candidate_that_does_not_compile_is_dropped_and_reported() {
    let ((name, shape), heard) = (shape(), Heard::default());
    let candidates = Schedule::candidates(&shape, 8, |_| true);
    let lowering = |step: &Step, schedule: &Schedule| {
        let mut launches = scheduled(step, schedule)?;
        if *schedule == candidates[0] {
            launches[0].source = Source::Generated { template: "matmul/tiled.wgsl", text: "no kernel".into() };
        }
        Ok(launches)
    };
    let device = open(Autotune::Full, None, &heard);
    let tuned = device.tune_with(&program(&device), &lowering).unwrap().expect("the others are right");
    let chosen = tuned.tuning().schedule(&name, &shape);
    assert!(candidates[1..].contains(&chosen), "{chosen:?}");
    let [warning] = heard.warnings().try_into().unwrap();
    assert!(warning.contains("is not used") && warning.contains("matmul/tiled.wgsl"), "{warning}");
}

#[test]
fn a_spoilt_file_is_told_of_once_and_measured_again() {
    let (dir, heard) = (tempfile::tempdir().unwrap(), Heard::default());
    let device = open(Autotune::Full, Some(dir.path()), &heard);
    device.tune(&program(&device)).unwrap().unwrap();
    let [path] = files(dir.path(), "tuning-").try_into().unwrap();
    let whole = std::fs::read_to_string(&path).unwrap();
    let (cut, other) = (whole[..whole.len() / 2].to_owned(), whole.replace("danskin ", "another program "));
    for (text, reason) in [(cut, "no schedules"), (other, "another program")] {
        std::fs::write(&path, text).unwrap();
        let heard = Heard::default();
        let device = open(Autotune::Full, Some(dir.path()), &heard);
        assert_eq!(device.tuning().iter().count(), 0);
        device.tune(&program(&device)).unwrap().unwrap();
        let [warning] = heard.warnings().try_into().unwrap();
        assert!(warning.contains(path.to_str().unwrap()) && warning.contains(reason), "{warning}");
        let again = Heard::default();
        assert_ne!(open(Autotune::Cached, Some(dir.path()), &again).tuning().iter().count(), 0);
        assert_eq!(again.warnings(), Vec::<String>::new());
    }
}

/// A split of the depth takes scratch memory that the plan has to know of: a trainer plans again for the tuned device.
#[test]
fn a_tuned_trainer_plans_for_its_schedules() {
    let config = config("ring8", &["model.hidden=32", "train.batch=160", "log.every_steps=3"]);
    let run = |device: Device| {
        let mut trainer = trainer(&config, &danskin::device::Device::Gpu(device));
        (0..3).for_each(|_| trainer.iterate().unwrap());
        trainer.begin_log().unwrap();
        let rows = trainer.take_log(true).unwrap().unwrap().rows;
        (rows, trainer.assembly().program.clone())
    };
    let (plain, program) = run(device());
    // Everything in two parts of the narrowest tile.
    let mut tuning = Tuning::default();
    for step in program.plans.iter().flat_map(|plan| &plan.steps) {
        if let Some((name, product)) = bucket(&step.work) {
            tuning.set(name, Choice::new(&Schedule::new(&product, Tile::ALL[7], 2), 1.0));
        }
    }
    let tuned = device().with_tuning(tuning);
    let (split, program) = run(tuned.clone());
    let rooms =
        program.plans.iter().flat_map(|p| &p.steps).filter(|s| s.scratch.is_some() && bucket(&s.work).is_some());
    assert!(rooms.count() > 3, "the depth is split");
    assert_eq!(split, run(tuned).0, "a tuning gives the same bits in every run");
    assert_ne!(split, plain, "other schedules add up in another order");
    for (a, b) in split.iter().zip(&plain) {
        for (a, b) in a.values.iter().zip(&b.values) {
            assert!((a - b).abs() <= 2e-3 * (1.0 + b.abs()), "{split:?} and {plain:?}");
        }
    }
}

#[test]
fn schedules_are_measured_exported_and_given_to_a_run() {
    let dir = tempfile::tempdir().unwrap();
    let id = device().facts().id.clone();
    let small = "ring8 --batch 4 --set model.hidden=8";
    let text = done(dir.path(), &format!("tune {small} --device {id} --export schedules.json"));
    let shapes = text.lines().filter(|line| line.contains(" tile ") && line.ends_with(" ms")).count();
    assert!(shapes > 3 && text.contains(&format!("schedules of {shapes} shapes measured")), "{text}");
    let file = dir.path().join("schedules.json");
    let (tuning, measured_on) = Tuning::from_json(&std::fs::read_to_string(&file).unwrap()).unwrap();
    assert_eq!((tuning.iter().count(), measured_on), (shapes, device().facts().key()));
    let train = format!("train {small} --kimg 0.004 --device {id} --autotune off --tuning schedules.json --out");
    let output = command(dir.path(), &format!("{train} run")).output().unwrap();
    assert!(output.status.success() && !stderr(&output).contains("warning"), "{}", stderr(&output));
    // A run and a sampler that measure for themselves.
    let text = done(dir.path(), &format!("train {small} --kimg 0.004 --device {id} --autotune full --out full"));
    assert!(text.contains(&format!("schedules of {shapes} shapes measured")), "{text}");
    let text = done(dir.path(), &format!("sample full --device {id} --autotune full"));
    assert!(text.contains(" shapes measured") && text.contains("of 8 modes"), "{text}");
    // Schedules of another device are used and told of; a file without any is refused.
    std::fs::write(&file, tuning.to_json("another device")).unwrap();
    let output = command(dir.path(), &format!("{train} other")).output().unwrap();
    assert!(
        output.status.success() && stderr(&output).contains("was measured on another device"),
        "{}",
        stderr(&output)
    );
    std::fs::write(&file, "{}").unwrap();
    let output = command(dir.path(), &format!("{train} none")).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("command line: --tuning schedules.json: it holds no schedules"));
    let output = command(dir.path(), "tune ring8 --device host").output().unwrap();
    assert!(stderr(&output).contains("the host has no schedules to measure"), "{}", stderr(&output));
}
