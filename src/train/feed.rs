//! Real samples for an iteration: resident on the device, streamed from files, or points made on the spot.
//!
//! Whatever the way, the batch of a step is a pure function of (seed, step), so a resumed run sees the same images.

use super::gan::Resident;
use super::phases::stream;
use crate::config::{Config, Mode, Source};
use crate::data::toys::{self, Toy};
use crate::data::{self, DrawRule, Index, Skipped, Spec, Stream};
use crate::{Error, Result};
use std::sync::Arc;

/// Sets up to this size stay resident in `auto` mode.
const RESIDENT_BYTES: usize = 1 << 30;

/// Where the reals of an iteration come from.
pub struct Feed {
    kind: Kind,
    mirror: bool,
    /// What the data set is, for people.
    pub description: String,
    /// Files that could not be used.
    pub skipped: Skipped,
    /// A few images of the set, NHWC in [-1, 1], to look at; empty for points.
    pub preview: Vec<f32>,
}

/// Images in [`Feed::preview`].
pub const PREVIEW: usize = 64;

enum Kind {
    Resident { words: Option<Vec<u32>>, count: usize },
    Streamed { index: Arc<Index>, open: Vec<(DrawRule, Stream)> },
    Toy(Toy),
}

impl Feed {
    /// Opens the data of a configuration; `progress` hears (done, total) while images are decoded or rendered.
    ///
    /// # Errors
    /// Those of [`data::load`]; a set that must be resident and is too large.
    pub fn open(config: &Config, progress: &dyn Fn(usize, usize)) -> Result<Feed> {
        let d = &config.data;
        let source = match d.source {
            Source::Ring8 => return Ok(Feed::toy(Toy::Ring8)),
            Source::Grid25 => return Ok(Feed::toy(Toy::Grid25)),
            Source::Faces => data::Source::Faces { seed: config.train.seed, count: d.count },
            Source::Path => match &d.path {
                Some(path) => data::Source::Path(path.clone()),
                None => return Err(Error::setting(config.place("data.path"), "data.path", "\"\"", "give --data PATH")),
            },
        };
        let spec = Spec { channels: d.channels, ..Spec::new(source, d.size) };
        let index = Index::new(&spec)?;
        let resident = match d.mode {
            Mode::Resident => true,
            Mode::Stream => false,
            Mode::Auto => index.bytes() <= RESIDENT_BYTES,
        };
        let mirror = d.mirror;
        let look = DrawRule { seed: config.train.seed, stream: stream::PREVIEW, n: PREVIEW, mirror: false };
        if resident {
            let set = index.load(progress)?;
            let description = format!("{} images of {} at {}x{}", set.count, set.name, d.size, d.size);
            let kind = Kind::Resident { words: Some(set.words()), count: set.count };
            let preview = set.batch(&look, 0, 0);
            return Ok(Feed { kind, mirror, description, skipped: set.skipped, preview });
        }
        let index = index.check(progress)?;
        let description = format!("{} images of {} at {}x{}, streamed", index.count, index.name, d.size, d.size);
        let skipped = index.skipped.clone();
        let index = Arc::new(index);
        let preview = Stream::start(&index, look)?.batch(0, 0)?;
        let kind = Kind::Streamed { index, open: vec![] };
        Ok(Feed { kind, mirror, description, skipped, preview })
    }

    /// Points of a 2-D toy.
    pub fn toy(toy: Toy) -> Feed {
        let description = format!("points of {}", toy.name());
        Feed { kind: Kind::Toy(toy), mirror: false, description, skipped: Skipped::default(), preview: vec![] }
    }

    /// What the device keeps, where the set is resident.
    pub fn resident(&self) -> Option<Resident> {
        match self.kind {
            Kind::Resident { count, .. } => Some(Resident { count, mirror: self.mirror, labels: false }),
            _ => None,
        }
    }

    /// The packed bytes of a resident set, once: the device holds them from then on.
    pub fn take_words(&mut self) -> Option<(Vec<u32>, Option<Vec<u32>>)> {
        match &mut self.kind {
            Kind::Resident { words, .. } => words.take().map(|words| (words, None)),
            _ => None,
        }
    }

    /// The 2-D toy, if it is one.
    pub fn toy_kind(&self) -> Option<Toy> {
        match self.kind {
            Kind::Toy(toy) => Some(toy),
            _ => None,
        }
    }

    /// The batch of `step` after `first` samples of this stream, `[n, …]`. The host sends it, where the set is not resident.
    ///
    /// # Errors
    /// [`Error::Data`] for an image that can't be read, and for a resident set.
    pub fn batch(&mut self, seed: u64, step: u32, stream: u32, first: u64, n: usize) -> Result<Batch> {
        let values = match &mut self.kind {
            Kind::Resident { .. } => return Err(Error::data(&self.description, "the device draws its batches")),
            Kind::Toy(toy) => toys::batch(*toy, seed, step, stream, n),
            Kind::Streamed { index, open } => {
                let rule = DrawRule { seed, stream, n, mirror: self.mirror };
                let at = match open.iter().position(|(known, _)| *known == rule) {
                    Some(at) => at,
                    None => {
                        open.retain(|(known, _)| known.stream != stream);
                        open.push((rule, Stream::start(index, rule)?));
                        open.len() - 1
                    }
                };
                open[at].1.batch(first, step)?
            }
        };
        Ok(Batch { values, labels: None })
    }
}

/// A batch that the host sends.
#[derive(Clone, Debug, PartialEq)]
pub struct Batch {
    /// Samples, `[n, H, W, C]` in [-1,1] or `[n, 2]`.
    pub values: Vec<f32>,
    /// Their labels `[n]`, where there are any.
    pub labels: Option<Vec<f32>>,
}
