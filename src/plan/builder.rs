//! Assembling programs: buffers, and graphs lowered to steps over them.

use super::chain;
use super::colour::{Life, colour, live_peak};
use super::fuse::{base, decide, in_chains};
use super::step::{Buffer, Chain, Class, ConvDims, Element, Instr, Plan, Program, RNG, Region, Step, View, Work};
use crate::graph::{ConvSpec, Dag, NodeId, Op};
use crate::{Error, Result};
use std::collections::HashMap;
use std::sync::Arc;

/// Elements of scratch memory that a device needs for a step.
pub type Scratch = Arc<dyn Fn(&Work) -> usize + Send + Sync>;

/// How plans are made.
#[derive(Clone)]
pub struct Options {
    /// Merge pointwise nodes into chains; off makes every primitive a step.
    pub fuse: bool,
    /// Let values whose lifetimes do not meet share memory; off gives each its own buffer, to test that sharing is safe.
    pub share: bool,
    /// Room for partial results, by step.
    pub scratch: Scratch,
}

impl Default for Options {
    fn default() -> Options {
        Options { fuse: true, share: true, scratch: Arc::new(|_| 0) }
    }
}

/// Where a graph's leaves live and its roots go: names to regions.
pub type Places = HashMap<String, Region>;

/// Builds a [`Program`].
pub struct Builder {
    options: Options,
    buffers: Vec<Buffer>,
    /// Plans whose values have no memory yet: they run one after another, so all share the work buffers.
    drafts: Vec<DraftPlan>,
}

/// A plan before memory was given to its values.
struct DraftPlan {
    name: String,
    drafts: Vec<Draft>,
    /// Lengths of its values.
    lens: Vec<usize>,
}

/// Where a draft's operand lives: fixed, or the value made by an earlier draft.
#[derive(Clone, Copy)]
enum Place {
    Fixed(Region),
    Value(usize),
}

/// A step before memory was given to its values.
struct Draft {
    work: Work,
    inputs: Vec<Place>,
    outputs: Vec<Place>,
    label: String,
    flops: u64,
}

impl Builder {
    /// A program with the RNG buffer alone.
    pub fn new(options: Options) -> Builder {
        let mut builder = Builder { options, buffers: vec![], drafts: vec![] };
        let rng = builder.buffer("rng", 4, Element::U32, Class::Rng);
        debug_assert_eq!(rng.buffer, RNG);
        builder
    }

    /// Adds a buffer and returns the whole of it.
    pub fn buffer(&mut self, name: &str, len: usize, element: Element, class: Class) -> Region {
        self.buffers.push(Buffer { name: name.into(), len, element, class });
        Region { buffer: self.buffers.len() - 1, offset: 0, len }
    }

    /// Lowers a graph to a plan. `leaves` says where inputs, parameters and states live, `roots` where each root goes.
    /// Roots are written when everything that reads the old contents of their buffers has run.
    ///
    /// # Errors
    /// A leaf or root without a region, or one of another length.
    pub fn plan(&mut self, name: &str, dag: &Dag, leaves: &Places, roots: &Places) -> Result<usize> {
        let keep = decide(dag, self.options.fuse);
        let mut lowering =
            Lowering { dag, keep: &keep, place: vec![None; dag.nodes.len()], drafts: vec![], lens: vec![] };
        for id in 0..dag.nodes.len() {
            lowering.node(name, id, leaves)?;
        }
        lowering.roots(name, roots)?;
        let Lowering { drafts, lens, .. } = lowering;
        Ok(self.push(name, drafts, lens))
    }

    /// Adds a plan of one step that no graph describes: an optimiser, a batch draw, a log row.
    pub fn step(&mut self, name: &str, work: Work, inputs: Vec<Region>, outputs: Vec<Region>) -> usize {
        let flops = match &work {
            Work::Adam => 16 * outputs[0].len as u64,
            Work::Reduce { chain, .. } => (chain.instrs.len() * chain.elems()) as u64,
            _ => 0,
        };
        let fixed = |regions: Vec<Region>| regions.into_iter().map(Place::Fixed).collect();
        let draft = Draft { work, inputs: fixed(inputs), outputs: fixed(outputs), label: name.into(), flops };
        self.push(name, vec![draft], vec![])
    }

    /// Sum of squares of a whole buffer as a plan of one step: gradient norms.
    pub fn sum_squares(&mut self, name: &str, input: Region, output: Region) -> usize {
        let view = View { strides: vec![1], offset: 0 };
        let instrs = vec![Instr::Load(0), Instr::Apply(Op::Mul, vec![0, 0])];
        let chain = Chain { extents: vec![input.len], views: vec![view], instrs };
        self.step(name, Work::Reduce { chain, reduced: vec![true] }, vec![input], vec![output])
    }

    fn push(&mut self, name: &str, drafts: Vec<Draft>, lens: Vec<usize>) -> usize {
        self.drafts.push(DraftPlan { name: name.into(), drafts, lens });
        self.drafts.len() - 1
    }

    /// Gives every value a work buffer, by lifetime over all plans, and turns drafts into steps.
    pub fn finish(mut self) -> Program {
        let plans = std::mem::take(&mut self.drafts);
        let mut lives: Vec<Life> = vec![];
        let mut homes: Vec<Homes> = vec![];
        let mut time = 0;
        for plan in &plans {
            homes.push(self.lives_of(plan, time, &mut lives));
            time += plan.drafts.len();
        }
        let (slot, lens) = if self.options.share {
            colour(&lives)
        } else {
            ((0..lives.len()).collect(), lives.iter().map(|life| life.len).collect())
        };
        let work: Vec<Region> = lens
            .iter()
            .enumerate()
            .map(|(i, &len)| self.buffer(&format!("work {i}"), len, Element::F32, Class::Work))
            .collect();
        let region = |life: usize| Region { len: lives[life].len, ..work[slot[life]] };
        let plans = plans
            .into_iter()
            .zip(&homes)
            .map(|(plan, home)| {
                let own = &lives[home.lives.clone()];
                let mut touched: Vec<usize> = slot[home.lives.clone()].to_vec();
                touched.sort_unstable();
                touched.dedup();
                let at = |place: &Place| match place {
                    Place::Fixed(region) => *region,
                    Place::Value(v) => home.values[*v].map_or(Region { buffer: RNG, offset: 0, len: 0 }, region),
                };
                let steps = plan.drafts.iter().zip(&home.scratch).map(|(draft, scratch)| Step {
                    work: draft.work.clone(),
                    inputs: draft.inputs.iter().map(at).collect(),
                    outputs: draft.outputs.iter().map(at).collect(),
                    scratch: scratch.map(region),
                    label: draft.label.clone(),
                    flops: draft.flops,
                });
                Plan {
                    steps: steps.collect(),
                    name: plan.name,
                    live_bytes: 4 * live_peak(own) as u64,
                    work_bytes: touched.iter().map(|&s| 4 * lens[s] as u64).sum(),
                }
            })
            .collect();
        Program { buffers: self.buffers, plans }
    }

    /// Appends the lives of a plan's values and scratch, with `start` as the time of its first step.
    fn lives_of(&self, plan: &DraftPlan, start: usize, lives: &mut Vec<Life>) -> Homes {
        let begin = lives.len();
        let mut span: Vec<Option<(usize, usize)>> = vec![None; plan.lens.len()];
        for (i, draft) in plan.drafts.iter().enumerate() {
            for place in draft.outputs.iter().chain(&draft.inputs) {
                if let Place::Value(v) = *place {
                    let first = span[v].map_or(start + i, |(first, _)| first);
                    span[v] = Some((first, start + i));
                }
            }
        }
        let mut add = |len: usize, first: usize, last: usize| {
            lives.push(Life { len, first, last });
            lives.len() - 1
        };
        let values =
            span.iter().zip(&plan.lens).map(|(s, &len)| s.map(|(first, last)| add(len, first, last))).collect();
        let scratch = plan.drafts.iter().enumerate().map(|(i, draft)| {
            let len = (self.options.scratch)(&draft.work);
            (len > 0).then(|| add(len, start + i, start + i))
        });
        let scratch = scratch.collect();
        Homes { values, scratch, lives: begin..lives.len() }
    }
}

/// The lives of one plan.
struct Homes {
    /// By value; `None` where a root's region replaced the value.
    values: Vec<Option<usize>>,
    /// By step.
    scratch: Vec<Option<usize>>,
    /// All of them.
    lives: std::ops::Range<usize>,
}

/// One graph on its way to drafts.
struct Lowering<'a> {
    dag: &'a Dag,
    keep: &'a [bool],
    place: Vec<Option<Place>>,
    drafts: Vec<Draft>,
    /// Lengths of values.
    lens: Vec<usize>,
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
        self.drafts.push(Draft { work, inputs, outputs: vec![output], label, flops });
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
            Op::Pad(start) => Work::Pad { from: shape(0).clone(), to: node.shape.clone(), start: start.clone() },
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

fn copy(name: &str, len: usize, from: Place, to: Place) -> Draft {
    let views = vec![View { strides: vec![1], offset: 0 }];
    let work = Work::Pointwise(Chain { extents: vec![len], views, instrs: vec![Instr::Load(0)] });
    Draft { work, inputs: vec![from], outputs: vec![to], label: format!("copy to {name}"), flops: 0 }
}

fn fixed(place: &Place) -> Option<Region> {
    match place {
        Place::Fixed(region) => Some(*region),
        Place::Value(_) => None,
    }
}

fn lookup(plan: &str, places: &Places, name: &str, len: usize) -> Result<Region> {
    let region = places.get(name).ok_or_else(|| Error::Graph(format!("plan {plan}: no region for {name}")))?;
    if region.len != len {
        return Err(Error::Graph(format!("plan {plan}: {name} has {len} elements but its region {}", region.len)));
    }
    Ok(*region)
}
