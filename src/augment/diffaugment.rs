//! DiffAugment (Zhao 2020): every transform of the policy, always, with numbers of its own for each image.

use super::draws::Draws;
use super::warp::{grid, places};
use super::{outside, passed, per_image};
use crate::graph::Tensor;

/// A word of a policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DiffTransform {
    /// Brightness ± ½ (of [-1, 1]), then saturation × U(0, 2), then contrast × U(½, 3/2).
    Color,
    /// A shift by up to an eighth of the side, by whole pixels, over zeros.
    Translation,
    /// A hole of half the side.
    Cutout,
}

/// A policy: its transforms in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DiffAugment(pub Vec<DiffTransform>);

/// Largest shift as a share of the side.
const SHIFT: f64 = 0.125;
/// Side of the hole as a share of the image's.
const CUTOUT: f64 = 0.5;

impl DiffAugment {
    /// The published policy.
    pub const POLICY: &'static str = "color,translation,cutout";

    /// The policy of words with commas between them; `None` for an unknown word, or none.
    pub fn named(words: &str) -> Option<DiffAugment> {
        let word = |word: &str| match word.trim() {
            "color" => Some(DiffTransform::Color),
            "translation" => Some(DiffTransform::Translation),
            "cutout" => Some(DiffTransform::Cutout),
            _ => None,
        };
        words.split(',').map(word).collect::<Option<Vec<_>>>().map(DiffAugment)
    }

    /// x `[N,H,W,C]` augmented by rows `from` … `from + N` of the draws.
    pub fn apply<'g>(&self, x: Tensor<'g>, draws: &Draws<'g>, from: usize) -> Tensor<'g> {
        let draws = draws.part(from, x.dim(0));
        self.0.iter().fold(x, |x, transform| match transform {
            DiffTransform::Color => recoloured(x, &draws),
            DiffTransform::Translation => translated(x, &draws),
            DiffTransform::Cutout => cut_out(x, &draws),
        })
    }
}

fn recoloured<'g>(x: Tensor<'g>, d: &Draws<'g>) -> Tensor<'g> {
    let brighter = x + per_image(d.u(0) - 0.5);
    let grey = brighter.mean(&[3]);
    let saturated = (brighter - grey) * per_image(d.u(1).scale(2.0)) + grey;
    let mean = saturated.mean(&[1, 2, 3]);
    (saturated - mean) * per_image(d.u(2) + 0.5) + mean
}

/// The whole numbers from 0 to count − 1, each as likely, of numbers uniform on (0, 1).
fn whole(u: Tensor<'_>, count: usize) -> Tensor<'_> {
    let step = 1.0 / count as f64;
    passed(u, step, step, count - 1)
}

fn translated<'g>(x: Tensor<'g>, d: &Draws<'g>) -> Tensor<'g> {
    let [n, h, w] = [0, 1, 2].map(|a| x.dim(a));
    let shift = |u: Tensor<'g>, side: usize| {
        let most = (side as f64 * SHIFT + 0.5) as usize;
        per_image(whole(u, 2 * most + 1) - most as f64)
    };
    let [rows, columns] = places(x.graph(), [h, w]);
    x.sample(grid(rows + shift(d.u(3), h), columns + shift(d.u(4), w), n))
}

fn cut_out<'g>(x: Tensor<'g>, d: &Draws<'g>) -> Tensor<'g> {
    let side = |axis: usize| x.dim(axis);
    // The hole is `size` long and reaches from offset − size/2 on; offsets are whole, so that its middle may lie between pixels.
    let size = |axis: usize| (side(axis) as f64 * CUTOUT + 0.5) as usize;
    let middle = |axis: usize, u: Tensor<'g>| {
        let size = size(axis);
        let offset = whole(u, side(axis) + 1 - size % 2);
        offset + ((size as f64 - 1.0) / 2.0 - (size / 2) as f64)
    };
    let half = |axis: usize| x.graph().constant(size(axis) as f64 / 2.0, [x.dim(0), 1]);
    let middles = [middle(1, d.u(5)), middle(2, d.u(6))];
    x * outside(places(x.graph(), [side(1), side(2)]), middles, [half(1), half(2)])
}
