//! What is left of x − detach(x) when all derivatives are taken: nothing.
//!
//! Such a difference carries a derivative that is cheaper to write than that of the value it is added to: v + x − detach(x) has the value of
//! v and, where v is detached, the derivative of x.

use super::{Node, NodeId, Op};

/// Nodes of a graph whose derivatives are taken.
pub(super) struct Settled {
    /// The node that each stands for: of a sum with 0, the other operand.
    pub stands: Vec<NodeId>,
    /// Whether a node is 0.
    pub zero: Vec<bool>,
}

impl Settled {
    pub fn of(nodes: &[Node]) -> Settled {
        let (mut stands, mut zero): (Vec<NodeId>, Vec<bool>) = (vec![], vec![]);
        for (id, node) in nodes.iter().enumerate() {
            let (mut stand, mut nothing) = (id, false);
            if let (Op::Add, &[a, b]) = (&node.op, &node.src[..]) {
                let (a, b) = (stands[a], stands[b]);
                nothing = undoes(nodes, a, b) || undoes(nodes, b, a);
                stand = if zero[a] {
                    b
                } else if zero[b] {
                    a
                } else {
                    id
                };
            }
            stands.push(stand);
            zero.push(nothing);
        }
        Settled { stands, zero }
    }
}

/// Whether `b` is −detach(a).
fn undoes(nodes: &[Node], a: NodeId, b: NodeId) -> bool {
    let negated = matches!(&nodes[b].op, Op::Scale(c) if c.0 == -1.0).then(|| nodes[b].src[0]);
    negated.is_some_and(|n| matches!(nodes[n].op, Op::Detach) && nodes[n].src[0] == a)
}
