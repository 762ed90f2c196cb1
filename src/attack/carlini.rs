//! Attacks that minimise distance + c·max(margin, 0) and search for c per example: Carlini & Wagner 2017 in the Euclidean norm, and
//! the elastic-net attack of Chen et al. 2018.
//!
//! Lengths are in widths of the box, as published for [0, 1]: there c, the learning rates and the elastic weight have their values.

use super::ball::{Norm, dot};
use super::smallest::{self, length, squared_distance, wants_classes};
use super::{Attack, AttackOptions, Ball, Listing, Loss, Scene, Stage, constant};
use crate::error::Result;
use crate::graph::Tensor;

/// The attacks of this file.
pub(super) const ENTRIES: &[Listing] = &[
    Listing {
        name: "cw2",
        about: "Adam on distance and margin in tanh space, nine searches for c, Euclidean (Carlini & Wagner 2017)",
        targets: true,
        draws: false,
        make: cw2,
    },
    Listing {
        name: "ead",
        about: "shrinking steps on the elastic net, which keeps the least elastic net (Chen 2018)",
        targets: true,
        draws: false,
        make: |o| elastic("ead", o, Rule::ElasticNet),
    },
    Listing {
        name: "ead-l1",
        about: "shrinking steps on the elastic net, which keeps the least sum of changes (Chen 2018)",
        targets: true,
        draws: false,
        make: |o| elastic("ead-l1", o, Rule::Sum),
    },
];

/// How often c is tried.
const SEARCHES: u32 = 9;
/// The first c.
const FIRST: f64 = 1e-3;
/// Steps at each c.
const STEPS: u32 = 1000;
/// Learning rate of Adam, and the first length of the shrinking steps.
const RATE: f64 = 0.01;
/// 1 where the c that is tried has given an example, `[N,1]`.
const SUCCESS: &str = "success";

/// An attack of a search for c around `start`, which lays out what the steps change, and `step`.
fn searched(
    name: &'static str,
    o: &AttackOptions,
    start: impl for<'g> Fn(&Scene<'_, 'g>) + Send + Sync + 'static,
    step: impl for<'g> Fn(&Scene<'_, 'g>) + Send + Sync + 'static,
) -> Result<Attack> {
    wants_classes(name, o)?;
    let begin = |s: &Scene| {
        smallest::begin(s);
        constant::begin(s, FIRST);
    };
    let start = move |s: &Scene| {
        s.store(SUCCESS, s.each(0.0));
        start(s);
    };
    let stages = vec![
        Stage::new("begin", begin),
        Stage::new("start", start).looped(),
        Stage::new("step", step).repeat(o.steps.unwrap_or(STEPS)).looped(),
        Stage::new("end", |s| constant::next(s, s.load_each(SUCCESS))).looped(),
    ];
    Ok(Attack { times: SEARCHES, ..Attack::new(name, Ball::Smallest(Norm::Two), stages) })
}

/// Squared distance of `x` from `from` plus c·max(z_y − max over i ≠ y of zᵢ, 0), `[N,1]`; with a target t, max(max over i ≠ t of zᵢ − z_t, 0).
fn objective<'g>(s: &Scene<'_, 'g>, x: Tensor<'g>, from: Tensor<'g>, logits: Tensor<'g>) -> Tensor<'g> {
    let short = (-Loss::Margin.each(s, logits)).relu();
    squared_distance(s, x, from) + constant::tried(s) * short
}

/// Looks at `x`, whose change has this size.
fn meet<'g>(s: &Scene<'_, 'g>, x: Tensor<'g>, logits: Tensor<'g>, size: Tensor<'g>) {
    let fools = smallest::meet(s, x, logits, size);
    s.store(SUCCESS, s.load_each(SUCCESS).max(fools));
}

/// One thousand steps at each c unless others were asked for.
fn cw2(o: &AttackOptions) -> Result<Attack> {
    searched("cw2", o, start_tanh, step_tanh)
}

/// How far images are drawn in from the faces of the box: on a face, tanh has no finite argument and no derivative.
const SHRINK: f64 = 0.999_999;

/// Where images lie in the space whose tanh fills the box: atanh of the image, drawn in.
fn to_tanh_space<'g>(s: &Scene<'_, 'g>) -> Tensor<'g> {
    let (half, middle) = (0.5 * s.bounds.width(), 0.5 * (s.bounds.hi + s.bounds.lo));
    let inside = (s.images - middle).scale(SHRINK / half);
    ((inside + 1.0) * (-inside + 1.0).pow(-1.0)).log().scale(0.5)
}

/// The image at a point of that space.
fn of_tanh_space<'g>(s: &Scene<'_, 'g>, w: Tensor<'g>) -> Tensor<'g> {
    let (half, middle) = (0.5 * s.bounds.width(), 0.5 * (s.bounds.hi + s.bounds.lo));
    w.tanh().scale(half) + middle
}

/// At the image, with Adam's averages at 0.
fn start_tanh(s: &Scene) {
    s.store("w", to_tanh_space(s));
    s.store("mean", s.graph().constant(0.0, s.images.shape()));
    s.store("square", s.graph().constant(0.0, s.images.shape()));
    s.store("mean_decay", s.graph().constant(1.0, [1]));
    s.store("square_decay", s.graph().constant(1.0, [1]));
}

/// One step of Adam (β .9 and .999).
fn step_tanh(s: &Scene) {
    let w = s.load_images("w");
    let x = of_tanh_space(s, w);
    let logits = s.logits(x);
    meet(s, x, logits, length(Norm::Two, x - s.images));
    // From the image as it is drawn in: there the distance is 0.
    let from = of_tanh_space(s, to_tanh_space(s)).detach();
    let gradient = s.gradient(objective(s, x, from, logits), w);

    let (beta1, beta2) = (0.9, 0.999);
    let mean = s.load_images("mean").scale(beta1) + gradient.scale(1.0 - beta1);
    let square = s.load_images("square").scale(beta2) + gradient.square().scale(1.0 - beta2);
    let decay1 = s.load("mean_decay", [1]).scale(beta1);
    let decay2 = s.load("square_decay", [1]).scale(beta2);
    let [unbias1, unbias2] = [decay1, decay2].map(|decay| s.everywhere((-decay + 1.0).pow(-1.0)));
    let step = mean * unbias1 * ((square * unbias2).sqrt() + 1e-8).pow(-1.0);
    s.store("w", w - step.scale(RATE));
    s.store("mean", mean);
    s.store("square", square);
    s.store("mean_decay", decay1);
    s.store("square_decay", decay2);
}

/// Weight of the sum of changes in the elastic net.
const ELASTIC: f64 = 1e-3;

/// By what the elastic-net attack chooses among its examples.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Rule {
    /// β·‖δ‖₁ + ‖δ‖₂².
    ElasticNet,
    /// ‖δ‖₁.
    Sum,
}

/// One thousand steps at each c unless others were asked for. Whoever gives a radius has the change measured in the Euclidean norm, the
/// larger part of the elastic net.
fn elastic(name: &'static str, o: &AttackOptions, rule: Rule) -> Result<Attack> {
    let steps = o.steps.unwrap_or(STEPS);
    searched(name, o, start_shrinking, move |s| step_shrinking(s, rule, steps))
}

/// At the image.
fn start_shrinking(s: &Scene) {
    s.store("x", s.images);
    s.store("ahead", s.images);
    s.store("count", s.graph().constant(0.0, [1]));
}

/// A gradient step from the point ahead, of a length that falls with the square root of the steps left, then the changes shrunk by the
/// elastic weight; the point ahead runs on by k/(k + 3) of the move (FISTA).
fn step_shrinking(s: &Scene, rule: Rule, steps: u32) {
    let (x, ahead, count) = (s.load_images("x"), s.load_images("ahead"), s.load("count", [1]));
    let width = s.bounds.width();
    let gradient = s.gradient(objective(s, ahead, s.images, s.logits(ahead)), ahead);
    let rate = (-count.scale(1.0 / f64::from(steps)) + 1.0).sqrt().scale(RATE * width * width);
    let next = shrunk(s, ahead - gradient * s.everywhere(rate));
    let run_on = s.everywhere(count * (count + 3.0).pow(-1.0));
    s.store("x", next);
    s.store("ahead", next + (next - x) * run_on);
    s.store("count", count + 1.0);

    let change = (next - s.images).scale(1.0 / width);
    let sum = dot(change, change.sign());
    let size = match rule {
        Rule::ElasticNet => sum.scale(ELASTIC) + dot(change, change),
        Rule::Sum => sum,
    };
    meet(s, next, s.logits(next), size);
}

/// Changes brought nearer to 0 by the elastic weight, and to 0 where they are smaller; then the box.
fn shrunk<'g>(s: &Scene<'_, 'g>, x: Tensor<'g>) -> Tensor<'g> {
    let (change, weight) = (x - s.images, ELASTIC * s.bounds.width());
    let kept = (change.abs() - weight).relu() * change.sign();
    (s.images + kept).clamp(s.bounds.lo, s.bounds.hi)
}
