//! Launches of `reduce/chain.wgsl`: one for small sums; for long sums with few outputs, slices and then the sum of slices.

use super::after::{After, Tail};
use super::chain::{Axis, Names, Walk, axes, fill};
use super::params::reduce_chain::Params;
use super::{Binding, Dispatch, Module, Source, fold, room};
use crate::Result;
use crate::plan::{Chain, Instr, Region, Step, View, Work};

const TEMPLATE: &str = "reduce/chain.wgsl";
const THREADS: usize = 256;
/// Terms a thread adds before another thread, or another slice, is worth having.
const TERMS: usize = 16;
/// Workgroups that keep a large device busy.
const GROUPS: usize = 512;

/// How a sum is cut into threads and slices. Counts are in units of the vector width where the vector runs along them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Cut {
    /// The innermost axis is summed: neighbouring threads walk the terms.
    rows: bool,
    /// Elements a thread reads at once: 4 or 1.
    width: usize,
    outputs: usize,
    terms: usize,
    output_lanes: usize,
    term_lanes: usize,
    /// Terms of a slice, and slices.
    slice: usize,
    slices: usize,
}

impl Cut {
    fn new(chain: &Chain, reduced: &[bool]) -> Cut {
        let inner = (0..reduced.len()).rev().find(|&a| chain.extents[a] != 1);
        let rows = inner.is_some_and(|a| reduced[a]);
        // The vector runs along the innermost merged axis of its walk.
        let vector = axes(chain, |a| reduced[a] == rows).last().is_some_and(Axis::in_fours);
        let width = if vector { 4 } else { 1 };
        let count = |summed: bool| -> usize {
            let all = chain.extents.iter().zip(reduced).filter(|(_, r)| **r == summed).map(|(n, _)| n);
            all.product::<usize>() / if summed == rows { width } else { 1 }
        };
        let (outputs, terms) = (count(false), count(true));
        // Rows: a few terms per thread. Columns: 16 neighbouring outputs at least, where there are so many.
        let wanted = terms.div_ceil(TERMS).next_power_of_two();
        let term_lanes = match rows {
            true => wanted.min(THREADS),
            false => wanted.min(16).max(THREADS / outputs.next_power_of_two().min(THREADS)),
        };
        let output_lanes = THREADS / term_lanes;
        let groups = outputs.div_ceil(output_lanes);
        let slices = GROUPS.div_ceil(groups).min(terms.div_ceil(term_lanes * TERMS)).max(1);
        let slice = terms.div_ceil(slices).next_multiple_of(term_lanes);
        Cut { rows, width, outputs, terms, output_lanes, term_lanes, slice, slices: terms.div_ceil(slice).max(1) }
    }

    /// Elements of an output: 4 where the vector runs along the outputs.
    fn output_width(&self) -> usize {
        if self.rows { 1 } else { self.width }
    }

    /// Elements of all partial sums.
    fn partial(&self) -> usize {
        self.outputs * self.output_width() * self.slices
    }
}

/// Elements of room for partial sums; see [`super::scratch`].
pub fn scratch(work: &Work) -> usize {
    let Work::Reduce { chain, reduced } = work else { return 0 };
    let cut = Cut::new(chain, reduced);
    if cut.slices > 1 { cut.partial() } else { 0 }
}

/// The launches of a [`Work::Reduce`]; the last one has the epilogue.
pub(super) fn lower(step: &Step, after: Option<&After>) -> Result<Vec<Dispatch>> {
    let Work::Reduce { chain, reduced } = &step.work else { return Ok(vec![]) };
    let cut = Cut::new(chain, reduced);
    if cut.slices == 1 {
        return Ok(vec![launch(chain, reduced, cut, &step.inputs, step.outputs[0], after)?]);
    }
    let partial = room(step, cut.partial())?;
    let first = launch(chain, reduced, cut, &step.inputs, partial, None)?;
    let (sum, summed) = sum_of_slices(cut);
    // One slice: what is added up has at most GROUPS terms.
    let again = Cut { slices: 1, slice: usize::MAX, ..Cut::new(&sum, &summed) };
    Ok(vec![first, launch(&sum, &summed, again, &[partial], step.outputs[0], after)?])
}

/// The second stage: partial sums are [outputs, slices] after rows and [slices, outputs] after columns.
fn sum_of_slices(cut: Cut) -> (Chain, [bool; 2]) {
    let outputs = cut.outputs * cut.output_width();
    let extents = if cut.rows { [outputs, cut.slices] } else { [cut.slices, outputs] };
    let views = vec![View { strides: vec![extents[1], 1], offset: 0, within: vec![] }];
    let chain = Chain { extents: extents.to_vec(), views, instrs: vec![Instr::Load(0)] };
    (chain, [!cut.rows, cut.rows])
}

fn launch(
    chain: &Chain,
    reduced: &[bool],
    cut: Cut,
    inputs: &[Region],
    out: Region,
    after: Option<&After>,
) -> Result<Dispatch> {
    let walk = |name, summed| Walk::new(name, &axes(chain, |a| reduced[a] == summed), inputs.len());
    let walks = [walk('o', false), walk('r', true)];
    let filled = fill(chain, &walks, (cut.width == 4).then_some(usize::from(cut.rows)), Names::Kernel)?;
    let (step, slice_step) = if cut.rows { (cut.slices, 1) } else { (1, cut.outputs) };
    let number = inputs.len() + 1;
    let mut tail = Tail::none(TEMPLATE);
    let last = if cut.width == 4 { "value.x" } else { "value" };
    let epilogue = after.map(|after| tail.follow(after, number, last)).transpose()?;
    let mut blocks = vec![
        ("width", width_text(cut)),
        (
            "bindings",
            format!("{}@group(0) @binding({number}) var<storage, read_write> out: array<S>;", filled.bindings),
        ),
        ("bases", filled.bases),
        ("chain", filled.body),
    ];
    blocks.extend(epilogue.map(|text| ("after", text)));
    let blocks: Vec<(&str, &str)> = blocks.iter().map(|(name, text)| (*name, text.as_str())).collect();
    let text = Module::find(TEMPLATE)?.fill(&blocks)?;
    let (output_shift, term_shift) = match cut.rows {
        true => (cut.term_lanes.trailing_zeros(), 0),
        false => (0, cut.output_lanes.trailing_zeros()),
    };
    let params = Params {
        outputs: cut.outputs as u32,
        terms: cut.terms as u32,
        slice: cut.slice.min(cut.terms) as u32,
        output_lanes: cut.output_lanes as u32,
        term_lanes: cut.term_lanes as u32,
        output_shift,
        term_shift,
        output_step: step as u32,
        slice_step: slice_step as u32,
        divisors: filled.divisors,
        reciprocals: filled.reciprocals,
        inputs: filled.inputs,
        limits: filled.limits,
        constants: filled.constants,
        after: tail.block,
        ..Params::default()
    };
    let mut bindings: Vec<Binding> = inputs.iter().map(|&region| Binding::read(region)).collect();
    bindings.push(Binding::write(out));
    bindings.extend(tail.bindings);
    let [x, y, _] = fold(cut.outputs.div_ceil(cut.output_lanes));
    let source = Source::Generated { template: TEMPLATE, text };
    Ok(Dispatch::new(source, params, bindings, [x, y, cut.slices as u32]))
}

fn width_text(cut: Cut) -> String {
    let vector = if cut.width == 4 { "vec4<f32>" } else { "f32" };
    let (own, joined) = match (cut.width, cut.rows) {
        (4, true) => ("f32", "sum.x + sum.y + (sum.z + sum.w)"),
        _ => (vector, "sum"),
    };
    let (output, term) = if cut.rows { (1, cut.width) } else { (cut.width, 1) };
    let finished = match own {
        "f32" => "after(sum, i)",
        _ => "S(after(sum.x, i), after(sum.y, i + 1u), after(sum.z, i + 2u), after(sum.w, i + 3u))",
    };
    format!(
        "alias V = {vector};\nalias S = {own};\nconst OUTPUT_WIDTH = {output}u;\nconst TERM_WIDTH = {term}u;\n\
         fn joined(sum: V) -> S {{\n    return {joined};\n}}\n\
         fn finished(sum: S, i: u32) -> S {{\n    return {finished};\n}}"
    )
}
