//! Checkpoints: named tensors and a few words of text in a safetensors file, readable from Python.
//!
//! A file appears whole or not at all, carries a checksum of its contents, and is never written over. This module knows
//! nothing of networks: whoever trains decides which tensors make a run and in which layout they are stored.

mod folder;
mod format;

pub(super) use folder::TEMPORARY;
pub use folder::{Latest, file_name, images_of, latest_good, mark_good, marked_good, prune};

use crate::{Error, Result};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

/// Numbers of a tensor, row-major.
#[derive(Clone, Debug, PartialEq)]
pub enum Values {
    /// 32-bit floats, stored bit by bit (NaN payloads too).
    F32(Vec<f32>),
    /// 32-bit unsigned integers.
    U32(Vec<u32>),
}

impl Values {
    /// Number of elements.
    pub fn len(&self) -> usize {
        match self {
            Values::F32(v) => v.len(),
            Values::U32(v) => v.len(),
        }
    }

    /// Whether there is no element.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn as_bytes(&self) -> &[u8] {
        match self {
            Values::F32(v) => bytemuck::cast_slice(v),
            Values::U32(v) => bytemuck::cast_slice(v),
        }
    }
}

/// A tensor of a checkpoint.
#[derive(Clone, Debug, PartialEq)]
pub struct NamedTensor {
    /// Unique in its checkpoint: `G.main.0.weight`.
    pub name: String,
    /// Extents; empty for a single number.
    pub shape: Vec<usize>,
    /// As many as the shape says.
    pub data: Values,
}

/// Everything a run needs to go on as if it had never stopped.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Checkpoint {
    /// In any order; they come back sorted by name.
    pub tensors: Vec<NamedTensor>,
    /// Text by key: the step, the configuration. Keys that start with `danskin.` belong to the format.
    pub meta: BTreeMap<String, String>,
}

impl Checkpoint {
    /// Writes the file: into a temporary one in the same folder, then to the disk, then under its name. Killed at any
    /// moment, or on a full disk, it leaves whatever stood there before.
    ///
    /// Errors: [`Error::Checkpoint`] for a doubled name, a shape that does not fit its numbers, or a reserved key;
    /// [`Error::Io`].
    pub fn save(&self, path: &Path) -> Result<()> {
        let header = format::header(self).map_err(|reason| Error::checkpoint(path, reason))?;
        write_whole(path, "saving the checkpoint", |file| {
            let mut writer = BufWriter::with_capacity(1 << 20, file);
            format::write(&mut writer, &header, self)?;
            writer.flush()
        })
    }

    /// Reads a file back, tensors sorted by name.
    ///
    /// Errors: [`Error::Io`]; [`Error::Checkpoint`] where the file is cut short, damaged, or not one of ours.
    pub fn load(path: &Path) -> Result<Checkpoint> {
        let bytes = std::fs::read(path).map_err(Error::io(path, "reading the checkpoint"))?;
        format::parse(&bytes).map_err(|reason| Error::checkpoint(path, reason))
    }

    /// The tensor of a name.
    pub fn tensor(&self, name: &str) -> Option<&NamedTensor> {
        self.tensors.iter().find(|t| t.name == name)
    }
}

/// Puts a file under its name whole or not at all: written into a temporary one beside it, brought to the disk,
/// renamed. A killed process may leave its temporary file behind; [`prune`] removes those.
pub(super) fn write_whole(
    path: &Path,
    action: &'static str,
    fill: impl FnOnce(&mut File) -> std::io::Result<()>,
) -> Result<()> {
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut builder = tempfile::Builder::new();
    builder.prefix(TEMPORARY);
    // Readable by whoever may read the folder, as any other file (temporary files are private unless told).
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    let write = || {
        let mut temporary = builder.tempfile_in(folder)?;
        fill(temporary.as_file_mut())?;
        temporary.as_file().sync_all()?;
        temporary.persist(path)?;
        // The rename, too, must last through a power cut. Windows offers no such thing for folders.
        if cfg!(unix) { File::open(folder)?.sync_all() } else { Ok(()) }
    };
    write().map_err(Error::io(path, action))
}
