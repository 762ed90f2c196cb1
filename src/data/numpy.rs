//! NumPy's array files: `.npy`, and `.npz`, which is a zip archive of them.
//!
//! Images are bytes, or floats from 0 to 1, of `[count, h, w]` or `[count, h, w, c]` with 1, 3 or 4 channels; labels are whole
//! numbers, one per image. Arrays are found by the names that people give them.

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;

use super::Split;
use super::labels::MAX_CLASSES;
use super::raw::Raw;

/// Most bytes of pixels that are held.
const MAX_BYTES: u64 = 4 << 30;

/// Names of images and of the labels beside them, per split.
const TRAIN: [[&str; 2]; 7] = [
    ["x_train", "y_train"],
    ["train_images", "train_labels"],
    ["images", "labels"],
    ["x", "y"],
    ["X", "Y"],
    ["data", "labels"],
    ["arr_0", "arr_1"],
];
const TEST: [[&str; 2]; 2] = [["x_test", "y_test"], ["test_images", "test_labels"]];

/// Which of the arrays of these names (without `.npy`) are the images of a split, and which, if any, their labels.
pub(super) fn pair<'a>(names: &[&'a str], split: Split) -> Option<(&'a str, Option<&'a str>)> {
    let known: &[[&str; 2]] = if split == Split::Train { &TRAIN } else { &TEST };
    let find = |wanted: &str| names.iter().find(|name| **name == wanted).copied();
    known.iter().find_map(|[images, labels]| Some((find(images)?, find(labels))))
}

/// The names that [`pair`] looks for.
pub(super) fn known(split: Split) -> String {
    let known: &[[&str; 2]] = if split == Split::Train { &TRAIN } else { &TEST };
    known.iter().map(|[images, _]| *images).collect::<Vec<_>>().join(", ")
}

/// Labels that belong to the images of this name.
pub(super) fn label_name(images: &str) -> Option<&'static str> {
    TRAIN.iter().chain(&TEST).find(|pair| pair[0] == images).map(|pair| pair[1])
}

/// Whether a file is an array by its first bytes.
pub(super) fn is_file(path: &Path) -> bool {
    let mut start = [0; 6];
    File::open(path).and_then(|mut f| f.read_exact(&mut start)).is_ok() && &start == MAGIC
}

/// An array file to read from.
pub(super) fn open(path: &Path) -> Result<impl Read + use<>, String> {
    File::open(path).map(BufReader::new).map_err(|e| format!("can't be opened: {e}"))
}

const MAGIC: &[u8; 6] = b"\x93NUMPY";

/// What the header says.
struct Header {
    /// `|u1`, `<f4` …
    kind: String,
    shape: Vec<usize>,
}

impl Header {
    fn read(file: &mut impl Read) -> Result<Header, String> {
        let short = |_| "too short for a NumPy array".to_owned();
        let mut start = [0; 8];
        file.read_exact(&mut start).map_err(short)?;
        if &start[..6] != MAGIC {
            return Err("not a NumPy array (.npy)".into());
        }
        let mut length = [0; 4];
        let bytes = if start[6] == 1 { 2 } else { 4 };
        file.read_exact(&mut length[..bytes]).map_err(short)?;
        let length = u64::from(u32::from_le_bytes(length));
        if length > 1 << 16 {
            return Err(format!("its header of {length} bytes is too long for an array of numbers"));
        }
        let mut text = String::new();
        file.take(length).read_to_string(&mut text).map_err(|_| "its header is no text")?;
        let problem = || format!("its header can't be read: {}", text.trim());
        let value = |key: &str| {
            let rest = text.split_once(&format!("'{key}'"))?.1.trim_start();
            Some(rest.strip_prefix(':')?.trim_start())
        };
        let kind = value("descr").and_then(|v| v.strip_prefix('\'')?.split_once('\'')).ok_or_else(problem)?.0;
        if value("fortran_order").ok_or_else(problem)?.starts_with("True") {
            return Err("is in Fortran's order: save numpy.ascontiguousarray of it".into());
        }
        let shape = value("shape").and_then(|v| v.strip_prefix('(')?.split_once(')')).ok_or_else(problem)?.0;
        let extents = shape.split(',').map(str::trim).filter(|e| !e.is_empty()).map(str::parse);
        let shape = extents.collect::<Result<Vec<usize>, _>>().map_err(|_| problem())?;
        Ok(Header { kind: kind.to_owned(), shape })
    }

    /// How many elements there are.
    fn count(&self) -> Option<usize> {
        self.shape.iter().try_fold(1usize, |n, &e| n.checked_mul(e))
    }
}

/// Reads images and labels.
pub(super) fn read(
    images: impl Read,
    labels: Option<Result<impl Read, String>>,
    names: (&str, Option<&str>),
) -> Result<Raw, String> {
    let (extents, bytes) = pixels(images).map_err(|reason| format!("{}: {reason}", names.0))?;
    let count = bytes.len() / extents.iter().product::<usize>();
    let of = |reason: String| format!("{}: {reason}", names.1.unwrap_or("labels"));
    let labels = match labels {
        None => None,
        Some(file) => Some(file.and_then(|file| numbers(file, count)).map_err(of)?),
    };
    Ok(Raw { kind: "NumPy arrays", bytes, extents, labels, classes: vec![] })
}

fn pixels(mut file: impl Read) -> Result<([usize; 3], Vec<u8>), String> {
    let header = Header::read(&mut file)?;
    let extents = match header.shape[..] {
        [_, h, w] => [h, w, 1],
        [_, h, w, c @ (1 | 3 | 4)] => [h, w, c],
        [_, 1 | 3, ..] if header.shape.len() == 4 => {
            return Err(format!("has the shape {:?}, channels first: save its transpose(0, 2, 3, 1)", header.shape));
        }
        _ => {
            let hint = "must be [count, height, width] or [count, height, width, 1, 3 or 4 channels]";
            return Err(format!("has the shape {:?}: {hint}", header.shape));
        }
    };
    let Some(count) = header.count().filter(|&n| n > 0 && n as u64 <= MAX_BYTES) else {
        return Err(format!("has the shape {:?}: from 1 value to {} GiB can be read", header.shape, MAX_BYTES >> 30));
    };
    let width = match header.kind.as_str() {
        "|u1" => 1,
        "<f4" => 4,
        "<f8" => 8,
        other => return Err(format!("holds {other}: must be uint8, or float32 or float64 from 0 to 1")),
    };
    // Grown as the bytes come: a header that lies costs no memory.
    let mut bytes = Vec::new();
    let mut chunk = vec![0; width << 16];
    while bytes.len() < count {
        let wanted = (count - bytes.len()).min(1 << 16) * width;
        let cut = |e| format!("breaks off after {} of {count} values: {e}", bytes.len());
        file.read_exact(&mut chunk[..wanted]).map_err(cut)?;
        match width {
            1 => bytes.extend_from_slice(&chunk[..wanted]),
            _ => {
                for value in chunk[..wanted].chunks_exact(width) {
                    bytes.push(share(value, bytes.len() / extents.iter().product::<usize>())?);
                }
            }
        }
    }
    Ok((extents, bytes))
}

/// A float from 0 to 1 as a byte.
fn share(value: &[u8], image: usize) -> Result<u8, String> {
    let number = match *value {
        [a, b, c, d] => f64::from(f32::from_le_bytes([a, b, c, d])),
        [a, b, c, d, e, f, g, h] => f64::from_le_bytes([a, b, c, d, e, f, g, h]),
        _ => f64::NAN,
    };
    match (0.0..=1.0).contains(&number) {
        true => Ok((255.0 * number).round() as u8),
        false => {
            Err(format!("image {image} holds {number}: floats must be from 0 to 1; save uint8 from 0 to 255 instead"))
        }
    }
}

fn numbers(mut file: impl Read, count: usize) -> Result<Vec<u32>, String> {
    let header = Header::read(&mut file)?;
    if !matches!(header.shape[..], [n] | [n, 1] if n == count) {
        return Err(format!("has the shape {:?} for {count} images: give each image one label", header.shape));
    }
    let width: usize = match header.kind.as_str() {
        "|u1" | "|i1" => 1,
        "<u2" | "<i2" => 2,
        "<u4" | "<i4" => 4,
        "<u8" | "<i8" => 8,
        other => return Err(format!("holds {other}: labels must be whole numbers")),
    };
    let mut bytes = Vec::new();
    let wanted = (count * width) as u64;
    file.take(wanted).read_to_end(&mut bytes).map_err(|e| format!("can't be read: {e}"))?;
    if bytes.len() as u64 != wanted {
        return Err(format!("breaks off after {} of {count} labels", bytes.len() / width));
    }
    let signed = header.kind.contains('i');
    let label = |(k, value): (usize, &[u8])| {
        let negative = signed && value[width - 1] >= 0x80;
        let mut eight = [0; 8];
        eight[..width].copy_from_slice(value);
        let label = u64::from_le_bytes(eight);
        match !negative && label < u64::from(MAX_CLASSES) {
            true => Ok(label as u32),
            false => Err(format!("label of image {k} is not from 0 to {}", MAX_CLASSES - 1)),
        }
    };
    bytes.chunks_exact(width).enumerate().map(label).collect()
}
