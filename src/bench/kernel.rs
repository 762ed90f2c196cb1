//! Single kernels on a device: time, rates, and the share of what the device can do at most.

use super::clock::{self, Limits};
use super::ladder::Rung;
use super::peak::Peaks;
use super::report::Common;
use super::shape::Item;
use crate::Result;
use crate::device::Device;
use crate::gpu::Gpu;
use crate::plan::{Buffer, Class, Element, Executor, Plan, Program, Region, Step};
use serde::Serialize;

/// Calls of a kernel are put together until a sample lasts this long …
const SAMPLE_S: f64 = 0.005;
/// … or there are so many.
const MOST_CALLS: f64 = 1000.0;

/// What was measured of a kernel; one call of it where several were put together.
#[derive(Clone, Debug, Serialize)]
pub struct KernelRow {
    /// Shape and time.
    #[serde(flatten)]
    pub common: Common,
    /// Kernel family.
    pub family: &'static str,
    /// Which of the ways to run it.
    pub rung: String,
    /// Floating-point operations.
    pub flops: u64,
    /// Bytes that must be read and written.
    pub bytes: u64,
    /// 10⁹ of those bytes per second, by the median.
    pub gbytes_per_s: f64,
    /// Operations a byte.
    pub intensity: f64,
    /// Share of the device's measured peak of multiply-adds, where that was measured.
    pub of_fma: Option<f64>,
    /// Share of its measured memory bandwidth.
    pub of_memory: Option<f64>,
    /// Share of what the two peaks let a kernel of this intensity reach.
    pub of_roof: Option<f64>,
}

/// Measures an item by a rung; on the host device there is only the chosen one.
///
/// # Errors
/// A device that fails, or has too little memory.
pub fn measure(device: &Device, item: &Item, rung: &Rung, peaks: Option<&Peaks>, limits: &Limits) -> Result<KernelRow> {
    let mut loaded = load(device, item, rung)?;
    fill(loaded.as_mut(), item)?;
    let last = item.steps.last().and_then(|s| s.outputs.first()).copied().unwrap_or(0);
    let end = Region { len: 1, ..region(item, last) };
    let mut run = |times: u32| -> Result<()> {
        loaded.run(&[(0, times)])?;
        loaded.read(end).map(|_| ())
    };
    let (_, first) = clock::time(|| run(1))?;
    let times = match item.is_workload {
        true => 1,
        false => {
            let (_, second) = clock::time(|| run(1))?;
            (SAMPLE_S / second.max(1e-9)).clamp(1.0, MOST_CALLS) as u32
        }
    };
    let timing = clock::sample(limits, first, &mut || run(times))?.shared_by(times);
    let (flops, bytes) = (item.flops(), item.bytes());
    let (rate, speed) = (flops as f64 / timing.median_s / 1e9, bytes as f64 / timing.median_s / 1e9);
    let intensity = flops as f64 / bytes as f64;
    let common = Common::new(&loaded.describe(), &item.name, item.batch, timing, flops);
    Ok(KernelRow {
        common,
        family: item.family,
        rung: rung.name(),
        flops,
        bytes,
        gbytes_per_s: speed,
        intensity,
        of_fma: peaks.map(|p| rate / p.gflops()),
        of_memory: peaks.map(|p| speed / p.gbytes_per_s()),
        of_roof: peaks.map(|p| rate / p.roof(intensity)),
    })
}

/// Where an operand of an item lies: each has a buffer of its own after that of the random numbers.
fn region(item: &Item, operand: usize) -> Region {
    Region { buffer: operand + 1, offset: 0, len: item.operands[operand].len }
}

fn load(device: &Device, item: &Item, rung: &Rung) -> Result<Box<dyn Executor>> {
    let rng = Buffer { name: "rng".into(), len: 4, element: Element::U32, class: Class::Rng };
    let mut program = Program { buffers: vec![rng], plans: vec![] };
    let mut buffer = |name: String, len: usize, element: Element| {
        program.buffers.push(Buffer { name, len, element, class: Class::Work });
        Region { buffer: program.buffers.len() - 1, offset: 0, len }
    };
    for (i, operand) in item.operands.iter().enumerate() {
        buffer(format!("operand {i}"), operand.len, operand.element);
    }
    let mut steps = vec![];
    for (i, step) in item.steps.iter().enumerate() {
        let len = item.operands[step.outputs[0]].len;
        let scratch = match (device, rung) {
            (Device::Host, _) => 0,
            (_, Rung::Chosen) => (device.options(true).scratch)(&step.work),
            (_, rung) => rung.scratch(&step.work, len),
        };
        let scratch = (scratch > 0).then(|| buffer(format!("scratch {i}"), scratch, Element::F32));
        steps.push(Step {
            work: step.work.clone(),
            inputs: step.inputs.iter().map(|&o| region(item, o)).collect(),
            outputs: step.outputs.iter().map(|&o| region(item, o)).collect(),
            scratch,
            label: format!("{} {i}", item.name),
            flops: step.flops,
        });
    }
    program.plans.push(Plan { name: "bench".into(), steps, ..Plan::default() });
    match (device, rung) {
        (_, Rung::Chosen) | (Device::Host, _) => device.load(program),
        (Device::Gpu(gpu), rung) => Ok(Box::new(Gpu::load_with(gpu.clone(), program, |step| rung.lower(step))?)),
    }
}

/// Numbers in [-1, 1) in every operand that is read; settings that keep an optimiser's numbers finite.
fn fill(device: &mut dyn Executor, item: &Item) -> Result<()> {
    let read = |o: usize| item.steps.iter().any(|s| s.inputs.contains(&o));
    for (o, operand) in item.operands.iter().enumerate().filter(|(o, _)| read(*o)) {
        let values: Vec<f32> = match (item.family, o) {
            // lr, β₁, β₂, ε, both corrections, β of the average, gradient scale, weight decay
            ("adam", 0) => vec![2e-4, 0.5, 0.999, 1e-8, 2.0, 1000.0, 0.99, 1.0, 0.0],
            ("sgd", 0) => vec![2e-4, 0.9, 0.0, 0.0, 0.0, 0.0, 0.99, 1.0, 5e-4],
            _ if operand.element == Element::U32 => continue,
            _ => (0..operand.len).map(|i| (i.wrapping_mul(2_654_435_761) % 2001) as f32 / 1000.0 - 1.0).collect(),
        };
        device.write(region(item, o), &values)?;
    }
    Ok(())
}
