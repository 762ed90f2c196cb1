//! GPU-native training of GANs and adversarially perturbed networks on wgpu, without CUDA.
//!
//! A training phase is a graph over a closed set of primitives ([`graph`]), differentiated symbolically to any order
//! ([`autodiff`]), lowered to a fixed list of steps ([`plan`]) and run by hand-written WGSL kernels ([`gpu`]) or by all cores of the
//! processor ([`host`]). `ARCHITECTURE.md` is the map.
//!
//! The front door is [`train::Trainer`]: choose a game and data, train, sample.
//!
//! ```
//! use danskin::config::Config;
//! use danskin::device::Device;
//! use danskin::train::{Feed, Settings, Trainer};
//!
//! # fn main() -> danskin::Result<()> {
//! let config = Config::preset("ring8")?;
//! let (device, _notice) = Device::select("host")?; // or "auto", "vulkan:0", "metal"
//! let feed = Feed::open(&config, &|_done, _total| {})?;
//! let mut trainer = Trainer::new(Settings::new(&config)?, feed, &device)?;
//! for _ in 0..20 {
//!     trainer.iterate()?; // discriminator step, generator step: one submission
//! }
//! let points = trainer.sample(&[0, 1, 2])?; // one sample per seed, by the averaged weights
//! assert_eq!(points.len(), 3 * 2);
//! # Ok(())
//! # }
//! ```
#![warn(missing_docs)]

pub mod attack;
pub mod autodiff;
pub mod bench;
pub mod cache;
pub mod check;
pub mod cli;
pub mod config;
pub mod data;
pub mod device;
pub mod error;
pub mod files;
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
