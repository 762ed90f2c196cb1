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

/// Assigns each life a slot and lets slots grow to hold what they are given. Slots are free at the start. Lives come in
/// order of `first`. Returns the slot of each life.
pub(super) fn colour(lives: &[Life], slots: &mut Vec<usize>) -> Vec<usize> {
    let mut busy_until: Vec<Option<usize>> = vec![None; slots.len()];
    let mut assigned = Vec::with_capacity(lives.len());
    for life in lives {
        let is_free = |slot: usize| busy_until[slot].is_none_or(|last| last < life.first);
        let free: Vec<usize> = (0..slots.len()).filter(|&s| is_free(s)).collect();
        // The tightest that fits; else the largest, grown; else a new one.
        let fits = free.iter().copied().filter(|&s| slots[s] >= life.len).min_by_key(|&s| slots[s]);
        let slot = fits.or_else(|| free.iter().copied().max_by_key(|&s| slots[s])).unwrap_or_else(|| {
            slots.push(0);
            busy_until.push(None);
            slots.len() - 1
        });
        slots[slot] = slots[slot].max(life.len);
        busy_until[slot] = Some(life.last);
        assigned.push(slot);
    }
    assigned
}

/// Elements alive at the worst moment: what any allocation in this order needs.
pub(super) fn live_peak(lives: &[Life]) -> usize {
    let end = lives.iter().map(|l| l.last + 1).max().unwrap_or(0);
    (0..end).map(|t| lives.iter().filter(|l| l.first <= t && t <= l.last).map(|l| l.len).sum()).max().unwrap_or(0)
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
        let mut slots = vec![];
        let assigned = colour(&lives, &mut slots);
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
