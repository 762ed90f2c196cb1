//! `danskin check --all-variants`: a variant that is right passes, one that is wrong is found and named. The whole takes a
//! minute or two on a software driver and is run by `.ci/drivers`; here it is one tile.

use crate::harness::device;
use danskin::check::variants::{Family, Lowering, run_with, verdict};
use danskin::kernels::{Dispatch, lower_with};
use danskin::plan::{WeightDecay, Work};

/// A narrow tile, which compiles fast.
const TILE: &str = "tile 64x16x8 4x4 in 1 part";

fn checked(lowering: &Lowering) -> Vec<Family> {
    let mut steps = vec![];
    let families = run_with(&device(), lowering, &|way| way == TILE, &mut |done, total| steps.push((done, total)));
    let total = if device().facts().f16 { 2 } else { 1 };
    assert_eq!(steps, (0..=total).map(|done| (done, total)).collect::<Vec<_>>());
    families.unwrap()
}

fn wrong(families: &[Family]) -> Vec<&'static str> {
    families.iter().filter(|family| !family.wrong.is_empty()).map(|family| family.name).collect()
}

fn of_tile(launch: &Dispatch, rows: f64, cols: f64) -> bool {
    [("ROWS", rows), ("COLS", cols)].iter().all(|constant| launch.overrides.contains(constant))
}

#[test]
fn every_family_of_products_and_updates_is_gone_through() {
    let families = checked(&lower_with);
    families.iter().for_each(|family| println!("{family}"));
    verdict(&families).unwrap();
    for name in ["matmul", "conv", "conv_x", "conv_w", "adam", "sgd", "loss_scale", "draw", "log_row"] {
        let family = families.iter().find(|family| family.name == name).expect(name);
        assert!(family.comparisons > 0 && family.variants > 0 && family.worst < 1.0, "{family}");
    }
    // In 16 bits as well, and with an epilogue each.
    let conv = families.iter().find(|family| family.name == "conv_x").unwrap();
    assert!(conv.variants >= if device().facts().f16 { 3 } else { 2 }, "{conv}");
}

#[test]
fn a_variant_that_leaves_out_a_workgroup_is_found_and_named() {
    let broken: &Lowering = &|tuning, step| {
        let mut launches = lower_with(tuning, step)?;
        for launch in launches.iter_mut().filter(|launch| of_tile(launch, 64.0, 16.0)) {
            if step.work.name() == "conv_x" {
                launch.workgroups[0] = (launch.workgroups[0] - 1).max(1);
            }
        }
        Ok(launches)
    };
    let families = checked(broken);
    assert_eq!(wrong(&families), ["conv_x"]);
    let error = verdict(&families).unwrap_err().to_string();
    for part in
        ["conv_x 3x11x8 33→21 kernel 3x2 stride 2x1", TILE, "conv/tiled_x.wgsl ROWS 64 COLS 16", "rounding explains"]
    {
        assert!(error.contains(part), "{part} is not in: {error}");
    }
}

/// A wrong number in one constant of an optimiser: L2 decay in place of the decoupled one.
#[test]
fn a_wrong_update_is_found_and_named() {
    let broken: &Lowering = &|tuning, step| {
        let mut step = step.clone();
        if step.work == Work::Adam(WeightDecay::Decoupled) {
            step.work = Work::Adam(WeightDecay::L2);
        }
        lower_with(tuning, &step)
    };
    let families = checked(broken);
    assert_eq!(wrong(&families), ["adam"]);
    assert!(verdict(&families).unwrap_err().to_string().contains("adam decay Decoupled"));
}
