//! One pixel (Su 2019): differential evolution of where a pixel is and what colour it takes; or of several, of which the last covers
//! those before it where they meet.
//!
//! Each query asks about one child of each example. As published, a child is r₁ + ½(r₂ − r₃) of three others, without crossover, and
//! takes the place of its father where it is fitter; what falls out of its range is drawn anew.

use super::best;
use super::grid::{floor, rows_and_columns};
use super::query::searched;
use super::{Attack, AttackOptions, Ball, Loss, Scene, Stage};
use crate::graph::{Dist, Tensor};
use crate::nn::softmax::one_hot;

/// Individuals, where the budget gives each of them thirty turns; fewer else, as a small population goes further on little.
const POPULATION: u32 = 400;
const TURNS: u32 = 30;
/// Weight of the difference of two others.
const WEIGHT: f64 = 0.5;
/// Every individual, `[N,P,D·(2+C)]`: row, column and colour of each of its D pixels, as shares of their ranges.
const PEOPLE: &str = "people";
/// What each is worth, `[N,P]`.
const FITNESS: &str = "fitness";
/// Number of the next query, and of the individual whose turn it is, `[1]`.
const QUERY: &str = "query";
const TURN: &str = "turn";

#[derive(Clone, Copy)]
pub(super) struct OnePixel {
    loss: Loss,
    queries: u32,
    restarts: u32,
    population: usize,
    pixels: usize,
    extents: [usize; 3],
}

impl OnePixel {
    pub(super) fn new(o: &AttackOptions, extents: [usize; 3]) -> OnePixel {
        let queries = o.steps.unwrap_or(100 * POPULATION);
        // A child has three parents that differ, and a father.
        let population = (queries / TURNS).clamp(4, POPULATION) as usize;
        let (restarts, pixels) = (o.restarts.unwrap_or(1), o.pixels.unwrap_or(1) as usize);
        OnePixel { loss: searched(o), queries, restarts, population, pixels, extents }
    }

    pub(super) fn attack(self) -> Attack {
        let stages = vec![
            Stage::new("begin", move |s| self.begin(s)),
            Stage::new("start", move |s| self.start(s)).restarted(),
            Stage::new("query", move |s| self.query(s)).repeat(self.queries).restarted(),
        ];
        Attack { restarts: self.restarts, ..Attack::new("onepixel", Ball::Pixels, stages) }
    }

    fn begin(&self, s: &Scene) {
        self.loss.prepare(s);
        best::begin(s);
    }

    /// Numbers of an individual.
    fn genes(&self) -> usize {
        self.pixels * (2 + self.extents[2])
    }

    /// Places everywhere, colours around the middle of the box, as published.
    fn start(&self, s: &Scene) {
        let (rows, people, pixels) = (s.rows(), self.population, self.pixels);
        let place = s.random(Dist::Uniform, 0, [rows, people, pixels, 2]);
        let colour = s.random(Dist::Normal, 1, [rows, people, pixels, self.extents[2]]).scale(0.5) + 0.5;
        let individual = Tensor::concat(&[place, colour.clamp(0.0, 1.0)], 3);
        s.store(PEOPLE, individual.reshape([rows, people, self.genes()]));
        s.store(FITNESS, s.graph().constant(-1e30, [rows, people]));
        for name in [QUERY, TURN] {
            s.store(name, s.graph().constant(0.0, [1]));
        }
    }

    fn query(&self, s: &Scene) {
        let (rows, count, genes) = (s.rows(), self.population, self.genes());
        let people = s.load(PEOPLE, [rows, count, genes]);
        let fitness = s.load(FITNESS, [rows, count]);
        let (query, turn) = (s.load(QUERY, [1]), s.load(TURN, [1]));

        // In the first round everyone is looked at, later their children are.
        let place = one_hot(turn, count).reshape([1, count, 1]);
        let father = (people * place).sum(&[1]).reshape([rows, genes]);
        let founding = (-query + (count as f64 - 0.5)).step().reshape([1, 1]);
        let child = founding.select(father, self.child(s, people));

        let x = best::unless_fooled(s, self.image(s, child));
        let logits = s.logits(x);
        let score = self.loss.each(s, logits);
        best::meet(s, x, logits, score);

        let replaced = (score - fitness).step() * place.reshape([1, count]);
        s.store(FITNESS, replaced.select(score, fitness));
        s.store(PEOPLE, replaced.reshape([rows, count, 1]).select(child.reshape([rows, 1, genes]), people));
        s.store(QUERY, query + 1.0);
        s.store(TURN, wrapped(turn + 1.0, count));
    }

    /// A child of three different individuals of each example, `[N,D·(2+C)]`.
    fn child<'g>(&self, s: &Scene<'_, 'g>, people: Tensor<'g>) -> Tensor<'g> {
        let (rows, count) = (s.rows(), self.population);
        let whole = |which, below: usize| floor(s.random(Dist::Uniform, which, [rows]).scale(below as f64), below);
        // The second and the third are so far behind the first; the third's distance skips the second's.
        let first = whole(2, count);
        let second = whole(3, count - 1) + 1.0;
        let third = whole(4, count - 2) + 1.0;
        let third = third + (third - second + 0.5).step();
        let pick = |number: Tensor<'g>| (people * one_hot(number, count).reshape([rows, count, 1])).sum(&[1]);
        let [r1, r2, r3] = [first, wrapped(first + second, count), wrapped(first + third, count)].map(pick);
        let child = (r1 + (r2 - r3).scale(WEIGHT)).reshape([rows, self.genes()]);
        let anew = s.random(Dist::Uniform, 5, child.shape());
        let outside = (-child).step() + (child - 1.0).step();
        outside.select(anew, child)
    }

    /// The images with the pixels of each individual.
    fn image<'g>(&self, s: &Scene<'_, 'g>, individual: Tensor<'g>) -> Tensor<'g> {
        let ([height, width, channels], rows) = (self.extents, s.rows());
        let [row, column] = rows_and_columns(s.graph(), [height, width]);
        let differs = |a: Tensor<'g>, b: Tensor<'g>| (a - b).sign().abs();
        let painted = (0..self.pixels).fold(s.images, |image, pixel| {
            let gene = pixel * (2 + channels);
            let at = |gene: usize, extent: usize| {
                floor(individual.slice(&[0, gene], [rows, 1]).scale(extent as f64), extent).reshape([rows, 1, 1, 1])
            };
            let elsewhere = differs(row, at(gene, height)).max(differs(column, at(gene + 1, width)));
            let colour = individual.slice(&[0, gene + 2], [rows, channels]).reshape([rows, 1, 1, channels]);
            elsewhere.select(image, colour.scale(s.bounds.width()) + s.bounds.lo)
        });
        painted.detach()
    }
}

/// Numbers below 2·`count` as they are modulo `count`.
fn wrapped(number: Tensor<'_>, count: usize) -> Tensor<'_> {
    number - (number - (count as f64 - 0.5)).step().scale(count as f64)
}
