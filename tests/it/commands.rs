//! The commands beside `train`, as a user runs them.

use crate::program::{done, run, stderr, tree};
use serde_json::Value;

#[test]
fn the_host_passes_its_own_check() {
    let dir = tempfile::tempdir().unwrap();
    let text = done(dir.path(), "check --device host");
    let last = text.lines().last().unwrap();
    assert!(last.contains(" checks on host: ") && last.ends_with(", 0 missed"), "{last}");
    let checks: usize = last.split(' ').next().unwrap().parse().unwrap();
    assert!(checks >= 40 && text.lines().count() > checks, "{last}");
}

#[test]
fn variants_are_checked_on_gpus_alone() {
    let dir = tempfile::tempdir().unwrap();
    let output = run(dir.path(), "check --all-variants --device host");
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("--device host: the host runs every primitive in one way"), "{}", stderr(&output));
}

#[test]
fn a_plan_is_a_table_or_json() {
    let dir = tempfile::tempdir().unwrap();
    let json: Value = serde_json::from_str(&done(dir.path(), "plan faces32 --json")).unwrap();
    assert_eq!(json["preset"], "faces32");
    let phases = json["phases"].as_array().unwrap();
    let names: Vec<&str> = phases.iter().map(|p| p["phase"].as_str().unwrap()).collect();
    for name in ["draw_real", "d", "d_adam", "g", "g_adam", "log", "sample"] {
        assert!(names.contains(&name), "{name} is not in {names:?}");
    }
    for phase in phases {
        let steps = phase["steps"].as_array().unwrap();
        let sum = |field: &str| steps.iter().map(|s| s[field].as_u64().unwrap()).sum::<u64>();
        for field in ["dispatches", "flops", "bytes"] {
            assert_eq!(phase[field].as_u64(), Some(sum(field)), "{field} of {}", phase["phase"]);
        }
    }
    let classes = json["bytes_by_class"].as_object().unwrap();
    let total: u64 = classes.values().map(|bytes| bytes.as_u64().unwrap()).sum();
    assert_eq!(json["total_bytes"].as_u64(), Some(total));
    // One phase alone is the same as that phase among all.
    let one: Value = serde_json::from_str(&done(dir.path(), "plan faces32 --json --phase g")).unwrap();
    assert_eq!(
        one["phases"].as_array().unwrap().as_slice(),
        [phases[names.iter().position(|n| *n == "g").unwrap()].clone()]
    );
    let table = done(dir.path(), "plan faces32");
    let (class, buffers) = (&json["bytes_by_class"]["work"], &json["buffers_by_class"]["work"]);
    assert!(class.as_u64() == json["work_bytes"].as_u64() && buffers.as_u64() > Some(1), "{class} in {buffers}");
    assert!(table.lines().any(|line| line.starts_with("work ") && line.ends_with(" %")), "{table}");
    assert!(table.lines().last().unwrap().starts_with("recompute: "), "{table}");
    // What recomputation would save is what it saves.
    let on = done(dir.path(), "plan faces32 --json --set plan.recompute=on");
    let on: Value = serde_json::from_str(&on).unwrap();
    assert_eq!(on["work_bytes"], json["recompute"]["work_bytes_with"]);
    assert_eq!(json["work_bytes"], on["recompute"]["work_bytes_without"]);
    assert!(on["work_bytes"].as_u64() < json["work_bytes"].as_u64());
    assert!(on.to_string().contains(" again\""), "no repeated step is listed");
    assert!(names.iter().all(|name| table.contains(name)), "{table}");
    assert!(tree(dir.path()).is_empty());
}

#[test]
fn devices_are_listed_with_the_one_that_auto_takes() {
    let dir = tempfile::tempdir().unwrap();
    for words in ["devices", "train --device list", "sample nothing --device list", "check --device list"] {
        let text = done(dir.path(), words);
        assert!(text.lines().any(|line| line[2..].starts_with("host  ")), "{words}: {text}");
        assert!(text.contains("vulkan:0"), "{words}: {text}");
        let marked = text.lines().filter(|l| l.starts_with("* ") && !l.contains("--device auto")).count();
        assert_eq!(marked, 1, "{words}: {text}");
    }
    assert!(tree(dir.path()).is_empty());
}

#[test]
fn images_of_a_run_are_drawn_as_a_grid_and_singly() {
    let dir = tempfile::tempdir().unwrap();
    done(
        dir.path(),
        "train faces32 --device host --batch 4 --kimg 0.008 --set model.g_width=4 --set model.d_width=4 --set model.z=8 \
         --set data.count=32 --set sample.count=2x2 --out run",
    );
    let text = done(dir.path(), "sample run --device host --seeds 3,7-9 --grid 2x2 --each single --out grid.png");
    assert!(text.ends_with("grid.png\n4 images in single\n"), "{text}");
    let grid = image::open(dir.path().join("grid.png")).unwrap().into_rgb8();
    // Two images of 32 and three gaps of 2 on a side, 8 times magnified.
    assert_eq!(grid.dimensions(), (70 * 8, 70 * 8));
    let singles: Vec<String> = tree(&dir.path().join("single")).into_keys().collect();
    assert_eq!(singles, ["00000003.png", "00000007.png", "00000008.png", "00000009.png"]);
    for (k, name) in singles.iter().enumerate() {
        let single = image::open(dir.path().join("single").join(name)).unwrap().into_rgb8();
        assert_eq!(single.dimensions(), (32, 32));
        let (left, top) = (2 + 34 * (k as u32 % 2), 2 + 34 * (k as u32 / 2));
        for (x, y, pixel) in single.enumerate_pixels() {
            assert_eq!(grid.get_pixel(8 * (left + x), 8 * (top + y)), pixel, "{name} at {x},{y}");
        }
    }
    // A sample is a function of its seed alone, and the grid of the run shows the first seeds.
    done(dir.path(), "sample run --device host --seeds 9 --each again");
    assert_eq!(tree(&dir.path().join("again"))["00000009.png"], tree(&dir.path().join("single"))["00000009.png"]);
    done(dir.path(), "sample run --device host --grid 2x2");
    // In pixels: the command's picture says how it was made too.
    let shown = |name: &str| image::open(dir.path().join("run/samples").join(name)).unwrap().into_rgb8();
    assert_eq!(shown("seeds-000000.008.png"), shown("000000.008.png"));
}

#[test]
fn a_run_in_use_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    done(dir.path(), "train ring8 --device host --batch 32 --kimg 0.032 --set model.hidden=16 --out run");
    let _held = danskin::train::run_folder::RunFolder::open_to_train(&dir.path().join("run")).unwrap();
    let output = run(dir.path(), "train --device host --resume run --kimg 1");
    assert_eq!(output.status.code(), Some(1));
    let sentence = format!("error: run: process {} trains in it; wait for its end or stop it\n", std::process::id());
    assert_eq!(stderr(&output), sentence);
}
