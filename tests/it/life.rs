//! A run's life as a user meets it: where it starts from, what of it is drawn, what it keeps.

use crate::data::craft::{png, put};
use crate::program::{copy, done, run, stderr, tree};
use danskin::train::checkpoint::{Checkpoint, Values, latest_good};
use image::{Rgb, RgbImage};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

const IMAGES: &str = "train faces32 --device host --batch 4 --set model.g_width=4 --set model.d_width=4 --set model.z=8 \
                      --set data.count=32 --set sample.count=2x2 --set sample.every_kimg=0";
const POINTS: &str = "train ring8 --batch 32 --set model.hidden=16 --set sample.every_kimg=0 --set log.every_steps=1";

/// The sentence of a refused command.
fn refused(dir: &Path, words: &str) -> String {
    let output = run(dir, words);
    assert_eq!(output.status.code(), Some(1), "danskin {words}: {}", stderr(&output));
    stderr(&output)
}

fn newest(run: &Path) -> Checkpoint {
    latest_good(&run.join("checkpoints")).unwrap().checkpoint
}

/// Tensors of floats by name.
fn floats<'a>(checkpoint: &'a Checkpoint) -> BTreeMap<&'a str, &'a [f32]> {
    let of = |values: &'a Values| if let Values::F32(v) = values { Some(v.as_slice()) } else { None };
    checkpoint.tensors.iter().filter_map(|t| Some((t.name.as_str(), of(&t.data)?))).collect()
}

#[test]
fn an_older_checkpoint_is_drawn_from() {
    let dir = tempfile::tempdir().unwrap();
    done(
        dir.path(),
        &format!("{IMAGES} --kimg 0.016 --set checkpoint.every_kimg=0.008 --set checkpoint.keep=9 --out run"),
    );
    let sample = "sample run --device host --grid 2x2";
    done(dir.path(), sample);
    done(dir.path(), &format!("{sample} --checkpoint 0.008"));
    done(dir.path(), &format!("{sample} --checkpoint run/checkpoints/000000.008.safetensors --out file.png"));
    let samples = tree(&dir.path().join("run/samples"));
    assert_ne!(samples["seeds-000000.008.png"], samples["seeds-000000.016.png"]);
    assert_eq!(Some(fs::read(dir.path().join("file.png")).unwrap()), samples["seeds-000000.008.png"]);
    let sentence = "error: run/checkpoints: holds no checkpoint at 0.012 kimg; there are 0.000, 0.008, 0.016\n";
    assert_eq!(refused(dir.path(), &format!("{sample} --checkpoint 0.012")), sentence);
}

/// More images than are drawn at once: all are there, each the same as when it is drawn alone.
#[test]
fn many_images_are_written_as_they_are_drawn() {
    let dir = tempfile::tempdir().unwrap();
    done(dir.path(), &format!("{IMAGES} --kimg 0.008 --out run"));
    let text = done(dir.path(), "sample run --device host --seeds 4000000000-4000000299,7 --each all");
    assert_eq!(text, "301 images in all\n");
    let all = tree(&dir.path().join("all"));
    assert_eq!((all.len(), all.contains_key("4000000299.png"), all.contains_key("00000007.png")), (301, true, true));
    done(dir.path(), "sample run --device host --seeds 4000000260 --each one");
    let one = tree(&dir.path().join("one"));
    assert_eq!(one["4000000260.png"], all["4000000260.png"]);
}

#[test]
fn a_run_starts_from_the_weights_of_another() {
    let dir = tempfile::tempdir().unwrap();
    done(dir.path(), &format!("{POINTS} --device host --kimg 0.128 --out first"));
    let text = done(dir.path(), &format!("{POINTS} --device host --kimg 0.032 --seed 5 --init first --out second"));
    assert!(text.contains("weights of first/checkpoints/000000.128.safetensors\n"), "{text}");
    let first = newest(&dir.path().join("first"));
    let start = Checkpoint::load(&dir.path().join("second/checkpoints/000000.000.safetensors")).unwrap();
    let (first, start, step) = (floats(&first), floats(&start), &start.meta["step"]);
    assert_eq!((first.len(), step.as_str()), (start.len(), "0"));
    for (name, values) in &start {
        match name.starts_with("adam.") {
            true => assert!(values.iter().all(|v| *v == 0.0), "{name}"),
            false => assert_eq!(*values, first[name], "{name}"),
        }
    }
    // One file of it does the same.
    let file = "--init first/checkpoints/000000.128.safetensors --out third";
    done(dir.path(), &format!("{POINTS} --device host --kimg 0.032 --seed 5 {file}"));
    let weights = |run: &str| tree(&dir.path().join(run))["checkpoints/000000.000.safetensors"].clone();
    assert_eq!(weights("second"), weights("third"));
    // Other networks are refused by the tensor that does not fit, before there is a folder.
    let wider = POINTS.replace("hidden=16", "hidden=24");
    let sentence = refused(dir.path(), &format!("{wider} --device host --init first --out fourth"));
    let place = "error: first/checkpoints/000000.128.safetensors: G.";
    assert!(sentence.starts_with(place) && sentence.contains("has shape [16, "), "{sentence}");
    assert!(!dir.path().join("fourth").exists());
    let sentence = refused(dir.path(), &format!("{POINTS} --device host --init nowhere --out fourth"));
    assert!(sentence.starts_with("error: nowhere: is not a run folder: it does not exist"), "{sentence}");
}

/// What may change when a run goes on reaches its numbers, and is in force from then on.
#[test]
fn a_run_goes_on_with_other_rates_and_weights() {
    let dir = tempfile::tempdir().unwrap();
    done(dir.path(), &format!("{POINTS} --device host --kimg 0.064 --out same"));
    let mut ends = vec![];
    for (name, set) in [("same", ""), ("lr", "--set optim.lr=0.01"), ("gamma", "--set loss.r1_gamma=3")] {
        if name != "same" {
            copy(&dir.path().join("start"), &dir.path().join(name));
        } else {
            copy(&dir.path().join("same"), &dir.path().join("start"));
        }
        done(dir.path(), &format!("train --resume {name} --device host --kimg 0.128 {set}"));
        let config = fs::read_to_string(dir.path().join(name).join("config.toml")).unwrap();
        assert!(set.is_empty() || config.contains("lr = 0.01 ") || config.contains("r1_gamma = 3.0 "), "{config}");
        let end = newest(&dir.path().join(name));
        assert_eq!(end.meta["step"], "4");
        let weights = floats(&end).into_iter().filter(|(name, _)| name.starts_with("D."));
        ends.push(weights.map(|(_, values)| values.to_vec()).collect::<Vec<_>>());
    }
    assert!(ends[0] != ends[1] && ends[0] != ends[2] && ends[1] != ends[2]);
}

/// Data that was moved is found again by what it is; other data is taken only by those who say so.
#[test]
fn data_that_moves_or_changes_is_told_of() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    for k in 0..12 {
        put(dir, &format!("set/{k:02}.png"), &png(RgbImage::from_pixel(32, 32, Rgb([20 * k; 3]))));
    }
    done(dir, &format!("{IMAGES} --data set --kimg 0.008 --out run"));
    fs::rename(dir.join("set"), dir.join("moved")).unwrap();
    let resume = |kimg: &str| format!("train --resume run --device host --kimg {kimg}");
    let sentence = refused(dir, &resume("0.016"));
    let (place, way) = ("/set: no such file or folder; ", "name where the data of the run lies now with --data PATH\n");
    assert!(sentence.ends_with(&format!("{place}{way}")), "{sentence}");
    done(dir, &format!("{} --data moved", resume("0.016")));
    // From then on it lies there.
    done(dir, &resume("0.024"));
    fs::remove_file(dir.join("moved/03.png")).unwrap();
    let sentence = refused(dir, &resume("0.032"));
    assert!(sentence.starts_with("error: run/data.txt: the data is not what the run was trained on"), "{sentence}");
    let output = run(dir, &format!("{} --data-changed", resume("0.032")));
    assert!(output.status.success() && stderr(&output).contains("; going on with it\n"), "{}", stderr(&output));
    done(dir, &resume("0.04"));
    assert_eq!(newest(&dir.join("run")).meta["step"], "10");
}

#[test]
fn tensors_of_another_program_become_a_run() {
    let dir = tempfile::tempdir().unwrap();
    done(dir.path(), &format!("{POINTS} --device host --kimg 0.128 --out first"));
    // The weights alone, without averages, as another program would write them.
    let state = newest(&dir.path().join("first"));
    let mut weights = state.clone();
    weights.tensors.retain(|t| t.name.starts_with("G.") || t.name.starts_with("D."));
    weights.meta.clear();
    weights.save(&dir.path().join("net.safetensors")).unwrap();
    let import = "import net.safetensors ring8 --set model.hidden=16 --set train.batch=32";
    let text = done(dir.path(), &format!("{import} --out run"));
    assert!(text.starts_with(&format!("run: {} tensors of net.safetensors\n", weights.tensors.len())), "{text}");
    let made = newest(&dir.path().join("run"));
    let (made, old) = (floats(&made), floats(&state));
    for (name, values) in &made {
        let own = name.strip_prefix("ema.").unwrap_or(name);
        assert!(name.starts_with("adam.") || *values == old[own], "{name}");
    }
    done(dir.path(), "sample run --device host");
    done(dir.path(), "train --resume run --device host --kimg 0.064");
    let sentence = refused(dir.path(), &format!("{import} --set model.hidden=24 --out other"));
    assert!(sentence.starts_with("error: net.safetensors: G.") && sentence.contains("has shape"), "{sentence}");
    assert!(!dir.path().join("other").exists());
}

#[test]
fn settings_are_printed_in_a_form_that_is_read() {
    let dir = tempfile::tempdir().unwrap();
    let text = done(dir.path(), "config digits32 --set train.batch=9");
    assert!(text.contains("# path is not set ") && text.contains("batch = 9 "), "{text}");
    fs::write(dir.path().join("own.toml"), done(dir.path(), "config ring8 --set train.batch=9")).unwrap();
    assert!(done(dir.path(), "config --config own.toml").contains("batch = 9 "));
    let sentence = "error: command line: data.size 48: does not go with model.kind \"dcgan\": it makes images of 32, 64, 128 or 256\n";
    assert_eq!(refused(dir.path(), "config --set data.size=48"), sentence);
}

/// A run keeps the schedules it was started with, and goes on by them alone.
#[test]
fn schedules_stay_with_the_run() {
    let dir = tempfile::tempdir().unwrap();
    let text = done(dir.path(), &format!("{POINTS} --device vulkan --autotune full --kimg 0.064 --out run"));
    assert!(text.contains(" shapes measured\n"), "{text}");
    let path = dir.path().join("run/tuning.json");
    let kept = fs::read_to_string(&path).unwrap();
    assert!(kept.contains("matmul"), "{kept}");
    let text = done(dir.path(), "train --resume run --device vulkan --kimg 0.128");
    assert!(!text.contains("measured"), "{text}");
    assert_eq!(fs::read_to_string(&path).unwrap(), kept);
    // It is what is gone on by: one that can't be used is not passed over.
    fs::write(&path, "[1").unwrap();
    let sentence = refused(dir.path(), "train --resume run --device vulkan --kimg 0.192");
    let line = sentence.lines().find(|line| line.contains("tuning.json")).unwrap_or_default();
    assert!(
        line.starts_with("error: run/tuning.json: it holds no schedules (") && line.contains("; remove it"),
        "{line}"
    );
    // The host has none, and needs none.
    done(dir.path(), "train --resume run --device host --kimg 0.192");
}
