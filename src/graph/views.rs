//! Methods of [`Tensor`] that move elements: reshape, permute, expand, sum, slice, pad, concat.

use super::{Op, Shape, Tensor, refuse, require};

impl<'g> Tensor<'g> {
    /// The same elements in another shape.
    pub fn reshape(self, shape: impl Into<Shape>) -> Tensor<'g> {
        let (from, shape) = (self.shape(), shape.into());
        require!(from.elems() == shape.elems(), "reshape of {from} to {shape}");
        if from == shape {
            return self;
        }
        match self.op() {
            Op::Const(c) => self.graph().constant(c.0, shape),
            Op::Reshape => self.src(0).reshape(shape),
            _ => self.graph().push(Op::Reshape, vec![self.id()], shape),
        }
    }

    /// Output axis i is axis `axes[i]` of self.
    pub fn permute(self, axes: &[usize]) -> Tensor<'g> {
        let from = self.shape();
        let mut seen = axes.to_vec();
        seen.sort_unstable();
        require!(seen.iter().copied().eq(0..from.len()), "permute of {from} by {axes:?}");
        let shape: Vec<usize> = axes.iter().map(|&a| from[a]).collect();
        if axes.iter().copied().eq(0..from.len()) {
            return self;
        }
        match self.op() {
            Op::Const(c) => self.graph().constant(c.0, shape),
            Op::Permute(inner) => {
                let both: Vec<usize> = axes.iter().map(|&a| inner[a]).collect();
                self.src(0).permute(&both)
            }
            _ => self.graph().push(Op::Permute(axes.to_vec()), vec![self.id()], shape.into()),
        }
    }

    /// Repeats axes of extent 1.
    pub fn expand(self, shape: impl Into<Shape>) -> Tensor<'g> {
        let (from, shape) = (self.shape(), shape.into());
        let fits = from.len() == shape.len() && from.iter().zip(shape.iter()).all(|(&m, &n)| m == n || m == 1);
        require!(fits, "expand of {from} to {shape}");
        if from == shape {
            return self;
        }
        match self.op() {
            Op::Const(c) => self.graph().constant(c.0, shape),
            Op::Expand => self.src(0).expand(shape),
            _ => self.graph().push(Op::Expand, vec![self.id()], shape),
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
            Op::Const(c) => self.graph().constant(c.0 * count as f64, shape),
            _ => self.graph().push(Op::Sum(axes), vec![self.id()], shape.into()),
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
        require!(fits, "slice of {from} at {start:?} to {shape}");
        if from == shape {
            return self;
        }
        match self.op() {
            Op::Const(c) => self.graph().constant(c.0, shape),
            _ => self.graph().push(Op::Slice(start.to_vec()), vec![self.id()], shape),
        }
    }

    /// Zeros of `shape` with self at `start`.
    pub fn pad(self, start: &[usize], shape: impl Into<Shape>) -> Tensor<'g> {
        let (from, shape) = (self.shape(), shape.into());
        let fits = start.len() == from.len()
            && shape.len() == from.len()
            && (0..from.len()).all(|a| start[a] + from[a] <= shape[a]);
        require!(fits, "pad of {from} at {start:?} to {shape}");
        if from == shape {
            return self;
        }
        match self.const_value() {
            Some(0.0) => self.graph().constant(0.0, shape),
            _ => self.graph().push(Op::Pad(start.to_vec()), vec![self.id()], shape),
        }
    }

    /// Joins tensors along `axis` (zeros plus offsets: Pad and Add).
    pub fn concat(parts: &[Tensor<'g>], axis: usize) -> Tensor<'g> {
        require!(!parts.is_empty() && axis < parts[0].shape().len(), "concat of {parts:?} along axis {axis}");
        let mut shape = parts[0].shape().to_vec();
        shape[axis] = parts.iter().map(|p| p.dim(axis)).sum();
        let mut start = vec![0; shape.len()];
        let mut whole: Option<Tensor<'g>> = None;
        for part in parts {
            let placed = part.pad(&start, shape.as_slice());
            start[axis] += part.dim(axis);
            whole = Some(whole.map_or(placed, |w| w + placed));
        }
        whole.unwrap_or_else(|| refuse("concat of no tensors".into()))
    }
}
