//! Attacks that follow the gradient within a ball of given radius.

use super::ball::{example_axes, project, reciprocal_length};
use super::best;
use super::{ADVERSARIAL, Attack, AttackOptions, Ball, FOOLED, Keep, Listing, Loss, Norm, Scene, Stage, step};
use crate::graph::{Dist, Tensor};

/// The attacks of this file.
pub(super) const ENTRIES: &[Listing] = &[
    Listing {
        name: "noise",
        about: "x + U(±ε): the control that every attack must beat",
        targets: false,
        draws: true,
        make: |o| Ok(Ascent { start: Start::Random, ..Ascent::new("noise", o, 0) }.attack()),
    },
    Listing {
        name: "fgsm",
        about: "one step of ε along the gradient's sign (Goodfellow 2014)",
        targets: true,
        draws: false,
        make: |o| Ok(Ascent { alpha: Alpha::Share(1.0), ..Ascent::new("fgsm", o, 1) }.attack()),
    },
    Listing {
        name: "rfgsm",
        about: "half of ε along random signs, the other half along the gradient's (Tramèr 2018)",
        targets: true,
        draws: true,
        make: |o| Ok(Ascent { start: Start::Signs, alpha: Alpha::Share(0.5), ..Ascent::new("rfgsm", o, 1) }.attack()),
    },
    Listing {
        name: "ffgsm",
        about: "a random start, then one sign step of 1.25 ε (Wong 2020)",
        targets: true,
        draws: true,
        make: |o| {
            // In training the start may lie outside of the box, as published: a step from inside it would end at the border of the
            // ball in nearly every dark pixel, and a network that sees nothing else learns to withstand nothing else.
            let start = if o.keep == Keep::Last { Start::Unboxed } else { Start::Random };
            Ok(Ascent { start, alpha: Alpha::Share(1.25), ..Ascent::new("ffgsm", o, 1) }.attack())
        },
    },
    Listing {
        name: "bim",
        about: "sign steps from the image (Kurakin 2016)",
        targets: true,
        draws: false,
        make: |o| Ok(Ascent::new("bim", o, 10).attack()),
    },
    Listing {
        name: "pgd",
        about: "projected steps from a random start, of the sign or in the Euclidean ball (Madry 2018)",
        targets: true,
        draws: true,
        make: |o| Ok(Ascent { start: Start::Random, ..Ascent::new("pgd", o, 40) }.attack()),
    },
    Listing {
        name: "mifgsm",
        about: "sign steps along an accumulated gradient (Dong 2018)",
        targets: true,
        draws: false,
        make: |o| Ok(Ascent { momentum: Some(1.0), ..Ascent::new("mifgsm", o, 10).even(o) }.attack()),
    },
];

/// Where an attack starts.
#[derive(Clone, Copy)]
pub(super) enum Start {
    /// At the image.
    Image,
    /// Uniformly in the ball, inside the box.
    Random,
    /// Uniformly in the ball of the maximum norm, whether in the box or not: the first step comes back to it.
    Unboxed,
    /// Half of ε along random signs; in the Euclidean ball, in a random direction.
    Signs,
    /// A thousandth of the box away, normally distributed: where the loss has no gradient at the image itself.
    Near,
}

/// How long a step is.
#[derive(Clone, Copy)]
pub(super) enum Alpha {
    /// So many ε.
    Share(f64),
    /// In units of the images.
    Fixed(f64),
}

/// What a step at x follows, like x: the gradient there, or what takes its place.
pub(super) type Estimate = for<'g> fn(&Ascent, &Scene<'_, 'g>, Tensor<'g>) -> Tensor<'g>;

/// Looks at the model that go into [`SUM`], one after another: in a loop of stages, each draws random numbers of its own.
#[derive(Clone, Copy)]
pub(super) struct Samples {
    /// How many there are in each step.
    pub(super) count: u32,
    /// Whether they come before the step that uses them, or after it, for the next.
    pub(super) before: bool,
    /// Adds one.
    pub(super) add: for<'g> fn(&Ascent, &Scene<'_, 'g>),
}

/// What samples add up to, like the images; 0 at the start.
pub(super) const SUM: &str = "sum";
/// The accumulated gradient, like the images; 0 at the start.
pub(super) const MOMENTUM: &str = "momentum";

/// Steps along the gradient from a start, with the way back into the ball after each.
#[derive(Clone)]
pub(super) struct Ascent {
    pub(super) name: &'static str,
    pub(super) norm: Norm,
    pub(super) loss: Loss,
    pub(super) start: Start,
    pub(super) steps: u32,
    pub(super) alpha: Alpha,
    /// Decay of the accumulated gradient, where it accumulates.
    pub(super) momentum: Option<f64>,
    pub(super) estimate: Estimate,
    /// With samples, the steps are a loop.
    pub(super) samples: Option<Samples>,
    pub(super) restarts: u32,
    pub(super) keep: Keep,
}

impl Ascent {
    /// Of `steps` steps unless others were asked for; an attack of no or one step has just so many. 2.5 ε are gone in all.
    pub(super) fn new(name: &'static str, o: &AttackOptions, steps: u32) -> Ascent {
        let asked = if steps > 1 { o.steps.unwrap_or(steps) } else { steps };
        let alpha = Alpha::Share(2.5 / f64::from(asked.max(1)));
        Ascent {
            name,
            norm: o.norm.unwrap_or(Norm::Inf),
            loss: o.loss.unwrap_or(Loss::default_for(o.classes)),
            start: Start::Image,
            steps: asked,
            alpha: o.alpha.map_or(alpha, Alpha::Fixed),
            momentum: None,
            estimate: gradient_at,
            samples: None,
            restarts: o.restarts.unwrap_or(1),
            keep: o.keep,
        }
    }

    /// The same with steps of ε/steps, as the attacks that accumulate their gradient are published.
    pub(super) fn even(self, o: &AttackOptions) -> Ascent {
        let alpha = o.alpha.map_or(Alpha::Share(1.0 / f64::from(self.steps)), Alpha::Fixed);
        Ascent { alpha, ..self }
    }

    pub(super) fn attack(self) -> Attack {
        let (name, ball, keep, steps) = (self.name, Ball::Radius(self.norm), self.keep, self.steps);
        let (samples, restarts) = (self.samples, self.restarts);
        let stage = |name: &'static str, run: for<'g> fn(&Ascent, &Scene<'_, 'g>)| {
            let ascent = self.clone();
            Stage::new(name, move |s| run(&ascent, s))
        };
        let [start, step, end] =
            [stage("start", Ascent::start), stage("step", Ascent::ascend), stage("end", Ascent::end)];
        let end = (keep == Keep::Best).then_some(end);
        let mut stages = vec![stage("begin", Ascent::begin), start.restarted()];
        let times = match samples {
            None => {
                stages.extend((steps > 0).then(|| step.repeat(steps).restarted()));
                1
            }
            Some(samples) => {
                let sample = stage("sample", samples.add).repeat(samples.count).looped().restarted();
                let step = step.looped().restarted();
                stages.extend(if samples.before { [sample, step] } else { [step, sample] });
                steps
            }
        };
        stages.extend(end.map(Stage::restarted));
        Attack { times, restarts, ..Attack::new(name, ball, stages) }
    }

    fn begin(&self, s: &Scene) {
        self.loss.prepare(s);
        match self.keep {
            Keep::Best => best::begin(s),
            Keep::Last => s.store(FOOLED, s.each(0.0)),
        }
    }

    fn start(&self, s: &Scene) {
        let normal = || s.random(Dist::Normal, 0, s.images.shape());
        let x = match self.start {
            Start::Image => s.images,
            Start::Random => s.random_start(self.norm, 0),
            Start::Unboxed => {
                let uniform = s.random(Dist::Uniform, 0, s.images.shape()).scale(2.0) - 1.0;
                s.images + uniform * s.radius()
            }
            Start::Signs => {
                let way = match self.norm {
                    Norm::Inf => normal().sign(),
                    Norm::Two => normal() * reciprocal_length(normal()),
                };
                (s.images + way * s.radius().scale(0.5)).clamp(s.bounds.lo, s.bounds.hi)
            }
            Start::Near => {
                let near = s.images + normal().scale(1e-3 * (s.bounds.hi - s.bounds.lo));
                project(self.norm, near, s.images, s.eps, s.bounds)
            }
        };
        s.store(self.example(), x);
        let nothing = s.graph().constant(0.0, s.images.shape());
        if self.momentum.is_some() {
            s.store(MOMENTUM, nothing);
        }
        if self.samples.is_some() {
            s.store(SUM, nothing);
        }
    }

    /// Where the example that moves is kept.
    pub(super) fn example(&self) -> &'static str {
        if self.keep == Keep::Last { ADVERSARIAL } else { "x" }
    }

    /// The loss of each example at x, `[N,1]`.
    pub(super) fn loss_at<'g>(&self, s: &Scene<'_, 'g>, x: Tensor<'g>) -> Tensor<'g> {
        self.loss.each(s, s.logits(x))
    }

    /// Length of a step, `[1]`.
    pub(super) fn length<'g>(&self, s: &Scene<'_, 'g>) -> Tensor<'g> {
        match self.alpha {
            Alpha::Share(share) => s.eps.scale(share),
            Alpha::Fixed(alpha) => s.graph().constant(alpha, [1]),
        }
    }

    fn ascend(&self, s: &Scene) {
        let x = s.load_images(self.example());
        let mut gradient = (self.estimate)(self, s, x);
        if let Some(decay) = self.momentum {
            gradient = accumulate(s.load_images(MOMENTUM), gradient, decay);
            s.store(MOMENTUM, gradient);
        }
        let moved = step(self.norm, x, s.images, gradient, self.length(s), s.eps, s.bounds);
        let next = match self.keep {
            Keep::Last => moved,
            // What fools the model is not moved any further.
            Keep::Best => s.spread(self.meet(s, x)).select(x, moved),
        };
        s.store(self.example(), next);
    }

    /// Looks at x, which costs nothing where its loss was looked at already: equal nodes are one.
    fn meet<'g>(&self, s: &Scene<'_, 'g>, x: Tensor<'g>) -> Tensor<'g> {
        let logits = s.logits(x);
        best::meet(s, x, logits, self.loss.each(s, logits))
    }

    fn end(&self, s: &Scene) {
        self.meet(s, s.load_images(self.example()));
    }
}

/// The gradient of the loss at x.
pub(super) fn gradient_at<'g>(a: &Ascent, s: &Scene<'_, 'g>, x: Tensor<'g>) -> Tensor<'g> {
    s.gradient(a.loss_at(s, x), x)
}

/// The accumulated gradient of mifgsm, which takes the gradient's place in [`step`]: decay·g + ∇L/max(mean|∇L|, 1e-12),
/// the mean over each example. `previous` starts at 0; a decay of 1 is published.
pub fn accumulate<'g>(previous: Tensor<'g>, gradient: Tensor<'g>, decay: f64) -> Tensor<'g> {
    let mean = gradient.abs().mean(&example_axes(gradient));
    let floor = gradient.graph().constant(1e-12, mean.shape());
    (previous.scale(decay) + gradient * mean.max(floor).pow(-1.0)).detach()
}
