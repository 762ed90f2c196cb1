//! Rows of scores `[N,K]`: the largest of a row, softmax in the log domain, one-hot rows of labels.

use crate::graph::{Graph, Tensor};

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

/// 0, 1, …, n−1 as `[n]`, by doubling.
pub fn iota(graph: &Graph, n: usize) -> Tensor<'_> {
    let mut ramp = graph.constant(0.0, [1]);
    while ramp.dim(0) < n {
        let have = ramp.dim(0);
        let more = have.min(n - have);
        ramp = Tensor::concat(&[ramp, ramp.slice(&[0], [more]) + have as f64], 0);
    }
    ramp
}

/// Row n has 1 at column `labels[n]` (whole numbers below `classes`) and 0 elsewhere: `[N]` → `[N,classes]`.
pub fn one_hot(labels: Tensor<'_>, classes: usize) -> Tensor<'_> {
    let n = labels.dim(0);
    let column = iota(labels.graph(), classes).reshape([1, classes]);
    let differs = (labels.reshape([n, 1]) - column).sign().abs();
    differs.scale(-1.0) + 1.0
}
