//! Measuring: kernels against what a device can do, whole training steps, two measurements against each other, and where
//! the time of an iteration goes.
//!
//! Uses everything below it. Deliberately absent: printing (that is `cli`), and faster ways to run anything: what is
//! measured is what training runs.

pub mod attack;
pub mod clock;
pub mod compare;
pub mod kernel;
pub mod ladder;
pub mod peak;
pub mod report;
pub mod roofline;
pub mod shape;
pub mod step;
pub mod trace;
pub mod workload;
