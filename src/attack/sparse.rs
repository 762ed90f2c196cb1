//! Attacks that change few pixels, by gradients. Nothing bounds how far each changes but the box.

use super::apgd::NEAREST;
use super::ball::{example_axes, reciprocal_length};
use super::best;
use super::grid::several_classes;
use super::{Attack, AttackOptions, Ball, Listing, Scene, Stage};
use crate::error::Result;
use crate::graph::Tensor;
use crate::loss::classifier::margin;
use crate::nn::softmax::{iota, largest, one_hot, row_max};

/// The attacks of this file.
pub(super) const ENTRIES: &[Listing] = &[
    Listing {
        name: "jsma",
        about: "pairs of elements set to white by a saliency map of the logits, towards a class (Papernot 2016)",
        targets: true,
        draws: false,
        make: |o| jsma(o),
    },
    Listing {
        name: "sparsefool",
        about: "deepfool's boundary, reached along as few coordinates as it takes (Modas 2019)",
        targets: false,
        draws: false,
        make: |o| sparsefool(o),
    },
];

/// Share of the elements that jsma may change.
const CHANGED: f64 = 0.1;
/// What is closer to white than this share of the box is left alone.
const WHITE: f64 = 0.01;
/// The class that jsma goes for, `[N]`.
const GOAL: &str = "goal";
/// Elements that may still be changed, `[N,E]`.
const FREE: &str = "free";

fn jsma(o: &AttackOptions) -> Result<Attack> {
    several_classes("jsma", o)?;
    let elements: usize = o.sample.iter().product();
    let pairs = (CHANGED * elements as f64 / 2.0).ceil().max(1.0) as u32;
    let stages = vec![
        Stage::new("begin", begin_saliency),
        Stage::new("step", change_pair).repeat(o.steps.unwrap_or(pairs)),
        Stage::new("end", |s| {
            meet_goal(s, s.load_images("x"));
        }),
    ];
    Ok(Attack::new("jsma", Ball::Pixels, stages))
}

/// The target is the goal; without one, the class that the model holds for the next likely.
fn begin_saliency(s: &Scene) {
    best::begin(s);
    s.store("x", s.images);
    let brightest = s.bounds.hi - WHITE * (s.bounds.hi - s.bounds.lo);
    s.store(FREE, (-s.images + brightest).step().reshape([s.rows(), s.elems()]));
    let goal = s.target.unwrap_or_else(|| {
        let logits = s.logits(s.images);
        let classes = iota(s.graph(), logits.dim(1)).reshape([1, logits.dim(1)]);
        (largest(without(logits, s.labels)).1 * classes).sum(&[1]).reshape([s.rows()])
    });
    s.store(GOAL, goal);
}

/// Logits with the label's below all others.
fn without<'g>(logits: Tensor<'g>, labels: Tensor<'g>) -> Tensor<'g> {
    one_hot(labels, logits.dim(1)).select(logits.graph().constant(-1e30, logits.shape()), logits)
}

fn meet_goal<'g>(s: &Scene<'_, 'g>, x: Tensor<'g>) -> Tensor<'g> {
    let logits = s.logits(x);
    best::meet(s, x, logits, -margin(logits, s.load(GOAL, [s.rows()])))
}

/// Sets the two elements to white which together raise the goal's logit and lower the others' the most: the largest
/// (α_p + α_q)·|β_p + β_q| with α_p + α_q > 0 and β_p + β_q < 0, where α = ∂z_goal/∂x and β = ∂Σ(other z)/∂x. The pairs of an image
/// of E elements are E² numbers.
fn change_pair<'g>(s: &Scene<'_, 'g>) {
    let (rows, elems) = (s.rows(), s.elems());
    let (x, free) = (s.load_images("x"), s.load(FREE, [rows, elems]));
    let fooled = meet_goal(s, x);
    let logits = s.logits(x);
    let goal = one_hot(s.load(GOAL, [rows]), logits.dim(1));
    let slope = |weights: Tensor<'g>| s.gradient((weights * logits).sum(&[1]), x).reshape([rows, elems]);
    let (up, down) = (slope(goal), -slope(-goal + 1.0));
    // What is not free outweighs any partner.
    let barred = |v: Tensor<'g>| free.select(v, row_max(v.abs()).scale(-2.0));
    let pair = |v: Tensor<'g>| v.reshape([rows, elems, 1]) + v.reshape([rows, 1, elems]);
    let (up, down) = (pair(barred(up)), pair(barred(down)));
    let number = iota(s.graph(), elems);
    let others = (number.reshape([1, elems, 1]) - number.reshape([1, 1, elems])).sign().abs();
    let saliency = up.step() * down.step() * others * up * down;

    let best_partner = row_max(saliency.reshape([rows * elems, elems])).reshape([rows, elems]);
    let (most, p) = largest(best_partner);
    let partners = (saliency * p.reshape([rows, elems, 1])).sum(&[1]).reshape([rows, elems]);
    let (_, q) = largest(partners);
    // Where no pair helps nothing is changed any more.
    let changed = (p + q) * most.step() * (-fooled + 1.0);
    s.store(FREE, changed.select(s.graph().constant(0.0, [1, 1]), free));
    s.store("x", changed.reshape(x.shape()).select(s.graph().constant(s.bounds.hi, x.shape()), x));
}

/// How far beyond the boundary of the linear models their solution goes.
const OVERSHOOT: f64 = 1.02;
/// How many times deepfool's way the hyperplane is away.
const BEYOND: f64 = 3.0;
/// Steps of deepfool from each point. Those after it is across cost time and change nothing.
const DEEP: u32 = 10;
/// Where deepfool is.
const ACROSS: &str = "across";

fn sparsefool(o: &AttackOptions) -> Result<Attack> {
    several_classes("sparsefool", o)?;
    let nearest = (o.classes - 1).min(NEAREST as usize);
    let begin = |s: &Scene| {
        best::begin(s);
        s.store("x", s.images);
        s.store(ACROSS, s.images);
    };
    let stages = vec![
        Stage::new("begin", begin),
        Stage::new("deepfool", move |s| deepfool(s, nearest)).repeat(DEEP).looped(),
        Stage::new("sparse", few_coordinates).looped(),
    ];
    Ok(Attack { times: o.steps.unwrap_or(20), ..Attack::new("sparsefool", Ball::Pixels, stages) })
}

/// A step to the nearest of the linearised boundaries to the nearest classes, for examples that are not across one.
fn deepfool(s: &Scene, nearest: usize) {
    let x = s.load_images(ACROSS);
    let logits = s.logits(x);
    let mut left = without(logits, s.labels).detach();
    let mut way: Option<(Tensor, Tensor)> = None;
    for _ in 0..nearest {
        let (_, class) = largest(left);
        left = class.select(s.graph().constant(-2e30, left.shape()), left);
        let gap = ((class - one_hot(s.labels, logits.dim(1))) * logits).sum(&[1]);
        let normal = s.gradient(gap, x);
        let reciprocal = reciprocal_length(normal);
        let distance = s.spread(gap.abs()) * reciprocal;
        let change = normal * reciprocal * distance;
        way = Some(match way {
            None => (distance, change),
            Some((least, chosen)) => {
                let nearer = (least - distance).step();
                (least.min(distance), nearer.select(change, chosen))
            }
        });
    }
    if let Some((_, change)) = way {
        s.store(ACROSS, s.spread(s.fooled(logits)).select(x, x + change.scale(OVERSHOOT)));
    }
}

/// From x along the largest coordinates of the normal, each as far as the box lets it, to the hyperplane beyond deepfool's boundary.
fn few_coordinates(s: &Scene) {
    let x = s.load_images("x");
    let point = (x + (s.load_images(ACROSS) - x).scale(BEYOND)).detach();
    let logits = s.logits(point);
    let (_, class) = largest(without(logits, s.labels).detach());
    let gap = ((class - one_hot(s.labels, logits.dim(1))) * logits).sum(&[1]);
    let normal = s.gradient(gap, point);
    let moved = solve(s, x, normal, point);
    let beyond = s.images + (moved - s.images).scale(OVERSHOOT);
    let example = best::unless_fooled(s, beyond.clamp(s.bounds.lo, s.bounds.hi)).detach();
    let logits = s.logits(example);
    best::meet(s, example, logits, margin(logits, s.labels));
    s.store("x", moved);
    s.store(ACROSS, moved);
}

/// Halvings of the interval that holds the size of the last coordinate that is moved.
const HALVINGS: u32 = 24;

/// The point that greedily moves the largest coordinates of `normal` as far as the box lets them until it is on the hyperplane through
/// `point`. Instead of one after another, those above a size are moved at once, and the size is found by halving.
fn solve<'g>(s: &Scene<'_, 'g>, x: Tensor<'g>, normal: Tensor<'g>, point: Tensor<'g>) -> Tensor<'g> {
    let axes = example_axes(x);
    let size = normal.abs();
    let room = normal.select(-x + s.bounds.hi, x - s.bounds.lo) * normal.sign().abs();
    let needed = (normal * (point - x)).sum(&axes);
    let reached = |least: Tensor<'g>| ((size - least).step() * size * room).sum(&axes);
    let mut high = s.spread(row_max(size.reshape([s.rows(), s.elems()])));
    let mut low = high.scale(0.0);
    for _ in 0..HALVINGS {
        let middle = (low + high).scale(0.5);
        let short = (needed - reached(middle)).step();
        (low, high) = (short.select(low, middle), short.select(middle, high));
    }
    let whole = (size - high).step();
    let rest = (needed - reached(high)).relu();
    let last = (size - low).step() * (-whole + 1.0);
    let part = (rest * size.max(s.graph().constant(1e-30, size.shape())).pow(-1.0)).min(room);
    x + normal.sign() * (whole * room + last * part)
}
