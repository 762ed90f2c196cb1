//! Plans: what fusion and colouring promise, on the phases of real models.

use danskin::check::models;
use danskin::plan::{Class, Options, Program, Work};
use danskin::train::{Gan, GanSpec, Resident};

/// The program of a spec.
pub fn program(spec: &GanSpec, fuse: bool) -> Gan {
    let resident = (spec.sample.len() == 3).then_some(Resident { count: 10, mirror: true });
    Gan::new(spec, resident, 4, 8, true, Options { fuse, ..Options::default() }).unwrap()
}

fn dispatches(program: &Program) -> usize {
    program.plans.iter().map(|p| p.steps.len()).sum()
}

#[test]
fn no_step_reads_and_writes_one_buffer() {
    for (name, spec) in models() {
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
    for (name, spec) in models() {
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
    for (name, spec) in models() {
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
    for (name, spec) in models() {
        let program = program(&spec, true).program;
        let bound = program.plans.iter().map(|p| p.live_bytes).max().unwrap();
        let work: u64 = program.buffers.iter().filter(|b| b.class == Class::Work).map(|b| 4 * b.len as u64).sum();
        println!("{name}: {work} bytes of work buffers, bound {bound}");
        assert!(work as f64 <= 1.25 * bound as f64, "{name}: {work} bytes of work buffers, bound {bound}");
    }
}
