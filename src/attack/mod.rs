//! Attacks: adversaries that move an input within a ball so that a loss rises. Each builds the graph of one step; running
//! it K times on a persistent `x_adv` is the attack.
//!
//! Uses `graph`, `error`. The gradient comes from outside, taken by the input alone, of a loss *summed* over examples
//! (a mean would scale it by the batch). Projections stay outside the differentiated pass: a clamp inside it kills the
//! gradient of clipped pixels. Deliberately absent: models, loops, stopping, best iterates.

use crate::error::{Error, Result};
use crate::graph::{Dist, Tensor};
use std::fmt;
use std::str::FromStr;

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
}

/// The norm that measures a perturbation of one example.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Norm {
    /// The largest change of an element.
    Inf,
    /// The Euclidean length of the change.
    Two,
}

/// An attack by its usual name. ε is the radius of the ball, α the length of a step, both in units of the input.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Attack {
    /// x + U(±ε): the control every attack must beat.
    Noise,
    /// One step of length ε along the gradient's sign (Goodfellow 2014).
    Fgsm,
    /// A random start, then one such step of 1.25 ε (Wong 2020).
    Rfgsm,
    /// Sign steps from x (Kurakin 2016).
    Bim,
    /// Sign steps from a random start (Madry 2018).
    Pgd,
    /// Normalised gradient steps in the Euclidean ball, from a random start (Madry 2018).
    Pgd2,
    /// Sign steps along an accumulated gradient (Dong 2018), see [`accumulate`].
    Mifgsm,
}

impl Attack {
    /// Every attack, in declaration order.
    pub const ALL: [Attack; 7] =
        [Attack::Noise, Attack::Fgsm, Attack::Rfgsm, Attack::Bim, Attack::Pgd, Attack::Pgd2, Attack::Mifgsm];

    /// The name in configuration files.
    pub fn name(self) -> &'static str {
        match self {
            Attack::Noise => "noise",
            Attack::Fgsm => "fgsm",
            Attack::Rfgsm => "rfgsm",
            Attack::Bim => "bim",
            Attack::Pgd => "pgd",
            Attack::Pgd2 => "pgd2",
            Attack::Mifgsm => "mifgsm",
        }
    }

    /// The norm of its ball.
    pub fn norm(self) -> Norm {
        if self == Attack::Pgd2 { Norm::Two } else { Norm::Inf }
    }

    /// Whether it begins at a random point of the ball.
    pub fn random_start(self) -> bool {
        matches!(self, Attack::Noise | Attack::Rfgsm | Attack::Pgd | Attack::Pgd2)
    }

    /// How many gradient steps it takes where `asked` were asked for.
    pub fn steps(self, asked: usize) -> usize {
        match self {
            Attack::Noise => 0,
            Attack::Fgsm | Attack::Rfgsm => 1,
            _ => asked,
        }
    }

    /// The step length where none is given.
    pub fn alpha(self, eps: f64, asked: usize) -> f64 {
        match self {
            Attack::Noise | Attack::Fgsm => eps,
            Attack::Rfgsm => 1.25 * eps,
            Attack::Mifgsm => eps / asked.max(1) as f64,
            Attack::Bim | Attack::Pgd | Attack::Pgd2 => 2.5 * eps / asked.max(1) as f64,
        }
    }
}

impl fmt::Display for Attack {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Attack {
    type Err = Error;
    fn from_str(text: &str) -> Result<Attack> {
        let names = Attack::ALL.map(Attack::name).join(", ");
        let found = Attack::ALL.into_iter().find(|a| a.name() == text);
        found.ok_or_else(|| Error::setting("attack", "name", text, format!("must be one of {names}")))
    }
}

/// A random point of the ball of radius `eps` `[1]` around `x0` [N, …], inside `bounds`; uniform in the ball before that.
/// Reads random streams `stream` and, for [`Norm::Two`], `stream + 1`.
pub fn start<'g>(norm: Norm, x0: Tensor<'g>, eps: Tensor<'g>, bounds: Bounds, stream: u32) -> Tensor<'g> {
    let graph = x0.graph();
    let shape = x0.shape();
    let delta = match norm {
        Norm::Inf => graph.rand(Dist::Uniform, stream, &shape).scale(2.0) - 1.0,
        Norm::Two => {
            let direction = graph.rand(Dist::Normal, stream, &shape);
            let elements = (shape.elems() / shape[0]) as f64;
            let mut one_an_example = vec![1; shape.len()];
            one_an_example[0] = shape[0];
            let radius = graph.rand(Dist::Uniform, stream + 1, one_an_example).pow(1.0 / elements);
            direction * (reciprocal_length(direction) * radius)
        }
    };
    (x0 + delta * everywhere(eps, x0)).clamp(bounds.lo, bounds.hi).detach()
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
    let direction = match norm {
        Norm::Inf => gradient.sign(),
        Norm::Two => gradient * reciprocal_length(gradient),
    };
    project(norm, x_adv + direction * everywhere(alpha, x0), x0, eps, bounds)
}

/// The accumulated gradient of mifgsm, which takes the gradient's place in [`step`]: decay·g + ∇L/max(mean|∇L|, 1e-12),
/// the mean over each example. `previous` starts at 0; a decay of 1 is published.
pub fn accumulate<'g>(previous: Tensor<'g>, gradient: Tensor<'g>, decay: f64) -> Tensor<'g> {
    let mean = gradient.abs().mean(&example_axes(gradient));
    let floor = gradient.graph().constant(1e-12, mean.shape());
    (previous.scale(decay) + gradient * mean.max(floor).pow(-1.0)).detach()
}

/// Share of examples whose gradient is zero everywhere, as `[1]`: an attack by gradients can't move them.
pub fn frozen(gradient: Tensor<'_>) -> Tensor<'_> {
    let axes = example_axes(gradient);
    let moved = gradient.sign().abs().sum(&axes).step();
    moved.mean_all().scale(-1.0) + 1.0
}

/// The nearest point of the ball around `x0`, then of the box; for a convex box around x0 the second step stays in the ball.
fn project<'g>(norm: Norm, x: Tensor<'g>, x0: Tensor<'g>, eps: Tensor<'g>, bounds: Bounds) -> Tensor<'g> {
    let (delta, eps) = (x - x0, everywhere(eps, x0));
    let delta = match norm {
        Norm::Inf => delta.max(-eps).min(eps),
        Norm::Two => {
            let shrink = eps * reciprocal_length(delta);
            delta * shrink.min(x0.graph().constant(1.0, shrink.shape()))
        }
    };
    (x0 + delta).clamp(bounds.lo, bounds.hi).detach()
}

/// A `[1]` tensor with the rank of `x`.
fn everywhere<'g>(scalar: Tensor<'g>, x: Tensor<'g>) -> Tensor<'g> {
    scalar.reshape(vec![1; x.shape().len()])
}

fn example_axes(x: Tensor) -> Vec<usize> {
    (1..x.shape().len()).collect()
}

/// 1/max(‖v‖₂, 1e-12) of each example.
fn reciprocal_length(v: Tensor<'_>) -> Tensor<'_> {
    let squares = v.square().sum(&example_axes(v));
    squares.max(v.graph().constant(1e-24, squares.shape())).pow(-0.5)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_read_back() {
        for attack in Attack::ALL {
            assert_eq!(attack.to_string().parse::<Attack>().unwrap(), attack);
        }
        let message = "pgd3".parse::<Attack>().unwrap_err().to_string();
        assert!(message.contains("pgd3") && message.contains("mifgsm"), "{message}");
    }
}
