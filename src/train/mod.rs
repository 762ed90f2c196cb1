//! Training: phases as graphs, the alternating schedule, checkpoints, logs, runs.
//!
//! Uses everything below it. Deliberately absent: printing (that is `cli`).

pub mod checkpoint;
mod feed;
mod gan;
mod init;
pub mod phases;
mod pictures;
mod profile;
mod reports;
pub mod run_folder;
mod sampler;
mod samples;
mod session;
mod settings;
mod state;
pub mod stats;
mod sums;
pub mod tensorboard;
mod trainer;

pub use feed::Feed;
pub use gan::{Gan, Intervals, Network, Plans, Resident};
pub use phases::GanSpec;
pub use profile::{Iteration, Profile, Span};
pub use sampler::Sampler;
pub use session::{Event, Outcome, Session};
pub use settings::Settings;
pub use trainer::{LogRow, Logged, Trainer};
