//! Auto-PGD (Croce & Hein 2020): steps with momentum whose length is halved, per example, where they no longer help.

use super::ball::{Norm, everywhere, project, reciprocal_length};
use super::best;
use super::{Attack, AttackOptions, Ball, Listing, Loss, Scene, Stage, refused};
use crate::error::Result;
use crate::graph::{Dist, Tensor};
use crate::nn::softmax::{iota, largest, one_hot};

/// The attacks of this file.
pub(super) const ENTRIES: &[Listing] = &[
    Listing {
        name: "apgd-ce",
        about: "auto-PGD on the cross-entropy (Croce & Hein 2020)",
        targets: true,
        draws: true,
        make: |o| Apgd::new("apgd-ce", o, Loss::Ce).map(Apgd::attack),
    },
    Listing {
        name: "apgd-dlr",
        about: "auto-PGD on the difference of logits ratio (Croce & Hein 2020)",
        targets: true,
        draws: true,
        make: |o| Apgd::new("apgd-dlr", o, Loss::Dlr).map(Apgd::attack),
    },
    Listing {
        name: "apgd-t",
        about: "auto-PGD towards each of the nine nearest classes in turn, on the targeted ratio (Croce & Hein 2020)",
        targets: false,
        draws: true,
        make: |o| {
            if o.classes < 4 {
                let hint = "the targeted ratio wants four classes: use apgd-ce";
                return Err(refused("apgd-t", "classes", o.classes, hint));
            }
            let classes = NEAREST.min(o.classes as u32 - 1);
            Apgd::new("apgd-t", o, Loss::Dlr).map(|apgd| Apgd { nearest: Some(classes), ..apgd }.attack())
        },
    },
];

/// Classes that a targeted ensemble tries.
pub(super) const NEAREST: u32 = 9;
/// Share of the steps between two checks that must have raised the loss.
const RISES: f64 = 0.75;

/// Keeps what the next target is chosen from: logits of the image, those tried and the label's far below the others.
const LEFT: &str = "left";
/// The same before any was tried, for a second round.
const LISTED: &str = "listed";
/// How many were tried in this round, `[1]`.
const TRIED: &str = "tried";
/// The class that is tried, `[N]`.
const TARGET: &str = "target";

/// Makes the classes of the image, nearest first, what [`next_target`] chooses from.
pub(super) fn list_targets(s: &Scene) {
    let logits = s.logits(s.images);
    let away = s.graph().constant(-1e30, logits.shape());
    let listed = one_hot(s.labels, logits.dim(1)).select(away, logits);
    s.store(LISTED, listed);
    s.store(LEFT, listed);
    s.store(TRIED, s.graph().constant(0.0, [1]));
}

/// The nearest class that was not tried yet, `[N]`, and stores it as `target`; after `nearest` of them it begins again.
pub(super) fn next_target<'g>(s: &Scene<'_, 'g>, classes: usize, nearest: u32) -> Tensor<'g> {
    let shape = [s.rows(), classes];
    let tried = s.load(TRIED, [1]);
    let again = (tried - f64::from(nearest) + 0.5).step();
    s.store(TRIED, again.select(s.graph().constant(1.0, [1]), tried + 1.0));
    let left = row(again).select(s.load(LISTED, shape), s.load(LEFT, shape));
    let (_, place) = largest(left);
    s.store(LEFT, place.select(s.graph().constant(-2e30, left.shape()), left));
    let target = (place * iota(s.graph(), classes).reshape([1, classes])).sum(&[1]).reshape([s.rows()]).detach();
    s.store(TARGET, target);
    target
}

/// The class that is tried, `[N]`.
pub(super) fn target<'g>(s: &Scene<'_, 'g>) -> Tensor<'g> {
    s.load(TARGET, [s.rows()])
}

#[derive(Clone, Copy)]
struct Apgd {
    name: &'static str,
    norm: Norm,
    loss: Loss,
    steps: u32,
    restarts: u32,
    classes: usize,
    /// How many classes it goes for, one after another.
    nearest: Option<u32>,
}

impl Apgd {
    fn new(name: &'static str, o: &AttackOptions, loss: Loss) -> Result<Apgd> {
        loss.check(name, o.classes)?;
        Ok(Apgd {
            name,
            norm: o.norm.unwrap_or(Norm::Inf),
            loss,
            steps: o.steps.unwrap_or(100),
            restarts: o.restarts.unwrap_or(1),
            classes: o.classes,
            nearest: None,
        })
    }

    fn attack(self) -> Attack {
        let stages = vec![
            Stage::new("begin", move |s| self.begin(s)),
            Stage::new("start", move |s| self.start(s)).looped(),
            Stage::new("step", move |s| self.ascend(s)).repeat(self.steps).looped(),
        ];
        let times = self.restarts * self.nearest.unwrap_or(1);
        Attack { times, ..Attack::new(self.name, Ball::Radius(self.norm), stages) }
    }

    fn begin(&self, s: &Scene) {
        best::begin(s);
        if self.nearest.is_some() {
            list_targets(s);
        }
    }

    /// The loss of each example, towards the class that is tried where there is one.
    fn loss<'g>(&self, s: &Scene<'_, 'g>, logits: Tensor<'g>, target: Option<Tensor<'g>>) -> Tensor<'g> {
        match target {
            Some(target) => super::loss::targeted_dlr(logits, s.labels, target),
            None => self.loss.each(s, logits),
        }
    }

    /// A random point of the ball, on its border in the Euclidean norm, and everything that the steps count.
    fn start(&self, s: &Scene) {
        let target = self.nearest.map(|nearest| next_target(s, self.classes, nearest));
        let direction = match self.norm {
            Norm::Inf => s.random(Dist::Uniform, 0, s.images.shape()).scale(2.0) - 1.0,
            Norm::Two => {
                let direction = s.random(Dist::Normal, 0, s.images.shape());
                direction * reciprocal_length(direction)
            }
        };
        let x = project(self.norm, s.images + direction * s.radius(), s.images, s.eps, s.bounds);
        let logits = s.logits(x);
        let loss = self.loss(s, logits, target);
        best::meet(s, x, logits, loss);
        let gradient = s.gradient(loss, x);
        for (name, value) in
            [("x", x), ("x_before", x), ("x_top", x), ("gradient", gradient), ("gradient_top", gradient)]
        {
            s.store(name, value);
        }
        for (name, value) in [("loss", loss), ("top", loss), ("top_checked", loss)] {
            s.store(name, value);
        }
        s.store("length", (s.each(2.0) * s.eps.reshape([1, 1])).detach());
        s.store("rises", s.each(0.0));
        s.store("halved", s.each(1.0));
        let scalar = |value: f64| s.graph().constant(value, [1]);
        s.store("since", scalar(0.0));
        s.store("until", scalar(self.period(0.22)));
        s.store("first", scalar(1.0));
    }

    /// A share of the steps, at least one.
    fn period(&self, share: f64) -> f64 {
        (share * f64::from(self.steps)).floor().max(1.0)
    }

    fn ascend(&self, s: &Scene) {
        let [x, before, top_x, gradient, top_gradient] =
            ["x", "x_before", "x_top", "gradient", "gradient_top"].map(|name| s.load_images(name));
        let [loss_before, top, checked, length, rises, halved] =
            ["loss", "top", "top_checked", "length", "rises", "halved"].map(|name| s.load_each(name));
        let [since, until, first] = ["since", "until", "first"].map(|name| s.load(name, [1]));
        let target = self.nearest.map(|_| target(s));

        // z = Π(x + η·direction); x⁺ = Π(x + a(z − x) + (1 − a)(x − x⁻)) with a = ¾, in the first step 1.
        let direction = match self.norm {
            Norm::Inf => gradient.sign(),
            Norm::Two => gradient * reciprocal_length(gradient),
        };
        let back = |point| project(self.norm, point, s.images, s.eps, s.bounds);
        let z = back(x + direction * s.spread(length));
        let a = everywhere(first.scale(0.25) + 0.75, s.images);
        let next = back(x + (z - x) * a + (x - before) * (-a + 1.0));

        let logits = s.logits(next);
        let loss = self.loss(s, logits, target);
        let fooled = best::meet(s, next, logits, loss);
        let next_gradient = s.gradient(loss, next);

        let higher = (loss - top).step();
        let top = higher.select(loss, top).detach();
        let top_x = s.spread(higher).select(next, top_x);
        let top_gradient = s.spread(higher).select(next_gradient, top_gradient);
        let rises = rises + (loss - loss_before).step();

        // At a check, the length is halved where too few steps raised the loss, or where it was kept last time and the best loss
        // has not moved since; the search goes on from the best point.
        let since = since + 1.0;
        let check = (since - until + 0.5).step();
        let few = (row(until.scale(RISES) + 1e-3) - rises).step();
        let still = (-halved + 1.0) * (-(top - checked).step() + 1.0);
        let halves = few.max(still) * row(check);
        let restart = s.spread(halves);
        s.store("x_before", x);
        s.store("x", s.spread(fooled).select(x, restart.select(top_x, next)));
        s.store("gradient", restart.select(top_gradient, next_gradient));
        s.store("x_top", top_x);
        s.store("gradient_top", top_gradient);
        s.store("loss", loss);
        s.store("top", top);
        s.store("length", length * (-halves.scale(0.5) + 1.0));
        let kept = -row(check) + 1.0;
        s.store("rises", rises * kept);
        s.store("halved", row(check).select(halves, halved));
        s.store("top_checked", row(check).select(top, checked));
        s.store("since", since * (-check + 1.0));
        let shorter = (until - self.period(0.03)).max(s.graph().constant(self.period(0.06), [1]));
        s.store("until", check.select(shorter, until));
        s.store("first", s.graph().constant(0.0, [1]));
    }
}

/// A `[1]` tensor as the `[1,1]` that goes with numbers per example.
fn row(scalar: Tensor<'_>) -> Tensor<'_> {
    scalar.reshape([1, 1])
}
