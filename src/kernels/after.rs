//! What follows a product: a fused chain that each element goes through before it is stored (`shared/after.wgsl`).

use super::chain::{AFTER, Names, Walk, axes, fill};
use super::{Binding, Dispatch, Module, Source, pointwise};
use crate::Result;
use crate::plan::{Chain, Region, Step, Work};

/// The epilogue of a step: its chain, and where the chain's inputs after the first lie.
#[derive(Clone, Copy)]
pub(super) struct After<'a> {
    pub chain: &'a Chain,
    pub inputs: &'a [Region],
}

/// A kernel of a file that imports `shared/after.wgsl`, with what its epilogue adds to a launch.
pub(super) struct Tail {
    pub source: Source,
    /// The field `after` of the kernel's `Params`.
    pub block: [[u32; 4]; AFTER],
    /// Follow the kernel's own.
    pub bindings: Vec<Binding>,
}

impl Tail {
    /// `template` with the epilogue, which calls it as `after(value, element)`; the file as it stands without one. `own` is
    /// the number of storage buffers that the template binds itself.
    pub fn new(template: &'static str, after: Option<&After>, own: usize) -> Result<Tail> {
        let mut tail = Tail::none(template);
        if let Some(after) = after {
            let text = Module::find(template)?.fill(&[("after", &tail.follow(after, own, "value")?)])?;
            tail.source = Source::Generated { template, text };
        }
        Ok(tail)
    }

    /// The file as it stands.
    pub fn none(template: &'static str) -> Tail {
        Tail { source: Source::File(template), block: [[0; 4]; AFTER], bindings: vec![] }
    }

    /// The text of the epilogue's function; its parameters and bindings go into the tail. `last` is its value as an f32.
    pub fn follow(&mut self, after: &After, own: usize, last: &str) -> Result<String> {
        let walk = [Walk::new('i', &axes(after.chain, |_| true), after.chain.views.len())];
        let filled = fill(after.chain, &walk, None, Names::After { binding: own + 1 })?;
        let rows = (filled.divisors.into_iter())
            .chain(filled.reciprocals.map(|row| row.map(f32::to_bits)))
            .chain(filled.inputs)
            .chain(filled.constants.map(|row| row.map(f32::to_bits)));
        self.block.iter_mut().zip(rows).for_each(|(to, row)| *to = row);
        self.bindings = after.inputs.iter().map(|&region| Binding::read(region)).collect();
        Ok(format!("{}fn after(first: f32, i: u32) -> f32 {{\n{}return {last};\n}}", filled.bindings, filled.body))
    }
}

impl After<'_> {
    /// The epilogue as a launch of its own, where the product's kernel has no place for it: from `product` to the output.
    pub fn launch(&self, step: &Step, product: Region) -> Result<Vec<Dispatch>> {
        let inputs = std::iter::once(product).chain(self.inputs.iter().copied()).collect();
        let work = Work::Pointwise(self.chain.clone());
        pointwise::lower(&Step { work, inputs, scratch: None, ..step.clone() })
    }
}
