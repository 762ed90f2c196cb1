//! Building graphs: [`Graph`] owns the nodes, [`Tensor`] is a copyable handle with the field's usual methods.
//!
//! Equal nodes are shared (hash-consing) and constants are folded as nodes are made, which keeps gradient graphs small.
//! Shapes are checked when a node is made: a mismatch is a mistake in the program that builds the graph and panics with
//! both shapes.

use super::settled::Settled;
use super::{Dag, Dist, Node, NodeId, Op, Real, Shape, require};
use std::cell::RefCell;
use std::collections::HashMap;
use std::fmt;
use std::ops;
use std::sync::Arc;

#[derive(Default)]
struct Inner {
    nodes: Vec<Node>,
    known: HashMap<(Op, Vec<NodeId>, Shape), NodeId>,
}

/// A growing graph of hash-consed nodes.
#[derive(Default)]
pub struct Graph {
    inner: RefCell<Inner>,
    /// Which part of a batch it is about, and of how many, where there are several.
    part: Option<[usize; 2]>,
}

/// A value in a [`Graph`].
#[derive(Clone, Copy)]
pub struct Tensor<'g> {
    graph: &'g Graph,
    id: NodeId,
}

impl Graph {
    /// An empty graph.
    pub fn new() -> Graph {
        Graph::default()
    }

    /// An empty graph about part `part` of a batch that is cut into `parts` along its first axis. Random tensors are that part of those of
    /// the whole batch: what is drawn for an example does not depend on the cut.
    pub fn of_part(part: usize, parts: usize) -> Graph {
        require!(part < parts, "part {part} of {parts}");
        Graph { part: (parts > 1).then_some([part, parts]), ..Graph::default() }
    }

    pub(super) fn push(&self, op: Op, src: Vec<NodeId>, shape: Shape) -> Tensor<'_> {
        let inner = &mut *self.inner.borrow_mut();
        let key = (op, src, shape);
        let id = match inner.known.get(&key) {
            Some(&id) => id,
            None => {
                let (op, src, shape) = key.clone();
                inner.nodes.push(Node { op, src, shape });
                inner.known.insert(key, inner.nodes.len() - 1);
                inner.nodes.len() - 1
            }
        };
        Tensor { graph: self, id }
    }

    /// A copy of node `id`.
    pub fn node(&self, id: NodeId) -> Node {
        self.inner.borrow().nodes[id].clone()
    }

    /// Handle of node `id`.
    pub fn tensor(&self, id: NodeId) -> Tensor<'_> {
        require!(id < self.len(), "node {id} is not in this graph");
        Tensor { graph: self, id }
    }

    /// Number of nodes made so far, dead ones included.
    pub fn len(&self) -> usize {
        self.inner.borrow().nodes.len()
    }

    /// Whether no node was made yet.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// A tensor the caller feeds.
    pub fn input(&self, name: &str, shape: impl Into<Shape>) -> Tensor<'_> {
        self.push(Op::Input(Arc::from(name)), vec![], shape.into())
    }

    /// A trainable tensor.
    pub fn param(&self, name: &str, shape: impl Into<Shape>) -> Tensor<'_> {
        self.push(Op::Param(Arc::from(name)), vec![], shape.into())
    }

    /// A persistent tensor that graphs update.
    pub fn state(&self, name: &str, shape: impl Into<Shape>) -> Tensor<'_> {
        self.push(Op::State(Arc::from(name)), vec![], shape.into())
    }

    /// A tensor filled with `value`.
    pub fn constant(&self, value: f64, shape: impl Into<Shape>) -> Tensor<'_> {
        self.push(Op::Const(Real(value)), vec![], shape.into())
    }

    /// Random numbers of a stream: the same (seed, stream, step) gives the same numbers on every device.
    pub fn rand(&self, dist: Dist, stream: u32, shape: impl Into<Shape>) -> Tensor<'_> {
        let shape = shape.into();
        let Some([part, parts]) = self.part else { return self.push(Op::Rand { dist, stream }, vec![], shape) };
        let (mut whole, mut from) = (shape.to_vec(), vec![0; shape.len()]);
        from[0] = part * shape[0];
        whole[0] *= parts;
        self.push(Op::Rand { dist, stream }, vec![], whole.into()).slice(&from, shape)
    }

    /// Adds the nodes of a frozen graph and returns their tensors, by number.
    pub fn thaw(&self, dag: &Dag) -> Vec<Tensor<'_>> {
        let mut tensors: Vec<Tensor> = Vec::with_capacity(dag.nodes.len());
        for node in &dag.nodes {
            let src = node.src.iter().map(|&s| tensors[s].id()).collect();
            tensors.push(self.push(node.op.clone(), src, node.shape.clone()));
        }
        tensors
    }

    /// Freezes what `roots` need, in topological order. Derivatives were taken before: x − detach(x), which is there for its derivative
    /// alone, is 0 from here on and costs nothing.
    pub fn freeze(&self, roots: &[(String, Tensor)]) -> Dag {
        let inner = self.inner.borrow();
        let settled = Settled::of(&inner.nodes);
        let sources = |id: NodeId| inner.nodes[id].src.iter().map(|&s| settled.stands[s]);
        let mut live = vec![false; inner.nodes.len()];
        for (_, root) in roots {
            require!(std::ptr::eq(root.graph, self), "a root of another graph");
            live[settled.stands[root.id]] = true;
        }
        for id in (0..inner.nodes.len()).rev() {
            if live[id] && !settled.zero[id] {
                sources(id).for_each(|s| live[s] = true);
            }
        }
        let mut new_id = vec![usize::MAX; inner.nodes.len()];
        let mut dag = Dag::default();
        for (id, node) in inner.nodes.iter().enumerate().filter(|(id, _)| live[*id]) {
            new_id[id] = dag.nodes.len();
            let shape = node.shape.clone();
            dag.nodes.push(match settled.zero[id] {
                true => Node { op: Op::Const(Real(0.0)), src: vec![], shape },
                false => Node { op: node.op.clone(), src: sources(id).map(|s| new_id[s]).collect(), shape },
            });
        }
        dag.roots = roots.iter().map(|(name, t)| (name.clone(), new_id[settled.stands[t.id]])).collect();
        dag
    }
}

impl<'g> Tensor<'g> {
    /// Index of the node.
    pub fn id(self) -> NodeId {
        self.id
    }

    /// The graph the node lives in.
    pub fn graph(self) -> &'g Graph {
        self.graph
    }

    /// Extents.
    pub fn shape(self) -> Shape {
        self.graph.inner.borrow().nodes[self.id].shape.clone()
    }

    /// Extent of one axis.
    pub fn dim(self, axis: usize) -> usize {
        self.graph.inner.borrow().nodes[self.id].shape[axis]
    }

    pub(super) fn op(self) -> Op {
        self.graph.inner.borrow().nodes[self.id].op.clone()
    }

    pub(super) fn src(self, i: usize) -> Tensor<'g> {
        Tensor { graph: self.graph, id: self.graph.inner.borrow().nodes[self.id].src[i] }
    }

    pub(super) fn const_value(self) -> Option<f64> {
        match self.op() {
            Op::Const(c) => Some(c.0),
            _ => None,
        }
    }

    fn unary(self, op: Op, f: impl Fn(f64) -> f64) -> Tensor<'g> {
        match self.const_value() {
            Some(c) => self.graph.constant(f(c), self.shape()),
            None => self.graph.push(op, vec![self.id], self.shape()),
        }
    }

    /// Expands both to one shape where an extent is 1.
    fn broadcast(self, other: Tensor<'g>) -> (Tensor<'g>, Tensor<'g>) {
        let (a, b) = (self.shape(), other.shape());
        if a == b {
            return (self, other);
        }
        require!(a.len() == b.len(), "broadcast of {a} with {b}: ranks differ, reshape first");
        let shape: Vec<usize> = a.iter().zip(b.iter()).map(|(&m, &n)| if m == 1 { n } else { m }).collect();
        (self.expand(shape.as_slice()), other.expand(shape.as_slice()))
    }

    fn plus(self, other: Tensor<'g>) -> Tensor<'g> {
        let (a, b) = self.broadcast(other);
        match (a.const_value(), b.const_value()) {
            (Some(x), Some(y)) => a.graph.constant(x + y, a.shape()),
            (Some(0.0), _) => b,
            (_, Some(0.0)) => a,
            _ => a.graph.push(Op::Add, ordered(a, b), a.shape()),
        }
    }

    fn times(self, other: Tensor<'g>) -> Tensor<'g> {
        let (a, b) = self.broadcast(other);
        match (a.const_value(), b.const_value()) {
            (Some(x), _) => b.scale(x),
            (_, Some(y)) => a.scale(y),
            _ => a.graph.push(Op::Mul, ordered(a, b), a.shape()),
        }
    }

    /// c · self
    pub fn scale(self, c: f64) -> Tensor<'g> {
        if c == 1.0 {
            return self;
        }
        if c == 0.0 {
            return self.graph.constant(0.0, self.shape());
        }
        match self.op() {
            Op::Scale(d) => self.src(0).scale(c * d.0),
            _ => self.unary(Op::Scale(Real(c)), |x| c * x),
        }
    }

    /// selfᵖ. A negative base with a fractional p is NaN.
    pub fn pow(self, p: f64) -> Tensor<'g> {
        match p {
            1.0 => self,
            0.0 => self.graph.constant(1.0, self.shape()),
            _ => self.unary(Op::Pow(Real(p)), |x| x.powf(p)),
        }
    }

    /// √self
    pub fn sqrt(self) -> Tensor<'g> {
        self.pow(0.5)
    }

    /// self²
    pub fn square(self) -> Tensor<'g> {
        self * self
    }

    /// eˢᵉˡᶠ
    pub fn exp(self) -> Tensor<'g> {
        self.unary(Op::Exp, f64::exp)
    }

    /// Natural logarithm.
    pub fn log(self) -> Tensor<'g> {
        self.unary(Op::Log, f64::ln)
    }

    /// Logistic function.
    pub fn sigmoid(self) -> Tensor<'g> {
        self.unary(Op::Sigmoid, |x| 1.0 / (1.0 + (-x).exp()))
    }

    /// Hyperbolic tangent.
    pub fn tanh(self) -> Tensor<'g> {
        self.unary(Op::Tanh, f64::tanh)
    }

    /// ln(1 + eˢᵉˡᶠ), without overflow.
    pub fn softplus(self) -> Tensor<'g> {
        self.unary(Op::Softplus, |x| x.max(0.0) + (-x.abs()).exp().ln_1p())
    }

    /// |self|
    pub fn abs(self) -> Tensor<'g> {
        self.unary(Op::Abs, f64::abs)
    }

    /// −1, 0 or 1; derivative zero.
    pub fn sign(self) -> Tensor<'g> {
        self.unary(Op::Sign, |x| {
            if x > 0.0 {
                1.0
            } else if x < 0.0 {
                -1.0
            } else {
                0.0
            }
        })
    }

    /// 1 where positive, else 0; derivative zero.
    pub fn step(self) -> Tensor<'g> {
        self.unary(Op::Step, |x| f64::from(u8::from(x > 0.0)))
    }

    /// `a` where self > 0, `b` where it is not; NaN takes `a`, so that rectifiers hand it on.
    pub fn select(self, a: Tensor<'g>, b: Tensor<'g>) -> Tensor<'g> {
        let (c, a) = self.broadcast(a);
        let (c, b) = c.broadcast(b);
        let (a, b) = a.broadcast(b);
        self.graph.push(Op::Select, vec![c.id, a.id, b.id], c.shape())
    }

    /// Larger of the two, element by element.
    pub fn max(self, other: Tensor<'g>) -> Tensor<'g> {
        let (a, b) = self.broadcast(other);
        a.graph.push(Op::Max, ordered(a, b), a.shape())
    }

    /// Smaller of the two, element by element.
    pub fn min(self, other: Tensor<'g>) -> Tensor<'g> {
        let (a, b) = self.broadcast(other);
        a.graph.push(Op::Min, ordered(a, b), a.shape())
    }

    /// max(self, 0), with derivative 0 at 0.
    pub fn relu(self) -> Tensor<'g> {
        self.select(self, self.graph.constant(0.0, self.shape()))
    }

    /// self where positive, else `slope`·self.
    pub fn leaky_relu(self, slope: f64) -> Tensor<'g> {
        self.select(self, self.scale(slope))
    }

    /// self limited to [lo, hi]. Has derivative zero where it limits: keep it out of a differentiated forward pass.
    pub fn clamp(self, lo: f64, hi: f64) -> Tensor<'g> {
        let shape = self.shape();
        self.max(self.graph.constant(lo, &shape)).min(self.graph.constant(hi, &shape))
    }

    /// The same value, with derivative zero.
    pub fn detach(self) -> Tensor<'g> {
        match self.op() {
            Op::Detach | Op::Const(_) | Op::Rand { .. } => self,
            _ => self.graph.push(Op::Detach, vec![self.id], self.shape()),
        }
    }
}

/// Addition and multiplication commute: one order, so that `a + b` and `b + a` are one node.
fn ordered(a: Tensor, b: Tensor) -> Vec<NodeId> {
    vec![a.id.min(b.id), a.id.max(b.id)]
}

impl<'g> ops::Add for Tensor<'g> {
    type Output = Tensor<'g>;
    fn add(self, other: Tensor<'g>) -> Tensor<'g> {
        self.plus(other)
    }
}
impl<'g> ops::Sub for Tensor<'g> {
    type Output = Tensor<'g>;
    fn sub(self, other: Tensor<'g>) -> Tensor<'g> {
        self.plus(other.scale(-1.0))
    }
}
impl<'g> ops::Mul for Tensor<'g> {
    type Output = Tensor<'g>;
    fn mul(self, other: Tensor<'g>) -> Tensor<'g> {
        self.times(other)
    }
}
impl<'g> ops::Neg for Tensor<'g> {
    type Output = Tensor<'g>;
    fn neg(self) -> Tensor<'g> {
        self.scale(-1.0)
    }
}
impl<'g> ops::Mul<f64> for Tensor<'g> {
    type Output = Tensor<'g>;
    fn mul(self, c: f64) -> Tensor<'g> {
        self.scale(c)
    }
}
impl<'g> ops::Add<f64> for Tensor<'g> {
    type Output = Tensor<'g>;
    fn add(self, c: f64) -> Tensor<'g> {
        self.plus(self.graph.constant(c, self.shape()))
    }
}
impl<'g> ops::Sub<f64> for Tensor<'g> {
    type Output = Tensor<'g>;
    fn sub(self, c: f64) -> Tensor<'g> {
        self + -c
    }
}

impl fmt::Debug for Tensor<'_> {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let node = self.graph.node(self.id);
        write!(f, "%{} = {}{}", self.id, node.op.kind().name(), node.shape)
    }
}
