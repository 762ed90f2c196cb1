//! From a planned step to kernel launches: one launcher per kernel family, pure data in and out.
//!
//! A launcher is a module with `lower(&Step) -> Result<Vec<Dispatch>>` and, where a kernel needs room for partial
//! results, `scratch(&Work) -> usize`. Uses `graph` and `plan`. Deliberately absent: wgpu (only `gpu` names it) and WGSL
//! text (that is `shaders/`; templates are filled with snippets found there).

mod after;
mod chain;
pub mod conv;
mod dispatch;
pub mod fir;
mod half;
mod index;
mod lanes;
pub mod matmul;
mod module;
mod optim;
mod pointwise;
mod random;
mod reduce;
pub mod sample;
pub mod tile;
pub mod tuning;

pub use chain::MAX_INPUTS;
pub use dispatch::{Binding, Dispatch, FOLD, Source, fold};
pub use half::with_halves;
pub use lanes::for_lanes;
pub use module::{MODULES, Module, params};
pub use tuning::Tuning;

use crate::plan::{RNG, Region, Step, Work};
use crate::{Error, Result};
use after::After;

/// Seed, step and round, which random work and logs read beside their inputs.
const RNG_REGION: Region = Region { buffer: RNG, offset: 0, len: 4 };

/// The launches of a step, in order.
///
/// # Errors
/// [`Error::Graph`] for work that passes what its kernel can do, with the step's label.
pub fn lower(step: &Step) -> Result<Vec<Dispatch>> {
    lower_with(&Tuning::default(), step)
}

/// [`lower`] by measured schedules.
///
/// # Errors
/// As [`lower`].
pub fn lower_with(tuning: &Tuning, step: &Step) -> Result<Vec<Dispatch>> {
    let Work::Then { work, chain } = &step.work else { return launches(step, tuning, None) };
    if !work.takes_epilogue() {
        return Err(Error::Graph(format!("{}: {} takes no epilogue", step.label, work.name())));
    }
    let (own, others) = step.inputs.split_at((step.inputs.len() + 1).saturating_sub(chain.views.len()));
    let product = Step { work: (**work).clone(), inputs: own.to_vec(), ..step.clone() };
    launches(&product, tuning, Some(&After { chain, inputs: others }))
}

fn launches(step: &Step, tuning: &Tuning, after: Option<&After>) -> Result<Vec<Dispatch>> {
    match &step.work {
        Work::Pointwise(_) => pointwise::lower(step),
        Work::Reduce { .. } => reduce::lower(step, after),
        Work::MatMul { .. } => matmul::lower(step, tuning, after),
        Work::Conv(_) | Work::ConvX(_) | Work::ConvW(_) => conv::lower(step, tuning, after),
        Work::Fir { .. } => fir::lower(step, after),
        Work::Sample { .. } | Work::SampleAdjoint { .. } => sample::lower(step),
        Work::Rand { .. } => random::lower(step),
        Work::Gather { .. } | Work::ScatterAdd { .. } | Work::Draw(_) | Work::LogRow { .. } => index::lower(step),
        Work::Round { .. } => random::round(step),
        Work::Adam(_) | Work::Sgd { .. } | Work::LossScale => optim::lower(step),
        Work::Then { work, .. } => Err(Error::Graph(format!("{}: {} has two epilogues", step.label, work.name()))),
    }
}

/// Elements of room for partial results that `work` needs in [`Step::scratch`] on a GPU that was not tuned; 0 for none.
pub fn scratch(work: &Work) -> usize {
    scratch_with(&Tuning::default(), work)
}

/// [`scratch`] by measured schedules: what [`lower_with`] the same tuning needs.
pub fn scratch_with(tuning: &Tuning, work: &Work) -> usize {
    match work {
        Work::Then { work, chain } => {
            let plain = conv::stores_plainly(work, tuning) || matmul::stores_plainly(work, tuning);
            scratch_with(tuning, work) + if plain { chain.elems() } else { 0 }
        }
        Work::Reduce { .. } => reduce::scratch(work),
        Work::MatMul { .. } => matmul::scratch(work, tuning),
        Work::Conv(_) | Work::ConvX(_) | Work::ConvW(_) => conv::scratch(work, tuning),
        Work::Fir { .. } => fir::scratch(work),
        Work::SampleAdjoint { .. } => sample::scratch(work),
        _ => 0,
    }
}

/// The first `need` elements of the step's scratch.
///
/// # Errors
/// [`Error::Graph`] where the plan gave the step less.
fn room(step: &Step, need: usize) -> Result<Region> {
    match step.scratch {
        Some(room) if room.len >= need => Ok(Region { len: need, ..room }),
        _ => {
            let (label, have) = (&step.label, step.scratch.map_or(0, |room| room.len));
            Err(Error::Graph(format!("{label}: needs {need} elements of scratch and has {have}; see kernels::scratch")))
        }
    }
}
