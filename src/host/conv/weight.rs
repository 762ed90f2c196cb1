//! Weight gradients, (x, y) → w: unfolded xᵀ times y, summed over all output pixels.
//!
//! Tasks are cut along the rows of w (taps of the kernel), which needs no sums across tasks, and, while w is small, along
//! the output pixels too, with one partial w a cut.

use super::super::Scalar;
use super::super::arena::{Arena, Lanes};
use super::super::matmul::{Mat, gemm, matmul};
use super::super::reduce::sum_parts;
use super::{Sizes, Windows, depthwise, is_depthwise, is_product, panel_rows};
use crate::plan::ConvDims;
use rayon::prelude::*;
use std::ops::Range;

/// How the work is cut.
struct Cut {
    /// Taps of a task: the whole kernel, one of its rows, or one tap.
    taps: [usize; 2],
    /// Cuts along the output pixels.
    parts: usize,
}

fn cut(d: &ConvDims, s: &Sizes) -> Cut {
    const TASKS: usize = 16;
    let [kh, kw] = d.spec.kernel;
    let size = s.cols * d.cout;
    let taps = if s.cols <= 128 {
        [kh, kw]
    } else if size <= 1 << 18 {
        [1, kw]
    } else {
        [1, 1]
    };
    let tasks = kh / taps[0] * (kw / taps[1]);
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
        return matmul([true, false], [s.cols, d.cout, s.rows], x, y, w, None, arena);
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
    let taps = cut.taps[0] * cut.taps[1];
    let chunks = d.spec.kernel[0] * d.spec.kernel[1] / taps;
    let share = s.rows.div_ceil(cut.parts);
    out.par_chunks_mut(taps * s.gin * d.cout).enumerate().for_each(|(task, out)| {
        let from = (task / chunks * share).min(s.rows);
        let rows = from..(from + share).min(s.rows);
        let tap = task % chunks * taps;
        let tap = [tap / d.spec.kernel[1], tap % d.spec.kernel[1]];
        for group in 0..d.spec.groups {
            let windows = Windows { d, s, group, tap, taps: cut.taps };
            sum(&windows, rows.clone(), [x, y], &mut out[group * s.gout..], lanes);
        }
    });
}

/// Sums over output pixels into `out` [taps·gin, gout], rows cout apart.
fn sum<T: Scalar>(windows: &Windows, rows: Range<usize>, [x, y]: [&[T]; 2], out: &mut [T], lanes: &Lanes<T>) {
    let (gout, cout) = (windows.s.gout, windows.d.cout);
    let cols = windows.taps[0] * windows.taps[1] * windows.s.gin;
    let rows_at_once = panel_rows(cols);
    lanes.with(rows_at_once * cols, |panel| {
        for from in rows.clone().step_by(rows_at_once) {
            let count = rows_at_once.min(rows.end - from);
            windows.unfold(from..from + count, x, panel);
            let y = Mat::new(&y[from * cout + windows.group * gout..], count, gout, cout);
            gemm(Mat::new(panel, count, cols, cols).t(), y, out, cout, from > rows.start);
        }
    });
}
