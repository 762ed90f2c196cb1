//! GPU-native training of GANs and adversarially robust networks on wgpu, without CUDA.
#![warn(missing_docs)]

pub mod attack;
pub mod autodiff;
pub mod check;
pub mod cli;
pub mod config;
pub mod data;
pub mod device;
pub mod error;
pub mod gpu;
pub mod graph;
pub mod grid;
pub mod host;
pub mod kernels;
pub mod loss;
pub mod metrics;
pub mod nn;
pub mod optim;
pub mod philox;
pub mod plan;
pub mod train;

pub use error::{Error, Result};
