//! A discriminator that also tells classes: two heads over one trunk.

use super::layers::{bias_of, linear, sum_pool};
use super::{Init, Mode, Network, Pair, Scope};
use crate::error::{Error, Result};
use crate::graph::Tensor;
use std::sync::Arc;

/// The discriminator of a [`Pair`] with a second head (Odena 2017; the discriminator of Rob-GAN, Liu & Hsieh 2019): [`ClassHead::judge`]
/// gives both, and as a [`Network`] it is a classifier. Class logits are a linear map of the features that the first head reads, summed
/// over pixels.
///
/// Parameters: those of the discriminator, under its names, and `class.weight`, `class.bias`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClassHead<M> {
    /// Where the trunk and the first head come from.
    pub pair: M,
    /// Classes to tell apart.
    pub classes: usize,
}

impl<M: Pair> ClassHead<M> {
    /// Over the discriminator of `pair`.
    pub fn new(pair: M, classes: usize) -> ClassHead<M> {
        ClassHead { pair, classes }
    }

    /// Whether the numbers make a network; `place` is the file or command line they came from.
    ///
    /// # Errors
    /// Those of [`Pair::check`]; no classes.
    pub fn check(&self, place: &str) -> Result<()> {
        self.pair.check(place)?;
        match self.classes {
            0 => Err(Error::setting(place, "classes", 0, "must be at least 1")),
            _ => Ok(()),
        }
    }

    /// (raw real/fake logits `[N,1]`, class logits `[N,classes]`) of samples.
    pub fn judge<'g>(&self, scope: &Scope<'g>, x: Tensor<'g>, mode: Mode) -> (Tensor<'g>, Tensor<'g>) {
        let (logit, features) = self.pair.judge(scope, x, mode);
        let features = sum_pool(features);
        let (scope, init) = (scope.child("class"), Init::torch(features.dim(1)));
        (logit, bias_of(&scope, "bias", linear(&scope, features, self.classes, init), init))
    }
}

impl<M: Pair> Network for ClassHead<M> {
    fn input(&self) -> Vec<usize> {
        self.pair.sample()
    }

    fn output(&self) -> Vec<usize> {
        vec![self.classes]
    }

    fn forward<'g>(&self, scope: &Scope<'g>, x: Tensor<'g>, _: Option<Tensor<'g>>, mode: Mode) -> Tensor<'g> {
        self.judge(scope, x, mode).1
    }
}

/// Both heads of a [`ClassHead`] as one network: `[N, 1 + classes]`, the real/fake logit first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BothHeads<M>(pub ClassHead<M>);

impl<M: Pair> Network for BothHeads<M> {
    fn input(&self) -> Vec<usize> {
        self.0.input()
    }

    fn output(&self) -> Vec<usize> {
        vec![1 + self.0.classes]
    }

    fn forward<'g>(&self, scope: &Scope<'g>, x: Tensor<'g>, _: Option<Tensor<'g>>, mode: Mode) -> Tensor<'g> {
        let (logit, classes) = self.0.judge(scope, x, mode);
        Tensor::concat(&[logit, classes], 1)
    }
}

/// The classifier in a network of both heads, `[N, 1 + classes]`: what [`BothHeads`] is, or a list of layers that ends so.
#[derive(Clone)]
pub struct ClassLogits(pub Arc<dyn Network>);

impl ClassLogits {
    /// (real/fake logits `[N,1]`, class logits `[N,classes]`) of the output of such a network.
    pub fn split(both: Tensor<'_>) -> (Tensor<'_>, Tensor<'_>) {
        let [rows, columns] = [both.dim(0), both.dim(1)];
        (both.slice(&[0, 0], [rows, 1]), both.slice(&[0, 1], [rows, columns - 1]))
    }
}

impl Network for ClassLogits {
    fn input(&self) -> Vec<usize> {
        self.0.input()
    }

    fn output(&self) -> Vec<usize> {
        vec![self.0.output().iter().product::<usize>().saturating_sub(1)]
    }

    fn forward<'g>(&self, scope: &Scope<'g>, x: Tensor<'g>, labels: Option<Tensor<'g>>, mode: Mode) -> Tensor<'g> {
        ClassLogits::split(self.0.forward(scope, x, labels, mode)).1
    }
}
