//! Attacks that ask for the model's outputs alone, never for a gradient.

use super::ball::project;
use super::best;
use super::grid::extents;
use super::onepixel::OnePixel;
use super::pixle::Pixle;
use super::square::Square;
use super::{Attack, AttackOptions, Ball, Listing, Loss, Norm, Scene, Stage};
use crate::graph::{Dist, Tensor};

/// The attacks of this file, and those that have one of their own.
pub(super) const ENTRIES: &[Listing] = &[
    Listing {
        name: "square",
        about: "a random search over squares on the border of the ball, steps are queries (Andriushchenko 2020)",
        targets: true,
        draws: true,
        make: |o| Ok(Square::new(o, extents("square", o)?).attack()),
    },
    Listing {
        name: "spsa",
        about: "Adam along gradients estimated from 128 pairs of queries in random directions (Uesato 2018)",
        targets: true,
        draws: true,
        make: |o| Ok(Spsa::new(o).attack()),
    },
    Listing {
        name: "onepixel",
        about: "one pixel or so many (--pixels), found by differential evolution, steps are queries (Su 2019)",
        targets: true,
        draws: true,
        make: |o| Ok(OnePixel::new(o, extents("onepixel", o)?).attack()),
    },
    Listing {
        name: "pixle",
        about: "pixels of random patches copied elsewhere in the image, steps are queries (Pomponi 2022)",
        targets: true,
        draws: true,
        make: |o| Ok(Pixle::new(o, extents("pixle", o)?).attack()),
    },
];

/// What a search without gradients raises unless something else is said: the margin, or the score of a model of one logit. Where
/// probabilities are published (one pixel, Pixle), 32 bits make those of a sure model 1 whatever is changed.
pub(super) fn searched(o: &AttackOptions) -> Loss {
    let margin = if o.classes > 1 { Loss::Margin } else { Loss::default_for(o.classes) };
    o.loss.unwrap_or(margin)
}

/// Simultaneous perturbation stochastic approximation.
#[derive(Clone, Copy)]
struct Spsa {
    norm: Norm,
    loss: Loss,
    steps: u32,
    restarts: u32,
    /// Step size of Adam in units of the images.
    alpha: f64,
}

/// Pairs of queries in each step.
const PAIRS: u32 = 128;
/// How far from the example the queries are, and the step size of Adam, in units of the images: published as 0.01 of the box.
const APART: f64 = 0.02;
const RATE: f64 = 0.02;
/// Adam's decays and its floor.
const BETAS: [f64; 2] = [0.9, 0.999];
const FLOOR: f64 = 1e-8;

impl Spsa {
    fn new(o: &AttackOptions) -> Spsa {
        let (norm, restarts) = (o.norm.unwrap_or(Norm::Inf), o.restarts.unwrap_or(1));
        Spsa { norm, loss: searched(o), steps: o.steps.unwrap_or(100), restarts, alpha: o.alpha.unwrap_or(RATE) }
    }

    fn attack(self) -> Attack {
        let stages = vec![
            Stage::new("begin", move |s| self.begin(s)),
            Stage::new("start", Spsa::start).restarted(),
            Stage::new("sample", move |s| self.sample(s)).repeat(PAIRS).looped().restarted(),
            Stage::new("step", move |s| self.step(s)).looped().restarted(),
        ];
        let (times, restarts) = (self.steps, self.restarts);
        Attack { times, restarts, ..Attack::new("spsa", Ball::Radius(self.norm), stages) }
    }

    fn begin(&self, s: &Scene) {
        self.loss.prepare(s);
        best::begin(s);
    }

    fn start(s: &Scene) {
        s.store("x", s.images);
        for name in ["sum", "mean", "square"] {
            s.store(name, s.graph().constant(0.0, s.images.shape()));
        }
        for name in ["left", "left_square"] {
            s.store(name, s.graph().constant(1.0, [1]));
        }
    }

    /// Adds (L(x + δv) − L(x − δv))/2δ · v for random signs v.
    fn sample(&self, s: &Scene) {
        let x = s.load_images("x");
        let signs = s.random(Dist::Normal, 0, x.shape()).sign();
        let loss = |x| self.loss.each(s, s.logits(x));
        let slope = (loss(x + signs.scale(APART)) - loss(x - signs.scale(APART))).scale(0.5 / APART);
        s.store("sum", s.load_images("sum") + signs * s.spread(slope));
    }

    /// A step of Adam along the mean of the samples, and back into the ball.
    fn step<'g>(&self, s: &Scene<'_, 'g>) {
        let x = s.load_images("x");
        let gradient = s.load_images("sum").scale(1.0 / f64::from(PAIRS));
        let mean = s.load_images("mean").scale(BETAS[0]) + gradient.scale(1.0 - BETAS[0]);
        let square = s.load_images("square").scale(BETAS[1]) + gradient.square().scale(1.0 - BETAS[1]);
        // What is left of the zeros that the averages began with: βᵗ.
        let left = s.load("left", [1]).scale(BETAS[0]);
        let left_square = s.load("left_square", [1]).scale(BETAS[1]);
        let whole = |left: Tensor<'g>| (-left + 1.0).pow(-1.0).reshape(vec![1; x.shape().len()]);
        let direction = mean * whole(left) * ((square * whole(left_square)).sqrt() + FLOOR).pow(-1.0);
        let moved = project(self.norm, x + direction.scale(self.alpha), s.images, s.eps, s.bounds);

        let logits = s.logits(moved);
        best::meet(s, moved, logits, self.loss.each(s, logits));
        s.store("x", best::unless_fooled(s, moved));
        s.store("sum", s.graph().constant(0.0, x.shape()));
        for (name, value) in [("mean", mean), ("square", square)] {
            s.store(name, value);
        }
        for (name, value) in [("left", left), ("left_square", left_square)] {
            s.store(name, value);
        }
    }
}
