//! Launches of `optim/`: the optimisers, and what scales losses.

use super::params::{optim_adam, optim_loss_scale, optim_sgd};
use super::{Binding, Dispatch, Module, Source, fold};
use crate::Result;
use crate::plan::{LOSS_SCALE, LOSS_SCALE_STEPS, OPTIMISER_SCALARS, Step, WeightDecay, Work};

/// The launch of a [`Work::Adam`], a [`Work::Sgd`] or a [`Work::LossScale`].
pub fn lower(step: &Step) -> Result<Vec<Dispatch>> {
    let total = step.outputs[0].len;
    let groups = fold(total.div_ceil(256));
    let total = total as u32;
    let launch = match step.work {
        Work::Adam(decay) => {
            let params = optim_adam::Params { total, ..optim_adam::Params::default() };
            let source = template("optim/adam.wgsl", step.outputs.len() == 5, 7)?;
            let launch = Dispatch::new(source, params, operands(step), groups);
            match decay {
                WeightDecay::Off => launch,
                WeightDecay::L2 => launch.with(vec![("DECAY", 1.0)]),
                WeightDecay::Decoupled => launch.with(vec![("DECAY", 2.0)]),
            }
        }
        Work::Sgd { nesterov } => {
            let params = optim_sgd::Params { total, nesterov: u32::from(nesterov), ..optim_sgd::Params::default() };
            let source = template("optim/sgd.wgsl", step.outputs.len() == 4, 6)?;
            Dispatch::new(source, params, operands(step), groups)
        }
        Work::LossScale => {
            let params = optim_loss_scale::Params {
                start: LOSS_SCALE,
                steps: LOSS_SCALE_STEPS,
                scalars: OPTIMISER_SCALARS as u32,
                ..optim_loss_scale::Params::default()
            };
            Dispatch::file("optim/loss_scale.wgsl", params, operands(step), [1; 3])
        }
        _ => return Ok(vec![]),
    };
    Ok(vec![launch])
}

fn operands(step: &Step) -> Vec<Binding> {
    let reads = step.inputs.iter().map(|&region| Binding::read(region));
    reads.chain(step.outputs.iter().map(|&region| Binding::write(region))).collect()
}

/// An optimiser's kernel; without an average, the counters take its binding.
fn template(path: &'static str, averages: bool, binding: usize) -> Result<Source> {
    if averages {
        return Ok(Source::File(path));
    }
    let text = format!(
        "@group(0) @binding({binding}) var<storage, read_write> counters: array<atomic<u32>>;

fn average(i: u32, w: f32) {{
}}
"
    );
    Ok(Source::Generated { template: path, text: Module::find(path)?.fill(&[("average", &text)])? })
}
