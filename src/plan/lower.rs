//! Lowering: one graph to steps over places, before memory is given to values.

use super::builder::Places;
use super::chain;
use super::draft::{Draft, Place, copy, fixed};
use super::fuse::{base, decide, in_chains};
use super::step::{ConvDims, Instr, Region, Work};
use crate::graph::{ConvSpec, Dag, NodeId, Op};
use crate::{Error, Result};

/// One graph on its way to drafts.
struct Lowering<'a> {
    dag: &'a Dag,
    keep: &'a [bool],
    exact: &'a [bool],
    place: Vec<Option<Place>>,
    drafts: Vec<Draft>,
    /// Lengths of values, those of earlier plans included.
    lens: &'a mut Vec<usize>,
}

/// The steps of a graph, in order. Leaves are read and roots written at their `places`; values get numbers behind those in
/// `lens`, which gets their lengths.
///
/// # Errors
/// A leaf or root without a region, or one of another length.
pub(super) fn drafts(
    name: &str,
    dag: &Dag,
    exact: &[bool],
    fuse: bool,
    [leaves, roots]: [&Places; 2],
    lens: &mut Vec<usize>,
) -> Result<Vec<Draft>> {
    let keep = decide(dag, fuse);
    let mut lowering = Lowering { dag, keep: &keep, exact, place: vec![None; dag.nodes.len()], drafts: vec![], lens };
    for id in 0..dag.nodes.len() {
        lowering.node(name, id, leaves)?;
    }
    lowering.roots(name, roots)?;
    Ok(lowering.drafts)
}

impl Lowering<'_> {
    /// Places a leaf or drafts the step that makes a kept node.
    fn node(&mut self, plan: &str, id: NodeId, leaves: &Places) -> Result<()> {
        let node = &self.dag.nodes[id];
        if let Op::Input(name) | Op::Param(name) | Op::State(name) = &node.op {
            let region = lookup(plan, leaves, name, node.shape.elems())?;
            self.place[id] = Some(Place::Fixed(region));
            return Ok(());
        }
        if !self.keep[id] {
            return Ok(());
        }
        let (work, inputs) = match &node.op {
            Op::Sum(axes) => {
                let built = self.chain(node.src[0], false, axes)?;
                (Work::Reduce { chain: built.chain, reduced: built.reduced }, built.inputs)
            }
            op if in_chains(op) => {
                let built = self.chain(id, true, &[])?;
                (Work::Pointwise(built.chain), built.inputs)
            }
            _ => (self.product(id), node.src.clone()),
        };
        let flops = match &work {
            Work::Pointwise(chain) | Work::Reduce { chain, .. } => {
                let lines = chain.instrs.iter().filter(|i| matches!(i, Instr::Apply(..))).count();
                let sum = usize::from(matches!(work, Work::Reduce { .. }));
                ((lines + sum) * chain.elems()) as u64
            }
            _ => self.dag.node_flops(id),
        };
        let inputs = inputs.iter().map(|&i| self.operand(i)).collect::<Result<_>>()?;
        self.lens.push(node.shape.elems());
        let output = Place::Value(self.lens.len() - 1);
        self.place[id] = Some(output);
        let label = format!("{} %{id} {}", node.op.kind().name(), node.shape);
        let exact = self.exact[id];
        self.drafts.push(Draft { work, inputs, outputs: vec![output], label, flops, exact });
        Ok(())
    }

    fn chain(&self, root: NodeId, own: bool, axes: &[usize]) -> Result<chain::Built> {
        chain::build(self.dag, self.keep, root, own, axes)
            .map_err(|id| Error::Graph(format!("node %{id} can't be fused and was not kept")))
    }

    fn operand(&self, id: NodeId) -> Result<Place> {
        self.place[base(self.dag, id)].ok_or_else(|| Error::Graph(format!("node %{id} is read before it is made")))
    }

    /// The work of a node that is no chain.
    fn product(&self, id: NodeId) -> Work {
        let node = &self.dag.nodes[id];
        let shape = |i: usize| &self.dag.nodes[node.src[i]].shape;
        let conv = |spec: &ConvSpec, x: &[usize], cout: usize| ConvDims { spec: *spec, n: x[0], cin: x[3], cout };
        match &node.op {
            Op::Rand { dist, stream } => Work::Rand { dist: *dist, stream: *stream },
            Op::MatMul { ta, tb } => {
                let k = shape(0)[usize::from(!*ta)];
                Work::MatMul { ta: *ta, tb: *tb, m: node.shape[0], n: node.shape[1], k }
            }
            Op::Conv(spec) => Work::Conv(conv(spec, shape(0), node.shape[3])),
            Op::ConvX(spec) => Work::ConvX(conv(spec, &node.shape, shape(0)[3])),
            Op::ConvW(spec) => Work::ConvW(conv(spec, shape(0), shape(1)[3])),
            Op::Fir(spec) => {
                let x = shape(0);
                Work::Fir { spec: spec.clone(), input: [x[0], x[1], x[2], x[3]] }
            }
            Op::Gather => {
                let (rows, count) = (shape(0)[0], shape(1)[0]);
                Work::Gather { rows, cols: shape(0).elems() / rows, count }
            }
            Op::ScatterAdd => {
                let count = shape(1)[0];
                Work::ScatterAdd { rows: node.shape[0], cols: shape(0).elems() / count, count }
            }
            Op::Sample => {
                let (x, y) = (shape(0), &node.shape);
                Work::Sample { n: x[0], c: x[3], from: [x[1], x[2]], to: [y[1], y[2]] }
            }
            Op::SampleAdjoint => {
                let (y, x) = (shape(0), &node.shape);
                Work::SampleAdjoint { n: x[0], c: x[3], from: [x[1], x[2]], to: [y[1], y[2]] }
            }
            op => unreachable!("{} is lowered as a chain", op.kind().name()),
        }
    }

    /// Lets roots be written where they belong, directly where nothing of that buffer is read, else by a copy at the end.
    fn roots(&mut self, plan: &str, roots: &Places) -> Result<()> {
        let leaf_buffers: Vec<usize> = self.place.iter().flatten().filter_map(fixed).map(|r| r.buffer).collect();
        let mut copies = vec![];
        for (name, id) in &self.dag.roots {
            let len = self.dag.nodes[*id].shape.elems();
            let region = lookup(plan, roots, name, len)?;
            let id = base(self.dag, *id);
            let source = self.operand(id)?;
            if let (Place::Value(v), false) = (source, leaf_buffers.contains(&region.buffer))
                && self.redirect(v, region)
            {
                self.place[id] = Some(Place::Fixed(region));
                continue;
            }
            let output = Place::Fixed(region);
            if fixed(&source).is_some_and(|r| r.buffer == region.buffer) {
                // No step may read and write one buffer: go through a value of its own.
                self.lens.push(len);
                let between = Place::Value(self.lens.len() - 1);
                copies.push(copy(name, len, source, between));
                copies.push(copy(name, len, between, output));
            } else {
                copies.push(copy(name, len, source, output));
            }
        }
        self.drafts.append(&mut copies);
        Ok(())
    }

    /// Makes the step of value `v` write to `region` instead, unless some step would then read and write one buffer.
    fn redirect(&mut self, v: usize, region: Region) -> bool {
        let is_v = |p: &Place| matches!(p, Place::Value(w) if *w == v);
        let in_buffer = |p: &Place| fixed(p).is_some_and(|r| r.buffer == region.buffer);
        let conflict = self.drafts.iter().any(|d| {
            (d.outputs.iter().any(is_v) && d.inputs.iter().any(in_buffer))
                || (d.inputs.iter().any(is_v) && d.outputs.iter().any(in_buffer))
        });
        if conflict {
            return false;
        }
        for draft in &mut self.drafts {
            for place in draft.outputs.iter_mut().chain(&mut draft.inputs).filter(|p| is_v(p)) {
                *place = Place::Fixed(region);
            }
        }
        true
    }
}

/// The region of a leaf or root of `len` elements.
pub(super) fn lookup(plan: &str, places: &Places, name: &str, len: usize) -> Result<Region> {
    let region = places.get(name).ok_or_else(|| Error::Graph(format!("plan {plan}: no region for {name}")))?;
    if region.len != len {
        return Err(Error::Graph(format!("plan {plan}: {name} has {len} elements but its region {}", region.len)));
    }
    Ok(*region)
}
