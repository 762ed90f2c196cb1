//! GPU-native training of GANs and adversarially robust networks on wgpu, without CUDA.
#![warn(missing_docs)]

pub mod autodiff;
pub mod data;
pub mod error;
pub mod graph;
pub mod kernels;
pub mod philox;
pub mod plan;

pub use error::{Error, Result};
