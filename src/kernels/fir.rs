//! Launches of `shaders/fir`: separable filters as one pass over both axes, or as two passes where the filter is long.

use super::after::{After, Tail};
use super::params::fir_fir::Params;
use super::{Binding, Dispatch, fold, room};
use crate::graph::FirSpec;
use crate::plan::{Region, Step, Work};
use crate::{Error, Result};

/// Most taps of a filter.
const MOST_TAPS: usize = 64;
/// An output meets at most this many taps of each axis in one pass; beyond, the square of them costs more than a second pass.
const ONE_PASS: usize = 6;

/// One axis of a pass.
#[derive(Clone, Copy)]
struct Axis {
    up: i32,
    down: i32,
    pad: i32,
    taps: i32,
    first: i32,
}

impl Axis {
    /// Axis `axis` of a filter.
    fn of(spec: &FirSpec, axis: usize) -> Axis {
        let [up, down, taps] = [spec.up, spec.down, spec.taps.len()].map(|v| v as i32);
        Axis { up, down, pad: spec.pad[axis][0] as i32, taps, first: 0 }
    }

    /// An axis that stays as it is: the single tap 1 after the filter's own.
    const IDENTITY: Axis = Axis { up: 1, down: 1, pad: 0, taps: 1, first: MOST_TAPS as i32 };
}

fn two_passes(spec: &FirSpec) -> bool {
    spec.taps.len().div_ceil(spec.up) > ONE_PASS
}

/// Both numbers divided by their greatest common divisor.
fn without_divisor(a: usize, b: usize) -> (usize, usize) {
    let (mut divisor, mut rest) = (a, b);
    while rest > 0 {
        (divisor, rest) = (rest, divisor % rest);
    }
    (a / divisor, b / divisor)
}

/// Elements of room for the result of a first pass along H.
pub fn scratch(work: &Work) -> usize {
    match work {
        Work::Fir { spec, input: [n, h, w, c] } if two_passes(spec) => n * spec.output(0, *h) * w * c,
        _ => 0,
    }
}

/// The launches of a [`Work::Fir`]; nothing for other work.
///
/// # Errors
/// [`Error::Graph`] for a filter of more than 64 taps, or a step without the room that [`scratch`] asks for.
pub(super) fn lower(step: &Step, after: Option<&After>) -> Result<Vec<Dispatch>> {
    let Work::Fir { spec, input: [n, h, w, c] } = &step.work else { return Ok(vec![]) };
    let (x, out) = (step.inputs[0], step.outputs[0]);
    let mut f = [[0.0; 4]; MOST_TAPS / 4 + 1];
    if spec.taps.len() > MOST_TAPS {
        let taps = spec.taps.len();
        return Err(Error::Graph(format!("{}: a filter of {taps} taps; the most is {MOST_TAPS}", step.label)));
    }
    f[MOST_TAPS / 4][0] = 1.0;
    for (i, tap) in spec.correlation_taps().into_iter().enumerate() {
        f[i / 4][i % 4] = tap as f32;
    }
    let pass =
        |axes: [Axis; 2], [h, w]: [usize; 2], [ho, wo]: [usize; 2], from: Region, to: Region, after: Option<&After>| {
            let (stride, advance) = without_divisor(axes[1].up as usize, axes[1].down as usize);
            let tail = Tail::new("fir/fir.wgsl", after, 2)?;
            let params = Params {
                n: *n as u32,
                channels: *c as u32,
                input: [h as u32, w as u32],
                output: [ho as u32, wo as u32],
                up: axes.map(|a| a.up),
                down: axes.map(|a| a.down),
                pad: axes.map(|a| a.pad),
                taps: axes.map(|a| a.taps),
                first: axes.map(|a| a.first),
                stride: stride as u32,
                advance: advance as u32,
                f,
                after: tail.block,
                ..Default::default()
            };
            let bindings = [vec![Binding::read(from), Binding::write(to)], tail.bindings].concat();
            let threads = n * ho * wo.div_ceil(4 * stride) * stride * c;
            Ok(Dispatch::new(tail.source, params, bindings, fold(threads.div_ceil(64))))
        };
    let (ho, wo) = (spec.output(0, *h), spec.output(1, *w));
    let (down, across) = (Axis::of(spec, 0), Axis::of(spec, 1));
    let need = scratch(&step.work);
    if need == 0 {
        return Ok(vec![pass([down, across], [*h, *w], [ho, wo], x, out, after)?]);
    }
    let room = room(step, need)?;
    Ok(vec![
        pass([down, Axis::IDENTITY], [*h, *w], [ho, *w], x, room, None)?,
        pass([Axis::IDENTITY, across], [ho, *w], [ho, wo], room, out, after)?,
    ])
}
