//! The fast adaptive boundary attack (Croce & Hein 2020b): projections onto the linearised boundary within the box, each drawn towards
//! the image, and steps back towards it from the far side.

use super::apgd::{NEAREST, list_targets, next_target, target};
use super::ball::{Bounds, Norm, dot};
use super::smallest::{self, length, reciprocal, wants_classes};
use super::{ADVERSARIAL, Attack, AttackOptions, Ball, Listing, Loss, Scene, Stage};
use crate::error::Result;
use crate::graph::Tensor;
use crate::nn::softmax::one_hot;

/// The attacks of this file.
pub(super) const ENTRIES: &[Listing] = &[Listing {
    name: "fab-t",
    about: "projections onto the linearised boundary of each of the nine nearest classes in turn (Croce & Hein 2020b)",
    targets: false,
    make: fab,
}];

/// Largest weight of the projection of the image.
const WEIGHT: f64 = 0.1;
/// How far a projection goes: beyond the boundary.
const EXTRAPOLATION: f64 = 1.05;
/// What is left of a change that fools the model.
const BACKWARD: f64 = 0.9;
/// Steps of the final search on the way from the image to the best example.
const FINAL: u32 = 3;

/// One hundred steps towards each class unless others were asked for. Every search sets out from the image: there are no restarts.
fn fab(o: &AttackOptions) -> Result<Attack> {
    wants_classes("fab-t", o)?;
    let (classes, norm) = (o.classes, o.norm.unwrap_or(Norm::Inf));
    let begin = |s: &Scene| {
        smallest::begin(s);
        list_targets(s);
    };
    let start = move |s: &Scene| {
        next_target(s, classes, classes as u32 - 1);
        s.store("x", s.images);
    };
    let stages = vec![
        Stage::new("begin", begin),
        Stage::new("start", start).looped(),
        Stage::new("step", move |s| step(s, norm)).repeat(o.steps.unwrap_or(100)).looped(),
        Stage::new("bracket", bracket),
        Stage::new("search", move |s| search(s, norm)).repeat(FINAL),
    ];
    Ok(Attack { name: "fab-t", ball: Ball::Smallest(norm), stages, times: NEAREST.min(classes as u32 - 1) })
}

/// Moves to a mixture of the projections of x and of the image onto the boundary between label and target, linearised at x.
fn step(s: &Scene, norm: Norm) {
    let x = s.load_images("x");
    let logits = s.logits(x);
    let between = one_hot(target(s), logits.dim(1)) - one_hot(s.labels, logits.dim(1));
    let gap = (between * logits).sum(&[1]);
    let slope = s.gradient(gap, x);

    // The boundary is where gap + slope·(z − x) = 0; what is missing there, seen from x and from the image.
    let missing = -gap;
    let near = to_boundary(norm, x, slope, missing, s.bounds);
    let far = to_boundary(norm, s.images, slope, missing + dot(slope, x - s.images), s.bounds);
    let [d, d0] = [near, far].map(|way| length(norm, way).max(s.each(1e-8)));
    let weight = s.spread((d * (d + d0).pow(-1.0)).min(s.each(WEIGHT)));
    let from_x = (x + near.scale(EXTRAPOLATION)) * (-weight + 1.0);
    let from_image = (s.images + far.scale(EXTRAPOLATION)) * weight;
    let next = (from_x + from_image).clamp(s.bounds.lo, s.bounds.hi).detach();

    let change = next - s.images;
    let fools = smallest::meet(s, next, s.logits(next), length(norm, change));
    s.store("x", s.spread(fools).select(s.images + change.scale(BACKWARD), next));
}

/// The smallest change of `x`, in this norm, that stays in the box and has slope·change = missing (`[N,1]`); where the box ends before
/// that, the change that comes nearest to it.
///
/// The change grows along one ray, the sign of the slope or the slope itself, and each element stops at its face of the box. What is
/// covered of `missing` is a concave function of the way along the ray, so that Newton's method from 0 approaches it from below, and
/// arrives as soon as no more elements stop: no sorting is needed. That takes 4 to 8 rounds, and up to 7 (∞) or 16 where nearly every
/// element stops, with 300 elements as with 150,000.
pub fn to_boundary<'g>(
    norm: Norm,
    x: Tensor<'g>,
    slope: Tensor<'g>,
    missing: Tensor<'g>,
    bounds: Bounds,
) -> Tensor<'g> {
    let mut ones = vec![1; x.shape().len()];
    ones[0] = x.dim(0);
    let spread = |each: Tensor<'g>| each.reshape(ones.as_slice());
    let slope = slope * spread(missing.sign());
    let missing = missing.abs();
    let ray = match norm {
        Norm::Inf => slope.sign(),
        Norm::Two => slope * spread(reciprocal(length(Norm::Two, slope))),
    };
    // How far each element may go along the ray's direction.
    let lower = -x + bounds.lo;
    let upper = -x + bounds.hi;
    let change = |way: Tensor<'g>| (ray * spread(way)).max(lower).min(upper);
    let room = ray.select(upper, -lower);
    let mut way = x.graph().constant(0.0, missing.shape());
    let rounds = match norm {
        Norm::Inf => 8,
        Norm::Two => 16,
    };
    for _ in 0..rounds {
        let moves = (room - ray.abs() * spread(way)).step();
        let rate = dot(moves * slope, ray);
        let left = (missing - dot(slope, change(way))).relu();
        // Where nothing moves any more, the way is as long as it can be.
        way = way + (left * reciprocal(rate)) * rate.step();
    }
    change(way)
}

const LOW: &str = "low";
const HIGH: &str = "high";
const LOW_MARGIN: &str = "low_margin";
const HIGH_MARGIN: &str = "high_margin";

/// The two ends of the final search: the image, and the best example.
fn bracket(s: &Scene) {
    let best = s.load_images(ADVERSARIAL);
    for (name, end, margin) in [(LOW, s.images, LOW_MARGIN), (HIGH, best, HIGH_MARGIN)] {
        let logits = s.logits(end);
        s.store(name, end);
        s.store(margin, Loss::Margin.each(s, logits));
    }
}

/// Looks where the margin would be zero if it were linear between the two ends, and puts that point in place of the end of its sign.
fn search(s: &Scene, norm: Norm) {
    let [low, high] = [LOW, HIGH].map(|name| s.load_images(name));
    let [low_margin, high_margin] = [LOW_MARGIN, HIGH_MARGIN].map(|name| s.load_each(name));
    let share = (high_margin * reciprocal(high_margin - low_margin)).max(s.each(0.0)).min(s.each(1.0));
    let x = (high - (high - low) * s.spread(share)).detach();
    let logits = s.logits(x);
    let fools = smallest::meet(s, x, logits, length(norm, x - s.images));
    let margin = Loss::Margin.each(s, logits);
    let at = s.spread(fools);
    s.store(LOW, at.select(low, x));
    s.store(HIGH, at.select(x, high));
    s.store(LOW_MARGIN, fools.select(low_margin, margin));
    s.store(HIGH_MARGIN, fools.select(margin, high_margin));
}
