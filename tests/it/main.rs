//! The one integration-test binary.

mod checkpoint;
mod cli;
mod config;
mod run_folder;
mod tensorboard;
