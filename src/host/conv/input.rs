//! Input gradients, (y, w) → x: the transposed convolution.
//!
//! Two ways. *Gather*: pixels of x with the same remainder modulo the stride see the same taps, so each such phase is a
//! small stride-1 convolution of y and no product meets an inserted zero. *Fold*: unfolded gradients y·wᵀ are added to
//! the pixels they belong to (col2im), which wins where x has few channels or where most windows lie outside of y.

use super::super::Scalar;
use super::super::arena::Arena;
use super::super::chain::{After, follow, room};
use super::super::layout::transpose;
use super::super::matmul::{Mat, gemm, matmul};
use super::window::{Run, Source, unfold};
use super::{MAX_PANEL, Sizes, Windows, depthwise, is_depthwise, is_product, panel_rows};
use crate::plan::ConvDims;
use rayon::prelude::*;

/// (y, w) → x, and through the chain that follows.
pub fn conv_x<T: Scalar>(d: &ConvDims, y: &[T], w: &[T], x: &mut [T], after: Option<&After<T>>, arena: &mut Arena<T>) {
    let s = Sizes::of(d);
    if s.empty() {
        x.fill(T::ZERO);
    } else if is_depthwise(d) {
        depthwise::conv_x(d, y, w, x);
    } else if is_product(d) {
        matmul([false, true], [s.rows, s.cols, d.cout], y, w, x, after, arena);
    } else if prefers_gather(d, &s) {
        gather(d, &s, [y, w], x, after, arena);
    } else {
        fold(d, &s, [y, w], x, after, arena);
    }
}

/// Multiplications of both ways, the gather's extra ones weighed against the fold's traffic.
fn prefers_gather(d: &ConvDims, s: &Sizes) -> bool {
    let pixels = d.spec.input[0] * d.spec.input[1];
    let taps: usize = phases(d).map(|p| p.taps()).sum();
    let phases = d.spec.stride[0] * d.spec.stride[1];
    s.gin >= 12 && 4 * pixels * taps <= 6 * s.pixels * phases * d.spec.kernel[0] * d.spec.kernel[1]
}

/// Pixels of x at one remainder of (position + pad) modulo the stride: they see the same taps of the kernel.
struct Phase {
    /// The remainders along H and W: also the first tap.
    first: [usize; 2],
    /// Taps along H and W, which is the extent of the window in y.
    extent: [usize; 2],
    /// Taps of all earlier phases.
    taps_before: usize,
}

impl Phase {
    fn taps(&self) -> usize {
        self.extent[0] * self.extent[1]
    }

    /// Corner in y of the window of a pixel of x.
    fn corner(&self, d: &ConvDims, at: [usize; 2]) -> [isize; 2] {
        [0, 1].map(|a| ((at[a] + d.spec.pad[a]) / d.spec.stride[a]) as isize + 1 - self.extent[a] as isize)
    }
}

fn phases(d: &ConvDims) -> impl Iterator<Item = Phase> {
    let ([sy, sx], kernel) = (d.spec.stride, d.spec.kernel);
    let mut taps_before = 0;
    (0..sy * sx).map(move |i| {
        let first = [i / sx, i % sx];
        let taps = |a: usize, stride: usize| (kernel[a] + stride - 1 - first[a]) / stride;
        let phase = Phase { first, extent: [taps(0, sy), taps(1, sx)], taps_before };
        taps_before += phase.taps();
        phase
    })
}

/// Weights by phase: for each group and each tap of the phase in the order of its window, the transposed [gout, gin]
/// matrix of the tap.
fn by_phase<T: Scalar>(d: &ConvDims, s: &Sizes, w: &[T], out: &mut [T]) {
    let size = s.gin * s.gout;
    for phase in phases(d) {
        let taps = phase.taps();
        let out = &mut out[phase.taps_before * s.gin * d.cout..][..taps * s.gin * d.cout];
        out.par_chunks_mut(size).enumerate().for_each(|(i, out)| {
            let (group, tap) = (i / taps, i % taps);
            // Pixels of the window ascend, taps descend.
            let [high, wide] = phase.extent;
            let at = [high - 1 - tap / wide, wide - 1 - tap % wide];
            let [ky, kx] = [0, 1].map(|a| phase.first[a] + at[a] * d.spec.stride[a]);
            let from = (ky * d.spec.kernel[1] + kx) * s.gin * d.cout + group * s.gout;
            transpose(&w[from..], d.cout, [s.gin, s.gout], out, s.gin);
        });
    }
}

/// Each phase as a stride-1 convolution of y; a task makes a band of rows of x, counted through the batch.
fn gather<T: Scalar>(
    d: &ConvDims,
    s: &Sizes,
    [y, w]: [&[T]; 2],
    x: &mut [T],
    after: Option<&After<T>>,
    arena: &mut Arena<T>,
) {
    let width = d.spec.input[1];
    let [sy, sx] = d.spec.stride;
    let widest = d.spec.kernel[0].div_ceil(sy) * d.spec.kernel[1].div_ceil(sx) * s.gout;
    let panel = panel_rows(widest);
    // Rows of x in which one phase has about a panel of pixels.
    let band = (panel * sy * sx / width).max(1).next_multiple_of(sy);
    let (lanes, weights) = arena.shared(d.spec.kernel[0] * d.spec.kernel[1] * s.gin * d.cout);
    by_phase(d, s, w, weights);
    let gather = Gather { d, s, y, weights, panel };
    x.par_chunks_mut(band * width * d.cin).enumerate().for_each(|(task, x)| {
        let own = panel * (widest + s.gin);
        lanes.with(own + room(after, x.len()), |scratch| {
            let (scratch, rest) = scratch.split_at_mut(own);
            follow(after, task * band * width * d.cin, rest, x, |x| {
                for phase in phases(d) {
                    for group in 0..d.spec.groups {
                        gather.phase(&phase, group, task * band, x, scratch);
                    }
                }
            });
        });
    });
}

struct Gather<'a, T> {
    d: &'a ConvDims,
    s: &'a Sizes,
    y: &'a [T],
    /// As [`by_phase`] leaves them.
    weights: &'a [T],
    /// Pixels multiplied at a time.
    panel: usize,
}

impl<T: Scalar> Gather<'_, T> {
    /// One group of one phase of the rows of x from `first` on, counted through the batch, that `x` holds.
    fn phase(&self, phase: &Phase, group: usize, first: usize, x: &mut [T], scratch: &mut [T]) {
        let Gather { d, s, panel, .. } = *self;
        let [h, width] = d.spec.input;
        let [sy, sx] = d.spec.stride;
        let [ho, wo] = d.spec.output();
        let source = Source { h: ho, w: wo, c: d.cout, channel: group * s.gout, channels: s.gout };
        let k = phase.taps() * s.gout;
        let (windows, product) = scratch.split_at_mut(panel * k);
        // Columns of x of this phase.
        let column = (phase.first[1] + sx - d.spec.pad[1] % sx) % sx;
        let columns = (width + sx - 1 - column) / sx;
        let mut places = [0; MAX_PANEL];
        let mut count = 0;
        for row in first..first + x.len() / (width * d.cin) {
            if (row % h + d.spec.pad[0]) % sy != phase.first[0] {
                continue;
            }
            let [y, x0] = phase.corner(d, [row % h, column]);
            let mut done = 0;
            while done < columns {
                let more = (columns - done).min(panel - count);
                if k > 0 {
                    let [h, w] = phase.extent;
                    let run = Run { y, x: x0 + done as isize, step: 1, count: more, h, w };
                    unfold(source, &self.y[row / d.spec.input[0] * source.image()..], run, &mut windows[count * k..]);
                }
                for (i, place) in places[count..count + more].iter_mut().enumerate() {
                    *place = ((row - first) * width + column + (done + i) * sx) * d.cin + group * s.gin;
                }
                (done, count) = (done + more, count + more);
                if count == panel {
                    self.product(phase, group, windows, &places[..count], product, x);
                    count = 0;
                }
            }
        }
        self.product(phase, group, windows, &places[..count], product, x);
    }

    /// Multiplies windows by the weights of the phase and puts the pixels of x in their places.
    fn product(&self, phase: &Phase, group: usize, windows: &[T], places: &[usize], product: &mut [T], x: &mut [T]) {
        let Gather { d, s, .. } = *self;
        let k = phase.taps() * s.gout;
        let from = (phase.taps_before * d.spec.groups + phase.taps() * group) * s.gin * s.gout;
        let weights = Mat::new(&self.weights[from..], k, s.gin, s.gin);
        let windows = Mat::new(windows, places.len(), k, k);
        if places.is_empty() {
            return;
        }
        if d.spec.stride == [1, 1] && d.spec.groups == 1 {
            gemm(windows, weights, &mut x[places[0]..], d.cin, false);
        } else {
            gemm(windows, weights, product, s.gin, false);
            for (&place, value) in places.iter().zip(product.chunks_exact(s.gin)) {
                x[place..place + s.gin].copy_from_slice(value);
            }
        }
    }
}

/// Unfolded gradients y·wᵀ added to the pixels they belong to; a task makes whole images.
fn fold<T: Scalar>(
    d: &ConvDims,
    s: &Sizes,
    [y, w]: [&[T]; 2],
    x: &mut [T],
    after: Option<&After<T>>,
    arena: &mut Arena<T>,
) {
    let panel = panel_rows(s.cols);
    let images = (panel / s.pixels).max(1);
    let image = d.spec.input[0] * d.spec.input[1] * d.cin;
    // The weights of each group transposed: [gout, cols].
    let (lanes, weights) = arena.shared(s.cols * d.cout);
    weights.par_chunks_mut(s.cols * s.gout).enumerate().for_each(|(group, out)| {
        transpose(&w[group * s.gout..], d.cout, [s.cols, s.gout], out, s.cols);
    });
    let weights = &*weights;
    x.par_chunks_mut(images * image).enumerate().for_each(|(task, x)| {
        let total = x.len() / image * s.pixels;
        let y = &y[task * images * s.pixels * d.cout..][..total * d.cout];
        lanes.with(panel * s.cols + room(after, x.len()), |scratch| {
            let (gradients, rest) = scratch.split_at_mut(panel * s.cols);
            follow(after, task * images * image, rest, x, |x| {
                x.fill(T::ZERO);
                for group in 0..d.spec.groups {
                    let windows = Windows { d, s, group, tap: [0, 0], taps: d.spec.kernel };
                    let weights = Mat::new(&weights[group * s.cols * s.gout..], s.gout, s.cols, s.cols);
                    for from in (0..total).step_by(panel) {
                        let count = panel.min(total - from);
                        let y = Mat::new(&y[from * d.cout + group * s.gout..], count, s.gout, d.cout);
                        gemm(y, weights, gradients, s.cols, false);
                        windows.fold(from..from + count, gradients, x);
                    }
                }
            });
        });
    });
}
