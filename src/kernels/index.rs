//! Launches of `index/`: rows by index, batches from a resident data set, rows of a log.

use super::params::{index_draw, index_draw_labels, index_gather, index_log_row, index_scatter_add};
use super::{Binding, Dispatch, FOLD, RNG_REGION, fold};
use crate::plan::{Draw, Step, Work};
use crate::{Error, Result};

/// The launches of [`Work::Gather`], [`Work::ScatterAdd`], [`Work::Draw`] and [`Work::LogRow`].
pub fn lower(step: &Step) -> Result<Vec<Dispatch>> {
    match &step.work {
        Work::Draw(draw) => self::draw(step, draw),
        &Work::Gather { rows, cols, count } => {
            let total = count * cols;
            let params = index_gather::Params { rows: rows as u32, cols: cols as u32, total: total as u32, ..zero() };
            Ok(vec![Dispatch::file("index/gather.wgsl", params, operands(step), fold(total.div_ceil(256)))])
        }
        &Work::ScatterAdd { rows, cols, count } => {
            let total = rows * cols;
            let [rows, cols, count] = [rows, cols, count].map(|n| n as u32);
            let params = index_scatter_add::Params { rows, cols, count, total: total as u32 };
            Ok(vec![Dispatch::file("index/scatter_add.wgsl", params, operands(step), fold(total.div_ceil(256)))])
        }
        &Work::LogRow { count, rows } => {
            let params = index_log_row::Params { count: count as u32, rows: rows as u32, ..zero() };
            let bindings = [vec![Binding::read(RNG_REGION)], operands(step)].concat();
            Ok(vec![Dispatch::file("index/log_row.wgsl", params, bindings, [count.div_ceil(64) as u32, 1, 1])])
        }
        _ => Ok(vec![]),
    }
}

fn zero<P: bytemuck::Zeroable>() -> P {
    P::zeroed()
}

/// Inputs, then the first output.
fn operands(step: &Step) -> Vec<Binding> {
    step.inputs.iter().map(|&r| Binding::read(r)).chain([Binding::write(step.outputs[0])]).collect()
}

fn draw(step: &Step, draw: &Draw) -> Result<Vec<Dispatch>> {
    let [h, w, c] = draw.image;
    let image = h * w * c;
    // The kernel counts bytes in 32 bits.
    if u32::try_from(draw.count * image).is_err() {
        let (label, count) = (&step.label, draw.count);
        return Err(Error::Graph(format!("{label}: {count} images of {image} bytes pass the 4 GiB of a resident set")));
    }
    let [count, n] = [draw.count as u32, draw.n as u32];
    let params = index_draw::Params {
        count,
        n,
        image: image as u32,
        row: (w * c) as u32,
        pixel: c as u32,
        mirror: u32::from(draw.mirror),
        crop: draw.crop as u32,
        stream: draw.stream,
    };
    let cursor = step.inputs[1 + usize::from(draw.labels)];
    let bindings = |i: usize| {
        let read = [RNG_REGION, step.inputs[i], cursor].map(Binding::read);
        [read.to_vec(), vec![Binding::write(step.outputs[i])]].concat()
    };
    let [y, z, _] = fold(draw.n);
    let groups = [image.div_ceil(1024).min(FOLD as usize) as u32, y, z];
    let mut launches = vec![Dispatch::file("index/draw.wgsl", params, bindings(0), groups)];
    if draw.labels {
        let params = index_draw_labels::Params { count, n, stream: draw.stream, ..zero() };
        launches.push(Dispatch::file("index/draw_labels.wgsl", params, bindings(1), fold(draw.n.div_ceil(256))));
    }
    Ok(launches)
}
