//! The ball around an example and the box of valid inputs: random points, steps, and the way back into both.
//!
//! Projections stay outside the differentiated pass: a clamp inside it kills the gradient of clipped pixels.

use crate::graph::{Dist, Tensor};

/// The valid range of inputs, the same for every element: images are in [-1, 1].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bounds {
    /// Smallest valid value.
    pub lo: f64,
    /// Largest valid value.
    pub hi: f64,
}

impl Bounds {
    /// The range of this engine's images.
    pub const IMAGE: Bounds = Bounds { lo: -1.0, hi: 1.0 };

    /// From the smallest value to the largest: the unit in which attacks published for [0, 1] give their lengths.
    pub fn width(self) -> f64 {
        self.hi - self.lo
    }
}

/// The norm that measures a perturbation of one example.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Norm {
    /// The largest change of an element.
    Inf,
    /// The Euclidean length of the change.
    Two,
}

/// A random point of the ball of radius `eps` `[1]` around `x0` [N, …], inside `bounds`; uniform in the ball before that.
/// Reads random streams `stream` and, for [`Norm::Two`], `stream + 1`.
pub fn start<'g>(norm: Norm, x0: Tensor<'g>, eps: Tensor<'g>, bounds: Bounds, stream: u32) -> Tensor<'g> {
    (x0 + offset(norm, x0, stream) * everywhere(eps, x0)).clamp(bounds.lo, bounds.hi).detach()
}

/// A random change of each example of `x0`, uniform in the ball of radius 1. Reads random streams as [`start`] does.
pub(super) fn offset<'g>(norm: Norm, x0: Tensor<'g>, stream: u32) -> Tensor<'g> {
    let (graph, shape) = (x0.graph(), x0.shape());
    match norm {
        Norm::Inf => graph.rand(Dist::Uniform, stream, &shape).scale(2.0) - 1.0,
        Norm::Two => {
            let direction = graph.rand(Dist::Normal, stream, &shape);
            let elements = (shape.elems() / shape[0]) as f64;
            let mut one_an_example = vec![1; shape.len()];
            one_an_example[0] = shape[0];
            let radius = graph.rand(Dist::Uniform, stream + 1, one_an_example).pow(1.0 / elements);
            direction * (reciprocal_length(direction) * radius)
        }
    }
}

/// One step: from `x_adv` along `gradient` by `alpha` `[1]`, then back into the ball of radius `eps` `[1]` around `x0` and
/// into `bounds`. [`Norm::Inf`] follows the sign (0 where the gradient is 0), [`Norm::Two`] the direction of each example.
///
/// The result is detached: the attack never becomes part of a differentiated graph (Danskin's theorem).
pub fn step<'g>(
    norm: Norm,
    x_adv: Tensor<'g>,
    x0: Tensor<'g>,
    gradient: Tensor<'g>,
    alpha: Tensor<'g>,
    eps: Tensor<'g>,
    bounds: Bounds,
) -> Tensor<'g> {
    raised(norm, x_adv, x0, gradient, alpha, eps).clamp(bounds.lo, bounds.hi).detach()
}

/// As [`step`], for what has no box: latents, or images of a generator that may leave it.
pub fn step_unbounded<'g>(
    norm: Norm,
    x_adv: Tensor<'g>,
    x0: Tensor<'g>,
    gradient: Tensor<'g>,
    alpha: Tensor<'g>,
    eps: Tensor<'g>,
) -> Tensor<'g> {
    raised(norm, x_adv, x0, gradient, alpha, eps).detach()
}

fn raised<'g>(
    norm: Norm,
    x_adv: Tensor<'g>,
    x0: Tensor<'g>,
    gradient: Tensor<'g>,
    alpha: Tensor<'g>,
    eps: Tensor<'g>,
) -> Tensor<'g> {
    let direction = match norm {
        Norm::Inf => gradient.sign(),
        Norm::Two => gradient * reciprocal_length(gradient),
    };
    in_ball(norm, x_adv + direction * everywhere(alpha, x0), x0, eps)
}

/// Share of examples whose gradient is zero everywhere, as `[1]`: an attack by gradients can't move them.
pub fn frozen(gradient: Tensor<'_>) -> Tensor<'_> {
    let axes = example_axes(gradient);
    let moved = gradient.sign().abs().sum(&axes).step();
    moved.mean_all().scale(-1.0) + 1.0
}

/// The nearest point of the ball around `x0`, then of the box; for a convex box around x0 the second step stays in the ball.
pub(super) fn project<'g>(norm: Norm, x: Tensor<'g>, x0: Tensor<'g>, eps: Tensor<'g>, bounds: Bounds) -> Tensor<'g> {
    in_ball(norm, x, x0, eps).clamp(bounds.lo, bounds.hi).detach()
}

/// The nearest point of the ball around `x0`.
fn in_ball<'g>(norm: Norm, x: Tensor<'g>, x0: Tensor<'g>, eps: Tensor<'g>) -> Tensor<'g> {
    let (delta, eps) = (x - x0, everywhere(eps, x0));
    let delta = match norm {
        Norm::Inf => delta.max(-eps).min(eps),
        Norm::Two => {
            let shrink = eps * reciprocal_length(delta);
            delta * shrink.min(x0.graph().constant(1.0, shrink.shape()))
        }
    };
    x0 + delta
}

/// A `[1]` tensor with the rank of `x`.
pub(super) fn everywhere<'g>(scalar: Tensor<'g>, x: Tensor<'g>) -> Tensor<'g> {
    scalar.reshape(vec![1; x.shape().len()])
}

pub(super) fn example_axes(x: Tensor) -> Vec<usize> {
    (1..x.shape().len()).collect()
}

/// Inner product of each example of `a` with that of `b`, `[N,1]`.
pub(super) fn dot<'g>(a: Tensor<'g>, b: Tensor<'g>) -> Tensor<'g> {
    (a * b).sum(&example_axes(a)).reshape([a.dim(0), 1])
}

/// 1/max(‖v‖₂, 1e-12) of each example.
pub(super) fn reciprocal_length(v: Tensor<'_>) -> Tensor<'_> {
    let squares = v.square().sum(&example_axes(v));
    squares.max(v.graph().constant(1e-24, squares.shape())).pow(-0.5)
}
