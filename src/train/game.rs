//! Games: what is trained, as data. All that distinguishes one training from another is a value of [`Game`]; the trainer,
//! checkpoints, reports, `plan`, `check` and `bench` know nothing narrower.
//!
//! A phase is a function that builds a graph through a [`PhaseGraph`]. Names of its roots end in this layer: `log/…`, `grad/…`,
//! `state/…` and `shared/…` say where a value goes, and `assembly` gives them their places.

use crate::autodiff::grad;
use crate::graph::{Dag, Graph, Shape, Tensor, require};
use crate::nn::{ParamSpec, Scope, StateSpec};
pub use crate::optim::{Adam, Optimiser, Schedule, Sgd};
use crate::plan::LOSS_SCALE;
use crate::{Error, Result};
use std::sync::Arc;

/// What is trained: networks, the batches they see, and the phases of an iteration.
#[derive(Clone, Default)]
pub struct Game {
    /// Samples per batch.
    pub batch: usize,
    /// Parts that a batch is cut into: phases build graphs of a part, whose gradients are summed before a network learns, so that less is
    /// kept at once. 0 and 1 are one part.
    pub accumulate: usize,
    /// Extents of one sample of the data: [H, W, C], or `[2]`.
    pub sample: Vec<usize>,
    /// Classes that labels may name, where they are read.
    pub classes: Option<usize>,
    /// Any number of them.
    pub networks: Vec<Player>,
    /// Batches of data that phases read.
    pub batches: Vec<Batch>,
    /// Numbers that phases read and that change with progress.
    pub values: Vec<Value>,
    /// The phases of an iteration, in the order in which they run.
    pub phases: Vec<Phase>,
    /// Neighbouring phases that run several times in a row as a group.
    pub loops: Vec<Loop>,
    /// What the trained networks are for: samples of latents, classes of images.
    pub inference: Option<Inference>,
    /// What a line of progress shows.
    pub shown: Vec<Shown>,
}

/// A network of a game, as training sees it.
#[derive(Clone, Debug)]
pub struct Player {
    /// Starts the names of its tensors: `G`.
    pub name: String,
    /// For people: `generator`.
    pub title: String,
    /// How it learns.
    pub optimiser: Optimiser,
    /// Moving average of its weights, where it has one.
    pub average: Option<Average>,
}

impl Player {
    /// A network without a moving average.
    pub fn new(name: &str, title: &str, optimiser: impl Into<Optimiser>) -> Player {
        Player { name: name.into(), title: title.into(), optimiser: optimiser.into(), average: None }
    }
}

/// A moving average of weights (StyleGAN2's).
#[derive(Clone, Debug)]
pub struct Average {
    /// Half-life in thousands of images; 0 copies the weights.
    pub half_life_kimg: Schedule,
    /// The half-life is at most this share of the images seen; 0 leaves it as it is.
    pub ramp: f64,
}

/// A batch of data that phases read: drawn before the first phase of an iteration that reads it.
#[derive(Clone, Debug)]
pub struct Batch {
    /// What phases call it: `real`.
    pub name: String,
    /// Its random stream: batches of different streams are drawn independently.
    pub stream: u32,
    /// Whether labels are drawn with it.
    pub labels: bool,
}

impl Batch {
    /// A batch without labels.
    pub fn new(name: &str, stream: u32) -> Batch {
        Batch { name: name.into(), stream, labels: false }
    }
}

/// A number that phases read.
#[derive(Clone, Debug)]
pub struct Value {
    /// What phases call it: `r1_gamma`.
    pub name: String,
    /// Its course.
    pub schedule: Schedule,
    /// Times this.
    pub weight: f64,
}

impl Value {
    /// A value with the weight 1.
    pub fn new(name: &str, schedule: Schedule) -> Value {
        Value { name: name.into(), schedule, weight: 1.0 }
    }
}

/// When a phase runs: in iterations whose number is `at` more than a multiple of `every`, or in all others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct When {
    /// Iterations from one run to the next, from 1.
    pub every: u64,
    /// The first iteration it runs in.
    pub at: u64,
    /// All iterations but those.
    pub otherwise: bool,
}

impl When {
    /// In every iteration.
    pub const ALWAYS: When = When { every: 1, at: 0, otherwise: false };

    /// In the first of every `k` iterations.
    pub fn first_of(k: u64) -> When {
        When { every: k.max(1), at: 0, otherwise: false }
    }

    /// In the last of every `k` iterations.
    pub fn last_of(k: u64) -> When {
        When { every: k.max(1), at: k.max(1) - 1, otherwise: false }
    }

    /// In the iterations in which `self` does not run.
    pub fn otherwise(self) -> When {
        When { otherwise: !self.otherwise, ..self }
    }

    /// Whether it runs in iteration `step`.
    pub fn is_due(&self, step: u64) -> bool {
        (step % self.every == self.at) != self.otherwise
    }
}

/// Builds the graph of a phase.
pub type Build = Arc<dyn for<'g> Fn(&mut PhaseGraph<'g>) -> Result<()> + Send + Sync>;

/// A phase of an iteration.
#[derive(Clone)]
pub struct Phase {
    /// Its plan's name; unique.
    pub name: String,
    /// Builds its graph.
    pub build: Build,
    /// When it runs.
    pub when: When,
    /// How many times in a row: on the same batches and values, and with random numbers of its own each time, as in a loop.
    pub repeat: u32,
    /// Part of its graph may run ahead of other phases. What both parts need is computed once.
    pub ahead: Option<Ahead>,
}

/// Neighbouring phases that run one after another, and that several times: restarts of an attack, one try per class. A loop may lie
/// inside another.
#[derive(Clone, Debug)]
pub struct Loop {
    /// Their names, in the order of the game.
    pub phases: Vec<String>,
    /// How many times.
    pub times: u32,
}

/// The part of a phase's graph that makes a shared tensor for other, earlier phases.
#[derive(Clone, Debug)]
pub struct Ahead {
    /// The shared tensor.
    pub makes: String,
    /// Phases that need it: it is made before the first of them that is due.
    pub before: Vec<String>,
}

impl Phase {
    /// A phase that runs once in every iteration.
    pub fn new(name: &str, build: impl for<'g> Fn(&mut PhaseGraph<'g>) -> Result<()> + Send + Sync + 'static) -> Phase {
        Phase { name: name.into(), build: Arc::new(build), when: When::ALWAYS, repeat: 1, ahead: None }
    }

    /// The same phase, run at other times.
    pub fn when(self, when: When) -> Phase {
        Phase { when, ..self }
    }
}

/// What trained networks are for: a graph from given tensors to one output, with averaged weights where there are any.
#[derive(Clone)]
pub struct Inference {
    /// Its plan's name: `sample`, `classify`.
    pub name: String,
    /// What it is given: name and extents of one row.
    pub inputs: Vec<(String, Vec<usize>)>,
    /// Extents of one row of the output.
    pub output: Vec<usize>,
    /// Rows at once.
    pub rows: usize,
    /// Classes that its input `classes` may name; 0 where it has none.
    pub classes: usize,
    /// Builds its graph: reads [`PhaseGraph::given`], ends in [`PhaseGraph::output`].
    pub build: Build,
}

impl Inference {
    /// `sample`: what a generator makes of rows of `latent` normal numbers. `build` is its graph, from the latents on.
    pub fn of_latents(
        latent: usize,
        sample: &[usize],
        build: impl for<'g> Fn(&PhaseGraph<'g>, Tensor<'g>) -> Result<Tensor<'g>> + Send + Sync + 'static,
    ) -> Inference {
        Inference {
            name: "sample".into(),
            inputs: vec![("latents".into(), vec![latent])],
            output: sample.to_vec(),
            rows: if sample.len() == 3 { 16 } else { 250 },
            classes: 0,
            build: Arc::new(move |p| {
                let latents = p.given("latents", &[latent]);
                let samples = build(p, latents)?;
                p.output(samples);
                Ok(())
            }),
        }
    }
}

/// A number of the line of progress.
#[derive(Clone, Debug)]
pub struct Shown {
    /// Before the number: `D`, `D(x)-D(G)`.
    pub label: String,
    /// Name of a logged scalar.
    pub value: String,
    /// Name of one to subtract, if any.
    pub minus: Option<String>,
}

impl Shown {
    /// A logged scalar.
    pub fn value(label: &str, value: &str) -> Shown {
        Shown { label: label.into(), value: value.into(), minus: None }
    }

    /// The difference of two.
    pub fn difference(label: &str, value: &str, minus: &str) -> Shown {
        Shown { minus: Some(minus.into()), ..Shown::value(label, value) }
    }
}

/// The graph of a phase while it is built.
pub struct PhaseGraph<'g> {
    graph: &'g Graph,
    game: &'g Game,
    scopes: Vec<(String, Scope<'g>)>,
    roots: Vec<(String, Tensor<'g>)>,
    trains: Vec<String>,
    penalties: Vec<String>,
    scaled: bool,
    rows: usize,
    /// Which part of a batch it is about, and of how many.
    part: [usize; 2],
}

impl<'g> PhaseGraph<'g> {
    /// Where nodes are made.
    pub fn graph(&self) -> &'g Graph {
        self.graph
    }

    /// Samples per batch, or per part of one; rows of an inference.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// The name space of a network: what its layers are applied to.
    ///
    /// # Errors
    /// No network of this name.
    pub fn network(&self, name: &str) -> Result<Scope<'g>> {
        let known = || self.scopes.iter().map(|(n, _)| n.as_str()).collect::<Vec<_>>().join(", ");
        let found = self.scopes.iter().find(|(n, _)| n == name).map(|(_, scope)| scope.clone());
        found.ok_or_else(|| Error::Graph(format!("the game has no network {name}; it has {}", known())))
    }

    /// A batch of data [N, …]; it, like all that a phase reads by name, must be one of the game's: building is refused otherwise.
    pub fn batch(&self, name: &str) -> Tensor<'g> {
        let known: Vec<&str> = self.game.batches.iter().map(|b| b.name.as_str()).collect();
        require!(known.contains(&name), "the game has no batch {name}; it has {}", known.join(", "));
        self.rows_of(name, &self.game.sample)
    }

    /// The labels of a batch, `[N]` class numbers.
    pub fn labels(&self, name: &str) -> Tensor<'g> {
        let labelled = self.game.batches.iter().any(|b| b.name == name && b.labels);
        require!(labelled, "the game has no batch {name} with labels");
        self.rows_of(&labels_of(name), &[])
    }

    /// The rows of a fed tensor that this graph is about.
    fn rows_of(&self, name: &str, extents: &[usize]) -> Tensor<'g> {
        let [part, parts] = self.part;
        let whole = self.graph.input(name, [&[self.rows * parts], extents].concat());
        if parts == 1 {
            return whole;
        }
        let mut from = vec![0; 1 + extents.len()];
        from[0] = part * self.rows;
        whole.slice(&from, [&[self.rows], extents].concat())
    }

    /// A share of a mean over the batch, added to what the parts before have left under `name`.
    fn summed(&self, name: &str, share: Tensor<'g>) -> Tensor<'g> {
        match self.part {
            [0, _] => share,
            _ => self.graph.state(&sum_leaf(name), share.shape()) + share,
        }
    }

    /// Extents of a batch of data, or of a part of one.
    pub fn batch_shape(&self) -> Vec<usize> {
        [&[self.rows], self.game.sample.as_slice()].concat()
    }

    /// A per-step value, as `[1]`.
    pub fn value(&self, name: &str) -> Tensor<'g> {
        let known: Vec<&str> = self.game.values.iter().map(|v| v.name.as_str()).collect();
        require!(known.contains(&name), "the game has no value {name}; it has {}", known.join(", "));
        self.graph.input(&value_leaf(name), [1])
    }

    /// A tensor that another phase of the iteration (or this one, run before) has [`PhaseGraph::share`]d.
    pub fn shared(&self, name: &str, shape: impl Into<Shape>) -> Tensor<'g> {
        self.graph.state(&shared_leaf(name), shape)
    }

    /// Hands a tensor to other phases of the iteration. It is not part of checkpoints.
    pub fn share(&mut self, name: &str, value: Tensor<'g>) {
        self.roots.push((shared_leaf(name), value));
    }

    /// Logs a scalar `[1]`: a mean over the batch, as where batches come in parts the mean over them is logged.
    pub fn log(&mut self, name: &str, value: Tensor<'g>) {
        require!(value.shape().elems() == 1, "what is logged as {name} has shape {}, not [1]", value.shape());
        let root = format!("log/{name}");
        let value = if self.part[1] > 1 { self.summed(&root, value.scale(1.0 / self.part[1] as f64)) } else { value };
        self.roots.push((root, value));
    }

    /// Logs a penalty on gradients `[1]`: it and what depends on it stays in 32 bits, whatever the precision.
    pub fn log_penalty(&mut self, name: &str, value: Tensor<'g>) {
        self.log(name, value);
        self.penalties.push(format!("log/{name}"));
    }

    /// Lets a network learn from `loss` `[1]`, a mean over the batch: makes the gradients of its parameters and runs its optimiser after the phase.
    ///
    /// # Errors
    /// No network of this name; one that the phase has not applied; a loss that is not one number.
    pub fn minimise(&mut self, network: &str, loss: Tensor<'g>) -> Result<()> {
        let scope = self.network(network)?;
        if loss.shape().elems() != 1 {
            return Err(Error::Graph(format!("the loss of network {network} has shape {}, not [1]", loss.shape())));
        }
        if scope.params().is_empty() {
            let reason = format!("network {network} can't learn here: the phase applies it to nothing before");
            return Err(Error::Graph(reason));
        }
        let loss = if self.scaled {
            let scale = self.graph.input(&scale_leaf(network), [1]);
            // Zero before the first step.
            loss * scale.select(scale, self.graph.constant(f64::from(LOSS_SCALE), [1]))
        } else {
            loss
        };
        let loss = if self.part[1] > 1 { loss.scale(1.0 / self.part[1] as f64) } else { loss };
        let gradients = grad(loss, &scope.param_tensors());
        for (p, g) in scope.params().iter().zip(gradients) {
            let root = grad_root(&p.name);
            let sum = self.summed(&root, g);
            self.roots.push((root, sum));
        }
        self.trains.push(network.to_owned());
        Ok(())
    }

    /// Keeps what the phase makes of a network's persistent tensors (running statistics).
    ///
    /// # Errors
    /// No network of this name.
    pub fn keep_updates(&mut self, network: &str) -> Result<()> {
        let updates = self.network(network)?.updates();
        self.roots.extend(updates.into_iter().map(|(name, value)| (state_root(&name), value)));
        Ok(())
    }

    /// What an inference is given, [rows, …].
    pub fn given(&self, name: &str, extents: &[usize]) -> Tensor<'g> {
        self.graph.input(&given_leaf(name), [&[self.rows], extents].concat())
    }

    /// What an inference makes, [rows, …].
    pub fn output(&mut self, value: Tensor<'g>) {
        if let Some(inference) = &self.game.inference {
            let fits = value.shape().elems() == self.rows * inference.output.iter().product::<usize>();
            let (rows, extents) = (self.rows, &inference.output);
            require!(fits, "the output has shape {}, and {rows} rows of {extents:?} are promised", value.shape());
        }
        self.roots.push((OUTPUT.into(), value));
    }
}

pub(super) const OUTPUT: &str = "output";

pub(super) fn labels_of(batch: &str) -> String {
    format!("{batch}.labels")
}
pub(super) fn value_leaf(name: &str) -> String {
    format!("scalar/{name}")
}
pub(super) fn shared_leaf(name: &str) -> String {
    format!("shared/{name}")
}
pub(super) fn scale_leaf(network: &str) -> String {
    format!("scale/{network}")
}
/// Where a root's sum over the parts of a batch so far lies.
pub(super) fn sum_leaf(root: &str) -> String {
    format!("sum/{root}")
}
pub(super) fn given_leaf(name: &str) -> String {
    format!("given/{name}")
}
pub(super) fn grad_root(param: &str) -> String {
    format!("grad/{param}")
}
pub(super) fn state_root(state: &str) -> String {
    format!("state/{state}")
}

/// A phase as a graph, and what assembling and checking need to know of it.
pub struct Built {
    /// Name of the phase.
    pub name: String,
    /// The graph with its named roots.
    pub dag: Dag,
    /// By network, in the order of the game: the parameters that appear in it.
    pub params: Vec<Vec<ParamSpec>>,
    /// Persistent tensors that appear in it.
    pub states: Vec<StateSpec>,
    /// Networks that learn from it.
    pub trains: Vec<String>,
    /// Roots that log penalties.
    pub(super) penalties: Vec<String>,
}

impl Built {
    /// Names of the scalars it logs.
    pub fn logs(&self) -> impl Iterator<Item = &str> {
        self.dag.roots.iter().filter_map(|(name, _)| name.strip_prefix("log/"))
    }
}

impl Game {
    /// Builds the graph of a phase; with `scaled`, gradients are those of the loss times a scale that follows their range.
    ///
    /// # Errors
    /// What the phase refuses; shapes that do not fit.
    pub fn build(&self, name: &str, build: &Build, rows: usize, scaled: bool) -> Result<Built> {
        self.build_part(name, build, rows, scaled, [0, 1])
    }

    fn build_part(&self, name: &str, build: &Build, rows: usize, scaled: bool, part: [usize; 2]) -> Result<Built> {
        crate::graph::checked(|| {
            let graph = Graph::of_part(part[0], part[1]);
            let scopes = self.networks.iter().map(|n| (n.name.clone(), Scope::new(&graph, &n.name))).collect();
            let (roots, trains, penalties) = (vec![], vec![], vec![]);
            let mut phase =
                PhaseGraph { graph: &graph, game: self, scopes, roots, trains, penalties, scaled, rows, part };
            build(&mut phase)?;
            let PhaseGraph { scopes, roots, trains, penalties, .. } = phase;
            Ok(Built {
                name: name.into(),
                dag: graph.freeze(&roots),
                params: scopes.iter().map(|(_, scope)| scope.params()).collect(),
                states: scopes.iter().flat_map(|(_, scope)| scope.states()).collect(),
                trains,
                penalties,
            })
        })
        .map_err(|error| match error {
            Error::Graph(reason) => Error::Graph(format!("phase {name}: {reason}")),
            other => other,
        })
    }

    /// The graphs of all phases, for the first part of a batch, and of the inference.
    ///
    /// # Errors
    /// As [`Game::build`].
    pub fn graphs(&self, scaled: bool) -> Result<Vec<Built>> {
        let inference = self.inference.iter().map(|i| self.build(&i.name, &i.build, i.rows, false));
        self.graphs_of(0, scaled)?.into_iter().map(Ok).chain(inference).collect()
    }

    /// The graphs of all phases for part `part` of a batch.
    ///
    /// # Errors
    /// As [`Game::build`].
    pub(super) fn graphs_of(&self, part: usize, scaled: bool) -> Result<Vec<Built>> {
        let parts = self.parts();
        let phase = |p: &Phase| self.build_part(&p.name, &p.build, self.batch / parts, scaled, [part, parts]);
        self.phases.iter().map(phase).collect()
    }

    /// Parts that a batch is cut into.
    pub fn parts(&self) -> usize {
        self.accumulate.max(1)
    }

    /// Iterations after which the phases repeat.
    pub fn cycle(&self) -> u64 {
        self.phases.iter().fold(1, |cycle, phase| lcm(cycle, phase.when.every))
    }

    /// The place of a network in [`Game::networks`].
    pub(super) fn network(&self, name: &str) -> Option<usize> {
        self.networks.iter().position(|network| network.name == name)
    }

    /// Elements of one sample.
    pub fn sample_elems(&self) -> usize {
        self.sample.iter().product()
    }
}

fn lcm(a: u64, b: u64) -> u64 {
    let (mut x, mut y) = (a, b);
    while y > 0 {
        (x, y) = (y, x % y);
    }
    a / x * b
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn phases_run_when_they_are_due() {
        let due = |when: When| (0..8).filter(|&step| when.is_due(step)).collect::<Vec<u64>>();
        assert_eq!(due(When::ALWAYS), (0..8).collect::<Vec<_>>());
        assert_eq!(due(When::first_of(4)), [0, 4]);
        assert_eq!(due(When::last_of(3)), [2, 5]);
        assert_eq!(due(When::first_of(4).otherwise()), [1, 2, 3, 5, 6, 7]);
        assert_eq!(due(When::ALWAYS.otherwise()), Vec::<u64>::new());
    }

    #[test]
    fn a_cycle_is_the_least_common_multiple() {
        assert_eq!([lcm(1, 1), lcm(1, 16), lcm(4, 6), lcm(5, 5)], [1, 16, 12, 5]);
    }
}
