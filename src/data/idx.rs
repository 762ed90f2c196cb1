//! IDX files (LeCun's MNIST format), plain or gzipped, under MNIST's names.
//!
//! An IDX file is a big-endian header, two zero bytes, element type, number of dimensions, then one u32 per extent, and the
//! elements. Only unsigned bytes occur: images are [count, rows, columns], labels are [count].

use std::fs::{self, File};
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

use flate2::bufread::MultiGzDecoder;
use image::{Rgb, RgbImage};

use super::Split;
use super::decode::{resize, with_channels};
use crate::{Error, Result};

/// Most bytes of elements an IDX file may hold.
const MAX_BYTES: u64 = 4 << 30;

/// Images of an IDX file, and the labels beside it.
#[derive(Debug)]
pub(super) struct Idx {
    rows: usize,
    columns: usize,
    bytes: Vec<u8>,
    /// One per image, if there is a file of labels.
    pub labels: Option<Vec<u32>>,
}

impl Idx {
    /// Reads the `split` of an IDX data set in `folder`; `None` when the folder holds no IDX images at all.
    pub fn find(folder: &Path, names: &[String], split: Split) -> Option<Result<Idx>> {
        let images: Vec<&String> = names.iter().filter(|n| is_images(n)).collect();
        if images.is_empty() {
            return None;
        }
        let of_split = |n: &&&String| match split {
            Split::Train => n.contains("train"),
            Split::Test => n.contains("t10k") || n.contains("test"),
        };
        let Some(name) = images.iter().find(of_split) else {
            let wanted = if split == Split::Train { "train-images-idx3-ubyte" } else { "t10k-images-idx3-ubyte" };
            return Some(Err(Error::data(folder, format!("holds IDX files but no {wanted} (plain or .gz)"))));
        };
        let labels = label_name(name, names).map(|n| folder.join(n));
        Some(Idx::read(&folder.join(name.as_str()), labels))
    }

    fn read(path: &Path, labels: Option<PathBuf>) -> Result<Idx> {
        let (extents, bytes) = read_file(path, 3)?;
        let [count, rows, columns] = extents[..] else { return Err(Error::data(path, "not three-dimensional")) };
        if count == 0 || rows == 0 || columns == 0 {
            return Err(Error::data(path, format!("holds {count} images of {rows}×{columns}: nothing to train on")));
        }
        let labels = match labels {
            None => None,
            Some(labels) => {
                let (extents, values) = read_file(&labels, 1)?;
                if extents != [count] {
                    return Err(Error::data(labels, format!("{} labels for {count} images", extents[0])));
                }
                Some(values.into_iter().map(u32::from).collect())
            }
        };
        Ok(Idx { rows, columns, bytes, labels })
    }

    /// Reads the one file of images `path`, and the labels beside it where MNIST's naming finds them.
    pub fn open(path: &Path) -> Result<Idx> {
        let mut labels = None;
        if let (Some(folder), Some(name)) = (path.parent(), path.file_name().and_then(|n| n.to_str())) {
            let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
            let names: Vec<String> = fs::read_dir(folder)
                .map_err(|e| Error::data(folder, format!("the folder can't be read: {e}")))?
                .filter_map(|entry| Some(entry.ok()?.file_name().to_string_lossy().into_owned()))
                .collect();
            labels = label_name(name, &names).filter(|n| *n != name).map(|n| folder.join(n));
        }
        Idx::read(path, labels)
    }

    /// Whether a file is to be read as IDX: by its name, or by its first bytes.
    pub fn is_file(path: &Path) -> bool {
        let mut start = [0; 3];
        path.extension().is_some_and(|e| e == "gz" || e == "idx")
            || File::open(path).and_then(|mut f| f.read_exact(&mut start)).is_ok() && start == [0, 0, 8]
    }

    /// Bytes of image k, `[rows, columns]`.
    pub fn image(&self, k: usize) -> &[u8] {
        &self.bytes[k * self.rows * self.columns..][..self.rows * self.columns]
    }

    /// Width and height of each image.
    pub fn sides(&self) -> [usize; 2] {
        [self.columns, self.rows]
    }

    /// How many images.
    pub fn count(&self) -> usize {
        self.bytes.len() / (self.rows * self.columns)
    }

    /// Image k as `[size,size,channels]` bytes. One that fills three quarters of the size or more is framed with zeros, the
    /// background of these sets, so that its strokes stay sharp; others are resized on a square of zeros.
    pub fn pixels(&self, k: usize, size: usize, channels: usize) -> Vec<u8> {
        let image = self.image(k);
        let side = self.rows.max(self.columns);
        let framed = side <= size && side * 4 >= size * 3;
        let square = frame(image, self.rows, self.columns, if framed { size } else { side });
        if framed {
            square.into_iter().flat_map(|v| std::iter::repeat_n(v, channels)).collect()
        } else {
            let grey = |x: u32, y: u32| Rgb([square[y as usize * side + x as usize]; 3]);
            with_channels(resize(&RgbImage::from_fn(side as u32, side as u32, grey), size), channels)
        }
    }
}

/// The image in the middle of a square of zeros.
fn frame(image: &[u8], rows: usize, columns: usize, side: usize) -> Vec<u8> {
    let mut square = vec![0; side * side];
    let (top, left) = ((side - rows) / 2, (side - columns) / 2);
    for (y, row) in image.chunks_exact(columns).enumerate() {
        square[(top + y) * side + left..][..columns].copy_from_slice(row);
    }
    square
}

fn is_images(name: &str) -> bool {
    let name = name.strip_suffix(".gz").unwrap_or(name);
    name.ends_with("images-idx3-ubyte") || name.ends_with("images.idx3-ubyte")
}

/// The file of labels beside a file of images, gzipped or not.
fn label_name<'a>(images: &str, names: &'a [String]) -> Option<&'a String> {
    let stem = |name: &str| name.strip_suffix(".gz").unwrap_or(name).to_owned();
    let wanted = stem(images).replace("images", "labels").replace("idx3", "idx1");
    names.iter().find(|n| stem(n) == wanted)
}

/// Extents and elements of an IDX file of unsigned bytes with so many dimensions.
fn read_file(path: &Path, dimensions: usize) -> Result<(Vec<usize>, Vec<u8>)> {
    let file = File::open(path).map_err(|e| Error::data(path, format!("can't be opened: {e}")))?;
    let file = BufReader::new(file);
    if path.extension().is_some_and(|e| e == "gz") {
        parse(MultiGzDecoder::new(file), dimensions)
    } else {
        parse(file, dimensions)
    }
    .map_err(|reason| Error::data(path, reason))
}

fn parse(mut file: impl Read, dimensions: usize) -> Result<(Vec<usize>, Vec<u8>), String> {
    let mut word = || {
        let mut bytes = [0; 4];
        let read = file.read_exact(&mut bytes);
        read.map_err(|e| format!("too short or too damaged for an IDX header: {e}"))?;
        Ok::<u32, String>(u32::from_be_bytes(bytes))
    };
    let (magic, first) = (0x0800 + dimensions as u32, word()?);
    if first != magic {
        return Err(format!("starts with 0x{first:08x}, not 0x{magic:08x}: not an IDX file of this kind"));
    }
    let extents = (0..dimensions).map(|_| word().map(|e| e as usize)).collect::<Result<Vec<usize>, String>>()?;
    let size = extents.iter().try_fold(1u64, |n, &e| n.checked_mul(e as u64)).filter(|&n| n <= MAX_BYTES);
    let Some(size) = size else {
        return Err(format!("promises {extents:?} bytes, more than the limit of {} GiB", MAX_BYTES >> 30));
    };
    // Grown as the bytes come: a header that lies costs no memory. One more byte than promised shows a longer file.
    let mut bytes = Vec::new();
    let read = file.take(size + 1).read_to_end(&mut bytes);
    match read {
        Err(e) => Err(format!("promises {size} bytes and breaks off after {}: {e}", bytes.len())),
        Ok(held) if held as u64 == size => Ok((extents, bytes)),
        Ok(held) if (held as u64) < size => Err(format!("cut short: promises {size} bytes and holds {held}")),
        Ok(_) => Err(format!("holds more than the {size} bytes it promises")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn almost_full_images_are_framed() {
        let idx = Idx { rows: 28, columns: 28, bytes: vec![9; 28 * 28], labels: None };
        let out = idx.pixels(0, 32, 3);
        assert_eq!(out.len(), 32 * 32 * 3);
        let at = |y: usize, x: usize| out[(y * 32 + x) * 3];
        assert_eq!((at(1, 16), at(2, 2), at(29, 29), at(30, 16), at(16, 1), at(16, 30)), (0, 9, 9, 0, 0, 0));
        assert_eq!(out.iter().filter(|&&v| v == 9).count(), 28 * 28 * 3);
    }

    #[test]
    fn others_are_resized() {
        let idx = Idx { rows: 28, columns: 28, bytes: vec![9; 28 * 28], labels: None };
        assert_eq!(idx.pixels(0, 64, 1), vec![9; 64 * 64]);
        assert_eq!(idx.pixels(0, 14, 3), vec![9; 14 * 14 * 3]);
    }

    #[test]
    fn a_lying_header_costs_no_memory() {
        let lie = [&[0, 0, 8, 3][..], &[0, 1, 0, 0], &[0, 0, 1, 0], &[0, 0, 0, 100], &[1, 2, 3]].concat();
        assert_eq!(parse(&lie[..], 3).unwrap_err(), "cut short: promises 1677721600 bytes and holds 3");
        let lie = [&[0, 0, 8, 3][..], &[0xFF; 12]].concat();
        assert!(parse(&lie[..], 3).unwrap_err().contains("more than the limit of 4 GiB"));
    }
}
