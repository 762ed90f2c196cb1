//! Everything that can be wrong with what the program is given: each row ends with one sentence that names the place and
//! the value, and leaves every file as it was.

use crate::data::craft::{lie_about_size, picture, png, put, zip};
use crate::program::{command, copy, danskin, done, stderr, tree};
use danskin::train::checkpoint::{Checkpoint, NamedTensor, Values};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Command, Output};

/// Small runs: `POINTS` and `IMAGES` in a row's words.
const POINTS: &str = "train ring8 --device host --batch 32 --kimg 0.064 --set model.hidden=16 --set sample.every_kimg=0 \
                      --set log.every_steps=1";
const IMAGES: &str = "train faces32 --device host --set train.batch=4 --set train.kimg=0.008 --set model.z=8 \
                      --set model.g_width=4 --set model.d_width=4 --set data.count=32 --set sample.count=2x2";

/// What happens before the command, in its folder. `points` and `images` are finished runs there.
type Prepare = fn(&Path);

struct Row {
    prepare: Prepare,
    words: &'static str,
    code: i32,
    /// What stderr says, in this order; the first part begins it.
    says: &'static [&'static str],
}

const fn row(prepare: Prepare, words: &'static str, says: &'static [&'static str]) -> Row {
    Row { prepare, words, code: 1, says }
}

const fn usage(words: &'static str, says: &'static [&'static str]) -> Row {
    Row { prepare: nothing, words, code: 2, says }
}

fn nothing(_: &Path) {}

fn checkpoint(dir: &Path, run: &str) -> std::path::PathBuf {
    let files = fs::read_dir(dir.join(run).join("checkpoints")).unwrap().map(|e| e.unwrap().path());
    files.filter(|p| p.extension().is_some()).max().unwrap()
}

/// The only checkpoint of the run `points`, with other bytes.
fn points_with(dir: &Path, change: impl Fn(Vec<u8>) -> Vec<u8>) {
    let path = checkpoint(dir, "points");
    let bytes = change(fs::read(&path).unwrap());
    fs::remove_dir_all(dir.join("points/checkpoints")).unwrap();
    fs::create_dir(dir.join("points/checkpoints")).unwrap();
    fs::write(&path, bytes).unwrap();
}

fn truncated(dir: &Path) {
    points_with(dir, |bytes| bytes[..bytes.len() / 2].to_vec());
}

fn garbage(dir: &Path) {
    points_with(dir, |bytes| bytes.iter().map(|b| b.wrapping_mul(31) ^ 0xA5).collect());
}

fn one_bit(dir: &Path) {
    points_with(dir, |mut bytes| {
        *bytes.last_mut().unwrap() ^= 1;
        bytes
    });
}

fn empty_file(dir: &Path) {
    points_with(dir, |_| vec![]);
}

/// A sound safetensors file of some other program.
fn foreign(dir: &Path) {
    let header = br#"{"w":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}  "#;
    points_with(dir, |_| [&(header.len() as u64).to_le_bytes(), &header[..], &[0; 4]].concat());
}

/// A sound checkpoint that holds something else.
fn no_network(dir: &Path) {
    let path = checkpoint(dir, "points");
    let tensor = NamedTensor { name: "w".into(), shape: vec![1], data: Values::F32(vec![1.0]) };
    let other = Checkpoint { tensors: vec![tensor], ..Checkpoint::default() };
    other.save(&path).unwrap();
}

/// The run's own checkpoint under a configuration of another width.
fn other_width(dir: &Path) {
    let path = dir.join("points/config.toml");
    let text = fs::read_to_string(&path).unwrap();
    assert!(text.contains("hidden = 16"));
    fs::write(path, text.replace("hidden = 16", "hidden = 24")).unwrap();
}

fn other_model(dir: &Path) {
    fs::copy(checkpoint(dir, "images"), checkpoint(dir, "points")).unwrap();
}

fn bad_config(dir: &Path) {
    fs::write(dir.join("points/config.toml"), "preset = \"ring8\"\n[train\n").unwrap();
}

fn no_config(dir: &Path) {
    fs::remove_file(dir.join("points/config.toml")).unwrap();
}

fn no_checkpoints(dir: &Path) {
    fs::remove_dir_all(dir.join("points/checkpoints")).unwrap();
}

fn bad_stats(dir: &Path) {
    fs::write(dir.join("points/stats.jsonl"), "{\"step\":1}\n").unwrap();
}

fn settings_file(dir: &Path) {
    put(dir, "own.toml", b"preset = \"ring8\"\n[optim]\nlearning_rate = 1.0\n");
}

fn file(dir: &Path) {
    put(dir, "file", b"kept");
}

fn full_folder(dir: &Path) {
    put(dir, "full/notes.txt", b"kept");
}

fn empty_folder(dir: &Path) {
    fs::create_dir(dir.join("empty")).unwrap();
}

fn texts(dir: &Path) {
    put(dir, "texts/a.txt", b"no image");
}

/// Five images in twenty are no images, cut short, or empty.
fn too_many_bad_images(dir: &Path) {
    for k in 0..20 {
        let whole = png(picture(k));
        let bytes = match k {
            0 => b"nonsense".to_vec(),
            1 => vec![],
            2..11 => whole[..whole.len() / 2].to_vec(),
            _ => whole,
        };
        put(dir, &format!("bad/{k:02}.png"), &bytes);
    }
}

fn no_archive(dir: &Path) {
    put(dir, "set.zip", b"PK this is none");
}

/// Every entry promises nine bytes more than it holds.
fn lying_archive(dir: &Path) {
    let image = png(picture(3));
    let size = image.len() as u32 + 9;
    put(dir, "set.zip", &lie_about_size(zip(&[("a.png", image)]), size));
}

#[rustfmt::skip]
const TABLE: &[Row] = &[
    // Data sets.
    row(nothing, "IMAGES --out new --data nowhere", &["error: nowhere: no such file or folder"]),
    row(empty_folder, "IMAGES --out new --data empty", &["error: empty: holds no images"]),
    row(texts, "IMAGES --out new --data texts", &["error: texts: holds no images"]),
    row(file, "IMAGES --out new --data file", &["error: file: not a zip archive"]),
    row(too_many_bad_images, "IMAGES --out new --data bad", &["error: bad: 11 of 20 images can't be used", "00.png: not an image"]),
    row(no_archive, "IMAGES --out new --data set.zip", &["error: set.zip: not a zip archive, or a damaged one"]),
    row(lying_archive, "IMAGES --out new --data set.zip", &["error: set.zip: 1 of 1 images can't be used", "a.png"]),
    row(nothing, "POINTS --out new --data nowhere", &["error: nowhere: no such file or folder"]),
    // Settings.
    row(nothing, "train fases32 --out new", &["error: command line: preset \"fases32\": no such preset; there are faces32"]),
    row(nothing, "IMAGES --out new --set train.bacth=4", &["error: command line: train.bacth 4: no such setting; did you mean train.batch?"]),
    row(nothing, "IMAGES --out new --set optim.learning=4", &["error: command line: optim.learning 4: no such setting; [optim] has kind,"]),
    row(nothing, "IMAGES --out new --set lr=1", &["error: command line: lr 1: no such setting; ", "optim.lr"]),
    row(nothing, "IMAGES --out new --set optim.lr=fast", &["error: command line: optim.lr \"fast\": must be a number"]),
    row(nothing, "IMAGES --out new --set optim.lr=nan", &["error: command line: optim.lr nan: must be above 0"]),
    row(nothing, "IMAGES --out new --set optim.lr=-1", &["error: command line: optim.lr -1: must be above 0"]),
    row(nothing, "IMAGES --out new --set plan.recompute=maybe", &["error: command line: plan.recompute \"maybe\": must be one of off, auto, on"]),
    row(nothing, "IMAGES --out new --batch 0", &["error: command line: train.batch 0: must be at least 1"]),
    row(nothing, "plan ring8 --batch 0", &["error: command line: train.batch 0: must be at least 1"]),
    row(nothing, "IMAGES --out new --kimg 0", &["error: command line: train.kimg 0"]),
    row(nothing, "IMAGES --out new --kimg 0.5 --batch 512", &["error: command line: train.kimg 0.5: is less than one batch of 512 samples"]),
    row(nothing, "IMAGES --out new --set data.size=48", &["error: command line: data.size 48: does not go with model.kind \"dcgan\": it makes images of 32, 64, 128 or 256"]),
    row(nothing, "IMAGES --out new --set model.kind=r3gan --set model.g_width=8 --set model.d_width=8 --set model.d_norm=off --set data.size=24", &["error: command line: data.size 24: does not go with model.kind", "16, 32, 64, 128 or 256"]),
    row(nothing, "IMAGES --out new --set data.channels=2", &["error: command line: data.channels 2: must be 1 (grey) or 3 (colour)"]),
    row(nothing, "POINTS --out new --set attack.steps=2", &["error: command line: attack.steps 2: does not go with data.source \"ring8\": an attack changes pixels"]),
    row(nothing, "train --config own.toml --out new", &["error: own.toml: reading the configuration: "]),
    row(settings_file, "train --config own.toml --out new", &["error: own.toml: optim.learning_rate 1.0: no such setting;"]),
    row(nothing, "plan ring8 --phase dream", &["error: command line: --phase dream: must be one of "]),
    // Words that can't be read.
    usage("train --seed -1", &["error: "]),
    usage("train --kimg", &["error: "]),
    usage("train --device cuda", &["error: invalid value 'cuda'", "must be auto, host, list, vulkan"]),
    usage("train --device vulkan:x", &["error: invalid value 'vulkan:x'"]),
    usage("train --set batch", &["error: invalid value 'batch'", "must be key=value"]),
    usage("sample points --seeds 5-1", &["error: invalid value '5-1'", "5-1 runs backwards"]),
    usage("sample points --seeds 1,,2", &["error: invalid value '1,,2'"]),
    usage("sample points --grid 8", &["error: invalid value '8'", "must be columns x rows"]),
    usage("sample points --grid 0x4", &["error: invalid value '0x4'"]),
    usage("sample points --out a.jpg", &["error: invalid value 'a.jpg'", "must end in .png"]),
    // Devices.
    usage("train --device host --device auto", &["error: the argument '--device"]),
    row(nothing, "check --device vulkan:7", &["error: device vulkan:7: there is no such device; there is vulkan:0"]),
    row(nothing, "sample images --device vulkan:7", &["error: device vulkan:7: there is no such device; there is vulkan:0"]),
    row(nothing, "check --device metal:0", &["error: device metal:0: there is no such device; there is vulkan:0"]),
    // More than the device has, told before a run folder is made.
    row(nothing, "IMAGES --out new --batch 65536 --kimg 66 --set model.g_width=8192 --set model.d_width=8192", &["error: device host: the model needs ", " MiB are free: lower train.batch or the model's widths"]),
    row(nothing, "VULKAN --out new --set model.g_width=8192 --set model.d_width=8192", &["error: device vulkan:0 (", "buffer `", ": a buffer can have at most "]),
    row(nothing, "IMAGES --out new --batch 65536 --kimg 66 --set data.size=64", &["error: command line: train.batch 65536: a batch of 64x64x3 images would take 3.0 GiB before any layer; choose a smaller one"]),
    // Runs.
    row(nothing, "train --resume nowhere", &["error: nowhere: is not a run folder: it does not exist"]),
    row(file, "train --resume file", &["error: file: is not a run folder: it is a file"]),
    row(empty_folder, "sample empty", &["error: empty: is not a run folder: config.toml is missing"]),
    row(no_config, "train --resume points", &["error: points: is not a run folder: config.toml is missing"]),
    row(no_checkpoints, "sample points", &["error: points: is not a run folder: checkpoints/ is missing"]),
    row(no_checkpoints, "train --device host --resume points", &["error: points/checkpoints: holds no checkpoint, and stats.jsonl beside it tells of steps"]),
    row(bad_config, "train --resume points", &["error: points/config.toml: line 2: is not valid TOML"]),
    row(bad_stats, "train --device host --resume points --kimg 1", &["error: points/stats.jsonl: line 1 is not a report ("]),
    row(nothing, "train --device host --resume points --set train.batch=3", &["error: command line: train.batch 3: can't change while a run goes on (it is 32): its steps are counted in batches of this size"]),
    row(nothing, "train --device host --resume points --set model.hidden=8", &["error: command line: model.hidden 8: can't change while a run goes on"]),
    row(full_folder, "POINTS --out full", &["error: command line: --out full: is not empty; name a new folder"]),
    row(nothing, "POINTS --out points", &["error: command line: --out points: is not empty; name a new folder, or go on with a run by --resume"]),
    row(file, "POINTS --out file/new", &["error: file/new: creating the run folder: "]),
    row(nothing, "POINTS --out /proc/new", &["error: /proc/new: creating the run folder: "]),
    // Checkpoints; `--kimg 1` must not reach the configuration of a run that can't go on.
    row(truncated, "sample points --device host", &["error: points/checkpoints: holds no checkpoint that can be read", "is cut short, damaged, or no safetensors file"]),
    row(truncated, "train --device host --resume points --kimg 1", &["error: points/checkpoints: holds no checkpoint that can be read", "is cut short, damaged, or no safetensors file"]),
    row(garbage, "sample points --device host", &["error: points/checkpoints: holds no checkpoint that can be read", "is cut short, damaged, or no safetensors file"]),
    row(garbage, "train --device host --resume points --kimg 1", &["error: points/checkpoints: holds no checkpoint that can be read", "is cut short, damaged, or no safetensors file"]),
    row(empty_file, "sample points --device host", &["error: points/checkpoints: holds no checkpoint that can be read", "is cut short, damaged, or no safetensors file"]),
    row(one_bit, "train --device host --resume points --kimg 1", &["error: points/checkpoints: holds no checkpoint that can be read", "its numbers do not match its checksum"]),
    row(foreign, "sample points --device host", &["error: points/checkpoints: holds no checkpoint that can be read", "is a safetensors file that Danskin did not write"]),
    row(foreign, "train --device host --resume points --kimg 1", &["error: points/checkpoints: holds no checkpoint that can be read", "is a safetensors file that Danskin did not write"]),
    row(no_network, "sample points --device host", &["error: points/checkpoints/000000.064.safetensors: holds no tensor ema.G.", "is it a checkpoint of this model?"]),
    row(no_network, "train --device host --resume points --kimg 1", &["error: points/checkpoints/000000.064.safetensors: holds no tensor G.", "is it a checkpoint of this model?"]),
    row(other_width, "sample points --device host", &["error: points/checkpoints/000000.064.safetensors: ema.G.", " has shape [16, ", ", this model needs [24, "]),
    row(other_width, "train --device host --resume points --kimg 1", &["error: points/checkpoints/000000.064.safetensors: G.", " has shape [16, ", ", this model needs [24, "]),
    row(other_model, "train --device host --resume points --kimg 1", &["error: points/checkpoints/000000.064.safetensors: "]),
    // Pictures.
    row(nothing, "sample images --device host --out nowhere/a.png", &["error: nowhere/a.png: writing a PNG: "]),
    row(file, "sample images --device host --each file", &["error: file: creating the folder for images: "]),
    row(nothing, "sample points --device host --each new", &["error: command line: --each new: this run makes points of the plane"]),
    row(nothing, "sample images --device host --grid 2x2 --seeds 0-4", &["error: command line: --grid 2x2: has 4 cells for 5 seeds"]),
    row(nothing, "sample images --device host --seeds 4294967296", &["error: command line: --seeds 4294967296: must be at most 4294967295"]),
    row(nothing, "sample images --device host --seeds 0-65536", &["error: command line: --seeds (65537 of them): too many for one picture"]),
];

/// Lines that graphics drivers print when they find no screen.
fn is_ours(line: &&str) -> bool {
    !line.contains("XDG_RUNTIME_DIR")
}

fn sentence(output: &Output) -> String {
    stderr(output).lines().filter(is_ours).collect::<Vec<_>>().join("\n")
}

/// Two finished runs, made once.
fn runs() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    done(dir.path(), &format!("{POINTS} --out points"));
    done(dir.path(), &format!("{IMAGES} --out images"));
    dir
}

/// Everything on disk but the lock, which says who held it last.
fn kept(dir: &Path) -> BTreeMap<String, Option<Vec<u8>>> {
    let mut files = tree(dir);
    files.retain(|name, _| !name.ends_with("train.lock"));
    files
}

/// What is wrong with how the program ended, if anything.
fn flaw(output: &Output, code: i32, says: &[&str]) -> Option<String> {
    let text = sentence(output);
    if output.status.code() != Some(code) {
        return Some(format!("{:?} and not {code}: {text}", output.status.code()));
    }
    let mut rest = text.as_str();
    for part in says {
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return Some(format!("`{part}` is not in: {text}")),
        }
    }
    let sound = text.starts_with(says[0]) && (code == 2 || text.lines().count() == 1) && !text.contains("panicked");
    (!sound).then(|| format!("not one sentence: {text}"))
}

fn assert_says(output: &Output, code: i32, says: &[&str], what: &str) {
    assert_eq!(flaw(output, code, says), None, "{what}");
}

#[test]
fn every_bad_input_is_one_sentence_and_changes_nothing() {
    let runs = runs();
    let mut flaws = vec![];
    for row in TABLE {
        let dir = tempfile::tempdir().unwrap();
        copy(runs.path(), dir.path());
        (row.prepare)(dir.path());
        let before = kept(dir.path());
        let vulkan = IMAGES.replace("host", "vulkan");
        let words = row.words.replace("POINTS", POINTS).replace("IMAGES", IMAGES).replace("VULKAN", &vulkan);
        let output = command(dir.path(), &words).output().unwrap();
        flaws.extend(flaw(&output, row.code, row.says).map(|flaw| format!("{}: {flaw}", row.words)));
        let after = kept(dir.path());
        let changed = after.iter().filter(|(name, bytes)| before.get(*name) != Some(bytes)).map(|(name, _)| name);
        let changed: Vec<_> = changed.chain(before.keys().filter(|name| !after.contains_key(*name))).collect();
        if !changed.is_empty() {
            flaws.push(format!("{}: made, changed or removed {changed:?}", row.words));
        }
    }
    assert!(flaws.is_empty(), "{} rows:\n{}", flaws.len(), flaws.join("\n"));
}

#[test]
fn a_few_bad_images_are_left_out_and_counted() {
    let dir = tempfile::tempdir().unwrap();
    for k in 0..20 {
        let whole = png(picture(k));
        put(dir.path(), &format!("some/{k:02}.png"), if k == 7 { &whole[..whole.len() / 2] } else { &whole });
    }
    let output = command(dir.path(), &format!("{IMAGES} --data some --out run")).output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(stderr(&output).starts_with("warning: left out: 1 "), "{}", stderr(&output));
    assert!(stderr(&output).contains("07.png: "), "{}", stderr(&output));
    assert!(String::from_utf8_lossy(&output.stdout).starts_with("data: 19 images of some at 32x32\n"));
}

#[test]
fn without_a_driver_there_is_the_host() {
    let dir = tempfile::tempdir().unwrap();
    let blind = |words: &str| {
        let mut command = command(dir.path(), words);
        command.env("VK_DRIVER_FILES", "/nowhere.json").env("VK_ICD_FILENAMES", "/nowhere.json");
        command.output().unwrap()
    };
    let words = format!("{} --out run", POINTS.replace("host", "vulkan"));
    let says = ["error: device vulkan: no GPU driver was found; `host` needs none", "mesa-vulkan-drivers"];
    assert_says(&blind(&words), 1, &says, "no driver");
    assert!(tree(dir.path()).is_empty());
    let output = blind(&format!("{} --out run", POINTS.replace("host", "auto")));
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(String::from_utf8_lossy(&output.stdout).starts_with("no hardware GPU found: using the host, "));
}

/// A disk without room, as a limit on the size of files: the shell ignores the signal, so that writes fail as they would.
#[cfg(unix)]
#[test]
fn a_full_disk_spoils_nothing() {
    let runs = runs();
    let limited = |dir: &Path, blocks: usize, words: &str| {
        let script = format!("trap '' XFSZ; ulimit -f {blocks}; exec \"$0\" {words}");
        Command::new("sh").args(["-c", &script]).arg(danskin()).current_dir(dir).output().unwrap()
    };
    let dir = runs.path();
    let before = kept(dir);
    // No room for the configuration of a new run.
    let output = limited(dir, 1, &format!("{POINTS} --out new"));
    assert_says(&output, 1, &["error: new/config.toml: writing the configuration: "], "new run");
    fs::create_dir(dir.join("empty")).unwrap();
    let output = limited(dir, 0, &format!("{POINTS} --out empty"));
    assert_says(&output, 1, &["error: empty/train.lock: writing the lock: "], "new run in an empty folder");
    fs::remove_dir(dir.join("empty")).unwrap();
    // No room for a picture.
    let output = limited(dir, 1, "sample points --device host");
    assert_says(&output, 1, &["error: points/samples/seeds-000000.064.png: writing a PNG: "], "picture");
    assert_eq!(kept(dir), before);
    // No room for the next checkpoint: the last one stands, and the run goes on from it when there is room again.
    let resume = "train --device host --resume points --kimg 0.16 --set checkpoint.every_kimg=0.032";
    let output = limited(dir, 24, resume);
    let says = ["error: points/checkpoints/000000.096.safetensors: saving the checkpoint: "];
    assert_says(&output, 1, &says, "checkpoint");
    let (checkpoints, after) = (checkpoint(dir, "points"), kept(dir));
    assert!(checkpoints.ends_with("000000.064.safetensors"));
    assert_eq!(after["points/checkpoints/000000.064.safetensors"], before["points/checkpoints/000000.064.safetensors"]);
    assert!(after.keys().all(|name| !name.contains("/.")), "{:?}", after.keys());
    assert!(done(dir, resume).contains("saved points/checkpoints/000000.160.safetensors"));
    assert_eq!(fs::read_to_string(dir.join("points/stats.jsonl")).unwrap().lines().count(), 5);
}
