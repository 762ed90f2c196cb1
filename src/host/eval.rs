//! Evaluates a graph node by node: the oracle that plans and devices are compared with.

use super::arena::Arena;
use super::index::{Sampling, gather, sample, sample_adjoint, scatter_add};
use super::{Scalar, conv, fir, layout, matmul, pointwise, random};
use crate::graph::{ConvSpec, Dag, Node, Op, Shape};
use crate::plan::ConvDims;
use crate::{Error, Result};
use std::collections::HashMap;
use std::rc::Rc;

/// Where random numbers come from: the same (seed, step, round) gives the same numbers on every device.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rng {
    /// Seed of the run.
    pub seed: u64,
    /// Step of the run.
    pub step: u32,
    /// Number of the run of a plan that runs several times per step; 0 elsewhere.
    pub round: u32,
}

/// Evaluates every node by itself, in order, and returns the roots by name. `feeds` holds inputs, parameters and states
/// by name, row-major.
///
/// # Errors
/// `Error::Graph` names a feed that is missing or has the wrong number of elements.
pub fn eval<T: Scalar>(dag: &Dag, feeds: &HashMap<String, Vec<T>>, rng: Rng) -> Result<HashMap<String, Vec<T>>> {
    let mut arena = Arena::new(rayon::current_num_threads());
    let mut uses = dag.uses();
    let mut values: Vec<Option<Rc<Vec<T>>>> = vec![None; dag.nodes.len()];
    for (id, node) in dag.nodes.iter().enumerate() {
        let src: Vec<Rc<Vec<T>>> = node.src.iter().filter_map(|&s| values[s].clone()).collect();
        let shapes: Vec<&Shape> = node.src.iter().map(|&s| &dag.nodes[s].shape).collect();
        values[id] = Some(match &node.op {
            Op::Input(name) | Op::Param(name) | Op::State(name) => Rc::new(feed(feeds, name, &node.shape)?.clone()),
            Op::Reshape | Op::Detach => src[0].clone(),
            _ => Rc::new(node_value(node, &src, &shapes, rng, &mut arena)),
        });
        for &s in &node.src {
            uses[s] -= 1;
            if uses[s] == 0 {
                values[s] = None;
            }
        }
    }
    let roots = dag.roots.iter().filter_map(|(name, id)| Some((name.clone(), values[*id].as_ref()?.to_vec())));
    Ok(roots.collect())
}

fn feed<'a, T>(feeds: &'a HashMap<String, Vec<T>>, name: &str, shape: &Shape) -> Result<&'a Vec<T>> {
    let values = feeds.get(name).ok_or_else(|| Error::Graph(format!("`{name}` {shape} was not fed")))?;
    if values.len() != shape.elems() {
        let (have, want) = (values.len(), shape.elems());
        return Err(Error::Graph(format!("`{name}` {shape} has {want} elements and was fed {have}")));
    }
    Ok(values)
}

fn conv_dims(spec: ConvSpec, x: &Shape, y: &Shape) -> ConvDims {
    ConvDims { spec, n: x[0], cin: x[3], cout: y[3] }
}

/// The value of a node that has one of its own: no feed and no view.
fn node_value<T: Scalar>(node: &Node, src: &[Rc<Vec<T>>], shapes: &[&Shape], rng: Rng, arena: &mut Arena<T>) -> Vec<T> {
    let to = &node.shape;
    let mut out = vec![T::ZERO; to.elems()];
    let x = |i: usize| src[i].as_slice();
    match &node.op {
        Op::Const(c) => out.fill(T::of(c.0)),
        Op::Rand { dist, stream } => random::rand(*dist, rng, *stream, &mut out),
        Op::Permute(axes) => out = layout::permute(x(0), shapes[0], axes, to),
        Op::Expand => out = layout::expand(x(0), shapes[0], to),
        Op::Sum(_) => out = layout::sum(x(0), shapes[0], to),
        Op::Slice(start) => out = layout::slice(x(0), shapes[0], start, to),
        Op::Pad(start) => layout::pad(x(0), shapes[0], start, to, &mut out),
        Op::MatMul { ta, tb } => {
            let k = shapes[0][usize::from(!*ta)];
            matmul::matmul([*ta, *tb], [to[0], to[1], k], x(0), x(1), &mut out, None, arena);
        }
        Op::Conv(spec) => conv::conv(&conv_dims(*spec, shapes[0], to), x(0), x(1), &mut out, None, arena),
        Op::ConvX(spec) => conv::conv_x(&conv_dims(*spec, to, shapes[0]), x(0), x(1), &mut out, None, arena),
        Op::ConvW(spec) => conv::conv_w(&conv_dims(*spec, shapes[0], shapes[1]), x(0), x(1), &mut out, arena),
        Op::Fir(spec) => fir::fir(spec, [0, 1, 2, 3].map(|a| shapes[0][a]), x(0), &mut out, arena.lanes()),
        Op::Gather => gather(shapes[0][0], shapes[0][1..].iter().product(), x(0), x(1), &mut out),
        Op::ScatterAdd => scatter_add(to[0], to[1..].iter().product(), x(0), x(1), &mut out),
        Op::Sample => {
            let s = Sampling { c: to[3], from: [shapes[0][1], shapes[0][2]], to: [to[1], to[2]] };
            sample(s, x(0), x(1), &mut out);
        }
        Op::SampleAdjoint => {
            let s = Sampling { c: to[3], from: [to[1], to[2]], to: [shapes[0][1], shapes[0][2]] };
            sample_adjoint(s, x(0), x(1), &mut out);
        }
        op if op.is_pointwise() => {
            let args: Vec<&[T]> = src.iter().map(|v| v.as_slice()).collect();
            pointwise::apply(op, &args, &mut out);
        }
        op => unreachable!("{op:?} has no value of its own"),
    }
    out
}
