//! Separable FIR filtering of NHWC images.

use super::Scalar;
use super::arena::Lanes;
use super::simd::multiversion;
use crate::graph::FirSpec;
use rayon::prelude::*;

/// x [n,h,w,c] → [n,ho,wo,c]; a task makes one row of the output.
pub fn fir<T: Scalar>(spec: &FirSpec, [n, h, w, c]: [usize; 4], x: &[T], out: &mut [T], lanes: &Lanes<T>) {
    let (ho, wo) = (spec.output(0, h), spec.output(1, w));
    if n * ho * wo * c == 0 {
        return;
    }
    // What each column of the output reads, and where that ends: the same for all rows.
    let mut reads = vec![];
    let mut read = |o| {
        reads.extend(taps(spec, 1, o, w));
        reads.len()
    };
    let ends: Vec<usize> = (0..wo).map(&mut read).collect();
    out.par_chunks_mut(wo * c).enumerate().for_each(|(i, out)| {
        let image = &x[i / ho * h * w * c..][..h * w * c];
        lanes.with(w * c, |scratch| row(spec, i % ho, [h, c], (&reads, &ends), image, scratch, out));
    });
}

multiversion! {
    /// Row `o` of the output: the rows of the image that it needs, filtered along H into a row of scratch, and that
    /// filtered along W.
    fn row<T: Scalar>(
        spec: &FirSpec,
        o: usize,
        extents: [usize; 2],
        columns: (&[(T, usize)], &[usize]),
        image: &[T],
        filtered: &mut [T],
        out: &mut [T]
    ) {
        let ([h, c], width) = (extents, filtered.len());
        filtered.fill(T::ZERO);
        for (tap, y) in taps(spec, 0, o, h) {
            multiply_add(tap, &image[y * width..], filtered);
        }
        match c {
            1 => across::<T, 1>(columns, filtered, out),
            3 => across::<T, 3>(columns, filtered, out),
            _ => {
                out.fill(T::ZERO);
                let ((reads, ends), mut from) = (columns, 0);
                for (end, out) in ends.iter().zip(out.chunks_exact_mut(c)) {
                    for (tap, x) in &reads[from..*end] {
                        multiply_add(*tap, &filtered[*x * c..], out);
                    }
                    from = *end;
                }
            }
        }
    }
}

/// A row of images, whose few channels are added up in registers.
#[inline(always)]
fn across<T: Scalar, const C: usize>((reads, ends): (&[(T, usize)], &[usize]), filtered: &[T], out: &mut [T]) {
    let mut from = 0;
    for (end, out) in ends.iter().zip(out.chunks_exact_mut(C)) {
        let mut sum = [T::ZERO; C];
        for (tap, x) in &reads[from..*end] {
            let pixel = &filtered[*x * C..][..C];
            sum.iter_mut().zip(pixel).for_each(|(sum, &v)| *sum += *tap * v);
        }
        out.copy_from_slice(&sum);
        from = *end;
    }
}

/// The taps of output position `o` along `axis` that meet one of the `n` inputs: (tap, input).
#[inline(always)]
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
#[inline(always)]
fn multiply_add<T: Scalar>(tap: T, x: &[T], out: &mut [T]) {
    let x = &x[..out.len()];
    out.iter_mut().zip(x).for_each(|(o, &x)| *o += tap * x);
}
