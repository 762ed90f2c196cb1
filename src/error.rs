//! The one error type of the crate. Each message is a sentence that says what, where, which value, and the way out.

use std::path::PathBuf;

/// Everything that can go wrong in this crate. Nothing a user can type or feed makes it panic.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs)] // The fields are the parts of the sentence.
pub enum Error {
    /// A setting with a value that makes no sense: `config.toml: batch 0: must be at least 1`.
    #[error("{place}: {key} {value}: {hint}")]
    Setting { place: String, key: String, value: String, hint: String },

    /// A data set that can't be used.
    #[error("{path}: {reason}")]
    Data { path: PathBuf, reason: String },

    /// A checkpoint, run folder or golden file that can't be read.
    #[error("{path}: {reason}")]
    Checkpoint { path: PathBuf, reason: String },

    /// The operating system refused to read or write.
    #[error("{path}: {action}: {source}")]
    Io { path: PathBuf, action: &'static str, source: std::io::Error },

    /// No device of the asked kind, or one that lacks what the work needs.
    #[error("device {device}: {reason}")]
    Device { device: String, reason: String },

    /// A program that needs more memory than a device has, or larger buffers than it allows.
    #[error("device {device}: {reason}")]
    Memory { device: String, reason: String },

    /// A shader that did not compile on this device; `place` is the file and line of the source.
    #[error("{place}: {reason}")]
    Shader { place: String, reason: String },

    /// A graph that can't be lowered, or one whose shapes do not match what it is given.
    #[error("graph: {0}")]
    Graph(String),

    /// Training that can't go on: a number that is not finite, and where it appeared.
    #[error("training: {0}")]
    Training(String),

    /// A check that found a deviation.
    #[error("check: {0}")]
    Check(String),

    /// A measurement that can't be made, written or compared.
    #[error("bench: {0}")]
    Bench(String),
}

/// The crate's result type.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// An operating-system error with the path and the action that failed.
    pub fn io(path: impl Into<PathBuf>, action: &'static str) -> impl FnOnce(std::io::Error) -> Error {
        let path = path.into();
        move |source| Error::Io { path, action, source }
    }

    /// A data error at a path.
    pub fn data(path: impl Into<PathBuf>, reason: impl Into<String>) -> Error {
        Error::Data { path: path.into(), reason: reason.into() }
    }

    /// A checkpoint error at a path.
    pub fn checkpoint(path: impl Into<PathBuf>, reason: impl Into<String>) -> Error {
        Error::Checkpoint { path: path.into(), reason: reason.into() }
    }

    /// A setting error; `place` is the file or `command line` the value came from.
    pub fn setting(
        place: impl Into<String>,
        key: impl Into<String>,
        value: impl ToString,
        hint: impl Into<String>,
    ) -> Error {
        Error::Setting { place: place.into(), key: key.into(), value: value.to_string(), hint: hint.into() }
    }

    /// A program that does not fit a device.
    pub fn memory(device: impl Into<String>, reason: impl Into<String>) -> Error {
        Error::Memory { device: device.into(), reason: reason.into() }
    }

    /// A device error.
    pub fn device(device: impl Into<String>, reason: impl Into<String>) -> Error {
        Error::Device { device: device.into(), reason: reason.into() }
    }
}
