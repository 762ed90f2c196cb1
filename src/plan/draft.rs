//! Steps before memory was given to their values.

use super::step::{Chain, Instr, Region, View, Work};

/// Where a draft's operand lives: fixed, or the value made by an earlier draft.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    Fixed(Region),
    Value(usize),
}

/// A step before memory was given to its values.
#[derive(Clone)]
pub(super) struct Draft {
    pub work: Work,
    pub inputs: Vec<Place>,
    pub outputs: Vec<Place>,
    pub label: String,
    pub flops: u64,
    /// Its result stays in 32 bits whatever the precision.
    pub exact: bool,
}

impl Place {
    /// Whether writing one changes the other.
    pub fn meets(&self, other: &Place) -> bool {
        match (self, other) {
            (Place::Value(v), Place::Value(w)) => v == w,
            (Place::Fixed(a), Place::Fixed(b)) => a.overlaps(b),
            _ => false,
        }
    }

    /// Whether both are in one buffer, which no step may read and write.
    pub fn shares_buffer(&self, other: &Place) -> bool {
        match (self, other) {
            (Place::Value(v), Place::Value(w)) => v == w,
            (Place::Fixed(a), Place::Fixed(b)) => a.buffer == b.buffer,
            _ => false,
        }
    }
}

/// The region of a place that is fixed.
pub(super) fn fixed(place: &Place) -> Option<Region> {
    match place {
        Place::Fixed(region) => Some(*region),
        Place::Value(_) => None,
    }
}

/// A draft that copies `len` elements.
pub(super) fn copy(name: &str, len: usize, from: Place, to: Place) -> Draft {
    let views = vec![View { strides: vec![1], offset: 0, within: vec![] }];
    let work = Work::Pointwise(Chain { extents: vec![len], views, instrs: vec![Instr::Load(0)] });
    Draft { work, inputs: vec![from], outputs: vec![to], label: format!("copy to {name}"), flops: 0, exact: true }
}
