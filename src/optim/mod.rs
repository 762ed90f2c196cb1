//! Optimisation state: flat buffers of a network, optimisers with their schedules and per-step scalars, the moving average.
//!
//! Uses `nn`'s parameter lists, `plan`'s regions and `philox`. The arithmetic itself is one step, `plan::Work::Adam` or
//! `plan::Work::Sgd`.

mod flat;
mod optimiser;
mod schedule;

pub use flat::{Entry, Flat, initial_values};
pub use optimiser::{Adam, Optimiser, Progress, Sgd};
pub use schedule::{Schedule, cosine, ema_beta};
