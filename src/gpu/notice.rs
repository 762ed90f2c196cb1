//! What a device tells about its preparations; whoever opened it decides what is shown.

use std::sync::Arc;

/// A word from a device.
#[derive(Clone, Debug, PartialEq)]
pub enum Notice {
    /// Kernels are being compiled. Called from several threads.
    Compiling {
        /// So many are ready …
        done: usize,
        /// … of so many that a program needs and the device did not have yet.
        total: usize,
    },
    /// Kernels were compiled.
    Compiled {
        /// So many …
        total: usize,
        /// … of which the pipeline cache of the last start held so many.
        cached: usize,
        /// Time it took.
        seconds: f64,
    },
    /// Schedules are being measured.
    Tuning {
        /// So many shapes are done …
        done: usize,
        /// … of so many.
        total: usize,
        /// The shape that is measured now.
        shape: String,
    },
    /// Something that the user should know and that stops nothing.
    Warning(String),
}

/// Hears notices.
pub type Listener = Arc<dyn Fn(Notice) + Send + Sync>;
