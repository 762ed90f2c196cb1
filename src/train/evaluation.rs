//! How good the images of a generator are: distances of features to those of the data, beside what reals make of reals.
//!
//! Reals are as many as fakes, of two populations: those the run learns from, and others. The distance between both is the floor,
//! which a generator of the truth would meet; fakes that are nearer to what was learned from than to what was not are copies.

use super::checkpoint::Checkpoint;
use super::feed::Feed;
use super::measurement::Measurement;
use super::sampler::Sampler;
use super::settings::Settings;
use super::stream;
use crate::config::{Config, DataSource, MetricKind, Task};
use crate::data::{self, DataSet, DrawRule, Index, Spec, Split, floats};
use crate::device::Device;
use crate::metrics::{Extractor, Faces, Features, Gaussian, Kid, PrecisionRecall, frechet, kid, precision_recall};
use crate::{Error, Result, grid};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Images that are in memory at once as numbers.
const AT_ONCE: usize = 256;

/// What is to be measured.
#[derive(Clone, Debug, PartialEq)]
pub struct EvalOptions {
    /// Measures.
    pub metrics: Vec<MetricKind>,
    /// Fakes, and reals of either population.
    pub samples: usize,
    /// Reals other than the run's own: a folder, an archive, IDX files.
    pub data: Option<PathBuf>,
}

/// Reals to measure by.
struct Population {
    /// For people: `20000 images of faces`.
    title: &'static str,
    features: Features,
    gaussian: Option<Gaussian>,
}

/// What reals make of reals.
#[derive(Clone, Copy)]
struct Floors {
    fd: Option<f64>,
    kid: Option<Kid>,
    pr: Option<PrecisionRecall>,
}

/// Measures the generators of a run.
pub struct Evaluation {
    metrics: Vec<MetricKind>,
    device: Device,
    extractor: Extractor,
    sampler: Sampler,
    samples: usize,
    reals: Population,
    others: Population,
    /// Whether the run does not learn from `others`.
    held_out: bool,
    floors: Option<Floors>,
    /// The set that the run learns from.
    source: Index,
    /// Sentences on what is unusual: fewer images than were asked for, a singular covariance.
    pub warnings: Vec<String>,
}

impl Evaluation {
    /// Loads reals and computes their features; `progress` hears (done, total).
    ///
    /// # Errors
    /// A run that makes no images; data that can't be read or is too small; a device that fails.
    pub fn new(
        config: &Config,
        options: &EvalOptions,
        device: &Device,
        progress: &dyn Fn(usize, usize),
    ) -> Result<Evaluation> {
        if config.train.task != Task::Gan || !config.data.source.is_images() {
            let hint = "makes no images to measure";
            return Err(Error::setting(config.place("train.task"), "train.task", config.train.task.name(), hint));
        }
        let settings = Settings::new(config)?;
        let sampler = Sampler::planned(&settings, device)?;
        let [_, size, _, channels] = sampler.image_shape(1);
        let mut extractor = Extractor::new(Arc::new(Faces::new()?), [size, size, channels], device)?;
        let Sources { reals, others, held_out } = sources(config, options)?;
        let mut warnings = vec![];
        // Of one set the halves are taken.
        let most = if others.is_some() { reals.count } else { reals.count / 2 };
        let most = others.as_ref().map_or(most, |others| most.min(others.count));
        let samples = options.samples.min(most);
        if samples < 4 {
            return Err(Error::data(&reals.name, format!("has {} images, too few to measure by", reals.count)));
        }
        if samples < options.samples {
            let asked = options.samples;
            warnings.push(format!("{} has too few images for {asked}: all sets are of {samples}", reals.name));
        }
        let dims = extractor.network().dims();
        if samples <= dims && options.metrics.contains(&MetricKind::Fd) {
            warnings.push(format!(
                "the covariance of {samples} images in {dims} dimensions is singular: the Fréchet distance says little; take more \
                 samples"
            ));
        }
        let mirror = config.data.mirror;
        let total = 2 * samples;
        let real_features = population(&reals, 0, samples, mirror, &mut extractor, &|done| progress(done, total))?;
        let (other, from) = others.as_ref().map_or((&reals, samples), |others| (others, 0));
        let other_features =
            population(other, from, samples, mirror, &mut extractor, &|done| progress(samples + done, total))?;
        let (title, other_title) = match (held_out, &others) {
            (true, Some(_)) if config.data.source == DataSource::Faces && options.data.is_none() => {
                ("faces the run learns from", "another population")
            }
            (true, _) => ("images the run learns from", "its test part"),
            (false, Some(_)) => ("the set that was named", "its test part"),
            (false, None) => ("half of the set", "the other half"),
        };
        let fitted = |features: &Features| match options.metrics.contains(&MetricKind::Fd) {
            true => Gaussian::of(features).map(Some),
            false => Ok(None),
        };
        Ok(Evaluation {
            metrics: options.metrics.clone(),
            device: device.clone(),
            samples,
            reals: Population { title, gaussian: fitted(&real_features)?, features: real_features },
            others: Population { title: other_title, gaussian: fitted(&other_features)?, features: other_features },
            held_out,
            floors: None,
            source: reals,
            warnings,
            extractor,
            sampler,
        })
    }

    /// One line on what is measured.
    pub fn about(&self) -> String {
        let names: Vec<&str> = self.metrics.iter().map(|metric| metric.name()).collect();
        format!(
            "{} samples are measured by {} in features \"{}\" against {} and {}",
            self.samples,
            names.join(", "),
            self.extractor.network().name(),
            self.reals.title,
            self.others.title
        )
    }

    /// What the Fréchet distance is called, and both populations: what the run learns from, and the other.
    pub fn names(&self) -> (&'static str, &'static str, &'static str) {
        (self.extractor.network().distance(), self.reals.title, self.others.title)
    }

    /// Measures the generator of a checkpoint; `place` is its file.
    ///
    /// # Errors
    /// A checkpoint of another model; a device that fails.
    pub fn measure(&mut self, state: &Checkpoint, place: &Path) -> Result<Measurement> {
        self.sampler.load(state, place)?;
        let mut fakes = Features::default();
        for from in (0..self.samples).step_by(AT_ONCE) {
            let images = self.fakes(from, self.samples.min(from + AT_ONCE))?;
            self.extractor.extend(&mut fakes, &images)?;
        }
        let floors = match self.floors {
            Some(floors) => floors,
            None => *self.floors.insert(self.floors()?),
        };
        let (reals, others) = (&self.reals, &self.others);
        let mut measured = Measurement {
            features: Some(self.extractor.network().name().to_owned()),
            samples: Some(self.samples),
            fd_floor: floors.fd,
            kid_floor: floors.kid.map(|kid| kid.mean),
            precision_floor: floors.pr.map(|pr| pr.precision),
            recall_floor: floors.pr.map(|pr| pr.recall),
            ..Measurement::default()
        };
        if let Some((real, other)) = reals.gaussian.as_ref().zip(others.gaussian.as_ref()) {
            let fake = Gaussian::of(&fakes)?;
            measured.fd = Some(frechet(real, &fake));
            measured.fd_held_out = self.held_out.then(|| frechet(other, &fake));
        }
        if self.metrics.contains(&MetricKind::Kid) {
            measured.kid = Some(kid(&reals.features, &fakes, &self.device)?.mean);
            if self.held_out {
                measured.kid_held_out = Some(kid(&others.features, &fakes, &self.device)?.mean);
            }
        }
        if self.metrics.contains(&MetricKind::Pr) {
            let found = precision_recall(&reals.features, &fakes, &self.device)?;
            (measured.precision, measured.recall) = (Some(found.precision), Some(found.recall));
        }
        Ok(measured)
    }

    /// Samples `from` to `until − 1`, as a file of 8 bits would hold them.
    fn fakes(&mut self, from: usize, until: usize) -> Result<Vec<f32>> {
        let seeds: Vec<u32> = (from as u32..until as u32).collect();
        let bytes: Vec<u8> = self.sampler.sample(&seeds)?.into_iter().map(grid::quantise).collect();
        Ok(floats(&bytes).collect())
    }

    fn floors(&self) -> Result<Floors> {
        let (reals, others) = (&self.reals, &self.others);
        let wants = |metric: MetricKind| self.metrics.contains(&metric);
        let gaussians = reals.gaussian.as_ref().zip(others.gaussian.as_ref());
        Ok(Floors {
            fd: gaussians.map(|(real, other)| frechet(real, other)),
            kid: wants(MetricKind::Kid).then(|| kid(&reals.features, &others.features, &self.device)).transpose()?,
            pr: wants(MetricKind::Pr)
                .then(|| precision_recall(&reals.features, &others.features, &self.device))
                .transpose()?,
        })
    }

    /// A measurement in a line: `FD 12.31 (floor 1.02), KID 0.0140 (0.0001), precision 0.712 (0.790), recall 0.401 (0.785)`.
    pub fn said(&self, measured: &Measurement) -> String {
        let part = |name: &str, digits: usize, value: Option<f64>, floor: Option<f64>| {
            Some(format!("{name} {:.digits$} (floor {:.digits$})", value?, floor?))
        };
        let m = measured;
        [
            part(self.extractor.network().distance(), 3, m.fd, m.fd_floor),
            part("KID", 5, m.kid, m.kid_floor),
            part("precision", 3, m.precision, m.precision_floor),
            part("recall", 3, m.recall, m.recall_floor),
        ]
        .into_iter()
        .flatten()
        .collect::<Vec<_>>()
        .join(", ")
    }

    /// The first `count` samples of a checkpoint, each followed by its `nearest` nearest images of the whole set that the run learns from, by
    /// their features: images `[count · (1 + nearest), H, W, C]` in [-1, 1]. `progress` hears (done, total) while the set is looked through.
    ///
    /// # Errors
    /// As [`Evaluation::measure`].
    pub fn neighbours(
        &mut self,
        state: &Checkpoint,
        place: &Path,
        [count, nearest]: [usize; 2],
        progress: &dyn Fn(usize, usize),
    ) -> Result<Vec<f32>> {
        self.sampler.load(state, place)?;
        let fakes = self.fakes(0, count)?;
        let features = self.extractor.features(&fakes)?;
        let mut best: Vec<Vec<(f64, usize)>> = vec![vec![]; count];
        for from in (0..self.source.count).step_by(AT_ONCE) {
            let (numbers, images) = self.part(from)?;
            let found = self.extractor.features(&images)?;
            for (fake, best) in best.iter_mut().enumerate() {
                let distance = |(i, k): (usize, &usize)| (squared(features.row(fake), found.row(i)), *k);
                best.extend(numbers.iter().enumerate().map(distance));
                best.sort_by(|a, b| a.0.total_cmp(&b.0));
                best.truncate(nearest);
            }
            progress(self.source.count.min(from + AT_ONCE), self.source.count);
        }
        let elems = fakes.len() / count.max(1);
        let mut sheet = vec![];
        for (fake, best) in fakes.chunks(elems).zip(best) {
            sheet.extend_from_slice(fake);
            for (_, k) in best {
                sheet.extend(floats(&self.source.some(&[k], &|_, _| {})?.images));
            }
        }
        Ok(sheet)
    }

    /// The images of the set from number `from` on, as many as are looked at at once, with their numbers; bad ones are left out.
    fn part(&self, from: usize) -> Result<(Vec<usize>, Vec<f32>)> {
        let numbers: Vec<usize> = (from..self.source.count.min(from + AT_ONCE)).collect();
        let silent = &|_, _| {};
        let loaded = self.source.some(&numbers, silent);
        if let Some(set) = loaded.ok().filter(|set| set.count == numbers.len()) {
            return Ok((numbers, floats(&set.images).collect()));
        }
        let single = numbers.iter().filter_map(|&k| Some((k, self.source.some(&[k], silent).ok()?)));
        let (numbers, sets): (Vec<usize>, Vec<DataSet>) = single.unzip();
        Ok((numbers, sets.iter().flat_map(|set| floats(&set.images)).collect()))
    }

    /// [n, h, w, c] of `count` samples.
    pub fn image_shape(&self, count: usize) -> [usize; 4] {
        self.sampler.image_shape(count)
    }
}

fn squared(a: &[f32], b: &[f32]) -> f64 {
    a.iter().zip(b).map(|(a, b)| f64::from(a - b).powi(2)).sum()
}

/// Where reals come from.
struct Sources {
    reals: Index,
    /// Another set, where there is one.
    others: Option<Index>,
    /// Whether the run learns from `reals` and not from `others`.
    held_out: bool,
}

/// The set that was named, or the run's own: of built-in faces another population beside, of a set that comes divided its test part.
fn sources(config: &Config, options: &EvalOptions) -> Result<Sources> {
    let d = &config.data;
    let open = |source: data::Source, split| Index::new(&Spec { channels: d.channels, split, ..Spec::new(source, d.size) });
    let own = options.data.is_none();
    let source = match &options.data {
        Some(path) => data::Source::Path(path.clone()),
        None => Feed::source(config)?,
    };
    let reals = open(unlabelled(source.clone(), 0), Split::Train)?;
    let others = match &source {
        data::Source::Faces { .. } => Some(open(unlabelled(source, 1), Split::Train)?),
        // Of a set that is not divided there is no test part.
        _ => open(source, Split::Test).ok(),
    };
    let held_out = own && others.is_some();
    Ok(Sources { reals, others, held_out })
}

/// The same source without the work of labelling it; of built-in faces, the population so many seeds further.
fn unlabelled(source: data::Source, further: u64) -> data::Source {
    match source {
        data::Source::Faces { seed, count, .. } => {
            data::Source::Faces { seed: seed.wrapping_add(further), count, label: None }
        }
        other => other,
    }
}

/// Features of `count` images of a set in a drawn order, from place `from` on; half of them mirrored where training mirrors them.
fn population(
    set: &Index,
    from: usize,
    count: usize,
    mirror: bool,
    extractor: &mut Extractor,
    progress: &dyn Fn(usize),
) -> Result<Features> {
    let order = DrawRule { seed: 0, stream: stream::EVALUATION, n: count, mirror: false, crop: 0 };
    let numbers: Vec<usize> = order.numbers(from as u64, set.count).collect();
    let mut features = Features::default();
    for (chunk, numbers) in numbers.chunks(AT_ONCE).enumerate() {
        let loaded = set.some(numbers, &|_, _| {})?;
        let rule = DrawRule { n: loaded.count, mirror, ..order };
        extractor.extend(&mut features, &loaded.batch(&rule, 0, chunk as u32))?;
        progress(((chunk + 1) * AT_ONCE).min(count));
    }
    Ok(features)
}
