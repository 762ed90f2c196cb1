//! One interface for every network: built-in pairs, lists of layers, and functions of a caller.

use super::layers::{embedding, sum_pool};
use super::{Init, Mode, Model, Scope};
use crate::error::{Error, Result};
use crate::graph::{Tensor, refuse};

/// A generator or a discriminator: a function that builds a graph and names its parameters in a [`Scope`].
pub trait Network: Send + Sync {
    /// Extents of one sample that goes in: `[F]` or `[H,W,C]`.
    fn input(&self) -> Vec<usize>;

    /// Extents of one sample that comes out: `[F]` or `[H,W,C]`.
    fn output(&self) -> Vec<usize>;

    /// Number of classes its labels choose from; 0 where it reads no labels.
    fn classes(&self) -> usize {
        0
    }

    /// x `[N, input…]` → `[N, output…]`. `labels` `[N]` are whole numbers below [`Network::classes`]; a network without
    /// classes ignores them.
    ///
    /// # Panics
    /// If x does not have the extents of [`Network::input`], or the network has classes and `labels` is `None`.
    fn forward<'g>(&self, scope: &Scope<'g>, x: Tensor<'g>, labels: Option<Tensor<'g>>, mode: Mode) -> Tensor<'g>;
}

/// A generator and a discriminator that are described together. [`Generator`] and [`Discriminator`] make networks of them.
pub trait Pair: Send + Sync {
    /// Whether the numbers make networks; `place` is the file or command line they came from.
    ///
    /// The other methods rely on this: they panic on numbers that fail it.
    fn check(&self, place: &str) -> Result<()>;

    /// Extent of a latent vector.
    fn latent(&self) -> usize;

    /// Extents of one sample: `[H,W,C]` in [-1, 1], or `[2]`.
    fn sample(&self) -> Vec<usize>;

    /// Samples of rows z `[N,Z]`; Z is [`Pair::latent`], or more where classes come with the latents.
    fn generate<'g>(&self, scope: &Scope<'g>, z: Tensor<'g>, mode: Mode) -> Tensor<'g>;

    /// (raw logits `[N,1]` of samples, the features that its last layer read: `[N,F]` or `[N,H,W,C]`).
    fn judge<'g>(&self, scope: &Scope<'g>, x: Tensor<'g>, mode: Mode) -> (Tensor<'g>, Tensor<'g>);

    /// Samples of latents z `[N,latent]` that are of the classes `labels` `[N]`. Unless a pair has a way of its own, a learned vector of the
    /// class, `embedding.weight` `[classes,embed]`, stands beside the latent.
    fn generate_class<'g>(
        &self,
        scope: &Scope<'g>,
        z: Tensor<'g>,
        labels: Tensor<'g>,
        [classes, embed]: [usize; 2],
        mode: Mode,
    ) -> Tensor<'g> {
        let normal = Init::Normal { mean: 0.0, std: 1.0 };
        let class = embedding(&scope.child("embedding"), labels, classes, embed, normal);
        self.generate(scope, Tensor::concat(&[z, class], 1), mode)
    }

    /// Raw logits `[N,1]` of samples as examples of the classes `labels` `[N]`. Unless a pair has a way of its own, by projection:
    /// logit = φ(x)·w + ⟨embed(y), Σφ(x)⟩, where φ are the features that the last layer reads and the sum goes over pixels. Parameter:
    /// `embedding.weight` `[classes,F]`.
    fn judge_class<'g>(
        &self,
        scope: &Scope<'g>,
        x: Tensor<'g>,
        labels: Tensor<'g>,
        classes: usize,
        mode: Mode,
    ) -> Tensor<'g> {
        let (logit, features) = self.judge(scope, x, mode);
        logit + project(&scope.child("embedding"), sum_pool(features), labels, classes)
    }
}

/// The generator of a [`Pair`]: latents `[N,Z]` to samples.
///
/// With classes it is [`Pair::generate_class`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Generator<M> {
    /// Where it comes from.
    pub pair: M,
    /// Classes to choose from; 0 is unconditional.
    pub classes: usize,
    /// Extent of a class's vector.
    pub embed: usize,
}

impl<M: Pair> Generator<M> {
    /// Without classes.
    pub fn new(pair: M) -> Generator<M> {
        Generator { pair, classes: 0, embed: 0 }
    }

    /// With `classes`, each a vector of `embed` numbers beside the latent. No classes: as [`Generator::new`].
    pub fn conditional(pair: M, classes: usize, embed: usize) -> Generator<M> {
        Generator { pair, classes, embed }
    }

    /// Whether the numbers make a network; `place` is the file or command line they came from.
    pub fn check(&self, place: &str) -> Result<()> {
        self.pair.check(place)?;
        check_classes(place, self.classes)?;
        if self.classes > 0 && !(1..=MOST_EMBED).contains(&self.embed) {
            let hint = format!("must be from 1 to {MOST_EMBED} where there are classes");
            return Err(Error::setting(place, "embed", self.embed, hint));
        }
        Ok(())
    }
}

impl<M: Pair> Network for Generator<M> {
    fn input(&self) -> Vec<usize> {
        vec![self.pair.latent()]
    }

    fn output(&self) -> Vec<usize> {
        self.pair.sample()
    }

    fn classes(&self) -> usize {
        self.classes
    }

    fn forward<'g>(&self, scope: &Scope<'g>, x: Tensor<'g>, labels: Option<Tensor<'g>>, mode: Mode) -> Tensor<'g> {
        if self.classes == 0 {
            return self.pair.generate(scope, x, mode);
        }
        self.pair.generate_class(scope, x, expected(labels), [self.classes, self.embed], mode)
    }
}

/// The discriminator of a [`Pair`]: samples to raw logits `[N,1]`; larger means more real.
///
/// With classes it is a projection discriminator (Miyato & Koyama 2018), [`Pair::judge_class`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Discriminator<M> {
    /// Where it comes from.
    pub pair: M,
    /// Classes to choose from; 0 is unconditional.
    pub classes: usize,
}

impl<M: Pair> Discriminator<M> {
    /// Without classes.
    pub fn new(pair: M) -> Discriminator<M> {
        Discriminator { pair, classes: 0 }
    }

    /// With `classes`; none: as [`Discriminator::new`].
    pub fn conditional(pair: M, classes: usize) -> Discriminator<M> {
        Discriminator { pair, classes }
    }

    /// Whether the numbers make a network; `place` is the file or command line they came from.
    pub fn check(&self, place: &str) -> Result<()> {
        self.pair.check(place)?;
        check_classes(place, self.classes)
    }
}

impl<M: Pair> Network for Discriminator<M> {
    fn input(&self) -> Vec<usize> {
        self.pair.sample()
    }

    fn output(&self) -> Vec<usize> {
        vec![1]
    }

    fn classes(&self) -> usize {
        self.classes
    }

    fn forward<'g>(&self, scope: &Scope<'g>, x: Tensor<'g>, labels: Option<Tensor<'g>>, mode: Mode) -> Tensor<'g> {
        if self.classes == 0 {
            return self.pair.judge(scope, x, mode).0;
        }
        self.pair.judge_class(scope, x, expected(labels), self.classes, mode)
    }
}

/// ⟨embed(y), φ⟩ `[N,1]` of features φ `[N,F]`. Parameter: `weight` `[classes,F]`, which keeps the variance of φ at the start.
pub(super) fn project<'g>(scope: &Scope<'g>, phi: Tensor<'g>, labels: Tensor<'g>, classes: usize) -> Tensor<'g> {
    let width = phi.dim(1);
    (embedding(scope, labels, classes, width, Init::scaled(1.0, width)) * phi).sum(&[1])
}

/// Class numbers travel as f32, exact up to 2²⁴.
pub(super) const MOST_CLASSES: usize = 1 << 20;
const MOST_EMBED: usize = 1 << 16;

fn check_classes(place: &str, classes: usize) -> Result<()> {
    if classes > MOST_CLASSES {
        return Err(Error::setting(place, "classes", classes, format!("must be at most {MOST_CLASSES}")));
    }
    Ok(())
}

/// Labels of a network that has classes.
pub(super) fn expected(labels: Option<Tensor<'_>>) -> Tensor<'_> {
    labels.unwrap_or_else(|| refuse("a network with classes is given no labels".into()))
}

/// A network of a function; see [`network`].
struct Function<F> {
    input: Vec<usize>,
    output: Vec<usize>,
    classes: usize,
    forward: F,
}

impl<F> Network for Function<F>
where
    F: for<'g> Fn(&Scope<'g>, Tensor<'g>, Option<Tensor<'g>>, Mode) -> Tensor<'g> + Send + Sync,
{
    fn input(&self) -> Vec<usize> {
        self.input.clone()
    }

    fn output(&self) -> Vec<usize> {
        self.output.clone()
    }

    fn classes(&self) -> usize {
        self.classes
    }

    fn forward<'g>(&self, scope: &Scope<'g>, x: Tensor<'g>, labels: Option<Tensor<'g>>, mode: Mode) -> Tensor<'g> {
        (self.forward)(scope, x, labels, mode)
    }
}

/// A network of a function of (scope, x, labels, mode), given the extents of one sample that goes in and of one that comes
/// out, and the number of classes (0: no labels).
pub fn network<F>(input: &[usize], output: &[usize], classes: usize, forward: F) -> impl Network + use<F>
where
    F: for<'g> Fn(&Scope<'g>, Tensor<'g>, Option<Tensor<'g>>, Mode) -> Tensor<'g> + Send + Sync,
{
    Function { input: input.to_vec(), output: output.to_vec(), classes, forward }
}

macro_rules! of_model {
    ($self:ident, $m:ident => $e:expr) => {
        match $self {
            Model::Dcgan($m) => $e,
            Model::R3gan($m) => $e,
            Model::Sngan($m) => $e,
            Model::Mlp($m) => $e,
        }
    };
}

impl Pair for Model {
    fn check(&self, place: &str) -> Result<()> {
        of_model!(self, m => Pair::check(m, place))
    }

    fn latent(&self) -> usize {
        of_model!(self, m => m.latent())
    }

    fn sample(&self) -> Vec<usize> {
        of_model!(self, m => m.sample())
    }

    fn generate<'g>(&self, scope: &Scope<'g>, z: Tensor<'g>, mode: Mode) -> Tensor<'g> {
        of_model!(self, m => m.generate(scope, z, mode))
    }

    fn judge<'g>(&self, scope: &Scope<'g>, x: Tensor<'g>, mode: Mode) -> (Tensor<'g>, Tensor<'g>) {
        of_model!(self, m => m.judge(scope, x, mode))
    }

    fn generate_class<'g>(
        &self,
        scope: &Scope<'g>,
        z: Tensor<'g>,
        labels: Tensor<'g>,
        extents: [usize; 2],
        mode: Mode,
    ) -> Tensor<'g> {
        of_model!(self, m => m.generate_class(scope, z, labels, extents, mode))
    }

    fn judge_class<'g>(
        &self,
        scope: &Scope<'g>,
        x: Tensor<'g>,
        labels: Tensor<'g>,
        classes: usize,
        mode: Mode,
    ) -> Tensor<'g> {
        of_model!(self, m => m.judge_class(scope, x, labels, classes, mode))
    }
}
