//! The device behind wgpu: adapters, buffers, pipelines, replay, read-back, timestamps. The only room that names wgpu.
//!
//! Uses `kernels` (launches as data) and `plan` (programs). Deliberately absent: what is computed and why; a [`Gpu`] gets
//! a program once, prepares everything it needs, and from then on replays prebuilt launches. Device creation and
//! compilation are async inside and blocked on at the surface, so that the room can be built for browsers.

mod adapter;
mod device;
mod executor;
mod memory;
mod notice;
mod pipeline;
mod pipeline_cache;
mod profile;
mod readback;
mod replay;
mod tune;
mod watchdog;

pub use adapter::{Facts, list};
pub use device::{Autotune, Device, Setup};
pub use executor::Gpu;
pub(crate) use memory::human;
pub use notice::{Listener, Notice};
pub use tune::Lowering;
