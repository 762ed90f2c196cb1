//! A run that is killed, interrupted or broken by numbers leaves what an unbroken run leaves, or says why it can't.

use crate::program::{command, danskin, done, run, stderr, tree};
use danskin::philox;
use danskin::train::checkpoint::{Checkpoint, Values, latest_good};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A small run with logs, grids and checkpoints that do not fall together: every 5, 20 and 7 steps of 300.
const RUN: &str = "train ring8 --device host --batch 32 --set train.kimg=9.6 --set model.hidden=16 --set log.every_steps=5 \
                   --set sample.every_kimg=0.64 --set checkpoint.every_kimg=0.224 --out";
const RESUME: &str = "train --device host --resume";

const KILLS: usize = 20;

/// What must not depend on interruptions: statistics without the clock's numbers, pictures, the last checkpoint.
fn outcome(run: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut kept = BTreeMap::new();
    let text = std::fs::read_to_string(run.join("stats.jsonl")).unwrap();
    for (number, line) in text.lines().enumerate() {
        let mut report: BTreeMap<String, Value> = serde_json::from_str(line).unwrap();
        for clock in ["sec_per_kimg", "img_per_s", "eta"] {
            assert!(report.remove(clock).is_some(), "{line}");
        }
        kept.insert(format!("stats.jsonl line {:03}", number + 1), serde_json::to_vec(&report).unwrap());
    }
    let files = tree(run).into_iter().filter_map(|(name, bytes)| Some((name, bytes?)));
    kept.extend(files.filter(|(name, _)| name.starts_with("samples/")));
    let latest = latest_good(&run.join("checkpoints")).unwrap();
    assert_eq!(latest.warnings, Vec::<String>::new());
    kept.insert(latest.path.file_name().unwrap().to_str().unwrap().into(), std::fs::read(&latest.path).unwrap());
    kept
}

fn assert_same(broken: &Path, unbroken: &Path) {
    let (broken, unbroken) = (outcome(broken), outcome(unbroken));
    assert_eq!(broken.keys().collect::<Vec<_>>(), unbroken.keys().collect::<Vec<_>>());
    for (name, bytes) in &unbroken {
        let text = |bytes: &[u8]| String::from_utf8_lossy(&bytes[..bytes.len().min(400)]).into_owned();
        let found = &broken[name];
        assert!(found == bytes, "{name} differs:\n{}\n{}", text(found), text(bytes));
    }
    let reports = unbroken.keys().filter(|name| name.starts_with("stats")).count();
    let pictures = unbroken.keys().filter(|name| name.starts_with("samples/")).count();
    assert_eq!((reports, pictures, unbroken.len()), (60, 16, 77));
}

fn spawn(dir: &Path, words: &str) -> Child {
    command(dir, words).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

#[test]
fn a_run_killed_twenty_times_equals_an_unbroken_one() {
    let dir = tempfile::tempdir().unwrap();
    let start = Instant::now();
    done(dir.path(), &format!("{RUN} unbroken"));
    let whole = start.elapsed().as_secs_f64();
    let folder = dir.path().join("killed/checkpoints");
    let newest = || latest_good(&folder).map_or(0, |latest| latest.images);
    let (mut kills, mut from_checkpoints, mut attempt) = (0, 0, 0);
    let mut words = format!("{RUN} killed");
    while kills < KILLS {
        let before = newest();
        let mut child = spawn(dir.path(), &words);
        // Any moment of the start, then any moment between one checkpoint and the next, in turns.
        let waits = attempt % 2 == 1;
        while waits && newest() <= before && child.try_wait().unwrap().is_none() {
            std::thread::sleep(Duration::from_millis(1));
        }
        let span = if waits { whole * 7.0 / 300.0 } else { whole / 8.0 };
        std::thread::sleep(Duration::from_secs_f64(span * philox::uniform_at(11, 0, attempt, 0)));
        attempt += 1;
        if let Some(status) = child.try_wait().unwrap() {
            // It ended before it was killed: at its end, or because there is nothing to go on from.
            let sentence = stderr(&child.wait_with_output().unwrap());
            match status.code() {
                Some(0) => break,
                Some(1) => assert!(is_too_early(&sentence), "{sentence}"),
                other => panic!("{other:?}: {sentence}"),
            }
            std::fs::remove_dir_all(dir.path().join("killed")).unwrap();
            words = format!("{RUN} killed");
            continue;
        }
        child.kill().unwrap();
        child.wait().unwrap();
        kills += 1;
        from_checkpoints += usize::from(newest() > 0);
        if dir.path().join("killed").exists() {
            words = format!("{RESUME} killed");
        }
    }
    assert!(kills >= KILLS / 2, "the run ended after {kills} kills");
    assert!(from_checkpoints >= KILLS / 4, "only {from_checkpoints} of {kills} kills left a trained checkpoint");
    let last = run(dir.path(), &words);
    if !last.status.success() {
        assert!(is_too_early(&stderr(&last)), "{}", stderr(&last));
        panic!("{kills} kills and still no checkpoint");
    }
    assert_same(&dir.path().join("killed"), &dir.path().join("unbroken"));
    let left: Vec<String> = tree(&dir.path().join("killed")).into_keys().collect();
    let unfinished = left.iter().filter(|name| name.rsplit('/').next().unwrap().starts_with('.'));
    assert_eq!(unfinished.collect::<Vec<_>>(), Vec::<&String>::new());
}

/// Whether a refusal to resume says that the run was killed before it had a configuration.
fn is_too_early(sentence: &str) -> bool {
    sentence.starts_with("error: killed: is not a run folder: config.toml is missing") && sentence.lines().count() == 1
}

#[test]
fn a_run_killed_before_its_first_checkpoint_starts_anew() {
    let dir = tempfile::tempdir().unwrap();
    done(dir.path(), &format!("{RUN} unbroken"));
    // As a kill leaves it: the configuration, the first picture, empty statistics.
    done(dir.path(), &format!("{RUN} run --kimg 9.6 --set train.kimg=9.6"));
    for gone in ["run/checkpoints", "run/samples"] {
        std::fs::remove_dir_all(dir.path().join(gone)).unwrap();
    }
    let refused = run(dir.path(), &format!("{RESUME} run"));
    assert_eq!(refused.status.code(), Some(1), "steps in the statistics would be lost");
    assert!(stderr(&refused).starts_with("error: run/checkpoints: holds no checkpoint, and "), "{}", stderr(&refused));
    std::fs::write(dir.path().join("run/stats.jsonl"), "").unwrap();
    let text = done(dir.path(), &format!("{RESUME} run"));
    assert!(text.contains("run: was stopped before its first checkpoint; it starts anew\n"), "{text}");
    assert_same(&dir.path().join("run"), &dir.path().join("unbroken"));
}

#[test]
fn a_finished_run_says_so_and_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    done(dir.path(), &format!("{RUN} run --kimg 0.1"));
    let before = tree(&dir.path().join("run"));
    // 0.1 thousand images are four batches of 32.
    for words in ["", " --kimg 0.128", " --kimg 0.05", " --set optim.lr=0.5"] {
        let text = done(dir.path(), &format!("{RESUME} run{words}"));
        assert_eq!(text, "run: already finished at 0.128 kimg; give a larger --kimg to go on\n", "{words}");
        assert!(tree(&dir.path().join("run")) == before, "{words}");
    }
    let text = done(dir.path(), &format!("{RESUME} run --kimg 0.2 --set optim.lr=1e-3"));
    assert!(text.contains("saved run/checkpoints/000000.224.safetensors"), "{text}");
    let config = std::fs::read_to_string(dir.path().join("run/config.toml")).unwrap();
    assert!(config.contains("kimg = 0.2 ") && config.contains("lr = 1e-3 "), "{config}");
}

#[cfg(unix)]
#[test]
fn an_interrupted_run_saves_and_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    done(dir.path(), &format!("{RUN} unbroken"));
    let child = spawn(dir.path(), &format!("{RUN} run"));
    let stats = dir.path().join("run/stats.jsonl");
    let start = Instant::now();
    while std::fs::read_to_string(&stats).map_or(0, |text| text.lines().count()) < 3 {
        assert!(start.elapsed() < Duration::from_secs(60), "no statistics after a minute");
        std::thread::sleep(Duration::from_millis(1));
    }
    let id = child.id().to_string();
    assert!(Command::new("kill").args(["-INT", &id]).status().unwrap().success());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert_eq!(stderr(&output), "warning: stopping after this step; press Ctrl-C again to leave at once\n");
    let text = String::from_utf8(output.stdout).unwrap();
    let tail: Vec<&str> = text.lines().rev().take(2).collect();
    assert_eq!(tail[0], "stopped; go on with: danskin train --resume run", "{text}");
    assert!(tail[1].starts_with("saved run/checkpoints/"), "{text}");
    let stopped = latest_good(&dir.path().join("run/checkpoints")).unwrap();
    assert!(stopped.images < 9600 && tail[1].ends_with(stopped.path.to_str().unwrap().rsplit('/').next().unwrap()));
    done(dir.path(), &format!("{RESUME} run"));
    assert_same(&dir.path().join("run"), &dir.path().join("unbroken"));
}

/// Numbers that break: back once with other random numbers, then an end that says where; what is on disk stays sound.
#[test]
fn a_run_that_breaks_twice_stops_and_says_where() {
    for (set, phase, tensor) in [
        // The discriminator's first step throws its weights so far that the generator's gradient overflows.
        ("optim.lr=1e30", "generator", "the gradient of G."),
        // The generator's weights themselves overflow, in the last act of a step whose numbers are all fine.
        ("optim.lr=1e39 --set optim.lr_d_scale=1e-43 --set checkpoint.every_kimg=0.032", "generator", "G."),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let output = run(dir.path(), &format!("{RUN} run --set {set}"));
        assert_eq!(output.status.code(), Some(1), "{set}");
        let sentence = stderr(&output);
        let parts =
            ["error: training: ", tensor, &format!("{phase} step"), "again after going back to run/checkpoints/"];
        assert!(parts.iter().all(|part| sentence.contains(part)), "{set}: {sentence}");
        assert_eq!(sentence.lines().count(), 1, "{sentence}");
        let text = String::from_utf8(output.stdout).unwrap();
        assert_eq!(text.matches("with other random numbers").count(), 1, "{set}: {text}");
        let latest = latest_good(&dir.path().join("run/checkpoints")).unwrap();
        assert_eq!(not_finite(&latest.checkpoint), None, "{set}");
        assert!(done(dir.path(), "sample run --device host").contains("of 8 modes"));
    }
}

fn not_finite(checkpoint: &Checkpoint) -> Option<&str> {
    let broken = |values: &Values| matches!(values, Values::F32(v) if v.iter().any(|x| !x.is_finite()));
    checkpoint.tensors.iter().find(|t| broken(&t.data)).map(|t| t.name.as_str())
}

/// The helper finds the program wherever both binaries lie; a stale path would test nothing.
#[test]
fn the_program_under_test_is_this_version() {
    let output = Command::new(danskin()).arg("--version").output().unwrap();
    assert_eq!(String::from_utf8(output.stdout).unwrap(), format!("danskin {}\n", env!("CARGO_PKG_VERSION")));
}
