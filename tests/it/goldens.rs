//! Small GANs against PyTorch: losses, every gradient, ten training steps. `tests/goldens/make.py` made the files.
//!
//! [`check_gradients`] and [`check_trajectory`] take the evaluator as an argument, so that any device can be held
//! against the same files.

use crate::numeric::{Feeds, RNG};
use crate::primitives::gpu;
use danskin::autodiff::grad;
use danskin::check;
use danskin::device::Device;
use danskin::graph::{Dag, Graph, Op, Tensor};
use danskin::host::eval;
use danskin::loss::{GanLoss, r1_penalty, r2_penalty};
use danskin::nn::layout::{from_torch, torch_shape};
use danskin::nn::{
    Dcgan, Discriminator, Generator, Init, Mode, Model, Network, ParamSpec, R3gan, Scope, SnganResnet, StateSpec,
};
use safetensors::{Dtype, SafeTensors};
use std::collections::HashMap;

/// Images in a batch.
pub const BATCH: usize = 4;

/// A golden file and the model, losses and optimiser that make.py used for it.
pub struct Case {
    pub name: &'static str,
    pub model: Model,
    /// Classes that both networks are told of; 0 is none.
    pub classes: usize,
    pub gan: GanLoss,
    /// Weight of R1 and R2, fed as the input `gamma`.
    pub gamma: Option<f64>,
    /// Whether the generator's phase has reals and latents of its own.
    pub fresh: bool,
    pub lr: f64,
    pub betas: [f64; 2],
    pub eps: f64,
}

/// DCGAN of 32² with batch normalisation in both networks.
pub fn dcgan() -> Case {
    let model = Model::Dcgan(Dcgan { z: 16, ngf: 8, ndf: 8, ..Dcgan::new(32) });
    Case {
        name: "dcgan32",
        model,
        classes: 0,
        gan: GanLoss::Ns,
        gamma: None,
        fresh: false,
        lr: 2e-4,
        betas: [0.5, 0.999],
        eps: 1e-8,
    }
}

/// R3GAN of 16² with R1 and R2 by double backward.
pub fn r3gan() -> Case {
    let model = Model::R3gan(R3gan { z: 16, widths: vec![16, 8, 8], blocks: vec![2, 1, 1], ..R3gan::compact(16) });
    let (gan, gamma) = (GanLoss::Rpgan, Some(0.5));
    Case { name: "r3gan16", model, classes: 0, gan, gamma, fresh: true, lr: 2e-4, betas: [0.0, 0.99], eps: 1e-8 }
}

/// R3GAN of 16² with classes, two numbers to a group of its convolutions, three times as many inside a block.
pub fn r3gan_classes() -> Case {
    let (widths, blocks) = (vec![8, 4, 4], vec![1, 1, 2]);
    let model =
        Model::R3gan(R3gan { z: 6, widths, blocks, expansion: 3, group_width: 2, stddev: 2, ..R3gan::compact(16) });
    let (gan, gamma) = (GanLoss::Rpgan, Some(0.5));
    Case {
        name: "r3gan16_classes",
        model,
        classes: 3,
        gan,
        gamma,
        fresh: true,
        lr: 2e-4,
        betas: [0.0, 0.99],
        eps: 1e-8,
    }
}

/// Residual SNGAN of 32² with classes, hinge loss: class-conditional batch norm, spectral norm, projection.
pub fn sngan() -> Case {
    let model = Model::Sngan(SnganResnet { z: 8, ..SnganResnet::new(32, 6) });
    let gan = GanLoss::Hinge;
    Case {
        name: "sngan32_classes",
        model,
        classes: 3,
        gan,
        gamma: None,
        fresh: false,
        lr: 2e-4,
        betas: [0.0, 0.9],
        eps: 1e-3,
    }
}

/// Every case.
fn cases() -> [Case; 4] {
    [dcgan(), r3gan(), r3gan_classes(), sngan()]
}

impl Case {
    fn generate<'g>(&self, g: &Scope<'g>, z: Tensor<'g>) -> Tensor<'g> {
        let labels = (self.classes > 0).then(|| g.graph().input("labels", [BATCH]));
        // As many numbers tell of the class as the latent has.
        let network = Generator::conditional(self.model.clone(), self.classes, self.model.latent());
        network.forward(g, z, labels, Mode::Train)
    }

    fn judge<'g>(&self, d: &Scope<'g>, x: Tensor<'g>) -> Tensor<'g> {
        let labels = (self.classes > 0).then(|| d.graph().input("labels", [BATCH]));
        Discriminator::conditional(self.model.clone(), self.classes).forward(d, x, labels, Mode::Train)
    }
}

/// The arrays of a golden file, in PyTorch's layouts.
pub struct Golden {
    arrays: HashMap<String, (Vec<usize>, Vec<f64>)>,
}

/// Reads `tests/goldens/NAME.safetensors`.
pub fn load(name: &str) -> Golden {
    let path = format!("tests/goldens/{name}.safetensors");
    let bytes = std::fs::read(&path).unwrap_or_else(|e| panic!("{path}: {e}"));
    let file = SafeTensors::deserialize(&bytes).unwrap_or_else(|e| panic!("{path}: {e}"));
    let numbers = |dtype: Dtype, data: &[u8]| -> Vec<f64> {
        match dtype {
            Dtype::U8 => data.iter().map(|b| f64::from(*b)).collect(),
            Dtype::F32 => data.chunks(4).map(|c| f64::from(f32::from_le_bytes(c.try_into().unwrap()))).collect(),
            Dtype::F64 => data.chunks(8).map(|c| f64::from_le_bytes(c.try_into().unwrap())).collect(),
            other => panic!("{path}: element type {other:?}"),
        }
    };
    let array = |(name, view): (String, safetensors::tensor::TensorView)| {
        (name, (view.shape().to_vec(), numbers(view.dtype(), view.data())))
    };
    Golden { arrays: file.tensors().into_iter().map(array).collect() }
}

impl Golden {
    /// Keys that start with `prefix`, without it.
    pub fn keys(&self, prefix: &str) -> Vec<&str> {
        self.arrays.keys().filter_map(|key| key.strip_prefix(prefix)).collect()
    }

    /// Shape and elements of an array.
    pub fn array(&self, key: &str) -> &(Vec<usize>, Vec<f64>) {
        self.arrays.get(key).unwrap_or_else(|| panic!("the golden file has no `{key}`"))
    }

    /// The array `KEY NAME` of a parameter in this engine's layout.
    pub fn tensor(&self, key: &str, spec: &ParamSpec) -> Vec<f64> {
        let (shape, data) = self.array(&format!("{key} {}", spec.name));
        assert_eq!(*shape, torch_shape(spec.layout, &spec.shape).to_vec(), "{}", spec.name);
        let data: Vec<f32> = data.iter().map(|v| *v as f32).collect();
        from_torch(spec.layout, &spec.shape, &data).into_iter().map(f64::from).collect()
    }

    /// The inputs `real` [N,H,W,C] and `z` of batch `index`, counted round.
    pub fn batch(&self, index: usize) -> Feeds {
        let (shape, bytes) = self.array("real");
        let [batches, n, c, h, w] = shape[..] else { panic!("`real` has shape {shape:?}") };
        let start = index % batches * n * c * h * w;
        let nchw = |n: usize, y: usize, x: usize, c_: usize| bytes[start + ((n * c + c_) * h + y) * w + x];
        let pixels = (0..n * h * w).flat_map(|p| (0..c).map(move |c_| (p / (h * w), p / w % h, p % w, c_)));
        let real = pixels.map(|(n, y, x, c_)| nchw(n, y, x, c_) / 127.5 - 1.0).collect();
        let (shape, z) = self.array("z");
        let latents = shape[1] * shape[2];
        let z = z[index % shape[0] * latents..][..latents].to_vec();
        let labels = self.arrays.get("labels").map(|(shape, labels)| labels[index % shape[0] * n..][..n].to_vec());
        [("real", Some(real)), ("z", Some(z)), ("labels", labels)]
            .into_iter()
            .filter_map(|(name, values)| Some((name.to_owned(), values?)))
            .collect()
    }
}

/// Named values of a phase.
pub type Roots<'g> = Vec<(String, Tensor<'g>)>;

/// Roots of the discriminator's phase: `loss`, `grad NAME` of D, `state NAME` of D. Inputs `real`, `z` and, with a
/// penalty, `gamma`. Reals and fakes pass separately; the fakes are made by G in training mode, whose own statistics
/// move in G's phase alone.
pub fn d_phase<'g>(case: &Case, g: &Scope<'g>, d: &Scope<'g>) -> Roots<'g> {
    let (real, z) = inputs(case, g.graph());
    let fake = case.generate(g, z).detach();
    let real_logits = case.judge(d, real);
    let fake_logits = case.judge(d, fake);
    let mut loss = case.gan.d_loss(real_logits, fake_logits);
    if case.gamma.is_some() {
        let gamma = g.graph().input("gamma", [1]);
        loss = loss + r1_penalty(real_logits, real, gamma) + r2_penalty(fake_logits, fake, gamma);
    }
    roots(loss, d, &[d])
}

/// Roots of the generator's phase: `loss`, `grad NAME` of G, `state NAME` of both networks. Inputs `z` and, for a
/// relativistic loss, `real`.
pub fn g_phase<'g>(case: &Case, g: &Scope<'g>, d: &Scope<'g>) -> Roots<'g> {
    let (real, z) = inputs(case, g.graph());
    let fake = case.generate(g, z);
    let reals = case.gan.generator_needs_reals().then(|| case.judge(d, real));
    let loss = case.gan.g_loss(case.judge(d, fake), reals);
    roots(loss, g, &[g, d])
}

fn inputs<'g>(case: &Case, graph: &'g Graph) -> (Tensor<'g>, Tensor<'g>) {
    (graph.input("real", case.model.sample_shape(BATCH)), graph.input("z", [BATCH, case.model.latent()]))
}

fn roots<'g>(loss: Tensor<'g>, learner: &Scope<'g>, updated: &[&Scope<'g>]) -> Roots<'g> {
    let gradients = grad(loss, &learner.param_tensors());
    let names = learner.params().into_iter().map(|p| format!("grad {}", p.name));
    let states = updated.iter().flat_map(|s| s.updates()).map(|(name, t)| (format!("state {name}"), t));
    [("loss".into(), loss)].into_iter().chain(names.zip(gradients)).chain(states).collect()
}

/// The graph of one phase and what it learns.
pub struct Phase {
    pub dag: Dag,
    /// Parameters whose gradients are roots.
    pub learner: Vec<ParamSpec>,
    /// Parameters and states of both networks.
    pub params: Vec<ParamSpec>,
    pub states: Vec<StateSpec>,
}

/// Both phases of a case, each a graph of its own: (discriminator, generator).
pub fn phases(case: &Case) -> [Phase; 2] {
    let builders: [for<'g> fn(&Case, &Scope<'g>, &Scope<'g>) -> Roots<'g>; 2] = [d_phase, g_phase];
    builders.map(|build| {
        let graph = Graph::new();
        let (g, d) = (Scope::new(&graph, "G"), Scope::new(&graph, "D"));
        let roots = build(case, &g, &d);
        let learns = |s: &Scope| s.params().iter().any(|p| roots.iter().any(|r| r.0 == format!("grad {}", p.name)));
        Phase {
            dag: graph.freeze(&roots),
            learner: if learns(&d) { d.params() } else { g.params() },
            params: [g.params(), d.params()].concat(),
            states: [g.states(), d.states()].concat(),
        }
    })
}

/// Initial parameters and states of both networks, and γ.
pub fn initial(case: &Case, golden: &Golden, phases: &[Phase; 2]) -> Feeds {
    let params = phases[0].params.iter().map(|p| (p.name.clone(), golden.tensor("param", p)));
    let states = phases[0].states.iter().map(|s| (s.name.clone(), start(s, golden)));
    params.chain(states).chain(case.gamma.map(|g| ("gamma".into(), vec![g]))).collect()
}

/// A state at the start: where it is filled with random numbers, PyTorch's.
fn start(spec: &StateSpec, golden: &Golden) -> Vec<f64> {
    match spec.init {
        Init::Constant(value) => vec![value; spec.shape.elems()],
        _ => golden.array(&format!("state {}", spec.name)).1.clone(),
    }
}

/// Largest error of `got` in units of the largest number of `want`.
pub fn error(got: &[f64], want: &[f64]) -> f64 {
    assert_eq!(got.len(), want.len());
    let scale = want.iter().fold(f64::MIN_POSITIVE, |m, v| m.max(v.abs()));
    got.iter().zip(want).fold(0.0, |m: f64, (a, b)| m.max((a - b).abs())) / scale
}

/// Loss and every gradient of both phases at the initial parameters, within `tolerance` of the largest element.
pub fn check_gradients(case: &Case, tolerance: f64, evaluate: impl Fn(&Dag, &Feeds) -> Feeds) {
    let golden = load(case.name);
    let phases = phases(case);
    let mut feeds = initial(case, &golden, &phases);
    feeds.extend(golden.batch(0));
    for (letter, phase) in ["d", "g"].into_iter().zip(&phases) {
        let got = evaluate(&phase.dag, &feeds);
        let off = error(&got["loss"], &golden.array(&format!("{letter}.loss")).1);
        assert!(off <= tolerance, "{}: loss of phase {letter} is off by {off:e}", case.name);
        let compared = golden.arrays.keys().filter(|k| k.starts_with(&format!("{letter}.grad "))).count();
        assert_eq!(phase.learner.len(), compared, "{}: parameters of phase {letter}", case.name);
        let size = |values: &[f64]| values.iter().fold(0.0f64, |m, v| m.max(v.abs()));
        let wanted = |spec: &ParamSpec| golden.tensor(&format!("{letter}.grad"), spec);
        let largest = phase.learner.iter().map(|spec| size(&wanted(spec))).fold(0.0, f64::max);
        for spec in &phase.learner {
            let (want, got) = (wanted(spec), &got[&format!("grad {}", spec.name)]);
            assert!(want.iter().any(|v| *v != 0.0), "{}: a gradient of zeros proves nothing", spec.name);
            // A bias before a normalisation has no gradient but rounding: measured against the others then.
            let none = size(&want) < 1e-12 * largest;
            let off = if none { size(got) / largest } else { error(got, &want) };
            assert!(off <= tolerance, "{}: gradient of {} is off by {off:e}", case.name, spec.name);
        }
    }
}

/// Adam (Kingma & Ba 2015) with PyTorch's order of operations.
#[derive(Default)]
struct Adam {
    step: i32,
    moments: HashMap<String, Vec<[f64; 2]>>,
}

impl Adam {
    fn learn(&mut self, case: &Case, phase: &Phase, feeds: &mut Feeds, got: &Feeds) {
        self.step += 1;
        let [b1, b2] = case.betas;
        let (c1, c2) = (1.0 - b1.powi(self.step), 1.0 - b2.powi(self.step));
        for spec in &phase.learner {
            let gradient = &got[&format!("grad {}", spec.name)];
            let moments = self.moments.entry(spec.name.clone()).or_insert_with(|| vec![[0.0; 2]; gradient.len()]);
            let weights = feeds.get_mut(&spec.name).expect("a parameter");
            for ((p, g), [m, v]) in weights.iter_mut().zip(gradient).zip(moments) {
                *m = b1 * *m + (1.0 - b1) * g;
                *v = b2 * *v + (1.0 - b2) * g * g;
                *p -= case.lr * (*m / c1) / ((*v / c2).sqrt() + case.eps);
            }
        }
    }
}

/// Losses of ten training steps within `tolerance`, and every parameter and running statistic after them.
pub fn check_trajectory(case: &Case, tolerance: f64, evaluate: impl Fn(&Dag, &Feeds) -> Feeds) {
    let golden = load(case.name);
    let phases = phases(case);
    let mut feeds = initial(case, &golden, &phases);
    let mut adam = [Adam::default(), Adam::default()];
    let (shape, losses) = golden.array("trajectory");
    assert_eq!(shape[..], [10, 2]);
    for step in 0..shape[0] {
        for (i, phase) in phases.iter().enumerate() {
            feeds.extend(golden.batch(if case.fresh { 2 * step + i } else { step }));
            let mut got = evaluate(&phase.dag, &feeds);
            let (loss, want) = (got["loss"][0], losses[2 * step + i]);
            let off = (loss - want).abs() / want.abs();
            assert!(off <= tolerance, "{}: step {step}, phase {i}: loss {loss}, not {want}: {off:e}", case.name);
            adam[i].learn(case, phase, &mut feeds, &got);
            for spec in &phase.states {
                feeds.extend(got.remove(&format!("state {}", spec.name)).map(|v| (spec.name.clone(), v)));
            }
        }
    }
    let names = phases[0].params.iter().map(|p| &p.name).chain(phases[0].states.iter().map(|s| &s.name));
    for name in names {
        let (got, want) = (&feeds[name], &golden.array(&format!("final {name}")).1);
        let norm = got.iter().map(|v| v * v).sum::<f64>().sqrt();
        let off_sum = (got.iter().sum::<f64>() - want[0]).abs() / (want[1] * (got.len() as f64).sqrt());
        let off_norm = (norm - want[1]).abs() / want[1];
        assert!(
            off_sum <= tolerance && off_norm <= tolerance,
            "{}: {name} ends {off_sum:e}, {off_norm:e} off",
            case.name
        );
    }
}

pub fn in_f64(dag: &Dag, feeds: &Feeds) -> Feeds {
    eval::<f64>(dag, feeds, RNG).expect("evaluation")
}

pub fn in_f32(dag: &Dag, feeds: &Feeds) -> Feeds {
    let narrow = |(k, v): (&String, &Vec<f64>)| (k.clone(), v.iter().map(|x| *x as f32).collect());
    let out = eval::<f32>(dag, &feeds.iter().map(narrow).collect(), RNG).expect("evaluation");
    out.into_iter().map(|(k, v)| (k, v.into_iter().map(f64::from).collect())).collect()
}

/// The files hold gradients in f32, so half a unit in its last place is all that may differ.
#[test]
fn gradients_in_f64() {
    for case in cases() {
        check_gradients(&case, 6e-8, in_f64);
    }
}

#[test]
fn gradients_in_f32() {
    for case in cases() {
        check_gradients(&case, 1e-5, in_f32);
    }
}

#[test]
fn ten_steps_in_f64() {
    for case in cases() {
        check_trajectory(&case, 1e-10, in_f64);
    }
}

#[test]
fn ten_steps_in_f32() {
    for case in cases() {
        check_trajectory(&case, 1e-4, in_f32);
    }
}

/// As a plan on a device: lowered, fused, with shared memory.
pub fn on(device: &Device) -> impl Fn(&Dag, &Feeds) -> Feeds {
    move |dag, feeds| {
        let leaf = |name: &String| {
            dag.nodes.iter().any(|n| matches!(&n.op, Op::Input(l) | Op::Param(l) | Op::State(l) if **l == **name))
        };
        let feeds = feeds.iter().filter(|(name, _)| leaf(name)).map(|(n, v)| (n.clone(), v.clone())).collect();
        let case = check::Case { name: "golden".into(), kind: None, dag: dag.clone(), feeds };
        let mut loaded = check::Loaded::new(&[case], device, device.options(true)).expect("loading");
        let roots = loaded.run(0).expect("running");
        roots.into_iter().map(|(name, v)| (name, v.into_iter().map(f64::from).collect())).collect()
    }
}

#[test]
fn gradients_of_plans_on_the_host_and_in_wgsl() {
    for device in [Device::Host, gpu()] {
        for case in cases() {
            check_gradients(&case, 2e-5, on(&device));
        }
    }
}

#[test]
fn ten_steps_of_plans_on_the_host_and_in_wgsl() {
    for device in [Device::Host, gpu()] {
        for case in cases() {
            check_trajectory(&case, 1e-4, on(&device));
        }
    }
}
