//! Rows of scores `[N,K]`: the largest of a row, softmax in the log domain, one-hot rows of labels.

use crate::graph::{FirSpec, Graph, Real, Tensor};

/// Largest of each row of x `[N,K]`, as `[N,1]`, by halving. The gradient goes to the largest.
pub fn row_max(x: Tensor<'_>) -> Tensor<'_> {
    let (rows, k) = (x.dim(0), x.dim(1));
    if k == 1 {
        return x;
    }
    // An odd middle column is in both halves: a maximum does not mind.
    let half = k.div_ceil(2);
    row_max(x.slice(&[0, 0], [rows, half]).max(x.slice(&[0, k - half], [rows, half])))
}

/// Largest of each row of x `[N,K]`, as `[N,1]`, and where it stands: 1 there and 0 elsewhere, `[N,K]`. Of equal ones it is the first.
pub fn largest(x: Tensor<'_>) -> (Tensor<'_>, Tensor<'_>) {
    let (value, k) = (row_max(x), x.dim(1));
    let is_largest = (value - x).step().scale(-1.0) + 1.0;
    // The first has the highest of the ranks k, k − 1, …, 1.
    let rank = is_largest * (iota(x.graph(), k).scale(-1.0) + k as f64).reshape([1, k]);
    (value, (rank - row_max(rank) + 0.5).step())
}

/// Logarithm of the softmax of each row of x `[N,K]`; the subtracted maximum is a constant for the gradient.
pub fn log_softmax(x: Tensor<'_>) -> Tensor<'_> {
    let shifted = x - row_max(x).detach();
    shifted - shifted.exp().sum(&[1]).log()
}

/// 0, 1, …, n−1 as `[n]`: digits to base 64, as many as a filter has taps.
pub fn iota(graph: &Graph, n: usize) -> Tensor<'_> {
    if n <= 1 {
        return graph.constant(0.0, [1]);
    }
    // Place i of a row of ones has i ones before it.
    let taps = vec![Real(1.0); BASE];
    let before = [BASE as i64 - 1, 0];
    let counts =
        graph.constant(1.0, [1, 1, BASE, 1]).fir(FirSpec { taps, up: 1, down: 1, pad: [before; 2], flip: true });
    let digit = counts.reshape([BASE]) - 1.0;
    if n <= BASE {
        return digit.slice(&[0], [n]);
    }
    let high = iota(graph, n.div_ceil(BASE)).scale(BASE as f64);
    let both = high.reshape([high.dim(0), 1]) + digit.reshape([1, BASE]);
    both.reshape([high.dim(0) * BASE]).slice(&[0], [n])
}

/// Of [`iota`].
const BASE: usize = 64;

/// Row n has 1 at column `labels[n]` (whole numbers below `classes`) and 0 elsewhere: `[N]` → `[N,classes]`.
pub fn one_hot(labels: Tensor<'_>, classes: usize) -> Tensor<'_> {
    let n = labels.dim(0);
    let column = iota(labels.graph(), classes).reshape([1, classes]);
    let differs = (labels.reshape([n, 1]) - column).sign().abs();
    differs.scale(-1.0) + 1.0
}
