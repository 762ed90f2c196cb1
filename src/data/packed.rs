//! Packed sets: images decoded and resized once, in one file that is read at any place.
//!
//! Little-endian: a head of 64 bytes (magic, version, extents, checksums), the images `[count, size, size, channels]`, a label per
//! image, a checksum (CRC-32C) per image, and a text in JSON with the names of the classes. A file is known to be whole by its
//! length, its tables by their checksum when it is opened, and each image by its own when it is read. Plain reads at a place,
//! no memory map: the system's cache is the same, and a file that shrinks is an error and no signal.

use std::fs::File;
use std::io::{self, BufWriter, Seek, SeekFrom, Write};
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::index::Index;
use super::positioned::read_at;
use super::{MAX_COUNT, MAX_SIZE, Skipped, Split, checksum};
use crate::{Error, Result, files};

const MAGIC: &[u8; 8] = b"DANSKIN\x1a";
/// The newest version that is read, and the one that is written.
const VERSION: u32 = 1;
const HEAD: usize = 64;
/// Most bytes of the text.
const MAX_TEXT: u32 = 64 << 20;

/// What the text at the end says.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Text {
    name: String,
    classes: Vec<String>,
    labelled: bool,
    test: bool,
    fingerprint: String,
}

/// A packed set that has been opened.
#[derive(Debug)]
pub(super) struct Packed {
    file: File,
    /// How many images.
    pub count: usize,
    /// Height and width.
    pub size: usize,
    /// 1 or 3.
    pub channels: usize,
    /// One per image, where there are labels.
    pub labels: Option<Vec<u32>>,
    sums: Vec<u32>,
    text: Text,
}

impl Packed {
    /// Whether a file is a packed set by its first bytes.
    pub fn is_file(path: &Path) -> bool {
        let mut start = [0; 8];
        File::open(path).and_then(|f| read_at(&f, &mut start, 0)).is_ok() && &start == MAGIC
    }

    /// Reads the head and the tables.
    ///
    /// # Errors
    /// [`Error::Data`] for a file that is torn, damaged, or of a newer version.
    pub fn open(path: &Path) -> Result<Packed> {
        let refuse = |reason: String| Error::data(path, reason);
        let file = File::open(path).map_err(|e| refuse(format!("can't be opened: {e}")))?;
        let mut head = [0; HEAD];
        read_at(&file, &mut head, 0).map_err(|_| refuse(format!("cut short: not even {HEAD} bytes; {AGAIN}")))?;
        let word = |at: usize| u32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
        let version = word(8);
        if version > VERSION {
            let hint = "read it with a newer program, or pack it again";
            return Err(refuse(format!("a packed set of version {version}, and this program reads {VERSION}: {hint}")));
        }
        if word(60) != crc32c::crc32c(&head[..60]) {
            return Err(refuse(format!("its head is damaged; {AGAIN}")));
        }
        let [count, size, channels, text] = [12, 16, 20, 24].map(word);
        let [count, size, channels] = [count, size, channels].map(|n| n as usize);
        if !(1..=MAX_COUNT).contains(&count) || !(1..=MAX_SIZE).contains(&size) || ![1, 3].contains(&channels) {
            return Err(refuse(format!("its head is damaged; {AGAIN}")));
        }
        let images = count as u64 * (size * size * channels) as u64;
        let tables = 8 * count as u64 + u64::from(text.min(MAX_TEXT));
        let (wanted, held) = (HEAD as u64 + images + tables, file.metadata().map_or(0, |m| m.len()));
        if wanted != held {
            return Err(refuse(format!("cut short or damaged: promises {wanted} bytes and holds {held}; {AGAIN}")));
        }
        let mut bytes = vec![0; tables as usize];
        read_at(&file, &mut bytes, HEAD as u64 + images).map_err(|e| refuse(format!("can't be read: {e}")))?;
        if crc32c::crc32c(&bytes) != word(28) {
            return Err(refuse(format!("its tables are damaged; {AGAIN}")));
        }
        let (numbers, text) = bytes.split_at(8 * count);
        let text: Text =
            serde_json::from_slice(text).map_err(|e| refuse(format!("its text is damaged ({e}); {AGAIN}")))?;
        let words = |b: &[u8]| b.chunks_exact(4).map(|w| u32::from_le_bytes([w[0], w[1], w[2], w[3]])).collect();
        let (labels, sums): (Vec<u32>, Vec<u32>) = (words(&numbers[..4 * count]), words(&numbers[4 * count..]));
        let labels = text.labelled.then_some(labels);
        if let Some(label) = labels.iter().flatten().find(|label| **label as usize >= text.classes.len()) {
            return Err(refuse(format!("has the label {label} and {} classes; {AGAIN}", text.classes.len())));
        }
        Ok(Packed { file, count, size, channels, labels, sums, text })
    }

    /// Name of what was packed.
    pub fn name(&self) -> &str {
        &self.text.name
    }

    /// Names of the classes.
    pub fn classes(&self) -> &[String] {
        &self.text.classes
    }

    /// Which part of a divided set it is.
    pub fn split(&self) -> Split {
        if self.text.test { Split::Test } else { Split::Train }
    }

    /// The fingerprint that the set has in memory.
    pub fn fingerprint(&self) -> &str {
        &self.text.fingerprint
    }

    /// Checksum of image k.
    pub fn sum(&self, k: usize) -> u32 {
        self.sums[k]
    }

    /// Bytes of image k, whose checksum was checked.
    pub fn image(&self, k: usize) -> Result<Vec<u8>, String> {
        let mut bytes = vec![0; self.size * self.size * self.channels];
        let at = HEAD as u64 + k as u64 * bytes.len() as u64;
        read_at(&self.file, &mut bytes, at).map_err(|e| format!("can't be read: {e}"))?;
        match crc32c::crc32c(&bytes) == self.sums[k] {
            true => Ok(bytes),
            false => Err(format!("damaged in the packed file; {AGAIN}")),
        }
    }
}

/// Height and width, and the number of channels, of the packed set in a file; `None` for any other file.
pub fn packed_form(path: &Path) -> Option<(usize, usize)> {
    Packed::is_file(path).then(|| Packed::open(path).ok()).flatten().map(|packed| (packed.size, packed.channels))
}

const AGAIN: &str = "pack it again";

/// What [`pack`] wrote.
#[derive(Clone, Debug)]
pub struct Packing {
    /// Images in the file.
    pub count: usize,
    /// Bytes of the file.
    pub bytes: u64,
    /// Images that were left out.
    pub skipped: Skipped,
}

/// Decodes every image of an index and writes the good ones as a packed set: whole or not at all, and over no other file.
///
/// # Errors
/// [`Error::Data`] for a file that exists, and where more than half of the images are bad; [`Error::Io`] where it can't be
/// written.
pub fn pack(index: &Index, split: Split, path: &Path, progress: &dyn Fn(usize, usize)) -> Result<Packing> {
    if path.symlink_metadata().is_ok() {
        return Err(Error::data(path, "exists and is left as it is: choose another name"));
    }
    let mut failed = None;
    let mut done = None;
    let fill = |file: &mut File| match write(file, index, split, progress)? {
        Ok(packing) => {
            done = Some(packing);
            Ok(())
        }
        Err(error) => {
            failed = Some(error);
            Err(io::Error::other("left out"))
        }
    };
    let written = files::replace(path, fill);
    if let Some(error) = failed {
        return Err(error);
    }
    written.map_err(Error::io(path, "writing a packed set"))?;
    done.ok_or_else(|| Error::data(path, "nothing was written"))
}

/// The outer result is the disk's, the inner one that of the images.
fn write(file: &mut File, index: &Index, split: Split, progress: &dyn Fn(usize, usize)) -> io::Result<Result<Packing>> {
    let mut out = BufWriter::with_capacity(1 << 20, file);
    out.write_all(&[0; HEAD])?;
    let (mut sums, mut labels, mut whole, mut failed) = (Vec::new(), Vec::new(), 0, Ok(()));
    let passed = index.pass(progress, |k, pixels| {
        if failed.is_ok() {
            failed = out.write_all(&pixels);
        }
        whole = crc32c::crc32c_append(whole, &pixels);
        sums.push(crc32c::crc32c(&pixels));
        labels.push(index.labels.as_ref().map_or(0, |l| l[k]));
    });
    failed?;
    let skipped = match passed {
        Ok(skipped) => skipped,
        Err(error) => return Ok(Err(error)),
    };
    let (count, size, channels) = (sums.len(), index.size, index.channels);
    let images = count * size * size * channels;
    let labelled = index.labels.is_some();
    // The checksum of form, images and labels, one after the other, that `DataSet::fingerprint` takes.
    let form = [count, size, channels].iter().fold(0, |crc, n| checksum::word(crc, *n as u64));
    let crc = checksum::labels(crc32c::crc32c_combine(form, whole, images), labelled.then_some(labels.as_slice()));
    let text = Text {
        name: index.name.clone(),
        classes: index.classes.clone(),
        labelled,
        test: split == Split::Test,
        fingerprint: format!("images-{crc:08x}"),
    };
    let text = serde_json::to_vec(&text).map_err(io::Error::other)?;
    let mut tables: Vec<u8> = labels.iter().chain(&sums).flat_map(|n| n.to_le_bytes()).collect();
    tables.extend(&text);
    out.write_all(&tables)?;
    let mut head = [0; HEAD];
    head[..8].copy_from_slice(MAGIC);
    let words = [VERSION, count as u32, size as u32, channels as u32, text.len() as u32, crc32c::crc32c(&tables)];
    for (at, word) in words.iter().enumerate() {
        head[8 + 4 * at..12 + 4 * at].copy_from_slice(&word.to_le_bytes());
    }
    let crc = crc32c::crc32c(&head[..60]);
    head[60..].copy_from_slice(&crc.to_le_bytes());
    out.seek(SeekFrom::Start(0))?;
    out.write_all(&head)?;
    out.flush()?;
    Ok(Ok(Packing { count, bytes: (HEAD + images + tables.len()) as u64, skipped }))
}
