//! The images of a source, one by one and undecoded: a closed set of kinds, each able to give image k from any thread.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::archive::Archive;
use super::decode::{self, MAX_FILE};
use super::faces::Face;
use super::idx::Idx;
use super::stacked::Stack;
use crate::{Error, Result};

/// Names that are taken for images when they end so; what a file holds is told by its first bytes.
pub(super) const EXTENSIONS: [&str; 8] = ["png", "jpg", "jpeg", "bmp", "gif", "webp", "tif", "tiff"];

/// Images of one source.
#[derive(Debug)]
pub(super) enum Items {
    /// The built-in faces.
    Faces { seed: u64, label: Option<String> },
    /// Files below a folder.
    Files(Vec<PathBuf>),
    /// Entries of an archive.
    Zip(Archive, Vec<u32>),
    /// IDX images, held in memory.
    Idx(Idx),
    /// Stacks of them.
    Stacked(Stack),
}

impl Items {
    /// Image k as `[size,size,channels]` bytes, or what is wrong with it.
    pub fn pixels(&self, k: usize, size: usize, channels: usize) -> Result<Vec<u8>, String> {
        match self {
            Items::Faces { seed, .. } => {
                Ok(decode::with_channels(Face::from_seed(*seed, k as u64).render(size), channels))
            }
            Items::Files(paths) => decode::square(&read(&paths[k])?, size, channels),
            Items::Zip(archive, entries) => decode::square(&archive.read(entries[k])?, size, channels),
            Items::Idx(idx) => Ok(idx.pixels(k, size, channels)),
            Items::Stacked(stack) => Ok(stack.pixels(k, size)),
        }
    }

    /// Whether an image can turn out to be bad.
    pub fn may_fail(&self) -> bool {
        matches!(self, Items::Files(_) | Items::Zip(..))
    }

    /// A checksum that goes on from `crc` over what tells image k from another without decoding it: sizes, checksums of an
    /// archive, bytes that are in memory.
    pub fn mark(&self, k: usize, crc: u32) -> u32 {
        let size = |size: u64| crc32c::crc32c_append(crc, &size.to_le_bytes());
        match self {
            Items::Faces { .. } => crc,
            Items::Files(paths) => size(fs::metadata(&paths[k]).map_or(0, |m| m.len())),
            Items::Zip(archive, entries) => archive
                .promise(entries[k])
                .map_or(crc, |(bytes, sum)| crc32c::crc32c_append(size(bytes), &sum.to_le_bytes())),
            Items::Idx(idx) => crc32c::crc32c_append(crc, idx.image(k)),
            Items::Stacked(stack) => {
                stack.parts(k).iter().fold(crc, |crc, &digit| crc32c::crc32c_append(crc, stack.digits.image(digit)))
            }
        }
    }

    /// Keeps the images whose (ascending) numbers are given.
    pub fn keep(&mut self, numbers: &[usize]) {
        match self {
            Items::Files(paths) => *paths = numbers.iter().map(|&k| std::mem::take(&mut paths[k])).collect(),
            Items::Zip(_, entries) => *entries = numbers.iter().map(|&k| entries[k]).collect(),
            Items::Faces { .. } | Items::Idx(_) | Items::Stacked(_) => {}
        }
    }
}

/// The bytes of a file of reasonable size.
pub(super) fn read(path: &Path) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(|e| format!("can't be opened: {e}"))?;
    file.take(MAX_FILE + 1).read_to_end(&mut bytes).map_err(|e| format!("can't be read: {e}"))?;
    if bytes.len() as u64 > MAX_FILE {
        return Err(format!("the file is larger than the limit of {} MiB", MAX_FILE >> 20));
    }
    Ok(bytes)
}

/// Whether a name inside a source is that of an image. Hidden files, and the shadows that macOS leaves in archives, are not.
pub(super) fn is_image(name: &str) -> bool {
    let hidden = |part: &str| part == "__MACOSX" || (part.starts_with('.') && part != "." && part != "..");
    let extension = name.rsplit_once('.').map_or("", |(_, e)| e).to_ascii_lowercase();
    EXTENSIONS.contains(&extension.as_str()) && !name.split('/').any(hidden)
}

/// Every image below `root` with its name relative to it, sorted by name. Symbolic links are followed, once.
pub(super) fn walk(root: &Path) -> Result<Vec<(String, PathBuf)>> {
    let mut found = Vec::new();
    let mut seen = HashSet::new();
    let mut open = vec![(String::new(), root.to_owned())];
    while let Some((prefix, folder)) = open.pop() {
        let problem = |e: io::Error| Error::data(&folder, format!("the folder can't be read: {e}"));
        if !seen.insert(folder.canonicalize().map_err(problem)?) {
            continue;
        }
        for entry in fs::read_dir(&folder).map_err(problem)? {
            let entry = entry.map_err(problem)?;
            let name = format!("{prefix}{}", entry.file_name().to_string_lossy());
            let path = entry.path();
            if path.is_dir() {
                open.push((format!("{name}/"), path));
            } else if is_image(&name) {
                found.push((name, path));
            }
        }
    }
    found.sort_unstable();
    Ok(found)
}
