//! Affine maps of the plane, one per image: where in an image a place of the augmented one is looked up.

use super::draws::Draws;
use super::pipe::AdaTransforms;
use super::{passed, per_image};
use crate::graph::{Graph, Tensor};
use crate::nn::softmax::iota;
use std::f64::consts::LN_2;

/// [[a, b, e], [c, d, f]], each `[M,1]`: place (x, y) is looked up at (a·x + b·y + e, c·x + d·y + f), in pixels from the middle.
#[derive(Clone, Copy, Debug)]
struct Affine<'g>([[Tensor<'g>; 3]; 2]);

impl<'g> Affine<'g> {
    fn identity(graph: &'g Graph, rows: usize) -> Affine<'g> {
        let [zero, one] = [0.0, 1.0].map(|v| graph.constant(v, [rows, 1]));
        Affine([[one, zero, zero], [zero, one, zero]])
    }

    /// self ∘ [[p, q], [r, s]].
    fn of_linear(self, [[p, q], [r, s]]: [[Tensor<'g>; 2]; 2]) -> Affine<'g> {
        Affine(self.0.map(|[x, y, t]| [x * p + y * r, x * q + y * s, t]))
    }

    /// self after scaling by (x, y): a place is looked up that many times nearer.
    fn scaled(self, x: Tensor<'g>, y: Tensor<'g>) -> Affine<'g> {
        let zero = x.scale(0.0);
        self.of_linear([[x.pow(-1.0), zero], [zero, y.pow(-1.0)]])
    }

    /// self after a turn by the angle of this (cosine, sine).
    fn turned(self, [cos, sin]: [Tensor<'g>; 2]) -> Affine<'g> {
        self.of_linear([[cos, -sin], [sin, cos]])
    }

    /// self after a shift by (x, y) pixels.
    fn shifted(self, x: Tensor<'g>, y: Tensor<'g>) -> Affine<'g> {
        Affine(self.0.map(|[a, b, t]| [a, b, t - (a * x + b * y)]))
    }

    /// 1 where it is another map than the identity, else 0; `[M,1]`.
    fn moves(&self) -> Tensor<'g> {
        let [[a, b, e], [c, d, f]] = self.0;
        ((a - 1.0).abs() + b.abs() + e.abs() + c.abs() + (d - 1.0).abs() + f.abs()).step()
    }
}

/// The maps of a batch as what a grid of places is made of.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lookup<'g> {
    /// What (y, x) become per pixel along x, per pixel along y, and at the middle, `[M,1,1,2]`.
    pub along_x: Tensor<'g>,
    pub along_y: Tensor<'g>,
    pub middle: Tensor<'g>,
    /// [`Affine::moves`], `[M,1]`.
    pub moves: Tensor<'g>,
}

impl<'g> Lookup<'g> {
    fn new(map: &Affine<'g>) -> Lookup<'g> {
        let which = iota(map.0[0][0].graph(), 2).reshape([1, 1, 1, 2]);
        // y where `which` is 0, x where it is 1.
        let both = |column: usize| {
            let [x, y] = [map.0[0][column], map.0[1][column]].map(per_image);
            y * (which.scale(-1.0) + 1.0) + x * which
        };
        Lookup { along_x: both(0), along_y: both(1), middle: both(2), moves: map.moves() }
    }

    /// `n` images from number `from` on.
    pub fn part(self, from: usize, n: usize) -> Lookup<'g> {
        let cut = |v: Tensor<'g>| v.slice(&[from, 0, 0, 0], [n, 1, 1, 2]);
        let moves = self.moves.slice(&[from, 0], [n, 1]);
        Lookup { along_x: cut(self.along_x), along_y: cut(self.along_y), middle: cut(self.middle), moves }
    }
}

/// Standard deviation of the binary logarithm of scales, published.
const SCALE: f64 = 0.2;
/// Largest whole shift, and standard deviation of the other one, as shares of the side, published.
const SHIFT: f64 = 0.125;

/// The direction of a pair of normal numbers, as (cosine, sine) of an angle that is uniform on the circle; (1, 0) where the gate is shut.
pub(super) fn direction<'g>(gate: Tensor<'g>, x: Tensor<'g>, y: Tensor<'g>) -> [Tensor<'g>; 2] {
    let (graph, shape) = (x.graph(), x.shape());
    let shorter = (x.square() + y.square()).max(graph.constant(1e-24, &shape)).pow(-0.5);
    let at = |v: f64| graph.constant(v, &shape);
    [gate.select(x * shorter, at(1.0)), gate.select(y * shorter, at(0.0))]
}

/// 2 to the power of a normal number times `std`; 1 where the gate is shut.
pub(super) fn power_of_two<'g>(gate: Tensor<'g>, normal: Tensor<'g>, std: f64) -> Tensor<'g> {
    gate.select(normal.scale(std * LN_2).exp(), normal.graph().constant(1.0, normal.shape()))
}

/// 1 where a transform of probability `p` fires: its uniform number is below.
pub(super) fn gate<'g>(p: Tensor<'g>, uniform: Tensor<'g>) -> Tensor<'g> {
    (p.reshape([1, 1]) - uniform).step()
}

/// v, of magnitude up to `most` + ½, rounded to whole numbers.
fn rounded(v: Tensor<'_>, most: usize) -> Tensor<'_> {
    passed(v, 0.5 - most as f64, 1.0, 2 * most) - most as f64
}

/// The geometric part of the pipe of Karras 2020 for images of H × W, in its order; `None` where none of it is on.
pub(super) fn draw<'g>(on: &AdaTransforms, d: &Draws<'g>, p: Tensor<'g>, [h, w]: [usize; 2]) -> Option<Lookup<'g>> {
    let (graph, rows) = (d.uniform.graph(), d.rows());
    let mut map = Affine::identity(graph, rows);
    let one = graph.constant(1.0, [rows, 1]);
    if on.blit {
        let flipped = gate(p, d.u(1)) * (d.u(0) - 0.5).step();
        map = map.scaled(flipped.scale(-2.0) + 1.0, one);
        // Quarters of a turn, 0 to 3, by what they pass.
        let turns = gate(p, d.u(3));
        let [q1, q2, q3] = [0.25, 0.5, 0.75].map(|at| turns * (d.u(2) - at).step());
        map = map.turned([(q3 - q1 - q2) + 1.0, q1 - q2 - q3]);
        let shifts = gate(p, d.u(6));
        let shift = |u: Tensor<'g>, side: usize| {
            let most = SHIFT * side as f64;
            shifts * rounded((u.scale(2.0) - 1.0).scale(most), most.round() as usize)
        };
        map = map.shifted(shift(d.u(4), w), shift(d.u(5), h));
    }
    if on.geom {
        let s = power_of_two(gate(p, d.u(7)), d.n(0), SCALE);
        map = map.scaled(s, s);
        // Of two turns each has the probability with which either happens with p.
        let either = (-p + 1.0).relu().sqrt().scale(-1.0) + 1.0;
        map = map.turned(direction(gate(either, d.u(8)), d.n(1), d.n(2)));
        let s = power_of_two(gate(p, d.u(9)), d.n(3), SCALE);
        map = map.scaled(s, s.pow(-1.0));
        map = map.turned(direction(gate(either, d.u(10)), d.n(4), d.n(5)));
        let shifts = gate(p, d.u(11));
        let shift = |n: Tensor<'g>, side: usize| shifts * n.scale(SHIFT * side as f64);
        map = map.shifted(shift(d.n(6), w), shift(d.n(7), h));
    }
    (on.blit || on.geom).then(|| Lookup::new(&map))
}
