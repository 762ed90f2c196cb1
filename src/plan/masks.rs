//! Derivatives of rectifiers read from their outputs.
//!
//! A leaky rectifier y = select(x, x, s·x) with s ≥ 0 has the sign of its input, so step(x) = step(y): the derivative can look
//! at y, which is kept for the next layer anyway, and x need not be kept at all. Exact, zeros and NaN included.

use crate::graph::{Dag, Node, NodeId, Op, Real};
use std::collections::HashMap;

/// The graph with the mask of each rectifier's input replaced by the mask of its output, wherever that is known.
pub(super) fn masks_of_outputs(dag: &Dag) -> Dag {
    let mut out = Dag::default();
    // New numbers of the old nodes; of a rectifier's input x, the rectifier's output y.
    let mut number: Vec<NodeId> = Vec::with_capacity(dag.nodes.len());
    let mut output_of: HashMap<NodeId, NodeId> = HashMap::new();
    let mut masks: HashMap<NodeId, NodeId> = HashMap::new();
    for node in &dag.nodes {
        let src: Vec<NodeId> = node.src.iter().map(|&s| number[s]).collect();
        let masked = match (&node.op, src.first()) {
            (Op::Step | Op::Select, Some(x)) => output_of.get(x).copied(),
            _ => None,
        };
        let id = match (&node.op, masked) {
            (Op::Step, Some(y)) => *masks.entry(y).or_insert_with(|| push(&mut out, node, vec![y])),
            (_, Some(y)) => push(&mut out, node, std::iter::once(y).chain(src[1..].iter().copied()).collect()),
            (_, None) => push(&mut out, node, src),
        };
        if let Some(x) = rectifies(&out, id) {
            output_of.entry(x).or_insert(id);
        }
        number.push(id);
    }
    out.roots = dag.roots.iter().map(|(name, id)| (name.clone(), number[*id])).collect();
    out
}

fn push(dag: &mut Dag, node: &Node, src: Vec<NodeId>) -> NodeId {
    dag.nodes.push(Node { src, ..node.clone() });
    dag.nodes.len() - 1
}

/// The input of a node that is a leaky rectifier of it.
fn rectifies(dag: &Dag, id: NodeId) -> Option<NodeId> {
    let node = &dag.nodes[id];
    let [condition, positive, negative] = node.src[..] else { return None };
    let same = matches!(node.op, Op::Select) && condition == positive;
    let scaled = |slope: Real, of: NodeId| slope.0 >= 0.0 && of == positive;
    let leaks = match &dag.nodes[negative].op {
        Op::Scale(slope) => scaled(*slope, dag.nodes[negative].src[0]),
        Op::Const(zero) => zero.0 == 0.0,
        _ => false,
    };
    (same && leaks).then_some(positive)
}
