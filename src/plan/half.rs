//! Half precision: which intermediate values are stored as 16-bit floats.
//!
//! Activations and their gradients are: the results of products, filters and chains. Statistics, sums, weight gradients, addresses
//! and everything around gradient penalties stay in 32 bits, and so does all arithmetic.

use super::draft::{Draft, Place};
use super::step::Work;
use crate::graph::Dag;

/// Shorter values save nothing, and are often statistics.
pub(super) const LEAST: usize = 1024;

/// Whether results of this work may be rounded to 16 bits.
pub(super) fn may_round(work: &Work) -> bool {
    matches!(
        work.product(),
        Work::Pointwise(_) | Work::MatMul { .. } | Work::Conv(_) | Work::ConvX(_) | Work::Fir { .. }
    )
}

/// What of a step's operands says where another one is read: a rounded address is another place.
pub(super) fn addresses(draft: &Draft) -> Option<&Place> {
    let addressed = matches!(
        draft.work,
        Work::Gather { .. } | Work::ScatterAdd { .. } | Work::Sample { .. } | Work::SampleAdjoint { .. }
    );
    draft.inputs.get(1).filter(|_| addressed)
}

/// Nodes that `roots` need beyond what `beyond` need, and all that depend on those: a gradient penalty, and what its gradient
/// adds to.
pub(super) fn exact(dag: &Dag, roots: &[String], beyond: &[String]) -> Vec<bool> {
    let needed = |names: &[String]| {
        let mut needed = vec![false; dag.nodes.len()];
        for (_, id) in dag.roots.iter().filter(|(name, _)| names.contains(name)) {
            needed[*id] = true;
        }
        for id in (0..dag.nodes.len()).rev().filter(|_| !names.is_empty()) {
            if needed[id] {
                dag.nodes[id].src.iter().for_each(|&s| needed[s] = true);
            }
        }
        needed
    };
    let plain = needed(beyond);
    let mut exact: Vec<bool> = needed(roots).into_iter().zip(plain).map(|(penalty, plain)| penalty && !plain).collect();
    // Leaves are where they are; what penalties merely read of them is not theirs.
    for (id, node) in dag.nodes.iter().enumerate() {
        exact[id] = !node.src.is_empty() && (exact[id] || node.src.iter().any(|&s| exact[s]));
    }
    exact
}
