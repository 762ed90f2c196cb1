//! What rounding to f32 explains of a difference from the f64 host.

use crate::graph::{Dag, Node, Op};

/// f32's unit in the last place, relative.
const UNIT: f64 = f32::EPSILON as f64;
/// Devices add up in other orders and round products of sums more than once.
const MARGIN: f64 = 4.0;
/// Squares of the units in the last place that a transcendental function may be off: WGSL promises exp and log within a few units
/// and what follows from them within a few more.
const TRANSCENDENTAL: f64 = 64.0;

/// Of each node, the relative error of its mean square that rounding explains: every rounding on the way from the leaves is an error
/// of a unit in the last place, independent of the others, so that their squares add up along the longest way, and a sum of K terms
/// has K of them, √K in all.
pub(super) fn allowed(dag: &Dag) -> Vec<f64> {
    let mut roundings: Vec<f64> = Vec::with_capacity(dag.nodes.len());
    for node in &dag.nodes {
        let before = node.src.iter().map(|&s| roundings[s]).fold(0.0, f64::max);
        roundings.push(before + own(dag, node));
    }
    roundings.into_iter().map(of).collect()
}

/// The relative error that so many independent roundings explain.
fn of(roundings: f64) -> f64 {
    // A result is stored, if nothing else.
    MARGIN * UNIT * roundings.max(1.0).sqrt()
}

/// The same of an optimiser's step: some dozen roundings, a root and a quotient.
pub(super) fn allowed_of_update() -> f64 {
    of(TRANSCENDENTAL)
}

/// `allowed` where `stores` results on the way are kept as 16-bit floats: each is off by at most half a unit in the last place, 2⁻¹¹,
/// independently of the others, and what is computed from it is off by as much of its own mean square.
pub(super) fn with_halves(allowed: f64, stores: usize) -> f64 {
    const HALF: f64 = 1.0 / 2048.0;
    allowed.hypot(HALF * (stores as f64).sqrt())
}

/// Roundings of a node itself.
fn own(dag: &Dag, node: &Node) -> f64 {
    let of = |source: usize| node.src.get(source).map_or(1, |&s| dag.nodes[s].shape.elems());
    let (first, out) = (of(0), node.shape.elems().max(1));
    let terms = match &node.op {
        Op::Input(_) | Op::Param(_) | Op::State(_) | Op::Const(_) | Op::Detach => 0,
        Op::Reshape | Op::Permute(_) | Op::Expand | Op::Slice(_) | Op::Pad(_) | Op::Gather => 0,
        Op::Abs | Op::Sign | Op::Step | Op::Select | Op::Max | Op::Min => 0,
        Op::Add | Op::Mul | Op::Scale(_) => 1,
        Op::Rand { .. } | Op::Pow(_) | Op::Exp | Op::Log | Op::Sigmoid | Op::Tanh | Op::Softplus => {
            return TRANSCENDENTAL;
        }
        Op::Sum(_) | Op::SampleAdjoint => first / out,
        Op::ScatterAdd => of(1),
        Op::MatMul { ta, .. } => dag.nodes[node.src[0]].shape[usize::from(!ta)],
        Op::Conv(spec) => spec.kernel[0] * spec.kernel[1] * input_channels(dag, node) / spec.groups,
        Op::ConvX(spec) => spec.kernel[0] * spec.kernel[1] * input_channels(dag, node) / spec.groups,
        Op::ConvW(_) => first / input_channels(dag, node).max(1),
        Op::Fir(spec) => spec.taps.len().pow(2),
        Op::Sample => 4,
    };
    terms.max(usize::from(terms > 0)) as f64
}

/// Channels of the images that a convolution reads.
fn input_channels(dag: &Dag, node: &Node) -> usize {
    let shape = &dag.nodes[node.src[0]].shape;
    shape[shape.len() - 1]
}
