//! Separable FIR filtering of NHWC images.

use super::Scalar;
use super::arena::Lanes;
use crate::graph::FirSpec;
use rayon::prelude::*;

/// x [n,h,w,c] → [n,ho,wo,c]. A task makes one row of the output: it filters the rows of x that the row needs along H
/// into a row of scratch, and that along W.
pub fn fir<T: Scalar>(spec: &FirSpec, [n, h, w, c]: [usize; 4], x: &[T], out: &mut [T], lanes: &Lanes<T>) {
    let (ho, wo) = (spec.output(0, h), spec.output(1, w));
    if n * ho * wo * c == 0 {
        return;
    }
    out.par_chunks_mut(wo * c).enumerate().for_each(|(row, out)| {
        let (image, row) = (&x[row / ho * h * w * c..], row % ho);
        lanes.with(w * c, |filtered| {
            filtered.fill(T::ZERO);
            for (tap, y) in taps(spec, 0, row, h) {
                multiply_add(tap, &image[y * w * c..], filtered);
            }
            out.fill(T::ZERO);
            for (column, out) in out.chunks_exact_mut(c).enumerate() {
                for (tap, x) in taps(spec, 1, column, w) {
                    multiply_add(tap, &filtered[x * c..], out);
                }
            }
        });
    });
}

/// The taps of output position `o` along `axis` that meet one of the `n` inputs: (tap, input).
fn taps<T: Scalar>(spec: &FirSpec, axis: usize, o: usize, n: usize) -> impl Iterator<Item = (T, usize)> {
    let count = spec.taps.len();
    let first = (o * spec.down) as i64 - spec.pad[axis][0];
    (0..count).filter_map(move |t| {
        let (j, up) = (first + t as i64, spec.up as i64);
        let inside = j >= 0 && j % up == 0 && j / up < n as i64;
        let tap = spec.taps[if spec.flip { t } else { count - 1 - t }];
        inside.then(|| (T::of(tap.0), (j / up) as usize))
    })
}

/// out += tap·x
fn multiply_add<T: Scalar>(tap: T, x: &[T], out: &mut [T]) {
    let x = &x[..out.len()];
    out.iter_mut().zip(x).for_each(|(o, &x)| *o += tap * x);
}
