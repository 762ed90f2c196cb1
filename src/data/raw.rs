//! Images of one size that lie in memory as bytes: what NumPy and CIFAR files hold.

use image::{DynamicImage, GrayImage, RgbImage, RgbaImage};

use super::decode::fit;

/// Bytes `[count, h, w, c]` with `c` of 1 (grey), 3 (RGB) or 4 (RGBA), and what is known of their classes.
#[derive(Debug)]
pub(super) struct Raw {
    /// What they were read from, for people.
    pub kind: &'static str,
    /// All images.
    pub bytes: Vec<u8>,
    /// Height, width, channels of each.
    pub extents: [usize; 3],
    /// One per image, where there are labels.
    pub labels: Option<Vec<u32>>,
    /// Names of the classes, where they are known.
    pub classes: Vec<String>,
}

impl Raw {
    /// How many images.
    pub fn count(&self) -> usize {
        self.bytes.len() / self.extents.iter().product::<usize>()
    }

    /// Bytes of image k.
    pub fn image(&self, k: usize) -> &[u8] {
        let bytes = self.extents.iter().product::<usize>();
        &self.bytes[k * bytes..][..bytes]
    }

    /// What the pixels are.
    pub fn mode(&self) -> &'static str {
        match self.extents[2] {
            1 => "grey",
            3 => "RGB",
            _ => "RGBA",
        }
    }

    /// Image k as `[size,size,channels]` bytes: the central square, resized; as they are where that is their size.
    pub fn pixels(&self, k: usize, size: usize, channels: usize) -> Result<Vec<u8>, String> {
        let [h, w, c] = self.extents;
        let (width, height, bytes) = (w as u32, h as u32, self.image(k).to_vec());
        let picture = match c {
            1 => GrayImage::from_raw(width, height, bytes).map(DynamicImage::from),
            3 => RgbImage::from_raw(width, height, bytes).map(DynamicImage::from),
            _ => RgbaImage::from_raw(width, height, bytes).map(DynamicImage::from),
        };
        fit(picture.ok_or("it has no pixels")?, size, channels)
    }
}
