//! Attacks that follow the gradient in a ball whose radius follows what they find: DDN (Rony et al. 2019) and FMN (Pintor et al. 2021).
//!
//! Lengths that were published for [0, 1] are in widths of the box.

use super::ball::{Norm, dot};
use super::smallest::{self, found, length, reciprocal, wants_classes};
use super::{Attack, AttackOptions, Ball, FOOLED, Listing, Loss, Scene, Stage};
use crate::error::Result;
use crate::graph::{Dist, Tensor};
use std::f64::consts::PI;

/// The attacks of this file.
pub(super) const ENTRIES: &[Listing] = &[
    Listing {
        name: "ddn",
        about: "normalised steps on a sphere that shrinks where it fools and grows where not (Rony 2019)",
        targets: true,
        draws: true,
        make: ddn,
    },
    Listing {
        name: "fmn",
        about: "normalised steps in a ball that shrinks where it fools, in either norm (Pintor 2021)",
        targets: true,
        draws: false,
        make: fmn,
    },
];

/// First length of a step and first radius of ddn.
const LONGEST: f64 = 1.0;
/// Length of the last step.
const SHORTEST: f64 = 0.01;
/// Share by which a radius changes, at first.
const GAMMA: f64 = 0.05;
/// Share by which that of fmn changes at the end.
const LAST_GAMMA: f64 = 1e-3;
/// No radius is known yet.
const ANY: f64 = 1e15;
const RADIUS: &str = "radius";

fn ddn(o: &AttackOptions) -> Result<Attack> {
    let loss = o.loss.unwrap_or(Loss::Ce);
    annealed("ddn", o, Norm::Two, LONGEST, move |s, annealing| ddn_step(s, loss, annealing))
}

fn fmn(o: &AttackOptions) -> Result<Attack> {
    let norm = o.norm.unwrap_or(Norm::Inf);
    annealed("fmn", o, norm, ANY, move |s, annealing| fmn_step(s, norm, annealing))
}

/// An attack of one hundred steps unless others were asked for. `step` is told a number `[1]` that falls from 1 to 0 as half a cosine.
fn annealed(
    name: &'static str,
    o: &AttackOptions,
    norm: Norm,
    radius: f64,
    step: impl for<'g> Fn(&Scene<'_, 'g>, Tensor<'g>) + Send + Sync + 'static,
) -> Result<Attack> {
    wants_classes(name, o)?;
    let steps = o.steps.unwrap_or(100);
    let begin = |s: &Scene| {
        smallest::begin(s);
    };
    let start = move |s: &Scene| {
        s.store("x", s.images);
        s.store(RADIUS, s.each(radius * s.bounds.width()));
        s.store("cosine", s.graph().constant(1.0, [1]));
        s.store("sine", s.graph().constant(0.0, [1]));
    };
    let step = move |s: &Scene| {
        // The angle grows by π/steps: a rotation, as there is no cosine to be had of it.
        let (cosine, sine) = (s.load("cosine", [1]), s.load("sine", [1]));
        let (up, right) = (PI / f64::from(steps)).sin_cos();
        s.store("cosine", cosine.scale(right) - sine.scale(up));
        s.store("sine", sine.scale(right) + cosine.scale(up));
        step(s, (cosine + 1.0).scale(0.5));
    };
    let stages = vec![
        Stage::new("begin", begin),
        Stage::new("start", start).restarted(),
        Stage::new("step", step).repeat(steps).restarted(),
    ];
    Ok(Attack { restarts: o.restarts.unwrap_or(1), ..Attack::new(name, Ball::Smallest(norm), stages) })
}

/// From one value to another, `[1]`.
fn between<'g>(annealing: Tensor<'g>, first: f64, last: f64) -> Tensor<'g> {
    annealing.scale(first - last) + last
}

/// Length of a step, with the rank of the images.
fn step_length<'g>(s: &Scene<'_, 'g>, annealing: Tensor<'g>) -> Tensor<'g> {
    s.everywhere(between(annealing, LONGEST, SHORTEST).scale(s.bounds.width()))
}

/// The longest change that the box allows, `[N,1]`.
fn longest<'g>(s: &Scene<'_, 'g>, norm: Norm) -> Tensor<'g> {
    length(norm, (s.images - s.bounds.lo).max(-s.images + s.bounds.hi))
}

fn ddn_step<'g>(s: &Scene<'_, 'g>, loss: Loss, annealing: Tensor<'g>) {
    let (x, radius) = (s.load_images("x"), s.load_each(RADIUS));
    let logits = s.logits(x);
    let change = x - s.images;
    let fools = smallest::meet(s, x, logits, length(Norm::Two, change));
    let gradient = s.gradient(loss.each(s, logits), x);
    // Where there is no gradient, any direction will do.
    let there = s.spread(dot(gradient, gradient).step());
    let direction = there.select(gradient, s.random(Dist::Normal, 0, s.images.shape()));
    let direction = direction * s.spread(reciprocal(length(Norm::Two, direction)));

    let change = change + direction * step_length(s, annealing);
    let radius = radius * (-fools.scale(2.0 * GAMMA) + (1.0 + GAMMA));
    let radius = radius.min(longest(s, Norm::Two));
    let change = change * s.spread(radius * reciprocal(length(Norm::Two, change)));
    s.store(RADIUS, radius);
    s.store("x", (s.images + change).clamp(s.bounds.lo, s.bounds.hi));
}

fn fmn_step<'g>(s: &Scene<'_, 'g>, norm: Norm, annealing: Tensor<'g>) {
    let (x, radius) = (s.load_images("x"), s.load_each(RADIUS));
    let logits = s.logits(x);
    let change = x - s.images;
    let size = length(norm, change);
    let fools = smallest::meet(s, x, logits, size);
    let margin = Loss::Margin.each(s, logits);
    let gradient = s.gradient(margin, x);

    // Until something was found, the radius is that at which the linearised margin is 0; then it shrinks by γ below the best example
    // where this one fools the model, and grows by γ where not.
    let steepness = match norm {
        Norm::Inf => dot(gradient, gradient.sign()),
        Norm::Two => length(Norm::Two, gradient),
    };
    let gamma = between(annealing, GAMMA, LAST_GAMMA).reshape([1, 1]);
    let linear = size + margin.abs() * reciprocal(steepness);
    let inward = (radius * (-gamma + 1.0)).min(found(s));
    let outward = s.load_each(FOOLED).select(radius * (gamma + 1.0), linear);
    let radius = fools.select(inward, outward).min(longest(s, norm));

    let direction = gradient * s.spread(reciprocal(length(Norm::Two, gradient)));
    let change = change + direction * step_length(s, annealing);
    let limit = s.spread(radius);
    let change = match norm {
        Norm::Inf => change.max(-limit).min(limit),
        Norm::Two => {
            let shrink = limit * s.spread(reciprocal(length(Norm::Two, change)));
            change * shrink.min(s.spread(s.each(1.0)))
        }
    };
    s.store(RADIUS, radius);
    s.store("x", (s.images + change).clamp(s.bounds.lo, s.bounds.hi));
}
