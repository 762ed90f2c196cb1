//! What a source holds, before anything is decoded, and the pass that decodes all of it.

use std::path::PathBuf;

use rayon::prelude::*;

use super::items::{Items, Seen};
use super::{DataSet, Skipped, Spec, checksum, sources};
use crate::{Error, Result, philox};

/// Bytes of decoded images that a parallel pass holds before it hands them over.
const CHUNK_BYTES: usize = 32 << 20;

/// The images of a source in a fixed order, not decoded.
#[derive(Debug)]
pub struct Index {
    /// Short name for logs.
    pub name: String,
    /// Height and width images will have.
    pub size: usize,
    /// Channels images will have.
    pub channels: usize,
    /// How many images; at least 1. Before [`Index::check`] or [`Index::load`] some of them may be bad.
    pub count: usize,
    /// One per image, where the source has classes.
    pub labels: Option<Vec<u32>>,
    /// Names of the classes; empty without labels.
    pub classes: Vec<String>,
    /// What [`Index::check`] left out.
    pub skipped: Skipped,
    pub(super) path: PathBuf,
    /// Names inside the source, of all its images; empty where they have none.
    pub(super) names: Vec<String>,
    /// Which images of the source these are, ascending; all unless given.
    pub(super) numbers: Option<Vec<u32>>,
    pub(super) items: Items,
}

impl Index {
    /// Lists a source. A folder is walked and an archive's directory read; IDX, CIFAR and NumPy files are read whole. Images are sorted
    /// by their names inside the source, so a folder and an archive of it give the same set.
    ///
    /// # Errors
    /// [`Error::Setting`] for a size or number of channels that makes no sense; [`Error::Data`] where the path is missing or
    /// can't be read, holds no images, is no archive, holds bad IDX, CIFAR or NumPy files, or has no test part when that is asked for.
    pub fn new(spec: &Spec) -> Result<Index> {
        spec.check()?;
        sources::open(spec)
    }

    /// What the source is, for people: `zip archive of images`.
    pub fn kind(&self) -> &'static str {
        self.items.kind()
    }

    /// Bytes the whole set takes in memory.
    pub fn bytes(&self) -> usize {
        self.count.saturating_mul(self.image_bytes())
    }

    /// What the set is, in a word that differs for another one: a checksum of everything a picture depends on, as far as it is
    /// known without decoding. `faces-…` of seed, count, form and label; `images-…` of a packed set, as it has in memory;
    /// `listing-…` of names, sizes, form and labels of anything else (and of pixels that are in memory).
    pub fn fingerprint(&self) -> String {
        let mut crc = [self.count, self.size, self.channels].iter().fold(0, |crc, n| checksum::word(crc, *n as u64));
        if let Items::Faces { seed, label } = &self.items {
            crc = checksum::text(checksum::word(crc, *seed), label.as_deref().unwrap_or_default());
            crc = self.numbers.iter().flatten().fold(crc, |crc, k| checksum::word(crc, u64::from(*k)));
            return format!("faces-{crc:08x}");
        }
        if let (Items::Packed(packed), None) = (&self.items, &self.numbers) {
            return packed.fingerprint().to_owned();
        }
        for k in 0..self.count {
            let k = self.number(k);
            crc = self.items.mark(k, checksum::text(crc, self.names.get(k).map_or("", |n| n)));
        }
        format!("listing-{:08x}", checksum::labels(crc, self.labels.as_deref()))
    }

    /// Decodes every image once and drops the bad ones, without keeping pixels: a set to be streamed is then known to be
    /// sound, numbered as [`Index::load`] would number it, before training starts.
    ///
    /// # Errors
    /// [`Error::Data`] when more than half of the images are bad.
    pub fn check(mut self, progress: &dyn Fn(usize, usize)) -> Result<Index> {
        if !self.items.may_fail() {
            return Ok(self);
        }
        let mut good = Vec::with_capacity(self.count);
        let skipped = self.pass(progress, |k, _| good.push(k))?;
        self.keep(&good);
        self.skipped = skipped;
        Ok(self)
    }

    /// `n` images of the set, or all where it has no more: the first n of the order that `seed` and `stream` give,
    /// kept in the set's own order.
    pub fn limit(&mut self, n: usize, seed: u64, stream: u32) {
        if n < self.count {
            let chosen = |i| philox::shuffled(seed, stream, 0, i, self.count as u32) as usize;
            let mut chosen: Vec<usize> = (0..n as u32).map(chosen).collect();
            chosen.sort_unstable();
            self.keep(&chosen);
        }
    }

    /// Keeps the images of these ascending numbers.
    fn keep(&mut self, numbers: &[usize]) {
        self.labels = pick(self.labels.take(), numbers);
        self.numbers = Some(numbers.iter().map(|&k| self.number(k) as u32).collect());
        self.count = numbers.len();
    }

    /// The number in the source of image k.
    fn number(&self, k: usize) -> usize {
        self.numbers.as_ref().map_or(k, |numbers| numbers[k] as usize)
    }

    /// Decodes every image in parallel and keeps the good ones in memory. `progress` hears (done, total).
    ///
    /// # Errors
    /// [`Error::Data`] when more than half of the images are bad, or the set is too large for memory.
    pub fn load(self, progress: &dyn Fn(usize, usize)) -> Result<DataSet> {
        let mut images: Vec<u8> = Vec::new();
        images.try_reserve_exact(self.bytes()).map_err(|_| {
            Error::data(&self.path, format!("{} MiB of images are too many for memory", self.bytes() >> 20))
        })?;
        let mut good = Vec::with_capacity(self.count);
        let skipped = self.pass(progress, |k, pixels| {
            good.push(k);
            images.extend_from_slice(&pixels);
        })?;
        Ok(DataSet {
            name: self.name,
            images,
            labels: pick(self.labels, &good),
            classes: self.classes,
            size: self.size,
            channels: self.channels,
            count: good.len(),
            skipped,
        })
    }

    /// Decodes the images of these numbers, in their order and without labels; bad ones are left out. `progress` hears (done, total).
    ///
    /// # Errors
    /// [`Error::Data`] for a number that the set does not have, and where more than half of the images are bad.
    pub fn some(&self, numbers: &[usize], progress: &dyn Fn(usize, usize)) -> Result<DataSet> {
        if let Some(k) = numbers.iter().find(|k| **k >= self.count) {
            return Err(Error::data(&self.path, format!("has {} images and no number {k}", self.count)));
        }
        let mut images = Vec::with_capacity(numbers.len() * self.image_bytes());
        let (mut skipped, mut done) = (Skipped::default(), 0);
        for chunk in numbers.chunks((CHUNK_BYTES / self.image_bytes()).clamp(16, 1024)) {
            let decode = |k: &usize| self.items.pixels(self.number(*k), self.size, self.channels);
            let decoded: Vec<_> = chunk.par_iter().map(decode).collect();
            for (k, pixels) in chunk.iter().zip(decoded) {
                match pixels {
                    Ok(pixels) => images.extend_from_slice(&pixels),
                    Err(reason) => skipped.add(Skipped::KEPT, self.name_of(*k), reason),
                }
            }
            done += chunk.len();
            progress(done, numbers.len());
        }
        if images.is_empty() || skipped.count * 2 > numbers.len() {
            return Err(self.too_many_bad(&skipped, done));
        }
        let count = images.len() / self.image_bytes();
        let (name, labels, classes) = (self.name.clone(), None, vec![]);
        Ok(DataSet { name, images, labels, classes, size: self.size, channels: self.channels, count, skipped })
    }

    /// Image k as `[size,size,channels]` bytes.
    pub(super) fn pixels(&self, k: usize) -> Result<Vec<u8>> {
        let problem = |reason| Error::data(&self.path, format!("{}: {reason}", self.name_of(k)));
        self.items.pixels(self.number(k), self.size, self.channels).map_err(problem)
    }

    /// Decodes everything, chunk by chunk on all cores, and hands good images over in order.
    pub(super) fn pass(&self, progress: &dyn Fn(usize, usize), keep: impl FnMut(usize, Vec<u8>)) -> Result<Skipped> {
        let skipped = self.each(progress, None, |k| self.items.pixels(k, self.size, self.channels), keep)?;
        // A packed set was sound when it was written: what is damaged since is no image to go on without.
        match skipped.first.first().filter(|_| !self.items.may_fail()) {
            Some((name, reason)) => Err(Error::data(&self.path, format!("{name}: {reason}"))),
            None => Ok(skipped),
        }
    }

    /// The same with what each image was before, however many are bad; the first `named` of these are named.
    pub(super) fn see(
        &self,
        named: usize,
        progress: &dyn Fn(usize, usize),
        keep: impl FnMut(usize, Seen),
    ) -> Result<Skipped> {
        self.each(progress, Some(named), |k| self.items.see(k, self.size, self.channels), keep)
    }

    /// `make` is given numbers of the source; `named` bad images are named, however many there are.
    fn each<T: Send>(
        &self,
        progress: &dyn Fn(usize, usize),
        named: Option<usize>,
        make: impl Fn(usize) -> Result<T, String> + Sync,
        mut keep: impl FnMut(usize, T),
    ) -> Result<Skipped> {
        let mut skipped = Skipped::default();
        let chunk = (CHUNK_BYTES / self.image_bytes()).clamp(16, 1024);
        let mut done = 0;
        progress(0, self.count);
        while done < self.count {
            let end = self.count.min(done + chunk);
            let made: Vec<_> = (done..end).into_par_iter().map(|k| make(self.number(k))).collect();
            for (k, made) in (done..end).zip(made) {
                match made {
                    Ok(made) => keep(k, made),
                    Err(reason) => skipped.add(named.unwrap_or(Skipped::KEPT), self.name_of(k), reason),
                }
            }
            done = end;
            progress(done, self.count);
            // Told as soon as it is certain: a set that is wholly wrong should not take an hour to say so.
            if named.is_none() && skipped.count * 2 > self.count {
                return Err(self.too_many_bad(&skipped, done));
            }
        }
        Ok(skipped)
    }

    fn too_many_bad(&self, skipped: &Skipped, done: usize) -> Error {
        let (bad, count) = (skipped.count, self.count);
        let (name, reason) = skipped.first.first().map_or(("", ""), |(n, r)| (n, r));
        let first = if done < count { format!("the first {done} of {count}") } else { format!("{count}") };
        Error::data(
            &self.path,
            format!("{bad} of {first} images can't be used, more than half of the set; {name}: {reason}"),
        )
    }

    pub(super) fn name_of(&self, k: usize) -> String {
        let k = self.number(k);
        self.names.get(k).cloned().unwrap_or_else(|| format!("image {k}"))
    }

    fn image_bytes(&self) -> usize {
        self.size * self.size * self.channels
    }
}

fn pick(labels: Option<Vec<u32>>, good: &[usize]) -> Option<Vec<u32>> {
    labels.map(|labels| good.iter().map(|&k| labels[k]).collect())
}
