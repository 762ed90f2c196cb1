//! Training: phases as graphs, the alternating schedule, checkpoints, logs, runs.
//!
//! Uses everything below it. Deliberately absent: printing (that is `cli`).

mod gan;
pub mod phases;

pub use gan::{Gan, Intervals, Network, Plans, Resident};
pub use phases::GanSpec;
