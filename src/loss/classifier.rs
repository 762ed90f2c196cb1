//! Losses of classifiers: logits `[N,K]` and labels `[N]` (whole numbers) to one number per example, `[N,1]`.

use crate::graph::{Tensor, require};
use crate::nn::softmax::{log_softmax, one_hot, row_max};

/// −ln p(label).
pub fn cross_entropy<'g>(logits: Tensor<'g>, labels: Tensor<'g>) -> Tensor<'g> {
    -(one_hot(labels, logits.dim(1)) * log_softmax(logits)).sum(&[1])
}

/// max over i ≠ label of zᵢ − z_label: positive where the example is misclassified (Carlini & Wagner 2017).
///
/// # Panics
/// If there is one class only.
pub fn margin<'g>(logits: Tensor<'g>, labels: Tensor<'g>) -> Tensor<'g> {
    let graph = logits.graph();
    require!(logits.dim(1) > 1, "margin of logits {}: needs two classes", logits.shape());
    let truth = one_hot(labels, logits.dim(1));
    // The true class is replaced, not multiplied by 0: with all-negative logits 0 would win.
    let others = truth.select(graph.constant(f64::from(f32::MIN), logits.shape()), logits);
    row_max(others) - (truth * logits).sum(&[1])
}

/// KL(p ‖ q) of the softmax of two rows of logits: Σ p·(ln p − ln q), differentiable in both.
pub fn kl<'g>(p_logits: Tensor<'g>, q_logits: Tensor<'g>) -> Tensor<'g> {
    let (p, q) = (log_softmax(p_logits), log_softmax(q_logits));
    (p.exp() * (p - q)).sum(&[1])
}
