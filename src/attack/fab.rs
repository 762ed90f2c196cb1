//! The fast adaptive boundary attack (Croce & Hein 2020b): projections onto the linearised boundary within the box, each drawn towards
//! the image, and steps back towards it from the far side.

use super::apgd::{NEAREST, list_targets, next_target, target};
use super::ball::{Bounds, Norm, dot};
use super::deepfool::{list_nearest, nearest_boundary};
use super::smallest::{self, length, reciprocal, wants_classes};
use super::{ADVERSARIAL, Attack, AttackOptions, Ball, Listing, Loss, Scene, Stage};
use crate::error::Result;
use crate::graph::{Dist, Tensor};
use crate::nn::softmax::one_hot;

/// The attacks of this file.
pub(super) const ENTRIES: &[Listing] = &[
    Listing {
        name: "fab",
        about: "projections onto the nearest of nine linearised boundaries, drawn towards the image (Croce & Hein 2020b)",
        targets: false,
        draws: true,
        make: |o| fab("fab", o, false),
    },
    Listing {
        name: "fab-t",
        about: "fab that goes for each of the nine nearest classes in turn, at a ninth of the gradients",
        targets: false,
        draws: true,
        make: |o| fab("fab-t", o, true),
    },
];

/// Largest weight of the projection of the image.
const WEIGHT: f64 = 0.1;
/// How far a projection goes: beyond the boundary.
const EXTRAPOLATION: f64 = 1.05;
/// What is left of a change that fools the model.
const BACKWARD: f64 = 0.9;
/// Steps of the final search on the way from the image to the best example.
const FINAL: u32 = 3;

/// How far from the image later searches set out, as a share of the radius.
const START: f64 = 0.5;
/// 0 in the first search of each class, then 1, `[1]`.
const AGAIN: &str = "again";

/// One hundred steps (towards each class, with `targets`) unless others were asked for. The first search sets out from the image, as the
/// authors' does, each restart from a random point half of the radius away.
fn fab(name: &'static str, o: &AttackOptions, targets: bool) -> Result<Attack> {
    wants_classes(name, o)?;
    let (classes, norm, restarts) = (o.classes, o.norm.unwrap_or(Norm::Inf), o.restarts.unwrap_or(1));
    let others = NEAREST.min(classes as u32 - 1);
    let begin = move |s: &Scene| {
        smallest::begin(s);
        match targets {
            true => list_targets(s),
            false => list_nearest(s, classes, others),
        }
        s.store(AGAIN, s.graph().constant(0.0, [1]));
    };
    let start = move |s: &Scene| {
        if targets {
            // Every search goes through the same classes.
            next_target(s, classes, others);
        }
        s.store("x", if restarts > 1 { away(s, norm) } else { s.images });
    };
    let again = |s: &Scene| s.store(AGAIN, s.graph().constant(1.0, [1]));
    let step = move |s: &Scene| step(s, norm, (!targets).then_some(others));
    let [start, step] = [Stage::new("start", start), Stage::new("step", step).repeat(o.steps.unwrap_or(100))];
    let stages = vec![
        Stage::new("begin", begin),
        start.looped().restarted(),
        step.looped().restarted(),
        Stage::new("again", again).restarted(),
        // After each start, of the best so far: what a start has found never gets larger by a later one.
        Stage::new("bracket", bracket).restarted(),
        Stage::new("search", move |s| search(s, norm)).repeat(FINAL).restarted(),
    ];
    let times = if targets { others } else { 1 };
    Ok(Attack { times, restarts, ..Attack::new(name, Ball::Smallest(norm), stages) })
}

/// Where a search sets out: at first the image, then a random point at a distance from it, within the box.
fn away<'g>(s: &Scene<'_, 'g>, norm: Norm) -> Tensor<'g> {
    let way = match norm {
        Norm::Inf => s.random(Dist::Uniform, 0, s.images.shape()).scale(2.0) - 1.0,
        Norm::Two => s.random(Dist::Normal, 0, s.images.shape()),
    };
    let far = (s.eps * s.load(AGAIN, [1])).scale(START);
    let change = way * s.spread(reciprocal(length(norm, way))) * s.everywhere(far);
    (s.images + change).clamp(s.bounds.lo, s.bounds.hi)
}

/// The gap between label and target at x, `[N,1]`, with its gradient.
fn towards_target<'g>(s: &Scene<'_, 'g>, x: Tensor<'g>, logits: Tensor<'g>) -> (Tensor<'g>, Tensor<'g>) {
    let between = one_hot(target(s), logits.dim(1)) - one_hot(s.labels, logits.dim(1));
    let gap = (between * logits).sum(&[1]);
    (gap, s.gradient(gap, x))
}

/// Moves to a mixture of the projections of x and of the image onto a boundary, linearised at x: that of the target, or the nearest to x of
/// the nearest classes' boundaries, where their number is given.
fn step(s: &Scene, norm: Norm, nearest: Option<u32>) {
    let x = s.load_images("x");
    let logits = s.logits(x);
    let (gap, slope) = match nearest {
        None => towards_target(s, x, logits),
        Some(others) => {
            let boundary = nearest_boundary(s, norm, x, logits, others);
            (boundary.gap, boundary.slope)
        }
    };

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
