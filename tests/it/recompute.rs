//! Recomputation: less memory for more arithmetic, and the same bits.

use crate::primitives::gpu;
use crate::training::{SMALL, config, trainer};
use danskin::Error;
use danskin::check::{Loaded, cases, games};
use danskin::device::{Device, Recomputed};
use danskin::graph::Graph;
use danskin::kernels;
use danskin::plan::{Builder, Class, Element, Options, Places, Precision, Program};
use danskin::train::{Assembly, Feed, Game, Resident, Settings, Trainer};
use std::path::Path;

fn program(game: &Game, options: Options) -> Program {
    let resident = (game.sample.len() == 3).then_some(Resident { count: 1000, mirror: true, crop: 0, labels: false });
    let scratch = std::sync::Arc::new(kernels::scratch);
    Assembly::new(game, resident, 8, Options { scratch, ..options }).unwrap().program
}

fn with(recompute: bool) -> Options {
    Options { recompute, ..Options::default() }
}

#[test]
fn the_most_memory_falls_and_no_plan_gets_dearer_by_more_than_a_third() {
    // What is left of the work memory, a little above what was found.
    for (preset, left) in [("faces32", 0.72), ("faces64", 0.37), ("ring8", 0.72), ("grid25", 0.72)] {
        let settings = Settings::new(&config(preset, &[])).unwrap();
        let [plain, again] = [false, true].map(|on| program(&settings.game, with(on)));
        let done = Recomputed::between(&plain, &again).unwrap();
        println!("{preset}: {done}");
        assert!(done.after as f64 <= left * done.before as f64, "{preset}: {done}");
        for (plain, again) in plain.plans.iter().zip(&again.plans) {
            let flops = |p: &danskin::plan::Plan| p.steps.iter().map(|s| s.flops).sum::<u64>();
            assert!(3 * flops(again) <= 4 * flops(plain), "{preset} {}", plain.name);
        }
    }
}

#[test]
fn no_repeated_step_reads_and_writes_one_buffer_or_a_value_of_another_kind() {
    for (name, spec) in games() {
        for precision in [Precision::F32, Precision::F16] {
            let mut game = spec.game();
            game.inference.iter_mut().for_each(|inference| inference.rows = spec.batch);
            let [plain, again] = [false, true].map(|on| program(&game, Options { precision, ..with(on) }));
            assert!(Recomputed::between(&plain, &again).is_some(), "{name}: nothing is recomputed");
            let element = |p: &Program, buffer: usize| p.buffers[buffer].element;
            for (plain, plan) in plain.plans.iter().map(|p| (&plain, p)).zip(&again.plans) {
                let (program, plain) = plain;
                for step in &plan.steps {
                    let mut written = step.outputs.iter().chain(&step.scratch);
                    let apart = written.all(|out| step.inputs.iter().all(|r| r.buffer != out.buffer));
                    assert!(apart, "{name}, {}, {}", plan.name, step.label);
                    let first = step.label.trim_end_matches(" again");
                    let Some(of) = plain.steps.iter().find(|s| s.label == first) else { continue };
                    assert_eq!(element(&again, step.outputs[0].buffer), element(program, of.outputs[0].buffer));
                }
            }
        }
    }
}

/// Every phase of small models, each in a program of its own, whose peak is then its own.
#[test]
fn gradients_are_the_same_bits() {
    for device in [Device::Host, gpu()] {
        for case in cases().iter().filter(|case| case.kind.is_none()) {
            let [plain, again] = [false, true].map(|recompute| {
                let options = Options { recompute, ..device.options(true) };
                Loaded::new(std::slice::from_ref(case), &device, options).unwrap().run(0).unwrap()
            });
            assert!(plain == again, "{} on {}", case.name, device.describe());
        }
    }
}

/// Also where a run goes on with the other plan.
#[test]
fn training_is_the_same_bits() {
    let penalised = [SMALL, &["loss.r1_gamma=1", "loss.r2_gamma=1", "model.d_norm=off"]].concat();
    for (preset, set) in [("faces32", SMALL), ("faces32", &penalised), ("ring8", &["train.batch=32"])] {
        for device in [Device::Host, gpu()] {
            let [mut plain, mut again] = ["off", "on"].map(|word| {
                let word = format!("plan.recompute={word}");
                trainer(&config(preset, &[set, &[&word]].concat()), &device)
            });
            assert_eq!(plain.recomputed(), None);
            assert!(again.recomputed().is_some_and(|done| done.steps > 0), "{preset}: {:?}", again.recomputed());
            (0..2).for_each(|_| plain.iterate().unwrap());
            let half_way = plain.checkpoint().unwrap();
            (0..2).for_each(|_| plain.iterate().unwrap());
            let end = plain.checkpoint().unwrap().tensors;
            (0..4).for_each(|_| again.iterate().unwrap());
            assert!(again.checkpoint().unwrap().tensors == end, "{preset} on {}", device.describe());
            again.restore(&half_way, Path::new("memory")).unwrap();
            (0..2).for_each(|_| again.iterate().unwrap());
            assert!(again.checkpoint().unwrap().tensors == end, "{preset} resumed on {}", device.describe());
        }
    }
}

/// A value that is made in one plan and read in a later one is kept if what it was made from is gone by then.
#[test]
fn what_was_overwritten_in_between_is_not_read_again() {
    let n = 48;
    let graph = Graph::new();
    let (a, b) = (graph.input("a", [n, n]), graph.input("b", [n, n]));
    let hidden = a.matmul(a).scale(0.1).tanh();
    let middle = hidden.matmul(b);
    // The second half reads `a` too, so that only the write in between stands against making `hidden` again.
    let out = (hidden * b).matmul(b).matmul(b).matmul(b).matmul(b) + a;
    let dag = graph.freeze(&[("middle".to_owned(), middle), ("out".to_owned(), out)]);
    let other = Graph::new();
    let x = other.input("middle", [n, n]);
    let (p, q) = (x.matmul(x), x.tanh().matmul(x));
    let busy = p.matmul(q).exp().matmul(p).matmul(q).matmul(p + q);
    for target in ["a", "busy"] {
        let between = other.freeze(&[(target.to_owned(), busy)]);
        let run = |recompute: bool| {
            let mut builder = Builder::new(Options { recompute, ..Device::Host.options(true) });
            let place =
                |b: &mut Builder, name: &str| (name.to_owned(), b.buffer(name, n * n, Element::F32, Class::Input));
            let places: Places = ["a", "b", "middle", "out", "busy"].map(|name| place(&mut builder, name)).into();
            let (first, rest) = builder.plan_until("first", "middle", &dag, &places, &places).unwrap();
            let between = builder.plan("between", &between, &places, &places).unwrap();
            let second = builder.resume("second", rest);
            let program = builder.finish();
            let shape = (program.work_bytes(), program.plans[second].steps.len());
            let mut device = Device::Host.load(program).unwrap();
            for (name, seed) in [("a", 3), ("b", 5)] {
                let values: Vec<f32> = (0..n * n).map(|i| ((i * seed) % 97) as f32 / 97.0 - 0.5).collect();
                device.write(places[name], &values).unwrap();
            }
            device.run(&[(first, 1), (between, 1), (second, 1)]).unwrap();
            (shape, device.read(places["out"]).unwrap())
        };
        let ((plain, expected), (again, values)) = (run(false), run(true));
        assert!(values == expected, "{target}");
        if target == "a" {
            assert_eq!(again.1, plain.1, "hidden was made again");
        } else {
            assert!(again.0 < plain.0 && again.1 > plain.1, "{again:?} and {plain:?}");
        }
    }
}

#[test]
fn auto_recomputes_where_memory_is_short_and_only_there() {
    for device in [Device::Host, gpu()] {
        let train = |word: &str, limit: Option<u64>| -> danskin::Result<Trainer> {
            let word = format!("plan.recompute={word}");
            let config = config("faces32", &[SMALL, &[&word]].concat());
            let mut settings = Settings::new(&config).unwrap();
            settings.fit.limit = limit;
            Trainer::new(settings, Feed::open(&config, &|_, _| {}).unwrap(), &device)
        };
        let bytes = |trainer: &Trainer| trainer.assembly().bytes();
        let (plain, least) = (train("off", None).unwrap(), train("on", None).unwrap());
        let (most, least) = (bytes(&plain), bytes(&least));
        assert!(least < most);
        for limit in [None, Some(most)] {
            assert_eq!(train("auto", limit).unwrap().recomputed(), None);
        }
        let tight = train("auto", Some(most - 1)).unwrap();
        assert_eq!(bytes(&tight), least);
        let line = tight.recomputed().unwrap().to_string();
        let parts = ["recomputing ", " activations: ", " of work memory become ", " % more arithmetic"];
        assert!(parts.iter().all(|part| line.contains(part)), "{line}");
        let refused = |word: &str, limit: u64| match train(word, Some(limit)) {
            Err(error @ Error::Memory { .. }) => error.to_string(),
            Err(error) => panic!("{error}"),
            Ok(_) => panic!("{limit} bytes are enough"),
        };
        let hint = "lower train.batch or the model's widths";
        let text = refused("auto", least - 1);
        assert!(text.contains(hint) && text.ends_with(&format!(" (this is after {line})")), "{text}");
        let text = refused("off", most - 1);
        assert!(text.ends_with(&format!("{hint}, or set plan.recompute=auto")), "{text}");
    }
}
