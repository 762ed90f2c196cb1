//! Building fused chains: from a node and the decision which nodes are kept in memory to a [`Chain`] over them.
//!
//! An access is affine: element (i₀, i₁, …) of the iteration space reads element `offset + Σ iₐ·strides[a]` of a node in
//! row-major order. Pointwise nodes hand their access to their operands unchanged, and so do reshapes; expand, permute
//! and slice rewrite it axis by axis. Where one extent of the iteration space covers several axes of such a node, the extent
//! is split and the chain is built again.

use super::step::{Chain, Instr, View};
use crate::graph::{Dag, NodeId, Op, Shape};
use std::collections::HashMap;

/// A chain under construction, with the nodes its views read.
pub(super) struct Built {
    pub chain: Chain,
    /// One kept node a view.
    pub inputs: Vec<NodeId>,
    /// Which extents are summed over (all false for a pointwise step).
    pub reduced: Vec<bool>,
}

/// Why a chain could not be built over the present iteration space.
enum Obstacle {
    /// Extent `dim` must be split so that its inner part has this many elements.
    Split { dim: usize, inner: usize },
    /// The access is not affine: this node has to be kept in memory.
    Keep(NodeId),
}

#[derive(Clone, PartialEq, Eq, Hash)]
struct Access {
    strides: Vec<usize>,
    offset: usize,
}

struct Builder<'a> {
    dag: &'a Dag,
    keep: &'a [bool],
    extents: &'a [usize],
    instrs: Vec<Instr>,
    lines: HashMap<(NodeId, Access), usize>,
    inputs: Vec<NodeId>,
    views: Vec<View>,
}

/// The chain that computes node `root` over its own shape from kept nodes. With `own` it computes `root` even if that is
/// kept (its step makes it); otherwise a kept root is loaded. `reduced_axes` are the axes of `root` that the caller sums
/// over. Err names a node that has to be kept first.
pub(super) fn build(
    dag: &Dag,
    keep: &[bool],
    root: NodeId,
    own: bool,
    reduced_axes: &[usize],
) -> Result<Built, NodeId> {
    let shape = &dag.nodes[root].shape;
    let mut extents = shape.to_vec();
    let mut reduced: Vec<bool> = (0..extents.len()).map(|a| reduced_axes.contains(&a)).collect();
    loop {
        let mut builder = Builder {
            dag,
            keep,
            extents: &extents,
            instrs: vec![],
            lines: HashMap::new(),
            inputs: vec![],
            views: vec![],
        };
        let whole = Access { strides: Shape::from(extents.as_slice()).strides(), offset: 0 };
        match builder.line(root, whole, own) {
            Ok(_) => {
                let Builder { instrs, inputs, views, .. } = builder;
                let mut built = Built { chain: Chain { extents, views, instrs }, inputs, reduced };
                collapse(&mut built);
                return Ok(built);
            }
            Err(Obstacle::Split { dim, inner }) => {
                let outer = extents[dim] / inner;
                extents.splice(dim..=dim, [outer, inner]);
                reduced.insert(dim, reduced[dim]);
            }
            Err(Obstacle::Keep(node)) => return Err(node),
        }
    }
}

impl Builder<'_> {
    /// The line that holds node `id` at `access`, made if need be.
    fn line(&mut self, id: NodeId, access: Access, own: bool) -> Result<usize, Obstacle> {
        let node = &self.dag.nodes[id];
        if let Op::Const(value) = node.op {
            return Ok(self.push(Instr::Const(value)));
        }
        if node.op.is_view() {
            return self.line(node.src[0], access, false);
        }
        if let Some(&line) = self.lines.get(&(id, access.clone())) {
            return Ok(line);
        }
        let line = if self.keep[id] && !own {
            self.load(id, &access)
        } else if node.op.is_pointwise() {
            let mut args = Vec::with_capacity(node.src.len());
            for &s in &node.src {
                args.push(self.line(s, access.clone(), false)?);
            }
            self.push(Instr::Apply(node.op.clone(), args))
        } else if matches!(node.op, Op::Expand | Op::Permute(_) | Op::Slice(_)) {
            let inner = self.through(id, &access)?;
            self.line(node.src[0], inner, false)?
        } else {
            debug_assert!(false, "{} is neither kept nor part of a chain", node.op.kind().name());
            self.load(id, &access)
        };
        self.lines.insert((id, access), line);
        Ok(line)
    }

    fn push(&mut self, instr: Instr) -> usize {
        if let Some(line) = self.instrs.iter().position(|i| *i == instr) {
            return line;
        }
        self.instrs.push(instr);
        self.instrs.len() - 1
    }

    fn load(&mut self, id: NodeId, access: &Access) -> usize {
        let view = View { strides: access.strides.clone(), offset: access.offset };
        let known = (0..self.inputs.len()).find(|&i| self.inputs[i] == id && self.views[i] == view);
        let input = known.unwrap_or_else(|| {
            self.inputs.push(id);
            self.views.push(view);
            self.inputs.len() - 1
        });
        self.push(Instr::Load(input))
    }

    /// The access to the operand of an expand, permute or slice that stands for `access` to its value.
    fn through(&self, id: NodeId, access: &Access) -> Result<Access, Obstacle> {
        let node = &self.dag.nodes[id];
        let from = &self.dag.nodes[node.src[0]].shape;
        let (out_strides, in_strides) = (node.shape.strides(), from.strides());
        // Stride in the operand of one step along axis `a` of the value, and the start of the value there.
        let along = |a: usize| match &node.op {
            Op::Permute(axes) => in_strides[axes[a]],
            Op::Expand if from[a] == 1 => 0,
            _ => in_strides[a],
        };
        let mut offset = match &node.op {
            Op::Slice(start) => start.iter().zip(&in_strides).map(|(s, t)| s * t).sum(),
            _ => 0,
        };
        let mut rest = access.offset;
        for (a, &stride) in out_strides.iter().enumerate() {
            offset += rest / stride * along(a);
            rest %= stride;
        }
        let mut strides = Vec::with_capacity(self.extents.len());
        for (dim, (&extent, &stride)) in self.extents.iter().zip(&access.strides).enumerate() {
            if extent == 1 || stride == 0 {
                strides.push(0);
                continue;
            }
            let axis = (0..node.shape.len())
                .find(|&a| node.shape[a] > 1 && out_strides[a] <= stride && stride % out_strides[a] == 0);
            let Some(axis) = axis else { return Err(Obstacle::Keep(id)) };
            let step = stride / out_strides[axis];
            if step * (extent - 1) >= node.shape[axis] {
                let inner = node.shape[axis] / step;
                let splits = inner > 1
                    && node.shape[axis].is_multiple_of(step)
                    && extent.is_multiple_of(inner)
                    && inner < extent;
                return Err(if splits { Obstacle::Split { dim, inner } } else { Obstacle::Keep(id) });
            }
            strides.push(step * along(axis));
        }
        Ok(Access { strides, offset })
    }
}

/// Drops extents of 1 and merges neighbours that every view walks as one.
fn collapse(built: &mut Built) {
    let Built { chain, reduced, .. } = built;
    for dim in (0..chain.extents.len()).rev() {
        if chain.extents[dim] == 1 && chain.extents.len() > 1 {
            remove(chain, reduced, dim);
        }
    }
    for dim in (1..chain.extents.len()).rev() {
        let inner = chain.extents[dim];
        let merges = reduced[dim - 1] == reduced[dim]
            && chain.views.iter().all(|v| v.strides[dim - 1] == v.strides[dim] * inner);
        if merges {
            for view in &mut chain.views {
                view.strides[dim - 1] = view.strides[dim];
            }
            chain.extents[dim - 1] *= inner;
            remove(chain, reduced, dim);
        }
    }
}

fn remove(chain: &mut Chain, reduced: &mut Vec<bool>, dim: usize) {
    chain.extents.remove(dim);
    reduced.remove(dim);
    for view in &mut chain.views {
        view.strides.remove(dim);
    }
}
