//! A data set in memory.

use std::fmt;

use super::draw::{DrawRule, MAX_COUNT, write_floats};
use super::labels::{MAX_CLASSES, numbered};
use super::{MAX_SIZE, checksum};
use crate::{Error, Result};

/// Images that could not be used.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Skipped {
    /// How many.
    pub count: usize,
    /// The first few: name inside the source, and what is wrong.
    pub first: Vec<(String, String)>,
}

impl Skipped {
    /// Reasons kept.
    pub(super) const KEPT: usize = 3;

    /// One more; named if fewer than `kept` are.
    pub(super) fn add(&mut self, kept: usize, name: String, reason: String) {
        self.count += 1;
        if self.first.len() < kept {
            self.first.push((name, reason));
        }
    }
}

/// `2 images skipped (a.png: the JPEG is cut short; …)`, or nothing when none was.
impl fmt::Display for Skipped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.count == 0 {
            return Ok(());
        }
        let reasons: Vec<String> = self.first.iter().map(|(name, reason)| format!("{name}: {reason}")).collect();
        let more = if self.count > self.first.len() { "; …" } else { "" };
        let plural = if self.count == 1 { "" } else { "s" };
        write!(f, "{} image{plural} skipped ({}{more})", self.count, reasons.join("; "))
    }
}

/// Images of one size, and their labels, in memory.
#[derive(Clone, Debug)]
pub struct DataSet {
    /// Short name for logs: `faces`, or the folder's or archive's.
    pub name: String,
    /// Bytes `[count, size, size, channels]`.
    pub images: Vec<u8>,
    /// One per image, where the source has classes: IDX labels, or numbers of sub-folders.
    pub labels: Option<Vec<u32>>,
    /// Names of the classes; empty without labels.
    pub classes: Vec<String>,
    /// Height and width.
    pub size: usize,
    /// 3 for RGB, 1 for grey.
    pub channels: usize,
    /// How many images; at least 1.
    pub count: usize,
    /// What was left out.
    pub skipped: Skipped,
}

impl DataSet {
    /// One's own images, bytes `[count, h, w, c]` one after the other, with a label each if there are labels. Classes are named
    /// by their numbers; `name` is for logs and messages.
    ///
    /// # Errors
    /// [`Error::Data`] where images are not square, larger than [`MAX_SIZE`](super::MAX_SIZE) or neither grey nor RGB, where
    /// lengths don't fit together, and for labels above 65,535.
    pub fn from_images(
        name: impl Into<String>,
        images: Vec<u8>,
        labels: Option<Vec<u32>>,
        [h, w, c]: [usize; 3],
    ) -> Result<DataSet> {
        let name = name.into();
        let problem = |reason: String| Err(Error::data(&name, reason));
        if h != w {
            return problem(format!("images of {h}x{w}: a data set holds square ones; crop or pad them first"));
        }
        if !(1..=MAX_SIZE).contains(&h) {
            return problem(format!("images of {h}x{w}: sides must be from 1 to {MAX_SIZE}"));
        }
        if c != 1 && c != 3 {
            return problem(format!("images of {c} channels: must have 1 (grey) or 3 (colour)"));
        }
        let (bytes, count) = (images.len(), images.len() / (h * w * c));
        if bytes == 0 || bytes % (h * w * c) != 0 {
            return problem(format!("{bytes} bytes are no whole number of {h}x{w}x{c} images, at least one"));
        }
        if count > MAX_COUNT {
            return problem(format!("{count} images: must be at most {MAX_COUNT}"));
        }
        if let Some(l) = labels.as_ref().map(Vec::len).filter(|l| *l != count) {
            return problem(format!("{l} labels for {count} images: give each image one"));
        }
        if let Some(l) = labels.iter().flatten().find(|l| **l >= MAX_CLASSES) {
            return problem(format!("label {l}: must be from 0 to {}", MAX_CLASSES - 1));
        }
        let (labels, classes) = labels.map(numbered).unzip();
        let classes = classes.unwrap_or_default();
        Ok(DataSet { name, images, labels, classes, size: h, channels: c, count, skipped: Skipped::default() })
    }

    /// What the set is, in a word that differs for another one: a checksum of its form, its images and its labels.
    pub fn fingerprint(&self) -> String {
        let crc = [self.count, self.size, self.channels].iter().fold(0, |crc, n| checksum::word(crc, *n as u64));
        let crc = crc32c::crc32c_append(crc, &self.images);
        format!("images-{:08x}", checksum::labels(crc, self.labels.as_deref()))
    }

    /// Bytes of image `k`, `[size, size, channels]`.
    pub fn image(&self, k: usize) -> &[u8] {
        let bytes = self.size * self.size * self.channels;
        &self.images[k * bytes..(k + 1) * bytes]
    }

    /// The images as words for a device: four bytes each, the first in the low bits, the last word padded with zeros.
    pub fn words(&self) -> Vec<u32> {
        let word = |b: &[u8]| {
            let mut four = [0; 4];
            four[..b.len()].copy_from_slice(b);
            u32::from_le_bytes(four)
        };
        self.images.chunks(4).map(word).collect()
    }

    /// The batch of a step, `[n, size, size, channels]` in [-1,1], as a device draws it after `first` images.
    pub fn batch(&self, rule: &DrawRule, first: u64, step: u32) -> Vec<f32> {
        let elems = self.size * self.size * self.channels;
        let mut out = vec![0.0; rule.n * elems];
        for (pick, out) in rule.picks(first, step, self.count).zip(out.chunks_exact_mut(elems)) {
            write_floats(self.image(pick.image), &pick, self.size, self.channels, out);
        }
        out
    }

    /// The labels of the batch that starts after `first` images, `[n]`.
    pub fn batch_labels(&self, rule: &DrawRule, first: u64) -> Option<Vec<f32>> {
        let labels = self.labels.as_ref()?;
        Some(rule.numbers(first, self.count).map(|k| labels[k] as f32).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_little_endian_and_padded() {
        let set = DataSet {
            name: "x".into(),
            images: vec![1, 2, 3, 4, 5],
            labels: None,
            classes: vec![],
            size: 1,
            channels: 1,
            count: 5,
            skipped: Skipped::default(),
        };
        assert_eq!(set.words(), [0x0403_0201, 5]);
    }

    #[test]
    fn skipped_reads_as_a_phrase() {
        let mut skipped = Skipped::default();
        assert_eq!(skipped.to_string(), "");
        skipped.add(3, "a.png".into(), "cut".into());
        assert_eq!(skipped.to_string(), "1 image skipped (a.png: cut)");
        for name in ["b", "c", "d"] {
            skipped.add(3, name.into(), "bad".into());
        }
        assert_eq!(skipped.to_string(), "4 images skipped (a.png: cut; b: bad; c: bad; …)");
    }
}
