//! From a planned step to kernel launches: one launcher a kernel family, pure data in and out.
//!
//! Uses `graph` and `plan`. Deliberately absent: wgpu (only `gpu` names it) and WGSL text (that is `shaders/`).

mod dispatch;

pub use dispatch::{Binding, Dispatch, Source};
