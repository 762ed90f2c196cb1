//! Building fused chains: from a node and the decision which nodes are kept in memory to a [`Chain`] over them.
//!
//! An access is affine: element (i₀, i₁, …) of the iteration space reads element `offset + Σ iₐ·strides[a]` of a node in
//! row-major order. Pointwise nodes hand their access to their operands unchanged, and so do reshapes; expand, permute,
//! slice and pad rewrite it axis by axis. Where one extent of the iteration space covers several axes of such a node, the extent
//! is split and the chain is built again.
//!
//! A pad limits indices. What is kept is then read within the limits alone; what is computed is replaced by 0 outside them, and
//! its own operands are read where that reading is safe.

use super::fuse::base;
use super::step::{Chain, Instr, View, Within};
use crate::graph::{Dag, NodeId, Op, Real, Shape};
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

/// See [`View`], which it becomes.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Access {
    strides: Vec<usize>,
    offset: usize,
    within: Vec<Within>,
}

impl Access {
    /// First index and number of indices of extent `dim` for which elements are read.
    fn range(&self, dim: usize, extent: usize) -> (usize, usize) {
        self.within.iter().find(|w| w.dim == dim).map_or((0, extent), |w| (w.from, w.to - w.from))
    }

    /// Reads no elements outside a limit, which is narrower than any before.
    fn limit(&mut self, limit: Within) {
        self.within.retain(|w| w.dim != limit.dim);
        self.within.push(limit);
        self.within.sort_unstable();
    }
}

/// Where an access to a pad meets its operand.
enum Padded {
    /// Nowhere.
    Outside,
    /// Where indices are within these limits: there, as `Access` says.
    Within(Access, Vec<Within>),
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
        let whole = Access { strides: Shape::from(extents.as_slice()).strides(), offset: 0, within: vec![] };
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
        } else if let Op::Pad(start) = &node.op {
            match self.padded(id, start, &access, own)? {
                Padded::Outside => self.push(Instr::Const(Real(0.0))),
                Padded::Within(inner, limits) => self.inside(node.src[0], inner, limits)?,
            }
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
        let Access { strides, offset, within } = access.clone();
        let view = View { strides, offset, within };
        let known = (0..self.inputs.len()).find(|&i| self.inputs[i] == id && self.views[i] == view);
        let input = known.unwrap_or_else(|| {
            self.inputs.push(id);
            self.views.push(view);
            self.inputs.len() - 1
        });
        self.push(Instr::Load(input))
    }

    /// The line that holds node `id` at `access` within limits, and 0 outside.
    fn inside(&mut self, id: NodeId, mut access: Access, limits: Vec<Within>) -> Result<usize, Obstacle> {
        if limits.is_empty() {
            return self.line(id, access, false);
        }
        if self.keep[base(self.dag, id)] {
            limits.into_iter().for_each(|limit| access.limit(limit));
            return self.line(id, access, false);
        }
        let value = self.line(id, access, false)?;
        let inside = self.push(Instr::Inside(limits));
        let zero = self.push(Instr::Const(Real(0.0)));
        Ok(self.push(Instr::Apply(Op::Select, vec![inside, value, zero])))
    }

    /// The axis of node `id` that each extent walks, and how many places a step is; `None` for one that stays where it is.
    fn walked(&self, id: NodeId, access: &Access) -> Result<Vec<Option<(usize, usize)>>, Obstacle> {
        let shape = &self.dag.nodes[id].shape;
        let out_strides = shape.strides();
        let mut walked = Vec::with_capacity(self.extents.len());
        for (dim, (&extent, &stride)) in self.extents.iter().zip(&access.strides).enumerate() {
            let (_, count) = access.range(dim, extent);
            if count == 1 || stride == 0 {
                walked.push(None);
                continue;
            }
            let axis = (0..shape.len())
                .find(|&a| shape[a] > 1 && out_strides[a] <= stride && stride.is_multiple_of(out_strides[a]));
            let Some(axis) = axis else { return Err(Obstacle::Keep(id)) };
            let step = stride / out_strides[axis];
            if step * (count - 1) >= shape[axis] {
                let inner = shape[axis] / step;
                let splits = inner > 1
                    && count == extent
                    && shape[axis].is_multiple_of(step)
                    && extent.is_multiple_of(inner)
                    && inner < extent;
                return Err(if splits { Obstacle::Split { dim, inner } } else { Obstacle::Keep(id) });
            }
            walked.push(Some((axis, step)));
        }
        Ok(walked)
    }

    /// The access to the operand of an expand, permute or slice that stands for `access` to its value.
    fn through(&self, id: NodeId, access: &Access) -> Result<Access, Obstacle> {
        let node = &self.dag.nodes[id];
        let from = &self.dag.nodes[node.src[0]].shape;
        let in_strides = from.strides();
        // Stride in the operand of one step along axis `a` of the value, and the start of the value there.
        let along = |a: usize| match &node.op {
            Op::Permute(axes) => in_strides[axes[a]],
            Op::Expand if from[a] == 1 => 0,
            _ => in_strides[a],
        };
        let start: usize = match &node.op {
            Op::Slice(start) => start.iter().zip(&in_strides).map(|(s, t)| s * t).sum(),
            _ => 0,
        };
        let first = coordinates(access.offset, &node.shape);
        let offset = start + first.iter().enumerate().map(|(a, at)| at * along(a)).sum::<usize>();
        let walked = self.walked(id, access)?;
        let strides: Vec<usize> = walked.iter().map(|w| w.map_or(0, |(axis, step)| step * along(axis))).collect();
        // What does not depend on an index needs no limit of it.
        let within = access.within.iter().copied().filter(|w| strides[w.dim] != 0).collect();
        Ok(Access { strides, offset, within })
    }

    /// Where `access` to pad `id`, which puts its operand at `start`, meets the operand.
    fn padded(&self, id: NodeId, start: &[usize], access: &Access, own: bool) -> Result<Padded, Obstacle> {
        let node = &self.dag.nodes[id];
        let from = &self.dag.nodes[node.src[0]].shape;
        let (in_strides, first) = (from.strides(), coordinates(access.offset, &node.shape));
        let walked = self.walked(id, access)?;
        let (mut inner, mut limits) = (access.clone(), vec![]);
        (inner.offset, inner.strides) = (0, vec![0; walked.len()]);
        for axis in 0..from.len() {
            let (low, high) = (start[axis], start[axis] + from[axis]);
            let steps = || (0..walked.len()).filter_map(|dim| walked[dim].filter(|w| w.0 == axis).map(|w| (dim, w.1)));
            let count = |dim: usize| access.range(dim, self.extents[dim]).1;
            let reach: usize = steps().map(|(dim, step)| step * (count(dim) - 1)).sum();
            let mut at = first[axis];
            if at + reach < low || at >= high {
                return Ok(Padded::Outside);
            }
            steps().for_each(|(dim, step)| inner.strides[dim] = step * in_strides[axis]);
            if (at < low || at + reach >= high)
                && let Some((dim, step)) = steps().max_by_key(|(_, step)| *step)
            {
                // Only the index of the largest steps may meet a border; the others have to stay on one side of it.
                let others = reach - step * (count(dim) - 1);
                let entry = low.saturating_sub(at).div_ceil(step);
                let last = ((high - 1 - at) / step).min(count(dim) - 1);
                if entry > last {
                    return Ok(Padded::Outside);
                }
                let clean = at + step * last + others < high && (entry == 0 || at + step * (entry - 1) + others < low);
                if !clean {
                    // Of a step's own pad it is the operand that asked for extents which don't fit.
                    return Err(Obstacle::Keep(if own { base(self.dag, node.src[0]) } else { id }));
                }
                at += step * entry;
                if (entry, last) != (0, count(dim) - 1) {
                    let (from, _) = access.range(dim, self.extents[dim]);
                    let limit = Within { dim, from: from + entry, to: from + last + 1 };
                    limits.push(limit);
                    // A single place is read whatever the index.
                    match entry == last {
                        true => inner.strides[dim] = 0,
                        false => inner.limit(limit),
                    }
                }
            }
            inner.offset += (at - low) * in_strides[axis];
        }
        limits.sort_unstable();
        inner.within.retain(|w| inner.strides[w.dim] != 0);
        Ok(Padded::Within(inner, limits))
    }
}

/// Place of a row-major element along each axis.
fn coordinates(element: usize, shape: &Shape) -> Vec<usize> {
    let mut rest = element;
    let mut along = |stride: usize| {
        let at = rest / stride;
        rest %= stride;
        at
    };
    shape.strides().into_iter().map(&mut along).collect()
}

/// Drops extents of 1 and merges neighbours that every view walks as one, unless the inner one is limited.
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
            && chain.limits().iter().all(|limit| limit.dim != dim)
            && chain.views.iter().all(|v| v.strides[dim - 1] == v.strides[dim] * inner);
        if merges {
            for view in &mut chain.views {
                view.strides[dim - 1] = view.strides[dim];
            }
            chain.extents[dim - 1] *= inner;
            for limit in limits_mut(chain).filter(|limit| limit.dim == dim - 1) {
                limit.from *= inner;
                limit.to *= inner;
            }
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
    limits_mut(chain).filter(|limit| limit.dim > dim).for_each(|limit| limit.dim -= 1);
}

/// All limits of views and lines.
fn limits_mut(chain: &mut Chain) -> impl Iterator<Item = &mut Within> {
    let of_lines = chain.instrs.iter_mut().flat_map(|instr| match instr {
        Instr::Inside(limits) => limits.as_mut_slice(),
        _ => &mut [],
    });
    chain.views.iter_mut().flat_map(|view| &mut view.within).chain(of_lines)
}
