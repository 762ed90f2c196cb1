//! What a device can do at most, measured: multiply-adds out of registers, and copies and updates that no cache holds.

use super::clock::{self, Limits, Timing};
use super::report::Common;
use crate::Result;
use crate::device::Device;
use crate::gpu::{self, Gpu};
use crate::host::peak;
use crate::kernels::{Binding, Dispatch, fold, params};
use crate::plan::{Buffer, Class, Element, Executor, Plan, Program, Region, Step, Work};
use serde::Serialize;

/// A measurement of a peak lasts about this long.
const SAMPLE_S: f64 = 0.03;
/// Threads of the multiply-add kernel: enough for every device.
const THREADS: usize = 1 << 20;
/// The same where threads are simulated.
const FEW_THREADS: usize = 1 << 14;

/// A measured peak.
#[derive(Clone, Debug, Serialize)]
pub struct PeakRow {
    /// What was measured, and how long it took.
    #[serde(flatten)]
    pub common: Common,
    /// 10⁹ operations per second in the fastest sample.
    pub gflops_best: Option<f64>,
    /// 10⁹ bytes per second, read and written, by the median.
    pub gbytes_per_s: Option<f64>,
    /// The same in the fastest sample.
    pub gbytes_per_s_best: Option<f64>,
}

/// The peaks of a device.
#[derive(Clone, Debug)]
pub struct Peaks {
    /// Multiply-adds.
    pub fma: PeakRow,
    /// From one place in memory to another.
    pub copy: PeakRow,
    /// Every number read and written back to its place. A processor reads what it is about to write, so that this can be
    /// twice as fast as a copy; the optimiser works like this. GPUs don't, and are not measured.
    pub update: Option<PeakRow>,
}

/// Names of the rows: multiply-adds, copies, updates in place.
pub const PEAKS: [&str; 3] = ["fma", "copy", "update"];

impl Peaks {
    /// Measures them all.
    ///
    /// # Errors
    /// A device that fails, or has too little memory for the copy.
    pub fn measure(device: &Device, name: &str) -> Result<Peaks> {
        let ((flops, timing), copy, update) = match device {
            Device::Host => host()?,
            Device::Gpu(device) => (gpu_fma(device)?, gpu_copy(device)?, None),
        };
        let best = flops as f64 / timing.min_s / 1e9;
        let common = Common::new(name, PEAKS[0], 0, timing, flops);
        let fma = PeakRow { common, gflops_best: Some(best), gbytes_per_s: None, gbytes_per_s_best: None };
        let memory = |what: &str, (bytes, timing): (u64, Timing)| {
            let rate = |s: f64| Some(bytes as f64 / s / 1e9);
            let (median, best) = (rate(timing.median_s), rate(timing.min_s));
            let common = Common::new(name, what, 0, timing, 0);
            PeakRow { common, gflops_best: None, gbytes_per_s: median, gbytes_per_s_best: best }
        };
        let update = update.map(|update| memory(PEAKS[2], update));
        Ok(Peaks { fma, copy: memory(PEAKS[1], copy), update })
    }

    /// Every measurement.
    pub fn rows(&self) -> impl Iterator<Item = &PeakRow> {
        [&self.fma, &self.copy].into_iter().chain(&self.update)
    }

    /// 10⁹ floating-point operations per second at best.
    pub fn gflops(&self) -> f64 {
        self.fma.gflops_best.unwrap_or(0.0)
    }

    /// 10⁹ bytes of memory per second at best, read and written.
    pub fn gbytes_per_s(&self) -> f64 {
        self.rows().filter_map(|row| row.gbytes_per_s_best).fold(0.0, f64::max)
    }

    /// What a kernel with so many operations per byte could reach at best, in 10⁹ operations per second.
    pub fn roof(&self, intensity: f64) -> f64 {
        self.gflops().min(intensity * self.gbytes_per_s())
    }
}

fn limits() -> Limits {
    Limits { samples: 9, least_s: 0.3, most_s: 3.0, exactly: None }
}

/// What a peak moved or computed in a sample, and how long that took.
type Measured = (u64, Timing);

/// Multiply-adds, copies, updates. 128 MiB each way: several times the cache of most processors.
fn host() -> Result<(Measured, Measured, Option<Measured>)> {
    let from = vec![1.0f32; 1 << 25];
    let mut to = vec![0.0f32; from.len()];
    let bytes = 8 * from.len() as u64;
    let mut flops = 0;
    let sampled = |run: &mut dyn FnMut()| -> Result<Timing> {
        let mut run = || {
            run();
            Ok(())
        };
        let (_, first) = clock::time(&mut run)?;
        let (_, second) = clock::time(&mut run)?;
        let times = (SAMPLE_S / second.max(1e-6)).clamp(1.0, 1000.0) as u32;
        Ok(clock::sample(&limits(), first, &mut || (0..times).try_for_each(|_| run()))?.shared_by(times))
    };
    let fma = sampled(&mut || flops = peak::multiply_add(4))?;
    let copy = sampled(&mut || peak::copy(&from, &mut to))?;
    let update = sampled(&mut || peak::update(&mut to, std::hint::black_box(1.0)))?;
    Ok(((flops, fma), (bytes, copy), Some((bytes, update))))
}

/// A program of one launch over buffers of these lengths; `launch` gets their regions.
fn load(device: &gpu::Device, lens: &[usize], launch: impl Fn(&[Region]) -> Dispatch) -> Result<Gpu> {
    let mut program = Program { buffers: vec![rng()], plans: vec![] };
    let mut regions = vec![];
    for &len in lens {
        let buffer = program.buffers.len();
        program.buffers.push(Buffer { name: format!("b{buffer}"), len, element: Element::F32, class: Class::Work });
        regions.push(Region { buffer, offset: 0, len });
    }
    // The step only has a place in the plan: what runs is the launch.
    let (inputs, outputs) = regions.split_at(regions.len() - 1);
    let work = Work::LogRow { count: 1, rows: 1 };
    let (inputs, outputs) = (inputs.to_vec(), outputs.to_vec());
    let step = Step { work, inputs, outputs, scratch: None, label: "peak".into(), flops: 0 };
    program.plans.push(Plan { name: "peak".into(), steps: vec![step], ..Plan::default() });
    Gpu::load_with(device.clone(), program, |_| Ok(vec![launch(&regions)]))
}

fn rng() -> Buffer {
    Buffer { name: "rng".into(), len: 4, element: Element::U32, class: Class::Rng }
}

/// Seconds of one run of a program, waited for.
fn once(gpu: &mut Gpu, times: u32) -> Result<()> {
    gpu.run(&[(0, times)])?;
    let last = gpu.program().buffers.len() - 1;
    gpu.read(Region { buffer: last, offset: 0, len: 1 }).map(|_| ())
}

/// 2 · 12 chains · 16 links per thread and round, as `bench/fma.wgsl` runs them.
const OPERATIONS: u64 = 2 * 12 * 16;

fn gpu_fma(device: &gpu::Device) -> Result<Measured> {
    let threads = if device.facts().is_software() { FEW_THREADS } else { THREADS };
    let kernel = |rounds: u32| {
        load(device, &[threads], |regions| {
            let params = params::bench_fma::Params { total: threads as u32, rounds, m: 0.5, c: 0.25 };
            let bindings = vec![Binding::write(regions[0])];
            Dispatch::file("bench/fma.wgsl", params, bindings, fold(threads.div_ceil(256)))
        })
    };
    let rounds = 64;
    let mut gpu = kernel(rounds)?;
    let (_, first) = clock::time(|| once(&mut gpu, 1))?;
    let (_, short) = clock::time(|| once(&mut gpu, 1))?;
    let times = (SAMPLE_S / short.max(1e-6)).clamp(1.0, 1000.0) as u32;
    let timing = clock::sample(&limits(), first, &mut || once(&mut gpu, times))?.shared_by(times);
    Ok((OPERATIONS * u64::from(rounds) * threads as u64, timing))
}

/// 256 MiB each way on a GPU, 128 MiB where its memory is the processor's.
fn gpu_copy(device: &gpu::Device) -> Result<Measured> {
    let facts = device.facts();
    let wanted = if facts.is_software() { 1 << 27 } else { 1u64 << 28 };
    let len = (wanted.min(facts.max_binding).min(facts.max_buffer) / 1024 * 256) as usize;
    let mut gpu = load(device, &[len, len], |regions| {
        let params = params::bench_copy::Params { total: len as u32 / 4, ..Default::default() };
        let bindings = vec![Binding::read(regions[0]), Binding::write(regions[1])];
        Dispatch::file("bench/copy.wgsl", params, bindings, fold((len / 4).div_ceil(256)))
    })?;
    let (_, first) = clock::time(|| once(&mut gpu, 1))?;
    let (_, short) = clock::time(|| once(&mut gpu, 1))?;
    let times = (SAMPLE_S / short.max(1e-6)).clamp(1.0, 1000.0) as u32;
    let timing = clock::sample(&limits(), first, &mut || once(&mut gpu, times))?.shared_by(times);
    Ok((8 * len as u64, timing))
}
