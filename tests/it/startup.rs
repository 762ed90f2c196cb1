//! How a program starts: what is told while kernels compile, and what is kept for the next start. Every test has a cache folder
//! of its own.

use crate::gpu::scaling;
use crate::harness::device;
use crate::program::{command, stderr};
use danskin::cache;
use danskin::gpu::{Device, Gpu, Notice, Setup};
use danskin::plan::Executor;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex};

/// Hears what a device tells.
#[derive(Clone, Default)]
pub struct Heard(Arc<Mutex<Vec<Notice>>>);

impl Heard {
    pub fn setup(&self, cache: Option<&Path>) -> Setup {
        let heard = self.0.clone();
        let listener = Arc::new(move |notice| heard.lock().unwrap().push(notice));
        Setup { cache: cache.map(Path::to_path_buf), listener: Some(listener), ..Setup::default() }
    }

    pub fn all(&self) -> Vec<Notice> {
        self.0.lock().unwrap().clone()
    }

    pub fn warnings(&self) -> Vec<String> {
        let text = |notice| if let Notice::Warning(text) = notice { Some(text) } else { None };
        self.all().into_iter().filter_map(text).collect()
    }
}

pub fn files(folder: &Path, what: &str) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else { return vec![] };
    let names = entries.map(|entry| entry.unwrap().path());
    names.filter(|path| path.file_name().unwrap().to_str().unwrap().starts_with(what)).collect()
}

/// Opens the device of the tests with a cache and loads a small program.
fn start(folder: Option<&Path>) -> (Heard, Device) {
    let heard = Heard::default();
    let device = Device::open_with(&device().facts().id, heard.setup(folder)).unwrap();
    let mut gpu = Gpu::load(device.clone(), scaling()).unwrap();
    gpu.run(&[(0, 1)]).unwrap();
    assert!(gpu.counters().pipelines > 0);
    (heard, device)
}

/// The file of the kernels; `None` where this back end has none.
fn kept(folder: &Path) -> Option<PathBuf> {
    let found = files(folder, "pipelines-");
    let vulkan = device().facts().id.starts_with("vulkan");
    assert_eq!(found.len(), usize::from(vulkan), "{found:?}");
    found.into_iter().next()
}

#[test]
fn compiling_is_counted_to_its_end() {
    let (heard, device) = start(None);
    let notices = heard.all();
    let mut counts: Vec<(usize, usize)> = vec![];
    for notice in &notices {
        match notice {
            Notice::Compiling { done, total } => counts.push((*done, *total)),
            Notice::Compiled { total, cached, seconds } => {
                assert_eq!((counts.len(), *cached), (*total, 0));
                assert!((0.0..600.0).contains(seconds));
            }
            other => panic!("{other:?}"),
        }
    }
    counts.sort_unstable();
    let total = counts.len();
    assert_eq!(counts, (1..=total).map(|done| (done, total)).collect::<Vec<_>>());
    assert!(matches!(notices.last(), Some(Notice::Compiled { .. })));
    // Another program with the same kernels has nothing to compile, and says nothing.
    let gpu = Gpu::load(device, scaling()).unwrap();
    assert_eq!((gpu.counters().pipelines, heard.all().len()), (0, notices.len()));
}

#[test]
fn kernels_are_kept_and_written_once() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("made/when/needed");
    let (heard, _) = start(Some(&folder));
    assert_eq!(heard.warnings(), Vec::<String>::new());
    let Some(path) = kept(&folder) else { return };
    let age = |path: &Path| std::fs::metadata(path).unwrap().modified().unwrap();
    let (bytes, first) = (std::fs::read(&path).unwrap(), age(&path));
    let (heard, _) = start(Some(&folder));
    assert_eq!(heard.warnings(), Vec::<String>::new());
    assert_eq!((std::fs::read(&path).unwrap(), age(&path)), (bytes, first), "nothing was new, nothing is written");
}

#[test]
fn a_spoilt_cache_is_told_of_once_and_made_again() {
    let dir = tempfile::tempdir().unwrap();
    start(Some(dir.path()));
    let Some(path) = kept(dir.path()) else { return };
    let whole = std::fs::read(&path).unwrap();
    let mut turned = whole.clone();
    *turned.last_mut().unwrap() ^= 4;
    for (bytes, reason) in [
        (whole[..whole.len() - 1].to_vec(), "header promises"),
        (turned, "checksum"),
        (b"a file of somebody else".to_vec(), "not one of this program's"),
    ] {
        std::fs::write(&path, bytes).unwrap();
        let (heard, _) = start(Some(dir.path()));
        let [warning] = heard.warnings().try_into().unwrap();
        assert!(warning.contains(path.to_str().unwrap()) && warning.contains(reason), "{warning}");
        assert_eq!(start(Some(dir.path())).0.warnings(), Vec::<String>::new(), "it was made again");
    }
}

#[test]
fn what_another_driver_made_is_not_used() {
    let dir = tempfile::tempdir().unwrap();
    let other = dir.path().join(cache::name("pipelines", "another driver", "bin"));
    cache::seal(&other, "another driver", &[0xff; 400]).unwrap();
    let (heard, _) = start(Some(dir.path()));
    assert_eq!(heard.warnings(), Vec::<String>::new());
    assert_eq!(cache::unseal(&other, "another driver").unwrap().unwrap(), [0xff; 400]);
    // Nor where it lies under this driver's name.
    std::fs::remove_file(&other).unwrap();
    let Some(path) = kept(dir.path()) else { return };
    cache::seal(&path, "another driver", &[0xff; 400]).unwrap();
    let [warning] = start(Some(dir.path())).0.warnings().try_into().unwrap();
    assert!(warning.contains("another driver"), "{warning}");
}

#[test]
fn programs_that_start_together_leave_a_sound_cache() {
    let dir = tempfile::tempdir().unwrap();
    let words = "train ring8 --batch 4 --set model.hidden=8 --kimg 0.004 --device";
    let id = device().facts().id.clone();
    let start = |out: usize| {
        let mut command = command(dir.path(), &format!("{words} {id} --out run{out}"));
        command.env(cache::FOLDER, dir.path().join("cache"));
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    };
    let children: Vec<_> = (0..3).map(start).collect();
    for child in children.into_iter().chain([start(3)]) {
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success() && !stderr(&output).contains("warning"), "{}", stderr(&output));
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(text.contains(" kernels compiled in "), "{text}");
    }
    kept(&dir.path().join("cache"));
    assert_eq!(files(&dir.path().join("cache"), ".unfinished-"), Vec::<PathBuf>::new());
}
