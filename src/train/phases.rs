//! The graphs of a GAN iteration: discriminator step, generator step, attack, sampling.
//!
//! Pure functions from a [`GanSpec`] to a frozen graph. Root names say where a value goes: `grad/<parameter>`,
//! `state/<name>`, `log/<scalar>`, `fake`, `images`. Per-step values are inputs named `scalar/…`.

use crate::attack::{self, Bounds, Norm};
use crate::autodiff::grad;
use crate::graph::{Dag, Dist, Graph, Tensor};
use crate::loss;
use crate::nn::{Mode, Model, ParamSpec, Scope, StateSpec};

/// Random streams. Each use of randomness in an iteration has its own; the step counter separates iterations.
pub mod stream {
    /// Latents of the discriminator step.
    pub const Z_D: u32 = 1;
    /// Latents of the generator step, where it draws its own.
    pub const Z_G: u32 = 2;
    /// Interpolation weights of the WGAN gradient penalty.
    pub const PENALTY: u32 = 3;
    /// Random start of an attack.
    pub const ATTACK: u32 = 4;
    /// Real images of the discriminator step.
    pub const DATA_D: u32 = 5;
    /// Real images of the generator step.
    pub const DATA_G: u32 = 6;
    /// Reals to look at.
    pub const PREVIEW: u32 = 7;
}

/// Images live in [-1, 1].
const BOX: Bounds = Bounds { lo: -1.0, hi: 1.0 };

/// What an iteration is made of.
#[derive(Clone, Debug)]
pub struct GanSpec {
    /// Both networks.
    pub model: Model,
    /// The pair of losses.
    pub loss: loss::Gan,
    /// Images a step.
    pub batch: usize,
    /// Length of a latent.
    pub z: usize,
    /// Shape of one sample: [H, W, C] or `[2]`.
    pub sample: Vec<usize>,
    /// Zero-centred gradient penalty on reals.
    pub r1: bool,
    /// Zero-centred gradient penalty on fakes.
    pub r2: bool,
    /// WGAN gradient penalty between them.
    pub gp: bool,
    /// The discriminator sees `x_adv` instead of the reals.
    pub attack: bool,
}

/// A phase: its graph, and what its networks need.
pub struct Phase {
    /// The graph with its named roots.
    pub dag: Dag,
    /// Parameters of the generator that appear in it.
    pub g_params: Vec<ParamSpec>,
    /// Parameters of the discriminator that appear in it.
    pub d_params: Vec<ParamSpec>,
    /// Persistent tensors of both.
    pub states: Vec<StateSpec>,
}

impl GanSpec {
    fn batch_shape(&self) -> Vec<usize> {
        let mut shape = vec![self.batch];
        shape.extend(&self.sample);
        shape
    }

    /// The generator step of paired losses draws its own reals and latents (R3GAN); the others reuse the fakes of the
    /// discriminator step (DCGAN).
    pub fn fresh_generator_batch(&self) -> bool {
        self.loss.generator_needs_reals()
    }
}

/// A graph with one scope a network.
struct Networks<'g> {
    graph: &'g Graph,
    g: Scope<'g>,
    d: Scope<'g>,
    roots: Vec<(String, Tensor<'g>)>,
}

impl<'g> Networks<'g> {
    fn new(graph: &'g Graph) -> Networks<'g> {
        Networks { graph, g: Scope::new(graph, "G"), d: Scope::new(graph, "D"), roots: vec![] }
    }

    fn log(&mut self, name: &str, value: Tensor<'g>) {
        self.roots.push((format!("log/{name}"), value));
    }

    fn gradients(&mut self, loss: Tensor<'g>, scope: &Scope<'g>) {
        let gradients = grad(loss, &scope.param_tensors());
        self.roots.extend(scope.params().iter().zip(gradients).map(|(p, g)| (format!("grad/{}", p.name), g)));
    }

    fn updates(&mut self, scope: &Scope<'g>) {
        self.roots.extend(scope.updates().into_iter().map(|(name, value)| (format!("state/{name}"), value)));
    }

    fn finish(self) -> Phase {
        let states = self.g.states().into_iter().chain(self.d.states()).collect();
        Phase { dag: self.graph.freeze(&self.roots), g_params: self.g.params(), d_params: self.d.params(), states }
    }
}

/// Loss and gradients of the discriminator. `penalties` leaves the gradient penalties out on the steps between lazy ones.
pub fn discriminator(spec: &GanSpec, penalties: bool) -> Phase {
    let graph = Graph::new();
    let mut net = Networks::new(&graph);
    let clean = graph.input("real", spec.batch_shape());
    let real = if spec.attack { graph.state("x_adv", spec.batch_shape()) } else { clean };
    let fake = if spec.fresh_generator_batch() {
        let z = graph.rand(Dist::Normal, stream::Z_D, [spec.batch, spec.z]);
        spec.model.generator(&net.g, z, Mode::Train).detach()
    } else {
        graph.input("fake", spec.batch_shape())
    };
    // Two passes: batch statistics of reals and fakes must not mix.
    let d_real = spec.model.discriminator(&net.d, real, Mode::Train);
    let d_fake = spec.model.discriminator(&net.d, fake, Mode::Train);
    let mut loss = spec.loss.d_loss(d_real, d_fake);
    net.log("d_loss", loss);
    net.log("d_real", d_real.mean_all());
    net.log("d_fake", d_fake.mean_all());
    if penalties && spec.r1 {
        let r1 = loss::r1_penalty(d_real, real, graph.input("scalar/r1_gamma", [1]));
        net.log("r1", r1);
        loss = loss + r1;
    }
    if penalties && spec.r2 {
        let r2 = loss::r2_penalty(d_fake, fake, graph.input("scalar/r2_gamma", [1]));
        net.log("r2", r2);
        loss = loss + r2;
    }
    if penalties && spec.gp {
        let d = net.d.clone();
        let critic = |x| spec.model.discriminator(&d, x, Mode::Train);
        let weight = graph.input("scalar/gp_lambda", [1]);
        let gp = loss::gradient_penalty(critic, real, fake, stream::PENALTY) * weight;
        net.log("gp", gp);
        loss = loss + gp;
    }
    let d = net.d.clone();
    net.gradients(loss, &d);
    net.updates(&d);
    net.finish()
}

/// Loss and gradients of the generator through the discriminator as it stands after its own step. Unless it draws latents of
/// its own, the root `fake` is what [`discriminator`] reads: the part of this graph that makes it runs before that step.
pub fn generator(spec: &GanSpec) -> Phase {
    let graph = Graph::new();
    let mut net = Networks::new(&graph);
    let latents = if spec.fresh_generator_batch() { stream::Z_G } else { stream::Z_D };
    let z = graph.rand(Dist::Normal, latents, [spec.batch, spec.z]);
    let fake = spec.model.generator(&net.g, z, Mode::Train);
    let d_real = spec
        .fresh_generator_batch()
        .then(|| spec.model.discriminator(&net.d, graph.input("real_g", spec.batch_shape()), Mode::Train));
    let d_fake = spec.model.discriminator(&net.d, fake, Mode::Train);
    let loss = spec.loss.g_loss(d_fake, d_real);
    net.log("g_loss", loss);
    if !spec.fresh_generator_batch() {
        net.roots.push(("fake".into(), fake));
    }
    let (g, d) = (net.g.clone(), net.d.clone());
    net.gradients(loss, &g);
    net.updates(&g);
    net.updates(&d);
    net.finish()
}

/// The start of an attack on the reals: `x_adv` becomes a random point of the ε-ball around them, inside the box.
pub fn attack_start(spec: &GanSpec) -> Phase {
    let graph = Graph::new();
    let mut net = Networks::new(&graph);
    let real = graph.input("real", spec.batch_shape());
    let start = attack::start(Norm::Inf, real, graph.input("scalar/attack_eps", [1]), BOX, stream::ATTACK);
    net.roots.push(("state/x_adv".into(), start));
    net.finish()
}

/// One PGD step on `x_adv` that raises the discriminator's loss on reals. Its networks are constants (Danskin) and in
/// evaluation mode: no weight gradients, no statistics updated.
pub fn attack_step(spec: &GanSpec) -> Phase {
    let graph = Graph::new();
    let mut net = Networks::new(&graph);
    let real = graph.input("real", spec.batch_shape());
    let x = graph.state("x_adv", spec.batch_shape());
    let logits = spec.model.discriminator(&net.d, x, Mode::Eval);
    // Summed, not averaged: each example has its own attack.
    let harm = logits.scale(-1.0).softplus().sum_all();
    net.log("attack_loss", harm.scale(1.0 / spec.batch as f64));
    let g = grad(harm, &[x])[0];
    let (eps, alpha) = (graph.input("scalar/attack_eps", [1]), graph.input("scalar/attack_alpha", [1]));
    net.roots.push(("state/x_adv".into(), attack::step(Norm::Inf, x, real, g, alpha, eps, BOX)));
    net.finish()
}

/// Images of given latents, with running statistics.
pub fn sample(spec: &GanSpec, count: usize) -> Phase {
    let graph = Graph::new();
    let mut net = Networks::new(&graph);
    let images = spec.model.generator(&net.g, graph.input("latents", [count, spec.z]), Mode::Eval);
    net.roots.push(("images".into(), images));
    net.finish()
}
