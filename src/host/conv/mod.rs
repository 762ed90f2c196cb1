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
use super::matmul::{Mat, gemm, matmul};
use crate::plan::ConvDims;
use rayon::prelude::*;
use window::{Extent, Source};

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

/// Depthwise: one channel a group on both sides.
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

/// Corner in x of the window of output pixel `pixel` of an image.
fn corner(d: &ConvDims, pixel: usize) -> [isize; 2] {
    let wo = d.spec.output()[1];
    let at = [pixel / wo, pixel % wo];
    [0, 1].map(|a| (at[a] * d.spec.stride[a]) as isize - d.spec.pad[a] as isize)
}

/// (x, w) → y
pub fn conv<T: Scalar>(d: &ConvDims, x: &[T], w: &[T], y: &mut [T], arena: &mut Arena<T>) {
    let s = Sizes::of(d);
    if s.empty() {
        return y.fill(T::ZERO);
    }
    if is_depthwise(d) {
        return depthwise::conv(d, x, w, y);
    }
    if is_product(d) {
        return matmul([false, false], [s.rows, d.cout, s.cols], x, w, y, arena);
    }
    let rows = panel_rows(s.cols);
    let extent = Extent { h: d.spec.kernel[0], w: d.spec.kernel[1] };
    let lanes = arena.lanes();
    y.par_chunks_mut(rows * d.cout).enumerate().for_each(|(task, y)| {
        let count = y.len() / d.cout;
        lanes.with(count * s.cols, |panel| {
            for g in 0..d.spec.groups {
                let source = source(d, &s, g);
                for (i, window) in panel.chunks_exact_mut(s.cols).enumerate() {
                    let row = task * rows + i;
                    let image = &x[row / s.pixels * source.image()..];
                    source.unfold(image, corner(d, row % s.pixels), extent, window);
                }
                let w = Mat::new(&w[g * s.gout..], s.cols, s.gout, d.cout);
                gemm(Mat::new(panel, count, s.cols, s.cols), w, &mut y[g * s.gout..], d.cout, false);
            }
        });
    });
}
