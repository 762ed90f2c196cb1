//! The best example that an attack has met, per example: first what fools the model, then what has the highest score.

use super::{ADVERSARIAL, FOOLED, Scene};
use crate::graph::Tensor;

/// Where the score of that example is kept, `[N,1]`.
pub(super) const SCORE: &str = "score";
/// Where a search is, and the score of that: what starts anew goes on from there, not from the best of earlier starts.
const HERE: &str = "x";
const HERE_SCORE: &str = "x_score";
/// Below every score: what any example beats.
const LEAST: f64 = -1e30;

/// Nothing met yet: the images themselves stand for it.
pub(super) fn begin(s: &Scene) {
    s.store(ADVERSARIAL, s.images);
    s.store(FOOLED, s.each(0.0));
    s.store(SCORE, s.each(LEAST));
}

/// Looks at examples `x` with their logits and a score `[N,1]`; returns 1 where something that fools the model is known, `[N,1]`.
pub(super) fn meet<'g>(s: &Scene<'_, 'g>, x: Tensor<'g>, logits: Tensor<'g>, score: Tensor<'g>) -> Tensor<'g> {
    meet_where(s, x, s.fooled(logits), score)
}

/// [`meet`] for examples of which is known whether they fool the model, `[N,1]`.
pub(super) fn meet_where<'g>(s: &Scene<'_, 'g>, x: Tensor<'g>, fools: Tensor<'g>, score: Tensor<'g>) -> Tensor<'g> {
    let (known, best) = (s.load_each(FOOLED), s.load_each(SCORE));
    // 2 or 3 where it fools and nothing did, negative where something did and it does not; else 1 where the score is higher.
    let better = (fools - known).scale(2.0) + (score - best).step();
    let fooled = known.max(fools);
    s.store(ADVERSARIAL, s.spread(better).select(x, s.load_images(ADVERSARIAL)));
    s.store(SCORE, better.select(score, best));
    s.store(FOOLED, fooled);
    fooled.detach()
}

/// A search sets out from `x`, whose score `[N,1]` is known.
pub(super) fn set_out<'g>(s: &Scene<'_, 'g>, x: Tensor<'g>, score: Tensor<'g>) {
    s.store(HERE, x);
    s.store(HERE_SCORE, score);
}

/// Where the search is.
pub(super) fn here<'g>(s: &Scene<'_, 'g>) -> Tensor<'g> {
    s.load_images(HERE)
}

/// The search goes on from `x` where that has a higher score `[N,1]` than where it is. One that is over goes nowhere.
pub(super) fn climb<'g>(s: &Scene<'_, 'g>, x: Tensor<'g>, score: Tensor<'g>) {
    let before = s.load_each(HERE_SCORE);
    let higher = (score - before).step();
    set_out(s, s.spread(higher).select(x, here(s)), higher.select(score, before));
}

/// `x` where nothing that fools the model is known yet, else the example that does: a search that is over stays where it is.
pub(super) fn unless_fooled<'g>(s: &Scene<'_, 'g>, x: Tensor<'g>) -> Tensor<'g> {
    s.spread(s.load_each(FOOLED)).select(s.load_images(ADVERSARIAL), x)
}
