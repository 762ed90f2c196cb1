//! The search for the latents of an image: its gradient, its steps, what it finds, and `danskin project` as a user meets it.

use crate::harness::device as gpu;
use crate::numeric::{Feeds, RNG, check_gradient, normals, values};
use crate::program::{done, run, stderr, tree};
use danskin::autodiff::grad;
use danskin::device::Device;
use danskin::graph::{Graph, Tensor};
use danskin::host::eval;
use danskin::loss::{image_distance, pixel_distance, untypical};
use danskin::nn::{Scope, Sequential};
use danskin::optim::Flat;
use danskin::train::Projector;
use danskin::train::games::Projection;
use danskin::train::games::projection::{BEST, LATENTS};
use std::sync::Arc;

const Z: usize = 6;
const SIDE: usize = 8;
const ELEMS: usize = SIDE * SIDE * 3;
/// Of the weights.
const SEED: u64 = 5;

/// A small generator with weights as they are at the start.
fn search(starts: usize, prior: f64) -> Projection {
    let layers = r#"
        layers = [
            { type = "linear", out = 48 },
            { type = "leaky_relu" },
            { type = "reshape", shape = [12, 2, 2] },
            { type = "conv_transpose", out = 8, kernel = 4, stride = 2, padding = 1 },
            { type = "leaky_relu" },
            { type = "conv_transpose", out = 3, kernel = 4, stride = 2, padding = 1 },
            { type = "tanh" },
        ]
    "#;
    let layers: Sequential = toml::from_str(layers).unwrap();
    let generator = Arc::new(layers.network(&[Z], "test").unwrap());
    Projection { generator, name: "G".into(), sample: vec![SIDE, SIDE, 3], classes: 0, starts, prior }
}

/// Its weights by name.
fn weights(scope: &Scope) -> Feeds {
    let flat = Flat::new(scope.params());
    let all = flat.init(SEED);
    let of = |at: usize, len: usize| all[at..at + len].iter().map(|v| f64::from(*v)).collect();
    flat.entries.iter().map(|e| (e.spec.name.clone(), of(e.offset, e.spec.shape.elems()))).collect()
}

fn projector(starts: usize, prior: f64, device: &Device) -> Projector {
    let mut projector = Projector::new(&search(starts, prior), device).unwrap();
    projector.initialise(SEED).unwrap();
    projector
}

fn host() -> Device {
    Device::select("host").unwrap().0
}

/// What the generator makes of one of the latents that a search starts from.
fn known(projector: &mut Projector) -> (Vec<f32>, Vec<f32>) {
    projector.begin(&[0.0; ELEMS], None, 77, 0.0, 1).unwrap();
    projector.advance(1).unwrap();
    let found = projector.best().unwrap();
    (found.latents, found.image)
}

fn distance(a: &[f32], b: &[f32]) -> f64 {
    let squares: f64 = a.iter().zip(b).map(|(a, b)| f64::from(a - b).powi(2)).sum();
    (squares / a.len() as f64).sqrt()
}

#[test]
fn distances_are_what_they_say() {
    let graph = Graph::new();
    let (x, y) = (graph.input("x", [2, 8, 8, 1]), graph.input("y", [2, 8, 8, 1]));
    let z = graph.input("z", [2, 4]);
    let feeds = Feeds::from([
        ("x".to_owned(), normals(1, 128)),
        ("y".to_owned(), normals(2, 128)),
        ("z".to_owned(), normals(3, 8)),
    ]);
    fn features(x: Tensor<'_>) -> Vec<Tensor<'_>> {
        vec![x.slice(&[0, 0, 0, 0], [2, 8, 4, 1]).scale(3.0), x.square()]
    }
    let found = values(&[pixel_distance(x, y), image_distance(x, y, Some(&features)), untypical(z)], &feeds);
    for row in 0..2 {
        let at = |name: &str, k: usize| feeds[name][row * 64 + k];
        let mean = |n: usize, f: &dyn Fn(usize) -> f64| (0..n).map(f).sum::<f64>() / n as f64;
        let difference = |k: usize| at("x", k) - at("y", k);
        // Means of squares of 2 by 2 pixels.
        let pooled = |k: usize| {
            let (r, c) = (2 * (k / 4), 2 * (k % 4));
            mean(4, &|i| difference((r + i / 2) * 8 + c + i % 2))
        };
        let pixels = mean(64, &|k| difference(k).powi(2))
            + (mean(64, &|k| difference(k).abs()) + mean(16, &|k| pooled(k).abs())) / 2.0;
        assert!((found[0][row] - pixels).abs() < 1e-12, "{} {pixels}", found[0][row]);
        let first = mean(32, &|k| (3.0 * difference(k / 4 * 8 + k % 4)).powi(2));
        let second = mean(64, &|k| (at("x", k).powi(2) - at("y", k).powi(2)).powi(2));
        assert!((found[1][row] - pixels - (first + second) / 2.0).abs() < 1e-12);
        let length = mean(4, &|k| feeds["z"][row * 4 + k].powi(2));
        assert!((found[2][row] - (length - 1.0).powi(2)).abs() < 1e-12);
    }
}

#[test]
fn the_gradient_by_latents_equals_central_differences() {
    let graph = Graph::new();
    let scope = Scope::new(&graph, "G");
    let (z, wanted) = (graph.state("z", [3, Z]), graph.input("wanted", [3, SIDE, SIDE, 3]));
    let (_, loss) = search(3, 0.05).loss(&scope, z, wanted, None, None);
    let mut feeds = weights(&scope);
    feeds.insert("z".into(), normals(8, 3 * Z));
    feeds.insert("wanted".into(), normals(9, 3 * ELEMS).iter().map(|v| v.tanh()).collect());
    let largest = check_gradient("projection", loss.sum_all(), &[z], &feeds, 4);
    assert!(largest > 1e-2, "{largest}");
}

/// Six steps against Adam written out in f64, the learning rate on its way down among them, and the least loss of each row.
#[test]
fn steps_are_those_of_adam() {
    let (starts, steps, rate) = (3, 6, 0.03);
    let (mut on_host, mut on_gpu) = (projector(starts, 0.05, &host()), projector(starts, 0.05, &gpu_device()));
    let (_, target) = known(&mut on_host);
    let graph = Graph::new();
    let scope = Scope::new(&graph, "G");
    let (z, wanted) = (graph.state("z", [starts, Z]), graph.input("wanted", [starts, SIDE, SIDE, 3]));
    let (_, loss) = search(starts, 0.05).loss(&scope, z, wanted, None, None);
    let dag = graph.freeze(&[("g".into(), grad(loss.sum_all(), &[z])[0]), ("loss".into(), loss)]);
    let mut feeds = weights(&scope);
    feeds.insert("wanted".into(), target.repeat(starts).iter().map(|v| f64::from(*v)).collect());
    for projector in [&mut on_host, &mut on_gpu] {
        projector.begin(&target, None, 3, rate, steps).unwrap();
        let mut at: Vec<f64> = projector.kept(LATENTS).unwrap().iter().map(|v| f64::from(*v)).collect();
        let (mut m, mut v, mut best) = (vec![0.0; at.len()], vec![0.0; at.len()], vec![f64::MAX; starts]);
        for step in 0..steps as i32 {
            feeds.insert("z".into(), at.clone());
            let found = eval::<f64>(&dag, &feeds, RNG).unwrap();
            best.iter_mut().zip(&found["loss"]).for_each(|(best, loss)| *best = best.min(*loss));
            let rate = rate * ((1.0 - f64::from(step) / f64::from(steps)) / 0.25).min(1.0);
            for (k, g) in found["g"].iter().enumerate() {
                m[k] = 0.9 * m[k] + 0.1 * g;
                v[k] = 0.999 * v[k] + 0.001 * g * g;
                let (m, v) = (m[k] / (1.0 - 0.9f64.powi(step + 1)), v[k] / (1.0 - 0.999f64.powi(step + 1)));
                at[k] -= rate * m / (v.sqrt() + 1e-8);
            }
        }
        assert_eq!(projector.advance(4).unwrap(), 2);
        assert_eq!(projector.advance(9).unwrap(), 0);
        let close = |got: &[f32], want: &[f64], most: f64| {
            let far = got.iter().zip(want).map(|(g, w)| (f64::from(*g) - w).abs()).fold(0.0, f64::max);
            assert!(far < most, "{far}");
        };
        close(&projector.kept(LATENTS).unwrap(), &at, 2e-4);
        close(&projector.kept(BEST).unwrap(), &best, 1e-5);
    }
}

fn gpu_device() -> Device {
    Device::select(&gpu().facts().id).unwrap().0
}

/// The image of known latents is found again: far nearer than the best of as many random latents comes; one submission for any number
/// of steps.
#[test]
fn a_known_image_is_found_again() {
    let (starts, steps) = (4, 240);
    let mut projector = projector(starts, 0.001, &host());
    let (latents, target) = known(&mut projector);
    let random = (0..u64::from(steps)).map(|seed| {
        projector.begin(&target, None, 1000 + seed, 0.0, 1).unwrap();
        projector.advance(1).unwrap();
        distance(&projector.best().unwrap().image, &target)
    });
    let random = random.fold(f64::MAX, f64::min);
    let searched = |projector: &mut Projector| {
        projector.begin(&target, None, 3, 0.05, steps).unwrap();
        let before = projector.counters().submissions;
        assert_eq!(projector.advance(steps).unwrap(), 0);
        assert!(projector.counters().submissions <= before + 1);
        projector.best().unwrap()
    };
    let on_gpu = searched(&mut self::projector(starts, 0.001, &gpu_device()));
    for found in [searched(&mut projector), on_gpu] {
        let (error, off) = (distance(&found.image, &target), distance(&found.latents, &latents));
        assert!(error < 0.1 * random, "{error} by search, {random} at random; latents {off} off");
        assert!(off < 0.1, "latents are {off} off");
    }
}

fn refused(dir: &std::path::Path, words: &str) -> String {
    let output = run(dir, words);
    assert_eq!(output.status.code(), Some(1), "{words}");
    stderr(&output)
}

#[test]
fn an_image_is_projected_and_drawn_again() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    done(
        dir,
        "train faces32 --device host --batch 4 --kimg 0.008 --set model.g_width=4 --set model.d_width=4 --set model.z=8 \
         --set data.count=32 --set sample.count=2x2 --out run",
    );
    image::RgbImage::from_fn(50, 40, |x, y| image::Rgb([5 * x as u8, 6 * y as u8, 90]))
        .save(dir.join("face.png"))
        .unwrap();
    let project = "project face.png run --device host --steps 6 --starts 2";
    let text = done(dir, &format!("{project} --out found.png --film search.gif"));
    assert!(text.starts_with("face.png: 50x40, its central square resized to 32x32\n"), "{text}");
    assert!(text.contains("found.png  found.safetensors\nsearch.gif\n"), "{text}");
    // The same bytes again, and the same image from the latents.
    done(dir, &format!("{project} --out again.png --film again.gif"));
    let files = tree(dir);
    for (one, other) in
        [("found.png", "again.png"), ("found.safetensors", "again.safetensors"), ("search.gif", "again.gif")]
    {
        assert!(files[one] == files[other], "{one}");
    }
    done(dir, "sample run --device host --latents found.safetensors --each drawn");
    let drawn = image::open(dir.join("drawn/00000000.png")).unwrap().into_rgb8();
    let picture = image::open(dir.join("found.png")).unwrap().into_rgb8();
    let times = picture.height() / 36;
    let far = drawn.enumerate_pixels().map(|(x, y, pixel)| {
        let shown = picture.get_pixel(times * (36 + x), times * (2 + y));
        (0..3).map(|c| pixel[c].abs_diff(shown[c])).max().unwrap()
    });
    assert!(far.max().unwrap() <= 1);
    for (words, sentence) in [
        (
            format!("{project} --out found.png"),
            "command line: --out found.png: is there already; name another, or remove it",
        ),
        (
            format!("{project} --out new.png --latents found.safetensors"),
            "command line: --latents found.safetensors: is there already",
        ),
        (
            format!("{project} --out new.png --film new.webp"),
            "command line: --film new.webp: films are not written as WebP",
        ),
        (format!("{project} --out new.png --film new.png"), "command line: --film new.png: is the file of --out too"),
        (
            format!("{project} --out new/new.png"),
            "command line: --out new/new.png: there is no folder new; make it first",
        ),
        (format!("{project} --out new.png --class 1"), "command line: --class 1: this run knows no classes"),
        ("project nothing.png run --device host --out new.png".into(), "nothing.png: reading the image: "),
        ("project face.png face.png --device host --out new.png".into(), "face.png: is not a run folder"),
    ] {
        let said = refused(dir, &words);
        assert!(said.starts_with(&format!("error: {sentence}")) && said.lines().count() == 1, "{words}: {said}");
    }
    done(dir, "train ring8 --device host --batch 32 --kimg 0.032 --set model.hidden=16 --out points");
    let said = refused(dir, "project face.png points --device host --out new.png");
    assert!(said.starts_with("error: points: ") && said.contains("has no generator of images"), "{said}");
    assert!(tree(dir).keys().all(|name| !name.starts_with("new")));
}
