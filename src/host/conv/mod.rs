//! The convolution family as matrix products over unfolded windows.
//!
//! Work is cut by shape alone into tasks of some hundred rows; each task unfolds the windows of its rows into a panel
//! that stays in the second-level cache and multiplies it by the weights. Layouts: x [n,h,w,cin], w [kh,kw,cin/groups,cout],
//! y [n,ho,wo,cout].

mod depthwise;
mod input;
mod weight;
mod window;

pub use input::conv_x;
pub use weight::conv_w;

use super::Scalar;
use super::arena::Arena;
use super::chain::{After, follow, room};
use super::matmul::{Mat, gemm, matmul};
use crate::plan::ConvDims;
use rayon::prelude::*;
use std::ops::Range;
use window::{Run, Source, fold, unfold};

/// Sizes that all three members of the family use.
#[derive(Clone, Copy)]
struct Sizes {
    /// Output pixels of one image, and of the batch.
    pixels: usize,
    rows: usize,
    /// Elements of an unfolded window of one group.
    cols: usize,
    /// Channels of one group of x and of y.
    gin: usize,
    gout: usize,
}

impl Sizes {
    fn of(d: &ConvDims) -> Sizes {
        let [ho, wo] = d.spec.output();
        let (gin, gout) = (d.cin / d.spec.groups, d.cout / d.spec.groups);
        let cols = d.spec.kernel[0] * d.spec.kernel[1] * gin;
        Sizes { pixels: ho * wo, rows: d.n * ho * wo, cols, gin, gout }
    }

    /// Nothing to compute: some extent is zero.
    fn empty(&self) -> bool {
        self.rows * self.cols * self.gout == 0
    }
}

/// Whether the unfolded x is x itself: 1×1 convolutions, and kernels that cover the whole image.
fn is_product(d: &ConvDims) -> bool {
    let unit = d.spec.kernel == [1, 1] && d.spec.stride == [1, 1];
    let whole = d.spec.kernel == d.spec.input;
    d.spec.groups == 1 && d.spec.pad == [0, 0] && (unit || whole)
}

/// Depthwise: one channel per group on both sides.
fn is_depthwise(d: &ConvDims) -> bool {
    d.spec.groups > 1 && d.spec.groups == d.cin && d.cin == d.cout
}

/// Most rows of a panel.
const MAX_PANEL: usize = 256;

/// Rows of a panel of `cols` columns: about a quarter of a megabyte, and enough rows for an efficient product.
fn panel_rows(cols: usize) -> usize {
    ((1 << 16) / cols.max(1)).next_multiple_of(8).clamp(32, MAX_PANEL)
}

/// The x side of group `g`, where windows are taken from.
fn source(d: &ConvDims, s: &Sizes, g: usize) -> Source {
    Source { h: d.spec.input[0], w: d.spec.input[1], c: d.cin, channel: g * s.gin, channels: s.gin }
}

/// The windows of output pixels in x: a box of taps of the kernel, in one group.
#[derive(Clone, Copy)]
struct Windows<'a> {
    d: &'a ConvDims,
    s: &'a Sizes,
    group: usize,
    /// First tap (row, column of the kernel) and extent of the box.
    tap: [usize; 2],
    taps: [usize; 2],
}

impl Windows<'_> {
    /// Calls `f` for each run of output pixels that lie on one row: where their image starts in x, which row of the panel
    /// is their first, and the windows.
    fn runs(&self, rows: Range<usize>, mut f: impl FnMut(usize, usize, Run)) {
        let Windows { d, s, .. } = *self;
        let wo = d.spec.output()[1];
        let mut row = rows.start;
        while row < rows.end {
            let (image, pixel) = (row / s.pixels, row % s.pixels);
            let at = [pixel / wo, pixel % wo];
            let count = (wo - at[1]).min(rows.end - row);
            let [y, x] = [0, 1].map(|a| (at[a] * d.spec.stride[a] + self.tap[a]) as isize - d.spec.pad[a] as isize);
            let [h, w] = self.taps;
            let start = image * d.spec.input[0] * d.spec.input[1] * d.cin;
            f(start, row - rows.start, Run { y, x, step: d.spec.stride[1], count, h, w });
            row += count;
        }
    }

    /// The windows of these rows of the batch as rows of a panel.
    fn unfold<T: Scalar>(&self, rows: Range<usize>, x: &[T], panel: &mut [T]) {
        let source = source(self.d, self.s, self.group);
        let cols = self.taps[0] * self.taps[1] * self.s.gin;
        self.runs(rows, |image, row, run| unfold(source, &x[image..], run, &mut panel[row * cols..]));
    }

    /// Adds the rows of a panel to the windows they belong to.
    fn fold<T: Scalar>(&self, rows: Range<usize>, panel: &[T], x: &mut [T]) {
        let source = source(self.d, self.s, self.group);
        let cols = self.taps[0] * self.taps[1] * self.s.gin;
        self.runs(rows, |image, row, run| fold(source, &panel[row * cols..], run, &mut x[image..]));
    }
}

/// Whether [`conv`] and [`conv_x`] can let a chain follow, part by part.
pub fn takes_after(d: &ConvDims, product: impl Fn([usize; 3]) -> bool, transposed: bool) -> bool {
    let s = Sizes::of(d);
    match (is_product(d), transposed) {
        _ if s.empty() || is_depthwise(d) => false,
        (true, false) => product([s.rows, d.cout, s.cols]),
        (true, true) => product([s.rows, s.cols, d.cout]),
        (false, _) => true,
    }
}

/// These rows of y.
fn multiply<T: Scalar>(d: &ConvDims, s: &Sizes, [x, w]: [&[T]; 2], rows: Range<usize>, panel: &mut [T], y: &mut [T]) {
    let count = rows.len();
    for group in 0..d.spec.groups {
        let windows = Windows { d, s, group, tap: [0, 0], taps: d.spec.kernel };
        windows.unfold(rows.clone(), x, panel);
        let w = Mat::new(&w[group * s.gout..], s.cols, s.gout, d.cout);
        gemm(Mat::new(panel, count, s.cols, s.cols), w, &mut y[group * s.gout..], d.cout, false);
    }
}

/// (x, w) → y, and through the chain that follows.
pub fn conv<T: Scalar>(d: &ConvDims, x: &[T], w: &[T], y: &mut [T], after: Option<&After<T>>, arena: &mut Arena<T>) {
    let s = Sizes::of(d);
    if s.empty() {
        return y.fill(T::ZERO);
    }
    if is_depthwise(d) {
        return depthwise::conv(d, x, w, y);
    }
    if is_product(d) {
        return matmul([false, false], [s.rows, d.cout, s.cols], x, w, y, after, arena);
    }
    let rows = panel_rows(s.cols);
    let lanes = arena.lanes();
    y.par_chunks_mut(rows * d.cout).enumerate().for_each(|(task, y)| {
        let count = y.len() / d.cout;
        lanes.with(count * s.cols + room(after, y.len()), |scratch| {
            let (panel, rest) = scratch.split_at_mut(count * s.cols);
            follow(after, task * rows * d.cout, rest, y, |y| {
                multiply(d, &s, [x, w], task * rows..task * rows + count, panel, y);
            });
        });
    });
}
