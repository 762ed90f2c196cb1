//! The host device: executes graphs and plans on the CPU.
//!
//! [`eval`] walks a graph node by node, unplanned and unfused, and is the oracle of every test (in f64).
//! Uses `graph`, `plan`, `philox`, rayon and gemm. Deliberately absent: gradients, layers, anything a user configures.

mod conv;
mod eval;
mod fir;
mod index;
mod layout;
mod matmul;
mod pointwise;
mod random;
mod scalar;

pub use eval::{Rng, eval};
pub use scalar::Scalar;
