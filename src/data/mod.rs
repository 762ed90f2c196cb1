//! Data sets.

pub mod faces;
