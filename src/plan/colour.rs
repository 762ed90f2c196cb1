//! Memory: whole work buffers shared by values whose lifetimes do not meet.
//!
//! Whole buffers, not one arena: a GPU dispatch may not read and write one buffer, whatever the ranges.

/// A value between the step that makes it and the last one that reads it, both included.
#[derive(Clone, Copy, Debug)]
pub(super) struct Life {
    pub len: usize,
    pub first: usize,
    pub last: usize,
}

impl Life {
    /// The part of it in `start..end`, which it meets.
    pub fn within(self, start: usize, end: usize) -> Life {
        Life { first: self.first.max(start), last: self.last.min(end - 1), ..self }
    }
}

/// Assigns each life a slot; returns the slots of the lives and the lengths of the slots. The largest values choose first,
/// so that no slot ever grows and small values fill the gaps between large ones.
pub(super) fn colour(lives: &[Life]) -> (Vec<usize>, Vec<usize>) {
    let mut order: Vec<usize> = (0..lives.len()).collect();
    order.sort_by_key(|&v| (std::cmp::Reverse(lives[v].len), lives[v].first));
    let mut slots: Vec<(usize, Vec<Life>)> = vec![];
    let mut assigned = vec![0; lives.len()];
    for v in order {
        let life = lives[v];
        let meets = |other: &Life| life.first <= other.last && other.first <= life.last;
        // Of the slots that are free all that time the tightest: the last, as they come in order of length.
        let slot = (0..slots.len()).rev().find(|&s| !slots[s].1.iter().any(meets)).unwrap_or_else(|| {
            slots.push((life.len, vec![]));
            slots.len() - 1
        });
        slots[slot].1.push(life);
        assigned[v] = slot;
    }
    (assigned, slots.into_iter().map(|(len, _)| len).collect())
}

/// Elements alive at the worst moment: what any allocation in this order needs.
pub(super) fn live_peak(lives: &[Life]) -> usize {
    let start = lives.iter().map(|l| l.first).min().unwrap_or(0);
    let end = lives.iter().map(|l| l.last + 1).max().unwrap_or(0);
    (start..end).map(|t| lives.iter().filter(|l| l.first <= t && t <= l.last).map(|l| l.len).sum()).max().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lives_that_meet_never_share() {
        let lives: Vec<Life> = (0..40)
            .map(|i| {
                let first = i / 2;
                Life { len: 10 + (i * 37) % 90, first, last: first + (i * 7) % 5 }
            })
            .collect();
        let (assigned, slots) = colour(&lives);
        for (i, a) in lives.iter().enumerate() {
            assert!(slots[assigned[i]] >= a.len);
            for (j, b) in lives.iter().enumerate().skip(i + 1) {
                let meet = a.first <= b.last && b.first <= a.last;
                assert!(!meet || assigned[i] != assigned[j], "lives {i} and {j} share a slot");
            }
        }
        let total: usize = slots.iter().sum();
        assert!(total >= live_peak(&lives) && total < lives.iter().map(|l| l.len).sum());
    }
}
