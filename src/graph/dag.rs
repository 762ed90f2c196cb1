//! A frozen graph: live nodes in topological order with named roots. What executors and the planner read.

use super::{Op, Shape};
use std::fmt::Write;

/// Index of a node in its graph; operands come before their users.
pub type NodeId = usize;

/// A primitive applied to operands.
#[derive(Clone, Debug)]
pub struct Node {
    /// The primitive.
    pub op: Op,
    /// Its operands.
    pub src: Vec<NodeId>,
    /// The extents of its value.
    pub shape: Shape,
}

/// Live nodes in topological order, and the named values a run of them produces.
#[derive(Clone, Debug, Default)]
pub struct Dag {
    /// Operands come before their users.
    pub nodes: Vec<Node>,
    /// (name, node), in the order they were asked for.
    pub roots: Vec<(String, NodeId)>,
}

impl Dag {
    /// Names of the tensors that are fed.
    pub fn inputs(&self) -> impl Iterator<Item = &str> {
        self.nodes.iter().filter_map(|node| match &node.op {
            Op::Input(name) => Some(&**name),
            _ => None,
        })
    }

    /// Number of users of each node, a root counting as one.
    pub fn uses(&self) -> Vec<usize> {
        let mut uses = vec![0; self.nodes.len()];
        for node in &self.nodes {
            for &s in &node.src {
                uses[s] += 1;
            }
        }
        for (_, id) in &self.roots {
            uses[*id] += 1;
        }
        uses
    }

    /// Elements of a root's value; 0 if there is no such root.
    pub fn root_elems(&self, name: &str) -> usize {
        self.roots.iter().find(|(n, _)| n == name).map_or(0, |(_, id)| self.nodes[*id].shape.elems())
    }

    /// Multiplications and additions of the whole graph, counting a fused multiply-add as two.
    pub fn flops(&self) -> u64 {
        (0..self.nodes.len()).map(|id| self.node_flops(id)).sum()
    }

    /// Floating-point operations of one node: exact for products, one per element elsewhere.
    pub fn node_flops(&self, id: NodeId) -> u64 {
        let node = &self.nodes[id];
        let elems = |i: usize| self.nodes[node.src[i]].shape.elems() as u64;
        let out = node.shape.elems() as u64;
        match &node.op {
            Op::MatMul { ta, .. } => 2 * out * self.nodes[node.src[0]].shape[usize::from(!*ta)] as u64,
            Op::Conv(c) => {
                2 * out * (elems(1) / *node.shape.last().unwrap_or(&1) as u64).max((c.kernel[0] * c.kernel[1]) as u64)
            }
            Op::ConvX(_) => {
                let w = &self.nodes[node.src[1]].shape;
                2 * elems(0) * (w[0] * w[1] * w[2]) as u64
            }
            Op::ConvW(_) => 2 * elems(1) * (node.shape[0] * node.shape[1] * node.shape[2]) as u64,
            Op::Fir(f) => 2 * out * (f.taps.len() * f.taps.len()) as u64,
            Op::Sum(_) => elems(0),
            Op::Sample | Op::SampleAdjoint => 8 * out.max(elems(0)),
            Op::ScatterAdd => elems(0),
            op if op.is_pointwise() => out,
            _ => 0,
        }
    }

    /// One line per node: `%7 = conv(%3, %5) [8,16,16,32] {…}`.
    pub fn dump(&self) -> String {
        let mut text = String::new();
        for (id, node) in self.nodes.iter().enumerate() {
            let args: Vec<String> = node.src.iter().map(|s| format!("%{s}")).collect();
            let attrs = match &node.op {
                Op::Input(n) | Op::Param(n) | Op::State(n) => format!(" {n}"),
                Op::Const(c) | Op::Scale(c) | Op::Pow(c) => format!(" {}", c.0),
                Op::Rand { dist, stream } => format!(" {dist:?} stream {stream}"),
                Op::Permute(v) | Op::Sum(v) | Op::Slice(v) | Op::Pad(v) => format!(" {v:?}"),
                Op::MatMul { ta, tb } => format!(" ta {ta} tb {tb}"),
                Op::Conv(c) | Op::ConvX(c) | Op::ConvW(c) => {
                    format!(" k {:?} s {:?} p {:?} g {} x {:?}", c.kernel, c.stride, c.pad, c.groups, c.input)
                }
                Op::Fir(f) => format!(" {} taps up {} down {} pad {:?}", f.taps.len(), f.up, f.down, f.pad),
                _ => String::new(),
            };
            let _ = writeln!(text, "%{id} = {}({}) {}{attrs}", node.op.kind().name(), args.join(", "), node.shape);
        }
        for (name, id) in &self.roots {
            let _ = writeln!(text, "{name} = %{id}");
        }
        text
    }
}
