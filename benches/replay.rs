//! What replaying a plan costs the host: microseconds per launch to record it, and to record and submit it.
//!
//! `cargo bench --bench replay`. The device is `DANSKIN_DEVICE` (default: the first adapter, a software one too). The plan is a
//! ring of scalings of a few numbers, so that the device has next to nothing to do; medians over repeats, and the seconds of
//! the calling thread alone, since a software adapter computes on the same cores.

use danskin::gpu::{Device, Gpu, list};
use danskin::graph::{Op, Real};
use danskin::plan::{Buffer, Chain, Class, Element, Executor, Instr, Plan, Program, Region, Step, View, Work};
use danskin::{Error, Result};
use std::time::Instant;

const REPEATS: usize = 15;
/// Steps of the plan, which two kernels share in turns so that every launch changes its pipeline.
const STEPS: usize = 100;

fn program() -> Program {
    let buffer = |name: &str, element| Buffer { name: name.into(), len: 64, element, class: Class::State };
    let buffers = vec![buffer("rng", Element::U32), buffer("x", Element::F32), buffer("y", Element::F32)];
    let region = |buffer| Region { buffer, offset: 0, len: 64 };
    let step = |i: usize| {
        let op = if i.is_multiple_of(2) { Op::Scale(Real(0.5)) } else { Op::Abs };
        let chain = Chain {
            extents: vec![64],
            views: vec![View { strides: vec![1], offset: 0, within: vec![] }],
            instrs: vec![Instr::Load(0), Instr::Apply(op, vec![0])],
        };
        Step {
            work: Work::Pointwise(chain),
            inputs: vec![region(1 + i % 2)],
            outputs: vec![region(2 - i % 2)],
            scratch: None,
            label: format!("step {i}"),
            flops: 0,
        }
    };
    Program { buffers, plans: vec![Plan { steps: (0..STEPS).map(step).collect(), ..Plan::default() }] }
}

/// Seconds this thread has computed, where the system tells.
fn thread_seconds() -> Option<f64> {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    Some(stat.split_whitespace().next()?.parse::<f64>().ok()? / 1e9)
}

/// Median wall and thread microseconds per launch.
fn median(launches: usize, mut run: impl FnMut() -> Result<()>) -> Result<[f64; 2]> {
    let mut times = vec![];
    for _ in 0..REPEATS {
        let (start, thread) = (Instant::now(), thread_seconds());
        run()?;
        let wall = start.elapsed().as_secs_f64();
        let thread = thread_seconds().zip(thread).map_or(wall, |(end, start)| end - start);
        times.push([wall, thread].map(|s| 1e6 * s / launches as f64));
    }
    Ok([0, 1].map(|i| {
        let mut column: Vec<f64> = times.iter().map(|t| t[i]).collect();
        column.sort_by(f64::total_cmp);
        column[REPEATS / 2]
    }))
}

fn main() -> Result<()> {
    let adapters = list();
    let id = std::env::var("DANSKIN_DEVICE").ok().or_else(|| adapters.first().map(|f| f.id.clone()));
    let id = id.ok_or_else(|| Error::device("any", "no GPU driver was found"))?;
    let mut gpu = Gpu::load(Device::open(&id)?, program())?;
    gpu.run(&[(0, 1)])?;
    let region = Region { buffer: 1, offset: 0, len: 64 };
    gpu.read(region)?;
    println!("{}\n{:<26} {:>14} {:>16}", gpu.describe(), "launches", "us each, wall", "us each, thread");
    for times in [2, 10, 100] {
        let launches = STEPS * times as usize;
        let [wall, thread] = median(launches, || gpu.encode(&[(0, times)]).map(drop))?;
        println!("{:<26} {wall:>14.2} {thread:>16.2}", format!("{launches} recorded"));
        let [wall, thread] = median(launches, || {
            gpu.run(&[(0, times)])?;
            Ok(())
        })?;
        gpu.read(region)?;
        println!("{:<26} {wall:>14.2} {thread:>16.2}", format!("{launches} and submitted"));
    }
    Ok(())
}
