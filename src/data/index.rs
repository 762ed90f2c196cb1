//! What a source holds, before anything is decoded, and the pass that decodes all of it.

use std::fs;
use std::path::{Path, PathBuf};

use rayon::prelude::*;

use super::archive::Archive;
use super::faces::SIZES;
use super::idx::Idx;
use super::stacked::Stack;
use super::items::{EXTENSIONS, Items, is_image, walk};
use super::labels::{self, Table};
use super::{DataSet, MAX_COUNT, Skipped, Source, Spec, Split, checksum, items};
use crate::{Error, Result};

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
    path: PathBuf,
    /// Names inside the source; empty for sources whose images can't be bad.
    names: Vec<String>,
    items: Items,
}

impl Index {
    /// Lists a source. A folder is walked and an archive's directory read; only IDX files are read whole. Images are sorted
    /// by their names inside the source, so a folder and an archive of it give the same set.
    ///
    /// # Errors
    /// [`Error::Setting`] for a size or number of channels that makes no sense; [`Error::Data`] where the path is missing or
    /// can't be read, holds no images, is no zip archive, holds bad IDX files, or has no test part when that is asked for.
    pub fn new(spec: &Spec) -> Result<Index> {
        spec.check()?;
        let path = match &spec.source {
            Source::Faces { seed, count, label } => return faces(spec, *seed, *count, label.as_deref()),
            Source::StackedMnist { path, seed, count } => return stacked(spec, path, *seed, *count),
            Source::Path(path) => path,
        };
        let kind = fs::metadata(path).map_err(|e| match e.kind() {
            std::io::ErrorKind::NotFound => Error::data(path, "no such file or folder"),
            _ => Error::data(path, format!("can't be read: {e}")),
        })?;
        match kind.is_dir() {
            true => folder(spec, path),
            false if Idx::is_file(path) => {
                undivided(spec, path)?;
                idx(spec, path, Idx::open(path)?)
            }
            false => zip(spec, path),
        }
    }

    /// Bytes the whole set takes in memory.
    pub fn bytes(&self) -> usize {
        self.count.saturating_mul(self.image_bytes())
    }

    /// What the set is, in a word that differs for another one: a checksum of everything a picture depends on, as far as it is
    /// known without decoding. `faces-…` of seed, count, form and label; `listing-…` of names, sizes, form and labels of
    /// anything else (and, for IDX files, of the pixels).
    pub fn fingerprint(&self) -> String {
        let mut crc = [self.count, self.size, self.channels].iter().fold(0, |crc, n| checksum::word(crc, *n as u64));
        if let Items::Faces { seed, label } = &self.items {
            crc = checksum::text(checksum::word(crc, *seed), label.as_deref().unwrap_or_default());
            return format!("faces-{crc:08x}");
        }
        for k in 0..self.count {
            crc = self.items.mark(k, checksum::text(crc, self.names.get(k).map_or("", |n| n)));
        }
        format!("listing-{:08x}", checksum::labels(crc, self.labels.as_deref()))
    }

    /// Decodes every image once and drops the bad ones, without keeping pixels: a set to be streamed is then known to be
    /// sound, numbered as [`Index::load`] would number it, before training starts.
    ///
    /// # Errors
    /// [`Error::Data`] when more than a tenth of the images are bad.
    pub fn check(mut self, progress: &dyn Fn(usize, usize)) -> Result<Index> {
        if !self.items.may_fail() {
            return Ok(self);
        }
        let mut good = Vec::with_capacity(self.count);
        let skipped = self.pass(progress, |k, _| good.push(k))?;
        self.labels = pick(self.labels, &good);
        self.names = good.iter().map(|&k| std::mem::take(&mut self.names[k])).collect();
        self.items.keep(&good);
        self.count = good.len();
        self.skipped = skipped;
        Ok(self)
    }

    /// Decodes every image in parallel and keeps the good ones in memory. `progress` hears (done, total).
    ///
    /// # Errors
    /// [`Error::Data`] when more than a tenth of the images are bad, or the set is too large for memory.
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
    /// [`Error::Data`] for a number that the set does not have, and where more than a tenth of the images are bad.
    pub fn some(&self, numbers: &[usize], progress: &dyn Fn(usize, usize)) -> Result<DataSet> {
        if let Some(k) = numbers.iter().find(|k| **k >= self.count) {
            return Err(Error::data(&self.path, format!("has {} images and no number {k}", self.count)));
        }
        let mut images = Vec::with_capacity(numbers.len() * self.image_bytes());
        let (mut skipped, mut done) = (Skipped::default(), 0);
        for chunk in numbers.chunks((CHUNK_BYTES / self.image_bytes()).clamp(16, 1024)) {
            let decode = |k: &usize| self.items.pixels(*k, self.size, self.channels);
            let decoded: Vec<_> = chunk.par_iter().map(decode).collect();
            for (k, pixels) in chunk.iter().zip(decoded) {
                match pixels {
                    Ok(pixels) => images.extend_from_slice(&pixels),
                    Err(reason) => skipped.add(self.name_of(*k), reason),
                }
            }
            done += chunk.len();
            progress(done, numbers.len());
        }
        if images.is_empty() || skipped.count * 10 > numbers.len() {
            return Err(self.too_many_bad(&skipped, done));
        }
        let count = images.len() / self.image_bytes();
        let (name, labels, classes) = (self.name.clone(), None, vec![]);
        Ok(DataSet { name, images, labels, classes, size: self.size, channels: self.channels, count, skipped })
    }

    /// Image k as `[size,size,channels]` bytes.
    pub(super) fn pixels(&self, k: usize) -> Result<Vec<u8>> {
        let problem = |reason| Error::data(&self.path, format!("{}: {reason}", self.name_of(k)));
        self.items.pixels(k, self.size, self.channels).map_err(problem)
    }

    /// Decodes everything, chunk by chunk on all cores, and hands good images over in order.
    fn pass(&self, progress: &dyn Fn(usize, usize), mut keep: impl FnMut(usize, Vec<u8>)) -> Result<Skipped> {
        let mut skipped = Skipped::default();
        let chunk = (CHUNK_BYTES / self.image_bytes()).clamp(16, 1024);
        let mut done = 0;
        progress(0, self.count);
        while done < self.count {
            let end = self.count.min(done + chunk);
            let decode = |k| self.items.pixels(k, self.size, self.channels);
            let decoded: Vec<_> = (done..end).into_par_iter().map(decode).collect();
            for (k, pixels) in (done..end).zip(decoded) {
                match pixels {
                    Ok(pixels) => keep(k, pixels),
                    Err(reason) => skipped.add(self.name_of(k), reason),
                }
            }
            done = end;
            progress(done, self.count);
            // Told as soon as it is certain: a set that is wholly wrong should not take an hour to say so.
            if skipped.count * 10 > self.count {
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
            format!("{bad} of {first} images can't be used, more than a tenth of the set; {name}: {reason}"),
        )
    }

    fn name_of(&self, k: usize) -> String {
        self.names.get(k).cloned().unwrap_or_else(|| format!("image {k}"))
    }

    fn with_labels(mut self, (labels, classes): (Vec<u32>, Vec<String>)) -> Index {
        (self.labels, self.classes) = (Some(labels), classes);
        self
    }

    fn image_bytes(&self) -> usize {
        self.size * self.size * self.channels
    }
}

fn pick(labels: Option<Vec<u32>>, good: &[usize]) -> Option<Vec<u32>> {
    labels.map(|labels| good.iter().map(|&k| labels[k]).collect())
}

fn faces(spec: &Spec, seed: u64, count: usize, label: Option<&str>) -> Result<Index> {
    if !(1..=MAX_COUNT).contains(&count) {
        return Err(Error::setting("data", "faces", count, format!("must be from 1 to {MAX_COUNT}")));
    }
    if !SIZES.contains(&spec.size) {
        let (least, most) = (SIZES.start(), SIZES.end());
        let hint = format!("the built-in faces have sizes from {least} to {most}");
        return Err(Error::setting("data", "size", spec.size, hint));
    }
    let items = Items::Faces { seed, label: label.map(str::to_owned) };
    let index = index(spec, Path::new("faces"), vec![], count, items);
    match label {
        None => Ok(index),
        Some(label) => Ok(index.with_labels(labels::of_faces(seed, count, label)?)),
    }
}

fn folder(spec: &Spec, path: &Path) -> Result<Index> {
    let problem = |e: std::io::Error| Error::data(path, format!("the folder can't be read: {e}"));
    let mut names = Vec::new();
    for entry in fs::read_dir(path).map_err(problem)? {
        names.push(entry.map_err(problem)?.file_name().to_string_lossy().into_owned());
    }
    names.sort_unstable();
    if let Some(found) = Idx::find(path, &names, spec.split) {
        return idx(spec, path, found?);
    }
    undivided(spec, path)?;
    let (names, paths): (Vec<_>, Vec<_>) = walk(path)?.into_iter().unzip();
    let table = path.join(labels::TABLE);
    let table = table.is_file().then(|| items::read(&table));
    images(spec, path, names, Items::Files(paths), table)
}

/// Stacks of the digits of a folder of IDX files, or of one file.
fn stacked(spec: &Spec, path: &Path, seed: u64, count: usize) -> Result<Index> {
    if spec.channels != 3 || count == 0 {
        return Err(Error::data(path, "stacked digits have three channels, and there must be one at least"));
    }
    let digits = if path.is_dir() {
        let mut names = Vec::new();
        let problem = |e: std::io::Error| Error::data(path, format!("the folder can't be read: {e}"));
        for entry in fs::read_dir(path).map_err(problem)? {
            names.push(entry.map_err(problem)?.file_name().to_string_lossy().into_owned());
        }
        names.sort_unstable();
        match Idx::find(path, &names, spec.split) {
            Some(found) => found?,
            None => return Err(Error::data(path, "holds no IDX files such as MNIST's, whose digits are to be stacked")),
        }
    } else if path.exists() {
        undivided(spec, path)?;
        Idx::open(path)?
    } else {
        return Err(Error::data(path, "no such file or folder"));
    };
    let stack = Stack { digits, seed };
    let labels = stack.labels(count);
    let index = Index { name: "stacked-mnist".into(), ..index(spec, path, vec![], count, Items::Stacked(stack)) };
    Ok(match labels {
        None => index,
        Some(labels) => index.with_labels((labels, (0..1000).map(|mode| format!("{mode:03}")).collect())),
    })
}

fn idx(spec: &Spec, path: &Path, mut idx: Idx) -> Result<Index> {
    let labels = idx.labels.take();
    let index = index(spec, path, vec![], idx.count(), Items::Idx(idx));
    Ok(match labels {
        None => index,
        Some(labels) => index.with_labels(labels::numbered(labels)),
    })
}

fn zip(spec: &Spec, path: &Path) -> Result<Index> {
    undivided(spec, path)?;
    let archive = Archive::open(path)?;
    let table = archive.find(labels::TABLE).map(|i| archive.read(i));
    let mut files = archive.files();
    files.retain(|(_, name)| is_image(name));
    files.sort_unstable_by(|a, b| (&a.1, a.0).cmp(&(&b.1, b.0)));
    let (entries, names): (Vec<_>, Vec<_>) = files.into_iter().unzip();
    images(spec, path, names, Items::Zip(archive, entries), table)
}

fn undivided(spec: &Spec, path: &Path) -> Result<()> {
    match spec.split {
        Split::Train => Ok(()),
        Split::Test => Err(Error::data(path, "has no test part of its own: give the folder of test images instead")),
    }
}

/// `table` is the text of [`labels::TABLE`], where the source has one.
fn images(
    spec: &Spec,
    path: &Path,
    names: Vec<String>,
    items: Items,
    table: Option<Result<Vec<u8>, String>>,
) -> Result<Index> {
    if names.is_empty() {
        let endings = EXTENSIONS.join(", ");
        return Err(Error::data(path, format!("holds no images ({endings}) and no IDX files such as MNIST's")));
    }
    let of_table = |table: Result<Vec<u8>, String>| {
        let labels = table.and_then(|text| labels::from_table(&text, &names));
        labels.map_err(|reason| Error::data(path, format!("{}: {reason}", labels::TABLE)))
    };
    let labels = match table.map(of_table).transpose()? {
        Some(Table::Labels(labels)) => Some(labels),
        Some(Table::Unlabelled) => None,
        Some(Table::Silent) | None => labels::from_folders(&names),
    };
    let count = names.len();
    let index = index(spec, path, names, count, items);
    Ok(match labels {
        None => index,
        Some(labels) => index.with_labels(labels),
    })
}

fn index(spec: &Spec, path: &Path, names: Vec<String>, count: usize, items: Items) -> Index {
    let name = path.file_stem().map_or_else(|| path.to_string_lossy(), |n| n.to_string_lossy()).into_owned();
    Index {
        name,
        size: spec.size,
        channels: spec.channels,
        count,
        labels: None,
        classes: vec![],
        skipped: Skipped::default(),
        path: path.to_owned(),
        names,
        items,
    }
}
