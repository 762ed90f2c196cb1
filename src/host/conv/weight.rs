//! Weight gradients, (x, y) → w: unfolded xᵀ times y, summed over all output pixels.
//!
//! Tasks are cut along the rows of w (taps of the kernel), which needs no sums across tasks, and, while w is small, along
//! the output pixels too, with one partial w a cut.

use super::super::Scalar;
use super::super::arena::{Arena, Lanes};
use super::super::matmul::{Mat, gemm, matmul};
use super::super::reduce::sum_parts;
use super::window::Extent;
use super::{Sizes, corner, depthwise, is_depthwise, is_product, panel_rows, source};
use crate::plan::ConvDims;
use rayon::prelude::*;
use std::ops::Range;

/// How the work is cut.
struct Cut {
    /// Taps of a task: the whole kernel, one of its rows, or one tap.
    taps: Extent,
    /// Cuts along the output pixels.
    parts: usize,
}

fn cut(d: &ConvDims, s: &Sizes) -> Cut {
    const TASKS: usize = 16;
    let [kh, kw] = d.spec.kernel;
    let size = s.cols * d.cout;
    let taps = if s.cols <= 128 {
        Extent { h: kh, w: kw }
    } else if size <= 1 << 18 {
        Extent { h: 1, w: kw }
    } else {
        Extent { h: 1, w: 1 }
    };
    let tasks = kh.div_ceil(taps.h) * kw.div_ceil(taps.w);
    // At most 2²⁰ partial elements, and at least two panels of pixels a task.
    let parts = TASKS.div_ceil(tasks).min((1 << 20) / size.max(1)).min(s.rows / 512).max(1);
    Cut { taps, parts }
}

/// (x, y) → w
pub fn conv_w<T: Scalar>(d: &ConvDims, x: &[T], y: &[T], w: &mut [T], arena: &mut Arena<T>) {
    let s = Sizes::of(d);
    if s.empty() {
        return w.fill(T::ZERO);
    }
    if is_depthwise(d) {
        return depthwise::conv_w(d, x, y, w, arena);
    }
    if is_product(d) {
        return matmul([true, false], [s.cols, d.cout, s.rows], x, y, w, arena);
    }
    let cut = cut(d, &s);
    if cut.parts == 1 {
        return tasks(d, &s, &cut, [x, y], w, arena.lanes());
    }
    let (lanes, partial) = arena.shared(cut.parts * w.len());
    tasks(d, &s, &cut, [x, y], partial, lanes);
    sum_parts(partial, w);
}

/// All tasks. `out` holds one w a part, each cut into the rows of the taps of its tasks.
fn tasks<T: Scalar>(d: &ConvDims, s: &Sizes, cut: &Cut, [x, y]: [&[T]; 2], out: &mut [T], lanes: &Lanes<T>) {
    let taps = cut.taps.h * cut.taps.w;
    let chunks = d.spec.kernel[0] * d.spec.kernel[1] / taps;
    let share = s.rows.div_ceil(cut.parts);
    out.par_chunks_mut(taps * s.gin * d.cout).enumerate().for_each(|(task, out)| {
        let from = (task / chunks * share).min(s.rows);
        let tap = task % chunks * taps;
        let tap = [tap / d.spec.kernel[1], tap % d.spec.kernel[1]];
        let piece = Piece { d, s, tap, taps: cut.taps, rows: from..(from + share).min(s.rows) };
        for g in 0..d.spec.groups {
            piece.sum(g, [x, y], &mut out[g * s.gout..], lanes);
        }
    });
}

/// Some taps of w and the output pixels they are summed over.
struct Piece<'a> {
    d: &'a ConvDims,
    s: &'a Sizes,
    /// First tap (row, column of the kernel) and extent of the box of taps.
    tap: [usize; 2],
    taps: Extent,
    rows: Range<usize>,
}

impl Piece<'_> {
    /// Sums group `g` into `out` [taps·gin, gout], rows cout apart.
    fn sum<T: Scalar>(&self, g: usize, [x, y]: [&[T]; 2], out: &mut [T], lanes: &Lanes<T>) {
        let Piece { d, s, .. } = *self;
        let source = source(d, s, g);
        let cols = self.taps.h * self.taps.w * s.gin;
        let panel = panel_rows(cols);
        lanes.with(panel * cols, |windows| {
            for from in self.rows.clone().step_by(panel) {
                let count = panel.min(self.rows.end - from);
                for (i, window) in windows.chunks_exact_mut(cols).take(count).enumerate() {
                    let row = from + i;
                    let [cy, cx] = corner(d, row % s.pixels);
                    let at = [cy + self.tap[0] as isize, cx + self.tap[1] as isize];
                    source.unfold(&x[row / s.pixels * source.image()..], at, self.taps, window);
                }
                let y = Mat::new(&y[from * d.cout + g * s.gout..], count, s.gout, d.cout);
                gemm(Mat::new(windows, count, cols, cols).t(), y, out, d.cout, from > self.rows.start);
            }
        });
    }
}
