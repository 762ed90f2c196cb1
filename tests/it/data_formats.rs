//! Tar archives, CIFAR and NumPy files, colour profiles, packed sets, surveys: files that the tests make, sound and broken.

use std::path::Path;
use std::sync::Arc;

use crate::data::craft::*;
use danskin::data::{self, DataSet, DrawRule, Index, Source, Spec, Split, Stream};
use tempfile::tempdir;

fn spec(path: &Path, size: usize) -> Spec {
    Spec::new(Source::Path(path.to_owned()), size)
}

fn load(path: &Path, size: usize) -> danskin::Result<DataSet> {
    data::load(&spec(path, size), &|_, _| {})
}

fn test_part(path: &Path, size: usize) -> danskin::Result<DataSet> {
    data::load(&Spec { split: Split::Test, ..spec(path, size) }, &|_, _| {})
}

/// The message of a load that must fail; it names the path.
fn refusal(path: &Path, size: usize) -> String {
    let message = load(path, size).unwrap_err().to_string();
    assert!(message.starts_with(&path.display().to_string()), "{message}");
    message
}

fn same(a: &DataSet, b: &DataSet) {
    assert_eq!((a.count, &a.labels, &a.classes, a.size), (b.count, &b.labels, &b.classes, b.size));
    assert!(a.images == b.images);
}

/// A tar archive in the form of POSIX.1-1988, with GNU's entries for long names.
fn tar(entries: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (name, bytes) in entries {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        header.set_cksum();
        builder.append_data(&mut header, name, bytes.as_slice()).unwrap();
    }
    builder.into_inner().unwrap()
}

/// A folder and its archives give the same set in the same order, whatever the order inside.
#[test]
fn tar_archives() {
    let dir = tempdir().unwrap();
    let long = format!("set/b/{}.png", "long name ".repeat(15));
    let files = [
        (long.as_str(), png(ramp(9))),
        ("set/b/2.png", png(ramp(2))),
        ("set/a/1.jpg", encode(picture(1), image::ImageFormat::Jpeg)),
        ("set/readme.txt", b"no image".to_vec()),
        ("set/a/.hidden.png", b"nothing".to_vec()),
    ];
    for (name, bytes) in &files {
        put(&dir.path().join("folder"), name, bytes);
    }
    let folder = load(&dir.path().join("folder"), 8).unwrap();
    assert_eq!((folder.count, folder.classes.len()), (3, 2));
    let plain = tar(&files);
    for (name, bytes) in [
        ("x.tar", plain.clone()),
        ("x.tar.gz", gzip(&plain)),
        ("x.tgz", gzip(&plain)),
        ("x.gz", gzip(&plain)),
        ("without ending", plain.clone()),
    ] {
        let set = load(&put(dir.path(), name, &bytes), 8).unwrap_or_else(|e| panic!("{name}: {e}"));
        same(&folder, &set);
    }
    // The last file of a name counts; names that start at the folder itself are the same names.
    let twice = tar(&[("./a.png", b"old".to_vec()), ("b.png", png(ramp(1))), ("a.png", png(ramp(2)))]);
    let set = load(&put(dir.path(), "twice.tar", &twice), 8).unwrap();
    assert_eq!((set.count, set.image(0)[2], set.image(1)[2]), (2, 2, 1));
    // Labels of a table.
    let table = br#"{"labels": [["a.png", 1], ["b.png", 0]]}"#.to_vec();
    let labelled = tar(&[("dataset.json", table), ("b.png", png(ramp(1))), ("a.png", png(ramp(2)))]);
    let set = load(&put(dir.path(), "labelled.tar.gz", &gzip(&labelled)), 8).unwrap();
    assert_eq!(set.labels, Some(vec![1, 0]));

    for (name, bytes) in [
        ("cut.tar", plain[..700].to_vec()),
        ("cut.tar.gz", gzip(&plain)[..gzip(&plain).len() / 2].to_vec()),
        ("text.tar", b"these are some words, and no archive at all".repeat(20)),
        ("text.tgz", b"these are some words".to_vec()),
    ] {
        let message = refusal(&put(dir.path(), name, &bytes), 8);
        assert!(message.contains("not a tar archive, or a damaged one"), "{name}: {message}");
    }
    assert!(refusal(&put(dir.path(), "empty.tar", &tar(&[])), 8).contains("holds no images"));
    assert!(test_part(&dir.path().join("x.tar"), 8).unwrap_err().to_string().contains("no test part"));
}

/// Record k of a CIFAR file: labels, then planes that differ per pixel.
fn record(labels: &[u8], k: u8) -> Vec<u8> {
    let planes = (0..3072usize).map(|i| (i * 7 + i / 1024 * 50) as u8 ^ k);
    labels.iter().copied().chain(planes).collect()
}

/// Pixel i, channel c of [`record`].
fn sample(i: usize, c: usize, k: u8) -> u8 {
    ((c * 1024 + i) * 7 + c * 50) as u8 ^ k
}

#[test]
fn cifar_files() {
    let dir = tempdir().unwrap();
    let names = "plane\ncar\nbird\ncat\ndeer\ndog\nfrog\nhorse\nship\ntruck\n\n";
    let files = [
        ("data_batch_1.bin", [record(&[3], 1), record(&[9], 2)].concat()),
        ("data_batch_2.bin", record(&[0], 3)),
        ("test_batch.bin", record(&[5], 4)),
        ("batches.meta.txt", names.as_bytes().to_vec()),
    ];
    let inside = files.clone().map(|(name, bytes)| (format!("cifar-10-batches-bin/{name}"), bytes));
    let inside: Vec<(&str, Vec<u8>)> = inside.iter().map(|(n, b)| (n.as_str(), b.clone())).collect();
    for (name, bytes) in &files {
        put(&dir.path().join("ten"), name, bytes);
    }
    let archive = put(dir.path(), "cifar-10-binary.tar.gz", &gzip(&tar(&inside)));
    for path in [dir.path().join("ten"), archive] {
        let set = load(&path, 32).unwrap();
        assert_eq!((set.count, &set.labels), (3, &Some(vec![3, 9, 0])));
        assert_eq!((set.classes.len(), set.classes[9].as_str()), (10, "truck"));
        for (image, k) in [1, 2, 3].into_iter().enumerate() {
            let expected: Vec<u8> = (0..3072).map(|i| sample(i / 3, i % 3, k)).collect();
            assert!(set.image(image) == expected, "image {image}");
        }
        let test = test_part(&path, 32).unwrap();
        assert_eq!((test.count, test.labels.clone(), test.image(0)[1]), (1, Some(vec![5]), sample(0, 1, 4)));
        assert_eq!(load(&path, 16).unwrap().images.len(), 3 * 16 * 16 * 3);
    }

    let hundred = dir.path().join("hundred");
    put(&hundred, "train.bin", &record(&[19, 77], 1));
    let set = load(&hundred, 32).unwrap();
    assert_eq!((set.labels.clone(), set.classes.len(), set.image(0)[0]), (Some(vec![77]), 100, sample(0, 0, 1)));
    assert!(test_part(&hundred, 32).unwrap_err().to_string().contains("CIFAR-100 binary files but no test.bin"));
    put(&hundred, "train.bin", &record(&[1], 1));
    assert!(refusal(&hundred, 32).contains("train.bin: 3073 bytes are no whole number of records of 3074"));
    put(&dir.path().join("ten"), "data_batch_2.bin", &record(&[10], 1));
    assert!(refusal(&dir.path().join("ten"), 32).contains("data_batch_2.bin: has the label 10, and there are 10"));
}

/// An array file as NumPy's format describes it.
fn npy(kind: &str, shape: &str, values: &[u8]) -> Vec<u8> {
    let mut header = format!("{{'descr': '{kind}', 'fortran_order': False, 'shape': {shape}, }}");
    header += &" ".repeat(63 - (10 + header.len()) % 64);
    header.push('\n');
    [b"\x93NUMPY\x01\0", &(header.len() as u16).to_le_bytes()[..], header.as_bytes(), values].concat()
}

#[test]
fn numpy_files() {
    let dir = tempdir().unwrap();
    let bytes: Vec<u8> = (0..2 * 4 * 4 * 3).map(|i| (i * 5) as u8).collect();
    let images = npy("|u1", "(2, 4, 4, 3)", &bytes);
    let labels = npy("<i8", "(2,)", &[7i64, 2].map(i64::to_le_bytes).concat());
    let test = npy("|u1", "(1, 4, 4)", &[8; 16]);
    let entries = [
        ("x_train.npy", images.clone()),
        ("y_train.npy", labels.clone()),
        ("x_test.npy", test.clone()),
        ("y_test.npy", npy("|u1", "(1, 1)", &[3])),
    ];
    put(dir.path(), "set.npz", &zip(&entries));
    for (name, bytes) in &entries {
        put(&dir.path().join("arrays"), name, bytes);
    }
    for path in ["set.npz", "arrays", "arrays/x_train.npy"].map(|p| dir.path().join(p)) {
        let set = load(&path, 4).unwrap_or_else(|e| panic!("{e}"));
        assert_eq!((set.count, &set.labels, set.classes.len()), (2, &Some(vec![7, 2]), 8), "{}", path.display());
        assert!(set.images == bytes, "{}", path.display());
    }
    for path in ["set.npz", "arrays"].map(|p| dir.path().join(p)) {
        let set = test_part(&path, 4).unwrap();
        assert_eq!((set.count, set.labels, set.images), (1, Some(vec![3]), vec![8; 48]), "{}", path.display());
    }
    // Floats from 0 to 1, of either width, and transparent pixels on white.
    let floats = [0.0f32, 0.2, 0.5, 1.0].map(f32::to_le_bytes).concat();
    let doubles = [0.0f64, 0.2, 0.5, 1.0].map(f64::to_le_bytes).concat();
    for (name, file) in [("f4.npy", npy("<f4", "(1, 2, 2)", &floats)), ("f8.npy", npy("<f8", "(1, 2, 2, 1)", &doubles))]
    {
        let set = data::load(&Spec { channels: 1, ..spec(&put(dir.path(), name, &file), 2) }, &|_, _| {}).unwrap();
        assert_eq!(set.images, [0, 51, 128, 255], "{name}");
    }
    let clear = put(dir.path(), "rgba.npy", &npy("|u1", "(1, 1, 1, 4)", &[9, 9, 9, 0]));
    assert_eq!(load(&clear, 1).unwrap().images, [255; 3]);

    let fortran = String::from_utf8_lossy(&images).replace("False", "True ").into_bytes();
    let fortran = [b"\x93NUMPY", &fortran[8..]].concat();
    let big = [2.0f32, 0.0, 0.0, 0.0].map(f32::to_le_bytes).concat();
    for (name, file, reason) in [
        ("cut", images[..images.len() - 1].to_vec(), "breaks off"),
        ("lie", npy("|u1", "(9000, 400, 400, 3)", &[0; 9]), "GiB"),
        ("huge", npy("|u1", "(99999999999, 99999999999, 4)", &[0; 9]), "GiB"),
        ("none", npy("|u1", "(0, 4, 4)", &[]), "(0"),
        ("first", npy("|u1", "(2, 3, 4, 5)", &[0; 120]), "channels first: save its transpose(0, 2, 3, 1)"),
        ("flat", npy("|u1", "(96,)", &[0; 96]), "must be [count, height, width]"),
        ("integers", npy("<i4", "(1, 1, 1)", &[0; 4]), "holds <i4: must be uint8"),
        ("values", npy("<f4", "(1, 2, 2)", &big), "image 0 holds 2: floats must be from 0 to 1"),
        ("fortran", fortran, "Fortran"),
        ("header", b"\x93NUMPY\x01\0\x02\0{}".to_vec(), "its header can't be read"),
        ("short", b"\x93NUMPY\x01".to_vec(), "too short"),
    ] {
        let message = refusal(&put(dir.path(), &format!("{name}.npy"), &file), 4);
        let reason = if name == "none" { "[0, 4, 4]" } else { reason };
        assert!(message.contains(reason), "{name}: {message}");
    }
    for (labels, reason) in [
        (npy("<i8", "(3,)", &[0; 24]), "[3] for 2 images"),
        (npy("|i1", "(2,)", &[1, 0xFF]), "label of image 1 is not from 0"),
        (npy("<f4", "(2,)", &[0; 8]), "holds <f4: labels must be whole numbers"),
        (npy("<i8", "(2,)", &[0; 9]), "breaks off after 1 of 2 labels"),
    ] {
        let file = zip(&[("images.npy", images.clone()), ("labels.npy", labels)]);
        let message = refusal(&put(dir.path(), "bad labels.npz", &file), 4);
        assert!(message.contains("labels: ") && message.contains(reason), "{message}");
    }
    let message = refusal(&put(dir.path(), "names.npz", &zip(&[("pics.npy", images)])), 4);
    assert!(message.contains("holds the arrays pics: images must be called one of x_train, train_images"), "{message}");
}

/// Against Pillow's ImageCms (lcms2): `tests/goldens/colour.py`.
#[test]
fn profiles_are_converted_to_srgb() {
    for name in ["swapped", "adobe", "linear-alpha", "grey"] {
        let read = |ending: &str| std::fs::read(format!("tests/goldens/colour/{name}{ending}.png")).unwrap();
        let dir = tempdir().unwrap();
        let ours = load(&put(dir.path(), "x/a.png", &read("")).with_file_name(""), 16).unwrap().images;
        let theirs = image::load_from_memory(&read(".srgb")).unwrap().into_rgb8().into_raw();
        let plain = image::load_from_memory(&read("")).unwrap().into_rgb8().into_raw();
        let far = |other: &[u8]| ours.iter().zip(other).map(|(a, b)| a.abs_diff(*b)).max().unwrap();
        assert!(far(&theirs) <= 2, "{name}: {} levels", far(&theirs));
        assert!(far(&plain) > 20, "{name}: the profile changes the picture");
    }
}

/// A set is packed whole or not at all, and trains as its source does: resident or streamed, with the same fingerprint.
#[test]
fn packed_sets_are_their_source() {
    let dir = tempdir().unwrap();
    for k in 0..20 {
        put(dir.path(), &format!("set/{}/{k:02}.png", ["a", "b"][usize::from(k) % 2]), &png(ramp(k)));
    }
    put(dir.path(), "set/a/05 bad.png", b"no picture");
    for channels in [1, 3] {
        let source = Spec { channels, ..spec(&dir.path().join("set"), 8) };
        let out = dir.path().join(format!("packed {channels}"));
        let packing = data::pack(&Index::new(&source).unwrap(), Split::Train, &out, &|_, _| {}).unwrap();
        assert_eq!((packing.count, packing.skipped.count), (20, 1));
        assert_eq!(packing.bytes, std::fs::metadata(&out).unwrap().len());

        let packed = Spec { source: Source::Path(out.clone()), ..source.clone() };
        let [was, is] = [&source, &packed].map(|s| data::load(s, &|_, _| {}).unwrap());
        same(&was, &is);
        assert_eq!((was.fingerprint(), &was.name), (is.fingerprint(), &is.name));
        let index = Index::new(&packed).unwrap();
        assert_eq!(index.fingerprint(), was.fingerprint());

        let rule = DrawRule { seed: 3, stream: 5, n: 7, mirror: true, crop: 1 };
        let mut streams = [&source, &packed].map(|s| {
            let index = Index::new(s).unwrap().check(&|_, _| {}).unwrap();
            Stream::start(&Arc::new(index), rule).unwrap()
        });
        for step in 0..5 {
            let [a, b] = streams.each_mut().map(|s| (s.batch(7 * u64::from(step), step).unwrap(), s.labels(7)));
            assert_eq!(a, b);
            assert_eq!(a.0, was.batch(&rule, 7 * u64::from(step), step));
        }
        // Again over the same file: refused, and left as it is.
        let before = std::fs::read(&out).unwrap();
        let again = data::pack(&Index::new(&source).unwrap(), Split::Train, &out, &|_, _| {}).unwrap_err();
        assert!(again.to_string().contains("exists and is left as it is"), "{again}");
        assert_eq!(std::fs::read(&out).unwrap(), before);
    }
    // A set that is mostly bad leaves nothing behind.
    for k in 0..3 {
        put(dir.path(), &format!("bad/{k}.png"), b"nothing");
    }
    let out = dir.path().join("bad.danskin");
    let index = Index::new(&spec(&dir.path().join("bad"), 8)).unwrap();
    assert!(data::pack(&index, Split::Train, &out, &|_, _| {}).unwrap_err().to_string().contains("3 of 3 images"));
    let names = std::fs::read_dir(dir.path()).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap());
    assert_eq!(names.filter(|n| n.starts_with('.') || n.contains("bad.")).count(), 0);
}

#[test]
fn packed_sets_that_are_wrong() {
    let dir = tempdir().unwrap();
    for k in 0..6 {
        put(dir.path(), &format!("set/{k}.png"), &png(ramp(k)));
    }
    let out = dir.path().join("set.danskin");
    data::pack(&Index::new(&spec(&dir.path().join("set"), 8)).unwrap(), Split::Train, &out, &|_, _| {}).unwrap();
    let whole = std::fs::read(&out).unwrap();
    let changed = |at: usize| {
        let mut bytes = whole.clone();
        bytes[at] ^= 1;
        bytes
    };
    // Whatever byte changes, something says so.
    for at in (8..64).chain([64, 64 + 6 * 192 - 1, 64 + 6 * 192, whole.len() - 1]) {
        let message = refusal(&put(dir.path(), "changed", &changed(at)), 8);
        assert!(message.contains("damaged") || message.contains("version"), "{at}: {message}");
    }
    for cut in [9, 63, 64, 500, whole.len() - 1] {
        assert!(refusal(&put(dir.path(), "cut", &whole[..cut]), 8).contains("cut short"), "{cut}");
    }
    assert!(refusal(&put(dir.path(), "long", &[&whole[..], &[0]].concat()), 8).contains("promises"));
    let mut newer = whole.clone();
    newer[8] = 2;
    let message = refusal(&put(dir.path(), "newer", &newer), 8);
    assert!(message.contains("a packed set of version 2, and this program reads 1"), "{message}");
    // An image that is damaged after the file was opened is found when it is drawn.
    let index = Arc::new(Index::new(&spec(&out, 8)).unwrap().check(&|_, _| {}).unwrap());
    std::fs::write(&out, changed(64 + 3 * 192)).unwrap();
    let rule = DrawRule { seed: 0, stream: 0, n: 6, mirror: false, crop: 0 };
    let message = Stream::start(&index, rule).unwrap().batch(0, 0).unwrap_err().to_string();
    assert!(message.contains("image 3: damaged in the packed file; pack it again"), "{message}");
    std::fs::write(&out, &whole).unwrap();

    assert!(
        refusal(&out, 16).contains("holds images of 8x8 in colour, and 16x16 in colour are wanted: set data.size=8")
    );
    let grey = Spec { channels: 1, ..spec(&out, 8) };
    assert!(data::load(&grey, &|_, _| {}).unwrap_err().to_string().contains("8x8 in grey are wanted"));
    assert!(test_part(&out, 8).unwrap_err().to_string().contains("was packed of the training part"));
}

/// A subset is what its seed says, whatever the source, and kept in the set's order.
#[test]
fn a_subset_is_chosen_by_its_seed() {
    let dir = tempdir().unwrap();
    for k in 0..40 {
        put(dir.path(), &format!("set/{}/{k:02}.png", ["a", "b"][usize::from(k) / 20]), &png(ramp(k)));
    }
    let limited = |n: usize, seed: u64| {
        let mut index = Index::new(&spec(&dir.path().join("set"), 8)).unwrap();
        index.limit(n, seed, 14);
        let name = index.fingerprint();
        (index.load(&|_, _| {}).unwrap(), name)
    };
    let numbers = |set: &DataSet| (0..set.count).map(|k| set.image(k)[2]).collect::<Vec<u8>>();
    let (set, name) = limited(10, 1);
    let chosen = numbers(&set);
    assert!(chosen.len() == 10 && chosen.is_sorted() && chosen.windows(2).all(|w| w[0] < w[1]), "{chosen:?}");
    assert_ne!(chosen, (0..10).collect::<Vec<u8>>());
    assert_eq!(set.labels, Some(chosen.iter().map(|&k| u32::from(k >= 20)).collect()));
    assert_eq!((numbers(&limited(10, 1).0), limited(10, 1).1), (chosen.clone(), name.clone()));
    assert_ne!(limited(10, 2).1, name);
    assert_ne!(numbers(&limited(10, 2).0), chosen);
    // A larger subset of the same seed holds the smaller one.
    let more = numbers(&limited(20, 1).0);
    assert!(chosen.iter().all(|k| more.contains(k)));
    assert_eq!(numbers(&limited(100, 1).0).len(), 40);
}

#[test]
fn surveys_count_what_is_there() {
    let dir = tempdir().unwrap();
    let flat = |v: u8| png(image::RgbImage::from_pixel(4, 4, image::Rgb([v, 0, 255])));
    put(dir.path(), "a/1.png", &flat(0));
    put(dir.path(), "a/2.png", &flat(102));
    put(dir.path(), "a/3.png", &flat(0));
    put(dir.path(), "b/4.png", &raw_png(8, 2, 1, 3, &[51, 0, 255, 51, 0, 255], &[0, 0xFF, 0, 0xFF]));
    put(dir.path(), "b/5.jpg", &oriented_jpeg(image::RgbImage::from_pixel(8, 16, image::Rgb([51, 0, 255])), 6));
    put(dir.path(), "b/6.png", b"nothing");
    put(dir.path(), "b/7.png", b"nothing, too");
    let s = data::survey(&spec(dir.path(), 4), 3, &|_, _| {}).unwrap();
    assert_eq!((s.kind, s.listed, s.count, s.dropped), ("folder of images", 7, 5, 2));
    assert_eq!(s.dropped_because[1].0, "b/7.png");
    assert_eq!(s.sizes, [([4, 4], 3), ([8, 2], 1), ([16, 8], 1)]);
    assert_eq!(s.modes, [("RGB".to_owned(), 4), ("palette".to_owned(), 1)]);
    assert_eq!((s.turned, s.profiles), (1, 0));
    assert_eq!(s.classes, [("a".to_owned(), 3), ("b".to_owned(), 2)]);
    assert_eq!((s.duplicates, &s.duplicate_names[0]), (1, &("a/3.png".to_owned(), "a/1.png".to_owned())));
    assert_eq!(s.resident_bytes, 5 * 48);
    assert_eq!(s.test, None);
    // Reds 0, 102, 0, 51, 51 of 255, the last one through a JPEG.
    assert!((s.mean[0] - 0.16).abs() < 0.005 && (s.mean[2] - 1.0).abs() < 0.005, "{:?}", s.mean);
    assert!((s.std[0] - (0.048f64 - 0.16 * 0.16).sqrt()).abs() < 0.005 && s.std[2] < 0.005, "{:?}", s.std);
    let names: Vec<_> = s.sheet.iter().map(|(name, class, _)| (name.as_str(), class.as_deref())).collect();
    assert_eq!(names, [("a/1.png", Some("a")), ("b/4.png", Some("b"))]);
}
