//! The one door for data: sets resident on the device, sets streamed from files, points made on the spot, and batches that
//! one's own function makes.
//!
//! What is built in gives batches that are pure functions of (seed, stream, position, step), so a resumed run sees the same
//! samples.

use super::assembly::Resident;
use super::game::Game;
use super::stream;
use crate::config::{Config, DataMode, DataSource, Task};
use crate::data::toys::{self, Toy};
use crate::data::{self, DataSet, DrawRule, Index, Skipped, Spec, Stream};
use crate::{Error, Result};
use std::sync::Arc;

/// Sets up to this size stay resident in `auto` mode.
const RESIDENT_BYTES: usize = 1 << 30;

/// Images in [`Feed::preview`].
pub const PREVIEW: usize = 64;

/// Where real samples come from.
pub struct Feed {
    kind: Kind,
    shape: Vec<usize>,
    classes: Vec<String>,
    labelled: bool,
    mirror: bool,
    crop: usize,
    fingerprint: String,
    /// What the data set is, for people.
    pub description: String,
    /// Files that could not be used.
    pub skipped: Skipped,
    /// A few images of the set, NHWC in [-1, 1], to look at; empty for anything but a set of images.
    pub preview: Vec<f32>,
}

/// A batch that the host sends.
#[derive(Clone, Debug, PartialEq)]
pub struct HostBatch {
    /// Samples, `[n, H, W, C]` in [-1,1] or `[n, 2]`.
    pub values: Vec<f32>,
    /// Their labels `[n]`, where there are any: whole numbers.
    pub labels: Option<Vec<f32>>,
}

/// Samples and labels of (images drawn before, batch, stream).
type Function = Box<dyn FnMut(u64, usize, u32) -> Result<(Vec<f32>, Vec<f32>)>>;

enum Kind {
    Resident { bytes: Option<(Vec<u32>, Option<Vec<u32>>)>, count: usize },
    Streamed { index: Arc<Index>, open: Vec<(DrawRule, Stream)> },
    Toy(Toy),
    Function(Function),
}

impl Feed {
    /// Opens the data of a configuration; `progress` hears (done, total) while images are decoded or rendered.
    ///
    /// # Errors
    /// Those of [`data::load`]; a set that must be resident and is too large.
    pub fn open(config: &Config, progress: &dyn Fn(usize, usize)) -> Result<Feed> {
        let d = &config.data;
        match d.source {
            DataSource::Ring8 => return Ok(Feed::toy(Toy::Ring8)),
            DataSource::Grid25 => return Ok(Feed::toy(Toy::Grid25)),
            DataSource::Faces | DataSource::Path | DataSource::StackedMnist => {}
        }
        let source = Feed::source(config)?;
        let mut index = Index::new(&Spec { channels: d.channels, ..Spec::new(source, d.size) })?;
        if let Some(limit) = d.limit {
            index.limit(limit, d.seed, stream::SUBSET);
        }
        let resident = match d.mode {
            DataMode::Resident => true,
            DataMode::Stream => false,
            DataMode::Auto => index.bytes() <= RESIDENT_BYTES,
        };
        let seed = config.train.seed;
        if resident {
            // What is rendered is known by what it is rendered from, streamed or not.
            let rendered = (d.source == DataSource::Faces).then(|| index.fingerprint());
            let set = index.load(progress)?;
            let fingerprint = rendered.unwrap_or_else(|| set.fingerprint());
            return Ok(Feed::resident_set(set, d.mirror, seed, fingerprint).cropped(d.crop));
        }
        Ok(Feed::streamed(index.check(progress)?, d.mirror, seed)?.cropped(d.crop))
    }

    /// Completes a configuration by what its data tells: a classifier that is told no number of classes knows those of the data.
    ///
    /// # Errors
    /// Those of [`Index::new`]; images without labels, or of one class.
    pub fn complete(config: &mut Config) -> Result<()> {
        if config.train.task != Task::Classifier || config.model.classes > 0 {
            return Ok(());
        }
        let d = &config.data;
        let index = Index::new(&Spec { channels: d.channels, ..Spec::new(Feed::source(config)?, d.size) })?;
        match index.classes.len() {
            0 => Err(Error::data(
                &index.name,
                "its images have no labels: folders by class have, dataset.json, or IDX files",
            )),
            1 => Err(Error::data(
                &index.name,
                "all its images are of one class, and a classifier tells two or more apart",
            )),
            classes => {
                config.model.classes = classes;
                Ok(())
            }
        }
    }

    /// The same with images shifted at random by at most `crop` pixels over black, as a crop of the image with a black border of
    /// so many; 0 leaves them where they are. Not for batches of a function.
    pub fn cropped(self, crop: usize) -> Feed {
        Feed { crop, ..self }
    }

    /// Where images come from that a run of this configuration does not learn from: `count` built-in faces of another population; else
    /// the place of its own, whose test part they are ([`data::Split::Test`]).
    ///
    /// # Errors
    /// Those of [`Feed::source`].
    pub fn held_out(config: &Config, count: usize) -> Result<data::Source> {
        Ok(match Feed::source(config)? {
            data::Source::Faces { seed, label, .. } => data::Source::Faces { seed: seed.wrapping_add(1), count, label },
            other => other,
        })
    }

    /// Where the images of a configuration come from.
    ///
    /// # Errors
    /// A path that is not set; points, which are no images.
    pub fn source(config: &Config) -> Result<data::Source> {
        let d = &config.data;
        match (d.source, &d.path) {
            (DataSource::Faces, _) => Ok(data::Source::Faces { seed: d.seed, count: d.count, label: d.label.clone() }),
            (DataSource::Path, Some(path)) => Ok(data::Source::Path(path.clone())),
            (DataSource::StackedMnist, Some(path)) => {
                Ok(data::Source::StackedMnist { path: path.clone(), seed: d.seed, count: d.count })
            }
            (DataSource::Path | DataSource::StackedMnist, None) => {
                Err(Error::setting(config.place("data.source"), "data.path", "is not set", "give --data PATH"))
            }
            (points, _) => Err(Error::setting(
                config.place("data.source"),
                "data.source",
                points.name(),
                "makes points, not images",
            )),
        }
    }

    /// A set in memory, which the device will hold: one's own images by [`DataSet::from_images`], or one from [`data::load`].
    /// `mirror` flips half of the images left to right.
    pub fn from_set(set: DataSet, mirror: bool) -> Feed {
        let fingerprint = set.fingerprint();
        Feed::resident_set(set, mirror, 0, fingerprint)
    }

    /// Batches that `f` makes: of (samples drawn from this stream before, n, stream) it gives the samples, n times
    /// `sample_shape` (`[H, W, C]` in [-1,1], or `[2]`), and, with `labels`, n whole numbers, else none. A run that is to be
    /// resumed bit for bit wants a pure function.
    pub fn from_fn(
        sample_shape: &[usize],
        labels: bool,
        f: impl FnMut(u64, usize, u32) -> Result<(Vec<f32>, Vec<f32>)> + 'static,
    ) -> Feed {
        let shape: Vec<String> = sample_shape.iter().map(usize::to_string).collect();
        Feed {
            kind: Kind::Function(Box::new(f)),
            shape: sample_shape.to_vec(),
            classes: vec![],
            labelled: labels,
            mirror: false,
            crop: 0,
            fingerprint: "function".into(),
            description: format!("samples of {} from a function", shape.join("x")),
            skipped: Skipped::default(),
            preview: vec![],
        }
    }

    /// No data: for a trainer that is asked for nothing but its state.
    pub fn none(game: &Game) -> Feed {
        let labels = game.batches.iter().any(|batch| batch.labels);
        Feed::from_fn(&game.sample, labels, |_, _, _| Err(Error::data("no data", "there is none to train on")))
    }

    /// Points of a 2-D toy.
    pub fn toy(toy: Toy) -> Feed {
        Feed {
            kind: Kind::Toy(toy),
            shape: vec![2],
            classes: vec![],
            labelled: false,
            mirror: false,
            crop: 0,
            fingerprint: format!("toy-{}", toy.name()),
            description: format!("points of {}", toy.name()),
            skipped: Skipped::default(),
            preview: vec![],
        }
    }

    fn resident_set(mut set: DataSet, mirror: bool, seed: u64, fingerprint: String) -> Feed {
        let preview = set.batch(&look(seed), 0, 0);
        let (count, size) = (set.count, set.size);
        let description = format!("{count} images of {} at {size}x{size}", set.name);
        let words = set.words();
        let labels = set.labels.take();
        Feed {
            shape: vec![size, size, set.channels],
            labelled: labels.is_some(),
            kind: Kind::Resident { bytes: Some((words, labels)), count },
            classes: set.classes,
            mirror,
            crop: 0,
            fingerprint,
            description,
            skipped: set.skipped,
            preview,
        }
    }

    fn streamed(index: Index, mirror: bool, seed: u64) -> Result<Feed> {
        let (count, size) = (index.count, index.size);
        let index = Arc::new(index);
        Ok(Feed {
            shape: vec![size, size, index.channels],
            classes: index.classes.clone(),
            labelled: index.labels.is_some(),
            mirror,
            crop: 0,
            fingerprint: index.fingerprint(),
            description: format!("{count} images of {} at {size}x{size}, streamed", index.name),
            skipped: index.skipped.clone(),
            preview: Stream::start(&index, look(seed))?.batch(0, 0)?,
            kind: Kind::Streamed { index, open: vec![] },
        })
    }

    /// Extents of one sample: `[H, W, C]`, or `[2]` for points.
    pub fn sample_shape(&self) -> &[usize] {
        &self.shape
    }

    /// Names of the classes, by label; empty where there are no labels, or they come from a function.
    pub fn classes(&self) -> &[String] {
        &self.classes
    }

    /// Whether samples have labels.
    pub fn labelled(&self) -> bool {
        self.labelled
    }

    /// How many samples the set has; `None` where they are endless.
    pub fn count(&self) -> Option<usize> {
        match &self.kind {
            Kind::Resident { count, .. } => Some(*count),
            Kind::Streamed { index, .. } => Some(index.count),
            Kind::Toy(_) | Kind::Function(_) => None,
        }
    }

    /// Whether its samples are what a game wants.
    ///
    /// # Errors
    /// [`Error::Data`] for samples of other extents, missing labels, or labels of more classes than the game has.
    pub fn check(&self, game: &Game) -> Result<()> {
        let refuse = |reason: String| Err(Error::data(&self.description, reason));
        if self.shape != game.sample {
            return refuse(format!(
                "its samples have the extents {:?} and the game wants {:?}",
                self.shape, game.sample
            ));
        }
        if !self.labelled && game.batches.iter().any(|batch| batch.labels) {
            return refuse(
                "its samples have no labels, which the game wants: folders by class have, dataset.json, or IDX files"
                    .into(),
            );
        }
        let wanted = game.classes.unwrap_or(0);
        if game.batches.iter().any(|batch| batch.labels) && wanted > 0 && self.classes.len() > wanted {
            return refuse(format!("it has {} classes and the game knows {wanted}", self.classes.len()));
        }
        Ok(())
    }

    /// What the data is, in a word that differs for other data: kind and checksum (`images-1c291ca3`), `toy-ring8`, `function`.
    pub fn fingerprint(&self) -> String {
        self.fingerprint.clone()
    }

    /// What the device keeps, where the set is resident.
    pub fn resident(&self) -> Option<Resident> {
        match self.kind {
            Kind::Resident { count, .. } => {
                Some(Resident { count, mirror: self.mirror, crop: self.crop, labels: self.labelled })
            }
            _ => None,
        }
    }

    /// The packed bytes of a resident set (four per word, the first in the low bits) and its labels, one per word; given once: the
    /// device holds them from then on.
    pub fn take_words(&mut self) -> Option<(Vec<u32>, Option<Vec<u32>>)> {
        match &mut self.kind {
            Kind::Resident { bytes, .. } => bytes.take(),
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

    /// The batch of `step` after `first` samples of this stream, for the host to send where the set is not resident.
    ///
    /// # Errors
    /// [`Error::Data`] for an image that can't be read, for a function that gives the wrong number of values, and for a
    /// resident set; whatever the function fails with.
    pub fn batch(&mut self, seed: u64, step: u32, stream: u32, first: u64, n: usize) -> Result<HostBatch> {
        match &mut self.kind {
            Kind::Resident { .. } => {
                Err(Error::data(&self.description, "the device draws the batches of a resident set"))
            }
            Kind::Toy(toy) => Ok(HostBatch { values: toys::batch(*toy, seed, step, stream, n), labels: None }),
            Kind::Streamed { index, open } => {
                let rule = DrawRule { seed, stream, n, mirror: self.mirror, crop: self.crop };
                let at = match open.iter().position(|(known, _)| *known == rule) {
                    Some(at) => at,
                    None => {
                        open.retain(|(known, _)| known.stream != stream);
                        open.push((rule, Stream::start(index, rule)?));
                        open.len() - 1
                    }
                };
                let reader = &mut open[at].1;
                Ok(HostBatch { values: reader.batch(first, step)?, labels: reader.labels(first) })
            }
            Kind::Function(f) => {
                let (values, labels) = f(first, n, stream)?;
                let wanted = n * self.shape.iter().product::<usize>();
                let problem = |what: &str, got: usize, wanted: usize| {
                    let reason = format!("gave {got} {what} for {n} samples of {:?}: must be {wanted}", self.shape);
                    Err(Error::data("data function", reason))
                };
                let labels_wanted = if self.labelled { n } else { 0 };
                if values.len() != wanted {
                    return problem("values", values.len(), wanted);
                }
                if labels.len() != labels_wanted {
                    return problem("labels", labels.len(), labels_wanted);
                }
                Ok(HostBatch { values, labels: self.labelled.then_some(labels) })
            }
        }
    }
}

/// The images to look at.
fn look(seed: u64) -> DrawRule {
    DrawRule { seed, stream: stream::PREVIEW, n: PREVIEW, mirror: false, crop: 0 }
}
