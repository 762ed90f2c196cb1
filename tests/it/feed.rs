//! The door for data: every kind of source under one interface, and runs that read from each.

use crate::data::craft::{gzip, idx, picture, png, put, zip};
use crate::program::{done, tree};
use crate::training::{SMALL, config, trainer};
use danskin::data::toys::{self, Toy};
use danskin::data::{DataSet, DrawRule};
use danskin::device::Device;
use danskin::train::checkpoint::Checkpoint;
use danskin::train::{Feed, Settings, Trainer};
use std::path::Path;
use tempfile::tempdir;

fn open(set: &[&str]) -> Feed {
    Feed::open(&config("faces32", set), &|_, _| {}).unwrap()
}

#[test]
fn a_set_in_memory() {
    let images: Vec<u8> = (0..48).collect();
    let set = DataSet::from_images("mine", images, Some(vec![0, 1, 0, 1]), [2, 2, 3]).unwrap();
    let (words, fingerprint) = (set.words(), set.fingerprint());
    let mut feed = Feed::from_set(set, true);
    assert_eq!((feed.sample_shape(), feed.count(), feed.labelled()), (&[2, 2, 3][..], Some(4), true));
    assert_eq!((feed.classes().join(" ").as_str(), feed.fingerprint()), ("0 1", fingerprint));
    assert_eq!((feed.description.as_str(), feed.preview.len()), ("4 images of mine at 2x2", 64 * 12));
    let resident = feed.resident().unwrap();
    assert_eq!((resident.count, resident.mirror, resident.labels), (4, true, true));
    assert_eq!(feed.take_words(), Some((words, Some(vec![0, 1, 0, 1]))));
    assert_eq!(feed.take_words(), None, "given once");
    let message = feed.batch(0, 0, 5, 0, 2).unwrap_err().to_string();
    assert!(message.ends_with("the device draws the batches of a resident set"), "{message}");
}

#[test]
fn toys_and_streams() {
    let mut feed = Feed::toy(Toy::Grid25);
    assert_eq!((feed.sample_shape(), feed.count(), feed.labelled()), (&[2][..], None, false));
    assert_eq!((feed.fingerprint().as_str(), feed.resident().is_none()), ("toy-grid25", true));
    let batch = feed.batch(3, 4, 5, 60, 6).unwrap();
    assert_eq!((batch.values, batch.labels), (toys::batch(Toy::Grid25, 3, 4, 5, 6), None));

    let faces = ["data.count=10", "data.size=32", "data.label=smile", "data.mirror=on"];
    let mut stream = open(&[&faces[..], &["data.mode=stream"]].concat());
    let set = danskin::data::load(
        &danskin::data::Spec::new(danskin::data::Source::Faces { seed: 0, count: 10, label: Some("smile".into()) }, 32),
        &|_, _| {},
    );
    let set = set.unwrap();
    assert_eq!((stream.sample_shape(), stream.count()), (&[32, 32, 3][..], Some(10)));
    assert_eq!((stream.classes().join(" ").as_str(), stream.labelled()), ("low high", true));
    for (id, first, step) in [(5, 0, 0), (6, 0, 1), (5, 4, 1), (5, 8, 2), (6, 4, 3)] {
        let rule = DrawRule { seed: 7, stream: id, n: 4, mirror: true, crop: 0 };
        let batch = stream.batch(7, step, id, first, 4).unwrap();
        assert_eq!(batch.values, set.batch(&rule, first, step));
        assert_eq!(batch.labels, set.batch_labels(&rule, first));
    }
    // The same population has one name, streamed or resident; its seed is not that of the run.
    let resident = open(&faces);
    assert_eq!((resident.fingerprint(), &resident.preview), (stream.fingerprint(), &stream.preview));
    assert_eq!(open(&[&faces[..], &["train.seed=5"]].concat()).fingerprint(), resident.fingerprint());
    assert_ne!(open(&[&faces[..], &["data.seed=5"]].concat()).fingerprint(), resident.fingerprint());
}

#[test]
fn a_function_is_held_to_its_lengths() {
    let function = |values: usize, labels: usize, labelled: bool| {
        let mut feed = Feed::from_fn(&[2], labelled, move |first, n, stream| {
            Ok((vec![first as f32 + stream as f32; values * n], vec![1.0; labels * n]))
        });
        assert_eq!((feed.sample_shape(), feed.count(), feed.labelled()), (&[2][..], None, labelled));
        feed.batch(0, 0, 5, 8, 3).map(|b| (b.values, b.labels)).map_err(|e| e.to_string())
    };
    assert_eq!(function(2, 0, false), Ok((vec![13.0; 6], None)));
    assert_eq!(function(2, 1, true), Ok((vec![13.0; 6], Some(vec![1.0; 3]))));
    let says = |what: &str| Err(format!("data function: gave {what}"));
    assert_eq!(function(1, 0, false), says("3 values for 3 samples of [2]: must be 6"));
    assert_eq!(function(2, 0, true), says("0 labels for 3 samples of [2]: must be 3"));
    assert_eq!(function(2, 1, false), says("3 labels for 3 samples of [2]: must be 0"));
}

/// What a run knows after some iterations.
fn trained(mut trainer: Trainer, steps: usize) -> Checkpoint {
    (0..steps).for_each(|_| trainer.iterate().unwrap());
    trainer.checkpoint().unwrap()
}

fn assert_same(a: &Checkpoint, b: &Checkpoint) {
    assert_eq!(a.tensors.len(), b.tensors.len());
    for (a, b) in a.tensors.iter().zip(&b.tensors) {
        assert!(a == b, "{} differs", a.name);
    }
}

/// Streamed images train to the same bits as resident ones, in both networks' batches, over epochs that end inside a batch.
#[test]
fn a_streamed_run_is_the_resident_one() {
    for extra in [&["loss.kind=ns"][..], &["loss.kind=rpgan", "loss.n_critic=2", "model.d_norm=off"]] {
        let common = [SMALL, &["data.count=10", "data.mirror=on", "attack.steps=0"], extra].concat();
        let run = |mode: &str| trained(trainer(&config("faces32", &[&common[..], &[mode]].concat()), &Device::Host), 6);
        let resident = run("data.mode=resident");
        assert_same(&resident, &run("data.mode=stream"));
        let other = config("faces32", &[&common[..], &["data.seed=1"]].concat());
        let other = trained(trainer(&other, &Device::Host), 6);
        assert!(resident.tensors.iter().zip(&other.tensors).any(|(a, b)| a != b), "the data does not matter");
    }
}

/// One's own array of images trains as the files they came from do.
#[test]
fn a_run_on_images_from_memory() {
    let config = config("faces32", &[SMALL, &["data.count=10"]].concat());
    let source = danskin::data::Source::Faces { seed: 0, count: 10, label: None };
    let set = danskin::data::load(&danskin::data::Spec::new(source, 32), &|_, _| {}).unwrap();
    let own = DataSet::from_images("mine", set.images, None, [32, 32, 3]).unwrap();
    let own =
        Trainer::new(Settings::new(&config).unwrap(), Feed::from_set(own, config.data.mirror), &Device::Host).unwrap();
    assert_same(&trained(trainer(&config, &Device::Host), 3), &trained(own, 3));
}

/// A function that makes the points of a toy trains as the toy does.
#[test]
fn a_run_on_a_function() {
    let config = config("ring8", &["train.batch=16", "model.hidden=16"]);
    let seed = config.train.seed;
    let feed = Feed::from_fn(&[2], false, move |first, n, stream| {
        Ok((toys::batch(Toy::Ring8, seed, (first / n as u64) as u32, stream, n), vec![]))
    });
    let own = Trainer::new(Settings::new(&config).unwrap(), feed, &Device::Host).unwrap();
    assert_same(&trained(trainer(&config, &Device::Host), 4), &trained(own, 4));
}

/// Trains for two steps and gives what was said and the grid of samples.
fn run(dir: &Path, words: &str) -> (String, Vec<u8>) {
    const TINY: &str = "--device host --batch 4 --kimg 0.008 --set model.g_width=4 --set model.d_width=4 --set model.z=8 \
                        --set sample.count=2x2";
    let text = done(dir, &format!("train {words} {TINY} --out run"));
    let grid = tree(&dir.join("run/samples")).remove("000000.008.png").flatten().unwrap();
    std::fs::remove_dir_all(dir.join("run")).unwrap();
    (text, grid)
}

/// An archive, the folder it was made of, and either of them streamed: one run.
#[test]
fn a_zip_trains_from_the_command_line() {
    let dir = tempdir().unwrap();
    let names: Vec<String> = (0..7).map(|k| format!("set/{k}.png")).collect();
    let entries: Vec<(&str, Vec<u8>)> = names.iter().zip(0..).map(|(n, k)| (n.as_str(), png(picture(k)))).collect();
    put(dir.path(), "files.zip", &zip(&entries));
    for (name, bytes) in &entries {
        put(&dir.path().join("files"), name, bytes);
    }
    let (text, grid) = run(dir.path(), "faces32 --data files.zip");
    assert!(text.contains("data: 7 images of files at 32x32\n"), "{text}");
    assert!(run(dir.path(), "faces32 --data files").1 == grid, "the folder trains otherwise");
    let (text, streamed) = run(dir.path(), "faces32 --data files.zip --set data.mode=stream");
    assert!(text.contains("data: 7 images of files at 32x32, streamed\n"), "{text}");
    assert!(streamed == grid, "the stream trains otherwise");
}

/// A folder of IDX files, one of them alone, and the same unpacked: one run.
#[test]
fn idx_files_train_from_the_command_line() {
    let dir = tempdir().unwrap();
    let pixels: Vec<u8> = (0..5 * 28 * 28).map(|i| (i * 7 % 251) as u8).collect();
    let images = idx(&[5, 28, 28], &pixels);
    put(dir.path(), "mnist/train-images-idx3-ubyte.gz", &gzip(&images));
    put(dir.path(), "mnist/train-labels-idx1-ubyte.gz", &gzip(&idx(&[5], &[0, 1, 2, 3, 4])));
    put(dir.path(), "digits.idx", &images);
    let (text, grid) = run(dir.path(), "digits32 --data mnist");
    assert!(text.contains("data: 5 images of mnist at 32x32\n"), "{text}");
    let alone = run(dir.path(), "digits32 --data mnist/train-images-idx3-ubyte.gz");
    assert!(alone.1 == grid, "{}", alone.0);
    let unpacked = run(dir.path(), "digits32 --data digits.idx --set data.mode=stream");
    assert!(
        unpacked.0.contains("data: 5 images of digits at 32x32, streamed\n") && unpacked.1 == grid,
        "{}",
        unpacked.0
    );
}
