//! Layers and models: functions that build graphs and name their parameters.
//!
//! Uses `graph`, `autodiff`, `error`. Deliberately absent: values, devices, optimisers, files. A model is applied to a
//! [`Scope`], which records what the graph needs (parameters, persistent state, its updates) under the names that a
//! PyTorch user of the same model expects; [`layout`] maps the arrays themselves.

mod class_head;
mod dcgan;
mod face_features;
pub mod layers;
pub mod layout;
mod lenet5;
mod mlp;
mod mnist_cnn;
mod model;
mod network;
pub mod pool;
mod preact_resnet18;
mod r3gan;
pub mod resample;
mod scope;
mod sequential;
mod sngan;
pub mod softmax;
pub mod spectral;

pub use class_head::{BothHeads, ClassHead, ClassLogits};
pub use dcgan::Dcgan;
pub use face_features::FaceFeatures;
pub use layout::Layout;
pub use lenet5::Lenet5;
pub use mlp::{Activation, Mlp};
pub use mnist_cnn::MnistCnn;
pub use model::Model;
pub use network::{Discriminator, Generator, Network, Pair, network};
pub use preact_resnet18::PreactResnet18;
pub use r3gan::R3gan;
pub use scope::{Init, Mode, ParamSpec, Scope, StateSpec, name_stream};
pub use sequential::{Fill, Interpolation, Layer, Sequential, SequentialNetwork};
pub use sngan::SnganResnet;
