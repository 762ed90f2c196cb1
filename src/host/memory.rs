//! The buffers of a program, and the slices of them that a step reads and writes.

use super::Scalar;
use super::arena::Aligned;
use super::check::MAX_INPUTS;
use crate::plan::{Element, Program, Region, Step};

/// All buffers, allocated once. A buffer of the other element type is empty in each list.
pub struct Memory<T> {
    floats: Vec<Aligned<T>>,
    words: Vec<Vec<u32>>,
}

/// What a step works on, in the order of its regions. A region of the other element type is empty in each list.
pub struct Slices<'a, T> {
    pub inputs: [&'a [T]; MAX_INPUTS],
    pub input_words: [&'a [u32]; MAX_INPUTS],
    pub outputs: [&'a mut [T]; 5],
    pub output_words: [&'a mut [u32]; 5],
}

impl<'a, T> Slices<'a, T> {
    /// Of a step with one output.
    pub fn single(inputs: [&'a [T]; MAX_INPUTS], output: &'a mut [T]) -> Slices<'a, T> {
        let mut outputs: [&mut [T]; 5] = std::array::from_fn(|_| Default::default());
        outputs[0] = output;
        Slices {
            inputs,
            outputs,
            input_words: [&[]; MAX_INPUTS],
            output_words: std::array::from_fn(|_| Default::default()),
        }
    }
}

impl<T: Scalar> Memory<T> {
    /// Zeros for every buffer.
    pub fn new(program: &Program) -> Memory<T> {
        let len = |element: Element| move |b: &crate::plan::Buffer| if b.element == element { b.len } else { 0 };
        let floats = program.buffers.iter().map(len(Element::F32)).map(Aligned::zeros).collect();
        let words = program.buffers.iter().map(len(Element::U32)).map(|n| vec![0; n]).collect();
        Memory { floats, words }
    }

    /// The values of an F32 region.
    pub fn floats(&mut self, r: Region) -> &mut [T] {
        &mut self.floats[r.buffer].get(r.offset + r.len)[r.offset..]
    }

    /// The values of a U32 region.
    pub fn words(&mut self, r: Region) -> &mut [u32] {
        &mut self.words[r.buffer][r.offset..r.offset + r.len]
    }

    /// The slices of a step that [`check::program`](super::check::program) accepted.
    pub fn slices(&mut self, program: &Program, step: &Step) -> Slices<'_, T> {
        let mut slices = Slices {
            inputs: [&[]; MAX_INPUTS],
            input_words: [&[]; MAX_INPUTS],
            outputs: std::array::from_fn(|_| Default::default()),
            output_words: std::array::from_fn(|_| Default::default()),
        };
        let is_float = |r: &Region| program.buffers[r.buffer].element == Element::F32;
        // SAFETY (all four): the check of the program showed that each region lies inside its buffer, which is never
        // reallocated, and that no output overlaps an input or another output. The slices borrow `self` exclusively, so
        // nothing else reads or writes the buffers while they live.
        for (i, r) in step.inputs.iter().enumerate() {
            if is_float(r) {
                let at = self.floats[r.buffer].as_mut_ptr().wrapping_add(r.offset);
                slices.inputs[i] = unsafe { std::slice::from_raw_parts(at, r.len) };
            } else {
                let at = self.words[r.buffer].as_mut_ptr().wrapping_add(r.offset);
                slices.input_words[i] = unsafe { std::slice::from_raw_parts(at, r.len) };
            }
        }
        for (i, r) in step.outputs.iter().enumerate() {
            if is_float(r) {
                let at = self.floats[r.buffer].as_mut_ptr().wrapping_add(r.offset);
                slices.outputs[i] = unsafe { std::slice::from_raw_parts_mut(at, r.len) };
            } else {
                let at = self.words[r.buffer].as_mut_ptr().wrapping_add(r.offset);
                slices.output_words[i] = unsafe { std::slice::from_raw_parts_mut(at, r.len) };
            }
        }
        slices
    }
}
