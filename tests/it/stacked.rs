//! Stacked-MNIST: three digits in one image, and the modes that a generator makes of them.

use crate::data::craft::{idx, put};
use crate::program::{done, run, stderr};
use danskin::data::{Index, Source, Spec, Split, load};
use std::path::Path;

/// Digits that can be told apart by their brightness alone: digit d is a bright square on a ground of 20·d.
fn digits(count: usize) -> (Vec<u8>, Vec<u8>) {
    let labels: Vec<u8> = (0..count).map(|k| (k * 7 % 10) as u8).collect();
    let pixel = |label: u8, i: usize| if (i / 28) < 14 { 25 * label } else { 255 - 25 * label };
    let images = labels.iter().flat_map(|&label| (0..28 * 28).map(move |i| pixel(label, i))).collect();
    (images, labels)
}

/// A folder like MNIST's.
fn mnist(folder: &Path) {
    for (part, count) in [("train", 40), ("t10k", 20)] {
        let (images, labels) = digits(count);
        put(folder, &format!("{part}-images-idx3-ubyte"), &idx(&[count as u32, 28, 28], &images));
        put(folder, &format!("{part}-labels-idx1-ubyte"), &idx(&[count as u32], &labels));
    }
}

#[test]
fn three_digits_make_an_image_and_its_label() {
    let dir = tempfile::tempdir().unwrap();
    mnist(dir.path());
    let source = |seed, count| Source::StackedMnist { path: dir.path().into(), seed, count };
    let set = load(&Spec::new(source(3, 500), 32), &|_, _| {}).unwrap();
    assert_eq!((set.count, set.channels, set.classes.len(), set.classes[42].as_str()), (500, 3, 1000, "042"));
    let labels = set.labels.as_ref().unwrap();
    for (k, &label) in labels.iter().enumerate() {
        let image = set.image(k);
        for (channel, digit) in [label / 100, label / 10 % 10, label % 10].into_iter().enumerate() {
            // Two pixels of black frame, then the digit.
            let at = |y: usize, x: usize| u32::from(image[(y * 32 + x) * 3 + channel]);
            assert_eq!(
                [at(1, 9), at(9, 30), at(2, 2), at(29, 29)],
                [0, 0, 25 * digit, 255 - 25 * digit],
                "{k} {channel}"
            );
        }
    }
    // Drawn independently: about as often alike as chance has it, one in ten.
    let alike = labels.iter().filter(|label| *label / 100 == *label % 10).count();
    assert!((25..85).contains(&alike), "{alike} of 500");
    // A longer set begins with a shorter one; another seed is another set.
    let longer = load(&Spec::new(source(3, 600), 32), &|_, _| {}).unwrap();
    assert!(longer.images.starts_with(&set.images));
    let other = load(&Spec::new(source(4, 500), 32), &|_, _| {}).unwrap();
    assert_ne!(other.labels, set.labels);
    let prints = [source(3, 500), source(3, 600), source(4, 500)];
    let prints = prints.map(|source| Index::new(&Spec::new(source, 32)).unwrap().fingerprint());
    assert!(prints[0] != prints[1] && prints[0] != prints[2], "{prints:?}");
    // Its test part is of other digits; some images are those of the whole.
    let test = Index::new(&Spec { split: Split::Test, ..Spec::new(source(3, 50), 32) }).unwrap();
    assert_eq!(test.count, 50);
    let index = Index::new(&Spec::new(source(3, 500), 32)).unwrap();
    let some = index.some(&[499, 0, 7], &|_, _| {}).unwrap();
    assert_eq!(some.images, [set.image(499), set.image(0), set.image(7)].concat());
    assert!(index.some(&[500], &|_, _| {}).unwrap_err().to_string().contains("has 500 images and no number 500"));
    let grey = Index::new(&Spec { channels: 1, ..Spec::new(source(3, 5), 32) }).unwrap_err().to_string();
    assert!(grey.contains("three channels"), "{grey}");
}

#[test]
fn modes_are_counted_by_a_classifier_of_digits() {
    let dir = tempfile::tempdir().unwrap();
    mnist(&dir.path().join("mnist"));
    let reads =
        "train mnist --data mnist --device host --kimg 2 --batch 20 --set model.kind=lenet5 --set optim.lr=2e-3";
    done(dir.path(), &format!("{reads} --out reader"));
    let gan = "train stacked-mnist --data mnist --device host --kimg 0.016 --batch 8 --set data.count=300 --set model.g_width=8 \
               --set model.d_width=8";
    let text = done(dir.path(), &format!("{gan} --out gan"));
    assert!(text.contains("300 images of stacked-mnist at 32x32"), "{text}");
    let text = done(dir.path(), "eval gan --device host --metrics modes --labels reader --samples 600");
    assert!(text.contains("digits are read by reader: 100.00 % of 20 test digits"), "{text}");
    let modes = |line: &str| -> usize {
        let row = text.lines().find(|row| row.starts_with(line)).unwrap_or_else(|| panic!("{line} in {text}"));
        row.split(' ').rev().skip_while(|word| *word != "of").nth(1).unwrap().parse().unwrap()
    };
    // A generator that has learned nothing, beside 600 draws from a thousand modes: 451 of them on average.
    assert!(modes("600 samples: ") < 60, "{text}");
    assert!(modes("as many of the data: ").abs_diff(451) < 40, "{text}");
    // The run's reals, and its test digits.
    let text = done(dir.path(), "eval gan --device host --metrics fd --samples 100");
    assert!(text.contains("its test part") && text.contains("gap"), "{text}");
    for (words, part) in [
        ("eval gan --metrics modes", "--labels is not set: name a run of the preset mnist"),
        ("eval gan --metrics fd --labels reader", "--labels is given: is read only with --metrics modes"),
        ("eval gan --metrics modes --labels gan", "--labels gan: must be a run of a classifier of ten digits"),
        ("train stacked-mnist", "data.path is not set"),
        ("train stacked-mnist --data mnist --set data.channels=1", "its three digits are three channels"),
        ("train stacked-mnist --data reader", "holds no IDX files such as MNIST's"),
    ] {
        let output = run(dir.path(), &format!("{words} --device host"));
        assert!(!output.status.success() && stderr(&output).contains(part), "{words}: {}", stderr(&output));
    }
}
