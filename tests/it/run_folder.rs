//! Run folders: numbers, refusals, the lock.

use danskin::config::Config;
use danskin::train::run_folder::RunFolder;
use std::collections::BTreeSet;
use std::path::Path;

fn config() -> Config {
    Config::preset("ring8").unwrap()
}

fn refusal(opened: danskin::Result<RunFolder>) -> String {
    opened.unwrap_err().to_string()
}

#[test]
fn the_next_free_number() {
    let dir = tempfile::tempdir().unwrap();
    let runs = dir.path().join("runs");
    for folder in ["ring8-3", "ring8-x", "ring8", "ring80-9", "grid25-7", "ring8-18446744073709551615"] {
        std::fs::create_dir_all(runs.join(folder)).unwrap();
    }
    for name in ["ring8-4", "ring8-5"] {
        let run = RunFolder::create(&runs, &config()).unwrap();
        assert_eq!(run.root(), runs.join(name));
        assert!(run.checkpoints().is_dir() && run.samples().is_dir());
        assert_eq!(Config::read(&run.config()).unwrap().to_toml(), config().to_toml());
    }
}

#[test]
fn many_at_once_get_a_folder_each() {
    let dir = tempfile::tempdir().unwrap();
    let make = || RunFolder::create(dir.path(), &config()).unwrap().root().to_path_buf();
    let made: BTreeSet<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..16).map(|_| scope.spawn(make)).collect();
        threads.into_iter().map(|t| t.join().unwrap()).collect()
    });
    assert_eq!(made.len(), 16);
}

#[test]
fn a_named_folder_must_be_empty() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("a/b");
    drop(RunFolder::create_at(&root, &config()).unwrap());
    assert!(RunFolder::open(&root).is_ok());
    let sentence = "is not empty; name a new folder, or go on with a run by --resume";
    let expected = format!("command line: --out {}: {sentence}", root.display());
    assert_eq!(refusal(RunFolder::create_at(&root, &config())), expected);
    std::fs::create_dir(dir.path().join("empty")).unwrap();
    assert!(RunFolder::create_at(&dir.path().join("empty"), &config()).is_ok());
    let below_a_file = root.join("config.toml").join("x");
    assert!(refusal(RunFolder::create_at(&below_a_file, &config())).contains("creating the run folder"));
}

#[test]
fn what_is_no_run_says_what_is_missing() {
    let dir = tempfile::tempdir().unwrap();
    let at = |reason: &str, root: &Path| format!("{}: is not a run folder: {reason}", root.display());
    let none = dir.path().join("none");
    let missing = "it does not exist; runs are made by danskin train, in runs/ unless told";
    assert_eq!(refusal(RunFolder::open(&none)), at(missing, &none));
    assert_eq!(refusal(RunFolder::open(dir.path())), at("config.toml is missing", dir.path()));
    let file = dir.path().join("config.toml");
    std::fs::write(&file, config().to_toml()).unwrap();
    assert_eq!(refusal(RunFolder::open(&file)), at("it is a file; name the folder above it", &file));
    assert_eq!(refusal(RunFolder::open(dir.path())), at("checkpoints/ is missing", dir.path()));
    std::fs::create_dir(dir.path().join("checkpoints")).unwrap();
    assert!(RunFolder::open_to_train(dir.path()).unwrap().samples().is_dir(), "a missing samples folder is made");
}

#[test]
fn one_trainer_at_a_time() {
    let dir = tempfile::tempdir().unwrap();
    let first = RunFolder::create(dir.path(), &config()).unwrap();
    let root = first.root().to_path_buf();
    let message = refusal(RunFolder::open_to_train(&root));
    // Windows does not let a locked file be read, so the holder stays unnamed there.
    let holder = if cfg!(windows) { "another process".into() } else { format!("process {}", std::process::id()) };
    let sentence = format!("{}: {holder} trains in it; wait for its end or stop it", root.display());
    assert_eq!(message, sentence);
    assert!(RunFolder::open(&root).is_ok(), "reading needs no lock");
    drop(first);
    std::fs::write(root.join("train.lock"), "4000000000\n").unwrap();
    let second = RunFolder::open_to_train(&root).unwrap();
    assert!(RunFolder::open_to_train(&root).is_err(), "the lock of a dead process was taken over");
    drop(second);
}
