//! What does not depend on the inputs is computed when the model is written: statistics of normalisation become a factor and
//! a shift, weights get the layout that the operator wants.

use super::symbolic::Extent;
use crate::Result;
use crate::graph::{Dag, Node, NodeId, Op};
use crate::host::{Rng, eval};
use std::collections::HashMap;

/// Values by node of what needs no input and is read by something that does; `feeds` holds parameters and states by name.
///
/// # Errors
/// A parameter or state that is not fed.
pub fn constants(
    dag: &Dag,
    extents: &[Vec<Extent>],
    feeds: &HashMap<String, Vec<f64>>,
) -> Result<HashMap<NodeId, Vec<f32>>> {
    let mut known = vec![false; dag.nodes.len()];
    for (id, node) in dag.nodes.iter().enumerate() {
        let given = matches!(node.op, Op::Input(_) | Op::Rand { .. });
        let grows = extents[id].iter().any(|e| matches!(e, Extent::Rows(_)));
        known[id] = !given && !grows && node.src.iter().all(|&s| known[s]);
    }
    // Repeated values stay as small as they are, and so do constants: neither is stored.
    let stored = |id: NodeId| known[id] && !matches!(dag.nodes[id].op, Op::Const(_) | Op::Expand);
    let mut read = vec![false; dag.nodes.len()];
    for (id, node) in dag.nodes.iter().enumerate() {
        if !stored(id) {
            node.src.iter().for_each(|&s| read[s] = true);
        }
    }
    dag.roots.iter().for_each(|(_, id)| read[*id] = true);
    let mut place = vec![0; dag.nodes.len()];
    let mut part = Dag::default();
    for (id, node) in dag.nodes.iter().enumerate().filter(|(id, _)| known[*id]) {
        place[id] = part.nodes.len();
        let src = node.src.iter().map(|&s| place[s]).collect();
        part.nodes.push(Node { op: node.op.clone(), src, shape: node.shape.clone() });
        if stored(id) && read[id] {
            part.roots.push((id.to_string(), place[id]));
        }
    }
    let values = eval::<f64>(&part, feeds, Rng::default())?;
    let of = |(id, values): (String, Vec<f64>)| Some((id.parse().ok()?, values.iter().map(|v| *v as f32).collect()));
    Ok(values.into_iter().filter_map(of).collect())
}
