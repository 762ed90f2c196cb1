//! A data set in memory.

use std::fmt;

use super::draw::{DrawRule, write_floats};

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
    const KEPT: usize = 3;

    pub(super) fn add(&mut self, name: String, reason: String) {
        self.count += 1;
        if self.first.len() < Self::KEPT {
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
    /// One an image, where the source has classes: IDX labels, or numbers of sub-folders.
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
        for ((k, flip), out) in rule.picks(first, step, self.count).zip(out.chunks_exact_mut(elems)) {
            write_floats(self.image(k), flip, self.size, self.channels, out);
        }
        out
    }

    /// The labels of the batch that starts after `first` images, `[n]`.
    pub fn batch_labels(&self, rule: &DrawRule, first: u64) -> Option<Vec<f32>> {
        let labels = self.labels.as_ref()?;
        Some(rule.picks(first, 0, self.count).map(|(k, _)| labels[k] as f32).collect())
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
        skipped.add("a.png".into(), "cut".into());
        assert_eq!(skipped.to_string(), "1 image skipped (a.png: cut)");
        for name in ["b", "c", "d"] {
            skipped.add(name.into(), "bad".into());
        }
        assert_eq!(skipped.to_string(), "4 images skipped (a.png: cut; b: bad; c: bad; …)");
    }
}
