//! Pictures are drawn while training goes on: none is lost, none differs, and what keeps one from being written ends the run.

use crate::primitives::gpu;
use crate::program::tree;
use crate::training::{config, trainer};
use danskin::config::Config;
use danskin::data::toys::Toy;
use danskin::device::Device;
use danskin::train::checkpoint::latest_good;
use danskin::train::run_folder::RunFolder;
use danskin::train::{Event, Outcome, Session};
use danskin::{Error, Result};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

/// 30 steps of 8: reports every 4, plots every 3, checkpoints every 10 and 5 are not due together with most plots.
fn small() -> Config {
    let set = [
        "model.hidden=8",
        "train.batch=8",
        "train.kimg=0.24",
        "log.every_steps=4",
        "sample.every_kimg=0.024",
        "checkpoint.every_kimg=0.08",
    ];
    config("ring8", &set)
}

/// Trains in `root`, from its last checkpoint if there is one.
fn train(root: &Path, device: &Device, stop: &AtomicBool, show: &mut dyn FnMut(Event)) -> Result<Outcome> {
    let config = small();
    let trainer = trainer(&config, device);
    let (run, latest) = match root.exists() {
        true => (RunFolder::open_to_train(root)?, Some(latest_good(&root.join("checkpoints"))?)),
        false => (RunFolder::create_at(root, &config)?, None),
    };
    Session::new(config, trainer, Some(Toy::Ring8), run, latest.as_ref())?.run(stop, show)
}

/// Pictures, the last checkpoint, and reports without the clock's numbers.
fn outcome(root: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut kept: BTreeMap<String, Vec<u8>> =
        tree(root).into_iter().filter_map(|(name, bytes)| Some((name, bytes?))).collect();
    let stats = String::from_utf8(kept.remove("stats.jsonl").unwrap()).unwrap();
    kept.retain(|name, _| name.starts_with("samples/") || name.starts_with("checkpoints/000000.240"));
    for (i, line) in stats.lines().enumerate() {
        let mut report: BTreeMap<String, serde_json::Value> = serde_json::from_str(line).unwrap();
        report.retain(|name, _| !["sec_per_kimg", "img_per_s", "eta"].contains(&name.as_str()));
        kept.insert(format!("report {i:02}"), serde_json::to_vec(&report).unwrap());
    }
    kept
}

#[test]
fn a_resumed_run_leaves_the_same_pictures() {
    for device in [Device::Host, gpu()] {
        let dir = tempfile::tempdir().unwrap();
        let (whole, parts) = (dir.path().join("whole"), dir.path().join("parts"));
        let mut drawn = vec![];
        let mut note = |event: Event| {
            if let Event::Note(text) = event {
                drawn.extend(text.strip_prefix("drew ").map(|path| path.rsplit('/').next().unwrap().to_owned()));
            }
        };
        assert_eq!(train(&whole, &device, &AtomicBool::new(false), &mut note).unwrap(), Outcome::Finished);
        let expected: Vec<String> = (0..=10).map(|i| format!("000000.{:03}.png", 24 * i)).collect();
        assert_eq!(drawn, expected, "told of once each, in order");
        let reports = std::cell::Cell::new(0);
        for _ in 0..3 {
            let stop = AtomicBool::new(false);
            let mut stop_later = |event: Event| {
                reports.set(reports.get() + u32::from(matches!(event, Event::Report(_))));
                stop.store(reports.get() % 2 == 1, Ordering::Relaxed);
            };
            if train(&parts, &device, &stop, &mut stop_later).unwrap() == Outcome::Finished {
                break;
            }
        }
        train(&parts, &device, &AtomicBool::new(false), &mut |_| {}).unwrap();
        let (whole, parts) = (outcome(&whole), outcome(&parts));
        assert_eq!(whole.keys().collect::<Vec<_>>(), parts.keys().collect::<Vec<_>>());
        assert_eq!(whole.len(), 11 + 1 + 8, "{:?}", whole.keys());
        for (name, bytes) in &whole {
            assert!(parts[name] == *bytes, "{name} differs");
        }
        // A report holds the modes of the plot before it, however late that was read.
        assert!(whole.values().filter(|bytes| String::from_utf8_lossy(bytes).contains("\"modes\"")).count() >= 8);
    }
}

#[test]
fn a_picture_that_can_not_be_written_ends_the_run() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("run");
    let mut reports = 0;
    let error = train(&root, &Device::Host, &AtomicBool::new(false), &mut |event| {
        if let Event::Report(_) = event {
            reports += 1;
            if reports == 2 {
                // At once, whatever is being written into it.
                std::fs::rename(root.join("samples"), root.join("gone")).unwrap();
            }
        }
    });
    let Err(error @ Error::Io { .. }) = error else { panic!("{error:?}") };
    assert!(error.to_string().contains("samples/000000."), "{error}");
    assert!(latest_good(&root.join("checkpoints")).is_ok(), "what was saved stays");
}
