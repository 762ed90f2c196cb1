//! Launches of `optim/adam.wgsl` and `optim/loss_scale.wgsl`.

use super::params::optim_adam::Params;
use super::params::optim_loss_scale as loss_scale;
use super::{Binding, Dispatch, Module, Source, fold};
use crate::Result;
use crate::plan::{LOSS_SCALE, LOSS_SCALE_STEPS, Step};

const TEMPLATE: &str = "optim/adam.wgsl";
/// Outputs of a step that keeps a moving average.
const WITH_AVERAGE: usize = 5;
const NO_AVERAGE: &str = "\
@group(0) @binding(7) var<storage, read_write> counters: array<atomic<u32>>;

fn average(i: u32, w: f32) {
}
";

/// The launch of a [`crate::plan::Work::Adam`].
pub fn lower(step: &Step) -> Result<Vec<Dispatch>> {
    let total = step.outputs[0].len;
    let params = Params { total: total as u32, ..Params::default() };
    let reads = step.inputs.iter().map(|&region| Binding::read(region));
    let writes = step.outputs.iter().map(|&region| Binding::write(region));
    let source = if step.outputs.len() == WITH_AVERAGE {
        Source::File(TEMPLATE)
    } else {
        Source::Generated { template: TEMPLATE, text: Module::find(TEMPLATE)?.fill(&[("average", NO_AVERAGE)])? }
    };
    Ok(vec![Dispatch::new(source, params, reads.chain(writes).collect(), fold(total.div_ceil(256)))])
}

/// The launch of a [`crate::plan::Work::LossScale`].
pub fn loss_scale(step: &Step) -> Result<Vec<Dispatch>> {
    let params = loss_scale::Params { start: LOSS_SCALE, steps: LOSS_SCALE_STEPS, ..loss_scale::Params::default() };
    let reads = step.inputs.iter().map(|&region| Binding::read(region));
    let writes = step.outputs.iter().map(|&region| Binding::write(region));
    Ok(vec![Dispatch::file("optim/loss_scale.wgsl", params, reads.chain(writes).collect(), [1; 3])])
}
