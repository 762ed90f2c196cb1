//! The images of a source, one by one and undecoded: a closed set of kinds, each able to give image k from any thread.

use std::collections::HashSet;
use std::fs::{self, File};
use std::hash::{DefaultHasher, Hasher};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::archive::Archive;
use super::decode::{self, MAX_FILE};
use super::faces::Face;
use super::idx::Idx;
use super::packed::Packed;
use super::raw::Raw;
use super::stacked::Stack;
use super::tarball::Tarball;
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
    /// Entries of a zip archive.
    Zip(Archive, Vec<u32>),
    /// Files of a tar archive.
    Tar(Tarball, Vec<String>),
    /// IDX images, held in memory.
    Idx(Idx),
    /// Stacks of them.
    Stacked(Stack),
    /// Other images of one size, held in memory.
    Raw(Raw),
    /// Images that were decoded before.
    Packed(Packed),
}

/// An image as a set holds it, and what it was before.
#[derive(Debug)]
pub(super) struct Seen {
    /// Width and height in the source.
    pub sides: [u32; 2],
    /// What its pixels were: `RGB`, `grey` …
    pub mode: &'static str,
    /// Whether it had a colour profile.
    pub profile: bool,
    /// Whether EXIF data turned it.
    pub turned: bool,
    /// Of the bytes in the source.
    pub hash: u64,
    /// Bytes `[size,size,channels]`.
    pub pixels: Vec<u8>,
}

impl Items {
    /// What the source is, for people.
    pub fn kind(&self) -> &'static str {
        match self {
            Items::Faces { .. } => "built-in faces",
            Items::Files(_) => "folder of images",
            Items::Zip(..) => "zip archive of images",
            Items::Tar(..) => "tar archive of images",
            Items::Idx(_) => "IDX files",
            Items::Stacked(_) => "stacked digits",
            Items::Raw(raw) => raw.kind,
            Items::Packed(_) => "packed set",
        }
    }

    /// Image k as `[size,size,channels]` bytes, or what is wrong with it.
    pub fn pixels(&self, k: usize, size: usize, channels: usize) -> Result<Vec<u8>, String> {
        match self {
            Items::Faces { seed, .. } => {
                Ok(decode::with_channels(Face::from_seed(*seed, k as u64).render(size), channels))
            }
            Items::Files(_) | Items::Zip(..) | Items::Tar(..) => decode::square(&self.file(k)?, size, channels),
            Items::Idx(idx) => Ok(idx.pixels(k, size, channels)),
            Items::Stacked(stack) => Ok(stack.pixels(k, size)),
            Items::Raw(raw) => raw.pixels(k, size, channels),
            Items::Packed(packed) => packed.image(k),
        }
    }

    /// Image k with what it was before.
    pub fn see(&self, k: usize, size: usize, channels: usize) -> Result<Seen, String> {
        let seen = |sides: [usize; 2], mode, bytes: &[u8], pixels| Seen {
            sides: sides.map(|s| s as u32),
            mode,
            profile: false,
            turned: false,
            hash: hash(bytes),
            pixels,
        };
        match self {
            Items::Files(_) | Items::Zip(..) | Items::Tar(..) => {
                let file = self.file(k)?;
                let decode::Picture { pixels, mode, profile, turned } = decode::picture(&file)?;
                let sides = [pixels.width(), pixels.height()];
                let pixels = decode::fit(pixels, size, channels)?;
                Ok(Seen { sides, mode, profile, turned, hash: hash(&file), pixels })
            }
            Items::Idx(idx) => Ok(seen(idx.sides(), "grey", idx.image(k), idx.pixels(k, size, channels))),
            Items::Raw(raw) => {
                let [h, w, _] = raw.extents;
                Ok(seen([w, h], raw.mode(), raw.image(k), raw.pixels(k, size, channels)?))
            }
            Items::Faces { .. } | Items::Stacked(_) | Items::Packed(_) => {
                let pixels = self.pixels(k, size, channels)?;
                Ok(seen([size, size], if channels == 1 { "grey" } else { "RGB" }, &pixels.clone(), pixels))
            }
        }
    }

    /// The bytes of image file k.
    fn file(&self, k: usize) -> Result<Vec<u8>, String> {
        match self {
            Items::Files(paths) => read(&paths[k], 1),
            Items::Zip(archive, entries) => archive.read(entries[k]),
            Items::Tar(archive, names) => archive.read(&names[k]),
            Items::Faces { .. } | Items::Idx(_) | Items::Stacked(_) | Items::Raw(_) | Items::Packed(_) => {
                Err("is no file".into())
            }
        }
    }

    /// Whether an image can turn out to be bad; one of a packed set can be damaged, which is no reason to go on without it.
    pub fn may_fail(&self) -> bool {
        matches!(self, Items::Files(_) | Items::Zip(..) | Items::Tar(..))
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
            Items::Tar(archive, names) => size(archive.size(&names[k]).unwrap_or(0)),
            Items::Idx(idx) => crc32c::crc32c_append(crc, idx.image(k)),
            Items::Stacked(stack) => {
                stack.parts(k).iter().fold(crc, |crc, &digit| crc32c::crc32c_append(crc, stack.digits.image(digit)))
            }
            Items::Raw(raw) => crc32c::crc32c_append(crc, raw.image(k)),
            Items::Packed(packed) => crc32c::crc32c_append(crc, &packed.sum(k).to_le_bytes()),
        }
    }
}

/// 64 bits of some bytes: those of a million different files are alike once in 40 million sets.
fn hash(bytes: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    hasher.write(bytes);
    hasher.finish()
}

/// The bytes of a file of reasonable size: at most `times` [`MAX_FILE`].
pub(super) fn read(path: &Path, times: u64) -> Result<Vec<u8>, String> {
    let most = MAX_FILE * times;
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(|e| format!("can't be opened: {e}"))?;
    file.take(most + 1).read_to_end(&mut bytes).map_err(|e| format!("can't be read: {e}"))?;
    if bytes.len() as u64 > most {
        return Err(format!("the file is larger than the limit of {} MiB", most >> 20));
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
