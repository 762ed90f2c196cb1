//! Epilogues: the pointwise chain that alone reads a product becomes part of the product's step.
//!
//! The product is then never stored: bias, activation, mask, residual and the sum of two weight gradients are applied to
//! each element on its way to memory. Works on drafts, after fusion decided what is kept; changes no arithmetic.

use super::draft::{Draft, Place};
use super::fuse::MAX_VIEWS;
use super::step::{Chain, Work};

/// Lines an epilogue may have: it is computed with the registers that the product leaves.
const MAX_LINES: usize = 32;

/// Merges chains into the products that they alone read, where the chain's other inputs are there in time.
pub(super) fn fuse(drafts: &mut Vec<Draft>, lens: &[usize]) {
    let mut at = 0;
    while at < drafts.len() {
        let Some(reader) = epilogue_of(drafts, at, lens) else {
            at += 1;
            continue;
        };
        let Draft { work: Work::Pointwise(chain), inputs, outputs, label, flops, exact } = drafts.remove(reader) else {
            return;
        };
        let product = &mut drafts[at];
        let value = product.outputs[0];
        let (chain, others) = first_input_is(chain, inputs, value);
        product.inputs.extend(others);
        product.outputs = outputs;
        product.label = format!("{} > {label}", product.label);
        product.flops += flops;
        product.exact = exact;
        let work = Box::new(product.work.clone());
        product.work = Work::Then { work, chain };
        at += 1;
    }
}

/// The draft that can become the epilogue of draft `at`.
fn epilogue_of(drafts: &[Draft], at: usize, lens: &[usize]) -> Option<usize> {
    let product = &drafts[at];
    let value = product.outputs[0];
    let Place::Value(number) = value else { return None };
    if !product.work.takes_epilogue() {
        return None;
    }
    let mut readers = (at + 1..drafts.len()).filter(|&i| drafts[i].inputs.contains(&value));
    let (reader, None) = (readers.next()?, readers.next()) else { return None };
    let Draft { work: Work::Pointwise(chain), inputs, outputs, .. } = &drafts[reader] else { return None };
    let views: Vec<usize> = (0..inputs.len()).filter(|&i| inputs[i] == value).collect();
    let &[view] = &views[..] else { return None };
    let whole = chain.elems() == lens[number] && chain.is_contiguous(view) && chain.views[view].offset == 0;
    let fits = product.inputs.len() + inputs.len() - 1 <= MAX_VIEWS
        && chain.instrs.len() <= MAX_LINES
        && chain.limits().is_empty();
    // The chain moves up to the product: nothing in between may make what it reads, or touch what it writes.
    let between = &drafts[at + 1..reader];
    let others = || inputs.iter().filter(|place| **place != value);
    let ready = others().all(|place| !between.iter().any(|d| d.outputs.iter().any(|made| made.meets(place))));
    let free = outputs.iter().all(|out| {
        let touched = |d: &Draft| d.inputs.iter().chain(&d.outputs).any(|place| place.shares_buffer(out));
        !between.iter().any(touched) && !product.inputs.iter().any(|place| place.shares_buffer(out))
    });
    (whole && fits && ready && free).then_some(reader)
}

/// The chain with the view of `value` in front, and its other inputs in order.
fn first_input_is(mut chain: Chain, mut inputs: Vec<Place>, value: Place) -> (Chain, Vec<Place>) {
    let at = inputs.iter().position(|place| *place == value).unwrap_or(0);
    inputs.remove(at);
    let view = chain.views.remove(at);
    chain.views.insert(0, view);
    chain.renumber(|input| match input.cmp(&at) {
        std::cmp::Ordering::Equal => 0,
        std::cmp::Ordering::Less => input + 1,
        std::cmp::Ordering::Greater => input,
    });
    (chain, inputs)
}
