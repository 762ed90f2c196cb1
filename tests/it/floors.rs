//! The floors of the house: a room uses only what stands below it, and only `gpu` names wgpu.

use std::fs;
use std::path::{Path, PathBuf};

/// Rooms from the ground up, each with the rooms it may use. `error` and itself are open to all.
const FLOORS: &[(&str, &[&str])] = &[
    ("error", &[]),
    ("files", &[]),
    ("philox", &[]),
    ("graph", &[]),
    ("autodiff", &["graph"]),
    ("nn", &["graph", "autodiff"]),
    ("loss", &["graph", "autodiff", "nn"]),
    ("attack", &["graph", "autodiff", "nn", "loss"]),
    ("augment", &["graph", "nn"]),
    ("plan", &["graph"]),
    ("host", &["graph", "plan", "philox"]),
    ("kernels", &["graph", "plan", "philox"]),
    ("cache", &["files"]),
    ("gpu", &["plan", "kernels", "philox", "cache"]),
    ("device", &["plan", "host", "kernels", "gpu"]),
    ("optim", &["nn", "plan", "philox"]),
    ("config", &[]),
    ("data", &["philox", "files"]),
    ("grid", &["files"]),
    ("page", &[]),
    ("metrics", &["graph", "nn", "plan", "device", "data", "philox"]),
    (
        "train",
        &[
            "graph", "autodiff", "nn", "loss", "attack", "augment", "plan", "philox", "optim", "config", "data",
            "grid", "metrics", "device", "files", "page",
        ],
    ),
    ("robustness", &["attack", "train", "device", "data", "grid", "page", "config", "files"]),
    ("export", &["graph", "nn", "host", "config", "train"]),
    ("check", &["graph", "nn", "loss", "augment", "plan", "philox", "host", "kernels", "gpu", "device", "train"]),
    (
        "bench",
        &[
            "graph", "autodiff", "nn", "attack", "plan", "philox", "optim", "config", "host", "kernels", "gpu",
            "device", "train", "files",
        ],
    ),
    (
        "cli",
        &[
            "attack",
            "robustness",
            "export",
            "files",
            "cache",
            "config",
            "data",
            "grid",
            "page",
            "metrics",
            "device",
            "train",
            "check",
            "bench",
            "kernels",
            "plan",
        ],
    ),
];

fn sources(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|e| e == "rs") {
            found.push(path);
        }
    }
}

fn room(path: &Path) -> String {
    let first = path.strip_prefix("src").unwrap().components().next().unwrap();
    first.as_os_str().to_str().unwrap().trim_end_matches(".rs").to_owned()
}

/// Code without comments and without the unit tests at the end of a file.
fn code(path: &Path) -> String {
    let text = fs::read_to_string(path).unwrap();
    let code = text.split("#[cfg(test)]\nmod tests").next().unwrap();
    code.lines().filter(|l| !l.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
}

/// Rooms named by `crate::room` or `crate::{room, …}` anywhere in a file.
fn used(code: &str) -> Vec<String> {
    let word = |t: &str| t.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>();
    let mut rooms = vec![];
    for (at, _) in code.match_indices("crate::") {
        let rest = &code[at + "crate::".len()..];
        if let Some(list) = rest.strip_prefix('{') {
            let mut depth = 1;
            let inside: String = list
                .chars()
                .take_while(|c| {
                    depth += i32::from(*c == '{') - i32::from(*c == '}');
                    depth > 0
                })
                .collect();
            let mut depth = 0;
            for part in inside.split_inclusive(['{', '}', ',']) {
                let name = word(part.trim_start());
                if depth == 0 && !name.is_empty() {
                    rooms.push(name);
                }
                depth += i32::from(part.ends_with('{')) - i32::from(part.ends_with('}'));
            }
        } else {
            rooms.push(word(rest));
        }
    }
    rooms
}

#[test]
fn a_room_uses_only_what_stands_below_it() {
    let mut files = vec![];
    sources(Path::new("src"), &mut files);
    assert!(files.len() > 40, "only {} sources found: run from the root of the project", files.len());
    let names: Vec<&str> = FLOORS.iter().map(|(name, _)| *name).collect();
    for path in files {
        let here = room(&path);
        if here == "lib" || here == "main" {
            continue;
        }
        let floor = FLOORS.iter().find(|(name, _)| *name == here);
        let (_, may) = floor.unwrap_or_else(|| panic!("{}: room `{here}` has no floor", path.display()));
        for other in used(&code(&path)).iter().filter(|r| names.contains(&r.as_str())) {
            let allowed = *other == here || other == "error" || may.contains(&other.as_str());
            assert!(allowed, "{}: room `{here}` may not use `{other}`", path.display());
        }
    }
}

#[test]
fn only_gpu_names_wgpu_and_only_cli_prints() {
    let mut files = vec![];
    sources(Path::new("src"), &mut files);
    for path in files {
        let (here, code) = (room(&path), code(&path));
        assert!(here == "gpu" || !code.contains("wgpu::"), "{} names wgpu", path.display());
        let prints = ["println!", "print!(", "eprintln!", "stdout()"].iter().any(|p| code.contains(p));
        assert!(here == "cli" || !prints, "{} prints", path.display());
    }
}

#[test]
fn used_rooms_are_read_from_use_lines() {
    let code = "use crate::{Error, Result, gpu, host::{Rng, eval}, kernels};\nuse crate::plan::Step;";
    assert_eq!(used(code), ["Error", "Result", "gpu", "host", "kernels", "plan"]);
}

/// Rooms that are hidden from users of the library, whose names need to be unique among themselves alone.
const HIDDEN: &[&str] =
    &["bench", "cache", "check", "cli", "files", "gpu", "grid", "host", "kernels", "metrics", "plan"];
/// A name that two rooms have: what a primitive is, and what a setting may hold.
const TWICE: &[&str] = &["Kind"];

/// Whoever uses several rooms reads one name for one thing.
#[test]
fn public_names_are_unique_across_rooms() {
    let mut files = vec![];
    sources(Path::new("src"), &mut files);
    let mut found: Vec<(String, String)> = vec![];
    for path in files.iter().filter(|path| !HIDDEN.contains(&room(path).as_str())) {
        let code = code(path);
        // `choice!` makes an enum of each of its entries.
        let choices = code.contains("macro_rules! choice");
        for line in code.lines() {
            let name =
                ["pub struct ", "pub enum ", "pub trait ", "pub type "].iter().find_map(|p| line.strip_prefix(p));
            let entry = line.strip_prefix("    ").and_then(|line| line.strip_suffix(" {")).filter(|_| choices);
            let entry =
                entry.filter(|name| name.chars().all(char::is_alphanumeric) && name.starts_with(char::is_uppercase));
            let name = name.or(entry).map(|rest| rest.chars().take_while(|c| c.is_alphanumeric()).collect::<String>());
            found.extend(name.map(|name| (name, room(path))));
        }
    }
    assert!(found.iter().any(|f| f.0 == "DataSource") && found.len() > 90, "only {} names found", found.len());
    found.sort();
    found.dedup();
    for pair in found.windows(2).filter(|pair| pair[0].0 == pair[1].0) {
        let ((name, one), (_, other)) = (&pair[0], &pair[1]);
        assert!(TWICE.contains(&name.as_str()), "{name} is in `{one}` and in `{other}`");
    }
}
