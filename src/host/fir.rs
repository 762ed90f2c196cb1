//! Separable FIR filtering of NHWC images.

use super::Scalar;
use super::arena::Lanes;
use super::simd::multiversion;
use crate::graph::FirSpec;
use rayon::prelude::*;

/// Channels from which on a pixel is long enough for vectors of its own.
const WIDE: usize = 16;

/// x [n,h,w,c] → [n,ho,wo,c]; a task makes one row of the output.
pub fn fir<T: Scalar>(spec: &FirSpec, [n, h, w, c]: [usize; 4], x: &[T], out: &mut [T], lanes: &Lanes<T>) {
    let (ho, wo) = (spec.output(0, h), spec.output(1, w));
    if n * ho * wo * c == 0 {
        return;
    }
    let columns =
        if c < WIDE { Columns::Phases(Phases::new(spec, c, wo)) } else { Columns::Pixels(pixels(spec, w, wo)) };
    let room = match &columns {
        Columns::Phases(phases) => w * c + phases.room(w),
        Columns::Pixels(_) => w * c,
    };
    out.par_chunks_mut(wo * c).enumerate().for_each(|(i, out)| {
        let image = &x[i / ho * h * w * c..][..h * w * c];
        lanes.with(room, |scratch| row(spec, i % ho, [h, w, c], &columns, image, scratch, out));
    });
}

/// What each column of the output reads: the same for all rows.
enum Columns<T> {
    /// The taps and columns of each.
    Pixels(Vec<Vec<(T, usize)>>),
    Phases(Phases<T>),
}

fn pixels<T: Scalar>(spec: &FirSpec, w: usize, wo: usize) -> Vec<Vec<(T, usize)>> {
    (0..wo).map(|o| taps(spec, 1, o, w).collect()).collect()
}

/// Columns that are as many apart as there are phases are made by the same taps of neighbouring columns, so that a tap is one loop over
/// all of them.
struct Phases<T> {
    channels: usize,
    /// Columns of the output.
    width: usize,
    /// Columns of the input from one column of a phase to the next: its columns are sorted by their remainder first.
    stride: usize,
    /// Taps of each phase, and how many columns after the phase's own they read.
    taps: Vec<Vec<(T, i64)>>,
}

impl<T: Scalar> Phases<T> {
    fn new(spec: &FirSpec, channels: usize, width: usize) -> Phases<T> {
        let (up, down) = (spec.up as i64, spec.down as i64);
        let common = gcd(spec.up, spec.down);
        let taps = (0..(spec.up / common) as i64).map(|phase| {
            let first = phase * down - spec.pad[1][0];
            let read = |t: usize| {
                let at = first + t as i64;
                (at.rem_euclid(up) == 0).then(|| (tap(spec, t), at.div_euclid(up)))
            };
            (0..spec.taps.len()).filter_map(read).collect()
        });
        Phases { channels, width, stride: spec.down / common, taps: taps.collect() }
    }

    /// Scratch for the sorted columns of the input, and for those of one phase.
    fn room(&self, w: usize) -> usize {
        (if self.stride > 1 { w } else { 0 } + if self.taps.len() > 1 { self.width } else { 0 }) * self.channels
    }

    /// A row of the output from a row of the input.
    #[inline(always)]
    fn row(&self, input: &[T], scratch: &mut [T], out: &mut [T]) {
        let (c, w, phases) = (self.channels, input.len() / self.channels, self.taps.len());
        let (sorted, made) = scratch.split_at_mut(if self.stride > 1 { input.len() } else { 0 });
        let input = if self.stride > 1 { self.sort(input, sorted) } else { input };
        // Where the columns of a remainder begin, and how many they are.
        let begin = |remainder: usize| remainder * (w / self.stride) + remainder.min(w % self.stride);
        let count = |remainder: usize| w / self.stride + usize::from(remainder < w % self.stride);
        for (phase, taps) in self.taps.iter().enumerate() {
            let columns = (self.width - phase).div_ceil(phases);
            let to = if phases > 1 { &mut made[..columns * c] } else { &mut out[..] };
            to.fill(T::ZERO);
            for &(tap, ahead) in taps {
                let (whole, remainder) =
                    (ahead.div_euclid(self.stride as i64), ahead.rem_euclid(self.stride as i64) as usize);
                let first = (-whole).max(0);
                let end = (count(remainder) as i64 - whole).min(columns as i64);
                if first < end {
                    let read = begin(remainder) + (first + whole) as usize;
                    multiply_add(tap, &input[read * c..], &mut to[first as usize * c..end as usize * c]);
                }
            }
            if phases > 1 {
                put(&made[..columns * c], phase, phases, c, out);
            }
        }
    }

    /// The columns of a row, those of remainder 0 first.
    #[inline(always)]
    fn sort<'a>(&self, input: &[T], sorted: &'a mut [T]) -> &'a [T] {
        let c = self.channels;
        let columns = (0..self.stride).flat_map(|remainder| (remainder..input.len() / c).step_by(self.stride));
        for (to, column) in sorted.chunks_exact_mut(c).zip(columns) {
            (0..c).for_each(|i| to[i] = input[column * c + i]);
        }
        sorted
    }
}

/// Puts the columns of a phase where they belong.
#[inline(always)]
fn put<T: Scalar>(made: &[T], phase: usize, phases: usize, c: usize, out: &mut [T]) {
    for (from, to) in made.chunks_exact(c).zip(out[phase * c..].chunks_mut(phases * c)) {
        (0..c).for_each(|i| to[i] = from[i]);
    }
}

fn gcd(a: usize, b: usize) -> usize {
    if b == 0 { a } else { gcd(b, a % b) }
}

multiversion! {
    /// Row `o` of the output: the rows of the image that it needs, filtered along H into a row of scratch, and that
    /// filtered along W.
    fn row<T: Scalar>(
        spec: &FirSpec,
        o: usize,
        extents: [usize; 3],
        columns: &Columns<T>,
        image: &[T],
        scratch: &mut [T],
        out: &mut [T]
    ) {
        let [h, w, c] = extents;
        let (filtered, rest) = scratch.split_at_mut(w * c);
        filtered.fill(T::ZERO);
        for (tap, y) in taps(spec, 0, o, h) {
            multiply_add(tap, &image[y * w * c..], filtered);
        }
        match columns {
            Columns::Phases(phases) => phases.row(filtered, rest, out),
            Columns::Pixels(pixels) => {
                out.fill(T::ZERO);
                for (reads, out) in pixels.iter().zip(out.chunks_exact_mut(c)) {
                    reads.iter().for_each(|(tap, x)| multiply_add(*tap, &filtered[*x * c..], out));
                }
            }
        }
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
        inside.then(|| (tap(spec, t), (j / up) as usize))
    })
}

/// What position `t` of the window is multiplied by.
#[inline(always)]
fn tap<T: Scalar>(spec: &FirSpec, t: usize) -> T {
    T::of(spec.taps[if spec.flip { t } else { spec.taps.len() - 1 - t }].0)
}

/// out += tap·x
#[inline(always)]
fn multiply_add<T: Scalar>(tap: T, x: &[T], out: &mut [T]) {
    let x = &x[..out.len()];
    out.iter_mut().zip(x).for_each(|(o, &x)| *o += tap * x);
}
