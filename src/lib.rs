//! GPU-native training of GANs and adversarially perturbed networks on wgpu, without CUDA.
//!
//! A training phase is a graph over a closed set of primitives, differentiated symbolically to any order, lowered to a fixed list of
//! steps and run by hand-written WGSL kernels or by all cores of the processor. `ARCHITECTURE.md` is the map.
//!
//! # Way through
//! - [`train::Trainer`] trains a [`train::Game`] on data from a [`train::Feed`], on a [`device::Device`]; [`train::Sampler`] draws from its
//!   checkpoints.
//! - Games that come with the crate are in [`train::games`]; one of your own is a value of [`train::game::Game`], whose phases are functions
//!   of a [`train::game::PhaseGraph`].
//! - Networks implement [`nn::Network`] (or are lists of layers, [`nn::Sequential`]) and are made of [`nn::layers`]; losses are functions
//!   of [`graph::Tensor`]s, some of them in [`loss`]; gradients of any order come from [`autodiff::grad`].
//! - Attacks are values of [`attack::Attack`], most of them by name ([`attack::named`]); [`train::Attacker`] runs one on a device, and
//!   [`robustness`] evaluates a trained run.
//! - Images are a [`data::DataSet`]; whole runs with a configuration are [`config::Config`] and [`train::Session`].
//! - Networks leave as PyTorch weights or ONNX models through [`export`].
//!
//! `examples/own_gan.rs`, `own_data.rs`, `attack.rs` and `two_critics.rs` show each of these. What is hidden from this page is the engine
//! itself, whose parts may change between versions.
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
pub mod augment;
pub mod autodiff;
#[doc(hidden)]
pub mod bench;
#[doc(hidden)]
pub mod cache;
#[doc(hidden)]
pub mod check;
#[doc(hidden)]
pub mod cli;
pub mod config;
pub mod data;
pub mod device;
pub mod error;
pub mod export;
#[doc(hidden)]
pub mod files;
#[doc(hidden)]
pub mod gpu;
pub mod graph;
#[doc(hidden)]
pub mod grid;
#[doc(hidden)]
pub mod host;
#[doc(hidden)]
pub mod kernels;
pub mod loss;
#[doc(hidden)]
pub mod metrics;
pub mod nn;
pub mod optim;
#[doc(hidden)]
pub mod page;
pub mod philox;
#[doc(hidden)]
pub mod plan;
pub mod robustness;
pub mod train;

pub use error::{Error, Result};
