//! From a planned step to kernel launches: one launcher a kernel family, pure data in and out.
//!
//! A launcher is a module with `lower(&Step) -> Result<Vec<Dispatch>>` and, where a kernel needs room for partial
//! results, `scratch(&Work) -> usize`. Uses `graph` and `plan`. Deliberately absent: wgpu (only `gpu` names it) and WGSL
//! text (that is `shaders/`; templates are filled with snippets found there).

mod dispatch;
mod module;
mod pad;

pub use dispatch::{Binding, Dispatch, FOLD, Source, fold};
pub use module::{MODULES, Module, params};

use crate::plan::{Step, Work};
use crate::{Error, Result};

/// The launches of a step, in order.
///
/// # Errors
/// [`Error::Graph`] for work that no kernel does, with the step's label.
pub fn lower(step: &Step) -> Result<Vec<Dispatch>> {
    match &step.work {
        Work::Pad { .. } => pad::lower(step),
        _ => Err(Error::Graph(format!("{}: no kernel does `{}`", step.label, step.name()))),
    }
}

/// Elements of room for partial results that `work` needs in [`Step::scratch`]; 0 for none. Depends on shapes alone, so
/// that a plan is the same for every device.
pub fn scratch(work: &Work) -> usize {
    match work {
        _ => 0,
    }
}
