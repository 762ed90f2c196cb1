//! Symbolic reverse-mode differentiation: one table of vector-Jacobian products over the closed set.
//!
//! `grad` builds new nodes of the same graph, so a gradient can be differentiated again, to any order. Uses `graph`
//! alone. Deliberately absent: values, fusion (differentiate first, fuse after).

use crate::graph::{Graph, Op, Tensor, require};

/// Gradients of the scalar-valued sum of `y` with respect to each tensor of `wrt`; zeros where y does not depend on it.
///
/// # Panics
/// If a tensor belongs to another graph.
pub fn grad<'g>(y: Tensor<'g>, wrt: &[Tensor<'g>]) -> Vec<Tensor<'g>> {
    let seed = y.graph().constant(1.0, y.shape());
    vjp(y, seed, wrt)
}

/// Vector-Jacobian products: ⟨seed, ∂y/∂t⟩ for each t of `wrt`. `seed` has the shape of `y`.
pub fn vjp<'g>(y: Tensor<'g>, seed: Tensor<'g>, wrt: &[Tensor<'g>]) -> Vec<Tensor<'g>> {
    let graph = y.graph();
    require!(seed.shape() == y.shape(), "seed {} for a value of shape {}", seed.shape(), y.shape());
    let count = y.id() + 1;
    // Which nodes lie on a path from `wrt` to `y`: nothing else needs a cotangent.
    let mut depends = vec![false; count];
    for t in wrt {
        require!(std::ptr::eq(t.graph(), graph), "gradient with respect to a tensor of another graph");
        if t.id() < count {
            depends[t.id()] = true;
        }
    }
    for id in 0..count {
        depends[id] = depends[id] || graph.node(id).src.iter().any(|&s| depends[s]);
    }
    let mut cotangent: Vec<Option<Tensor<'g>>> = vec![None; count];
    cotangent[y.id()] = Some(seed);
    for id in (0..count).rev() {
        let Some(g) = cotangent[id].filter(|_| depends[id]) else { continue };
        let src = graph.node(id).src;
        let parts = if src.iter().any(|&s| depends[s]) { pullback(graph, id, g) } else { vec![] };
        for (&s, part) in src.iter().zip(parts) {
            if let Some(part) = part.filter(|_| depends[s]) {
                cotangent[s] = Some(cotangent[s].map_or(part, |sum| sum + part));
            }
        }
    }
    wrt.iter()
        .map(|t| cotangent.get(t.id()).copied().flatten().unwrap_or_else(|| graph.constant(0.0, t.shape())))
        .collect()
}

/// The table: cotangents of the operands of node `id`, given its own cotangent `g`. `None` is zero.
fn pullback<'g>(graph: &'g Graph, id: usize, g: Tensor<'g>) -> Vec<Option<Tensor<'g>>> {
    let node = graph.node(id);
    let y = graph.tensor(id);
    let x = |i: usize| graph.tensor(node.src[i]);
    let one = |t: Tensor<'g>| vec![Some(t)];
    match &node.op {
        Op::Input(_) | Op::Param(_) | Op::State(_) | Op::Const(_) | Op::Rand { .. } => vec![],
        Op::Detach | Op::Sign | Op::Step => vec![None],
        Op::Add => vec![Some(g), Some(g)],
        Op::Mul => vec![Some(g * x(1)), Some(g * x(0))],
        Op::Scale(c) => one(g.scale(c.0)),
        Op::Pow(p) => one((g * x(0).pow(p.0 - 1.0)).scale(p.0)),
        Op::Exp => one(g * y),
        Op::Log => one(g * x(0).pow(-1.0)),
        Op::Sigmoid => one(g * (y - y * y)),
        Op::Tanh => one(g * ((y * y).scale(-1.0) + 1.0)),
        Op::Softplus => one(g * x(0).sigmoid()),
        Op::Abs => one(g * x(0).sign()),
        Op::Select => {
            let zero = graph.constant(0.0, &node.shape);
            vec![None, Some(x(0).select(g, zero)), Some(x(0).select(zero, g))]
        }
        Op::Max | Op::Min => {
            // 1, ½ or 0: a tie is split in halves.
            let difference = if matches!(node.op, Op::Max) { x(0) - x(1) } else { x(1) - x(0) };
            let share = (difference.sign() + 1.0).scale(0.5);
            vec![Some(g * share), Some(g * (share.scale(-1.0) + 1.0))]
        }
        Op::Reshape => one(g.reshape(x(0).shape())),
        Op::Permute(axes) => {
            let mut inverse = vec![0; axes.len()];
            axes.iter().enumerate().for_each(|(i, &a)| inverse[a] = i);
            one(g.permute(&inverse))
        }
        Op::Expand => {
            let from = x(0).shape();
            let axes: Vec<usize> = (0..from.len()).filter(|&a| from[a] != node.shape[a]).collect();
            one(g.sum(&axes))
        }
        Op::Sum(_) => one(g.expand(x(0).shape())),
        Op::Slice(start) => one(g.pad(start, x(0).shape())),
        Op::Pad(start) => one(g.slice(start, x(0).shape())),
        Op::MatMul { ta, tb } => {
            let (a, b) = (x(0), x(1));
            let ga = if *ta { b.matmul_t(*tb, g, true) } else { g.matmul_t(false, b, !*tb) };
            let gb = if *tb { g.matmul_t(true, a, *ta) } else { a.matmul_t(!*ta, g, false) };
            vec![Some(ga), Some(gb)]
        }
        Op::Conv(spec) => vec![Some(g.conv_x_spec(x(1), *spec)), Some(x(0).conv_w_spec(g, *spec))],
        Op::ConvX(spec) => vec![Some(g.conv_spec(x(1), *spec)), Some(g.conv_w_spec(x(0), *spec))],
        Op::ConvW(spec) => vec![Some(x(1).conv_x_spec(g, *spec)), Some(x(0).conv_spec(g, *spec))],
        Op::Fir(spec) => {
            let from = x(0).shape();
            one(g.fir(spec.adjoint([from[1], from[2]])))
        }
        Op::Gather => vec![Some(g.scatter_add(x(1), x(0).dim(0))), None],
        Op::ScatterAdd => vec![Some(g.gather(x(1))), None],
        Op::Sample => vec![Some(g.sample_adjoint(x(1), [x(0).dim(1), x(0).dim(2)])), None],
        Op::SampleAdjoint => vec![Some(g.sample(x(1))), None],
    }
}
