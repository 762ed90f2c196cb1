//! Building graphs: [`Graph`] owns the nodes, [`Tensor`] is a copyable handle with the field's usual methods.
//!
//! Equal nodes are shared (hash-consing) and constants are folded as nodes are made, which keeps gradient graphs small.
//! Shapes are checked when a node is made: a mismatch is a mistake in the program that builds the graph and panics with
//! both shapes.

use super::{ConvSpec, Dag, Dist, FirSpec, Node, NodeId, Op, Real, Shape};
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

    fn push(&self, op: Op, src: Vec<NodeId>, shape: Shape) -> Tensor<'_> {
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
        assert!(id < self.len(), "node {id} is not in this graph");
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
        self.push(Op::Rand { dist, stream }, vec![], shape.into())
    }

    /// Freezes what `roots` need, in topological order.
    pub fn freeze(&self, roots: &[(String, Tensor)]) -> Dag {
        let inner = self.inner.borrow();
        let mut live = vec![false; inner.nodes.len()];
        for (_, root) in roots {
            assert!(std::ptr::eq(root.graph, self), "a root of another graph");
            live[root.id] = true;
        }
        for id in (0..inner.nodes.len()).rev() {
            if live[id] {
                inner.nodes[id].src.iter().for_each(|&s| live[s] = true);
            }
        }
        let mut new_id = vec![usize::MAX; inner.nodes.len()];
        let mut dag = Dag::default();
        for (id, node) in inner.nodes.iter().enumerate().filter(|(id, _)| live[*id]) {
            new_id[id] = dag.nodes.len();
            let src = node.src.iter().map(|&s| new_id[s]).collect();
            dag.nodes.push(Node { op: node.op.clone(), src, shape: node.shape.clone() });
        }
        dag.roots = roots.iter().map(|(name, t)| (name.clone(), new_id[t.id])).collect();
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

    fn op(self) -> Op {
        self.graph.inner.borrow().nodes[self.id].op.clone()
    }

    fn src(self, i: usize) -> Tensor<'g> {
        Tensor { graph: self.graph, id: self.graph.inner.borrow().nodes[self.id].src[i] }
    }

    fn const_value(self) -> Option<f64> {
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
        assert!(a.len() == b.len(), "broadcast of {a} with {b}: ranks differ, reshape first");
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

    /// `a` where self > 0, else `b`.
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

    /// The same elements in another shape.
    pub fn reshape(self, shape: impl Into<Shape>) -> Tensor<'g> {
        let (from, shape) = (self.shape(), shape.into());
        assert!(from.elems() == shape.elems(), "reshape of {from} to {shape}");
        if from == shape {
            return self;
        }
        match self.op() {
            Op::Const(c) => self.graph.constant(c.0, shape),
            Op::Reshape => self.src(0).reshape(shape),
            _ => self.graph.push(Op::Reshape, vec![self.id], shape),
        }
    }

    /// Output axis i is axis `axes[i]` of self.
    pub fn permute(self, axes: &[usize]) -> Tensor<'g> {
        let from = self.shape();
        let mut seen = axes.to_vec();
        seen.sort_unstable();
        assert!(seen.iter().copied().eq(0..from.len()), "permute of {from} by {axes:?}");
        let shape: Vec<usize> = axes.iter().map(|&a| from[a]).collect();
        if axes.iter().copied().eq(0..from.len()) {
            return self;
        }
        match self.op() {
            Op::Const(c) => self.graph.constant(c.0, shape),
            Op::Permute(inner) => {
                let both: Vec<usize> = axes.iter().map(|&a| inner[a]).collect();
                self.src(0).permute(&both)
            }
            _ => self.graph.push(Op::Permute(axes.to_vec()), vec![self.id], shape.into()),
        }
    }

    /// Repeats axes of extent 1.
    pub fn expand(self, shape: impl Into<Shape>) -> Tensor<'g> {
        let (from, shape) = (self.shape(), shape.into());
        let fits = from.len() == shape.len() && from.iter().zip(shape.iter()).all(|(&m, &n)| m == n || m == 1);
        assert!(fits, "expand of {from} to {shape}");
        if from == shape {
            return self;
        }
        match self.op() {
            Op::Const(c) => self.graph.constant(c.0, shape),
            Op::Expand => self.src(0).expand(shape),
            _ => self.graph.push(Op::Expand, vec![self.id], shape),
        }
    }

    /// Sum over `axes`, which stay with extent 1.
    pub fn sum(self, axes: &[usize]) -> Tensor<'g> {
        let from = self.shape();
        let mut axes: Vec<usize> = axes.iter().copied().filter(|&a| from[a] != 1).collect();
        axes.sort_unstable();
        axes.dedup();
        if axes.is_empty() {
            return self;
        }
        let count: usize = axes.iter().map(|&a| from[a]).product();
        let shape: Vec<usize> = (0..from.len()).map(|a| if axes.contains(&a) { 1 } else { from[a] }).collect();
        match self.op() {
            Op::Const(c) => self.graph.constant(c.0 * count as f64, shape),
            _ => self.graph.push(Op::Sum(axes), vec![self.id], shape.into()),
        }
    }

    /// Mean over `axes`, which stay with extent 1.
    pub fn mean(self, axes: &[usize]) -> Tensor<'g> {
        let from = self.shape();
        let mut axes = axes.to_vec();
        axes.sort_unstable();
        axes.dedup();
        let count: usize = axes.iter().map(|&a| from[a]).product();
        self.sum(&axes).scale(1.0 / count as f64)
    }

    /// Sum of all elements, as `[1]`.
    pub fn sum_all(self) -> Tensor<'g> {
        let n = self.shape().elems();
        self.reshape([n]).sum(&[0])
    }

    /// Mean of all elements, as `[1]`.
    pub fn mean_all(self) -> Tensor<'g> {
        self.sum_all().scale(1.0 / self.shape().elems() as f64)
    }

    /// The box that starts at `start` and has `shape`.
    pub fn slice(self, start: &[usize], shape: impl Into<Shape>) -> Tensor<'g> {
        let (from, shape) = (self.shape(), shape.into());
        let fits = start.len() == from.len()
            && shape.len() == from.len()
            && (0..from.len()).all(|a| start[a] + shape[a] <= from[a]);
        assert!(fits, "slice of {from} at {start:?} to {shape}");
        if from == shape {
            return self;
        }
        match self.op() {
            Op::Const(c) => self.graph.constant(c.0, shape),
            _ => self.graph.push(Op::Slice(start.to_vec()), vec![self.id], shape),
        }
    }

    /// Zeros of `shape` with self at `start`.
    pub fn pad(self, start: &[usize], shape: impl Into<Shape>) -> Tensor<'g> {
        let (from, shape) = (self.shape(), shape.into());
        let fits = start.len() == from.len()
            && shape.len() == from.len()
            && (0..from.len()).all(|a| start[a] + from[a] <= shape[a]);
        assert!(fits, "pad of {from} at {start:?} to {shape}");
        if from == shape {
            return self;
        }
        match self.const_value() {
            Some(0.0) => self.graph.constant(0.0, shape),
            _ => self.graph.push(Op::Pad(start.to_vec()), vec![self.id], shape),
        }
    }

    /// Joins tensors along `axis` (zeros plus offsets: Pad and Add).
    pub fn concat(parts: &[Tensor<'g>], axis: usize) -> Tensor<'g> {
        let mut shape = parts[0].shape().to_vec();
        shape[axis] = parts.iter().map(|p| p.dim(axis)).sum();
        let mut start = vec![0; shape.len()];
        let mut whole: Option<Tensor<'g>> = None;
        for part in parts {
            let placed = part.pad(&start, shape.as_slice());
            start[axis] += part.dim(axis);
            whole = Some(whole.map_or(placed, |w| w + placed));
        }
        whole.expect("concat of at least one tensor")
    }

    /// Matrix product of `[m,k]` and `[k,n]`, each transposed first where its flag is set.
    pub fn matmul_t(self, ta: bool, other: Tensor<'g>, tb: bool) -> Tensor<'g> {
        let (a, b) = (self.shape(), other.shape());
        assert!(a.len() == 2 && b.len() == 2, "matmul of {a} and {b}: both must be matrices");
        let (m, k) = if ta { (a[1], a[0]) } else { (a[0], a[1]) };
        let (l, n) = if tb { (b[1], b[0]) } else { (b[0], b[1]) };
        assert!(k == l, "matmul of {a} (transposed: {ta}) and {b} (transposed: {tb}): inner extents differ");
        if self.const_value() == Some(0.0) || other.const_value() == Some(0.0) {
            return self.graph.constant(0.0, [m, n]);
        }
        self.graph.push(Op::MatMul { ta, tb }, vec![self.id, other.id], [m, n].into())
    }

    /// Matrix product of `[m,k]` and `[k,n]`.
    pub fn matmul(self, other: Tensor<'g>) -> Tensor<'g> {
        self.matmul_t(false, other, false)
    }

    /// Convolution of self [N,H,W,Cin] with `w` [Kh,Kw,Cin/groups,Cout].
    pub fn conv(self, w: Tensor<'g>, stride: usize, pad: usize, groups: usize) -> Tensor<'g> {
        let (x, k) = (self.shape(), w.shape());
        assert!(x.len() == 4 && k.len() == 4, "conv of {x} with {k}: both must have rank 4");
        let spec = ConvSpec { stride: [stride; 2], pad: [pad; 2], groups, kernel: [k[0], k[1]], input: [x[1], x[2]] };
        self.conv_spec(w, spec)
    }

    /// Transposed convolution of self [N,H,W,Cout] with `w` [Kh,Kw,Cin/groups,Cout] to [N,(H−1)·stride+K−2·pad,…,Cin]:
    /// the input gradient of the convolution that maps Cin to Cout.
    pub fn conv_transpose(self, w: Tensor<'g>, stride: usize, pad: usize, groups: usize) -> Tensor<'g> {
        let (y, k) = (self.shape(), w.shape());
        assert!(y.len() == 4 && k.len() == 4, "conv_transpose of {y} with {k}: both must have rank 4");
        let extent = |n: usize, kernel: usize| (n - 1) * stride + kernel - 2 * pad;
        let input = [extent(y[1], k[0]), extent(y[2], k[1])];
        let spec = ConvSpec { stride: [stride; 2], pad: [pad; 2], groups, kernel: [k[0], k[1]], input };
        self.conv_x_spec(w, spec)
    }

    /// Convolution with explicit geometry: (x, w) → y.
    pub fn conv_spec(self, w: Tensor<'g>, spec: ConvSpec) -> Tensor<'g> {
        let (x, k) = (self.shape(), w.shape());
        check_conv(&x, &k, None, &spec);
        let [ho, wo] = spec.output();
        let shape = Shape::from([x[0], ho, wo, k[3]]);
        self.conv_family(Op::Conv(spec), w, shape)
    }

    /// Input gradient of a convolution: (y, w) → x.
    pub fn conv_x_spec(self, w: Tensor<'g>, spec: ConvSpec) -> Tensor<'g> {
        let (y, k) = (self.shape(), w.shape());
        let x = Shape::from([y[0], spec.input[0], spec.input[1], k[2] * spec.groups]);
        check_conv(&x, &k, Some(&y), &spec);
        self.conv_family(Op::ConvX(spec), w, x)
    }

    /// Weight gradient of a convolution: (x, y) → w.
    pub fn conv_w_spec(self, y: Tensor<'g>, spec: ConvSpec) -> Tensor<'g> {
        let (x, out) = (self.shape(), y.shape());
        let k = Shape::from([spec.kernel[0], spec.kernel[1], x[3] / spec.groups, out[3]]);
        check_conv(&x, &k, Some(&out), &spec);
        self.conv_family(Op::ConvW(spec), y, k)
    }

    fn conv_family(self, op: Op, other: Tensor<'g>, shape: Shape) -> Tensor<'g> {
        if self.const_value() == Some(0.0) || other.const_value() == Some(0.0) {
            return self.graph.constant(0.0, shape);
        }
        self.graph.push(op, vec![self.id, other.id], shape)
    }

    /// Filters H and W of an NHWC tensor.
    pub fn fir(self, spec: FirSpec) -> Tensor<'g> {
        let x = self.shape();
        assert!(x.len() == 4 && spec.up > 0 && spec.down > 0 && !spec.taps.is_empty(), "fir of {x} by {spec:?}");
        let shape = Shape::from([x[0], spec.output(0, x[1]), spec.output(1, x[2]), x[3]]);
        if self.const_value() == Some(0.0) {
            return self.graph.constant(0.0, shape);
        }
        self.graph.push(Op::Fir(spec), vec![self.id], shape)
    }

    /// Rows of self [R, …] picked by `index` [B].
    pub fn gather(self, index: Tensor<'g>) -> Tensor<'g> {
        let (mut shape, at) = (self.shape().to_vec(), index.shape());
        assert!(at.len() == 1, "gather with index {at}: must have rank 1");
        shape[0] = at[0];
        self.graph.push(Op::Gather, vec![self.id, index.id], shape.into())
    }

    /// Adds row b of self [B, …] to row `index[b]` of zeros [rows, …].
    pub fn scatter_add(self, index: Tensor<'g>, rows: usize) -> Tensor<'g> {
        let (mut shape, at) = (self.shape().to_vec(), index.shape());
        assert!(at.len() == 1 && at[0] == shape[0], "scatter_add of {shape:?} with index {at}");
        shape[0] = rows;
        self.graph.push(Op::ScatterAdd, vec![self.id, index.id], shape.into())
    }

    /// Bilinear samples of self [N,H,W,C] at `grid` [N,Ho,Wo,2], (y, x) in pixels, zero outside.
    pub fn sample(self, grid: Tensor<'g>) -> Tensor<'g> {
        let (x, at) = (self.shape(), grid.shape());
        assert!(x.len() == 4 && at.len() == 4 && at[0] == x[0] && at[3] == 2, "sample of {x} at {at}");
        self.graph.push(Op::Sample, vec![self.id, grid.id], [x[0], at[1], at[2], x[3]].into())
    }

    /// Adjoint of [`Tensor::sample`] for an image of extent `size` (H, W).
    pub fn sample_adjoint(self, grid: Tensor<'g>, size: [usize; 2]) -> Tensor<'g> {
        let (y, at) = (self.shape(), grid.shape());
        assert!(y.len() == 4 && at.len() == 4 && at[..3] == y[..3] && at[3] == 2, "sample_adjoint of {y} at {at}");
        self.graph.push(Op::SampleAdjoint, vec![self.id, grid.id], [y[0], size[0], size[1], y[3]].into())
    }
}

/// Addition and multiplication commute: one order, so that `a + b` and `b + a` are one node.
fn ordered(a: Tensor, b: Tensor) -> Vec<NodeId> {
    vec![a.id.min(b.id), a.id.max(b.id)]
}

fn check_conv(x: &Shape, w: &Shape, y: Option<&Shape>, spec: &ConvSpec) {
    let ok = x.len() == 4
        && w.len() == 4
        && spec.groups > 0
        && x[3] == w[2] * spec.groups
        && w[3] % spec.groups == 0
        && [w[0], w[1]] == spec.kernel
        && [x[1], x[2]] == spec.input
        && (0..2).all(|a| spec.stride[a] > 0 && spec.input[a] + 2 * spec.pad[a] >= spec.kernel[a]);
    assert!(ok, "convolution of x {x} with w {w}: {spec:?}");
    if let Some(y) = y {
        let [ho, wo] = spec.output();
        assert!(**y == [x[0], ho, wo, w[3]], "convolution of x {x} with w {w}: y is {y}, {spec:?}");
    }
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
