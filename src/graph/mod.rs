//! Pure graphs over the closed set of primitives: hash-consed nodes, shape rules, a text dump.
//!
//! Uses nothing of this crate. Deliberately absent: values, devices, layers, gradients.

mod checked;
mod dag;
mod op;
mod products;
mod settled;
mod shape;
mod tensor;
mod views;

pub(crate) use checked::{checked, refuse, require};
pub use dag::{Dag, Node, NodeId};
pub use op::{ConvSpec, Dist, FirSpec, Kind, Op, Real};
pub use shape::Shape;
pub use tensor::{Graph, Tensor};
