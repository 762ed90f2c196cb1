//! Separable FIR filtering of NHWC images, one axis after the other.

use super::Scalar;
use crate::graph::FirSpec;

/// x [n,h,w,c] → [n,ho,wo,c], all along H first, then along W.
pub fn fir<T: Scalar>(spec: &FirSpec, [n, h, w, c]: [usize; 4], x: &[T], out: &mut [T]) {
    let taps: Vec<T> = spec.correlation_taps().into_iter().map(T::of).collect();
    let (ho, wo) = (spec.output(0, h), spec.output(1, w));
    let mut rows = vec![T::ZERO; n * ho * w * c];
    axis(spec, &taps, spec.pad[0][0], [n, h, ho, w * c], x, &mut rows);
    axis(spec, &taps, spec.pad[1][0], [n * ho, w, wo, c], &rows, out);
}

/// Filters the middle axis of x [outer, from, inner] to out [outer, to, inner].
fn axis<T: Scalar>(
    spec: &FirSpec,
    taps: &[T],
    before: i64,
    [outer, from, to, inner]: [usize; 4],
    x: &[T],
    out: &mut [T],
) {
    out.fill(T::ZERO);
    for i in 0..outer {
        for o in 0..to {
            let out = &mut out[(i * to + o) * inner..][..inner];
            for (t, &tap) in taps.iter().enumerate() {
                let j = (o * spec.down + t) as i64 - before;
                if j < 0 || j % spec.up as i64 != 0 || j as usize / spec.up >= from {
                    continue;
                }
                let x = &x[(i * from + j as usize / spec.up) * inner..][..inner];
                out.iter_mut().zip(x).for_each(|(out, &x)| *out += tap * x);
            }
        }
    }
}
