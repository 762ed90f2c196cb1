//! `danskin sample` beyond a plain grid: what files say of themselves, truncation, all classes, films.

use crate::program::{done, run, stderr, tree};
use danskin::train::slerp;
use image::{AnimationDecoder, ImageDecoder, RgbImage};
use std::collections::HashMap;
use std::fs;
use std::io::{BufReader, Cursor};
use std::path::Path;

/// A run that knows two classes of images.
fn workshop() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (class, level) in [("dark", 20), ("light", 200)] {
        fs::create_dir_all(dir.path().join("set").join(class)).unwrap();
        for k in 0..16u8 {
            let picture = RgbImage::from_fn(32, 32, |x, _| image::Rgb([level + k, level + x as u8, level]));
            picture.save(dir.path().join("set").join(class).join(format!("{k}.png"))).unwrap();
        }
    }
    done(
        dir.path(),
        "train faces32 --device host --batch 4 --kimg 0.016 --set model.g_width=4 --set model.d_width=4 --set model.z=8 --set \
         model.classes=2 --set sample.count=2x2 --data set --out run",
    );
    dir
}

/// The notes of a PNG file.
fn notes(path: &Path) -> HashMap<String, String> {
    let decoder = png::Decoder::new(BufReader::new(fs::File::open(path).unwrap()));
    let reader = decoder.read_info().unwrap();
    let info = reader.info();
    let plain = info.uncompressed_latin1_text.iter().map(|chunk| (chunk.keyword.clone(), chunk.text.clone()));
    let wide = info.utf8_text.iter().map(|chunk| (chunk.keyword.clone(), chunk.get_text().unwrap()));
    plain.chain(wide).collect()
}

fn open(path: &Path) -> RgbImage {
    image::open(path).unwrap().into_rgb8()
}

#[test]
fn pictures_say_how_they_were_made() {
    let dir = workshop();
    let dir = dir.path();
    done(dir, "sample run --device host --seeds 1,4-6 --class 1 --trunc 0.75 --out grid.png --each single");
    let version = concat!("danskin ", env!("CARGO_PKG_VERSION"));
    let common = [
        ("Software", version),
        ("run", "run"),
        ("preset", "faces32"),
        ("kimg", "0.016"),
        ("class", "1"),
        ("truncation", "0.75"),
    ];
    for (file, seeds) in [("grid.png", "1,4-6"), ("single/00000005.png", "5")] {
        let wanted = common.into_iter().chain([("seeds", seeds)]);
        let wanted: HashMap<String, String> = wanted.map(|(k, v)| (k.to_owned(), v.to_owned())).collect();
        assert_eq!(notes(&dir.join(file)), wanted, "{file}");
    }
    // A name beyond ASCII goes into iTXt.
    fs::rename(dir.join("run"), dir.join("läuft")).unwrap();
    done(dir, "sample läuft --device host --seeds 1 --out other.png");
    assert_eq!(notes(&dir.join("other.png"))["run"], "läuft");
}

#[test]
fn truncation_leads_all_samples_to_one() {
    let dir = workshop();
    let dir = dir.path();
    for (psi, folder) in [("0", "none"), ("0.5", "half"), ("1", "all")] {
        done(dir, &format!("sample run --device host --seeds 0-3 --class 0 --trunc {psi} --each {folder}"));
    }
    done(dir, "sample run --device host --seeds 0-3 --class 0 --each plain");
    let image = |folder: &str, k: usize| open(&dir.join(folder).join(format!("0000000{k}.png")));
    assert!((1..4).all(|k| image("none", k) == image("none", 0)), "at 0 all are the mean's");
    assert!((0..4).all(|k| image("all", k) == image("plain", k)), "at 1 nothing changes");
    let far = |a: &RgbImage, b: &RgbImage| a.iter().zip(b.iter()).map(|(a, b)| u64::from(a.abs_diff(*b))).sum::<u64>();
    for k in 0..4 {
        let (mean, half, all) = (image("none", k), image("half", k), image("all", k));
        assert!(0 < far(&half, &mean) && far(&half, &mean) < far(&all, &mean), "{k}");
    }
}

#[test]
fn every_class_has_a_row_of_the_same_latents() {
    let dir = workshop();
    let dir = dir.path();
    done(dir, "sample run --device host --classes --seeds 3,8,9 --out rows.png");
    let rows = open(&dir.join("rows.png"));
    let times = rows.width() / (2 + 3 * 34);
    assert_eq!(rows.dimensions(), (times * (2 + 3 * 34), times * (2 + 2 * 34)));
    for class in 0..2 {
        done(dir, &format!("sample run --device host --class {class} --seeds 3,8,9 --each class{class}"));
        for (column, seed) in [3, 8, 9].into_iter().enumerate() {
            for (x, y, pixel) in open(&dir.join(format!("class{class}/0000000{seed}.png"))).enumerate_pixels() {
                let (x, y) = (2 + 34 * column as u32 + x, 2 + 34 * class + y);
                assert_eq!(rows.get_pixel(times * x, times * y), pixel, "class {class}, seed {seed}");
            }
        }
    }
    assert_eq!(notes(&dir.join("rows.png"))["class"], "0-1, a row each");
}

#[test]
fn a_film_goes_through_its_seeds_and_back() {
    let dir = workshop();
    let dir = dir.path();
    // Two cells, of the classes 0 and 1; each through two seeds, three frames from one to the next.
    let film = "sample run --device host --seeds 5-8 --interpolate 2 --frames 3 --fps 10 --grid 2x1";
    for name in ["a.png", "b.png", "a.gif"] {
        done(dir, &format!("{film} --out {name}"));
    }
    let files = tree(dir);
    assert!(files["a.png"] == files["b.png"], "the same bytes");
    let said = notes(&dir.join("a.png"));
    assert_eq!((said["seeds"].as_str(), said["interpolation"].as_str()), ("5-8", "2 stops, 3 frames each"));
    let bytes = files["a.png"].clone().unwrap();
    let decoder = image::codecs::png::PngDecoder::new(Cursor::new(bytes)).unwrap();
    let (width, _) = decoder.dimensions();
    let frames = decoder.apng().unwrap().into_frames().collect_frames().unwrap();
    let gif = image::codecs::gif::GifDecoder::new(Cursor::new(files["a.gif"].clone().unwrap())).unwrap();
    assert_eq!((frames.len(), gif.into_frames().collect_frames().unwrap().len()), (6, 6));
    assert!(frames.iter().all(|frame| frame.delay().numer_denom_ms() == (100, 1)));
    // Each frame is what the latents on the way make: computed here, drawn by the same command.
    let own = |seed: u32| -> Vec<f32> {
        (0..8).map(|i| danskin::philox::normal_at(config_seed(dir), 100, seed, i) as f32).collect()
    };
    let times = width / (2 + 2 * 34);
    for (cell, [from, to]) in [[5, 6], [7, 8]].into_iter().enumerate() {
        let ends = [own(from), own(to)];
        let way = (0..6).flat_map(|k| slerp(&ends[k / 3 % 2], &ends[(k / 3 + 1) % 2], (k % 3) as f64 / 3.0));
        save_latents(&dir.join(format!("way{cell}.safetensors")), way.collect(), 8);
        done(dir, &format!("sample run --device host --latents way{cell}.safetensors --class {cell} --each way{cell}"));
        for (k, frame) in frames.iter().enumerate() {
            for (x, y, pixel) in open(&dir.join(format!("way{cell}/0000000{k}.png"))).enumerate_pixels() {
                let shown = frame.buffer().get_pixel(times * (2 + 34 * cell as u32 + x), times * (2 + y));
                assert_eq!(shown.0[..3], pixel.0, "cell {cell}, frame {k}");
            }
        }
    }
}

fn config_seed(dir: &Path) -> u64 {
    danskin::config::Config::read(&dir.join("run/config.toml")).unwrap().train.seed
}

fn save_latents(path: &Path, values: Vec<f32>, z: usize) {
    use danskin::train::checkpoint::{Checkpoint, NamedTensor, Values};
    let shape = vec![values.len() / z, z];
    let latents = NamedTensor { name: "latents".into(), shape, data: Values::F32(values) };
    Checkpoint { tensors: vec![latents], meta: Default::default() }.save(path).unwrap();
}

#[test]
fn what_can_not_be_drawn_is_refused_and_nothing_is_left() {
    let dir = workshop();
    let dir = dir.path();
    done(dir, "train ring8 --device host --batch 32 --kimg 0.032 --set model.hidden=16 --out points");
    done(dir, "sample run --device host --seeds 1 --each single --out there.png");
    let before = tree(dir);
    for (words, sentence) in [
        (
            "sample run --seeds 1 --out there.png",
            "command line: --out there.png: is there already; name another, or remove it",
        ),
        ("sample run --seeds 0-3 --each single", "command line: --each single/00000001.png: is there already"),
        ("sample run --seeds 1 --out a.gif", "command line: --out a.gif: must end in .png where no film is asked for"),
        ("sample run --class 2 --out a.png", "command line: --class 2: this run has the classes 0 to 1"),
        ("sample points --classes --out a.png", "points: model.classes 0: there is no class to draw a row of"),
        (
            "sample points --interpolate 2 --out a.png",
            "command line: --interpolate 2: this run makes points of the plane",
        ),
        (
            "sample run --interpolate 3 --seeds 0-3 --out a.png",
            "command line: --seeds (4 of them): each cell of the grid goes through --interpolate 3",
        ),
        (
            "sample run --interpolate 2 --seeds 0-3 --grid 2x2 --out a.png",
            "command line: --seeds (4 of them): each of 4 cells goes through",
        ),
        (
            "sample run --interpolate 1000 --frames 1000 --out a.png",
            "command line: --frames 1000: 1000000 frames of 1 images are too many",
        ),
    ] {
        let output = run(dir, &format!("{words} --device host"));
        let said = stderr(&output);
        assert_eq!(output.status.code(), Some(1), "{words}: {said}");
        assert!(said.starts_with(&format!("error: {sentence}")) && said.lines().count() == 1, "{words}: {said}");
    }
    assert!(tree(dir) == before);
    // Without a name the next free one is taken.
    done(dir, "sample run --device host --seeds 1");
    done(dir, "sample run --device host --seeds 2");
    let names: Vec<String> =
        tree(&dir.join("run/samples")).into_keys().filter(|name| name.starts_with("seeds")).collect();
    assert_eq!(names, ["seeds-000000.016-2.png", "seeds-000000.016.png"]);
}
