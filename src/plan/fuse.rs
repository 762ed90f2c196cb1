//! Fusion: deciding which values are kept in memory. Everything else is computed inside the chain of its user.
//!
//! A fused kernel has no derivative rule: gradients were taken before. With fusion off every primitive makes a step.

use super::chain::{self, Built};
use super::step::Chain;
use crate::graph::{Dag, NodeId, Op};

/// Views a chain may have: with the output and a scratch region it stays within the portable 8 storage bindings.
pub(super) const MAX_VIEWS: usize = 6;
/// Limits of indices a chain may have: what the parameters of a kernel hold.
const MAX_LIMITS: usize = 8;
/// Lines a chain may have before it is cut.
const MAX_LINES: usize = 96;
/// A value with users in several chains is computed again in each when that takes at most this much arithmetic …
const CHEAP: u32 = 4;
/// … from at most this many loads.
const CHEAP_LOADS: u32 = 3;
/// From one kept value it is also computed again when that takes at most this much arithmetic: to keep it would cost a launch, and
/// more trips to memory.
const SHORT: u32 = 12;

/// For each node whether its value is kept in memory. Leaves are kept; views never are (they stand for their base).
pub(super) fn decide(dag: &Dag, fuse: bool) -> Vec<bool> {
    let mut keep: Vec<bool> = dag.nodes.iter().map(|n| !in_chains(&n.op) && !n.op.is_view()).collect();
    for node in dag.nodes.iter().filter(|n| needs_memory(&n.op)) {
        for &s in &node.src {
            keep[base(dag, s)] = true;
        }
    }
    for (_, root) in &dag.roots {
        keep[base(dag, *root)] = true;
    }
    if fuse {
        keep_shared(dag, &mut keep);
    } else {
        for (id, node) in dag.nodes.iter().enumerate() {
            keep[id] |= in_chains(&node.op) && !matches!(node.op, Op::Const(_));
        }
    }
    while let Some(id) = must_keep(dag, &keep) {
        keep[id] = true;
    }
    keep
}

/// Follows reshapes and detaches to the node whose elements they show.
pub(super) fn base(dag: &Dag, mut id: NodeId) -> NodeId {
    while dag.nodes[id].op.is_view() {
        id = dag.nodes[id].src[0];
    }
    id
}

/// Whether a node can be part of a chain.
pub(super) fn in_chains(op: &Op) -> bool {
    op.is_pointwise() || matches!(op, Op::Const(_) | Op::Expand | Op::Permute(_) | Op::Slice(_) | Op::Pad(_))
}

/// Whether a node reads its operands from memory, contiguous, rather than through a chain.
fn needs_memory(op: &Op) -> bool {
    !in_chains(op) && !op.is_view() && !matches!(op, Op::Sum(_))
}

/// Arithmetic of a node alone.
fn arithmetic(op: &Op) -> u32 {
    match op {
        Op::Exp | Op::Log | Op::Pow(_) | Op::Sigmoid | Op::Tanh | Op::Softplus => 16,
        op => u32::from(op.is_pointwise()),
    }
}

/// (arithmetic, loads) of computing a node from products and leaves, saturating; what is used twice counts twice.
fn costs(dag: &Dag) -> Vec<(u32, u32)> {
    let mut costs: Vec<(u32, u32)> = Vec::with_capacity(dag.nodes.len());
    for node in &dag.nodes {
        let cost = match &node.op {
            Op::Const(_) => (0, 0),
            op if in_chains(op) || op.is_view() => node.src.iter().fold((arithmetic(op), 0), |sum: (u32, u32), &s| {
                (sum.0.saturating_add(costs[s].0), sum.1.saturating_add(costs[s].1))
            }),
            _ => (0, 1),
        };
        costs.push(cost);
    }
    costs
}

/// Keeps what several chains use and is not cheap to compute again, and what an expand would compute many times.
fn keep_shared(dag: &Dag, keep: &mut [bool]) {
    let costs = costs(dag);
    let mut shared = vec![];
    // The chains (named by the kept node or sum they end in) that a node not kept is part of; two stand for many.
    let mut chains: Vec<Vec<NodeId>> = vec![vec![]; dag.nodes.len()];
    for id in (0..dag.nodes.len()).rev() {
        let node = &dag.nodes[id];
        let (arithmetic, loads) = costs[id];
        if chains[id].len() > 1 && in_chains(&node.op) && (arithmetic > CHEAP || loads > CHEAP_LOADS) {
            // What an expand repeats is kept small, before it is repeated.
            let source = if matches!(node.op, Op::Expand) { base(dag, node.src[0]) } else { id };
            if source == id && !keep[id] {
                shared.push(id);
            }
            keep[source] |= in_chains(&dag.nodes[source].op);
        }
        let ends: Vec<NodeId> = if keep[id] || matches!(node.op, Op::Sum(_)) { vec![id] } else { chains[id].clone() };
        for &s in &node.src {
            let grows = matches!(node.op, Op::Expand) && costs[s].0 > 1;
            let b = base(dag, s);
            keep[b] |= grows && in_chains(&dag.nodes[b].op);
            for &end in &ends {
                if chains[s].len() < 2 && !chains[s].contains(&end) {
                    chains[s].push(end);
                }
            }
        }
    }
    // What lies deeper is decided first: what is kept there makes the others short.
    for id in shared.into_iter().rev() {
        keep[id] = !is_short(dag, keep, id);
    }
}

/// Whether a node is little work from one kept value.
fn is_short(dag: &Dag, keep: &[bool], id: NodeId) -> bool {
    let (mut work, mut met, mut kept) = (0, vec![id], 0);
    let mut next = 0;
    while let Some(&node) = met.get(next) {
        next += 1;
        let op = &dag.nodes[node].op;
        if matches!(op, Op::Const(_)) {
            continue;
        }
        if node != id && !op.is_view() && (keep[node] || !in_chains(op)) {
            kept += 1;
        } else {
            work += arithmetic(op);
            for s in &dag.nodes[node].src {
                if !met.contains(s) {
                    met.push(*s);
                }
            }
        }
        if work > SHORT || kept > 1 {
            return false;
        }
    }
    true
}

/// A node that has to be kept because some chain can't be built or is too wide without it.
fn must_keep(dag: &Dag, keep: &[bool]) -> Option<NodeId> {
    for (id, node) in dag.nodes.iter().enumerate() {
        let built = match &node.op {
            Op::Sum(axes) => chain::build(dag, keep, node.src[0], false, axes),
            op if in_chains(op) && keep[id] => chain::build(dag, keep, id, true, &[]),
            _ => continue,
        };
        let built = match built {
            Ok(built) => built,
            Err(obstacle) => return Some(obstacle),
        };
        if !fits(&built) {
            let top = if matches!(node.op, Op::Sum(_)) { base(dag, node.src[0]) } else { id };
            // A sum over a chain that is too wide first cuts the chain off; the chain then cuts itself.
            return Some(if top != id && !keep[top] { top } else { widest_operand(dag, keep, top) });
        }
    }
    None
}

fn fits(built: &Built) -> bool {
    let Chain { instrs, .. } = &built.chain;
    built.inputs.len() <= MAX_VIEWS && instrs.len() <= MAX_LINES && built.chain.limits().len() <= MAX_LIMITS
}

/// The operand, as deep as need be, that reads the most kept nodes itself while fitting into one chain.
fn widest_operand(dag: &Dag, keep: &[bool], top: NodeId) -> NodeId {
    let mut stack: Vec<NodeId> = dag.nodes[top].src.iter().map(|&s| base(dag, s)).collect();
    let mut best = ((0, 0), top);
    while let Some(id) = stack.pop() {
        if keep[id] || !in_chains(&dag.nodes[id].op) || matches!(dag.nodes[id].op, Op::Const(_)) {
            continue;
        }
        // What reads nothing is chosen by its limits.
        let built = chain::build(dag, keep, id, true, &[]).ok().filter(|b| b.inputs.len() <= MAX_VIEWS);
        let width = built.map_or((0, 0), |b| (b.inputs.len(), b.chain.limits().len()));
        if width.1 <= MAX_LIMITS && width > best.0 {
            best = (width, id);
        }
        stack.extend(dag.nodes[id].src.iter().map(|&s| base(dag, s)));
    }
    best.1
}
