//! Names: a [`Scope`] makes the parameters and the persistent state of a network and remembers them.

use super::Layout;
use crate::graph::{Graph, Shape, Tensor, require};
use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

/// How a fresh parameter is filled.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Init {
    /// All 0.
    Zeros,
    /// All 1.
    Ones,
    /// All this number.
    Constant(f64),
    /// Independent normal numbers.
    Normal {
        /// Their mean.
        mean: f64,
        /// Their standard deviation.
        std: f64,
    },
    /// Independent numbers, uniform between −bound and bound.
    Uniform {
        /// The largest magnitude.
        bound: f64,
    },
}

impl Init {
    /// Normal numbers around 0 that keep the variance of a sum of `fan_in` products at `gain`² (He et al. 2015).
    pub fn scaled(gain: f64, fan_in: usize) -> Init {
        if gain == 0.0 { Init::Zeros } else { Init::Normal { mean: 0.0, std: gain / (fan_in as f64).sqrt() } }
    }

    /// PyTorch's default for the weights and biases of layers that sum `fan_in` products: uniform within ±1/√fan_in.
    pub fn torch(fan_in: usize) -> Init {
        Init::Uniform { bound: (fan_in as f64).powf(-0.5) }
    }

    /// Uniform numbers of the variance 2·`gain`²/(`fan_in` + `fan_out`) (Glorot & Bengio 2010).
    pub fn glorot(gain: f64, fan_in: usize, fan_out: usize) -> Init {
        Init::Uniform { bound: gain * (6.0 / (fan_in + fan_out) as f64).sqrt() }
    }
}

/// Whether a network learns or is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Normalise by the statistics of the batch and record updates of the running statistics.
    Train,
    /// Normalise by the running statistics; nothing is updated.
    Eval,
}

/// A trainable tensor of a network.
#[derive(Clone, Debug, PartialEq)]
pub struct ParamSpec {
    /// Full dotted name: `G.main.0.weight`.
    pub name: String,
    /// Extents in this engine's layout.
    pub shape: Shape,
    /// How it is filled at the start.
    pub init: Init,
    /// How a checkpoint stores it.
    pub layout: Layout,
}

/// A tensor of a network that persists between runs and is not trained. Checkpoints store it as it is.
#[derive(Clone, Debug, PartialEq)]
pub struct StateSpec {
    /// Full dotted name: `G.main.1.running_mean`.
    pub name: String,
    /// Extents.
    pub shape: Shape,
    /// How it is filled at the start.
    pub init: Init,
}

#[derive(Default)]
struct Registry<'g> {
    params: Vec<ParamSpec>,
    states: Vec<StateSpec>,
    updates: Vec<(String, Tensor<'g>)>,
    /// Random streams handed out.
    draws: Vec<u32>,
}

/// A place in the dotted name space of one network in one graph. Clones and children share one registry.
#[derive(Clone)]
pub struct Scope<'g> {
    graph: &'g Graph,
    prefix: String,
    registry: Rc<RefCell<Registry<'g>>>,
    /// What is added to parameters, by full name.
    shifts: Rc<HashMap<String, Tensor<'g>>>,
}

impl<'g> Scope<'g> {
    /// The root of a network: `root` (say `G`) starts every name. An empty root adds nothing.
    pub fn new(graph: &'g Graph, root: &str) -> Scope<'g> {
        Scope { graph, prefix: root.to_owned(), registry: Rc::default(), shifts: Rc::default() }
    }

    /// The scope `name` inside this one.
    pub fn child(&self, name: impl AsRef<str>) -> Scope<'g> {
        Scope { prefix: self.full(name.as_ref()), ..self.clone() }
    }

    /// The same network with something added to its parameters, by full name: what is differentiated by them is then their gradient
    /// at the place they are moved to.
    pub fn shifted(&self, shifts: HashMap<String, Tensor<'g>>) -> Scope<'g> {
        Scope { shifts: Rc::new(shifts), ..self.clone() }
    }

    /// The same network for a pass whose updates are nobody's: it is not known here what that pass uses, updates and draws. A later pass
    /// draws what it drew.
    pub fn aside(&self) -> Scope<'g> {
        Scope { registry: Rc::default(), ..self.clone() }
    }

    /// The graph this scope builds in.
    pub fn graph(&self) -> &'g Graph {
        self.graph
    }

    fn full(&self, name: &str) -> String {
        if self.prefix.is_empty() { name.to_owned() } else { format!("{}.{name}", self.prefix) }
    }

    /// The parameter `name`: recorded at its first use, the same node at every later one.
    ///
    /// # Panics
    /// If the name was used for a parameter of another shape or layout.
    pub fn param(&self, name: &str, shape: impl Into<Shape>, init: Init, layout: Layout) -> Tensor<'g> {
        let spec = ParamSpec { name: self.full(name), shape: shape.into(), init, layout };
        let tensor = self.graph.param(&spec.name, &spec.shape);
        let params = &mut self.registry.borrow_mut().params;
        match params.iter().find(|p| p.name == spec.name) {
            Some(known) => require!(known == &spec, "one name for two parameters: {known:?} and {spec:?}"),
            None => params.push(spec),
        }
        match self.shifts.get(&self.full(name)) {
            Some(shift) => tensor + *shift,
            None => tensor,
        }
    }

    /// As [`Scope::state_of`], where every element starts as `init`.
    ///
    /// # Panics
    /// As there.
    pub fn state(&self, name: &str, shape: impl Into<Shape>, init: f64) -> Tensor<'g> {
        self.state_of(name, shape, Init::Constant(init))
    }

    /// The current value of the persistent tensor `name`: what the last [`Scope::update`] of this graph made it, so that
    /// a network applied twice updates its statistics twice.
    ///
    /// # Panics
    /// If the name was used for a state of another shape or start value.
    pub fn state_of(&self, name: &str, shape: impl Into<Shape>, init: Init) -> Tensor<'g> {
        let spec = StateSpec { name: self.full(name), shape: shape.into(), init };
        let stored = self.graph.state(&spec.name, &spec.shape);
        let registry = &mut *self.registry.borrow_mut();
        let updated = registry.updates.iter().find(|(n, _)| *n == spec.name).map(|(_, t)| *t);
        match registry.states.iter().find(|s| s.name == spec.name) {
            Some(known) => require!(known == &spec, "one name for two states: {known:?} and {spec:?}"),
            None => registry.states.push(spec),
        }
        updated.unwrap_or(stored)
    }

    /// Sets the value that the persistent tensor `name` has after this graph has run. Nothing is differentiated through it.
    ///
    /// # Panics
    /// If no such state was made in this scope, or one of another shape.
    pub fn update(&self, name: &str, value: Tensor<'g>) {
        let name = self.full(name);
        let registry = &mut *self.registry.borrow_mut();
        let known = registry.states.iter().any(|s| s.name == name && s.shape == value.shape());
        require!(known, "update of {name} with shape {}: no state of that name and shape", value.shape());
        let value = value.detach();
        match registry.updates.iter_mut().find(|(n, _)| *n == name) {
            Some(update) => update.1 = value,
            None => registry.updates.push((name, value)),
        }
    }

    /// A random stream for this place: a function of its full name and of how often the name drew before in this graph, so
    /// that a network applied twice draws twice. Streams of names have the top bit set; those listed for training have not.
    pub fn stream(&self, name: &str) -> u32 {
        let draws = &mut self.registry.borrow_mut().draws;
        let mut stream = name_stream(&self.full(name)) | 1 << 31;
        while draws.contains(&stream) {
            stream = stream.wrapping_mul(0x0100_0193) | 1 << 31;
        }
        draws.push(stream);
        stream
    }

    /// Every parameter of the network so far, in order of first use.
    pub fn params(&self) -> Vec<ParamSpec> {
        self.registry.borrow().params.clone()
    }

    /// The parameters as tensors, in the order of [`Scope::params`]: what a loss is differentiated by.
    pub fn param_tensors(&self) -> Vec<Tensor<'g>> {
        self.registry.borrow().params.iter().map(|p| self.graph.param(&p.name, &p.shape)).collect()
    }

    /// Every persistent tensor of the network so far, in order of first use.
    pub fn states(&self) -> Vec<StateSpec> {
        self.registry.borrow().states.clone()
    }

    /// (name of a state, its value after this graph has run), in order of first update.
    pub fn updates(&self) -> Vec<(String, Tensor<'g>)> {
        self.registry.borrow().updates.clone()
    }
}

/// FNV-1a of a name: the random stream that belongs to it.
pub fn name_stream(name: &str) -> u32 {
    name.bytes().fold(0x811c_9dc5, |hash: u32, b| (hash ^ u32::from(b)).wrapping_mul(0x0100_0193))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_recorded_once() {
        let graph = Graph::new();
        let root = Scope::new(&graph, "G");
        let inner = root.child("main").child("0");
        let a = inner.param("weight", [2, 3], Init::Zeros, Layout::Linear);
        let b = root.child("main.0").param("weight", [2, 3], Init::Zeros, Layout::Linear);
        assert_eq!(a.id(), b.id());
        assert_eq!(root.params().len(), 1);
        assert_eq!(root.params()[0].name, "G.main.0.weight");
        assert_eq!(root.param_tensors()[0].id(), a.id());
    }

    #[test]
    fn a_second_use_reads_the_first_update() {
        let graph = Graph::new();
        let scope = Scope::new(&graph, "D");
        let first = scope.state("mean", [2], 0.0);
        scope.update("mean", first.scale(0.9));
        let second = scope.state("mean", [2], 0.0);
        assert_ne!(first.id(), second.id());
        scope.update("mean", second.scale(0.9));
        assert_eq!(scope.updates().len(), 1);
        assert_eq!(scope.states(), [StateSpec { name: "D.mean".into(), shape: [2].into(), init: Init::Constant(0.0) }]);
        let chain = graph.freeze(&scope.updates()).dump();
        assert_eq!(chain.matches("scale").count(), 2, "{chain}");
    }

    #[test]
    fn every_use_draws_from_a_stream_of_its_own() {
        let graph = Graph::new();
        let d = Scope::new(&graph, "D");
        let drawn = [d.child("1").stream("drop"), d.child("1").stream("drop"), d.child("4").stream("drop")];
        assert!(drawn[0] != drawn[1] && drawn[1] != drawn[2] && drawn[0] != drawn[2], "{drawn:?}");
        let again = Graph::new();
        let d = Scope::new(&again, "D");
        assert_eq!([d.child("1").stream("drop"), d.child("1").stream("drop")], drawn[..2]);
        assert!(drawn.iter().all(|s| s >> 31 == 1), "{drawn:?}");
    }

    #[test]
    #[should_panic(expected = "one name for two parameters")]
    fn a_name_has_one_shape() {
        let graph = Graph::new();
        let scope = Scope::new(&graph, "");
        scope.param("w", [2], Init::Zeros, Layout::Plain);
        scope.param("w", [3], Init::Zeros, Layout::Plain);
    }
}
