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
    let run = RunFolder::open_to_train(dir.path()).unwrap();
    assert!(run.samples().is_dir(), "a missing samples folder is made");
    assert!(run.begin_anew().unwrap() && run.checkpoints().is_dir(), "and one for checkpoints");
}

#[test]
fn data_of_the_users_own_names_the_folder() {
    let dir = tempfile::tempdir().unwrap();
    let mut config = Config::preset("faces32").unwrap();
    (config.data.source, config.data.path) = (danskin::config::DataSource::Path, Some("sets/My photos.zip".into()));
    for name in ["faces32-My-photos-1", "faces32-My-photos-2"] {
        assert_eq!(RunFolder::create(dir.path(), &config).unwrap().root(), dir.path().join(name));
    }
    let own = RunFolder::create(dir.path(), &Config::preset("faces32").unwrap()).unwrap();
    assert_eq!(own.root(), dir.path().join("faces32-1"));
}

#[test]
fn changed_data_is_refused_or_taken_aloud() {
    let dir = tempfile::tempdir().unwrap();
    let run = RunFolder::create_at(&dir.path().join("run"), &config()).unwrap();
    assert_eq!(run.check_data("10 images, 0123", false).unwrap(), None);
    assert_eq!(run.check_data("10 images, 0123", false).unwrap(), None);
    let message = run.check_data("11 images, 4567", false).unwrap_err().to_string();
    let changed = "the data is not what the run was trained on (it was 10 images, 0123, it is 11 images, 4567)";
    let way = "name the old data with --data PATH, or take the new with --data-changed";
    assert_eq!(message, format!("{}: {changed}: {way}", run.data().display()));
    assert_eq!(std::fs::read_to_string(run.data()).unwrap(), "10 images, 0123\n", "a refusal changes nothing");
    let told = run.check_data("11 images, 4567", true).unwrap().unwrap();
    assert_eq!(told, format!("{}: {changed}; going on with it", run.root().display()));
    assert_eq!(run.check_data("11 images, 4567", false).unwrap(), None, "it is taken from then on");
}

#[test]
fn a_run_without_checkpoints_starts_anew_unless_steps_would_be_lost() {
    let dir = tempfile::tempdir().unwrap();
    let run = RunFolder::create_at(&dir.path().join("run"), &config()).unwrap();
    assert!(run.begin_anew().unwrap());
    std::fs::write(run.stats(), "").unwrap();
    assert!(run.begin_anew().unwrap() && !run.stats().exists());
    std::fs::write(run.stats(), "{\"step\":1}\n").unwrap();
    let message = run.begin_anew().unwrap_err().to_string();
    assert!(
        message.contains("checkpoints: holds no checkpoint, and stats.jsonl beside it tells of steps"),
        "{message}"
    );
    assert!(run.stats().exists());
    std::fs::write(run.checkpoint(64), "torn").unwrap();
    assert!(!run.begin_anew().unwrap(), "one that can't be read is a checkpoint all the same");
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
