//! Pixle (Pomponi 2022): the pixels of a random patch of the image are copied to random places, again and again.
//!
//! What is published as restarts are the rounds here: a restart of this program sets out from the image again.
//!
//! The patches of one round all change the same picture; the next round goes on from the best one. Where two pixels of a patch would come
//! to the same place neither does: which one is written last has no meaning where all are written at once.

use super::best;
use super::grid::{floor, within};
use super::query::searched;
use super::{Attack, AttackOptions, Ball, Loss, Scene, Stage};
use crate::graph::{Dist, Tensor};
use crate::nn::softmax::iota;

/// Rounds, and patches in each.
const ROUNDS: u32 = 20;
const PATCHES: u32 = 10;
/// Smallest and largest side of a patch.
const SIDES: [usize; 2] = [2, 10];
/// What the patches of a round change.
const BASE: &str = "base";
/// Score of the image itself, `[N,1]`.
const CLEAN: &str = "clean_score";

#[derive(Clone, Copy)]
pub(super) struct Pixle {
    loss: Loss,
    rounds: u32,
    patches: u32,
    restarts: u32,
    extents: [usize; 3],
}

impl Pixle {
    pub(super) fn new(o: &AttackOptions, extents: [usize; 3]) -> Pixle {
        let queries = o.steps.unwrap_or(ROUNDS * PATCHES);
        let patches = PATCHES.min(queries);
        Pixle { loss: searched(o), rounds: queries / patches, patches, restarts: o.restarts.unwrap_or(1), extents }
    }

    pub(super) fn attack(self) -> Attack {
        let stages = vec![
            Stage::new("begin", move |s| self.begin(s)),
            Stage::new("start", Pixle::start).restarted(),
            Stage::new("patch", move |s| self.patch(s)).repeat(self.patches).looped().restarted(),
            Stage::new("update", |s| s.store(BASE, best::here(s))).looped().restarted(),
        ];
        let (times, restarts) = (self.rounds, self.restarts);
        Attack { times, restarts, ..Attack::new("pixle", Ball::Pixels, stages) }
    }

    /// The image itself is what a patch has to beat.
    fn begin(&self, s: &Scene) {
        self.loss.prepare(s);
        best::begin(s);
        let score = self.meet(s, s.images);
        s.store(CLEAN, score);
    }

    fn start(s: &Scene) {
        s.store(BASE, s.images);
        best::set_out(s, s.images, s.load_each(CLEAN));
    }

    fn patch(&self, s: &Scene) {
        let [height, width, channels] = self.extents;
        let (rows, pixels) = (s.rows(), height * width);
        // Which pixel of its own image each pixel becomes, and how many want it to.
        let [source, wanted] = self.sources(s);
        let first = iota(s.graph(), rows).scale(pixels as f64).reshape([rows, 1]);
        let table = s.images.reshape([rows * pixels, channels]);
        let moved = table.gather((source + first).reshape([rows * pixels])).reshape(s.images.shape());
        let other = (wanted - 1.0).sign().abs().reshape([rows, height, width, 1]);
        let x = best::unless_fooled(s, other.select(s.load_images(BASE), moved)).detach();
        let score = self.meet(s, x);
        best::climb(s, x, score);
    }

    /// For each pixel `[N,H·W]`: the sum of the numbers of the pixels that come there, and how many they are.
    fn sources<'g>(&self, s: &Scene<'_, 'g>) -> [Tensor<'g>; 2] {
        let [height, width, _] = self.extents;
        let (rows, pixels) = (s.rows(), height * width);
        let uniform = |which, count| s.random(Dist::Uniform, which, [rows, count]);
        let whole = |which, count, below: usize| floor(uniform(which, count).scale(below as f64), below);
        // (first place, number of places) of the patch along an axis; cells beyond its side or the image are not used.
        let along = |which, extent: usize| {
            let [least, most] = SIDES.map(|side| side.min(extent));
            let cell = iota(s.graph(), most).reshape([1, most]);
            let at = cell + whole(which, 1, extent);
            let side = whole(which + 1, 1, most - least + 1) + least as f64;
            let zero = s.graph().constant(0.0, [1, 1]);
            let used = within(cell, zero, side) * within(at, zero, zero + extent as f64);
            (at, used, most)
        };
        let ((row, rows_used, down), (column, columns_used, across)) = (along(0, height), along(2, width));
        let cells = down * across;
        let upright = |v: Tensor<'g>| v.reshape([rows, down, 1]);
        let lying = |v: Tensor<'g>| v.reshape([rows, 1, across]);
        let used = (upright(rows_used) * lying(columns_used)).reshape([rows, 1, cells]);
        let source = (upright(row).scale(width as f64) + lying(column)).reshape([rows, 1, cells]);
        let place = whole(4, cells, height).scale(width as f64) + whole(5, cells, width);
        let pixel = iota(s.graph(), pixels).reshape([1, pixels, 1]);
        let comes = (-(place.reshape([rows, 1, cells]) - pixel).sign().abs() + 1.0) * used;
        [comes * source, comes].map(|v| v.sum(&[2]).reshape([rows, pixels]))
    }

    /// Looks at `x` and returns its score.
    fn meet<'g>(&self, s: &Scene<'_, 'g>, x: Tensor<'g>) -> Tensor<'g> {
        let logits = s.logits(x);
        let score = self.loss.each(s, logits);
        best::meet(s, x, logits, score);
        score
    }
}
