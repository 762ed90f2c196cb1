//! `danskin data`, packed sets and subsets, as a user runs them.

use std::path::Path;

use crate::data::craft::{picture, png, put, ramp};
use crate::program::{done, run, stderr, tree};
use serde_json::Value;

const TRAIN: &str = "train faces32 --device host --batch 4 --set model.g_width=4 --set model.d_width=4 --set model.z=8 \
                     --set sample.count=2x2 --set sample.every_kimg=0 --set checkpoint.every_kimg=0.008";

/// The sentence of a refused command.
fn refused(dir: &Path, words: &str) -> String {
    let output = run(dir, words);
    assert_eq!(output.status.code(), Some(1), "danskin {words}: {}", stderr(&output));
    stderr(&output)
}

fn images(dir: &Path) {
    for k in 0..12 {
        put(dir, &format!("set/{}/{k:02}.png", ["a", "b"][usize::from(k) / 6]), &png(ramp(k)));
    }
    put(dir, "set/b/bad.png", b"nothing");
}

/// Resident or streamed, from the source or from its pack: the same bits; and one goes on where the other was stopped.
#[test]
fn a_packed_set_trains_as_its_source() {
    let dir = tempfile::tempdir().unwrap();
    images(dir.path());
    let text = done(dir.path(), "data pack set --size 32 --out set.danskin");
    assert!(text.starts_with("set.danskin: 12 images of 32x32 in colour, "), "{text}");
    let before = tree(dir.path())["set.danskin"].clone();
    let again = refused(dir.path(), "data pack set --size 32 --out set.danskin");
    assert_eq!(again, "error: set.danskin: exists and is left as it is: choose another name\n");
    assert_eq!(tree(dir.path())["set.danskin"], before);

    let weights = |name: &str| tree(&dir.path().join(name))["checkpoints/000000.032.safetensors"].clone().unwrap();
    for (name, data) in [("a", "set"), ("b", "set.danskin")] {
        for mode in ["resident", "stream"] {
            done(dir.path(), &format!("{TRAIN} --kimg 0.032 --data {data} --set data.mode={mode} --out {name}-{mode}"));
        }
    }
    let all = ["a-resident", "a-stream", "b-resident", "b-stream"].map(|name| data_free(weights(name)));
    assert!(all.iter().all(|w| *w == all[0]), "{:?}", all.each_ref().map(Vec::len));

    done(dir.path(), &format!("{TRAIN} --kimg 0.016 --data set --set data.mode=resident --out c"));
    done(dir.path(), "train --resume c --device host --kimg 0.032 --data set.danskin --set data.mode=stream");
    assert_eq!(data_free(weights("c")), all[0]);

    let sentence = refused(dir.path(), &format!("{TRAIN} --set data.size=64 --data set.danskin --kimg 0.008 --out d"));
    assert!(sentence.contains("holds images of 32x32 in colour, and 64x64 in colour are wanted"), "{sentence}");
    assert!(!dir.path().join("d").exists());
}

/// The tensors of a checkpoint, behind the header, whose fingerprint of a streamed set is that of its listing.
fn data_free(checkpoint: Vec<u8>) -> Vec<u8> {
    let header = u64::from_le_bytes(checkpoint[..8].try_into().unwrap()) as usize;
    checkpoint[8 + header..].to_vec()
}

#[test]
fn a_subset_is_trained_on() {
    let dir = tempfile::tempdir().unwrap();
    images(dir.path());
    let text = done(dir.path(), &format!("{TRAIN} --kimg 0.008 --data set --set data.limit=5 --out run"));
    assert!(text.contains("data: 5 images of set at 32x32\n"), "{text}");
    let sentence = refused(dir.path(), "train --resume run --device host --kimg 0.016 --set data.limit=6");
    assert!(sentence.contains("data.limit") && sentence.contains("start another with --init"), "{sentence}");
}

#[test]
fn a_set_is_told_about() {
    let dir = tempfile::tempdir().unwrap();
    images(dir.path());
    put(dir.path(), "set/b/copy.png", &png(ramp(3)));
    put(dir.path(), "set/b/larger.png", &png(picture(3)));
    let text = done(dir.path(), "data info set --size 8 --sheet sheet.png");
    for line in [
        "set: folder of images",
        "  images      14, 1 more are left out",
        "  sizes       8x8: 13, 12x12: 1",
        "  modes       RGB: 14",
        "  classes     2: a 6, b 8",
        "  duplicates  1: b/copy.png is a/03.png",
        "  left out    b/bad.png: not an image of a known format",
    ] {
        assert!(text.lines().any(|l| l == line), "{line} is not in\n{text}");
    }
    let sheet = image::open(dir.path().join("sheet.png")).unwrap();
    assert!(sheet.width() > 300 && sheet.height() > 300);
    assert!(refused(dir.path(), "data info set --sheet sheet.png").contains("sheet.png: exists"));
    let json: Value = serde_json::from_str(&done(dir.path(), "data info set --size 8 --json")).unwrap();
    assert_eq!((json["count"].as_u64(), json["dropped"].as_u64()), (Some(14), Some(1)));
    assert_eq!((json["mean"].as_array().unwrap().len(), json["duplicates"].as_u64()), (3, Some(1)));
    // A packed set needs no size.
    done(dir.path(), "data pack set --size 8 --grey --out grey.danskin");
    let json: Value = serde_json::from_str(&done(dir.path(), "data info grey.danskin --json")).unwrap();
    assert_eq!(
        (json["kind"].as_str(), json["size"].as_u64(), json["channels"].as_u64()),
        (Some("packed set"), Some(8), Some(1))
    );
    assert!(refused(dir.path(), "data info nowhere").contains("nowhere: no such file or folder"));
}
