//! Data sets: where images come from, and how they become batches.
//!
//! A [`Spec`] names a source and the form its images take; an [`Index`] lists what the source holds without decoding it.
//! A set that fits in memory is loaded once ([`load`] → [`DataSet`]) and drawn from on the device; a larger one is decoded
//! batch by batch ([`Stream`]). Both draw by the same rule ([`DrawRule`]), so they give the same batches, and any step of
//! either can be computed alone.
//!
//! May use `philox`, `files`, `error` and the decoding crates. Deliberately absent: graphs and devices; augmentation (part of a
//! training graph); networks and downloads.

mod archive;
mod checksum;
mod cifar;
mod colour;
mod decode;
mod draw;
pub mod faces;
mod idx;
mod index;
mod items;
mod labels;
mod numpy;
mod packed;
mod positioned;
mod raw;
mod set;
mod sources;
mod stacked;
mod stream;
mod survey;
mod tarball;
pub mod toys;

use std::path::PathBuf;

pub use decode::{MAX_ALLOC, MAX_FILE, MAX_SIDE};
pub use draw::{DrawRule, MAX_COUNT, Pick, cursor, draw_index, floats, mirror, shift};
pub use index::Index;
pub use packed::{Packing, pack, packed_form};
pub use set::{DataSet, Skipped};
pub use stream::Stream;
pub use survey::{Survey, survey};

use crate::{Error, Result};

/// Largest side an image of a data set may be asked to have.
pub const MAX_SIZE: usize = 1024;

/// Where images come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// The built-in faces ([`faces`]), of a size in [`faces::SIZES`]: image k is a pure function of (seed, k).
    Faces {
        /// Seed of the population.
        seed: u64,
        /// How many.
        count: usize,
        /// The factor of [`faces::FACTORS`] by which they are labelled; of a range its lower and upper half are the classes.
        label: Option<String>,
    },
    /// A folder of images (searched through its sub-folders), a zip or tar archive of images, a folder of IDX, CIFAR or NumPy files
    /// or one of them, or a set that [`pack`] wrote. Labels are those of StyleGAN's `dataset.json` at the root, else the folders
    /// images lie in; for files of numbers those beside them.
    Path(PathBuf),
    /// Three digits of IDX files as red, green and blue: image k is drawn by (seed, k). Its label is the number that they are read as.
    StackedMnist {
        /// A folder of IDX files, or one of them.
        path: PathBuf,
        /// Which draw.
        seed: u64,
        /// How many.
        count: usize,
    },
}

/// Which part of a set that comes divided (`train-…`, `t10k-…` IDX files).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Split {
    /// The training part; all of a set that is not divided.
    #[default]
    Train,
    /// The test part.
    Test,
}

/// What to load, and the form images take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spec {
    /// Where images come from.
    pub source: Source,
    /// Height and width of every image, 1 to [`MAX_SIZE`]. Others are cropped to their central square and resized; IDX
    /// images that almost fill the size (28 of 32) are framed with zeros instead.
    pub size: usize,
    /// 3 for RGB, 1 for grey.
    pub channels: usize,
    /// Which part.
    pub split: Split,
}

impl Spec {
    /// RGB images of `size`×`size` from `source`, training part.
    pub fn new(source: Source, size: usize) -> Spec {
        Spec { source, size, channels: 3, split: Split::Train }
    }

    fn check(&self) -> Result<()> {
        if !(1..=MAX_SIZE).contains(&self.size) {
            return Err(Error::setting("data", "size", self.size, format!("must be from 1 to {MAX_SIZE}")));
        }
        if self.channels != 1 && self.channels != 3 {
            return Err(Error::setting("data", "channels", self.channels, "must be 1 (grey) or 3 (colour)"));
        }
        Ok(())
    }
}

/// Lists, decodes and keeps a whole set in memory. `progress` hears (done, total) on the calling thread as images finish.
///
/// Bad images are left out and counted in [`DataSet::skipped`].
///
/// # Errors
/// Those of [`Index::new`], and [`Error::Data`] when more than half of the images are bad.
pub fn load(spec: &Spec, progress: &dyn Fn(usize, usize)) -> Result<DataSet> {
    Index::new(spec)?.load(progress)
}

/// One image of a file as a set would hold it: its central square, resized, as bytes `[size, size, channels]`.
///
/// # Errors
/// [`Error::Io`] for a file that can't be read, [`Error::Data`] for one that is no image.
pub fn read_image(path: &std::path::Path, size: usize, channels: usize) -> Result<Vec<u8>> {
    let bytes = std::fs::read(path).map_err(Error::io(path, "reading the image"))?;
    decode::square(&bytes, size, channels).map_err(|reason| Error::data(path, reason))
}
