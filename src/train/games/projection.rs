//! The latents of a given image: a game in which latents learn and networks don't.
//!
//! Every row of a batch is a search of its own for one target, by Adam (Kingma & Ba 2015) on z; an iteration is one plan, so that any
//! number of them is one submission. What is kept from one to the next is shared under the names below.

use crate::autodiff::grad;
use crate::graph::Tensor;
use crate::loss::{FeatureMaps, image_distance, untypical};
use crate::nn::{Mode, Network, Scope};
use crate::optim::Schedule;
use crate::train::game::{Adam, Batch, Game, Phase, PhaseGraph, Player, Value};
use crate::train::stream;
use std::sync::Arc;

/// The batch of targets, whose labels are the classes that are searched in.
pub const WANTED: &str = "wanted";
/// Latents as they are now, `[N,Z]`.
pub const LATENTS: &str = "z";
/// The mean of their gradients, `[N,Z]`.
pub const FIRST: &str = "z.m";
/// The mean of their squares, `[N,Z]`.
pub const SECOND: &str = "z.v";
/// β₁ᵗ, β₂ᵗ and the share of all steps that are done, `[1,3]`.
pub const CLOCK: &str = "clock";
/// The least loss of each row so far, `[N,1]` …
pub const BEST: &str = "best";
/// … its latents, `[N,Z]` …
pub const BEST_LATENTS: &str = "best.z";
/// … and what the generator makes of them.
pub const BEST_IMAGES: &str = "best.x";
/// The value: the learning rate before it falls.
pub const RATE: &str = "rate";
/// The value: one over the number of steps.
pub const STRIDE: &str = "stride";

const BETA1: f64 = 0.9;
const BETA2: f64 = 0.999;
const EPS: f64 = 1e-8;
/// The share of the steps at the end of which the learning rate falls to 0, as in StyleGAN2's search (there along a cosine).
const FALL: f64 = 0.25;

/// What a generator can be searched by.
#[derive(Clone)]
pub struct Projection {
    /// Latents `[N, latent]` to images.
    pub generator: Arc<dyn Network>,
    /// Its name in the game it was trained by.
    pub name: String,
    /// Extents of an image: [H, W, C].
    pub sample: Vec<usize>,
    /// Classes that it is told; 0 for none.
    pub classes: usize,
    /// Searches in a batch.
    pub starts: usize,
    /// Weight of [`untypical`] beside the distance of images.
    pub prior: f64,
}

impl Projection {
    /// Latent numbers per image.
    pub fn latent(&self) -> usize {
        self.generator.input().iter().product()
    }

    /// What the generator makes of `z` `[N,Z]` with running statistics, and how far that is from what is wanted, `[N,1]`.
    pub fn loss<'g>(
        &self,
        scope: &Scope<'g>,
        z: Tensor<'g>,
        wanted: Tensor<'g>,
        labels: Option<Tensor<'g>>,
        features: Option<FeatureMaps>,
    ) -> (Tensor<'g>, Tensor<'g>) {
        let x = self.generator.forward(scope, z, labels, Mode::Eval);
        (x, image_distance(x, wanted, features) + untypical(z).scale(self.prior))
    }

    /// The game: one phase, a step of every search.
    pub fn game(&self) -> Game {
        let (search, constant) = (self.clone(), |name| Value::new(name, Schedule::Constant(0.0)));
        Game {
            batch: self.starts,
            sample: self.sample.clone(),
            classes: (self.classes > 0).then_some(self.classes),
            networks: vec![Player::new(&self.name, "generator", Adam::new(0.0, 0.0, 0.0))],
            batches: vec![Batch { labels: self.classes > 0, ..Batch::new(WANTED, stream::DATA_D) }],
            values: vec![constant(RATE), constant(STRIDE)],
            phases: vec![Phase::new("project", move |p| search.step(p))],
            ..Game::default()
        }
    }

    fn step(&self, p: &mut PhaseGraph) -> crate::Result<()> {
        let (n, latents) = (self.starts, [self.starts, self.latent()]);
        let (z, wanted) = (p.shared(LATENTS, latents), p.batch(WANTED));
        let labels = (self.classes > 0).then(|| p.labels(WANTED));
        let (x, loss) = self.loss(&p.network(&self.name)?, z, wanted, labels, None);
        let gradient = grad(loss.sum_all(), &[z])[0];
        // Adam, with the powers of its decays and the way done kept as data.
        let clock = p.shared(CLOCK, [1, 3]);
        let part = |i: usize| clock.slice(&[0, i], [1, 1]);
        let (power1, power2, way) = (part(0).scale(BETA1), part(1).scale(BETA2), part(2));
        let m = p.shared(FIRST, latents).scale(BETA1) + gradient.scale(1.0 - BETA1);
        let v = p.shared(SECOND, latents).scale(BETA2) + gradient.square().scale(1.0 - BETA2);
        let [unbias1, unbias2] = [power1, power2].map(|power| (power.scale(-1.0) + 1.0).pow(-1.0));
        let rate = p.value(RATE).reshape([1, 1]) * (way.scale(-1.0) + 1.0).scale(1.0 / FALL).clamp(0.0, 1.0);
        let step = m * (unbias1 * rate) * ((v * unbias2).sqrt() + EPS).pow(-1.0);
        let stride = p.value(STRIDE).reshape([1, 1]);
        p.share(LATENTS, z - step);
        p.share(FIRST, m);
        p.share(SECOND, v);
        p.share(CLOCK, Tensor::concat(&[power1, power2, way + stride], 1));
        // The best that each row has met.
        let best = p.shared(BEST, [n, 1]);
        let better = (best - loss).step();
        let images = [&[n], self.sample.as_slice()].concat();
        p.share(BEST, better.select(loss, best));
        p.share(BEST_LATENTS, better.expand(latents).select(z, p.shared(BEST_LATENTS, latents)));
        let each = [&[n], vec![1; self.sample.len()].as_slice()].concat();
        let spread = better.reshape(each).expand(images.as_slice());
        let images = spread.select(x.reshape(images.as_slice()), p.shared(BEST_IMAGES, images.as_slice()));
        p.share(BEST_IMAGES, images);
        Ok(())
    }
}
