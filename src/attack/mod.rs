//! Attacks: adversaries that move an input within a ball so that a loss rises, as stages of a plan.
//!
//! An [`Attack`] is data: a list of stages, each a function that builds a graph over a [`Scene`], and how often each runs. What a
//! stage leaves for the next one stays on the device under a name ([`Scene::store`], [`Scene::load`]), so that a whole attack is one
//! submission; examples that were fooled are stopped by masks, never by reading back. Every attack leaves its answer under two names:
//! [`ADVERSARIAL`], the best example it met, and [`FOOLED`], 1 where that one fools the model.
//!
//! The model is a constant (Danskin's theorem) in evaluation mode, gradients are by the input alone, of a loss *summed* over
//! examples: a mean would scale it by the batch. Uses `graph`, `autodiff`, `nn` for scores, `loss` for classifiers' losses.
//! Deliberately absent: models, data, devices.

mod apgd;
mod ball;
mod best;
mod carlini;
mod constant;
mod deepfool;
mod fab;
mod gradient;
mod grid;
mod lbfgs;
mod loss;
mod minimal;
mod onepixel;
mod pixle;
mod query;
mod scene;
mod smallest;
mod sparse;
mod square;
mod transfer;

pub use ball::{Bounds, Norm, frozen, start, step, step_unbounded};
pub use fab::to_boundary;
pub use gradient::accumulate;
pub use loss::Loss;
pub use scene::{Memory, Scene, States};

use crate::error::{Error, Result};
use std::sync::Arc;

/// Where an attack leaves the best examples it met, like the images.
pub const ADVERSARIAL: &str = "adversarial";
/// Where it leaves, per example `[N,1]`, 1 if that example fools the model, else 0.
pub const FOOLED: &str = "fooled";

/// Builds the graph of a stage.
pub type StageBuild = Arc<dyn for<'g> Fn(&Scene<'_, 'g>) + Send + Sync>;

/// A part of an attack that runs as a whole: its start, one step, what comes after the last.
#[derive(Clone)]
pub struct Stage {
    /// Unique in the attack.
    pub name: &'static str,
    /// Builds its graph.
    pub build: StageBuild,
    /// How many times in a row it runs. Each run draws random numbers of its own.
    pub repeat: u32,
    /// Whether it belongs to the group of neighbouring stages that runs [`Attack::times`] times.
    pub looped: bool,
    /// Whether it belongs to the group of neighbouring stages that runs [`Attack::restarts`] times; looped stages may lie inside it.
    pub restarted: bool,
}

impl Stage {
    /// A stage that runs once.
    pub fn new(name: &'static str, build: impl for<'g> Fn(&Scene<'_, 'g>) + Send + Sync + 'static) -> Stage {
        Stage { name, build: Arc::new(build), repeat: 1, looped: false, restarted: false }
    }

    /// Builds its graph: loads from the scene's memory and stores there.
    pub fn run(&self, scene: &Scene) {
        (self.build)(scene);
        scene.finish();
    }

    /// The same, so many times in a row.
    pub fn repeat(self, times: u32) -> Stage {
        Stage { repeat: times, ..self }
    }

    /// The same, in the group that is looped over.
    pub fn looped(self) -> Stage {
        Stage { looped: true, ..self }
    }

    /// The same, in the group that runs anew with each restart.
    pub fn restarted(self) -> Stage {
        Stage { restarted: true, ..self }
    }
}

/// An attack: what runs, and how often.
#[derive(Clone)]
pub struct Attack {
    /// Its name in the [catalogue](entries).
    pub name: &'static str,
    /// What its examples stay within.
    pub ball: Ball,
    /// In the order in which they run.
    pub stages: Vec<Stage>,
    /// How many times the looped stages run as a group: target classes, tries of a constant, steps of many samples.
    pub times: u32,
    /// How many times the restarted stages do.
    pub restarts: u32,
}

impl Attack {
    /// An attack whose groups of stages run once.
    pub fn new(name: &'static str, ball: Ball, stages: Vec<Stage>) -> Attack {
        Attack { name, ball, stages, times: 1, restarts: 1 }
    }

    /// The stages in the order in which they run, as (number, times in a row).
    pub fn schedule(&self) -> Vec<(usize, u32)> {
        let numbers: Vec<usize> = (0..self.stages.len()).collect();
        let restarted = |number: usize| self.stages[number].restarted;
        let looped = |number: usize| self.stages[number].looped;
        let mut order = vec![];
        for group in numbers.chunk_by(|&a, &b| restarted(a) == restarted(b)) {
            let mut once = vec![];
            for inner in group.chunk_by(|&a, &b| looped(a) && looped(b)) {
                let runs = inner.iter().map(|&stage| (stage, self.stages[stage].repeat));
                let times = if looped(inner[0]) { self.times } else { 1 };
                (0..times).for_each(|_| once.extend(runs.clone()));
            }
            let times = if restarted(group[0]) { self.restarts } else { 1 };
            (0..times).for_each(|_| order.extend_from_slice(&once));
        }
        order
    }

    /// Passes through the model that one example costs, (forward, backward); `stages` are those of each stage.
    pub fn passes(&self, stages: &[(u64, u64)]) -> (u64, u64) {
        let add = |(f, b): (u64, u64), (stage, times): (usize, u32)| {
            let (times, cost) = (u64::from(times), stages.get(stage).copied().unwrap_or_default());
            (f + times * cost.0, b + times * cost.1)
        };
        self.schedule().into_iter().fold((0, 0), add)
    }
}

/// What bounds the examples of an attack.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Ball {
    /// A ball whose radius is given.
    Radius(Norm),
    /// Nothing but the box: it looks for the smallest change in this norm; what is larger than a given radius counts as failed.
    Smallest(Norm),
    /// So many pixels, each changed at will.
    Pixels,
}

impl Ball {
    /// The norm by which a change is measured; `None` where pixels are counted.
    pub fn norm(self) -> Option<Norm> {
        match self {
            Ball::Radius(norm) | Ball::Smallest(norm) => Some(norm),
            Ball::Pixels => None,
        }
    }
}

/// Which of the examples it met an attack leaves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Keep {
    /// Per example the first that fools the model, else the one of highest loss; fooled examples move no more. For evaluation.
    #[default]
    Best,
    /// The last, as published for training; one look at the model fewer.
    Last,
}

/// What can be said about an attack. What is `None` is the attack's own default; an attack ignores what it has no use for.
#[derive(Clone, Debug, Default)]
pub struct AttackOptions {
    /// Gradient steps, or queries of the model.
    pub steps: Option<u32>,
    /// Length of a step in units of the images.
    pub alpha: Option<f64>,
    /// Times that it starts, each time with other random numbers; of all, the best example is kept.
    pub restarts: Option<u32>,
    /// Pixels that onepixel changes; one unless given.
    pub pixels: Option<u32>,
    /// Norm of the ball, where the attack knows several.
    pub norm: Option<Norm>,
    /// What it raises.
    pub loss: Option<Loss>,
    /// Whether it goes for [`Scene::target`] instead of away from the label.
    pub targeted: bool,
    /// What it leaves.
    pub keep: Keep,
    /// Logits of the model.
    pub classes: usize,
    /// Extents of an example.
    pub sample: Vec<usize>,
}

/// An attack of the catalogue.
#[derive(Clone, Copy)]
pub struct Listing {
    /// What it is called: `pgd`.
    pub name: &'static str,
    /// One line for people, with its source.
    pub about: &'static str,
    /// Whether it can go for a class.
    pub targets: bool,
    /// Whether it draws random numbers, so that it may find something else where it starts anew.
    pub draws: bool,
    /// Makes it.
    pub make: fn(&AttackOptions) -> Result<Attack>,
}

/// Every attack, in the order in which tables show them.
pub fn entries() -> impl Iterator<Item = &'static Listing> {
    let families: [&[Listing]; 10] = [
        gradient::ENTRIES,
        apgd::ENTRIES,
        transfer::ENTRIES,
        query::ENTRIES,
        sparse::ENTRIES,
        deepfool::ENTRIES,
        carlini::ENTRIES,
        lbfgs::ENTRIES,
        fab::ENTRIES,
        minimal::ENTRIES,
    ];
    families.into_iter().flatten()
}

/// The attack of this name.
///
/// # Errors
/// A name that is none of [`entries`]; options that the attack can't follow, in one sentence.
pub fn named(name: &str, options: &AttackOptions) -> Result<Attack> {
    let Some(entry) = entries().find(|entry| entry.name == name) else {
        let names: Vec<&str> = entries().map(|entry| entry.name).collect();
        return Err(Error::setting("attack", "name", name, format!("must be one of {}", names.join(", "))));
    };
    if options.targeted && !entry.targets {
        return Err(refused(name, "targeted", "on", "this attack knows no targets: leave it out"));
    }
    if options.targeted && options.classes < 2 {
        return Err(refused(name, "targeted", "on", "a model of one logit has no classes to go for"));
    }
    if let Some(loss) = options.loss {
        loss.check(name, options.classes)?;
    }
    for (key, count) in [("steps", options.steps), ("restarts", options.restarts), ("pixels", options.pixels)] {
        if count == Some(0) {
            return Err(refused(name, key, 0, "must be at least 1"));
        }
    }
    if let Some(restarts) = options.restarts.filter(|restarts| *restarts > 1 && !entry.draws) {
        let hint = "this attack draws no random numbers and would find the same again: leave it out";
        return Err(refused(name, "restarts", restarts, hint));
    }
    if options.alpha.is_some_and(|alpha| alpha <= 0.0 || !alpha.is_finite()) {
        return Err(refused(name, "alpha", options.alpha.unwrap_or(0.0), "must be above 0"));
    }
    (entry.make)(options)
}

/// The error of an option that an attack can't follow.
fn refused(attack: &str, key: &str, value: impl std::fmt::Display, hint: &str) -> Error {
    Error::setting(format!("attack {attack}"), key, value, hint)
}
