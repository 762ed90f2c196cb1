//! The device behind wgpu: adapters, buffers, pipelines, replay, read-back, timestamps. The only room that names wgpu.
//!
//! Uses `kernels` (launches as data) and `plan` (programs). Deliberately absent: what is computed and why; a [`Gpu`] gets
//! a program once, prepares everything it needs, and from then on replays prebuilt launches. Device creation and
//! compilation are async inside and blocked on at the surface, so that the room can be built for browsers.

mod adapter;
mod device;
mod executor;
mod memory;
mod pipeline;
mod profile;
mod readback;
mod replay;

pub use adapter::{Facts, list};
pub use device::Device;
pub use executor::Gpu;
