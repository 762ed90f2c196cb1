//! DeepFool (Moosavi-Dezfooli, Fawzi & Frossard 2016): steps to the nearest of the linearised class boundaries.

use super::apgd::{NEAREST, list_targets, next_target};
use super::ball::{Norm, dot};
use super::smallest::{self, length, reciprocal, wants_classes};
use super::{Attack, AttackOptions, Ball, FOOLED, Listing, Scene, Stage};
use crate::error::Result;
use crate::graph::Tensor;
use crate::nn::softmax::one_hot;

/// The attacks of this file.
pub(super) const ENTRIES: &[Listing] = &[Listing {
    name: "deepfool",
    about: "steps to the nearest linearised boundary, Euclidean (Moosavi-Dezfooli 2016)",
    targets: false,
    draws: false,
    make: deepfool,
}];

/// What the sum of the steps is lengthened by, to end beyond the boundary.
const OVERSHOOT: f64 = 1.02;
/// What the authors' code adds to each distance, in widths of the box: an example on the boundary still moves.
const FLOOR: f64 = 1e-4;

/// Fifty steps unless others were asked for. As in the authors' code, the classes it looks at are the ten likeliest for the image, the
/// label among them, and the test for success is made at the lengthened change.
fn deepfool(o: &AttackOptions) -> Result<Attack> {
    wants_classes("deepfool", o)?;
    let classes = o.classes;
    let others = NEAREST.min(classes as u32 - 1);
    let stages = vec![
        Stage::new("begin", move |s| begin(s, classes, others)),
        Stage::new("step", move |s| step(s, others)).repeat(o.steps.unwrap_or(50)),
        Stage::new("end", |s| {
            look(s, s.load_images("x"));
        }),
    ];
    Ok(Attack::new("deepfool", Ball::Smallest(Norm::Two), stages))
}

/// Where the class that is `number`-th nearest for the image is kept.
fn class(number: u32) -> String {
    format!("class_{number}")
}

/// Keeps the nearest classes for the image, whose boundaries [`nearest_boundary`] compares.
pub(super) fn list_nearest(s: &Scene, classes: usize, others: u32) {
    list_targets(s);
    for number in 0..others {
        let class_of_each = next_target(s, classes, classes as u32 - 1);
        s.store(&class(number), class_of_each);
    }
}

fn begin(s: &Scene, classes: usize, others: u32) {
    smallest::begin(s);
    list_nearest(s, classes, others);
    s.store("x", s.images);
    s.store("change", s.graph().constant(0.0, s.images.shape()));
}

/// Meets `x`; returns its logits.
fn look<'g>(s: &Scene<'_, 'g>, x: Tensor<'g>) -> Tensor<'g> {
    let logits = s.logits(x);
    smallest::meet(s, x, logits, length(Norm::Two, x - s.images));
    logits
}

/// The logit of each example's class, `[N,1]`.
fn at<'g>(logits: Tensor<'g>, class: Tensor<'g>) -> Tensor<'g> {
    (one_hot(class, logits.dim(1)) * logits).sum(&[1])
}

/// The boundary of a class, linearised at a point.
#[derive(Clone, Copy)]
pub(super) struct Boundary<'g> {
    /// z_k − z_y, `[N,1]`.
    pub(super) gap: Tensor<'g>,
    /// Its gradient.
    pub(super) slope: Tensor<'g>,
    /// |gap| over the dual norm of the gradient: how far it is, `[N,1]`.
    distance: Tensor<'g>,
}

/// The nearest to `x` in this norm of the boundaries of the classes that [`list_nearest`] keeps.
pub(super) fn nearest_boundary<'g>(
    s: &Scene<'_, 'g>,
    norm: Norm,
    x: Tensor<'g>,
    logits: Tensor<'g>,
    others: u32,
) -> Boundary<'g> {
    let label = at(logits, s.labels);
    let boundary = |number: u32| {
        let gap = at(logits, s.load(&class(number), [s.rows()])) - label;
        let slope = s.gradient(gap, x);
        let steepness = match norm {
            Norm::Inf => dot(slope, slope.sign()),
            Norm::Two => length(Norm::Two, slope),
        };
        Boundary { gap, slope, distance: gap.abs() * reciprocal(steepness) }
    };
    (1..others).map(boundary).fold(boundary(0), |nearest, other| {
        let closer = (nearest.distance - other.distance).step();
        let slope = s.spread(closer).select(other.slope, nearest.slope);
        let [gap, distance] =
            [(other.gap, nearest.gap), (other.distance, nearest.distance)].map(|(a, b)| closer.select(a, b));
        Boundary { gap, slope, distance }
    })
}

/// The step to the nearest boundary.
fn step(s: &Scene, others: u32) {
    let (x, change) = (s.load_images("x"), s.load_images("change"));
    let logits = look(s, x);
    let Boundary { slope, distance, .. } = nearest_boundary(s, Norm::Two, x, logits, others);
    let per_length = reciprocal(length(Norm::Two, slope));
    let onward = change + slope * s.spread((distance + FLOOR * s.bounds.width()) * per_length);
    let moved = (s.images + onward.scale(OVERSHOOT)).clamp(s.bounds.lo, s.bounds.hi);
    s.store("change", onward);
    s.store("x", s.spread(s.load_each(FOOLED)).select(x, moved));
}
