//! Plans: what fusion and colouring promise, on the phases of real models.

use crate::primitives::gpu;
use danskin::check::{epilogue_cases, games};
use danskin::device::Device;
use danskin::graph::Graph;
use danskin::plan::{Builder, Class, Element, Options, Places, Program, Work};
use danskin::train::games::Gan;
use danskin::train::{Assembly, Resident};

/// The program of a GAN.
pub fn program(gan: &Gan, fuse: bool) -> Assembly {
    let resident = (gan.sample.len() == 3).then_some(Resident { count: 10, mirror: true, crop: 0, labels: false });
    let mut game = gan.game();
    game.inference.iter_mut().for_each(|inference| inference.rows = gan.batch);
    Assembly::new(&game, resident, 8, Options { fuse, ..Options::default() }).unwrap()
}

fn dispatches(program: &Program) -> usize {
    program.plans.iter().map(|p| p.steps.len()).sum()
}

#[test]
fn no_step_reads_and_writes_one_buffer() {
    for (name, spec) in games() {
        for fuse in [true, false] {
            for plan in &program(&spec, fuse).program.plans {
                for step in &plan.steps {
                    let written = step.outputs.iter().chain(&step.scratch);
                    for out in written {
                        assert!(
                            step.inputs.iter().all(|r| r.buffer != out.buffer),
                            "{name}, {}, {}: reads and writes buffer {}",
                            plan.name,
                            step.label,
                            out.buffer
                        );
                    }
                }
            }
        }
    }
}

#[test]
fn regions_lie_inside_their_buffers() {
    for (name, spec) in games() {
        let program = program(&spec, true).program;
        for step in program.plans.iter().flat_map(|p| &p.steps) {
            for r in step.inputs.iter().chain(&step.outputs).chain(&step.scratch) {
                assert!(r.offset + r.len <= program.buffers[r.buffer].len, "{name}, {}: {r:?}", step.label);
                assert_eq!(r.offset % danskin::plan::ALIGN, 0);
            }
        }
    }
}

#[test]
fn fusion_removes_most_pointwise_steps() {
    for (name, spec) in games() {
        let (fused, plain) = (program(&spec, true).program, program(&spec, false).program);
        let pointwise = |p: &Program| {
            p.plans.iter().flat_map(|p| &p.steps).filter(|s| matches!(s.work, Work::Pointwise(_))).count()
        };
        println!(
            "{name}: {} steps fused, {} plain; pointwise {} and {}",
            dispatches(&fused),
            dispatches(&plain),
            pointwise(&fused),
            pointwise(&plain)
        );
        assert!(2 * pointwise(&fused) < pointwise(&plain), "{name}");
    }
}

#[test]
fn work_memory_stays_near_the_liveness_bound() {
    for (name, spec) in games() {
        let program = program(&spec, true).program;
        let bound = program.plans.iter().map(|p| p.live_bytes).max().unwrap();
        let work: u64 = program.buffers.iter().filter(|b| b.class == Class::Work).map(|b| 4 * b.len as u64).sum();
        println!("{name}: {work} bytes of work buffers, bound {bound}");
        // Of few large values alive together with many small ones the buffers of the whole pipe of ADA do not share as well.
        let most = if name.contains("ada") { 1.5 } else { 1.25 };
        assert!(work as f64 <= most * bound as f64, "{name}: {work} bytes of work buffers, bound {bound}");
    }
}

#[test]
fn what_follows_a_product_is_part_of_its_step() {
    for case in epilogue_cases() {
        let mut b = Builder::new(Options::default());
        let place = |b: &mut Builder, name: &str, len| b.buffer(name, len, Element::F32, Class::Input);
        let leaves: Places = case.feeds.iter().map(|(n, v)| (n.clone(), place(&mut b, n, v.len()))).collect();
        let out = place(&mut b, "out", case.dag.root_elems("out"));
        b.plan("case", &case.dag, &leaves, &Places::from([("out".to_owned(), out)])).unwrap();
        let program = b.finish();
        let [step] = program.plans[0].steps.as_slice() else {
            panic!("{}: {} steps", case.name, program.plans[0].steps.len());
        };
        assert!(matches!(step.work, Work::Then { .. }), "{}: {}", case.name, step.name());
    }
}

/// What two steps share is computed once, and survives the plan that runs in between.
#[test]
fn a_graph_in_two_plans_gives_the_bits_of_one() {
    let graph = Graph::new();
    let (a, b) = (graph.input("a", [48, 48]), graph.input("b", [48, 48]));
    let hidden = a.matmul(a).scale(0.1).tanh();
    let middle = hidden.matmul(a) + 1.0;
    let out = (hidden * b).matmul(middle) + hidden.sum(&[0]);
    let dag = graph.freeze(&[("middle".to_owned(), middle), ("out".to_owned(), out)]);
    let other = Graph::new();
    let x = other.input("middle", [48, 48]);
    let busy = x.matmul(x).tanh().matmul(x).exp().matmul(x);
    let between = other.freeze(&[("busy".to_owned(), busy)]);
    for device in [Device::Host, gpu()] {
        let run = |apart: bool| {
            let mut builder = Builder::new(device.options(true));
            let place =
                |b: &mut Builder, name: &str| (name.to_owned(), b.buffer(name, 48 * 48, Element::F32, Class::Input));
            let places: Places = ["a", "b", "middle", "out", "busy"].map(|n| place(&mut builder, n)).into();
            let order = if apart {
                let (first, rest) = builder.plan_until("first", "middle", &dag, &places, &places).unwrap();
                let between = builder.plan("between", &between, &places, &places).unwrap();
                vec![(first, 1), (between, 1), (builder.resume("second", rest), 1)]
            } else {
                vec![(builder.plan("whole", &dag, &places, &places).unwrap(), 1)]
            };
            let program = builder.finish();
            let products = program.plans.iter().filter(|p| p.name != "between").flat_map(|p| &p.steps);
            assert_eq!(products.filter(|s| s.name() == "matmul").count(), 3, "each product is made once");
            let mut device = device.load(program).unwrap();
            for (name, seed) in [("a", 3), ("b", 5)] {
                let values: Vec<f32> = (0..48 * 48).map(|i| ((i * seed) % 97) as f32 / 97.0 - 0.5).collect();
                device.write(places[name], &values).unwrap();
            }
            // Twice: the first time leaves its values in the shared memory.
            device.run(&order).unwrap();
            device.run(&order).unwrap();
            device.read(places["out"]).unwrap()
        };
        assert_eq!(run(true), run(false));
    }
}
