//! Attacks that follow the gradient within a ball of given radius.

use super::ball::example_axes;
use super::best;
use super::{ADVERSARIAL, Attack, AttackOptions, Ball, FOOLED, Keep, Listing, Loss, Norm, Scene, Stage, step};
use crate::graph::{Dist, Tensor};

/// The attacks of this file.
pub(super) const ENTRIES: &[Listing] = &[
    Listing {
        name: "noise",
        about: "x + U(±ε): the control that every attack must beat",
        targets: false,
        make: |o| Ok(Ascent { start: Start::Random, ..Ascent::new("noise", o, 0) }.attack()),
    },
    Listing {
        name: "fgsm",
        about: "one step of ε along the gradient's sign (Goodfellow 2014)",
        targets: true,
        make: |o| Ok(Ascent { alpha: Alpha::Share(1.0), ..Ascent::new("fgsm", o, 1) }.attack()),
    },
    Listing {
        name: "rfgsm",
        about: "half of ε along random signs, the other half along the gradient's (Tramèr 2018)",
        targets: true,
        make: |o| Ok(Ascent { start: Start::Signs, alpha: Alpha::Share(0.5), ..Ascent::new("rfgsm", o, 1) }.attack()),
    },
    Listing {
        name: "ffgsm",
        about: "a random start, then one sign step of 1.25 ε (Wong 2020)",
        targets: true,
        make: |o| Ok(Ascent { start: Start::Random, alpha: Alpha::Share(1.25), ..Ascent::new("ffgsm", o, 1) }.attack()),
    },
    Listing {
        name: "bim",
        about: "sign steps from the image (Kurakin 2016)",
        targets: true,
        make: |o| Ok(Ascent::new("bim", o, 10).attack()),
    },
    Listing {
        name: "pgd",
        about: "projected steps from a random start, of the sign or in the Euclidean ball (Madry 2018)",
        targets: true,
        make: |o| Ok(Ascent { start: Start::Random, ..Ascent::new("pgd", o, 40) }.attack()),
    },
    Listing {
        name: "mifgsm",
        about: "sign steps along an accumulated gradient (Dong 2018)",
        targets: true,
        make: |o| {
            let steps = o.steps.unwrap_or(10);
            let alpha = o.alpha.map_or(Alpha::Share(1.0 / f64::from(steps)), Alpha::Fixed);
            Ok(Ascent { alpha, momentum: Some(1.0), ..Ascent::new("mifgsm", o, steps) }.attack())
        },
    },
];

/// Where an attack starts.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Start {
    /// At the image.
    Image,
    /// Uniformly in the ball.
    Random,
    /// Half of ε along random signs.
    Signs,
}

/// How long a step is.
#[derive(Clone, Copy)]
enum Alpha {
    /// So many ε.
    Share(f64),
    /// In units of the images.
    Fixed(f64),
}

/// Steps along the gradient from a start, with the way back into the ball after each.
#[derive(Clone)]
struct Ascent {
    name: &'static str,
    norm: Norm,
    loss: Loss,
    start: Start,
    steps: u32,
    alpha: Alpha,
    /// Decay of the accumulated gradient, where it accumulates.
    momentum: Option<f64>,
    restarts: u32,
    keep: Keep,
}

impl Ascent {
    /// Of `steps` steps unless others were asked for; an attack of no or one step has just so many. 2.5 ε are gone in all.
    fn new(name: &'static str, o: &AttackOptions, steps: u32) -> Ascent {
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
            restarts: o.restarts.unwrap_or(1),
            keep: o.keep,
        }
    }

    fn attack(self) -> Attack {
        let (begin, start, ahead, end) = (self.clone(), self.clone(), self.clone(), self.clone());
        let mut stages =
            vec![Stage::new("begin", move |s| begin.begin(s)), Stage::new("start", move |s| start.start(s)).looped()];
        if self.steps > 0 {
            stages.push(Stage::new("step", move |s| ahead.ascend(s)).repeat(self.steps).looped());
        }
        if self.keep == Keep::Best {
            stages.push(Stage::new("end", move |s| end.end(s)).looped());
        }
        Attack { name: self.name, ball: Ball::Radius(self.norm), stages, times: self.restarts }
    }

    fn begin(&self, s: &Scene) {
        self.loss.prepare(s);
        match self.keep {
            Keep::Best => best::begin(s),
            Keep::Last => s.store(FOOLED, s.each(0.0)),
        }
    }

    fn start(&self, s: &Scene) {
        let x = match self.start {
            Start::Image => s.images,
            Start::Random => s.random_start(self.norm, 0),
            Start::Signs => {
                let signs = s.random(Dist::Normal, 0, s.images.shape()).sign();
                (s.images + signs * s.radius().scale(0.5)).clamp(s.bounds.lo, s.bounds.hi)
            }
        };
        s.store(self.example(), x);
        if self.momentum.is_some() {
            s.store("momentum", s.graph().constant(0.0, s.images.shape()));
        }
    }

    /// Where the example that moves is kept.
    fn example(&self) -> &'static str {
        if self.keep == Keep::Last { ADVERSARIAL } else { "x" }
    }

    fn ascend(&self, s: &Scene) {
        let x = s.load_images(self.example());
        let logits = s.logits(x);
        let loss = self.loss.each(s, logits);
        let mut gradient = s.gradient(loss, x);
        if let Some(decay) = self.momentum {
            gradient = accumulate(s.load_images("momentum"), gradient, decay);
            s.store("momentum", gradient);
        }
        let alpha = match self.alpha {
            Alpha::Share(share) => s.eps.scale(share),
            Alpha::Fixed(alpha) => s.graph().constant(alpha, [1]),
        };
        let moved = step(self.norm, x, s.images, gradient, alpha, s.eps, s.bounds);
        let next = match self.keep {
            Keep::Last => moved,
            // What fools the model is not moved any further.
            Keep::Best => s.spread(best::meet(s, x, logits, loss)).select(x, moved),
        };
        s.store(self.example(), next);
    }

    fn end(&self, s: &Scene) {
        let x = s.load_images(self.example());
        let logits = s.logits(x);
        best::meet(s, x, logits, self.loss.each(s, logits));
    }
}

/// The accumulated gradient of mifgsm, which takes the gradient's place in [`step`]: decay·g + ∇L/max(mean|∇L|, 1e-12),
/// the mean over each example. `previous` starts at 0; a decay of 1 is published.
pub fn accumulate<'g>(previous: Tensor<'g>, gradient: Tensor<'g>, decay: f64) -> Tensor<'g> {
    let mean = gradient.abs().mean(&example_axes(gradient));
    let floor = gradient.graph().constant(1e-12, mean.shape());
    (previous.scale(decay) + gradient * mean.max(floor).pow(-1.0)).detach()
}
