//! Assembling programs: buffers, and graphs lowered to steps over them.

use super::colour::{Life, Slot, colour, live_peak};
use super::draft::{Draft, Place};
use super::epilogue;
use super::half;
use super::lower::{self, lookup};
use super::masks::masks_of_outputs;
use super::recompute::{Size, Timeline, search};
use super::step::{Buffer, Chain, Class, Element, Instr, Plan, Program, RNG, Region, Step, View, Work};
use crate::Result;
use crate::graph::{Dag, Op};
use std::collections::{HashMap, HashSet};
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
    /// Make values again late in a plan where that lowers the most memory at any moment; changes no bit of any result.
    pub recompute: bool,
    /// How intermediate values are stored.
    pub precision: Precision,
    /// Room for partial results, by step.
    pub scratch: Scratch,
}

/// How intermediate values are stored. Arithmetic, sums, weights and optimisers are in 32 bits in any case.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Precision {
    /// 32-bit floats.
    #[default]
    F32,
    /// Activations and their gradients as 16-bit floats; on GPUs that have them.
    F16,
}

impl Default for Options {
    fn default() -> Options {
        Options { fuse: true, share: true, recompute: false, precision: Precision::F32, scratch: Arc::new(|_| 0) }
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
    /// Lengths of all plans' values.
    lens: Vec<usize>,
    /// Values stored as 16-bit floats.
    half: HashSet<usize>,
    /// See [`Builder::keep_exact`].
    exact: [Vec<String>; 2],
}

/// A plan before memory was given to its values.
struct DraftPlan {
    name: String,
    drafts: Vec<Draft>,
}

/// The second half of a graph that was lowered to two plans; [`Builder::resume`] makes it a plan.
pub struct Rest(Vec<Draft>);

impl Builder {
    /// A program with the RNG buffer alone.
    pub fn new(options: Options) -> Builder {
        let mut builder = Builder {
            options,
            buffers: vec![],
            drafts: vec![],
            lens: vec![],
            half: HashSet::new(),
            exact: Default::default(),
        };
        let rng = builder.buffer("rng", 4, Element::U32, Class::Rng);
        debug_assert_eq!(rng.buffer, RNG);
        builder
    }

    /// In every graph from now on, what the roots `roots` need beyond what the roots `beyond` need is stored in 32 bits, and
    /// so is all that depends on it, whatever the precision.
    pub fn keep_exact(&mut self, roots: &[&str], beyond: &[&str]) {
        self.exact = [roots, beyond].map(|names| names.iter().map(|name| name.to_string()).collect());
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
        let drafts = self.lower(name, dag, leaves, roots)?;
        Ok(self.push(name, drafts))
    }

    /// Lowers a graph to two plans: the one returned makes the root `until`, and what is left is made into a plan by
    /// [`Builder::resume`], after plans that run in between. Values that both use are computed once and keep their memory
    /// over the plans in between, so the two must run alternately; what the first reads has to stay as it is until the
    /// second has run, unless only the first reads it.
    ///
    /// # Errors
    /// As [`Builder::plan`].
    pub fn plan_until(
        &mut self,
        name: &str,
        until: &str,
        dag: &Dag,
        leaves: &Places,
        roots: &Places,
    ) -> Result<(usize, Rest)> {
        let drafts = self.lower(name, dag, leaves, roots)?;
        let target = lookup(name, roots, until, dag.root_elems(until))?;
        let mut needed = vec![Place::Fixed(target)];
        let mut first: Vec<bool> = vec![];
        for draft in drafts.iter().rev() {
            let wanted = draft.outputs.iter().any(|made| needed.iter().any(|place| place.meets(made)));
            if wanted {
                needed.extend(&draft.inputs);
            }
            first.push(wanted);
        }
        let mut first = first.into_iter().rev();
        let (before, after): (Vec<Draft>, Vec<Draft>) = drafts.into_iter().partition(|_| first.next().unwrap_or(false));
        Ok((self.push(name, before), Rest(after)))
    }

    /// Adds the second half of a graph as a plan.
    pub fn resume(&mut self, name: &str, rest: Rest) -> usize {
        self.push(name, rest.0)
    }

    fn lower(&mut self, name: &str, dag: &Dag, leaves: &Places, roots: &Places) -> Result<Vec<Draft>> {
        let rewritten = self.options.fuse.then(|| masks_of_outputs(dag));
        let dag = rewritten.as_ref().unwrap_or(dag);
        let [roots_exact, beyond] = &self.exact;
        let exact = half::exact(dag, roots_exact, beyond);
        let mut drafts = lower::drafts(name, dag, &exact, self.options.fuse, [leaves, roots], &mut self.lens)?;
        if self.options.fuse {
            epilogue::fuse(&mut drafts, &self.lens);
        }
        if self.options.precision == Precision::F16 {
            let rounded = drafts.iter().filter(|d| !d.exact && half::may_round(&d.work));
            let addresses: Vec<&Place> = drafts.iter().filter_map(half::addresses).collect();
            let is_address = |v: usize| addresses.iter().any(|place| matches!(place, Place::Value(a) if *a == v));
            let values = rounded.flat_map(|d| &d.outputs).filter_map(|place| match place {
                Place::Value(v) if self.lens[*v] >= half::LEAST && !is_address(*v) => Some(*v),
                _ => None,
            });
            self.half.extend(values);
        }
        Ok(drafts)
    }

    /// Adds a plan of one step that no graph describes: an optimiser, a batch draw, a log row.
    pub fn step(&mut self, name: &str, work: Work, inputs: Vec<Region>, outputs: Vec<Region>) -> usize {
        let flops = match &work {
            Work::Adam(_) => 16 * outputs[0].len as u64,
            Work::Sgd { .. } => 9 * outputs[0].len as u64,
            Work::Reduce { chain, .. } => (chain.instrs.len() * chain.elems()) as u64,
            _ => 0,
        };
        let fixed = |regions: Vec<Region>| regions.into_iter().map(Place::Fixed).collect();
        let draft =
            Draft { work, inputs: fixed(inputs), outputs: fixed(outputs), label: name.into(), flops, exact: true };
        self.push(name, vec![draft])
    }

    /// Sum of squares of a whole buffer as a plan of one step: gradient norms.
    pub fn sum_squares(&mut self, name: &str, input: Region, output: Region) -> usize {
        let view = View { strides: vec![1], offset: 0, within: vec![] };
        let instrs = vec![Instr::Load(0), Instr::Apply(Op::Mul, vec![0, 0])];
        let chain = Chain { extents: vec![input.len], views: vec![view], instrs };
        self.step(name, Work::Reduce { chain, reduced: vec![true] }, vec![input], vec![output])
    }

    fn push(&mut self, name: &str, drafts: Vec<Draft>) -> usize {
        self.drafts.push(DraftPlan { name: name.into(), drafts });
        self.drafts.len() - 1
    }

    /// Gives every value a work buffer, by lifetime over all plans, and turns drafts into steps.
    pub fn finish(mut self) -> Program {
        let mut plans = std::mem::take(&mut self.drafts);
        if self.options.recompute {
            plans = self.recomputed(plans);
        }
        let Homes { lives, values, scratch } = self.homes(&plans);
        let (slot, slots) = if self.options.share {
            colour(&lives)
        } else {
            let own = lives.iter().map(|life| Slot { len: life.len, element: life.element });
            ((0..lives.len()).collect(), own.collect())
        };
        let work: Vec<Region> = slots
            .iter()
            .enumerate()
            .map(|(i, slot)| self.buffer(&format!("work {i}"), slot.len, slot.element, Class::Work))
            .collect();
        let region = |life: usize| Region { len: lives[life].len, ..work[slot[life]] };
        let at = |place: &Place| match place {
            Place::Fixed(region) => *region,
            Place::Value(v) => values[*v].map_or(Region { buffer: RNG, offset: 0, len: 0 }, region),
        };
        let mut scratch = scratch.into_iter();
        let mut start = 0;
        let plans = plans
            .into_iter()
            .map(|DraftPlan { name, drafts }| {
                let end = start + drafts.len();
                let own: Vec<usize> =
                    (0..lives.len()).filter(|&v| lives[v].first < end && start <= lives[v].last).collect();
                let clipped: Vec<Life> = own.iter().map(|&v| lives[v].within(start, end)).collect();
                let mut touched: Vec<usize> = own.iter().map(|&v| slot[v]).collect();
                touched.sort_unstable();
                touched.dedup();
                start = end;
                let steps = drafts.into_iter().zip(scratch.by_ref()).map(|(draft, scratch)| Step {
                    inputs: draft.inputs.iter().map(at).collect(),
                    outputs: draft.outputs.iter().map(at).collect(),
                    scratch: scratch.map(region),
                    work: draft.work,
                    label: draft.label,
                    flops: draft.flops,
                });
                Plan {
                    steps: steps.collect(),
                    name,
                    live_bytes: live_peak(&clipped) as u64,
                    work_bytes: touched.iter().map(|&s| (slots[s].len * slots[s].element.bytes()) as u64).sum(),
                }
            })
            .collect();
        Program { buffers: self.buffers, plans }
    }

    /// The plans with steps repeated, where that lowers the memory of intermediate values.
    fn recomputed(&mut self, plans: Vec<DraftPlan>) -> Vec<DraftPlan> {
        let half = |v: &usize| self.half.contains(v);
        let bytes = |v: usize, half: bool| self.lens[v] * if half { Element::F16 } else { Element::F32 }.bytes();
        let sizes = (0..self.lens.len()).map(|v| Size { bytes: bytes(v, half(&v)), half: half(&v) }).collect();
        let drafts = plans.iter().enumerate().flat_map(|(i, p)| p.drafts.iter().map(move |d| (i, d.clone())));
        let drafts: Vec<(usize, Draft)> = drafts.collect();
        let scratch = drafts.iter().map(|(_, d)| 4 * (self.options.scratch)(&d.work)).collect();
        let Some(found) = search(&Timeline { drafts, scratch, sizes }) else { return plans };
        let before = self.work_bytes(&plans);
        let (values, known) = (self.lens.len(), self.half.clone());
        for of in found.copies {
            if known.contains(&of) {
                self.half.insert(self.lens.len());
            }
            self.lens.push(self.lens[of]);
        }
        let mut other: Vec<DraftPlan> =
            plans.iter().map(|p| DraftPlan { name: p.name.clone(), drafts: vec![] }).collect();
        found.drafts.into_iter().for_each(|(plan, draft)| other[plan].drafts.push(draft));
        // The search looks at bytes alive; what counts is what they take once they share buffers.
        if self.work_bytes(&other) < before {
            return other;
        }
        self.lens.truncate(values);
        self.half = known;
        plans
    }

    /// Bytes of the work buffers that plans would get.
    fn work_bytes(&self, plans: &[DraftPlan]) -> usize {
        colour(&self.homes(plans).lives).1.iter().map(|slot| slot.len * slot.element.bytes()).sum()
    }

    /// The lives of all values and scratch; time counts steps over all plans.
    fn homes(&self, plans: &[DraftPlan]) -> Homes {
        let mut span: Vec<Option<(usize, usize)>> = vec![None; self.lens.len()];
        let drafts = || plans.iter().flat_map(|plan| &plan.drafts).enumerate();
        for (time, draft) in drafts() {
            for place in draft.outputs.iter().chain(&draft.inputs) {
                if let Place::Value(v) = *place {
                    let first = span[v].map_or(time, |(first, _)| first);
                    span[v] = Some((first, time));
                }
            }
        }
        let mut lives = vec![];
        let mut add = |len: usize, element: Element, first: usize, last: usize| {
            lives.push(Life { len, element, first, last });
            lives.len() - 1
        };
        let element = |v: usize| if self.half.contains(&v) { Element::F16 } else { Element::F32 };
        let values = span.iter().zip(&self.lens).enumerate();
        let values = values.map(|(v, (s, &len))| s.map(|(first, last)| add(len, element(v), first, last))).collect();
        let scratch = drafts().map(|(time, draft)| {
            let len = (self.options.scratch)(&draft.work);
            (len > 0).then(|| add(len, Element::F32, time, time))
        });
        let scratch = scratch.collect();
        Homes { lives, values, scratch }
    }
}

/// The lives of a program.
struct Homes {
    /// All of them.
    lives: Vec<Life>,
    /// By value; `None` where a root's region replaced the value.
    values: Vec<Option<usize>>,
    /// By step of all plans.
    scratch: Vec<Option<usize>>,
}
