//! Budgets: what an iteration of each preset may launch, move and hold. Counted, not timed, so a machine without a GPU notices
//! when a change makes a step dearer. Each is a few per cent above what stands; lower it when something gets cheaper.
//! The one that is timed is what recording a launch costs the host.

use crate::harness::device;
use crate::training::config;
use danskin::gpu::Gpu;
use danskin::kernels;
use danskin::plan::{Options, Plan};
use danskin::train::{Feed, Resident, Settings};
use std::collections::HashSet;
use std::time::Instant;

/// Limits of one iteration with penalties and one step of each network, from the draw of the batch to the row of the log.
struct Budget {
    preset: &'static str,
    /// Settings over it, where it asks for data.
    set: &'static [&'static str],
    /// Kernel launches.
    launches: usize,
    gflop: f64,
    /// Bytes that steps read and write, each element of a step once.
    mib_moved: f64,
    /// Different pipelines of all plans: what a first start compiles.
    pipelines: usize,
    /// Memory for intermediate values, as a share of the liveness bound.
    work: f64,
    /// The same in MiB, with recomputation.
    recomputed: f64,
}

const BUDGETS: &[Budget] = &[
    Budget {
        preset: "faces32",
        set: &[],
        launches: 256,
        gflop: 3.35,
        mib_moved: 169.0,
        pipelines: 54,
        work: 1.10,
        recomputed: 8.6,
    },
    Budget {
        preset: "faces64",
        set: &[],
        launches: 1090,
        gflop: 740.0,
        mib_moved: 34500.0,
        pipelines: 66,
        work: 1.10,
        recomputed: 960.0,
    },
    Budget {
        preset: "classifier",
        set: &[],
        launches: 500,
        gflop: 28.0,
        mib_moved: 1790.0,
        pipelines: 85,
        work: 1.10,
        recomputed: 62.0,
    },
    Budget {
        preset: "mnist",
        set: &["data.source=\"faces\"", "data.label=\"glasses\""],
        launches: 59,
        gflop: 4.3,
        mib_moved: 240.0,
        pipelines: 51,
        work: 1.35,
        recomputed: 14.9,
    },
    Budget {
        preset: "sngan32",
        set: &[],
        launches: 900,
        gflop: 920.0,
        mib_moved: 7650.0,
        pipelines: 120,
        work: 1.10,
        recomputed: 500.0,
    },
    Budget {
        preset: "wgan-gp32",
        set: &[],
        launches: 180,
        gflop: 34.8,
        mib_moved: 656.0,
        pipelines: 58,
        work: 1.10,
        recomputed: 36.4,
    },
    Budget {
        preset: "r3gan256",
        set: &[],
        launches: 1640,
        gflop: 290000.0,
        mib_moved: 6600000.0,
        pipelines: 141,
        work: 1.10,
        recomputed: 186000.0,
    },
    Budget {
        preset: "ring8",
        set: &[],
        launches: 126,
        gflop: 0.066,
        mib_moved: 8.1,
        pipelines: 33,
        work: 1.20,
        recomputed: 0.47,
    },
    Budget {
        preset: "grid25",
        set: &[],
        launches: 126,
        gflop: 0.066,
        mib_moved: 8.1,
        pipelines: 33,
        work: 1.20,
        recomputed: 0.47,
    },
];

#[test]
fn presets_stay_within_their_budgets() {
    let mut over = vec![];
    for budget in BUDGETS {
        let mut config = config(budget.preset, budget.set);
        Feed::complete(&mut config).unwrap();
        let settings = Settings::new(&config).unwrap();
        let labels = settings.game.batches.iter().any(|batch| batch.labels);
        let resident =
            (settings.game.sample.len() == 3).then_some(Resident { count: 1000, mirror: true, crop: 0, labels });
        let planned = |recompute: bool| {
            let scratch = std::sync::Arc::new(kernels::scratch);
            let options = Options { scratch, recompute, ..Options::default() };
            settings.plan(resident, options).unwrap()
        };
        let (assembly, again) = (planned(false), planned(true));
        // Where there are critic steps, the last iteration of a cycle is that of both networks.
        let ran =
            assembly.schedule(settings.game.cycle() - 1).into_iter().map(|(plan, _)| &assembly.program.plans[plan]);
        let steps: Vec<_> = ran.flat_map(|plan: &Plan| &plan.steps).collect();
        let launches: usize = steps.iter().map(|s| kernels::lower(s).unwrap().len()).sum();
        let gflop = steps.iter().map(|s| s.flops as f64).sum::<f64>() / 1e9;
        let mib_moved = steps.iter().map(|s| assembly.program.moved(s) as f64).sum::<f64>() / f64::from(1 << 20);
        let all = assembly.program.plans.iter().flat_map(|plan| &plan.steps).flat_map(|s| kernels::lower(s).unwrap());
        let pipelines = all.map(|d| format!("{:?} {:?}", d.source, d.overrides)).collect::<HashSet<_>>().len();
        let bound = assembly.program.plans.iter().map(|p| p.live_bytes).max().unwrap() as f64;
        let work = assembly.program.work_bytes() as f64 / bound;
        let recomputed = again.program.work_bytes() as f64 / f64::from(1 << 20);
        let fits = launches <= budget.launches
            && gflop <= budget.gflop
            && mib_moved <= budget.mib_moved
            && pipelines <= budget.pipelines
            && work <= budget.work
            && recomputed <= budget.recomputed;
        let line = format!(
            "{}: {launches} launches, {gflop:.3} GFLOP, {mib_moved:.1} MiB moved, {pipelines} pipelines, work memory \
             {work:.3} of its bound, {recomputed:.2} MiB with recomputation",
            budget.preset
        );
        println!("{line}");
        if !fits {
            over.push(line);
        }
    }
    assert!(over.is_empty(), "over budget:\n{}", over.join("\n"));
}

/// Layers of different sizes share kernels: no two generated ones differ in numbers alone, which could be parameters.
#[test]
fn generated_kernels_differ_in_more_than_numbers() {
    for (preset, set) in [
        ("faces32", &[][..]),
        ("faces64", &[]),
        ("ring8", &[]),
        ("digits32", &["data.source=\"faces\""]),
        ("classifier", &["model.classes=2"]),
        ("sngan32", &[]),
    ] {
        let settings = Settings::new(&config(preset, set)).unwrap();
        let options = Options { scratch: std::sync::Arc::new(kernels::scratch), ..Options::default() };
        let assembly = settings.plan(None, options).unwrap();
        let steps = assembly.program.plans.iter().flat_map(|plan| &plan.steps);
        let launches: Vec<_> = steps.flat_map(|step| kernels::lower(step).unwrap()).collect();
        let generated: HashSet<&String> = launches
            .iter()
            .filter_map(|l| if let kernels::Source::Generated { text, .. } = &l.source { Some(text) } else { None })
            .collect();
        // Digits that are no part of a name.
        let without_numbers = |text: &str| {
            let mut last = ' ';
            let keep = |c: &char| {
                let in_name = last.is_alphanumeric() || last == '_';
                last = if c.is_ascii_digit() && !in_name { ' ' } else { *c };
                !c.is_ascii_digit() || in_name
            };
            text.chars().filter(keep).collect::<String>()
        };
        let shapes: HashSet<String> = generated.iter().map(|text| without_numbers(text)).collect();
        assert_eq!(generated.len(), shapes.len(), "{preset}: kernels that differ in numbers alone");
    }
}

/// Microseconds of the host that recording one prepared launch may take. A fast machine needs 0.8 and a slow one twice that; an
/// upload for each launch would be four and more. (What is made anew is counted, not timed: `training::*`.)
const RECORDING_US: f64 = 2.5;

/// Iterations of a preset are recorded until one is within the budget: what other processes take is no fault of ours.
#[test]
fn recording_a_launch_is_cheap() {
    let settings = Settings::new(&config("ring8", &[])).unwrap();
    let options = Options { scratch: std::sync::Arc::new(kernels::scratch), ..Options::default() };
    let assembly = settings.plan(None, options).unwrap();
    let schedule = assembly.schedule(0);
    let gpu = Gpu::load(device(), assembly.program).unwrap();
    let mut least = f64::INFINITY;
    for _ in 0..500 {
        let from = Instant::now();
        let launches = gpu.encode(&schedule).unwrap();
        least = least.min(1e6 * from.elapsed().as_secs_f64() / launches as f64);
        if least <= RECORDING_US {
            break;
        }
    }
    println!("{least:.2} us per launch");
    assert!(cfg!(debug_assertions) || least <= RECORDING_US, "recording a launch takes {least:.2} us");
}
