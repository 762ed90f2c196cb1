//! The host device: executes graphs and plans on the CPU, generic over f32 and f64.
//!
//! `eval` walks a graph node by node, unplanned and unfused, and is the oracle of every test (in f64). `Host` runs
//! plans on all cores, and is the device of people without a GPU driver (in f32). Both share one function a primitive.
//! Work is cut into tasks by shape alone, so results are the same bits for any number of threads.
//!
//! Uses `graph`, `plan`, `philox`, rayon and gemm. Deliberately absent: gradients, layers, anything a user configures.

mod arena;
mod chain;
mod check;
mod conv;
mod device;
mod draw;
mod eval;
mod fir;
mod index;
mod layout;
mod limits;
mod math;
mod matmul;
mod memory;
mod optim;
pub mod peak;
mod pointwise;
mod random;
mod reduce;
mod scalar;
mod simd;

pub use device::{Host, describe};
pub use eval::{Rng, eval};
pub use scalar::Scalar;
