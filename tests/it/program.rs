//! The program as a user starts it, and what a folder holds before and after.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// The binary, found when the test runs: beside this test binary where both were packed together, or one folder up, where
/// cargo puts it.
pub fn danskin() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let name = format!("danskin{}", std::env::consts::EXE_SUFFIX);
    let places: Vec<PathBuf> = test.ancestors().skip(1).take(2).map(|folder| folder.join(&name)).collect();
    match places.iter().find(|path| path.is_file()) {
        Some(path) => path.clone(),
        None => panic!("the program is at none of {places:?}; cargo test builds it"),
    }
}

/// The program in `dir` with arguments separated by spaces.
pub fn command(dir: &Path, words: &str) -> Command {
    let mut command = Command::new(danskin());
    command.args(words.split(' ').filter(|w| !w.is_empty())).current_dir(dir);
    // Tests leave the user's cache alone; an empty name means none.
    command.env("DANSKIN_CACHE_DIR", "");
    command
}

/// Runs [`command`] to its end.
pub fn run(dir: &Path, words: &str) -> Output {
    command(dir, words).output().unwrap()
}

/// Runs [`command`], which must succeed, and gives what it wrote to stdout.
pub fn done(dir: &Path, words: &str) -> String {
    let output = run(dir, words);
    assert!(output.status.success(), "danskin {words}: {}", stderr(&output));
    String::from_utf8(output.stdout).unwrap()
}

pub fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Every file and folder below `dir` by its path from there, with the bytes of files.
pub fn tree(dir: &Path) -> BTreeMap<String, Option<Vec<u8>>> {
    let mut found = BTreeMap::new();
    let mut open = vec![dir.to_path_buf()];
    while let Some(folder) = open.pop() {
        for entry in std::fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.strip_prefix(dir).unwrap().to_str().unwrap().to_owned();
            if path.is_dir() {
                found.insert(name, None);
                open.push(path);
            } else {
                found.insert(name, Some(std::fs::read(&path).unwrap()));
            }
        }
    }
    found
}

/// Copies a folder with everything below it.
pub fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    let entries = tree(from);
    // Folders come before what they hold: their path is a prefix.
    for (name, bytes) in &entries {
        match bytes {
            None => std::fs::create_dir(to.join(name)).unwrap(),
            Some(bytes) => std::fs::write(to.join(name), bytes).unwrap(),
        }
    }
}
