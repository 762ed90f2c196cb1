//! Launches of `pointwise/chain.wgsl`.

use super::chain::{Names, Walk, axes, fill};
use super::params::pointwise_chain::Params;
use super::{Binding, Dispatch, Module, Source, fold};
use crate::Result;
use crate::plan::{Step, Work};

const TEMPLATE: &str = "pointwise/chain.wgsl";

/// The launch of a [`Work::Pointwise`].
pub fn lower(step: &Step) -> Result<Vec<Dispatch>> {
    let Work::Pointwise(chain) = &step.work else { return Ok(vec![]) };
    let axes = axes(chain, |_| true);
    let width = match axes.last() {
        Some(inner) if inner.in_fours() => 4,
        _ => 1,
    };
    let walk = [Walk::new('i', &axes, step.inputs.len())];
    let filled = fill(chain, &walk, (width == 4).then_some(0), Names::Kernel)?;
    let total = walk[0].count / width;
    let vector = if width == 4 { "vec4<f32>" } else { "f32" };
    let out = step.inputs.len() + 1;
    let text = Module::find(TEMPLATE)?.fill(&[
        ("width", &format!("alias V = {vector};\nconst WIDTH = {width}u;")),
        ("bindings", &format!("{}@group(0) @binding({out}) var<storage, read_write> out: array<V>;", filled.bindings)),
        ("chain", &filled.body),
    ])?;
    let params = Params {
        total: total as u32,
        divisors: filled.divisors,
        reciprocals: filled.reciprocals,
        inputs: filled.inputs,
        limits: filled.limits,
        constants: filled.constants,
        ..Params::default()
    };
    let mut bindings: Vec<Binding> = step.inputs.iter().map(|&region| Binding::read(region)).collect();
    bindings.push(Binding::write(step.outputs[0]));
    let source = Source::Generated { template: TEMPLATE, text };
    let workgroups = fold(total.div_ceil(256));
    Ok(vec![Dispatch { source, overrides: vec![], params: bytemuck::bytes_of(&params).to_vec(), bindings, workgroups }])
}
