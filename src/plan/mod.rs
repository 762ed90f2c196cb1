//! From a frozen graph to a fixed list of steps: lower → fuse → (recompute) → colour memory. The same plan runs on every device.
//!
//! Uses `graph`. Deliberately absent: values and devices; `host` and `gpu` execute what is planned here.

mod builder;
mod chain;
mod colour;
mod draft;
mod epilogue;
mod executor;
mod fuse;
mod half;
mod lower;
mod masks;
mod recompute;
mod step;

pub use builder::{Builder, Options, Places, Precision, Rest, Scratch};
pub use executor::{Counters, Executor, ReadId, Slice, Timeline};
pub use step::*;
