//! What a run leaves on disk: its folder, checkpoints, statistics and TensorBoard files.
//!
//! Uses `config`. Deliberately absent: printing (only `cli` prints) and devices.

pub mod checkpoint;
pub mod run_folder;
pub mod stats;
pub mod tensorboard;
