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

/// MART's loss (Wang 2020): −ln p(x′)_y − ln(1 − max over i ≠ y of p(x′)ᵢ) + β·KL(p(x) ‖ p(x′))·(1 − p(x)_y), of the logits of images x and
/// examples x′. Numbers under logarithms are kept above 1e-4, as in its authors' code.
pub fn mart<'g>(clean: Tensor<'g>, attacked: Tensor<'g>, labels: Tensor<'g>, beta: f64) -> Tensor<'g> {
    let truth = one_hot(labels, clean.dim(1));
    let of_label = |logits: Tensor<'g>| (truth * log_softmax(logits).exp()).sum(&[1]);
    let wrong = row_max(log_softmax(attacked).exp() * (truth.scale(-1.0) + 1.0));
    let boosted = cross_entropy(attacked, labels) - (-wrong + 1.0001).log();
    boosted + kl(clean, attacked).scale(beta) * (-of_label(clean) + 1.0)
}

/// KL(p ‖ q) of the softmax of two rows of logits: Σ p·(ln p − ln q), differentiable in both.
pub fn kl<'g>(p_logits: Tensor<'g>, q_logits: Tensor<'g>) -> Tensor<'g> {
    let (p, q) = (log_softmax(p_logits), log_softmax(q_logits));
    (p.exp() * (p - q)).sum(&[1])
}
