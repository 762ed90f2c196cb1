//! The first attack (Szegedy et al. 2013): box-constrained L-BFGS on distance + c·cross-entropy with a target class, and a search for c.
//!
//! The published attack calls L-BFGS-B for each image. Here a batch moves at once: elements on a face of the box that the gradient pushes
//! outwards are held, the others follow two-loop L-BFGS, and every run of the step is one trial of the line search of every example.

use super::apgd::{list_targets, next_target, target};
use super::ball::{Norm, dot};
use super::smallest::{self, length, reciprocal, squared_distance, wants_classes};
use super::{Attack, AttackOptions, Ball, Listing, Scene, Stage, constant};
use crate::error::Result;
use crate::graph::Tensor;
use crate::loss::classifier::cross_entropy;

/// The attacks of this file.
pub(super) const ENTRIES: &[Listing] = &[Listing {
    name: "lbfgs",
    about: "L-BFGS in the box on distance and cross-entropy, towards a class or the nearest other (Szegedy 2013)",
    targets: true,
    draws: false,
    make: lbfgs,
}];

/// The first c.
const FIRST: f64 = 0.01;
/// Searches: c goes up to 10⁴ tenfold, and halfway at least five times after that.
const SEARCHES: u32 = 12;
/// Pairs of moves and changes of gradient that the Hessian is known by.
const PAIRS: usize = 5;
/// What a step must gain, as a share of what its slope promises (Armijo).
const GAIN: f64 = 1e-4;
/// Halvings of a step before the pairs are forgotten and the steepest descent is tried.
const HALVINGS: f64 = 12.0;

/// Sixty evaluations at each c unless others were asked for.
fn lbfgs(o: &AttackOptions) -> Result<Attack> {
    wants_classes("lbfgs", o)?;
    let (classes, targeted) = (o.classes, o.targeted);
    let begin = move |s: &Scene| {
        smallest::begin(s);
        constant::begin(s, FIRST);
        if !targeted {
            list_targets(s);
            next_target(s, classes, classes as u32 - 1);
        }
    };
    let stages = vec![
        Stage::new("begin", begin),
        Stage::new("start", start).looped(),
        Stage::new("step", step).repeat(o.steps.unwrap_or(60)).looped(),
        Stage::new("end", |s| constant::next(s, s.load_each("success"))).looped(),
    ];
    Ok(Attack { times: SEARCHES, ..Attack::new("lbfgs", Ball::Smallest(Norm::Two), stages) })
}

/// What is minimised, `[N,1]`, with its gradient, and whether `x` fools the model.
fn evaluate<'g>(s: &Scene<'_, 'g>, x: Tensor<'g>) -> (Tensor<'g>, Tensor<'g>, Tensor<'g>) {
    let logits = s.logits(x);
    let goal = s.target.unwrap_or_else(|| target(s));
    let value = squared_distance(s, x, s.images) + constant::tried(s) * cross_entropy(logits, goal);
    let fools = smallest::meet(s, x, logits, length(Norm::Two, x - s.images));
    (value.detach(), s.gradient(value, x), fools)
}

/// At the image, with nothing known of the Hessian.
fn start(s: &Scene) {
    let (value, gradient, fools) = evaluate(s, s.images);
    s.store("x", s.images);
    s.store("value", value);
    s.store("gradient", gradient);
    s.store("success", fools);
    s.store("length", s.each(1.0));
    s.store("halvings", s.each(0.0));
    for number in 0..PAIRS {
        Pair::none(s).store(s, number);
    }
}

/// A move and the change of gradient along it, for each example; `weight` is the reciprocal of their product, 0 where there is no pair.
#[derive(Clone, Copy)]
struct Pair<'g> {
    moved: Tensor<'g>,
    turned: Tensor<'g>,
    weight: Tensor<'g>,
}

impl<'g> Pair<'g> {
    fn none(s: &Scene<'_, 'g>) -> Pair<'g> {
        let nothing = s.graph().constant(0.0, s.images.shape());
        Pair { moved: nothing, turned: nothing, weight: s.each(0.0) }
    }

    /// The pair of number 0 is the newest.
    fn load(s: &Scene<'_, 'g>, number: usize) -> Pair<'g> {
        let images = |name: &str| s.load_images(&format!("{name}_{number}"));
        Pair { moved: images("moved"), turned: images("turned"), weight: s.load_each(&format!("weight_{number}")) }
    }

    fn store(self, s: &Scene<'_, 'g>, number: usize) {
        s.store(&format!("moved_{number}"), self.moved);
        s.store(&format!("turned_{number}"), self.turned);
        s.store(&format!("weight_{number}"), self.weight);
    }

    /// This pair where `which` is 1, else the other.
    fn or(self, s: &Scene<'_, 'g>, which: Tensor<'g>, other: Pair<'g>) -> Pair<'g> {
        let all = s.spread(which);
        let moved = all.select(self.moved, other.moved);
        let turned = all.select(self.turned, other.turned);
        Pair { moved, turned, weight: which.select(self.weight, other.weight) }
    }
}

/// One trial of the line search: a step of the present length along the present direction is taken if it gains enough, else halved.
fn step(s: &Scene) {
    let (x, gradient) = (s.load_images("x"), s.load_images("gradient"));
    let [value, success, long, halvings] = ["value", "success", "length", "halvings"].map(|name| s.load_each(name));
    let pairs: [Pair; PAIRS] = std::array::from_fn(|number| Pair::load(s, number));
    let direction = direction(s, x, gradient, &pairs);

    let next = (x + direction * s.spread(long)).clamp(s.bounds.lo, s.bounds.hi).detach();
    let (next_value, next_gradient, fools) = evaluate(s, next);
    let moved = next - x;
    let taken = (value + dot(gradient, moved).scale(GAIN) - next_value).step();
    let tried = halvings + 1.0;
    let forget = (-taken + 1.0) * (tried - HALVINGS).step();

    remember(s, taken, forget, moved, next_gradient - gradient, &pairs);
    let at = s.spread(taken);
    s.store("x", at.select(next, x));
    s.store("gradient", at.select(next_gradient, gradient));
    s.store("value", taken.select(next_value, value));
    s.store("success", taken.select(fools, success));
    let anew = taken.max(forget);
    s.store("length", anew.select(s.each(1.0), long.scale(0.5)));
    s.store("halvings", anew.select(s.each(0.0), tried));
}

/// Where a step was taken along which the gradient turned as that of a convex function does, its pair becomes the newest.
fn remember<'g>(
    s: &Scene<'_, 'g>,
    taken: Tensor<'g>,
    forget: Tensor<'g>,
    moved: Tensor<'g>,
    turned: Tensor<'g>,
    pairs: &[Pair<'g>; PAIRS],
) {
    let product = dot(moved, turned);
    let convex = (product - (dot(moved, moved) * dot(turned, turned)).sqrt().scale(1e-6)).step();
    let newest = Pair { moved, turned, weight: reciprocal(product) };
    for number in 0..PAIRS {
        let before = if number == 0 { newest } else { pairs[number - 1] };
        let kept = before.or(s, taken * convex, pairs[number]);
        Pair::none(s).or(s, forget, kept).store(s, number);
    }
}

/// −H·gradient over the elements that are free to move, by the two loops of Nocedal (1980).
fn direction<'g>(s: &Scene<'_, 'g>, x: Tensor<'g>, gradient: Tensor<'g>, pairs: &[Pair<'g>; PAIRS]) -> Tensor<'g> {
    // Held: at the lowest value with the gradient pushing down, at the highest with it pushing up.
    let held =
        (-x + s.bounds.lo + 1e-9).step() * gradient.step() + (x - s.bounds.hi + 1e-9).step() * (-gradient).step();
    let free = -held + 1.0;
    let slope = gradient * free;
    let mut q = slope;
    let mut shares = [s.each(0.0); PAIRS];
    for (pair, share) in pairs.iter().zip(&mut shares) {
        *share = pair.weight * dot(pair.moved, q);
        q = q - pair.turned * s.spread(*share);
    }
    let newest = pairs[0];
    let known = newest.weight.step();
    // The Hessian of the squared distance alone is 2/width²: what the search starts from.
    let alone = s.each(0.5 * s.bounds.width().powi(2));
    let measured = reciprocal(newest.weight * dot(newest.turned, newest.turned));
    let mut r = q * s.spread(known.select(measured, alone));
    for (pair, share) in pairs.iter().zip(shares).rev() {
        let already = pair.weight * dot(pair.turned, r);
        r = r + pair.moved * s.spread(share - already);
    }
    let r = r * free;
    // Held elements can turn the direction uphill: then, and without pairs, it is the steepest descent, at first no longer than a box.
    let steepest = slope * s.spread(alone);
    let limit = reciprocal(length(Norm::Two, steepest)).scale(s.bounds.width()).min(s.each(1.0));
    let downhill = known * dot(r, gradient).step();
    -s.spread(downhill).select(r, steepest * s.spread(limit))
}
