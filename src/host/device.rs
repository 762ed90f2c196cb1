//! The host as a device: a program's buffers, its prepared steps, and a pool of threads that runs them.

use super::arena::Arena;
use super::chain::{After, Prepared};
use super::eval::Rng;
use super::index::Sampling;
use super::memory::{Memory, Slices};
use super::optim::{Learning, loss_scale};
use super::reduce::Reduction;
use super::{Scalar, check, conv, draw, fir, index, matmul, random};
use crate::plan::{
    ALIGN, Counters, Element, Executor, Plan, Program, RNG, ReadId, Region, Slice, Step, Timeline, Work,
};
use crate::{Error, Result};
use rayon::{ThreadPool, ThreadPoolBuilder};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

/// The host device with a program loaded. All memory is allocated by the end of the first run of every plan. Results are
/// the same bits for any number of threads.
pub struct Host<T = f32> {
    program: Program,
    memory: Memory<T>,
    engine: Engine<T>,
    pool: Arc<ThreadPool>,
    reads: HashMap<ReadId, Vec<u32>>,
    counters: Counters,
}

/// What running a step needs besides the buffers.
struct Engine<T> {
    /// The program's plans, with every region cut to the length its step needs.
    plans: Vec<Plan>,
    /// What is worked out ahead for each of their steps.
    kernels: Vec<Vec<Kernel>>,
    arena: Arena<T>,
}

/// What is worked out ahead for a step.
enum Kernel {
    Pointwise(Prepared),
    Reduce(Reduction),
    /// A product's own, and the chain that follows it.
    Then(Box<Kernel>, Prepared),
    /// Everything is in the step.
    Plain,
}

impl Kernel {
    fn new(work: &Work) -> Kernel {
        match work {
            Work::Pointwise(chain) => Kernel::Pointwise(Prepared::new(chain)),
            Work::Reduce { chain, reduced } => Kernel::Reduce(Reduction::new(chain, reduced)),
            Work::Then { work, chain } => Kernel::Then(Box::new(Kernel::new(work)), Prepared::new(chain)),
            _ => Kernel::Plain,
        }
    }
}

impl<T: Scalar> Host<T> {
    /// Loads a program on `threads` threads of its own; `None` takes one per core.
    ///
    /// # Errors
    /// `Error::Graph` if a step's regions do not fit its work, `Error::Device` if the threads can't be started.
    pub fn new(program: Program, threads: Option<usize>) -> Result<Host<T>> {
        let plans = check::program(&program)?;
        let pool = ThreadPoolBuilder::new()
            .num_threads(threads.unwrap_or(0))
            .thread_name(|i| format!("host {i}"))
            .build()
            .map_err(|e| Error::device("host", format!("its threads could not be started: {e}")))?;
        let kernel = |step: &Step| Kernel::new(&step.work);
        let kernels = plans.iter().map(|plan| plan.steps.iter().map(kernel).collect()).collect();
        let counters = Counters { buffers: program.buffers.len() as u64, ..Counters::default() };
        Ok(Host {
            memory: Memory::new(&program),
            engine: Engine { plans, kernels, arena: Arena::new(pool.current_num_threads()) },
            pool: Arc::new(pool),
            reads: HashMap::new(),
            counters,
            program,
        })
    }

    /// The values of an F32 region in the device's own precision.
    pub fn values(&mut self, region: Region) -> Result<&mut [T]> {
        self.check(region, Element::F32)?;
        Ok(self.memory.floats(region))
    }

    /// Bytes of scratch memory held; constant after the first run of every plan.
    pub fn scratch_bytes(&self) -> usize {
        self.engine.arena.bytes()
    }

    fn check(&self, region: Region, element: Element) -> Result<()> {
        check::region(&self.program, region, element).map_err(|reason| Error::device("host", reason))
    }

    fn check_len(&self, region: Region, element: Element, len: usize) -> Result<()> {
        self.check(region, element)?;
        if region.len != len {
            let name = &self.program.buffers[region.buffer].name;
            return Err(Error::device("host", format!("{len} values for {} elements of `{name}`", region.len)));
        }
        Ok(())
    }

    /// Runs the steps of a schedule in order and tells `done` (plan, step) after each.
    fn steps(&mut self, schedule: &[(usize, u32)], mut done: impl FnMut(usize, usize) + Send) -> Result<()> {
        let plans = self.program.plans.len();
        if let Some((plan, _)) = schedule.iter().find(|(plan, _)| *plan >= plans) {
            return Err(Error::device("host", format!("plan {plan} does not exist, there are {plans}")));
        }
        let pool = self.pool.clone();
        pool.install(|| {
            for &(plan, times) in schedule {
                for _ in 0..times {
                    for step in 0..self.engine.plans[plan].steps.len() {
                        self.run_step(plan, step);
                        done(plan, step);
                    }
                }
            }
        });
        self.engine.arena.level();
        Ok(())
    }

    fn run_step(&mut self, plan: usize, step: usize) {
        let &[low, high, step_number, round] = &*self.memory.words(Region { buffer: RNG, offset: 0, len: 4 }) else {
            return;
        };
        let rng = Rng { seed: u64::from(low) | u64::from(high) << 32, step: step_number, round };
        let slices = self.memory.slices(&self.program, &self.engine.plans[plan].steps[step]);
        self.engine.run(plan, step, rng, slices);
    }
}

impl<T: Scalar> Engine<T> {
    /// Step `number` of a plan.
    fn run(&mut self, plan: usize, number: usize, rng: Rng, slices: Slices<T>) {
        let step = &self.plans[plan].steps[number];
        match (&step.work, &self.kernels[plan][number]) {
            (Work::Then { work, chain }, Kernel::Then(kernel, prepared)) => {
                let own = step.inputs.len() + 1 - chain.views.len();
                let after = After::new(prepared, &slices.inputs[own..step.inputs.len()]);
                then(work, kernel, &after, slices, &mut self.arena);
            }
            (work, kernel) => plain(work, kernel, rng, slices, &mut self.arena),
        }
    }
}

/// A product and what follows it: together, where the product is made in parts that stay in the cache.
fn then<T: Scalar>(work: &Work, kernel: &Kernel, after: &After<T>, slices: Slices<T>, arena: &mut Arena<T>) {
    let [a, b, ..] = slices.inputs;
    let Slices { inputs, outputs: [out, ..], .. } = slices;
    match *work {
        Work::MatMul { ta, tb, m, n, k } if matmul::takes_after([m, n, k]) => {
            matmul::matmul([ta, tb], [m, n, k], a, b, out, Some(after), arena);
        }
        Work::Conv(ref d) if conv::takes_after(d, matmul::takes_after, false) => {
            conv::conv(d, a, b, out, Some(after), arena);
        }
        Work::ConvX(ref d) if conv::takes_after(d, matmul::takes_after, true) => {
            conv::conv_x(d, a, b, out, Some(after), arena);
        }
        _ => {
            let product = |arena: &mut Arena<T>, staged: &mut [T]| {
                plain(work, kernel, Rng::default(), Slices::single(inputs, staged), arena);
            };
            arena.staged(out.len(), product, |lanes, staged| after.run(staged, out, lanes));
        }
    }
}

/// A step without an epilogue.
fn plain<T: Scalar>(work: &Work, kernel: &Kernel, rng: Rng, slices: Slices<T>, arena: &mut Arena<T>) {
    let Slices { inputs, outputs: [out, out1, out2, out3, out4], input_words, output_words } = slices;
    let [a, b, ..] = inputs;
    match (work, kernel) {
        (Work::Pointwise(_), Kernel::Pointwise(chain)) => chain.run(&inputs, out, arena.lanes()),
        (Work::Reduce { .. }, Kernel::Reduce(reduction)) => reduction.run(&inputs, out, arena),
        (&Work::MatMul { ta, tb, m, n, k }, _) => {
            matmul::matmul([ta, tb], [m, n, k], a, b, out, None, arena);
        }
        (Work::Conv(d), _) => conv::conv(d, a, b, out, None, arena),
        (Work::ConvX(d), _) => conv::conv_x(d, a, b, out, None, arena),
        (Work::ConvW(d), _) => conv::conv_w(d, a, b, out, arena),
        (Work::Fir { spec, input }, _) => fir::fir(spec, *input, a, out, arena.lanes()),
        (&Work::Gather { rows, cols, .. }, _) => index::gather(rows, cols, a, b, out),
        (&Work::ScatterAdd { rows, cols, .. }, _) => index::scatter_add(rows, cols, a, b, out),
        (&Work::Sample { c, from, to, .. }, _) => index::sample(Sampling { c, from, to }, a, b, out),
        (&Work::SampleAdjoint { c, from, to, .. }, _) => {
            index::sample_adjoint(Sampling { c, from, to }, a, b, out);
        }
        (Work::Rand { dist, stream }, _) => random::rand(*dist, rng, *stream, out),
        (Work::Draw(d), _) => {
            let [images, second, third, ..] = input_words;
            let (labels, cursor) = if d.labels { (second, third) } else { (&[][..], second) };
            draw::draw(d, (rng.seed, rng.step), (images, labels, cursor), out, out1);
        }
        (&Work::Adam(decay), _) => {
            let (owner, counters) = (input_words[2], last(output_words));
            let learning = Learning { scalars: a, grads: b, owner, weights: out, ema: out3, counters };
            learning.adam(decay, out1, out2);
        }
        (&Work::Sgd { nesterov }, _) => {
            let (owner, counters) = (input_words[2], last(output_words));
            let learning = Learning { scalars: a, grads: b, owner, weights: out, ema: out2, counters };
            learning.sgd(nesterov, out1);
        }
        (Work::LossScale, _) => loss_scale(a[0], b, out, out1, [out2, out3, out4]),
        (&Work::Round { reset }, _) => {
            let [words, ..] = output_words;
            words[3] = if reset { 0 } else { words[3].wrapping_add(1) };
        }
        (&Work::LogRow { count, rows }, _) => {
            let row = &mut out[rng.step as usize % rows.max(1) * count..][..count];
            row.iter_mut().zip(a.iter().step_by(ALIGN)).for_each(|(o, &v)| *o = v);
        }
        (Work::Pointwise(_) | Work::Reduce { .. } | Work::Then { .. }, _) => unreachable!("prepared by Host::new"),
    }
}

/// An optimiser's counters, the last output: which one that is depends on whether it keeps an average.
fn last(outputs: [&mut [u32]; 5]) -> &mut [u32] {
    outputs.into_iter().rev().find(|words| !words.is_empty()).unwrap_or_default()
}

/// One line for people: threads and vectors.
pub fn describe(threads: usize) -> String {
    format!("host: {threads} thread{}, {}", if threads == 1 { "" } else { "s" }, super::simd::name())
}

impl<T: Scalar> Executor for Host<T> {
    fn describe(&self) -> String {
        describe(self.pool.current_num_threads())
    }

    fn program(&self) -> &Program {
        &self.program
    }

    fn run(&mut self, schedule: &[(usize, u32)]) -> Result<()> {
        let mut dispatches = 0;
        self.steps(schedule, |_, _| dispatches += 1)?;
        self.counters.dispatches += dispatches;
        self.counters.submissions += 1;
        Ok(())
    }

    fn profile(&mut self, schedule: &[(usize, u32)]) -> Result<Timeline> {
        let (mut ends, begin) = (vec![], Instant::now());
        self.steps(schedule, |plan, step| ends.push((plan, step, begin.elapsed().as_secs_f64())))?;
        let mut timeline = Timeline::default();
        let mut start = 0.0;
        for (plan, step, end) in ends {
            let kernel = self.program.plans[plan].steps[step].label.clone();
            timeline.slices.push(Slice { plan, step, part: 0, kernel, start, seconds: end - start });
            start = end;
        }
        Ok(timeline)
    }

    fn write(&mut self, region: Region, values: &[f32]) -> Result<()> {
        self.check_len(region, Element::F32, values.len())?;
        let to = self.memory.floats(region);
        to.iter_mut().zip(values).for_each(|(to, &v)| *to = T::of(f64::from(v)));
        Ok(())
    }

    fn write_u32(&mut self, region: Region, values: &[u32]) -> Result<()> {
        self.check_len(region, Element::U32, values.len())?;
        self.memory.words(region).copy_from_slice(values);
        Ok(())
    }

    fn begin_read(&mut self, region: Region) -> Result<ReadId> {
        let words = match self.check(region, Element::F32) {
            Ok(()) => self.memory.floats(region).iter().map(|v| (v.to_f64() as f32).to_bits()).collect(),
            Err(_) => {
                self.check(region, Element::U32)?;
                self.memory.words(region).to_vec()
            }
        };
        self.counters.read_backs += 1;
        let id = ReadId(self.counters.read_backs);
        self.reads.insert(id, words);
        Ok(id)
    }

    fn try_finish(&mut self, read: ReadId) -> Result<Option<Vec<u32>>> {
        self.finish(read).map(Some)
    }

    fn finish(&mut self, read: ReadId) -> Result<Vec<u32>> {
        let unknown = || Error::device("host", format!("read {} was not begun or is finished already", read.0));
        self.reads.remove(&read).ok_or_else(unknown)
    }

    fn counters(&self) -> Counters {
        self.counters
    }
}
