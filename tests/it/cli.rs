//! The command line as a user meets it: exit codes, and what of it reaches a job. Bad input has a table of its own (`bad_input`).

use crate::program::run;
use clap::Parser;
use danskin::cli::args::{Cli, Command as Asked};
use danskin::cli::job::{Picture, SampleJob, TrainJob};
use danskin::config::Config;
use danskin::train::checkpoint::{Checkpoint, NamedTensor, Values};
use danskin::train::run_folder::RunFolder;
use std::path::Path;
use std::process::Command;

/// A run that was never trained, with one small checkpoint.
fn small_run(dir: &Path) {
    let run = RunFolder::create_at(&dir.join("run"), &Config::preset("ring8").unwrap()).unwrap();
    let tensor = NamedTensor { name: "w".into(), shape: vec![1], data: Values::F32(vec![1.0]) };
    Checkpoint { tensors: vec![tensor], ..Checkpoint::default() }.save(&run.checkpoint(64)).unwrap();
}

#[test]
fn usage_is_two_and_help_is_zero() {
    let dir = tempfile::tempdir().unwrap();
    for words in ["", "fly"] {
        let output = run(dir.path(), words);
        assert_eq!(output.status.code(), Some(2), "{words}");
        assert!(output.stdout.is_empty() && !output.stderr.is_empty(), "{words}");
    }
    for words in ["--help", "--version", "train --help"] {
        let output = run(dir.path(), words);
        assert_eq!(output.status.code(), Some(0), "{words}");
        assert!(!output.stdout.is_empty() && output.stderr.is_empty(), "{words}");
    }
}

fn parsed(words: &str, dir: &Path) -> Asked {
    let words = words.replace("DIR", dir.to_str().unwrap());
    Cli::try_parse_from(["danskin"].into_iter().chain(words.split(' '))).unwrap().command
}

#[test]
fn a_run_starts_and_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let Asked::Train(args) = parsed("train ring8 --out DIR/run --seed 9 --kimg 3", dir.path()) else { panic!() };
    let job = TrainJob::prepare(&args).unwrap();
    assert!(!dir.path().join("run").exists(), "nothing is written before the device is there");
    let (run, latest) = job.open_run().unwrap();
    assert!(latest.is_none());
    Checkpoint::default().save(&run.checkpoint(2048)).unwrap();
    drop(run);

    let words = "train --resume DIR/run --kimg 7 --set checkpoint.keep=5";
    let Asked::Train(args) = parsed(words, dir.path()) else { panic!() };
    let job = TrainJob::prepare(&args).unwrap();
    let (run, latest) = job.open_run().unwrap();
    assert_eq!(latest.unwrap().images, 2048);
    assert_eq!(Config::read(&run.config()).unwrap().train.kimg, 3.0, "nothing is changed before the run can go on");
    let config = job.config;
    assert_eq!((config.train.seed, config.train.kimg, config.checkpoint.keep), (9, 7.0, 5));
    let message = TrainJob::prepare(&args).unwrap().open_run().unwrap_err().to_string();
    assert!(message.contains("trains in it"), "{message}");
}

#[test]
fn what_is_drawn() {
    let dir = tempfile::tempdir().unwrap();
    small_run(dir.path());
    let samples = dir.path().join("run/samples/seeds-000000.064.png");
    let drawn = |words: &str| {
        let Asked::Sample(args) = parsed(words, dir.path()) else { panic!() };
        let job = SampleJob::prepare(&args).unwrap();
        let still = |picture| match picture {
            Picture::Still(grid, path) => Some((grid.to_string(), path)),
            _ => None,
        };
        (job.seeds.count(), job.picture.and_then(still), job.each.is_some())
    };
    let picture = |grid: &str, path: &Path| Some((grid.to_string(), path.to_path_buf()));
    assert_eq!(drawn("sample DIR/run"), (64, picture("8x8", &samples), false));
    assert_eq!(drawn("sample DIR/run --grid 3x2"), (6, picture("3x2", &samples), false));
    assert_eq!(drawn("sample DIR/run --seeds 0-9 --out x.png"), (10, picture("4x3", Path::new("x.png")), false));
    assert_eq!(drawn("sample DIR/run --seeds 0-99999 --each d"), (100_000, None, true));
    assert_eq!(drawn("sample DIR/run --seeds 0-4999999 --each d"), (5_000_000, None, true));
    assert_eq!(drawn("sample DIR/run --seeds 1,2 --each d --grid 2x1"), (2, picture("2x1", &samples), true));
}

/// The first interrupt raises the flag; the second ends the process with 130.
#[cfg(unix)]
#[test]
fn interrupts() {
    use std::io::{BufRead, BufReader};
    use std::process::Stdio;
    use std::sync::atomic::Ordering;
    const CHILD: &str = "DANSKIN_TEST_WAITS";
    if std::env::var_os(CHILD).is_some() {
        let stop = danskin::cli::interrupt::watch().unwrap();
        // Commands of one process hear the same.
        let again = danskin::cli::interrupt::watch().unwrap();
        assert!(std::sync::Arc::ptr_eq(&stop, &again));
        eprintln!("ready");
        while !stop.load(Ordering::SeqCst) {
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        eprintln!("raised");
        std::thread::sleep(std::time::Duration::from_secs(60));
        return;
    }
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "cli::interrupts", "--nocapture"]).env(CHILD, "1");
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let lines = BufReader::new(child.stderr.take().unwrap()).lines().map(|line| line.unwrap());
    let mut seen = Vec::new();
    for line in lines {
        if line == "ready" || line == "raised" {
            let id = child.id().to_string();
            assert!(Command::new("kill").args(["-INT", &id]).status().unwrap().success());
        }
        seen.push(line);
    }
    assert_eq!(child.wait().unwrap().code(), Some(130));
    seen.sort();
    let warning = "warning: stopping after this step; press Ctrl-C again to leave at once";
    assert_eq!(seen, ["raised", "ready", warning]);
}
