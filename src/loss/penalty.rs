//! Penalties on gradients: each builds the gradient as nodes of the same graph, so the weights' gradient goes through it.

use crate::autodiff::grad;
use crate::graph::{Dist, Tensor};

/// A weight that is fixed when the graph is built, or a `[1]` tensor the device reads at each step.
#[derive(Clone, Copy, Debug)]
pub enum Coefficient<'g> {
    /// Part of the graph.
    Fixed(f64),
    /// Fed at each step: schedules need no new graph.
    Device(Tensor<'g>),
}

impl From<f64> for Coefficient<'_> {
    fn from(value: f64) -> Self {
        Coefficient::Fixed(value)
    }
}
impl<'g> From<Tensor<'g>> for Coefficient<'g> {
    fn from(value: Tensor<'g>) -> Self {
        Coefficient::Device(value)
    }
}

impl<'g> Coefficient<'g> {
    /// This times a `[1]` tensor.
    fn times(self, scalar: Tensor<'g>) -> Tensor<'g> {
        match self {
            Coefficient::Fixed(c) => scalar.scale(c),
            Coefficient::Device(c) => scalar * c,
        }
    }
}

/// All axes of a sample: every axis but the first.
fn sample_axes(x: Tensor) -> Vec<usize> {
    (1..x.shape().len()).collect()
}

/// R1 (Mescheder 2018): γ/2 · mean over N of ‖∇ₓ Σ D(x)‖², as `[1]`.
///
/// `logits` are D of the reals `x` [N, …] (a leaf or a detached tensor). `x` is the image before augmentation: the
/// gradient flows through whatever lies between it and the logits. D must not couple samples (no batch normalisation).
pub fn r1_penalty<'g>(logits: Tensor<'g>, x: Tensor<'g>, gamma: impl Into<Coefficient<'g>>) -> Tensor<'g> {
    let gradient = grad(logits.sum_all(), &[x])[0];
    gamma.into().times(gradient.square().sum_all().scale(0.5 / x.dim(0) as f64))
}

/// R2 (Mescheder 2018): [`r1_penalty`] of logits of the detached fakes `x`.
pub fn r2_penalty<'g>(logits: Tensor<'g>, x: Tensor<'g>, gamma: impl Into<Coefficient<'g>>) -> Tensor<'g> {
    r1_penalty(logits, x, gamma)
}

/// WGAN-GP (Gulrajani 2017): mean over N of (‖∇D(x̂)‖₂ − 1)² at x̂ = α·real + (1−α)·fake, as `[1]`; the caller weighs
/// it (10 for images, 0.1 for points).
///
/// α is uniform, one per sample, drawn from random stream `stream`. `fake` must be detached; `critic` is D.
pub fn gradient_penalty<'g>(
    critic: impl FnOnce(Tensor<'g>) -> Tensor<'g>,
    real: Tensor<'g>,
    fake: Tensor<'g>,
    stream: u32,
) -> Tensor<'g> {
    let mut one_a_sample = vec![1; real.shape().len()];
    one_a_sample[0] = real.dim(0);
    let alpha = real.graph().rand(Dist::Uniform, stream, one_a_sample);
    let between = real * alpha + fake * (alpha.scale(-1.0) + 1.0);
    let gradient = grad(critic(between).sum_all(), &[between])[0];
    // The constant keeps the root differentiable where the gradient vanishes.
    let norm = (gradient.square().sum(&sample_axes(gradient)) + 1e-12).sqrt();
    (norm - 1.0).square().mean_all()
}

/// What [`lipschitz_penalty`] makes.
#[derive(Clone, Copy, Debug)]
pub struct Lipschitz<'g> {
    /// mean over N of max(slope − 1, 0)², as `[1]`; the caller weighs it (10).
    pub penalty: Tensor<'g>,
    /// The mean slope that was found, as `[1]`.
    pub slope: Tensor<'g>,
    /// What the direction came from, like the samples: where it is zero, no direction was found.
    pub gradient: Tensor<'g>,
}

/// How far the first look at the critic goes.
const PROBE: f64 = 10.0;

/// Adversarial Lipschitz regularisation (Terjék 2020): mean over N of max(|D(x) − D(x + r)|/‖r‖₂ − 1, 0)².
///
/// r = u·d with u ~ U(.1, 10) per sample and the unit vector d along ∇ᵥ|D(x) − D(x + 10 v)| at a random unit v: one power step towards
/// the direction in which D changes most, taken as a constant, so that only first derivatives by the weights are needed. Where that
/// gradient is zero the slope is 0. `logits` `[N,1]` are D of the samples `x` (a leaf or detached); D must not couple samples. Reads
/// random streams `stream` and `stream + 1`.
pub fn lipschitz_penalty<'g>(
    critic: impl Fn(Tensor<'g>) -> Tensor<'g>,
    x: Tensor<'g>,
    logits: Tensor<'g>,
    stream: u32,
) -> Lipschitz<'g> {
    let graph = x.graph();
    let unit = |v: Tensor<'g>| {
        let squares = v.square().sum(&sample_axes(v));
        v * squares.max(graph.constant(1e-24, squares.shape())).pow(-0.5)
    };
    let probe = x + unit(graph.rand(Dist::Normal, stream, x.shape())).scale(PROBE);
    let gradient = grad((critic(probe) - logits.detach()).abs().sum_all(), &[probe])[0].detach();
    let mut one_a_sample = vec![1; x.shape().len()];
    one_a_sample[0] = x.dim(0);
    let length = graph.rand(Dist::Uniform, stream + 1, one_a_sample).scale(9.9) + 0.1;
    let there = critic((x + unit(gradient) * length).detach());
    let slopes = (logits - there).abs() * length.reshape([x.dim(0), 1]).pow(-1.0);
    let penalty = (slopes - 1.0).relu().square().mean_all();
    Lipschitz { penalty, slope: slopes.mean_all(), gradient }
}

/// What [`path_length`] makes.
#[derive(Clone, Copy, Debug)]
pub struct PathLength<'g> {
    /// mean over N of (length − mean)², as `[1]`; weigh it by 2 · the interval of lazy regularisation.
    pub penalty: Tensor<'g>,
    /// The moving average after this step, as `[1]`: the new value of the state passed in.
    pub mean: Tensor<'g>,
}

/// Path-length regularisation (Karras 2020): how much an image moves with its latent should not vary.
///
/// `images` `[N,H,W,C]` made from `ws` `[N,L]` or `[N,layers,L]`; `mean` is the `[1]` state that holds the moving average of
/// lengths (decay 0.01, start 0). The length of a sample is √(mean over layers of Σ g²), g = ∇_ws ⟨images, y/√(HW)⟩ with
/// normal y of random stream `stream`. As published, the average enters the penalty after its update, undetached.
pub fn path_length<'g>(images: Tensor<'g>, ws: Tensor<'g>, mean: Tensor<'g>, stream: u32) -> PathLength<'g> {
    let pixels = (images.dim(1) * images.dim(2)) as f64;
    let noise = images.graph().rand(Dist::Normal, stream, images.shape()).scale(pixels.powf(-0.5));
    let gradient = grad((images * noise).sum_all(), &[ws])[0];
    let layers = if ws.shape().len() == 3 { ws.dim(1) } else { 1 };
    let squares = gradient.square().sum(&sample_axes(gradient)).scale(1.0 / layers as f64);
    let lengths = (squares.reshape([ws.dim(0)]) + 1e-12).sqrt();
    let mean = mean.scale(0.99) + lengths.mean_all().scale(0.01);
    PathLength { penalty: (lengths - mean).square().mean_all(), mean: mean.detach() }
}
