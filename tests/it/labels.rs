//! GANs that are told of classes: what reaches their networks, and what is drawn of each class.

use crate::data::craft::{png, put};
use crate::program::{done, tree};
use crate::sequential_runs::{newest, refused};
use danskin::train::checkpoint::{Checkpoint, Values};
use image::{Rgb, RgbImage};
use std::fs;
use std::path::Path;

/// Twenty dark pictures in `set/0` and twenty bright ones in `set/1`.
fn dark_and_bright(dir: &Path, side: u32) {
    for k in 0..40 {
        let light = if k % 2 == 0 { 20 + k } else { 190 + k } as u8;
        let picture =
            RgbImage::from_fn(side, side, |x, y| Rgb([light + ((x * 5 + y * 3 + u32::from(light)) % 16) as u8; 3]));
        put(dir, &format!("set/{}/{k:02}.png", k % 2), &png(picture.clone()));
        put(dir, &format!("flat/{k:02}.png"), &png(picture));
    }
}

fn tensor<'a>(checkpoint: &'a Checkpoint, name: &str) -> &'a [f32] {
    match &checkpoint.tensor(name).unwrap_or_else(|| panic!("no {name}")).data {
        Values::F32(values) => values,
        _ => panic!("{name} is not of floats"),
    }
}

/// Both rows of a table of two classes have moved since the start, each in its own way.
fn assert_both_classes_learn(dir: &Path, names: &[&str]) {
    let start = Checkpoint::load(&dir.join("run/checkpoints/000000.000.safetensors")).unwrap();
    let end = newest(&dir.join("run"));
    for name in names {
        let (before, after) = (tensor(&start, name), tensor(&end, name));
        let moved: Vec<f32> = before.iter().zip(after).map(|(a, b)| b - a).collect();
        let (zero, one) = moved.split_at(moved.len() / 2);
        assert!(zero.iter().any(|v| *v != 0.0) && one.iter().any(|v| *v != 0.0), "{name}: {moved:?}");
        assert_ne!(zero, one, "{name}");
    }
}

/// Mean of the bytes of all pictures in a folder.
fn light(folder: &Path) -> f64 {
    let pictures: Vec<RgbImage> =
        tree(folder).into_keys().map(|name| image::open(folder.join(name)).unwrap().into_rgb8()).collect();
    let bytes: Vec<f64> = pictures.iter().flat_map(|p| p.as_raw()).map(|b| f64::from(*b)).collect();
    bytes.iter().sum::<f64>() / bytes.len() as f64
}

#[test]
fn a_dcgan_is_told_of_classes() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    dark_and_bright(dir, 32);
    let train = "train faces32 --device host --batch 4 --kimg 0.032 --set model.g_width=4 --set model.d_width=4 --set \
                 model.z=8 --set model.classes=2 --set sample.count=2x2 --set checkpoint.keep=9";
    done(dir, &format!("{train} --data set --out run"));
    assert_both_classes_learn(dir, &["G.embedding.weight", "D.embedding.weight"]);
    for class in ["0", "1"] {
        done(dir, &format!("sample run --device host --seeds 2,3 --class {class} --each class{class}"));
    }
    done(dir, "sample run --device host --seeds 2,3 --each turns");
    let [zero, one, turns] = ["class0", "class1", "turns"].map(|folder| tree(&dir.join(folder)));
    assert!(zero["00000002.png"] != one["00000002.png"] && zero["00000003.png"] != one["00000003.png"]);
    // Without a class they take turns.
    assert_eq!((&turns["00000002.png"], &turns["00000003.png"]), (&zero["00000002.png"], &one["00000003.png"]));

    let sentence = refused(dir, "sample run --device host --class 2");
    assert_eq!(sentence, "error: command line: --class 2: this run has the classes 0 to 1\n");
    let sentence = refused(dir, &format!("{train} --data flat --out new"));
    assert!(sentence.starts_with("error: 40 images of flat at 32x32: its samples have no labels"), "{sentence}");
    let sentence = refused(dir, &format!("{train} --data set --set model.classes=1 --out new"));
    assert!(sentence.ends_with(": it has 2 classes and the game knows 1\n"), "{sentence}");
    assert!(!dir.join("new").exists());
    // It goes on, and stays with its classes.
    done(dir, "train --resume run --device host --kimg 0.048");
    let sentence = refused(dir, "train --resume run --device host --kimg 0.064 --set model.classes=3");
    assert!(sentence.contains("model.classes 3: can't change while a run goes on (it is 2)"), "{sentence}");
}

#[test]
fn a_run_without_classes_refuses_one() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    done(dir, "train ring8 --device host --batch 32 --kimg 0.032 --set model.hidden=16 --out run");
    let sentence = refused(dir, "sample run --device host --class 0");
    assert_eq!(sentence, "error: command line: --class 0: this run knows no classes; leave it out\n");
}

/// A generator and a projection discriminator as lists of layers.
const LISTS: &str = r#"
preset = "faces32"
[data]
source = "path"
path = "set"
size = 4
channels = 1
[model]
kind = "sequential"
z = 4
classes = 2
[optim]
lr = 0.01
[ema]
half_life_kimg = 0.2
[train]
batch = 16
kimg = 4.8
[checkpoint]
keep = 9
[sample]
count = "4x4"
[model.g]
layers = [
    { type = "embedding", classes = 2, dim = 4 },
    { type = "linear", out = 16 },
    { type = "leaky_relu", slope = 0.2 },
    { type = "linear", out = 16 },
    { type = "reshape", shape = [1, 4, 4] },
    { type = "tanh" },
]
[model.d]
layers = [
    { type = "flatten" },
    { type = "linear", out = 16 },
    { type = "leaky_relu", slope = 0.2 },
    { type = "projection", classes = 2 },
]
"#;

/// Each network is told the labels of its own batch: only then do dark and bright come apart. The paired loss draws a batch
/// for the generator too.
#[test]
fn lists_of_layers_learn_what_their_classes_look_like() {
    for loss in ["", "--set loss.kind=rpgan --set loss.r1_gamma=0.1 --set loss.r2_gamma=0.1"] {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path();
        dark_and_bright(dir, 4);
        fs::write(dir.join("net.toml"), LISTS).unwrap();
        let train = format!("train --config net.toml --device host {loss}");
        done(dir, &format!("{train} --out run"));
        assert_both_classes_learn(dir, &["G.0.weight", "D.3.embedding.weight"]);
        for class in ["0", "1"] {
            done(dir, &format!("sample run --device host --seeds 0-15 --class {class} --each class{class}"));
        }
        let [zero, one] = ["class0", "class1"].map(|folder| light(&dir.join(folder)));
        assert!(zero + 60.0 < one, "`{loss}`: class 0 is {zero}, class 1 is {one}");
        // Labels of streamed images are the same.
        let short = format!("{train} --kimg 0.16");
        done(dir, &format!("{short} --out resident"));
        done(dir, &format!("{short} --set data.mode=stream --out streamed"));
        assert_eq!(newest(&dir.join("resident")).tensors, newest(&dir.join("streamed")).tensors);
    }
}

#[test]
fn lists_of_layers_agree_on_their_classes() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    dark_and_bright(dir, 4);
    let of = |name: &str, text: String| fs::write(dir.join(name), text).unwrap();
    of("three.toml", LISTS.replace("\"embedding\", classes = 2", "\"embedding\", classes = 3"));
    of("none.toml", LISTS.replace("    { type = \"embedding\", classes = 2, dim = 4 },\n", ""));
    of("told.toml", LISTS.replace("projection\", classes = 2", "projection\", classes = 3"));
    of("net.toml", LISTS.into());
    for (words, sentence) in [
        (
            "--config three.toml",
            "error: three.toml: model.classes 2: must be those of model.g, 3: its layers are told of them by `embedding`\n",
        ),
        (
            "--config none.toml",
            "error: none.toml: model.classes 2: must be those of model.g, 0: its layers are told of them by `embedding`\n",
        ),
        (
            "--config told.toml",
            "error: told.toml: model.d knows 3 classes: must be those of model.g, 2: an embedding and a projection of as \
             many\n",
        ),
    ] {
        assert_eq!(refused(dir, &format!("train {words} --device host --out new")), sentence);
    }
    let sentence = refused(dir, "train --config net.toml --device host --data flat --out new");
    assert!(sentence.starts_with("error: 40 images of flat at 4x4: its samples have no labels"), "{sentence}");
    assert!(!dir.join("new").exists());
}
