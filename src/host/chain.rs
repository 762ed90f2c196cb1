//! Fused pointwise chains, prepared once and evaluated in blocks that stay in the first-level cache.
//!
//! A block is a run of at most [`BLOCK`] elements in the order of iteration. Every line of the chain is one vectorised
//! loop over the block. Registers are rows of scratch, shared by lifetime; contiguous inputs are read in place.

use super::Scalar;
use super::arena::Lanes;
use super::check::MAX_INPUTS;
use super::layout::transpose;
use super::limits::Limits;
use super::pointwise::apply;
use crate::graph::Op;
use crate::plan::{Chain, Instr, View};
use rayon::prelude::*;

/// Most elements of a block.
pub const BLOCK: usize = 1024;

/// Elements of a run that are copied one by one.
const SHORT: usize = 8;

/// Blocks of a task of [`Prepared::run`].
const TASK: usize = 16;

/// Where a value of a block is.
#[derive(Clone, Copy, Debug)]
enum Place {
    /// In this register.
    Register(usize),
    /// In this input, contiguous from this offset on.
    Input(usize, usize),
}

/// An input walked with strides; extents and strides are merged where the walk allows it, innermost first.
#[derive(Debug)]
struct Walk {
    input: usize,
    offset: usize,
    /// Elements that limited indices, which count from their first one inside, are ahead.
    ahead: usize,
    axes: Vec<(usize, usize)>,
}

/// What a line does for every block.
#[derive(Debug)]
enum Action {
    /// Collects elements of an input.
    Load(Walk),
    /// The same inside limits, 0 outside.
    LoadWithin(Walk, Limits),
    /// 1 inside limits, 0 outside.
    Inside(Limits),
    /// Applies a primitive to values of the block.
    Apply(Op, Vec<Place>),
}

/// A value that is the same in every block.
#[derive(Debug)]
enum Uniform {
    Const(f64),
    /// Element of an input.
    Element(usize, usize),
}

/// A chain ready to run.
pub struct Prepared {
    /// Registers filled once a task.
    uniforms: Vec<(usize, Uniform)>,
    /// Lines in order; `None` is the output of the block.
    lines: Vec<(Option<usize>, Action)>,
    /// Where the value of a chain without lines for its last instruction is.
    result: Option<Place>,
    registers: usize,
}

impl Walk {
    fn new(chain: &Chain, input: usize) -> Walk {
        let View { strides, offset, within } = &chain.views[input];
        let mut axes: Vec<(usize, usize)> = vec![];
        for (&extent, &stride) in chain.extents.iter().zip(strides).rev().filter(|(extent, _)| **extent != 1) {
            match axes.last_mut() {
                Some((inner, s)) if stride == *s * *inner => *inner *= extent,
                _ => axes.push((extent, stride)),
            }
        }
        let ahead = within.iter().map(|w| w.from * strides[w.dim]).sum();
        Walk { input, offset: *offset, ahead, axes }
    }

    /// Copies elements `start..start + out.len()` of the walk.
    fn load<T: Scalar>(&self, input: &[T], start: usize, out: &mut [T]) {
        let input = &input[self.offset..];
        let (inner, stride) = self.axes[0];
        // From a run to its neighbour it is a step, without a division, until the axis around it is through.
        let (around, step) = self.axes.get(1).copied().unwrap_or((1, 0));
        let (mut number, mut skip, mut done) = (start / inner, start % inner, 0);
        let (mut neighbours, mut offset) = (around - number % around, self.run(number));
        while done < out.len() {
            let count = (inner - skip).min(out.len() - done);
            let (from, run) = (offset + skip * stride - self.ahead, &mut out[done..done + count]);
            match stride {
                // Short runs are not worth the call that fills or copies long ones.
                _ if count <= SHORT => (0..count).for_each(|i| run[i] = input[from + i * stride]),
                0 => run.fill(input[from]),
                1 => run.copy_from_slice(&input[from..from + count]),
                _ => run.iter_mut().zip(input[from..].iter().step_by(stride)).for_each(|(o, &v)| *o = v),
            }
            done += count;
            skip = 0;
            if done >= inner && self.repeats() {
                return repeat(out, done - done % inner);
            }
            (number, neighbours, offset) = (number + 1, neighbours - 1, offset + step);
            if neighbours == 0 {
                (neighbours, offset) = (around, self.run(number));
            }
        }
    }

    /// Copies the whole walk where its first two axes are a transposed matrix [rows, cols], rows `stride` apart.
    fn transpose<T: Scalar>(&self, [rows, cols]: [usize; 2], stride: usize, input: &[T], out: &mut [T]) {
        const BAND: usize = 16;
        let input = &input[self.offset..];
        out.par_chunks_mut(rows * cols).enumerate().for_each(|(i, out)| {
            let matrix = &input[self.run(i * cols)..];
            out.par_chunks_mut(BAND * rows).enumerate().for_each(|(band, out)| {
                transpose(&matrix[band * BAND..], stride, [rows, out.len() / rows], out, rows);
            });
        });
    }

    /// Offset of the run with this number along the innermost axis.
    #[inline]
    fn run(&self, mut number: usize) -> usize {
        let mut offset = 0;
        for &(extent, stride) in &self.axes[1..] {
            offset += number % extent * stride;
            number /= extent;
        }
        offset
    }

    /// Whether all runs along the innermost axis are the same.
    fn repeats(&self) -> bool {
        self.axes[1..].iter().all(|&(_, stride)| stride == 0)
    }
}

/// Fills `out` with repetitions of its first `period` elements, which it doubles as often as they fit.
fn repeat<T: Scalar>(out: &mut [T], period: usize) {
    let mut filled = period;
    while filled < out.len() {
        let count = filled.min(out.len() - filled);
        out.copy_within(..count, filled);
        filled += count;
    }
}

impl Prepared {
    /// Resolves loads and registers.
    pub fn new(chain: &Chain) -> Prepared {
        let last = chain.instrs.len() - 1;
        let mut last_use = vec![0; chain.instrs.len()];
        for (i, instr) in chain.instrs.iter().enumerate() {
            if let Instr::Apply(_, args) = instr {
                args.iter().for_each(|&a| last_use[a] = i);
            }
        }
        let mut p = Prepared { uniforms: vec![], lines: vec![], result: None, registers: 0 };
        let mut free: Vec<usize> = vec![];
        let mut places: Vec<Place> = vec![];
        for (i, instr) in chain.instrs.iter().enumerate() {
            if let Some(uniform) = uniform(chain, instr) {
                p.uniforms.push((p.registers, uniform));
                places.push(Place::Register(p.registers));
                p.registers += 1;
                continue;
            }
            let action = match instr {
                Instr::Load(input) if chain.is_contiguous(*input) => {
                    places.push(Place::Input(*input, chain.views[*input].offset));
                    continue;
                }
                Instr::Load(input) if chain.views[*input].within.is_empty() => Action::Load(Walk::new(chain, *input)),
                Instr::Load(input) => {
                    let limits = Limits::new(&chain.extents, &chain.views[*input].within);
                    Action::LoadWithin(Walk::new(chain, *input), limits)
                }
                Instr::Inside(within) => Action::Inside(Limits::new(&chain.extents, within)),
                Instr::Apply(op, args) => Action::Apply(op.clone(), args.iter().map(|&a| places[a]).collect()),
                Instr::Const(_) => continue,
            };
            let register = free.pop().unwrap_or(p.registers);
            p.registers = p.registers.max(register + 1);
            places.push(Place::Register(register));
            p.lines.push(((i != last).then_some(register), action));
            // Operands are freed after the result has its place: no line reads what it writes.
            if let Instr::Apply(_, args) = instr {
                let mut dead: Vec<usize> = args.iter().copied().filter(|&a| last_use[a] == i).collect();
                dead.sort_unstable();
                dead.dedup();
                free.extend(dead.into_iter().filter(|&a| !is_uniform(chain, a)).filter_map(|a| match places[a] {
                    Place::Register(register) => Some(register),
                    Place::Input(..) => None,
                }));
            }
        }
        if !matches!(p.lines.last(), Some((None, _))) {
            p.result = Some(places[last]);
        }
        p
    }

    /// Scratch a task needs.
    pub fn scratch(&self) -> usize {
        self.registers * BLOCK
    }

    /// Where the chain is one contiguous input: that input and the offset of its first element.
    pub fn direct(&self) -> Option<(usize, usize)> {
        match self.result {
            Some(Place::Input(input, offset)) => Some((input, offset)),
            _ => None,
        }
    }

    /// Fills the registers that are the same in every block.
    pub fn begin<T: Scalar>(&self, inputs: &[&[T]], registers: &mut [T]) {
        for (register, uniform) in &self.uniforms {
            let value = match uniform {
                Uniform::Const(c) => T::of(*c),
                Uniform::Element(input, at) => inputs[*input][*at],
            };
            registers[register * BLOCK..][..BLOCK].fill(value);
        }
    }

    /// Evaluates elements `start..start + out.len()`, at most [`BLOCK`].
    pub fn block<T: Scalar>(&self, inputs: &[&[T]], start: usize, registers: &mut [T], out: &mut [T]) {
        self.part(Inputs { slices: inputs, first: 0 }, start, registers, out);
    }

    /// [`Prepared::block`] where input 0 may hold a part of its elements only.
    fn part<T: Scalar>(&self, inputs: Inputs<T>, start: usize, registers: &mut [T], out: &mut [T]) {
        for (to, action) in &self.lines {
            match to {
                None => line(action, inputs, start, registers, &[], out),
                Some(register) => {
                    let (before, rest) = registers.split_at_mut(register * BLOCK);
                    let (to, after) = rest.split_at_mut(BLOCK);
                    line(action, inputs, start, before, after, &mut to[..out.len()]);
                }
            }
        }
        match self.result {
            Some(Place::Register(register)) => out.copy_from_slice(&registers[register * BLOCK..][..out.len()]),
            Some(Place::Input(input, offset)) => out.copy_from_slice(&inputs.at(input, offset + start)[..out.len()]),
            None => {}
        }
    }

    /// Evaluates the whole chain.
    pub fn run<T: Scalar>(&self, inputs: &[&[T]], out: &mut [T], lanes: &Lanes<T>) {
        if out.is_empty() {
            return;
        }
        if let [(None, Action::Load(walk))] = self.lines.as_slice()
            && let &[(rows, stride @ 2..), (cols, 1), ..] = walk.axes.as_slice()
        {
            return walk.transpose([rows, cols], stride, inputs[walk.input], out);
        }
        out.par_chunks_mut(TASK * BLOCK).enumerate().for_each(|(task, out)| {
            lanes.with(self.scratch(), |registers| {
                self.begin(inputs, registers);
                for (i, out) in out.chunks_mut(BLOCK).enumerate() {
                    self.block(inputs, (task * TASK + i) * BLOCK, registers, out);
                }
            });
        });
    }
}

/// What follows a product: a chain whose input 0 is the product's result, which is there a part at a time.
#[derive(Clone, Copy)]
pub struct After<'a, T> {
    chain: &'a Prepared,
    inputs: [&'a [T]; MAX_INPUTS],
}

impl<'a, T: Scalar> After<'a, T> {
    /// `others` are the chain's inputs from 1 on.
    pub fn new(chain: &'a Prepared, others: &[&'a [T]]) -> After<'a, T> {
        let mut inputs: [&[T]; MAX_INPUTS] = [&[]; MAX_INPUTS];
        inputs[1..].iter_mut().zip(others).for_each(|(to, slice)| *to = slice);
        After { chain, inputs }
    }

    /// Scratch of [`After::apply`].
    pub fn scratch(&self) -> usize {
        self.chain.scratch()
    }

    /// Evaluates elements from `start` on; `values` are the product's.
    pub fn apply(&self, start: usize, values: &[T], registers: &mut [T], out: &mut [T]) {
        let mut inputs = self.inputs;
        inputs[0] = values;
        self.chain.begin(&inputs, registers);
        for (i, part) in out.chunks_mut(BLOCK).enumerate() {
            self.chain.part(Inputs { slices: &inputs, first: start }, start + i * BLOCK, registers, part);
        }
    }

    /// Evaluates all elements; `values` is the whole product.
    pub fn run(&self, values: &[T], out: &mut [T], lanes: &Lanes<T>) {
        let mut inputs = self.inputs;
        inputs[0] = values;
        self.chain.run(&inputs, out, lanes);
    }
}

/// Scratch that [`follow`] needs for a part of `len` elements.
pub fn room<T: Scalar>(after: Option<&After<T>>, len: usize) -> usize {
    after.map_or(0, |after| len + after.scratch())
}

/// Lets `make` fill the part of a product's result that begins with element `start`: `out` itself, or scratch (see [`room`])
/// from where it goes through the chain that follows, while it is in the cache.
pub fn follow<T: Scalar>(
    after: Option<&After<T>>,
    start: usize,
    scratch: &mut [T],
    out: &mut [T],
    make: impl FnOnce(&mut [T]),
) {
    let Some(after) = after else { return make(out) };
    let (values, registers) = scratch.split_at_mut(out.len());
    make(values);
    after.apply(start, values, registers, out);
}

/// Inputs of a chain; input 0 begins with element `first` of its own.
#[derive(Clone, Copy)]
struct Inputs<'a, T> {
    slices: &'a [&'a [T]],
    first: usize,
}

impl<'a, T> Inputs<'a, T> {
    /// Elements of an input from this one on.
    fn at(&self, input: usize, element: usize) -> &'a [T] {
        &self.slices[input][element - if input == 0 { self.first } else { 0 }..]
    }
}

/// One line for one block. The registers are those before and after the one that is written.
fn line<T: Scalar>(action: &Action, inputs: Inputs<T>, start: usize, before: &[T], after: &[T], out: &mut [T]) {
    match action {
        Action::Load(walk) => walk.load(inputs.slices[walk.input], start, out),
        Action::LoadWithin(walk, limits) => limits.stretches(start, out.len(), |part, inside| match inside {
            true => walk.load(inputs.slices[walk.input], start + part.start, &mut out[part]),
            false => out[part].fill(T::ZERO),
        }),
        Action::Inside(limits) => limits.stretches(start, out.len(), |part, inside| {
            out[part].fill(if inside { T::ONE } else { T::ZERO });
        }),
        Action::Apply(op, args) => {
            let value = |place: &Place| match *place {
                Place::Input(input, offset) => inputs.at(input, offset + start),
                Place::Register(r) if r * BLOCK < before.len() => &before[r * BLOCK..],
                Place::Register(r) => &after[r * BLOCK - before.len() - BLOCK..],
            };
            let mut values: [&[T]; 3] = [&[]; 3];
            values.iter_mut().zip(args).for_each(|(v, place)| *v = value(place));
            apply(op, &values[..args.len()], out);
        }
    }
}

/// The value of an instruction that is the same for every element.
fn uniform(chain: &Chain, instr: &Instr) -> Option<Uniform> {
    match instr {
        Instr::Const(c) => Some(Uniform::Const(c.0)),
        Instr::Load(input) => {
            let View { strides, offset, within } = &chain.views[*input];
            let still = chain.extents.iter().zip(strides).all(|(&extent, &stride)| extent == 1 || stride == 0);
            (still && within.is_empty()).then_some(Uniform::Element(*input, *offset))
        }
        Instr::Inside(_) | Instr::Apply(..) => None,
    }
}

fn is_uniform(chain: &Chain, i: usize) -> bool {
    uniform(chain, &chain.instrs[i]).is_some()
}
