//! Measures of generated images: against NumPy and SciPy, on sets whose answer is known, and as the program shows them.
//! `tests/goldens/metrics.py` made the file.

use crate::goldens::load;
use crate::primitives::gpu;
use crate::program::{done, run, stderr, tree};
use danskin::data::{faces, floats};
use danskin::device::Device;
use danskin::graph::Graph;
use danskin::host::{Rng, eval};
use danskin::metrics::{
    Extractor, Faces, FeatureGraph, FeatureNetwork, Features, Gaussian, frechet, kid, precision_recall, resize_matrix,
    resized,
};
use danskin::philox::normal_at;
use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

/// The features `name` of the golden file.
fn golden(name: &str) -> Features {
    let file = load("metrics");
    let (shape, values) = file.array(name);
    Features { values: values.iter().map(|v| *v as f32).collect(), dims: shape[1] }
}

/// Normal features around `mean` along the first axis.
fn drawn(seed: u64, count: usize, dims: usize, mean: f32) -> Features {
    let values = (0..count * dims).map(|i| {
        let shift = if i % dims == 0 { mean } else { 0.0 };
        normal_at(seed, 0, 0, i as u64) as f32 + shift
    });
    Features { values: values.collect(), dims }
}

fn joined(a: &Features, b: &Features) -> Features {
    Features { values: [a.values.as_slice(), &b.values].concat(), dims: a.dims }
}

#[test]
fn distances_are_those_of_numpy_and_scipy() {
    let (a, b, file) = (golden("a"), golden("b"), load("metrics"));
    let wanted = |name: &str| file.array(name).1.clone();
    let found = frechet(&Gaussian::of(&a).unwrap(), &Gaussian::of(&b).unwrap());
    assert!((found - wanted("frechet")[0]).abs() < 1e-6, "{found}");
    let back = frechet(&Gaussian::of(&b).unwrap(), &Gaussian::of(&a).unwrap());
    assert!((found - back).abs() < 1e-9, "{found} and {back}");
    for device in [Device::Host, gpu()] {
        // Of so few images every subset is all of them.
        let found = kid(&a, &b, &device).unwrap();
        assert!((found.mean - wanted("kid")[0]).abs() < 1e-5 && found.deviation < 1e-5, "{found:?}");
        let found = precision_recall(&a, &b, &device).unwrap();
        assert_eq!([found.precision, found.recall], wanted("precision_recall")[..], "{}", device.describe());
    }
}

/// Sets of one distribution have a KID of 0 on average; with the pairs of an image with itself it would be near 1 here.
#[test]
fn kid_has_no_bias() {
    let estimates: Vec<f64> = (0..40)
        .map(|k| kid(&drawn(2 * k, 30, 8, 0.0), &drawn(2 * k + 1, 30, 8, 0.0), &Device::Host).unwrap().mean)
        .collect();
    let n = estimates.len() as f64;
    let mean = estimates.iter().sum::<f64>() / n;
    let deviation = (estimates.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / (n - 1.0)).sqrt();
    assert!(mean.abs() < 3.0 * deviation / n.sqrt(), "{mean} with a standard error of {}", deviation / n.sqrt());
    assert!(estimates.iter().any(|v| *v < 0.0) && estimates.iter().any(|v| *v > 0.0), "{estimates:?}");
    let far = kid(&drawn(1, 300, 8, 2.0), &drawn(2, 300, 8, 0.0), &Device::Host).unwrap().mean;
    assert!(far > 1.0, "{far}");
}

#[test]
fn precision_and_recall_of_sets_whose_answer_is_known() {
    let of = |reals: &Features, fakes: &Features| precision_recall(reals, fakes, &Device::Host).unwrap();
    let (one, other) = (drawn(1, 100, 4, -50.0), drawn(2, 100, 4, 50.0));
    let reals = joined(&one, &other);
    // The reals themselves.
    let found = of(&reals, &reals);
    assert_eq!((found.precision, found.recall), (1.0, 1.0));
    // One of two clusters: real, and half of what there is.
    let found = of(&reals, &one);
    assert_eq!((found.precision, found.recall), (1.0, 0.5));
    // Twice as much as there is: half of it real, all of the reals reached.
    let found = of(&one, &reals);
    assert_eq!((found.precision, found.recall), (0.5, 1.0));
    // Somewhere else.
    let found = of(&reals, &drawn(3, 60, 4, 1000.0));
    assert_eq!((found.precision, found.recall), (0.0, 0.0));
    // One image again and again: its ball is a point.
    let same = Features { values: one.row(0).repeat(50), dims: 4 };
    let found = of(&reals, &same);
    assert_eq!((found.precision, found.recall), (1.0, 1.0 / 200.0));
    let few = precision_recall(&reals, &drawn(1, 3, 4, 0.0), &Device::Host).unwrap_err().to_string();
    assert!(few.contains("3 images have no 3 neighbours"), "{few}");
    // Far from the origin, where squares are large beside distances.
    let away = |set: &Features| Features { values: set.values.iter().map(|v| v + 3000.0).collect(), dims: set.dims };
    let found = of(&away(&drawn(4, 200, 4, 0.0)), &away(&drawn(5, 200, 4, 0.0)));
    assert!(found.precision > 0.7 && found.recall > 0.7, "{found:?}");
}

/// Images of many sizes and of both kinds; the graph in f64 is the truth.
#[test]
fn features_on_a_device_are_those_of_the_graph_in_f64() {
    let network = Arc::new(Faces::new().unwrap());
    for (size, channels) in [(32, 3), (64, 3), (48, 3), (28, 1), (16, 3)] {
        let rgb: Vec<f32> = floats(&faces::render_batch(9, 0, 5, size)).collect();
        let images: Vec<f32> = if channels == 3 { rgb } else { rgb.chunks(3).map(|pixel| pixel[1]).collect() };
        let graph = FeatureGraph::new(network.as_ref(), [size, size, channels], 5).unwrap();
        let mut feeds: HashMap<String, Vec<f64>> =
            graph.feeds.iter().map(|(name, values)| (name.clone(), wide(values))).collect();
        feeds.insert("images".into(), wide(&images));
        let truth = eval(&graph.dag, &feeds, Rng::default()).unwrap().remove("features").unwrap();
        assert!(truth.iter().any(|v| *v > 0.1));
        for device in [Device::Host, gpu()] {
            let mut extractor = Extractor::new(network.clone(), [size, size, channels], &device).unwrap();
            let found = extractor.features(&images).unwrap();
            assert_eq!((found.count(), found.dims), (5, network.dims()));
            let wrong = found.values.iter().zip(&truth).find(|(a, b)| (f64::from(**a) - *b).abs() > 1e-4 * (1.0 + b.abs()));
            assert_eq!(wrong, None, "{size} {channels} on {}", device.describe());
        }
    }
    let mut extractor = Extractor::new(network, [32, 32, 3], &Device::Host).unwrap();
    assert!(extractor.features(&[0.0; 100]).unwrap_err().to_string().contains("no whole number of images"));
}

fn wide(values: &[f32]) -> Vec<f64> {
    values.iter().map(|v| f64::from(*v)).collect()
}

/// Larger as PyTorch does; smaller by the mean of areas, along rows and columns alike.
#[test]
fn images_are_resized_by_the_rule() {
    let resize = |images: &[f64], from: usize, to: usize, channels: usize| {
        let graph = Graph::new();
        let out = resized(graph.input("images", [1, from, from, channels]), to);
        let dag = graph.freeze(&[("out".to_owned(), out)]);
        let feeds = HashMap::from([
            ("images".to_owned(), images.to_vec()),
            (format!("resize/{from}/{to}"), resize_matrix(from, to)),
        ]);
        eval(&dag, &feeds, Rng::default()).unwrap().remove("out").unwrap()
    };
    let file = load("metrics");
    let found = resize(&file.array("small").1, 28, 32, 1);
    let wrong = found.iter().zip(&file.array("large").1).find(|(a, b)| (**a - **b).abs() > 1e-12);
    assert_eq!(wrong, None);
    let image: Vec<f64> = (0..64 * 64 * 3).map(|i| normal_at(1, 2, 3, i)).collect();
    let found = resize(&image, 64, 32, 3);
    for (y, x, c) in [(0, 0, 0), (3, 17, 2), (31, 31, 1), (30, 2, 0)] {
        let at = |y: usize, x: usize| image[(y * 64 + x) * 3 + c];
        let mean = (at(2 * y, 2 * x) + at(2 * y + 1, 2 * x) + at(2 * y, 2 * x + 1) + at(2 * y + 1, 2 * x + 1)) / 4.0;
        assert!((found[(y * 32 + x) * 3 + c] - mean).abs() < 1e-12, "{y} {x} {c}");
    }
}

/// What a yardstick is for: more damage, more distance, and no distance between portraits and portraits.
#[test]
fn damage_is_seen() {
    let size = 32;
    let reals = |seed: u64| -> Vec<f32> { floats(&faces::render_batch(seed, 0, 400, size)).collect() };
    let mut extractor = Extractor::new(Arc::new(Faces::new().unwrap()), [size, size, 3], &Device::Host).unwrap();
    let mut fitted = |images: &[f32]| Gaussian::of(&extractor.features(images).unwrap()).unwrap();
    let (a, b) = (fitted(&reals(20)), reals(21));
    let floor = frechet(&a, &fitted(&b));
    let noisy = |size: f32| -> Vec<f32> {
        let noise = |i: usize| size * normal_at(5, 0, 0, i as u64) as f32;
        b.iter().enumerate().map(|(i, v)| (v + noise(i)).clamp(-1.0, 1.0)).collect()
    };
    let mut last = floor;
    for noise in [0.1, 0.3, 0.9] {
        let distance = frechet(&a, &fitted(&noisy(noise)));
        assert!(distance > 1.2 * last, "noise {noise}: {distance} after {last}, floor {floor}");
        last = distance;
    }
    // A generator that makes few different images.
    let few: Vec<f32> = b[..20 * size * size * 3].repeat(20);
    let collapsed = frechet(&a, &fitted(&few));
    assert!(collapsed > 2.0 * floor, "{collapsed}, floor {floor}");
}

/// A GAN of seconds, measured as it trains.
const RUN: &str = "train faces32 --device host --set data.count=200 --set model.g_width=8 --set model.d_width=8 --set model.z=8 --batch 8 \
                   --set log.every_steps=4 --set checkpoint.every_kimg=1 --set checkpoint.keep=2 --set eval.samples=70 \
                   --eval-every 0.032";

/// The lines of a run without the time they took.
fn lines(run: &Path) -> Vec<serde_json::Value> {
    let text = std::fs::read_to_string(run.join("metrics.jsonl")).unwrap();
    let parse = |line: &str| {
        let mut object: serde_json::Value = serde_json::from_str(line).unwrap();
        let seconds = object.as_object_mut().unwrap().remove("seconds").unwrap();
        assert!(seconds.as_f64().unwrap() > 0.0);
        object
    };
    text.lines().map(parse).collect()
}

#[test]
fn a_run_measures_itself_and_goes_on_measuring() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    let text = done(dir.path(), &format!("{RUN} --kimg 0.1 --out whole"));
    assert!(text.contains("70 samples are measured by fd, kid, pr in features \"faces\""), "{text}");
    assert!(text.contains("measured: FD ") && text.contains(", the best so far"), "{text}");
    let whole = lines(&at("whole"));
    let places: Vec<f64> = whole.iter().map(|line| line["kimg"].as_f64().unwrap()).collect();
    assert_eq!(places, [0.032, 0.064, 0.096, 0.104]);
    for line in &whole {
        assert_eq!((line["features"].as_str(), line["samples"].as_u64()), (Some("faces"), Some(70)));
        for key in ["fd", "fd_floor", "kid", "kid_floor", "precision", "precision_floor", "recall", "recall_floor"] {
            assert!(line[key].as_f64().unwrap().is_finite(), "{key} in {line}");
        }
        assert_eq!(line["fd_floor"], whole[0]["fd_floor"]);
    }
    // The best is kept, though only two are, and used.
    let distance = |line: &serde_json::Value| line["fd"].as_f64().unwrap();
    let best = whole.iter().min_by(|a, b| distance(a).total_cmp(&distance(b))).unwrap();
    let marked = std::fs::read_to_string(at("whole/checkpoints/best")).unwrap();
    let name = format!("{:07.3}", best["kimg"].as_f64().unwrap());
    assert!(marked.contains(&name) && at("whole/checkpoints").join(&marked).is_file(), "{marked} is not {name}");
    let picture = done(dir.path(), "sample whole --device host --grid 2x1 --out x.png");
    assert!(picture.contains("x.png"));
    assert!(done(dir.path(), "eval whole --device host --samples 70").contains(&marked));

    // In two parts, and killed after the checkpoint that it had not measured yet.
    done(dir.path(), &format!("{RUN} --kimg 0.064 --out parts"));
    assert_eq!(lines(&at("parts")).len(), 2);
    let kept = std::fs::read_to_string(at("parts/metrics.jsonl")).unwrap();
    std::fs::write(at("parts/metrics.jsonl"), kept.lines().next().unwrap().to_owned() + "\n").unwrap();
    std::fs::remove_file(at("parts/checkpoints/best")).unwrap();
    done(dir.path(), "train --device host --resume parts");
    assert_eq!(lines(&at("parts")), whole[..2]);
    assert!(done(dir.path(), "train --device host --resume parts").contains("already finished"));
    done(dir.path(), "train --device host --resume parts --kimg 0.1");
    assert_eq!(lines(&at("parts")), whole);
    assert_eq!(std::fs::read_to_string(at("parts/checkpoints/best")).unwrap(), marked);
}

#[test]
fn evaluation_as_a_command() {
    let dir = tempfile::tempdir().unwrap();
    let train = RUN.replace("--eval-every 0.032", "--kimg 0.016");
    done(dir.path(), &format!("{train} --out gan"));
    assert!(!dir.path().join("gan/metrics.jsonl").exists());
    let text = done(dir.path(), "eval gan --device host --samples 80 --metrics fd,pr --neighbours sheet.png");
    for part in ["80 samples, features \"faces\"", "\nFD ", "\nprecision ", "\nrecall ", "\ngap ", "another population"] {
        assert!(text.contains(part), "{part} in {text}");
    }
    assert!(!text.contains("KID") && !text.contains("FID"), "{text}");
    let sheet = image::open(dir.path().join("sheet.png")).unwrap();
    assert!(sheet.width() >= 11 * 32 && sheet.height() >= 12 * 32, "{} x {}", sheet.width(), sheet.height());
    // A set of one's own that is not divided: halves.
    std::fs::create_dir(dir.path().join("photos")).unwrap();
    for (k, face) in faces::render_batch(77, 0, 40, 32).chunks(32 * 32 * 3).enumerate() {
        let path = dir.path().join(format!("photos/{k}.png"));
        image::RgbImage::from_raw(32, 32, face.to_vec()).unwrap().save(path).unwrap();
    }
    let output = run(dir.path(), "eval gan --device host --data photos");
    let (text, warned) = (String::from_utf8_lossy(&output.stdout).into_owned(), stderr(&output));
    assert!(output.status.success() && text.contains("half of the set") && !text.contains("gap"), "{text}{warned}");
    assert!(warned.contains("photos has too few images for 2048: all sets are of 20") && warned.contains("singular"), "{warned}");
    done(dir.path(), "train ring8 --device host --kimg 0.2 --out ring");
    assert!(done(dir.path(), "eval ring --device host").contains(" of 8 modes, "));
    let before = tree(dir.path());
    for (words, part) in [
        ("eval gan --metrics fid", "--metrics fid: must be a list of some of fd, kid, pr, modes"),
        ("eval gan --samples 3", "3 is not in 4..=1000000"),
        ("eval gan --test", "--test is given: is for classifiers"),
        ("eval gan --checkpoint best", "names no best checkpoint"),
        ("eval gan --data nowhere", "nowhere: no such file or folder"),
        ("eval gan --neighbours x.jpg", "must end in .png"),
        ("eval ring --metrics fd", "--metrics is given: is for images"),
        ("train faces32 --set eval.metrics=fd,fid", "eval.metrics \"fd,fid\": must be a list of some of fd, kid, pr"),
        ("train faces32 --eval-every -1", "eval.every_kimg"),
        ("features --out sheet.png", "is there already"),
        ("features --out f.safetensors --kimg 0", "--kimg 0: must be from 1"),
    ] {
        let output = run(dir.path(), &format!("{words} --device host"));
        assert!(!output.status.success() && stderr(&output).contains(part), "{words}: {}", stderr(&output));
    }
    assert!(tree(dir.path()) == before, "something was written");
}
