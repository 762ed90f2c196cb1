//! The folder of a run: `runs/<preset>-<n>`, or `runs/<preset>-<data>-<n>` with data of the user's own, with its configuration, checkpoints, samples and statistics, and the lock
//! that keeps a second process out.
//!
//! ```text
//! config.toml   checkpoints/   samples/   stats.jsonl   metrics.jsonl   report.html   events.out.tfevents.*   data.txt   tuning.json   train.lock
//! ```

use super::checkpoint;
use crate::config::Config;
use crate::{Error, Result, files};
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

/// The file of the schedules that a run trains with, in the form of `danskin tune --export`.
pub const TUNING: &str = "tuning.json";

/// The file that is locked.
const LOCK: &str = "train.lock";

/// A run on disk. Where it is locked, the lock lasts as long as this value, or as the process.
#[derive(Debug)]
pub struct RunFolder {
    root: PathBuf,
    // Held, never read: the operating system releases it with the process, however that ends.
    _lock: Option<File>,
}

impl RunFolder {
    /// A new folder `<runs>/<name>-<n>`, named by [`Config::run_name`], with the next free number, locked, holding `config.toml`. Never an old one,
    /// even where several processes start at once.
    ///
    /// Errors: [`Error::Io`].
    pub fn create(runs: &Path, config: &Config) -> Result<RunFolder> {
        std::fs::create_dir_all(runs).map_err(Error::io(runs, "creating the folder of runs"))?;
        let name = config.run_name();
        let mut number = last_number(runs, &name)? + 1;
        loop {
            let root = runs.join(format!("{name}-{number}"));
            match std::fs::create_dir(&root) {
                Ok(()) => return RunFolder::furnish(root, config, true),
                Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => number += 1,
                Err(e) => return Err(Error::io(root, "creating the run folder")(e)),
            }
        }
    }

    /// A new run in exactly this folder, locked; it may exist if it is empty.
    ///
    /// Errors: [`Error::Setting`] for a folder that holds something; [`Error::Io`].
    pub fn create_at(root: &Path, config: &Config) -> Result<RunFolder> {
        let is_new = !root.exists();
        std::fs::create_dir_all(root).map_err(Error::io(root, "creating the run folder"))?;
        let mut entries = std::fs::read_dir(root).map_err(Error::io(root, "reading the run folder"))?;
        if entries.next().is_some() {
            let hint = "is not empty; name a new folder, or go on with a run by --resume";
            return Err(Error::setting("command line", "--out", root.display(), hint));
        }
        RunFolder::furnish(root.into(), config, is_new)
    }

    /// Fills an empty folder; where that fails it is emptied again, and removed if it `is_new`. Nothing is removed that
    /// was not made here: files by their names, folders only when empty.
    fn furnish(root: PathBuf, config: &Config, is_new: bool) -> Result<RunFolder> {
        let furnished = lock(&root).and_then(|lock| {
            let run = RunFolder { root: root.clone(), _lock: Some(lock) };
            let filled = [run.checkpoints(), run.samples()]
                .iter()
                .try_for_each(|f| std::fs::create_dir(f).map_err(Error::io(f, "creating a folder of the run")))
                .and_then(|()| run.write_config(config));
            if filled.is_err() {
                // What can't be removed stays: the first error is the one to tell.
                let _ = [run.checkpoints(), run.samples()].map(std::fs::remove_dir);
                let _ = std::fs::remove_file(root.join(LOCK));
            }
            filled.map(|()| run)
        });
        if furnished.is_err() && is_new {
            let _ = std::fs::remove_dir(&root);
        }
        furnished
    }

    /// An existing run, to read from.
    ///
    /// Errors: [`Error::Checkpoint`] with what is missing.
    pub fn open(root: &Path) -> Result<RunFolder> {
        let run = RunFolder::find(root)?;
        match run.checkpoints().is_dir() {
            true => Ok(run),
            false => Err(Error::checkpoint(root, "is not a run folder: checkpoints/ is missing")),
        }
    }

    /// An existing run that may have been stopped before it had its folders.
    ///
    /// Errors: [`Error::Checkpoint`] with what is missing.
    pub fn find(root: &Path) -> Result<RunFolder> {
        let refuse = |reason: &str| Err(Error::checkpoint(root, format!("is not a run folder: {reason}")));
        if !root.exists() {
            return refuse("it does not exist; runs are made by danskin train, in runs/ unless told");
        }
        if !root.is_dir() {
            return refuse("it is a file; name the folder above it");
        }
        let run = RunFolder { root: root.into(), _lock: None };
        if !run.config().is_file() {
            return refuse("config.toml is missing");
        }
        Ok(run)
    }

    /// An existing run, to go on with; locked.
    ///
    /// Errors: as [`RunFolder::find`], and where another process trains in it.
    pub fn open_to_train(root: &Path) -> Result<RunFolder> {
        let mut run = RunFolder::find(root)?;
        run._lock = Some(lock(root)?);
        make_folder(&run.samples())?;
        for folder in [run.root(), &run.checkpoints(), &run.samples()].into_iter().filter(|folder| folder.is_dir()) {
            sweep(folder)?;
        }
        Ok(run)
    }

    /// The folder itself; TensorBoard files go here.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// `config.toml`.
    pub fn config(&self) -> PathBuf {
        self.root.join("config.toml")
    }

    /// `checkpoints/`.
    pub fn checkpoints(&self) -> PathBuf {
        self.root.join("checkpoints")
    }

    /// The file of the checkpoint after so many real images.
    pub fn checkpoint(&self, images: u64) -> PathBuf {
        self.checkpoints().join(checkpoint::file_name(images))
    }

    /// `samples/`.
    pub fn samples(&self) -> PathBuf {
        self.root.join("samples")
    }

    /// `stats.jsonl`.
    pub fn stats(&self) -> PathBuf {
        self.root.join("stats.jsonl")
    }

    /// `metrics.jsonl`: what was measured of checkpoints.
    pub fn metrics(&self) -> PathBuf {
        self.root.join("metrics.jsonl")
    }

    /// `data.txt`: what the data was when the run started.
    pub fn data(&self) -> PathBuf {
        self.root.join("data.txt")
    }

    /// `tuning.json`: the schedules of matrix products and convolutions that the run trains with.
    pub fn tuning(&self) -> PathBuf {
        self.root.join(TUNING)
    }

    /// Whether the run was stopped before its first checkpoint, so that it has to start anew; then it is made ready for
    /// that.
    ///
    /// Errors: [`Error::Checkpoint`] where checkpoints were removed and statistics tell of steps that would be lost.
    pub fn begin_anew(&self) -> Result<bool> {
        if checkpoint::newest(&self.checkpoints())?.is_some() {
            return Ok(false);
        }
        let stats = self.stats();
        let len = match std::fs::metadata(&stats) {
            Ok(found) => found.len(),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
                return make_folder(&self.checkpoints()).map(|()| true);
            }
            Err(e) => return Err(Error::io(stats, "reading the statistics")(e)),
        };
        if len > 0 {
            let reason = "holds no checkpoint, and stats.jsonl beside it tells of steps that were made: put a checkpoint \
                          back, or start another run";
            return Err(Error::checkpoint(self.checkpoints(), reason));
        }
        // The new run makes its own, and never writes into one that is there.
        std::fs::remove_file(&stats).map_err(Error::io(stats, "removing the empty statistics"))?;
        make_folder(&self.checkpoints()).map(|()| true)
    }

    /// Compares the data with what it was when the run started; the first call writes that down. With `accept_changed`
    /// another set is taken from now on, and the sentence to tell so comes back.
    ///
    /// Errors: [`Error::Checkpoint`] where the data changed and nobody said that it may; [`Error::Io`].
    pub fn check_data(&self, fingerprint: &str, accept_changed: bool) -> Result<Option<String>> {
        let path = self.data();
        let store = || files::write(&path, "writing what the data is", format!("{fingerprint}\n").as_bytes());
        let before = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return store().map(|()| None),
            Err(e) => return Err(Error::io(&path, "reading what the data was")(e)),
        };
        let before = before.trim();
        if before == fingerprint.trim() {
            return Ok(None);
        }
        let changed = format!("the data is not what the run was trained on (it was {before}, it is {fingerprint})");
        if !accept_changed {
            let way = "name the old data with --data PATH, or take the new with --data-changed";
            return Err(Error::checkpoint(path, format!("{changed}: {way}")));
        }
        store().map(|()| Some(format!("{}: {changed}; going on with it", self.root.display())))
    }

    /// Writes everything in force to `config.toml`, whole or not at all.
    ///
    /// Errors: [`Error::Io`].
    pub fn write_config(&self, config: &Config) -> Result<()> {
        let path = self.config();
        let text = format!("# Everything in force for this run.\n{}", config.to_toml());
        files::write(&path, "writing the configuration", text.as_bytes())
    }
}

fn make_folder(folder: &Path) -> Result<()> {
    if folder.is_dir() {
        return Ok(());
    }
    std::fs::create_dir(folder).map_err(Error::io(folder, "creating a folder of the run"))
}

/// The largest number among `<name>-<n>`, or 0.
fn last_number(runs: &Path, name: &str) -> Result<u64> {
    let entries = std::fs::read_dir(runs).map_err(Error::io(runs, "reading the folder of runs"))?;
    let number = |entry: std::fs::DirEntry| -> Option<u64> {
        entry.file_name().to_str()?.strip_prefix(name)?.strip_prefix('-')?.parse().ok()
    };
    Ok(entries.filter_map(|entry| number(entry.ok()?)).filter(|n| *n < u64::MAX / 2).max().unwrap_or(0))
}

/// Removes what a killed process had not finished writing.
fn sweep(folder: &Path) -> Result<()> {
    for entry in std::fs::read_dir(folder).map_err(Error::io(folder, "reading the run folder"))?.flatten() {
        let name = entry.file_name();
        if name.to_str().is_some_and(|name| name.starts_with(files::TEMPORARY)) {
            std::fs::remove_file(entry.path()).map_err(Error::io(entry.path(), "removing an unfinished file"))?;
        }
    }
    Ok(())
}

/// Takes the lock of a run. It is the operating system's, on an open file: it ends with its process, so a killed run
/// leaves no stale lock behind. The file's text only says who holds it.
fn lock(root: &Path) -> Result<File> {
    let path = root.join(LOCK);
    let opened = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path);
    let mut file = opened.map_err(Error::io(&path, "opening the lock"))?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut holder = String::new();
            // Unreadable while locked on Windows; the sentence does without.
            let _ = file.read_to_string(&mut holder);
            let holder =
                if holder.is_empty() { "another process".into() } else { format!("process {}", holder.trim()) };
            return Err(Error::checkpoint(root, format!("{holder} trains in it; wait for its end or stop it")));
        }
        Err(TryLockError::Error(e)) => return Err(Error::io(path, "locking the run folder")(e)),
    }
    let write = file.set_len(0).and_then(|()| writeln!(file, "{}", std::process::id()));
    match write {
        Ok(()) => Ok(file),
        Err(e) => {
            // It says nothing of use, and would make an empty folder look used.
            let _ = std::fs::remove_file(&path);
            Err(Error::io(path, "writing the lock")(e))
        }
    }
}
