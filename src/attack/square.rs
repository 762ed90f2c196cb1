//! Square (Andriushchenko 2020): a random search over square windows at the border of the ball.
//!
//! A window is drawn for each example; a proposal stays where it raises the loss. The side of the windows shrinks on a schedule that was
//! published for 10,000 queries and is scaled to the budget.

use super::ball::{project, reciprocal_length};
use super::best;
use super::grid::{floor, rows_and_columns, within};
use super::query::searched;
use super::{Attack, AttackOptions, Ball, Loss, Norm, Scene, Stage};
use crate::graph::{Dist, Tensor};
use crate::nn::softmax::iota;

/// Share of the image that the first windows cover.
const COVERED: f64 = 0.8;
/// Queries, of 10,000, after which that share is halved.
const HALVED: [f64; 9] = [10.0, 50.0, 200.0, 500.0, 1000.0, 2000.0, 4000.0, 6000.0, 8000.0];
/// Changes below this are rounding.
const SAME: f64 = 1e-6;
/// Queries made so far, `[1]`.
const QUERY: &str = "query";

#[derive(Clone, Copy)]
pub(super) struct Square {
    norm: Norm,
    loss: Loss,
    queries: u32,
    restarts: u32,
    extents: [usize; 3],
}

/// A window of each example.
struct Window<'g> {
    /// 1 inside, `[N,H,W,1]`.
    mask: Tensor<'g>,
    /// Row and column as seen from the window's first, `[N,H,1,1]` and `[N,1,W,1]`.
    place: [Tensor<'g>; 2],
}

impl Square {
    pub(super) fn new(o: &AttackOptions, extents: [usize; 3]) -> Square {
        let (norm, queries) = (o.norm.unwrap_or(Norm::Inf), o.steps.unwrap_or(5000));
        // As published: the margin away from the label, the cross-entropy towards a target.
        let loss = if o.targeted { o.loss.unwrap_or(Loss::Ce) } else { searched(o) };
        Square { norm, loss, queries, restarts: o.restarts.unwrap_or(1), extents }
    }

    pub(super) fn attack(self) -> Attack {
        let begin = move |s: &Scene| {
            self.loss.prepare(s);
            best::begin(s);
        };
        let mut stages = vec![Stage::new("begin", begin), Stage::new("start", move |s| self.start(s)).restarted()];
        if self.queries > 1 {
            stages.push(Stage::new("propose", move |s| self.propose(s)).repeat(self.queries - 1).restarted());
        }
        Attack { restarts: self.restarts, ..Attack::new("square", Ball::Radius(self.norm), stages) }
    }

    fn start(&self, s: &Scene) {
        s.store(QUERY, s.graph().constant(1.0, [1]));
        let change = match self.norm {
            // Vertical stripes of ±ε.
            Norm::Inf => self.signs(s, [s.rows(), 1, self.extents[1], self.extents[2]]) * s.radius(),
            Norm::Two => {
                let tiles = self.tiles(s);
                tiles * reciprocal_length(tiles) * s.radius()
            }
        };
        let (x, score) = self.meet(s, s.images + change);
        best::set_out(s, x, score);
    }

    fn propose(&self, s: &Scene) {
        let x = best::here(s);
        let query = s.load(QUERY, [1]);
        s.store(QUERY, query + 1.0);
        let side = self.side(query);
        let proposal = match self.norm {
            Norm::Inf => self.repainted(s, x, side),
            Norm::Two => s.images + self.moved_budget(s, x - s.images, side),
        };
        let (x, score) = self.meet(s, proposal);
        best::climb(s, x, score);
    }

    /// A window of ±ε of each channel. As in the authors' code no query is spent on what is there already: then the signs are turned.
    fn repainted<'g>(&self, s: &Scene<'_, 'g>, x: Tensor<'g>, side: Tensor<'g>) -> Tensor<'g> {
        let signs = self.signs(s, [s.rows(), 1, 1, self.extents[2]]);
        let change = self.window(s, 1, side).mask * signs * s.radius().scale(2.0);
        let painted = project(self.norm, x + change, s.images, s.eps, s.bounds);
        let differs = ((painted - x).abs() - SAME).step().sum(&[1, 2, 3]);
        differs.select(painted, x - change)
    }

    /// Looks at a proposal, brought back into the ball and the box: returns it with its score.
    fn meet<'g>(&self, s: &Scene<'_, 'g>, proposal: Tensor<'g>) -> (Tensor<'g>, Tensor<'g>) {
        let x = project(self.norm, proposal, s.images, s.eps, s.bounds);
        let x = best::unless_fooled(s, x).detach();
        let logits = s.logits(x);
        let score = self.loss.each(s, logits);
        best::meet(s, x, logits, score);
        (x, score)
    }

    /// Random signs from stream 0.
    fn signs<'g>(&self, s: &Scene<'_, 'g>, shape: [usize; 4]) -> Tensor<'g> {
        (s.random(Dist::Uniform, 0, shape) - 0.5).sign()
    }

    /// Side of the windows after so many queries, `[1]`: a step function of host-made numbers.
    fn side<'g>(&self, query: Tensor<'g>) -> Tensor<'g> {
        let share = f64::from(self.queries) / 10_000.0;
        let mut side = self.side_at(0);
        let mut sum = query.graph().constant(side, [1]);
        for (halvings, until) in (1..).zip(HALVED) {
            let next = self.side_at(halvings);
            sum = sum + (query - (until * share)).step().scale(next - side);
            side = next;
        }
        sum
    }

    /// Euclidean windows have two unlike halves and a middle: their side is odd, and at least 3 where the image has so many pixels.
    fn side_at(&self, halvings: i32) -> f64 {
        let [height, width, _] = self.extents;
        let area = COVERED * 0.5f64.powi(halvings) * (height * width) as f64;
        let (side, most) = (area.sqrt().round() as usize, height.min(width));
        let side = match self.norm {
            Norm::Inf => side.clamp(1, most),
            Norm::Two => (side.max(3) | 1).min(most),
        };
        side as f64
    }

    /// A window of this side anywhere in each image; reads the streams `which` and `which + 1`.
    fn window<'g>(&self, s: &Scene<'_, 'g>, which: u32, side: Tensor<'g>) -> Window<'g> {
        let side = side.reshape([1, 1, 1, 1]);
        let [height, width, _] = self.extents;
        let [row, column] = rows_and_columns(s.graph(), [height, width]);
        let along = |at: Tensor<'g>, which: u32, extent: usize| {
            let first = s.random(Dist::Uniform, which, [s.rows(), 1, 1, 1]) * (-side + (extent + 1) as f64);
            at - floor(first, extent)
        };
        let place = [along(row, which, height), along(column, which + 1, width)];
        let zero = s.graph().constant(0.0, [1, 1, 1, 1]);
        let [rows, columns] = place.map(|at| within(at, zero, side));
        Window { mask: rows * columns, place }
    }

    /// A change of length ε: what was in a second window is moved into a first one, in the direction of what is there and of η.
    fn moved_budget<'g>(&self, s: &Scene<'_, 'g>, change: Tensor<'g>, side: Tensor<'g>) -> Tensor<'g> {
        let channels = self.extents[2];
        let (to, from) = (self.window(s, 1, side), self.window(s, 3, side));
        let transposed = (s.random(Dist::Uniform, 5, [s.rows(), 1, 1, 1]) - 0.5).step();
        let [row, column] = to.place;
        let eta = transposed.select(self.eta(column, row, side), self.eta(row, column, side)) * to.mask;
        let eta = eta * unit(eta);

        let signs = self.signs(s, [s.rows(), 1, 1, channels]);
        let there = change * to.mask;
        let direction = eta * signs + there * unit(there);
        let either = change * to.mask.max(from.mask);
        let squares = |v: Tensor<'g>, axes: &[usize]| v.square().sum(axes);
        let unused = (s.radius().square() - squares(change, &[1, 2, 3])).relu().scale(1.0 / channels as f64);
        let length = (squares(either, &[1, 2]) + unused).sqrt();
        let kept = change * (-to.mask.max(from.mask) + 1.0);
        let moved = kept + direction * unit(direction) * length;
        moved * reciprocal_length(moved) * s.radius()
    }

    /// The published bump of a window of `side` at these places: two pyramids beside each other, one positive, one negative, each of unit
    /// length before they are put together. Means nothing outside of the window.
    fn eta<'g>(&self, row: Tensor<'g>, column: Tensor<'g>, side: Tensor<'g>) -> Tensor<'g> {
        let side = side.reshape([1, 1, 1, 1]);
        let most = self.extents[0].max(self.extents[1]) + 1;
        let half = |v: Tensor<'g>| floor(v.scale(0.5), most);
        let upper = half(side);
        let lower = side - upper;
        let inside = |v: Tensor<'g>, until| within(v, side.scale(0.0), until);
        let columns = inside(column, side);
        let pyramid = |row: Tensor<'g>, rows: Tensor<'g>| {
            let distance = (row - half(rows)).abs().max((column - half(side)).abs());
            let height = layers(distance, most) - layers(half(side) + 1.0, most);
            let bump = height * inside(row, rows) * columns;
            bump * unit(bump)
        };
        pyramid(row, upper) - pyramid(row - upper, lower)
    }

    /// Up to 5 × 5 tiles of η in random signs, turned at random.
    fn tiles<'g>(&self, s: &Scene<'_, 'g>) -> Tensor<'g> {
        let [height, width, channels] = self.extents;
        let side = (height.min(width) / 5).max(1);
        let [down, across] = [height, width].map(|extent| (extent / side).min(5));
        let graph = s.graph();
        let ramp = iota(graph, side);
        let [row, column] = [ramp.reshape([1, side, 1, 1]), ramp.reshape([1, 1, side, 1])];
        let whole = graph.constant(side as f64, [1]);
        let tile = |eta: Tensor<'g>| eta.reshape([1, 1, side, 1, side, 1]);
        let [upright, turned] = [self.eta(row, column, whole), self.eta(column, row, whole)].map(tile);
        let turns = s.random(Dist::Uniform, 5, [s.rows(), down, 1, across, 1, 1]) - 0.5;
        let signs = (s.random(Dist::Uniform, 0, [s.rows(), down, 1, across, 1, channels]) - 0.5).sign();
        let tiles = turns.select(turned, upright) * signs;
        let (rows, columns) = (down * side, across * side);
        let start = [0, (height - rows) / 2, (width - columns) / 2, 0];
        tiles.reshape([s.rows(), rows, columns, channels]).pad(&start, s.images.shape())
    }
}

/// 1/max(‖v‖₂, 1e-12) over rows and columns.
fn unit(v: Tensor<'_>) -> Tensor<'_> {
    let squares = v.square().sum(&[1, 2]);
    squares.max(v.graph().constant(1e-24, squares.shape())).pow(-0.5)
}

/// Σ over k from each of these whole numbers below `until` of 1/(k+1)², looked up in a table.
fn layers(from: Tensor<'_>, until: usize) -> Tensor<'_> {
    let (graph, shape) = (from.graph(), from.shape());
    let number = iota(graph, until);
    let (first, k) = (number.reshape([until, 1]), number.reshape([1, until]));
    let table = ((k - first + 0.5).step() * (k + 1.0).pow(-2.0)).sum(&[1]);
    table.gather(from.reshape([shape.elems()])).reshape(shape)
}
