//! What a stage of an attack sees while its graph is built.

use super::ball::{Bounds, Norm, everywhere};
use crate::autodiff::grad;
use crate::graph::{Dist, Graph, Shape, Tensor};
use crate::loss::classifier::margin;
use std::cell::RefCell;

/// Where the stages of an attack leave tensors for each other.
pub trait Memory<'g> {
    /// What was stored under this name before this stage began.
    fn load(&self, name: &str, shape: Shape) -> Tensor<'g>;

    /// What is stored there when this stage has run.
    fn store(&self, name: &str, value: Tensor<'g>);
}

/// A memory of a graph's own: what is loaded is a state of the graph, what is stored waits in [`States::stored`].
pub struct States<'g> {
    graph: &'g Graph,
    stored: RefCell<Vec<(String, Tensor<'g>)>>,
}

impl<'g> States<'g> {
    /// Nothing stored yet.
    pub fn new(graph: &'g Graph) -> States<'g> {
        States { graph, stored: RefCell::default() }
    }

    /// Names and values that the stages of this graph have stored.
    pub fn stored(&self) -> Vec<(String, Tensor<'g>)> {
        self.stored.borrow().clone()
    }
}

impl<'g> Memory<'g> for States<'g> {
    fn load(&self, name: &str, shape: Shape) -> Tensor<'g> {
        self.graph.state(name, shape)
    }

    fn store(&self, name: &str, value: Tensor<'g>) {
        self.stored.borrow_mut().push((name.to_owned(), value));
    }
}

/// The images, the model and the memory of an attack.
pub struct Scene<'a, 'g> {
    /// Images as they are, `[N, …]`.
    pub images: Tensor<'g>,
    /// Their classes `[N]`, whole numbers. For a model of one logit: 1 where it should be positive, else 0.
    pub labels: Tensor<'g>,
    /// Classes that a targeted attack goes for, `[N]`.
    pub target: Option<Tensor<'g>>,
    /// Radius of the ball `[1]`, in units of the images.
    pub eps: Tensor<'g>,
    /// The box of valid inputs.
    pub bounds: Bounds,
    /// First of the random streams that the attack may use; it has a thousand.
    stream: u32,
    model: &'a dyn Fn(Tensor<'g>) -> Tensor<'g>,
    memory: &'a dyn Memory<'g>,
    /// What this stage has stored so far.
    stored: RefCell<Vec<(String, Tensor<'g>)>>,
    /// Node of x, node of its gradient (0 for a forward pass): the passes through the model that this stage makes.
    passes: RefCell<Vec<(usize, usize)>>,
}

impl<'a, 'g> Scene<'a, 'g> {
    /// A scene without a target, on images in [-1, 1]. `model` makes logits `[N,K]` of images.
    pub fn new(
        images: Tensor<'g>,
        labels: Tensor<'g>,
        eps: Tensor<'g>,
        stream: u32,
        model: &'a dyn Fn(Tensor<'g>) -> Tensor<'g>,
        memory: &'a dyn Memory<'g>,
    ) -> Scene<'a, 'g> {
        let (stored, passes) = (RefCell::default(), RefCell::default());
        Scene { images, labels, target: None, eps, bounds: Bounds::IMAGE, stream, model, memory, stored, passes }
    }

    /// The same, going for classes.
    pub fn towards(self, target: Option<Tensor<'g>>) -> Scene<'a, 'g> {
        Scene { target, ..self }
    }

    /// Where nodes are made.
    pub fn graph(&self) -> &'g Graph {
        self.images.graph()
    }

    /// Number of examples.
    pub fn rows(&self) -> usize {
        self.images.dim(0)
    }

    /// Numbers of one example.
    pub fn elems(&self) -> usize {
        self.images.shape().elems() / self.rows()
    }

    /// Logits `[N,K]` of images.
    pub fn logits(&self, x: Tensor<'g>) -> Tensor<'g> {
        let seen = (x.id(), 0);
        let passes = &mut *self.passes.borrow_mut();
        if !passes.contains(&seen) {
            passes.push(seen);
        }
        (self.model)(x)
    }

    /// ∇ₓ of `y`, summed: of what was made of [`Scene::logits`] of `x`.
    pub fn gradient(&self, y: Tensor<'g>, x: Tensor<'g>) -> Tensor<'g> {
        self.passes.borrow_mut().push((x.id(), y.id() + 1));
        grad(y.sum_all(), &[x])[0]
    }

    /// Passes through the model that this stage makes: (forward, backward).
    pub fn passes(&self) -> (u64, u64) {
        let passes = self.passes.borrow();
        let backward = passes.iter().filter(|(_, y)| *y > 0).count();
        ((passes.len() - backward) as u64, backward as u64)
    }

    /// The tensor stored last under this name: by this stage, or by one that ran before.
    pub fn load(&self, name: &str, shape: impl Into<Shape>) -> Tensor<'g> {
        let here = self.stored.borrow().iter().find(|(known, _)| known == name).map(|(_, value)| *value);
        here.unwrap_or_else(|| self.memory.load(name, shape.into()))
    }

    /// A stored tensor like the images.
    pub fn load_images(&self, name: &str) -> Tensor<'g> {
        self.load(name, self.images.shape())
    }

    /// A stored number per example, `[N,1]`.
    pub fn load_each(&self, name: &str) -> Tensor<'g> {
        self.load(name, [self.rows(), 1])
    }

    /// Leaves a tensor for later stages and later runs of this one.
    pub fn store(&self, name: &str, value: Tensor<'g>) {
        let value = value.detach();
        let stored = &mut *self.stored.borrow_mut();
        match stored.iter_mut().find(|(known, _)| known == name) {
            Some(known) => known.1 = value,
            None => stored.push((name.to_owned(), value)),
        }
    }

    /// Hands what was stored to the memory: the end of a stage.
    pub(super) fn finish(&self) {
        self.stored.borrow().iter().for_each(|(name, value)| self.memory.store(name, *value));
    }

    /// A number per example, `[N,1]`.
    pub fn each(&self, value: f64) -> Tensor<'g> {
        self.graph().constant(value, [self.rows(), 1])
    }

    /// A number per example `[N,1]` with the rank of the images.
    pub fn spread(&self, each: Tensor<'g>) -> Tensor<'g> {
        let mut shape = vec![1; self.images.shape().len()];
        shape[0] = self.rows();
        each.reshape(shape)
    }

    /// One number for all, `[1]`, with the rank of the images.
    pub fn everywhere(&self, scalar: Tensor<'g>) -> Tensor<'g> {
        everywhere(scalar, self.images)
    }

    /// The radius, for tensors of the rank of the images.
    pub fn radius(&self) -> Tensor<'g> {
        self.everywhere(self.eps)
    }

    /// Random numbers of the attack's stream `which` (below 1000); another run of the stage draws others.
    pub fn random(&self, dist: Dist, which: u32, shape: impl Into<Shape>) -> Tensor<'g> {
        self.graph().rand(dist, self.stream + which, shape)
    }

    /// A random point of the ball, inside the box; reads the streams `which` and `which + 1`.
    pub fn random_start(&self, norm: Norm, which: u32) -> Tensor<'g> {
        super::start(norm, self.images, self.eps, self.bounds, self.stream + which)
    }

    /// A random change, uniform in the ball of radius 1, whatever the box says; reads the streams `which` and `which + 1`.
    pub(super) fn random_offset(&self, norm: Norm, which: u32) -> Tensor<'g> {
        super::ball::offset(norm, self.images, self.stream + which)
    }

    /// Whether logits are what the attack wants, per example `[N,1]`: 1 where the class is another than the label or, with a
    /// target, is the target.
    pub fn fooled(&self, logits: Tensor<'g>) -> Tensor<'g> {
        if logits.dim(1) == 1 {
            // One logit: its sign should be the label's.
            let sign = self.labels.reshape([self.rows(), 1]).scale(2.0) - 1.0;
            return (-(sign * logits)).step();
        }
        match self.target {
            None => margin(logits, self.labels).step(),
            Some(target) => (-margin(logits, target)).step(),
        }
    }
}
