//! Data sets from files that the tests make: every kind of sound one, every kind of broken one.

pub mod craft;

use std::cell::RefCell;
use std::path::Path;
use std::sync::Arc;

use craft::*;
use danskin::data::faces::Face;
use danskin::data::{self, DataSet, DrawRule, Index, Source, Spec, Split, Stream};
use danskin::grid;
use image::{ImageBuffer, ImageFormat, Luma, LumaA, Rgb, RgbImage, Rgba};
use tempfile::tempdir;

fn spec(path: &Path, size: usize) -> Spec {
    Spec::new(Source::Path(path.to_owned()), size)
}

fn load(path: &Path, size: usize) -> danskin::Result<DataSet> {
    data::load(&spec(path, size), &|_, _| {})
}

/// The message of a load that must fail; it names the path.
fn refusal(path: &Path) -> String {
    let message = load(path, 8).unwrap_err().to_string();
    assert!(message.starts_with(&path.display().to_string()), "{message}");
    message
}

/// Every mode an image file can have comes out as the RGB it shows.
#[test]
fn modes_of_images() {
    let grey16 = ImageBuffer::from_pixel(6, 6, Luma([0x8080u16]));
    let rgb16 = ImageBuffer::from_pixel(6, 6, Rgb([0xFFFFu16, 0x4040, 0]));
    let rgba16 = ImageBuffer::from_pixel(6, 6, Rgba([0u16, 0, 0, 0]));
    let grey_alpha = ImageBuffer::from_pixel(6, 6, LumaA([0u8, 51]));
    let even = RgbImage::from_pixel(6, 6, Rgb([10, 120, 230]));
    // Rows of a filter byte and packed pixels; palette entry 1 is purple.
    let palette = raw_png(8, 2, 1, 3, &[0, 0, 0, 90, 30, 120], &[0, 0xFF, 0, 0xFF]);
    let bits = raw_png(8, 2, 1, 0, &[], &[0, 0xFF, 0, 0xFF]);
    // Stored as a row red|blue; upright after a quarter turn clockwise it is red above blue, cropped to both.
    let lying = RgbImage::from_fn(32, 32, |x, _| if x < 16 { Rgb([255, 0, 0]) } else { Rgb([0, 0, 255]) });
    let table: [(&str, Vec<u8>, [u8; 3], u8); 16] = [
        ("rgb.png", png(even.clone()), [10, 120, 230], 0),
        ("rgb.bmp", encode(even.clone(), ImageFormat::Bmp), [10, 120, 230], 0),
        ("rgb.tiff", encode(even.clone(), ImageFormat::Tiff), [10, 120, 230], 0),
        ("rgb.webp", encode(even.clone(), ImageFormat::WebP), [10, 120, 230], 0),
        ("rgb.GIF", encode(even.clone(), ImageFormat::Gif), [10, 120, 230], 3),
        ("rgb.jpeg", encode(even.clone(), ImageFormat::Jpeg), [10, 120, 230], 4),
        ("a png by content.jpg", png(even), [10, 120, 230], 0),
        ("grey16.png", encode(grey16, ImageFormat::Png), [128; 3], 0),
        ("rgb16.png", encode(rgb16, ImageFormat::Png), [255, 64, 0], 0),
        ("clear16.png", encode(rgba16, ImageFormat::Png), [255; 3], 0),
        ("grey+alpha.png", encode(grey_alpha, ImageFormat::Png), [204; 3], 0),
        ("palette.png", palette, [90, 30, 120], 0),
        ("bits.png", bits, [255; 3], 0),
        ("cmyk.jpg", cmyk_jpeg(), [64; 3], 2),
        ("one pixel.png", png(RgbImage::from_pixel(1, 1, Rgb([7, 8, 9]))), [7, 8, 9], 0),
        ("a thread.png", png(RgbImage::from_pixel(3000, 2, Rgb([7, 8, 9]))), [7, 8, 9], 0),
    ];
    for (name, bytes, expected, tolerance) in table {
        let folder = tempdir().unwrap();
        put(folder.path(), name, &bytes);
        let set = load(folder.path(), 4).unwrap_or_else(|e| panic!("{name}: {e}"));
        assert_eq!((set.count, set.images.len(), set.skipped.count), (1, 48, 0), "{name}");
        for pixel in set.images.chunks(3) {
            assert!(pixel.iter().zip(expected).all(|(a, b)| a.abs_diff(b) <= tolerance), "{name}: {pixel:?}");
        }
    }
    let folder = tempdir().unwrap();
    put(folder.path(), "turned.jpg", &oriented_jpeg(lying, 6));
    let set = load(folder.path(), 32).unwrap();
    let red = |y: usize, x: usize| set.image(0)[(y * 32 + x) * 3] > 200;
    assert!(red(2, 2) && red(2, 29) && !red(29, 2) && !red(29, 29));
}

/// One bad image among nineteen good ones is left out, counted, and explained.
#[test]
fn bad_images_are_skipped_and_counted() {
    let whole_png = png(ramp(1));
    let jpeg = encode(picture(1), ImageFormat::Jpeg);
    let mut wrong_checksum = whole_png.clone();
    wrong_checksum[30] ^= 0xFF;
    let table: [(&str, Vec<u8>, &str); 9] = [
        ("empty", vec![], "not an image of a known format"),
        ("garbage", b"this is no picture at all".to_vec(), "not an image of a known format"),
        ("png cut", whole_png[..whole_png.len() / 2].to_vec(), "end of file"),
        ("png damaged", wrong_checksum, "CRC"),
        ("jpeg cut", jpeg[..jpeg.len() - 20].to_vec(), "the JPEG is cut short"),
        ("wide beyond reason", raw_png(2_000_000, 1, 8, 0, &[], &[0]), "larger than 16384 pixels"),
        ("large beyond reason", raw_png(16_000, 16_000, 16, 2, &[], &[0]), "256 MiB"),
        ("no pixels", raw_png(0, 0, 8, 0, &[], &[0]), ""),
        ("rows missing", raw_png(64, 64, 8, 0, &[], &[0; 65]), ""),
    ];
    for (name, bytes, reason) in table {
        let folder = tempdir().unwrap();
        for k in 0..19 {
            put(folder.path(), &format!("{k:02}.png"), &png(picture(k)));
        }
        put(folder.path(), "05 bad.png", &bytes);
        let set = load(folder.path(), 4).unwrap_or_else(|e| panic!("{name}: {e}"));
        assert_eq!((set.count, set.skipped.count), (19, 1), "{name}");
        let (file, why) = &set.skipped.first[0];
        assert!(file == "05 bad.png" && why.contains(reason) && !why.is_empty(), "{name}: {file}: {why}");
        assert_eq!((set.image(5)[2], set.image(6)[2]), (5, 6), "{name}: the others keep their order");
    }
}

#[test]
fn paths_that_are_no_data_set() {
    let folder = tempdir().unwrap();
    let root = folder.path();
    assert!(refusal(&root.join("nowhere")).ends_with("no such file or folder"));

    std::fs::create_dir(root.join("empty")).unwrap();
    assert!(refusal(&root.join("empty")).contains("holds no images (png, jpg"));
    put(root, "text/readme.txt", b"hello");
    put(root, "text/.hidden.png", &png(picture(0)));
    put(root, "text/__MACOSX/x.png", &png(picture(0)));
    assert!(refusal(&root.join("text")).contains("holds no images"));

    let text = put(root, "text.zip", b"PK this is not an archive");
    assert!(refusal(&text).contains("not a zip archive, or a damaged one"));
    assert!(refusal(&put(root, "nothing.zip", b"")).contains("not a zip archive"));
    assert!(refusal(&put(root, "empty.zip", &zip(&[]))).contains("holds no images"));
    assert!(refusal(&put(root, "notes.zip", &zip(&[("a.txt", b"a".to_vec())]))).contains("holds no images"));
    let whole = zip(&[("a.png", png(picture(0)))]);
    assert!(refusal(&put(root, "cut.zip", &whole[..whole.len() - 30])).contains("not a zip archive"));
    assert!(refusal(&text.join("inside a file")).contains("can't be read"));

    for k in 0..4 {
        put(root, &format!("bad/{k}.png"), b"nonsense");
    }
    let message = refusal(&root.join("bad"));
    assert!(message.contains("4 of 4 images can't be used") && message.contains("0.png: not an image"), "{message}");

    // Ten of twenty are half and pass; eleven are more.
    for k in 0..20 {
        put(root, &format!("some/{k:02}.png"), &if k < 10 { b"bad".to_vec() } else { png(picture(k)) });
    }
    assert_eq!(load(&root.join("some"), 4).unwrap().skipped.count, 10);
    put(root, "some/19.png", b"bad");
    assert!(refusal(&root.join("some")).contains("11 of 20 images can't be used, more than half"));
}

#[test]
fn settings_that_make_no_sense() {
    let folder = tempdir().unwrap();
    put(folder.path(), "a.png", &png(picture(0)));
    let good = spec(folder.path(), 8);
    let refuse = |spec: Spec| Index::new(&spec).unwrap_err().to_string();
    assert_eq!(refuse(Spec { size: 0, ..good.clone() }), "data: size 0: must be from 1 to 1024");
    assert_eq!(refuse(Spec { size: 1 << 40, ..good.clone() }), "data: size 1099511627776: must be from 1 to 1024");
    assert!(refuse(Spec { channels: 2, ..good.clone() }).starts_with("data: channels 2"));
    assert!(refuse(Spec { split: Split::Test, ..good.clone() }).contains("no test part"));
    let faces = |count| Source::Faces { seed: 0, count, label: None };
    assert!(refuse(Spec { source: faces(0), ..good.clone() }).starts_with("data: faces 0"));
    assert!(refuse(Spec { source: faces(5), size: 7, ..good }).ends_with("faces have sizes from 8 to 256"));
}

/// Archives that say one thing and hold another: the entry is skipped, and no more is read than was promised.
#[test]
fn archives_that_lie() {
    let good: Vec<(String, Vec<u8>)> = (0..19).map(|k| (format!("{k:02}.png"), png(picture(k)))).collect();
    let with = |name: &'static str, bytes: Vec<u8>| {
        let mut entries: Vec<(&str, Vec<u8>)> = good.iter().map(|(n, b)| (n.as_str(), b.clone())).collect();
        entries.push((name, bytes));
        zip(&entries)
    };
    let image = png(ramp(3));
    let size = image.len() as u32;
    let mut damaged = with("z.png", image.clone());
    let at = damaged.windows(4).rposition(|w| w == b"PK\x03\x04").unwrap() + 60;
    damaged[at] ^= 0x55;
    const METHOD: &str = "is compressed by a method this program does not read: store or deflate it";
    let method = |m| lie_about_method(with("z.png", image.clone()), m);
    for (name, method) in [("bzip2", method(12)), ("zstd", method(93)), ("nobody's", method(77))] {
        let folder = tempdir().unwrap();
        let set = load(&put(folder.path(), "set.zip", &method), 4).unwrap();
        assert_eq!((set.count, &set.skipped.first[0]), (19, &("z.png".into(), METHOD.into())), "{name}");
    }
    let table = [
        ("smaller", lie_about_size(with("z.png", image.clone()), size - 9), ""),
        ("larger", lie_about_size(with("z.png", image.clone()), size + 9), ""),
        ("gigantic", lie_about_size(with("z.png", image.clone()), 0xF000_0000), "more than the limit of 128 MiB"),
        ("bomb", lie_about_size(with("z.png", vec![0; 4 << 20]), 100), ""),
        ("damaged", damaged, ""),
    ];
    for (name, bytes, reason) in table {
        let folder = tempdir().unwrap();
        let set = load(&put(folder.path(), "set.zip", &bytes), 4).unwrap_or_else(|e| panic!("{name}: {e}"));
        assert_eq!((set.count, set.skipped.count), (19, 1), "{name}");
        let (file, why) = &set.skipped.first[0];
        assert!(
            file == "z.png" && why.contains(reason) && why.contains("archive") | why.contains("limit"),
            "{name}: {why}"
        );
    }
    // Names lead nowhere: nothing is extracted.
    let folder = tempdir().unwrap();
    let set = load(&put(folder.path(), "inner/set.zip", &with("../../z.png", image)), 4).unwrap();
    assert_eq!((set.count, set.skipped.count), (20, 0));
    assert!(!folder.path().join("z.png").exists());
}

#[test]
fn a_folder_and_its_archive_are_the_same_labelled_set() {
    let names = ["set/cats/1.png", "set/ants/2.png", "set/cats/deep/3.png", "set/bees/4.png"];
    let folder = tempdir().unwrap();
    let entries: Vec<(&str, Vec<u8>)> = names.iter().zip(0..).map(|(n, k)| (*n, png(picture(k)))).collect();
    for (name, bytes) in &entries {
        put(folder.path(), &format!("files/{name}"), bytes);
    }
    let archive = put(folder.path(), "files.zip", &zip(&entries));
    let (a, b) = (load(&folder.path().join("files"), 8).unwrap(), load(&archive, 8).unwrap());
    assert_eq!((&a.images, &a.labels, &a.classes, &a.name), (&b.images, &b.labels, &b.classes, &b.name));
    assert_eq!(a.classes, ["ants", "bees", "cats"]);
    assert_eq!(a.labels.as_deref(), Some(&[0, 1, 2, 2][..]));
    let marks: Vec<u8> = (0..4).map(|k| a.image(k)[2]).collect();
    assert_eq!(marks, [1, 3, 0, 2], "sorted by name");

    let grey = data::load(&Spec { channels: 1, ..spec(&archive, 8) }, &|_, _| {}).unwrap();
    assert_eq!((grey.images.len(), grey.channels), (4 * 64, 1));
}

/// StyleGAN's `dataset.json` labels a folder and an archive alike; folders are no classes where it is.
#[test]
fn labels_of_stylegan() {
    let names = ["00000/img0.png", "00000/img1.png", "00001/img2.png", "00001/img3.png"];
    let labels = |text: Option<&str>| {
        let mut entries: Vec<(&str, Vec<u8>)> = names.iter().zip(0..).map(|(n, k)| (*n, png(picture(k)))).collect();
        entries.extend(text.map(|t| ("dataset.json", t.as_bytes().to_vec())));
        let dir = tempdir().unwrap();
        let paths = [dir.path().join("set"), put(dir.path(), "set.zip", &zip(&entries))];
        for (name, bytes) in &entries {
            put(&paths[0], name, bytes);
        }
        paths.map(|path| load(&path, 8).map(|s| (s.labels, s.classes.join(" "))).map_err(|e| e.to_string()))
    };
    let rows = r#"["00000/img0.png", 2], ["00000/img1.png", 0], ["00001/img2.png", 2]"#;
    let whole = format!(r#"{{"labels": [["00001/img3.png", 1], {rows}]}}"#);
    assert_eq!(labels(Some(&whole)), [(); 2].map(|()| Ok((Some(vec![2, 0, 2, 1]), "0 1 2".into()))));
    assert_eq!(labels(Some(r#"{"labels": null}"#)), [(); 2].map(|()| Ok((None, String::new()))));
    let by_folder = Ok((Some(vec![0, 0, 1, 1]), "00000 00001".into()));
    assert_eq!(labels(Some("{}")), [by_folder.clone(), by_folder.clone()]);
    assert_eq!(labels(None), [by_folder.clone(), by_folder]);
    for result in labels(Some(&format!(r#"{{"labels": [{rows}]}}"#))) {
        let message = result.unwrap_err();
        let reason =
            "dataset.json: has no label for 1 image of 4, 00001/img3.png first; give each one, or set labels to null";
        assert!(message.ends_with(reason) && message.contains("set"), "{message}");
    }
    for result in labels(Some("[")) {
        assert!(result.unwrap_err().contains("dataset.json: is no JSON"));
    }
}

/// Faces are labelled by a class, or by the half of a range; batches bring the labels of their images.
#[test]
fn labels_of_the_built_in_faces() {
    let spec = |label: &str| Spec::new(Source::Faces { seed: 3, count: 40, label: Some(label.into()) }, 8);
    let faces: Vec<Face> = (0..40).map(|k| Face::from_seed(3, k)).collect();
    let hats = data::load(&spec("hat"), &|_, _| {}).unwrap();
    assert_eq!(hats.labels, Some(faces.iter().map(|f| f.hat as u32).collect()));
    assert_eq!((hats.classes.len(), hats.classes[1].as_str()), (6, "beanie"));
    // Ranges of both kinds: from −1, and from 0.
    for (label, high) in [
        ("smile", faces.iter().map(|f| f.smile >= 0.0).collect::<Vec<_>>()),
        ("age", faces.iter().map(|f| f.age >= 0.5).collect()),
    ] {
        let set = data::load(&spec(label), &|_, _| {}).unwrap();
        assert_eq!(set.classes, ["low", "high"]);
        assert_eq!(set.labels, Some(high.iter().map(|&h| u32::from(h)).collect()), "{label}");
        assert!(high.contains(&true) && high.contains(&false), "{label}");
    }
    let rule = DrawRule { seed: 9, stream: 1, n: 5, mirror: true, crop: 0 };
    let index = Arc::new(Index::new(&spec("hat")).unwrap().check(&|_, _| {}).unwrap());
    let labels: Vec<f32> = rule.numbers(38, 40).map(|k| faces[k].hat as u32 as f32).collect();
    assert_eq!(Stream::start(&index, rule).unwrap().labels(38), Some(labels.clone()));
    assert_eq!(hats.batch_labels(&rule, 38), Some(labels));

    let message = Index::new(&spec("hats")).unwrap_err().to_string();
    assert!(
        message.starts_with("data: label hats: is no factor of the built-in faces; these are skin_tone, "),
        "{message}"
    );
    assert!(message.ends_with("backdrop, earrings"), "{message}");
}

/// One's own arrays, and the sentence for each way in which they don't fit together.
#[test]
fn images_from_memory() {
    let own =
        |bytes: usize, labels: Option<Vec<u32>>, shape| DataSet::from_images("mine", vec![7; bytes], labels, shape);
    let set = own(3 * 12, Some(vec![0, 2, 0]), [2, 2, 3]).unwrap();
    assert_eq!((set.count, set.size, set.channels, set.name.as_str()), (3, 2, 3, "mine"));
    assert_eq!((set.classes.join(" ").as_str(), set.labels), ("0 1 2", Some(vec![0, 2, 0])));
    assert_eq!(own(4, None, [2, 2, 1]).unwrap().classes, [""; 0]);
    for (bytes, labels, shape, reason) in [
        (24, None, [2, 4, 3], "images of 2x4: a data set holds square ones; crop or pad them first"),
        (24, None, [0, 0, 3], "images of 0x0: sides must be from 1 to 1024"),
        (24, None, [2, 2, 2], "images of 2 channels: must have 1 (grey) or 3 (colour)"),
        (0, None, [2, 2, 3], "0 bytes are no whole number of 2x2x3 images, at least one"),
        (25, None, [2, 2, 3], "25 bytes are no whole number of 2x2x3 images, at least one"),
        (24, Some(vec![0]), [2, 2, 3], "1 labels for 2 images: give each image one"),
        (24, Some(vec![0, 65_536]), [2, 2, 3], "label 65536: must be from 0 to 65535"),
    ] {
        assert_eq!(own(bytes, labels, shape).unwrap_err().to_string(), format!("mine: {reason}"));
    }
}

/// Whatever of a set changes, its fingerprint does; nothing else moves it.
#[test]
fn fingerprints() {
    let own = |images: &[u8], labels: Option<&[u32]>, side: usize| {
        DataSet::from_images("x", images.to_vec(), labels.map(<[u32]>::to_vec), [side, side, 1]).unwrap().fingerprint()
    };
    let base = [1, 2, 3, 4, 5, 6, 7, 8];
    let mut all = vec![
        own(&base, None, 2),
        own(&[1, 2, 3, 4, 5, 6, 7, 9], None, 2),
        own(&base[..4], None, 2),
        own(&base, None, 1),
        own(&base, Some(&[0, 1]), 2),
        own(&base, Some(&[1, 0]), 2),
    ];
    assert_eq!(all[0], own(&base, None, 2));
    assert!(all.iter().all(|f| f.len() == 15 && f.starts_with("images-")), "{all:?}");

    let listing = |files: &[(&str, Vec<u8>)], size: usize| {
        let dir = tempdir().unwrap();
        for (name, bytes) in files {
            put(dir.path(), name, bytes);
        }
        Index::new(&spec(dir.path(), size)).unwrap().fingerprint()
    };
    let (a, b) = (("a.png", png(picture(0))), ("b.png", png(picture(1))));
    all.push(listing(&[a.clone(), b.clone()], 8));
    assert_eq!(all[6], listing(&[a.clone(), b.clone()], 8));
    all.push(listing(&[a.clone(), b.clone()], 4));
    all.push(listing(std::slice::from_ref(&a), 8));
    all.push(listing(&[a.clone(), ("c.png", b.1.clone())], 8));
    all.push(listing(&[a.clone(), ("b.png", png(ramp(1)))], 8));
    all.push(listing(&[a, b, ("dataset.json", br#"{"labels": [["a.png", 0], ["b.png", 1]]}"#.to_vec())], 8));
    // The table's own name is no image: only labels differ from the first listing.
    assert!(all[6..].iter().all(|f| f.len() == 16 && f.starts_with("listing-")), "{all:?}");

    let faces = |seed, count, size, label: Option<&str>| {
        let source = Source::Faces { seed, count, label: label.map(str::to_owned) };
        Index::new(&Spec::new(source, size)).unwrap().fingerprint()
    };
    let rest = [
        faces(0, 9, 8, None),
        faces(1, 9, 8, None),
        faces(0, 8, 8, None),
        faces(0, 9, 9, None),
        faces(0, 9, 8, Some("hat")),
    ];
    assert!(rest.iter().all(|f| f.starts_with("faces-")), "{rest:?}");
    all.extend(rest);
    let count = all.len();
    all.sort();
    all.dedup();
    assert_eq!(all.len(), count, "{all:?}");
}

#[test]
fn progress_counts_up_to_the_whole() {
    let folder = tempdir().unwrap();
    for k in 0..7 {
        put(folder.path(), &format!("{k}.png"), &png(picture(k)));
    }
    let heard = RefCell::new(vec![]);
    data::load(&spec(folder.path(), 1024), &|done, total| heard.borrow_mut().push((done, total))).unwrap();
    let heard = heard.into_inner();
    assert!(heard.windows(2).all(|w| w[0].0 < w[1].0), "{heard:?}");
    assert_eq!((heard[0], heard[heard.len() - 1]), ((0, 7), (7, 7)));
}

#[cfg(unix)]
#[test]
fn links_are_followed_once() {
    use std::os::unix::fs::symlink;
    let folder = tempdir().unwrap();
    for k in 0..19 {
        put(folder.path(), &format!("set/{k:02}.png"), &png(picture(k)));
    }
    let set = folder.path().join("set");
    symlink(&set, set.join("myself")).unwrap();
    symlink("gone", set.join("dangling.png")).unwrap();
    let set = load(&set, 4).unwrap();
    assert_eq!((set.count, set.skipped.count), (19, 1));
    assert!(set.skipped.first[0].1.starts_with("can't be opened"), "{}", set.skipped);
}

/// A stream gives the batches of the resident set: with a bad image, flips and labels, in any order of steps.
#[test]
fn streamed_and_resident_batches_are_equal() {
    let folder = tempdir().unwrap();
    for k in 0..30u8 {
        put(folder.path(), &format!("{}/{k:02}.png", ["a", "b", "c"][k as usize % 3]), &png(ramp(k)));
    }
    put(folder.path(), "b/00.png", b"bad");
    let spec = spec(folder.path(), 8);
    let set = data::load(&spec, &|_, _| {}).unwrap();
    let index = Arc::new(Index::new(&spec).unwrap().check(&|_, _| {}).unwrap());
    assert_eq!((index.count, &index.labels, &index.skipped), (set.count, &set.labels, &set.skipped));
    assert_eq!((index.count, index.bytes(), index.skipped.count), (30, 30 * 192, 1));

    let rule = DrawRule { seed: 42, stream: 3, n: 9, mirror: true, crop: 2 };
    let other = DrawRule { stream: 4, ..rule };
    let mut stream = Stream::start(&index, rule).unwrap();
    let mut twin = Stream::start(&index, other).unwrap();
    // In order; the next phase; skipping; back; far away; another distance between steps; anywhere.
    let places = [(0, 0), (9, 1), (18, 2), (27, 3), (81, 9), (90, 10), (18, 2), (18, 2), (u64::MAX - 3, u32::MAX)];
    let more = [(0, 0), (9, 5), (18, 10), (27, 15), (36, 16), (4, 1)];
    for (first, step) in places.into_iter().chain(more) {
        let batch = stream.batch(first, step).unwrap();
        assert_eq!(batch.len(), 9 * 192);
        assert_eq!(batch, set.batch(&rule, first, step), "step {step}");
        assert_eq!(stream.labels(first), set.batch_labels(&rule, first));
        assert_eq!(twin.batch(first, step).unwrap(), set.batch(&other, first, step));
        assert_ne!(batch, set.batch(&other, first, step));
    }
    // Blue is the mark of an image, red its ramp: both directions occur in a mirrored batch, one without.
    let rule = DrawRule { crop: 0, ..rule };
    let flips = |rule: &DrawRule| set.batch(rule, 45, 5).chunks(192).filter(|i| i[0] > i[21]).count();
    assert_eq!(flips(&DrawRule { mirror: false, ..rule }), 0);
    assert!((1..9).contains(&flips(&rule)));
}

/// The built-in faces: image k of a set depends on seed and k alone, resident, streamed, or in a larger set.
#[test]
fn built_in_faces() {
    let spec = |seed, count| Spec::new(Source::Faces { seed, count, label: None }, 16);
    let set = data::load(&spec(5, 12), &|_, _| {}).unwrap();
    assert_eq!((set.name.as_str(), set.count, set.images.len()), ("faces", 12, 12 * 768));
    assert_eq!(set.image(7), data::faces::render_batch(5, 7, 1, 16));
    assert_ne!(set.image(7), data::load(&spec(6, 8), &|_, _| {}).unwrap().image(7));
    let rule = DrawRule { seed: 9, stream: 1, n: 5, mirror: true, crop: 0 };
    let index = Arc::new(Index::new(&spec(5, 12)).unwrap().check(&|_, _| {}).unwrap());
    assert_eq!(Stream::start(&index, rule).unwrap().batch(15, 3).unwrap(), set.batch(&rule, 15, 3));

    let grey = data::load(&Spec { channels: 1, ..spec(5, 2) }, &|_, _| {}).unwrap();
    assert_eq!(grey.images.len(), 2 * 256);
}

#[test]
fn a_file_that_vanishes_is_an_error_of_its_batch() {
    let folder = tempdir().unwrap();
    put(folder.path(), "only.png", &png(picture(1)));
    let index = Arc::new(Index::new(&spec(folder.path(), 8)).unwrap().check(&|_, _| {}).unwrap());
    std::fs::remove_file(folder.path().join("only.png")).unwrap();
    let mut stream = Stream::start(&index, DrawRule { seed: 0, stream: 0, n: 2, mirror: false, crop: 0 }).unwrap();
    let message = stream.batch(0, 0).unwrap_err().to_string();
    assert!(message.contains("only.png: can't be opened"), "{message}");
    put(folder.path(), "only.png", &png(picture(1)));
    assert_eq!(stream.batch(200, 100).unwrap().len(), 2 * 192, "the stream goes on once it is back");
}

#[test]
fn idx_files_under_mnist_names() {
    let pixels: Vec<u8> = (0..3 * 28 * 28).map(|i| (i % 251) as u8).collect();
    let images = idx(&[3, 28, 28], &pixels);
    let folder = tempdir().unwrap();
    put(folder.path(), "train-images-idx3-ubyte.gz", &gzip(&images));
    put(folder.path(), "train-labels-idx1-ubyte.gz", &gzip(&idx(&[3], &[7, 0, 2])));
    put(folder.path(), "t10k-images.idx3-ubyte", &idx(&[1, 28, 28], &pixels[..784]));
    let set = data::load(&Spec { channels: 1, ..spec(folder.path(), 28) }, &|_, _| {}).unwrap();
    assert_eq!((set.count, &set.images), (3, &pixels));
    assert_eq!((set.labels.as_deref(), set.classes.len()), (Some(&[7, 0, 2][..]), 8));

    // 28 → 32: two zeros on every side, in each of three channels.
    let set = load(folder.path(), 32).unwrap();
    assert_eq!(set.image(1).len(), 32 * 32 * 3);
    let at = |y: usize, x: usize| &set.image(1)[(y * 32 + x) * 3..][..3];
    assert_eq!(
        (at(2, 2), at(1, 2), at(29, 29)),
        (&[(784 % 251) as u8; 3][..], &[0; 3][..], &[(1567 % 251) as u8; 3][..])
    );

    let test = data::load(&Spec { split: Split::Test, ..spec(folder.path(), 28) }, &|_, _| {}).unwrap();
    assert_eq!((test.count, test.labels), (1, None));

    // Streamed like anything else.
    let index = Arc::new(Index::new(&spec(folder.path(), 32)).unwrap().check(&|_, _| {}).unwrap());
    let rule = DrawRule { seed: 1, stream: 0, n: 4, mirror: false, crop: 0 };
    let mut stream = Stream::start(&index, rule).unwrap();
    assert_eq!(stream.batch(0, 0).unwrap(), set.batch(&rule, 0, 0));
    assert_eq!(stream.labels(0), set.batch_labels(&rule, 0));
}

/// One file of images is a set: by its ending or its first bytes, with the labels beside it.
#[test]
fn single_idx_files() {
    let dir = tempdir().unwrap();
    let images = idx(&[2, 4, 4], &[9; 32]);
    put(dir.path(), "train-labels-idx1-ubyte", &idx(&[2], &[1, 0]));
    put(dir.path(), "letters-labels.idx", &idx(&[2], &[3, 3]));
    for (name, bytes, labels) in [
        ("train-images-idx3-ubyte.gz", gzip(&images), Some(vec![1, 0])),
        ("t10k-images-idx3-ubyte", images.clone(), None),
        ("letters-images.idx", images.clone(), Some(vec![3, 3])),
        ("numbers.idx", images.clone(), None),
        ("no ending", images.clone(), None),
    ] {
        let set = load(&put(dir.path(), name, &bytes), 4).unwrap_or_else(|e| panic!("{e}"));
        assert_eq!((set.count, set.images, set.labels), (2, vec![9; 96], labels), "{name}");
    }
    let labels = dir.path().join("train-labels-idx1-ubyte");
    assert!(refusal(&labels).contains("starts with 0x00000801, not 0x00000803"));
    assert!(refusal(&put(dir.path(), "text.idx", b"sixteen letters.")).contains("not an IDX file"));
    assert!(refusal(&put(dir.path(), "text.gz", b"sixteen letters.")).contains("too damaged for an IDX header"));
}

#[test]
fn idx_files_that_are_wrong() {
    let good = idx(&[2, 4, 4], &[9; 32]);
    let mut magic = good.clone();
    magic[2] = 0x0D;
    let labels = |n: u32| Some(gzip(&idx(&[n], &vec![1; n as usize])));
    type Case = (&'static str, Vec<u8>, Option<Vec<u8>>, &'static str);
    let table: [Case; 9] = [
        ("magic", gzip(&magic), None, "starts with 0x00000d03, not 0x00000803"),
        ("cut", gzip(&good[..40]), None, "cut short: promises 32 bytes and holds 24"),
        ("long", gzip(&[good.as_slice(), &[0]].concat()), None, "holds more than the 32 bytes it promises"),
        ("no header", gzip(&good[..7]), None, "too short or too damaged for an IDX header"),
        ("gzip cut", gzip(&good)[..20].to_vec(), None, ""),
        ("not gzip", good.clone(), None, "too damaged"),
        ("no images", gzip(&idx(&[0, 28, 28], &[])), None, "holds 0 images of 28×28"),
        ("too few labels", gzip(&good), labels(1), "1 labels for 2 images"),
        ("images as labels", gzip(&good), Some(gzip(&good)), "not 0x00000801"),
    ];
    for (name, images, labels, reason) in table {
        let folder = tempdir().unwrap();
        put(folder.path(), "train-images-idx3-ubyte.gz", &images);
        if let Some(labels) = labels {
            put(folder.path(), "train-labels-idx1-ubyte.gz", &labels);
        }
        let message = load(folder.path(), 4).unwrap_err().to_string();
        assert!(message.contains("-ubyte.gz: ") && message.contains(reason), "{name}: {message}");
    }
    let folder = tempdir().unwrap();
    put(folder.path(), "t10k-images-idx3-ubyte", &good);
    assert!(refusal(folder.path()).contains("no train-images-idx3-ubyte"));
}

/// What a grid writes singly, the loader reads back bit for bit; files are replaced whole and nothing else is left behind.
#[test]
fn images_written_and_read_back() {
    for channels in [1, 3] {
        let folder = tempdir().unwrap();
        let values: Vec<f32> = (0..5 * 16 * channels).map(|i| (i as f32 * 0.37).sin() * 1.1).collect();
        let paths = grid::write_each(folder.path(), &values, [5, 4, 4, channels], 98).unwrap();
        assert_eq!(paths[2].file_name().unwrap(), "00000100.png");
        let set = data::load(&Spec { channels, ..spec(folder.path(), 4) }, &|_, _| {}).unwrap();
        assert_eq!(set.images, values.iter().map(|&v| grid::quantise(v)).collect::<Vec<u8>>());

        let path = put(folder.path(), "grid.png", b"an older file");
        grid::write(&path, &values, [5, 4, 4, channels], 3, grid::Scale::Auto).unwrap();
        let written = image::open(&path).unwrap().into_rgb8();
        assert_eq!(written, grid::image(&values, [5, 4, 4, channels], 3, grid::Scale::Auto).unwrap());
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 6);
    }
    let folder = tempdir().unwrap();
    let message = grid::write(&folder.path().join("no/grid.png"), &[0.0], [1, 1, 1, 1], 1, grid::Scale::Auto);
    assert!(message.unwrap_err().to_string().contains("grid.png: writing a PNG: "));
    assert!(grid::write(&folder.path().join("x.png"), &[0.0], [2, 1, 1, 1], 1, grid::Scale::Auto).is_err());
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}
