//! Layers and models: functions that build graphs and name their parameters.
//!
//! Uses `graph`, `autodiff`, `error`. Deliberately absent: values, devices, optimisers, files. A model is applied to a
//! [`Scope`], which records what the graph needs (parameters, persistent state, its updates) under the names that a
//! PyTorch user of the same model expects; [`layout`] maps the arrays themselves.

mod dcgan;
pub mod layers;
pub mod layout;
mod mlp;
mod model;
mod network;
pub mod pool;
mod r3gan;
pub mod resample;
mod scope;
mod sequential;
pub mod softmax;

pub use dcgan::Dcgan;
pub use layout::Layout;
pub use mlp::{Activation, Mlp};
pub use model::Model;
pub use network::{Discriminator, Generator, Network, Pair, network};
pub use r3gan::R3gan;
pub use scope::{Init, Mode, ParamSpec, Scope, StateSpec, name_stream};
pub use sequential::{Fill, Interpolation, Layer, Sequential, SequentialNetwork};
