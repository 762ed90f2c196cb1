//! Lists of layers as a user runs them: networks of PyTorch that are imported, classifiers that are trained and counted.

use crate::data::craft::{idx, png, put};
use crate::goldens::{in_f64, load};
use crate::numeric::{Feeds, normals};
use crate::program::{copy, done, run, stderr};
use crate::sequential::{DCGAN_G, EVERY, read};
use danskin::graph::Graph;
use danskin::grid::quantise;
use danskin::nn::layout::{from_torch, torch_shape};
use danskin::nn::{Mode, Network, Scope};
use danskin::train::checkpoint::{Checkpoint, latest_good};
use image::{Rgb, RgbImage};
use safetensors::Dtype;
use safetensors::tensor::TensorView;
use std::collections::HashMap;
use std::fs;
use std::path::Path;

/// The one sentence of a command that is refused.
pub fn refused(dir: &Path, words: &str) -> String {
    let output = run(dir, words);
    let text = stderr(&output);
    assert_eq!(output.status.code(), Some(1), "danskin {words}: {text}");
    assert_eq!(text.lines().count(), 1, "danskin {words}: {text}");
    assert!(!text.contains("panicked"), "danskin {words}: {text}");
    text
}

pub fn newest(run: &Path) -> Checkpoint {
    latest_good(&run.join("checkpoints")).unwrap().checkpoint
}

/// Tensors of 32-bit floats as another program writes them.
fn write(path: &Path, tensors: &[(String, Vec<usize>, Vec<f64>)], counter: Option<&str>) {
    let bytes = |data: &[f64]| data.iter().flat_map(|v| (*v as f32).to_le_bytes()).collect::<Vec<u8>>();
    let data: Vec<Vec<u8>> = tensors.iter().map(|(_, _, data)| bytes(data)).collect();
    let mut views: Vec<(String, TensorView)> = tensors
        .iter()
        .zip(&data)
        .map(|((name, shape, _), data)| (name.clone(), TensorView::new(Dtype::F32, shape.clone(), data).unwrap()))
        .collect();
    let zero = [0; 8];
    if let Some(name) = counter {
        views.push((name.into(), TensorView::new(Dtype::I64, vec![], &zero).unwrap()));
    }
    fs::write(path, safetensors::serialize(views, None).unwrap()).unwrap();
}

/// Weights and statistics of a golden file whose names pass, under PyTorch's own names.
fn weights(name: &str, pass: impl Fn(&str) -> bool) -> Vec<(String, Vec<usize>, Vec<f64>)> {
    let golden = load(name);
    let of = |kind: &str| {
        let own = |key: &str| {
            let (shape, data) = golden.array(&format!("{kind} {key}"));
            (key.to_owned(), shape.clone(), data.clone())
        };
        golden.keys(&format!("{kind} ")).into_iter().filter(|key| pass(key)).map(own).collect::<Vec<_>>()
    };
    [of("param"), of("state")].concat()
}

#[test]
fn a_generator_of_pytorch_is_imported_and_draws_what_pytorch_draws() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let tensors = weights("sequential_dcgan_g", |_| true);
    write(&dir.join("g.safetensors"), &tensors, Some("main.1.num_batches_tracked"));
    let golden = load("sequential_dcgan_g");
    let (shape, latents) = golden.array("input").clone();
    write(&dir.join("latents.safetensors"), &[("latents".into(), shape.clone(), latents)], None);
    let head = "preset = \"faces32\"\n[data]\nsize = 64\n[model]\nkind = \"sequential\"\nz = 8\n[model.g]\n";
    fs::write(dir.join("net.toml"), format!("{head}{DCGAN_G}")).unwrap();
    let output = run(dir, "import g.safetensors --config net.toml --out run");
    assert!(output.status.success(), "{}", stderr(&output));
    let warning = "warning: g.safetensors: left out, being no floats: main.1.num_batches_tracked\n";
    assert_eq!(stderr(&output), warning);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.starts_with(&format!("run: {} tensors of g.safetensors\n", tensors.len())), "{text}");

    let text = done(dir, "sample run --device host --latents latents.safetensors --each drawn");
    assert_eq!(text, "3 images in drawn\n");
    let images: Vec<RgbImage> =
        (0..3).map(|k| image::open(dir.join(format!("drawn/{k:08}.png"))).unwrap().into_rgb8()).collect();
    let mut seen = [false; 256];
    for (k, value) in golden.array("eval").1.iter().enumerate() {
        let at = k * EVERY;
        let [n, c, y, x] = [at / (3 * 64 * 64), at / (64 * 64) % 3, at / 64 % 64, at % 64];
        let got = images[n].get_pixel(x as u32, y as u32).0[c];
        let want = quantise(*value as f32);
        assert!(got.abs_diff(want) <= 1, "image {n}, channel {c}, {x},{y}: {got}, PyTorch {want}");
        seen[usize::from(got)] = true;
    }
    assert!(seen.iter().filter(|seen| **seen).count() > 50, "the images are nearly empty");

    // One picture of all, in the columns that are asked for where there is room.
    let sample = "sample run --device host --latents latents.safetensors --out all.png";
    let side = |words: &str| {
        done(dir, &format!("{sample}{words}"));
        let side = image::image_dimensions(dir.join("all.png")).unwrap();
        fs::remove_file(dir.join("all.png")).unwrap();
        side
    };
    let ((wide, low), (narrow, high)) = (side(""), side(" --grid 1x3"));
    assert!(wide == low && high > 2 * narrow, "{wide}x{low} and {narrow}x{high}");
    let sentence = refused(dir, &format!("{sample} --grid 2x1"));
    assert_eq!(sentence, "error: command line: --grid 2x1: has 2 cells for 3 latents\n");

    // Latents of another length, and a file without any.
    write(&dir.join("short.safetensors"), &[("latents".into(), vec![3, 7], normals(1, 21))], None);
    let sample = "sample run --device host --each other --latents";
    let sentence = refused(dir, &format!("{sample} short.safetensors"));
    assert_eq!(sentence, "error: short.safetensors: `latents` has shape [3, 7], this run needs [n, 8]\n");
    let sentence = refused(dir, &format!("{sample} g.safetensors"));
    assert_eq!(sentence, "error: g.safetensors: holds no tensor `latents` of shape [n, 8]\n");

    // There is nothing to train it against.
    let sentence = refused(dir, "train --device host --resume run");
    assert_eq!(
        sentence,
        "error: run/config.toml: model.d is not set: a generator alone can be drawn from; training wants a list of \
         layers in [model.d]\n"
    );
    // A file that lacks a tensor, and a folder that is taken.
    write(&dir.join("less.safetensors"), &tensors[1..], None);
    let sentence = refused(dir, "import less.safetensors --config net.toml --out less");
    let missing = &tensors[0].0;
    assert!(sentence.starts_with("error: less.safetensors: ") && sentence.contains(missing), "{sentence}");
    assert!(!dir.join("less").exists());
    let sentence = refused(dir, "import less.safetensors --config net.toml --out run");
    assert!(sentence.starts_with("error: "), "{sentence}");
}

/// The convolutions of the golden network under a head of three classes.
const CLASSIFIER: &str = r#"
layers = [
    { type = "conv", out = 6, kernel = 3, padding = 1 },
    { type = "batch_norm", eps = 1e-3, momentum = 0.3 },
    { type = "relu" },
    { type = "max_pool", kernel = 3, stride = 2 },
    { type = "upsample", factor = 2, mode = "bilinear" },
    { type = "dropout", p = 0.3 },
    { type = "conv", out = 8, kernel = 3, padding = 1, groups = 2 },
    { type = "leaky_relu", slope = 0.1 },
    { type = "global_avg_pool" },
    { type = "flatten" },
    { type = "linear", out = 3 },
]
"#;

/// A picture of 12x12 in one colour of its own, with a pattern over it.
fn patterned(k: usize) -> RgbImage {
    let base = [k * 71 % 256, k * 137 % 256, k * 29 % 256];
    RgbImage::from_fn(12, 12, |x, y| {
        let at = (x * 37 + y * 91) as usize * (k + 1) % 61;
        Rgb(base.map(|b| (b * 3 / 4 + at) as u8))
    })
}

#[test]
fn a_classifier_of_pytorch_is_imported_and_counted() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let mut tensors = weights("sequential_cnn", |name| ["0.", "1.", "6."].iter().any(|layer| name.starts_with(layer)));
    tensors.retain(|(name, ..)| !name.starts_with("16"));
    tensors.push(("10.weight".into(), vec![3, 8], normals(7, 24)));
    tensors.push(("10.bias".into(), vec![3], vec![0.0; 3]));

    // Logits in f64 of the same weights.
    let count = 24;
    let pictures: Vec<RgbImage> = (0..count).map(patterned).collect();
    let logits = |tensors: &[(String, Vec<usize>, Vec<f64>)]| {
        let graph = Graph::new();
        let scope = Scope::new(&graph, "");
        let x = graph.input("x", [count, 12, 12, 3]);
        let y = read(CLASSIFIER).network(&[12, 12, 3], "test").unwrap().forward(&scope, x, None, Mode::Eval);
        let pixels = pictures.iter().flat_map(|p| p.as_raw().iter().map(|b| f64::from(*b) / 127.5 - 1.0)).collect();
        let mut feeds = Feeds::from([("x".to_owned(), pixels)]);
        let of: HashMap<&str, (&[usize], &[f64])> =
            tensors.iter().map(|(name, shape, data)| (name.as_str(), (&shape[..], &data[..]))).collect();
        for spec in scope.params() {
            let (shape, data) = of[spec.name.as_str()];
            assert_eq!(shape, torch_shape(spec.layout, &spec.shape).to_vec(), "{}", spec.name);
            let data: Vec<f32> = data.iter().map(|v| *v as f32).collect();
            let own = from_torch(spec.layout, &spec.shape, &data);
            feeds.insert(spec.name.clone(), own.into_iter().map(f64::from).collect());
        }
        feeds.extend(scope.states().into_iter().map(|s| (s.name.clone(), of[s.name.as_str()].1.to_vec())));
        in_f64(&graph.freeze(&[("y".into(), y)]), &feeds)["y"].clone()
    };
    // A bias that brings all classes to the same mean, so that each is the largest somewhere.
    let first = logits(&tensors);
    let mean = |c: usize| first.iter().skip(c).step_by(3).sum::<f64>() / count as f64;
    tensors.last_mut().unwrap().2 = (0..3).map(|c| -mean(c)).collect();
    let logits = logits(&tensors);
    let largest = |row: &[f64]| (0..3).max_by(|&a, &b| row[a].total_cmp(&row[b])).unwrap();
    let found: Vec<usize> = logits.chunks(3).map(largest).collect();
    assert!((0..3).all(|class| found.contains(&class)), "{found:?}");
    for row in logits.chunks(3) {
        let mut sorted = row.to_vec();
        sorted.sort_by(f64::total_cmp);
        assert!(sorted[2] - sorted[1] > 1e-4, "a tie says nothing: {row:?}");
    }
    // Every fourth picture lies in the folder of another class.
    for (k, picture) in pictures.iter().enumerate() {
        let class = (found[k] + usize::from(k % 4 == 0)) % 3;
        put(dir, &format!("set/class{class}/{k:02}.png"), &png(picture.clone()));
        put(dir, &format!("flat/{k:02}.png"), &png(picture.clone()));
        put(dir, &format!("many/{}/{k:02}.png", k % 4), &png(picture.clone()));
    }
    write(&dir.join("c.safetensors"), &tensors, None);
    let head = "preset = \"faces32\"\n[data]\nsource = \"path\"\npath = \"set\"\nsize = 12\n[model]\nclasses = 3\n\
                kind = \"sequential\"\n[train]\ntask = \"classifier\"\n[model.c]\n";
    fs::write(dir.join("net.toml"), format!("{head}{CLASSIFIER}")).unwrap();
    let text = done(dir, "import c.safetensors --config net.toml --out run");
    assert!(text.starts_with(&format!("run: {} tensors of c.safetensors\n", tensors.len())), "{text}");
    assert!(!text.contains("danskin sample"), "a classifier draws nothing: {text}");
    let right = "accuracy 75.00 %: 18 of 24 images of set\n";
    let learnt = "accuracy 75.00 %: 18 of 24 images of set (training images)\n";
    assert_eq!(done(dir, "eval run --device host --data set"), learnt);
    // The set of the run, unless another is named; its path was written in full.
    assert!(done(dir, "eval run --device host").starts_with("accuracy 75.00 %: 18 of 24 images of "));

    // Where the data lies need not be known when the weights arrive.
    fs::write(dir.join("later.toml"), format!("{}{CLASSIFIER}", head.replace("path = \"set\"\n", ""))).unwrap();
    let text = done(dir, "import c.safetensors --config later.toml --out later");
    assert!(text.ends_with("danskin eval later; train it: danskin train --resume later --data PATH\n"), "{text}");
    assert_eq!(done(dir, "eval later --device host --data set"), right);
    let sentence = refused(dir, "eval later --device host");
    assert_eq!(sentence, "error: later/config.toml: data.path is not set: give --data PATH\n");
    let sentence = refused(dir, "train --resume later --device host");
    assert!(sentence.starts_with("error: later/config.toml: data.path is not set: name the folder"), "{sentence}");
    done(dir, "train --resume later --device host --data set --kimg 0.064");
    assert!(done(dir, "eval later --device host").ends_with(" of 24 images of set (training images)\n"));

    let sentence = refused(dir, "eval run --device host --data many");
    assert_eq!(sentence, "error: many: has the label 3, and the run knows 3 classes from 0\n");
    let sentence = refused(dir, "eval run --device host --data flat");
    assert_eq!(sentence, "error: flat: its images have no labels to compare with\n");
    let sentence = refused(dir, "eval run --device host --data nowhere");
    assert_eq!(sentence, "error: nowhere: no such file or folder\n");
    let sentence = refused(dir, "sample run --device host");
    assert!(sentence.contains("which draws nothing; count what it gets right with danskin eval"), "{sentence}");
    assert!(!dir.join("run/samples").join("seeds-000000.000.png").exists());
    // Other networks than the file's.
    let sentence = refused(dir, "import c.safetensors --config net.toml --set data.channels=1 --out other");
    assert!(sentence.contains("c.safetensors: ") && sentence.contains("has shape"), "{sentence}");
    let sentence = refused(dir, "import c.safetensors --config net.toml --set model.classes=4 --out other");
    assert_eq!(sentence, "error: net.toml: model.c ends in [3]: must end in [4]\n");
    assert!(!dir.join("other").exists());
}

#[test]
fn a_run_of_points_has_its_modes_counted() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    done(dir, "train ring8 --device host --batch 32 --kimg 0.032 --set model.hidden=16 --out run");
    let text = done(dir, "eval run --device host --samples 100 --json modes.json");
    assert!(text.contains(" of 8 modes, ") && text.contains("of 100 samples within 3 sigma"), "{text}");
    let json = fs::read_to_string(dir.join("modes.json")).unwrap();
    assert!(json.contains("\"high_quality\":") && json.contains("\"samples\":100"), "{json}");
    assert!(refused(dir, "eval run --device host --metrics fd").contains("is for images, and this run makes points"));
    assert!(refused(dir, "eval nowhere").starts_with("error: nowhere: is not a run folder"));
}

/// Stripes along x (class 0) or y (class 1), at a place and in a contrast of their own.
fn striped(class: u32, k: u32) -> RgbImage {
    RgbImage::from_fn(8, 8, |x, y| {
        let along = if class == 0 { x } else { y };
        let noise = (x * 7 + y * 13 + k * 29) * (k + 3) % 40;
        let light = if ((along + k) / 2).is_multiple_of(2) { 60 } else { 150 + k % 50 };
        Rgb([(light + noise) as u8; 3])
    })
}

const STRIPES: &str = r#"
preset = "faces32"
[data]
source = "path"
path = "set"
size = 8
channels = 1
[model]
kind = "sequential"
classes = 2
[optim]
lr = 0.01
[train]
task = "classifier"
batch = 16
kimg = 3.2
[model.c]
layers = [
    { type = "conv", out = 6, kernel = 3, padding = 1 },
    { type = "batch_norm" },
    { type = "relu" },
    { type = "max_pool", kernel = 2 },
    { type = "dropout", p = 0.2 },
    { type = "flatten" },
    { type = "linear", out = 2 },
]
"#;

/// The share in `accuracy 97.50 %: …`.
fn share(text: &str) -> f64 {
    text.split(' ').nth(1).unwrap().parse().unwrap()
}

#[test]
fn a_classifier_learns_and_goes_on_to_the_same_bits() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    for k in 0..40 {
        let class = k % 2;
        put(dir, &format!("set/{class}/{k:02}.png"), &png(striped(class, k)));
        put(dir, &format!("other/{class}/{k:02}.png"), &png(striped(class, 40 + k)));
    }
    fs::write(dir.join("net.toml"), STRIPES).unwrap();
    let train = "train --config net.toml --device host";
    let text = done(dir, &format!("{train} --out whole"));
    assert!(text.contains("accuracy "), "{text}");
    for (data, what) in [("set", "set (training images)"), ("other", "other")] {
        let text = done(dir, &format!("eval whole --device host --data {data}"));
        assert!(share(&text) > 90.0 && text.ends_with(&format!(" of 40 images of {what}\n")), "{text}");
    }
    // Before it has learnt, it knows less.
    let text = done(dir, "eval whole --device host --data other --checkpoint 0");
    assert!(share(&text) < 90.0, "{text}");

    done(dir, &format!("{train} --kimg 1.6 --out half"));
    done(dir, "train --resume half --device host --kimg 3.2");
    let [whole, half] = ["whole", "half"].map(|run| newest(&dir.join(run)));
    assert_eq!(whole.meta["step"], half.meta["step"]);
    assert_eq!(whole.tensors, half.tensors);
    // Streamed from the files it is the same run.
    done(dir, &format!("{train} --set data.mode=stream --out streamed"));
    assert_eq!(newest(&dir.join("streamed")).tensors, whole.tensors);

    // What does not fit is refused before there is a folder.
    for (set, part) in [
        ("model.classes=1", "model.classes 1: must be at least 2 for a classifier"),
        ("model.classes=3", "net.toml: model.c ends in [2]: must end in [3]"),
        ("model.kind=dcgan", "does not go with data.size 8: it makes images of 32, 64, 128 or 256"),
        ("data.source=faces", "must name a factor of the built-in faces, such as glasses, for a classifier"),
    ] {
        let sentence = refused(dir, &format!("train --config net.toml --device host --out new --set {set}"));
        assert!(sentence.starts_with("error: ") && sentence.contains(part), "{set}: {sentence}");
    }
    copy(&dir.join("set/0"), &dir.join("flat"));
    copy(&dir.join("set/0"), &dir.join("three/0"));
    copy(&dir.join("set/0"), &dir.join("three/1"));
    copy(&dir.join("set/0"), &dir.join("three/2"));
    let last = |data: &str| refused(dir, &format!("{train} --out new --data {data}"));
    assert!(last("flat").contains("its samples have no labels, which the game wants"), "{}", last("flat"));
    assert!(last("three").contains("it has 3 classes and the game knows 2"), "{}", last("three"));
    assert!(!dir.join("new").exists());
}

#[test]
fn a_classifier_learns_idx_files() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    for (name, from, count) in [("train", 0, 40u32), ("t10k", 40, 20)] {
        let labels: Vec<u8> = (0..count).map(|k| (k % 2) as u8).collect();
        let grey = |k: u32| striped(k % 2, from + k).pixels().map(|p| p.0[0]).collect::<Vec<u8>>();
        let pixels: Vec<u8> = (0..count).flat_map(grey).collect();
        put(dir, &format!("set/{name}-images-idx3-ubyte"), &idx(&[count, 8, 8], &pixels));
        put(dir, &format!("set/{name}-labels-idx1-ubyte"), &idx(&[count], &labels));
    }
    fs::write(dir.join("net.toml"), STRIPES).unwrap();
    done(dir, "train --config net.toml --device host --out run");
    let text = done(dir, "eval run --device host");
    assert!(share(&text) > 90.0 && text.ends_with(" of 40 images of set (training images)\n"), "{text}");
    let text = done(dir, "eval run --device host --test");
    assert!(share(&text) > 90.0 && text.ends_with(" of 20 images of set (test part)\n"), "{text}");
}

#[test]
fn a_classifier_tells_factors_of_the_built_in_faces() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let text = STRIPES
        .replace("source = \"path\"\npath = \"set\"", "label = \"glasses\"\ncount = 32")
        .replace("channels = 1", "channels = 3")
        .replace("classes = 2", "classes = 6")
        .replace("out = 2 }", "out = 6 }")
        .replace("kimg = 3.2", "kimg = 0.064");
    fs::write(dir.join("net.toml"), &text).unwrap();
    done(dir, "train --config net.toml --device host --out run");
    let text = done(dir, "eval run --device host");
    assert!(text.starts_with("accuracy ") && text.ends_with(" of 32 images of faces (training images)\n"), "{text}");
    let unseen = done(dir, "eval run --device host --test");
    assert!(unseen.ends_with(" of 32 images of faces (another population)\n"), "{unseen}");
    let sentence = refused(dir, "train --config net.toml --device host --out new --set data.label=monocle");
    assert!(sentence.contains("monocle") && sentence.contains("glasses"), "{sentence}");
    assert!(!dir.join("new").exists());
}
