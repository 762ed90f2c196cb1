//! Measures of what was learned: plain numbers from plain samples.
//!
//! May use `data`. Deliberately absent: training, devices, printing.

mod modes;

pub use modes::{Modes, modes};
