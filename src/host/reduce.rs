//! Sums of chains over some of their extents.
//!
//! Short runs are added in the element type, in a few independent lanes; runs are added up in double precision, in a
//! fixed order. Long sums are cut into parts by shape alone, so results do not depend on the number of threads.

use super::Scalar;
use super::arena::{Arena, Lanes};
use super::chain::{BLOCK, Prepared};
use super::simd::multiversion;
use crate::plan::Chain;
use rayon::prelude::*;

/// Elements that a task sums.
const TASK: usize = 1 << 15;

/// Independent accumulators of a run: four AVX-512 vectors.
const LANES: usize = 64;

/// Elements that a lane adds before its sum goes to double precision.
const DEPTH: usize = 16;

multiversion! {
    /// The sum of a run of at most [`BLOCK`] elements: 64 interleaved sums, then pairwise.
    fn sum_run<T: Scalar>(values: &[T]) -> T {
        let mut lanes = [T::ZERO; LANES];
        let chunks = values.chunks_exact(LANES);
        let rest = chunks.remainder();
        for chunk in chunks {
            for (lane, &v) in lanes.iter_mut().zip(chunk) {
                *lane += v;
            }
        }
        for (lane, &v) in lanes.iter_mut().zip(rest) {
            *lane += v;
        }
        let mut width = LANES / 2;
        while width > 0 {
            let (low, high) = lanes.split_at_mut(width);
            low.iter_mut().zip(high).for_each(|(low, &mut high)| *low += high);
            width /= 2;
        }
        lanes[0]
    }

    /// to[i] += values[i]
    fn add<T: Scalar>(values: &[T], to: &mut [T]) {
        for (to, &v) in to.iter_mut().zip(values) {
            *to += v;
        }
    }

    /// out[i] += Σ_p parts[p·len + i] for the elements `from..from + out.len()` of `len`, in order of p.
    fn add_parts<T: Scalar>(parts: &[T], len: usize, from: usize, out: &mut [T]) {
        for part in parts.chunks_exact(len) {
            let part = &part[from..from + out.len()];
            for (o, &v) in out.iter_mut().zip(part) {
                *o += v;
            }
        }
    }
}

/// out = Σ of the consecutive tensors of out's size that `parts` holds, in order.
pub fn sum_parts<T: Scalar>(parts: &[T], out: &mut [T]) {
    let len = out.len();
    out.par_chunks_mut(BLOCK).enumerate().for_each(|(i, out)| {
        out.fill(T::ZERO);
        add_parts(parts, len, i * BLOCK, out);
    });
}

/// A sum of a chain over some of its extents, ready to run.
pub struct Reduction {
    chain: Prepared,
    /// Neighbouring extents that share a fate, merged: kept, reduced, kept, …, kept.
    groups: Vec<usize>,
}

impl Reduction {
    /// Prepares the chain and merges its extents.
    pub fn new(chain: &Chain, reduced: &[bool]) -> Reduction {
        let mut groups = vec![1];
        for (&extent, &reduced) in chain.extents.iter().zip(reduced).filter(|(extent, _)| **extent != 1) {
            // Groups alternate and start with a kept one, so the parity of the last one tells its fate.
            if groups.len().is_multiple_of(2) == reduced {
                let last = groups.len() - 1;
                groups[last] *= extent;
            } else {
                groups.push(extent);
            }
        }
        if groups.len().is_multiple_of(2) {
            groups.push(1);
        }
        Reduction { chain: Prepared::new(chain), groups }
    }

    /// Sums into `out`.
    pub fn run<T: Scalar>(&self, inputs: &[&[T]], out: &mut [T], arena: &mut Arena<T>) {
        if self.groups.len() == 1 {
            return self.chain.run(inputs, out, arena.lanes());
        }
        self.outer(0, 0, inputs, out, false, arena);
    }

    /// Walks all groups but the last three from number `level` on; `base` is the element of the chain reached so far.
    fn outer<T: Scalar>(
        &self,
        level: usize,
        base: usize,
        inputs: &[&[T]],
        out: &mut [T],
        add: bool,
        arena: &mut Arena<T>,
    ) {
        let rest = &self.groups[level..];
        if let &[kept, reduced, inner] = rest {
            return Sum { chain: &self.chain, inputs, base, kept, reduced, inner }.run(out, add, arena);
        }
        let step: usize = rest[2..].iter().product();
        let block: usize = rest[2..].iter().step_by(2).product();
        for (kept, out) in out.chunks_exact_mut(block).enumerate() {
            for r in 0..rest[1] {
                self.outer(level + 2, base + (kept * rest[1] + r) * step, inputs, out, add || r > 0, arena);
            }
        }
    }
}

/// out[a, c] = Σ_r chain(base + (a·reduced + r)·inner + c)
struct Sum<'a, T> {
    chain: &'a Prepared,
    inputs: &'a [&'a [T]],
    base: usize,
    kept: usize,
    reduced: usize,
    inner: usize,
}

impl<T: Scalar> Sum<'_, T> {
    fn run(&self, out: &mut [T], add: bool, arena: &mut Arena<T>) {
        // Rows of a part, so that a task sums about TASK elements, and whole outputs of a task where that is many rows.
        let share = (TASK / self.inner.min(BLOCK)).max(1);
        let parts = self.reduced.div_ceil(share);
        if parts == 1 && !add {
            return self.parts(1, self.reduced, out, arena.lanes());
        }
        let (lanes, partial) = arena.wide(self.kept * parts * self.inner);
        self.parts(parts, share, partial, lanes);
        for (out, partial) in out.chunks_exact_mut(self.inner).zip(partial.chunks_exact(parts * self.inner)) {
            out.par_chunks_mut(BLOCK).enumerate().for_each(|(i, out)| {
                for (c, out) in out.iter_mut().enumerate() {
                    let column = partial[i * BLOCK + c..].iter().step_by(self.inner);
                    let sum: f64 = column.sum();
                    *out = if add { *out + T::of(sum) } else { T::of(sum) };
                }
            });
        }
    }

    /// Fills `out` [kept, parts, inner] with sums over `share` rows each; the last part of each takes what is left.
    fn parts<S: Scalar>(&self, parts: usize, share: usize, out: &mut [S], lanes: &Lanes<T>) {
        // (first element, rows) of a part.
        let stretch = |number: usize| {
            let first = number % parts * share;
            let start = self.base + (number / parts * self.reduced + first) * self.inner;
            (start, share.min(self.reduced - first))
        };
        // Short sums share a task; the columns of wide ones are tasks of their own.
        let together = if parts == 1 { (TASK / (share * self.inner)).max(1) } else { 1 };
        out.par_chunks_mut(self.inner * together).enumerate().for_each(|(task, out)| {
            let (start, rows) = stretch(task * together);
            if self.inner > BLOCK {
                out.par_chunks_mut(BLOCK).enumerate().for_each(|(i, out)| {
                    self.task(lanes, |scratch| self.columns(start + i * BLOCK, rows, scratch, out));
                });
            } else if self.inner == 1 {
                self.task(lanes, |scratch| self.runs(start, rows, scratch, out));
            } else {
                self.task(lanes, |scratch| {
                    for (i, out) in out.chunks_exact_mut(self.inner).enumerate() {
                        self.columns(start + i * rows * self.inner, rows, scratch, out);
                    }
                });
            }
        });
    }

    /// Runs `f` with the scratch of one task.
    fn task(&self, lanes: &Lanes<T>, f: impl FnOnce(&mut Scratch<T>)) {
        lanes.with(self.chain.scratch() + 2 * BLOCK, |scratch| {
            let (buffers, registers) = scratch.split_at_mut(2 * BLOCK);
            let (values, sums) = buffers.split_at_mut(BLOCK);
            self.chain.begin(self.inputs, registers);
            f(&mut Scratch { registers, values, sums });
        });
    }

    /// Elements `start..start + len` of the chain, at most [`BLOCK`]; read in place where the chain is one input.
    fn values<'s>(&'s self, start: usize, len: usize, registers: &mut [T], buffer: &'s mut [T]) -> &'s [T] {
        match self.chain.direct() {
            Some((input, offset)) => &self.inputs[input][offset + start..][..len],
            None => {
                self.chain.block(self.inputs, start, registers, &mut buffer[..len]);
                &buffer[..len]
            }
        }
    }

    /// Sums of consecutive runs of `len` elements.
    fn runs<S: Scalar>(&self, start: usize, len: usize, scratch: &mut Scratch<T>, out: &mut [S]) {
        let end = start + out.len() * len;
        let mut out = out.iter_mut();
        let (mut sum, mut left) = (0.0, len);
        for at in (start..end).step_by(BLOCK) {
            let mut values = self.values(at, BLOCK.min(end - at), scratch.registers, scratch.values);
            while !values.is_empty() {
                let (run, rest) = values.split_at(left.min(values.len()));
                sum += sum_run(run).to_f64();
                left -= run.len();
                values = rest;
                if left == 0 {
                    out.by_ref().take(1).for_each(|o| *o = S::of(sum));
                    (sum, left) = (0.0, len);
                }
            }
        }
    }

    /// Sums over `rows` rows of the `out.len()` ≤ [`BLOCK`] columns that start at element `start`.
    fn columns<S: Scalar>(&self, start: usize, rows: usize, scratch: &mut Scratch<T>, out: &mut [S]) {
        let width = out.len();
        // Whole rows lie next to each other: several make a block.
        let together = if width == self.inner { BLOCK / width } else { 1 };
        let mut total = [0.0; BLOCK];
        let sums = &mut scratch.sums[..together * width];
        sums.fill(T::ZERO);
        for (i, row) in (0..rows).step_by(together).enumerate() {
            let len = together.min(rows - row) * width;
            let values = self.values(start + row * self.inner, len, scratch.registers, scratch.values);
            add(values, &mut sums[..len]);
            if (i + 1).is_multiple_of(DEPTH) || row + together >= rows {
                for row in sums.chunks_exact(width) {
                    total.iter_mut().zip(row).for_each(|(t, &v)| *t += v.to_f64());
                }
                sums.fill(T::ZERO);
            }
        }
        out.iter_mut().zip(total).for_each(|(o, t)| *o = S::of(t));
    }
}

/// Scratch of one task.
struct Scratch<'s, T> {
    registers: &'s mut [T],
    values: &'s mut [T],
    sums: &'s mut [T],
}
