//! The smallest change that fools the model, per example: what attacks of minimal norm leave.

use super::ball::{Norm, dot};
use super::best::{self, SCORE};
use super::{AttackOptions, Scene, refused};
use crate::error::Result;
use crate::graph::Tensor;
use crate::nn::softmax::row_max;

/// Refuses a model of one logit: these attacks compare classes.
pub(super) fn wants_classes(attack: &str, o: &AttackOptions) -> Result<()> {
    if o.classes < 2 {
        let hint = "a model of one logit has no classes to compare: use pgd";
        return Err(refused(attack, "classes", o.classes, hint));
    }
    Ok(())
}

/// Looks at the images as they are: where they fool the model already, no change is the smallest. Where nothing is ever found, the
/// image stays. Returns the logits of the images.
pub(super) fn begin<'g>(s: &Scene<'_, 'g>) -> Tensor<'g> {
    best::begin(s);
    let logits = s.logits(s.images);
    best::meet(s, s.images, logits, s.each(0.0));
    logits
}

/// Looks at examples `x` whose change has the size `size` `[N,1]`, in whatever measure the attack keeps to; returns where these very
/// examples fool the model, `[N,1]`.
pub(super) fn meet<'g>(s: &Scene<'_, 'g>, x: Tensor<'g>, logits: Tensor<'g>, size: Tensor<'g>) -> Tensor<'g> {
    let fools = s.fooled(logits).detach();
    // The image with its size of 0 was met first: what does not fool the model never takes its place.
    best::meet_where(s, x, fools, -size);
    fools
}

/// Size of the smallest change that was found, `[N,1]`; 0 where none was.
pub(super) fn found<'g>(s: &Scene<'_, 'g>) -> Tensor<'g> {
    -s.load_each(SCORE)
}

/// Length of each example's change, `[N,1]`. Not to be differentiated: a Euclidean length of 0 has no derivative.
pub(super) fn length(norm: Norm, change: Tensor<'_>) -> Tensor<'_> {
    match norm {
        Norm::Inf => {
            let rows = change.dim(0);
            let elems = change.shape().elems() / rows;
            row_max(change.abs().reshape([rows, elems]))
        }
        Norm::Two => dot(change, change).sqrt(),
    }
}

/// Reciprocal of a number from 0 on, kept finite.
pub(super) fn reciprocal(x: Tensor<'_>) -> Tensor<'_> {
    x.max(x.graph().constant(1e-20, x.shape())).pow(-1.0)
}

/// Squared Euclidean length of each example's change in widths of the box, `[N,1]`: what objectives published for [0, 1] contain.
pub(super) fn squared_distance<'g>(s: &Scene<'_, 'g>, x: Tensor<'g>, from: Tensor<'g>) -> Tensor<'g> {
    let change = x - from;
    dot(change, change).scale(s.bounds.width().powi(-2))
}
