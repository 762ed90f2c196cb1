//! Tools of the numerical tests: reproducible numbers, evaluation in f64, central differences along random directions.

use danskin::autodiff::grad;
use danskin::graph::{Graph, Op, Tensor};
use danskin::host::{Rng, eval};
use danskin::philox;
use std::collections::HashMap;

/// Values of inputs, parameters and states by name.
pub type Feeds = HashMap<String, Vec<f64>>;

pub const RNG: Rng = Rng { seed: 11, step: 3, round: 0 };

/// Standard normal numbers; another `stream`, other numbers.
pub fn normals(stream: u32, n: usize) -> Vec<f64> {
    (0..n).map(|i| philox::normal_at(2718, stream, 0, i as u64)).collect()
}

/// Feeds of independent normal numbers around 0 for every leaf of `leaves`, scaled by `std`.
pub fn random_feeds(leaves: &[Tensor], std: f64) -> Feeds {
    let numbers = |(i, t): (usize, &Tensor)| {
        (leaf_name(*t), normals(500 + i as u32, t.shape().elems()).iter().map(|v| v * std).collect())
    };
    leaves.iter().enumerate().map(numbers).collect()
}

/// The name of an input, parameter or state.
pub fn leaf_name(t: Tensor) -> String {
    match t.graph().node(t.id()).op {
        Op::Input(name) | Op::Param(name) | Op::State(name) => name.to_string(),
        op => panic!("{op:?} is not fed"),
    }
}

/// Values of tensors of one graph.
pub fn values(tensors: &[Tensor], feeds: &Feeds) -> Vec<Vec<f64>> {
    let roots: Vec<_> = tensors.iter().enumerate().map(|(i, t)| (i.to_string(), *t)).collect();
    let dag = tensors[0].graph().freeze(&roots);
    let mut out = eval::<f64>(&dag, feeds, RNG).expect("evaluation");
    (0..tensors.len()).map(|i| out.remove(&i.to_string()).expect("root")).collect()
}

/// Value of one tensor.
pub fn value(t: Tensor, feeds: &Feeds) -> Vec<f64> {
    values(&[t], feeds).remove(0)
}

pub fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(x, y)| x * y).sum()
}

/// Compares the gradient of the `[1]` tensor `y` by each leaf of `wrt` with central differences along `directions`
/// random directions each, relative 1e-6 beside the rounding of the difference itself; returns the largest
/// directional derivative seen, so that a caller can refuse a vacuous check.
pub fn check_gradient(label: &str, y: Tensor, wrt: &[Tensor], feeds: &Feeds, directions: u32) -> f64 {
    const H: f64 = 1e-6;
    let graph: &Graph = y.graph();
    let gradients = values(&grad(y, wrt), feeds);
    let dag = graph.freeze(&[("y".into(), y)]);
    let at = |feeds: &Feeds| eval::<f64>(&dag, feeds, RNG).expect("evaluation")["y"][0];
    let mut largest: f64 = 0.0;
    for (leaf, gradient) in wrt.iter().zip(&gradients) {
        let name = leaf_name(*leaf);
        for direction in 0..directions {
            let u = normals(900 + direction, gradient.len());
            let moved = |h: f64| {
                let mut feeds = feeds.clone();
                let point = feeds.get_mut(&name).expect("a fed leaf");
                point.iter_mut().zip(&u).for_each(|(p, u)| *p += h * u);
                at(&feeds)
            };
            let (plus, minus) = (moved(H), moved(-H));
            let difference = (plus - minus) / (2.0 * H);
            let exact = dot(gradient, &u);
            // Rounding of y at both ends, a few units in the last place, over 2h.
            let rounding = 16.0 * f64::EPSILON * (1.0 + plus.abs()) / H;
            let error = (exact - difference).abs();
            assert!(
                error <= 1e-6 * exact.abs().max(difference.abs()) + rounding,
                "{label}, by {name}: gradient {exact}, central difference {difference}, error {error:e}"
            );
            largest = largest.max(exact.abs());
        }
    }
    largest
}
