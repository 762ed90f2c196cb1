//! Training: games as data, programs of them, the schedule of an iteration, checkpoints, logs, runs.
//!
//! Uses everything below it. Deliberately absent: printing (that is `cli`).

mod alarms;
pub mod assembly;
mod attacker;
pub mod checkpoint;
mod evaluation;
mod features;
mod feed;
pub mod game;
pub mod games;
mod init;
mod latents;
mod measurement;
mod measuring;
mod pace;
mod pictures;
mod profile;
mod projector;
mod reports;
pub mod run_folder;
mod run_page;
mod sampler;
mod samples;
mod session;
mod settings;
mod state;
pub mod stats;
pub mod stream;
mod sums;
pub mod tensorboard;
mod trainer;
mod validation;

pub use alarms::{Alarm, Alarms};
pub use assembly::{Assembly, Resident};
pub use attacker::{Attacker, Found, Judge};
pub use evaluation::{EvalOptions, Evaluation};
pub use features::{FeatureTraining, Told};
pub use feed::{Feed, HostBatch};
pub use game::Game;
pub use latents::{slerp, truncate};
pub use measurement::Measurement;
pub use measuring::Measuring;
pub use profile::{Iteration, Profile, Span};
pub use projector::{Projected, Projector};
pub use sampler::Sampler;
pub use session::{Event, Outcome, Session};
pub use settings::Settings;
pub use trainer::{LogRow, Logged, Trainer};
pub use validation::Validation;
