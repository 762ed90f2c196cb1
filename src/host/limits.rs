//! Limits of indices: which stretches of a run of elements are inside all of them.

use crate::plan::Within;
use std::ops::Range;

/// Limits of an iteration space.
#[derive(Debug)]
pub struct Limits {
    /// Elements of one index of the innermost limited extent: they are inside together, or outside.
    unit: usize,
    /// Extent, first index inside, first behind: from the innermost limited extent outward.
    axes: Vec<[usize; 3]>,
}

impl Limits {
    /// `within` names each of `extents` at most once, and at least one of them.
    pub fn new(extents: &[usize], within: &[Within]) -> Limits {
        let (mut unit, mut axes) = (1, vec![]);
        for (dim, &extent) in extents.iter().enumerate().rev() {
            match (within.iter().find(|w| w.dim == dim), axes.last_mut()) {
                (Some(w), _) => axes.push([extent, w.from, w.to]),
                (None, None) => unit *= extent,
                (None, Some(last)) if last[2] - last[1] == last[0] => *last = [last[0] * extent, 0, last[0] * extent],
                (None, Some(_)) => axes.push([extent, 0, extent]),
            }
        }
        Limits { unit, axes }
    }

    /// Calls `f` for the parts of elements `start..start + len`, counted from `start`, with whether they are inside, in order.
    pub fn stretches(&self, start: usize, len: usize, mut f: impl FnMut(Range<usize>, bool)) {
        let [extent, from, to] = self.axes[0].map(|n| n * self.unit);
        let (mut row, mut at, mut done) = (start / extent, start % extent, 0);
        while done < len {
            let inside = self.holds(row);
            let stop = match inside {
                true if at < from => from,
                true if at < to => to,
                _ => extent,
            };
            let count = (stop - at).min(len - done);
            f(done..done + count, inside && (from..to).contains(&at));
            (at, done) = (at + count, done + count);
            if at == extent {
                (row, at) = (row + 1, 0);
            }
        }
    }

    /// Whether the indices outside of the innermost limited one are inside, in the row of this number along that.
    fn holds(&self, mut row: usize) -> bool {
        self.axes[1..].iter().all(|&[extent, from, to]| {
            let index = row % extent;
            row /= extent;
            (from..to).contains(&index)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stretches_are_where_every_index_is_inside() {
        let extents = [3, 4, 2, 5, 2];
        let within = [Within { dim: 1, from: 1, to: 3 }, Within { dim: 3, from: 0, to: 2 }];
        let limits = Limits::new(&extents, &within);
        for (start, len) in [(0, 240), (7, 100), (23, 1), (100, 140)] {
            let mut found = vec![];
            limits.stretches(start, len, |range, inside| {
                assert!(range.start == found.len() && !range.is_empty(), "{range:?} after {}", found.len());
                found.resize(range.end, inside);
            });
            let wanted = (start..start + len).map(|n| (1..3).contains(&(n / 20 % 4)) && n / 2 % 5 < 2);
            assert_eq!(found, wanted.collect::<Vec<_>>(), "{len} from {start}");
        }
    }
}
