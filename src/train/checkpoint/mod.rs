//! Checkpoints: named tensors and a few words of text in a safetensors file, readable from Python.
//!
//! A file appears whole or not at all, carries a checksum of its contents, and is never written over. This module knows
//! nothing of networks: whoever trains decides which tensors make a run and in which layout they are stored.

mod folder;
mod foreign;
mod format;

pub use folder::{
    Latest, best_or_latest, file_name, find, images_of, latest_good, mark_best, mark_good, marked_best, marked_good,
    newest, prune,
};
pub use foreign::{Foreign, read_foreign};
pub use format::VERSION_KEY;

use crate::{Error, Result, files};
use std::collections::BTreeMap;
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
        files::write_with(path, "saving the checkpoint", |file| format::write(file, &header, self))
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
