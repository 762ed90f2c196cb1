//! Budgets: what an iteration of each preset may launch and hold. Counted, not timed, so a machine without a GPU notices when
//! a change makes a step dearer. Each is a few per cent above what stands; lower it when something gets cheaper.

use crate::training::config;
use danskin::kernels;
use danskin::plan::{Class, Options};
use danskin::train::{Gan, Resident, Settings};
use std::collections::HashSet;

struct Budget {
    preset: &'static str,
    /// Kernel launches of the discriminator and the generator step, optimiser not included.
    launches: [usize; 2],
    /// GFLOP of both.
    gflop: f64,
    /// Memory for intermediate values, as a share of the liveness bound.
    work: f64,
}

const BUDGETS: &[Budget] = &[
    Budget { preset: "faces32", launches: [160, 148], gflop: 3.65, work: 1.10 },
    Budget { preset: "faces64", launches: [1045, 495], gflop: 740.0, work: 1.10 },
    Budget { preset: "ring8", launches: [126, 62], gflop: 0.065, work: 1.10 },
    Budget { preset: "grid25", launches: [126, 62], gflop: 0.065, work: 1.10 },
];

#[test]
fn presets_stay_within_their_budgets() {
    let mut over = vec![];
    for budget in BUDGETS {
        let settings = Settings::new(&config(budget.preset, &[])).unwrap();
        let resident = (settings.gan.sample.len() == 3).then_some(Resident { count: 1000, mirror: true });
        let options = Options { scratch: std::sync::Arc::new(kernels::scratch), ..Options::default() };
        let gan = Gan::new(&settings.gan, resident, 16, settings.log_every, false, options).unwrap();
        let plans = [gan.plans.d, gan.plans.g].map(|plan| &gan.program.plans[plan]);
        let launches = plans.map(|p| p.steps.iter().map(|s| kernels::lower(s).unwrap().len()).sum::<usize>());
        let gflop = plans.iter().flat_map(|p| &p.steps).map(|s| s.flops as f64).sum::<f64>() / 1e9;
        let bound = gan.program.plans.iter().map(|p| p.live_bytes).max().unwrap() as f64;
        let held = gan.program.buffers.iter().filter(|b| b.class == Class::Work).map(|b| 4.0 * b.len as f64);
        let work = held.sum::<f64>() / bound;
        let fits = launches[0] <= budget.launches[0]
            && launches[1] <= budget.launches[1]
            && gflop <= budget.gflop
            && work <= budget.work;
        let line =
            format!("{}: launches {launches:?}, {gflop:.3} GFLOP, work memory {work:.3} of its bound", budget.preset);
        println!("{line}");
        if !fits {
            over.push(line);
        }
    }
    assert!(over.is_empty(), "over budget:\n{}", over.join("\n"));
}

/// What has to be compiled at a first start: layers of different sizes share kernels, and no two generated ones differ in
/// numbers alone, which could be parameters.
#[test]
fn presets_share_their_kernels() {
    for (preset, most) in [("faces32", 52), ("faces64", 54), ("ring8", 32), ("digits32", 52)] {
        let settings =
            Settings::new(&config(preset, &["data.source=\"faces\""][..usize::from(preset == "digits32")])).unwrap();
        let options = Options { scratch: std::sync::Arc::new(kernels::scratch), ..Options::default() };
        let gan = Gan::new(&settings.gan, None, 16, settings.log_every, false, options).unwrap();
        let steps = gan.program.plans.iter().flat_map(|plan| &plan.steps);
        let launches: Vec<_> = steps.flat_map(|step| kernels::lower(step).unwrap()).collect();
        let all: HashSet<String> = launches.iter().map(|l| format!("{:?} {:?}", l.source, l.overrides)).collect();
        println!("{preset}: {} kernels", all.len());
        assert!(all.len() <= most, "{preset} needs {} kernels, {most} are allowed", all.len());
        let generated: HashSet<&String> = launches
            .iter()
            .filter_map(|l| if let kernels::Source::Generated { text, .. } = &l.source { Some(text) } else { None })
            .collect();
        let shapes: HashSet<String> =
            generated.iter().map(|text| text.chars().filter(|c| !c.is_ascii_digit()).collect()).collect();
        assert_eq!(generated.len(), shapes.len(), "{preset}: kernels that differ in numbers alone");
    }
}
