//! Optimisation state: flat buffers of a network, per-step scalars of Adam and the moving average, schedules.
//!
//! Uses `nn`'s parameter lists, `plan`'s regions and `philox`. The arithmetic itself is one step, `plan::Work::Adam`.

mod flat;
mod schedule;

pub use flat::{Entry, Flat};
pub use schedule::{AdamSettings, Schedule, cosine, ema_beta};
