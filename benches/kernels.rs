//! The ladder of every product kernel, from naive to each tile: milliseconds and GFLOP/s on one device.
//!
//! `cargo bench --bench kernels -- conv_x` runs the rungs whose line contains `conv_x`. The device is `DANSKIN_DEVICE` (default:
//! the first Vulkan adapter, a software one too). The time of a launch is the median over repeats of a submission of
//! several launches, waited for; a star marks the rung the launchers choose.

use danskin::gpu::{Device, Gpu, list};
use danskin::graph::{ConvSpec, FirSpec, Real};
use danskin::kernels::tile::{Schedule, Tile};
use danskin::kernels::{self, Dispatch, conv, matmul};
use danskin::plan::{Buffer, Class, ConvDims, Element, Executor, Plan, Program, Region, Step, Work};
use danskin::{Error, Result};
use std::time::Instant;

/// A submission lasts about this long.
const SUBMISSION_SECONDS: f64 = 0.05;
const REPEATS: usize = 5;

/// One kernel for some work.
#[derive(Clone, Copy)]
enum Rung {
    Chosen,
    Naive,
    Forced(Schedule),
}

impl Rung {
    fn name(&self) -> String {
        match self {
            Rung::Chosen => "chosen *".into(),
            Rung::Naive => "naive".into(),
            Rung::Forced(Schedule { tile: t, parts, .. }) => {
                format!("{}×{}×{} thread {}×{} parts {parts}", t.rows, t.cols, t.depth, 4 * t.row_vecs, 4 * t.col_vecs)
            }
        }
    }

    fn lower(&self, step: &Step) -> Result<Vec<Dispatch>> {
        let gemm = matches!(step.work, Work::MatMul { .. });
        match self {
            Rung::Chosen => kernels::lower(step),
            Rung::Naive if gemm => Ok(matmul::naive(step)),
            Rung::Naive => Ok(conv::naive(step)),
            Rung::Forced(schedule) if gemm => matmul::tiled(step, schedule),
            Rung::Forced(schedule) => conv::tiled(step, schedule),
        }
    }
}

/// Work with the elements of its operands and its floating-point operations.
struct Item {
    label: String,
    work: Work,
    inputs: Vec<usize>,
    output: usize,
    flops: u64,
}

fn gemm(ta: bool, tb: bool, [m, n, k]: [usize; 3]) -> Item {
    let transposed = |t| if t { "ᵀ" } else { "" };
    Item {
        label: format!("matmul {m}×{n}×{k} a{}·b{}", transposed(ta), transposed(tb)),
        work: Work::MatMul { ta, tb, m, n, k },
        inputs: vec![m * k, k * n],
        output: m * n,
        flops: 2 * (m * n * k) as u64,
    }
}

/// The three members of the family for x [n,size,size,cin].
fn convs(n: usize, size: usize, [cin, cout]: [usize; 2], [kernel, stride, pad, groups]: [usize; 4]) -> [Item; 3] {
    let spec = ConvSpec { stride: [stride; 2], pad: [pad; 2], groups, kernel: [kernel; 2], input: [size; 2] };
    let d = ConvDims { spec, n, cin, cout };
    let [ho, wo] = spec.output();
    let (x, w, y) = (n * size * size * cin, kernel * kernel * cin / groups * cout, n * ho * wo * cout);
    let item = |name: &str, work: Work, inputs: Vec<usize>, output: usize| Item {
        label: format!("{name} {n}×{size}²×{cin}→{ho}²×{cout} k{kernel} s{stride} g{groups}"),
        work,
        inputs,
        output,
        flops: 2 * (y * kernel * kernel * cin / groups) as u64,
    };
    [
        item("conv", Work::Conv(d), vec![x, w], y),
        item("conv_x", Work::ConvX(d), vec![y, w], x),
        item("conv_w", Work::ConvW(d), vec![x, y], w),
    ]
}

fn fir(input: [usize; 4], up: usize, down: usize) -> Item {
    let spec =
        FirSpec { taps: [1.0, 3.0, 3.0, 1.0].map(|t| Real(t / 8.0)).to_vec(), up, down, pad: [[2, 1]; 2], flip: false };
    let output = input[0] * spec.output(0, input[1]) * spec.output(1, input[2]) * input[3];
    Item {
        label: format!("fir {input:?} 4 taps up {up} down {down}"),
        work: Work::Fir { spec, input },
        inputs: vec![input.iter().product()],
        output,
        flops: 2 * (output * 16 / (up * up)) as u64,
    }
}

/// The rungs of an item: everything that can do it.
fn ladder(item: &Item) -> Vec<Rung> {
    let Some(product) = matmul::product(&item.work).or(conv::product(&item.work)) else { return vec![Rung::Chosen] };
    let mut rungs = vec![Rung::Naive];
    for tile in Tile::ALL {
        let split = Schedule::split(&product, tile);
        rungs.push(Rung::Forced(split));
        if split.parts > 1 {
            rungs.push(Rung::Forced(Schedule::new(&product, tile, 1)));
        }
    }
    rungs.push(Rung::Chosen);
    rungs
}

/// Seconds of all cores that this process has used, where the system tells: what a software adapter needs on a busy machine.
fn cpu_seconds() -> Option<f64> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    let fields: Vec<&str> = stat.rsplit(')').next()?.split_whitespace().collect();
    let ticks = |i: usize| fields.get(i)?.parse::<f64>().ok();
    // User and system time, in hundredths of a second.
    Some((ticks(11)? + ticks(12)?) / 100.0)
}

/// Median seconds of a launch, and its mean seconds of all cores.
fn time(device: &Device, item: &Item, rung: &Rung) -> Result<(f64, Option<f64>)> {
    let scratch = match rung {
        Rung::Chosen => kernels::scratch(&item.work),
        Rung::Naive => 0,
        Rung::Forced(schedule) => schedule.scratch(item.output),
    };
    let lens: Vec<usize> = item.inputs.iter().copied().chain([item.output, scratch.max(1)]).collect();
    let region = |i: usize| Region { buffer: i + 1, offset: 0, len: lens[i] };
    let buffers = std::iter::once((4, Element::U32, Class::Rng))
        .chain(lens.iter().map(|&len| (len, Element::F32, Class::Work)))
        .enumerate()
        .map(|(i, (len, element, class))| Buffer { name: format!("buffer {i}"), len, element, class })
        .collect();
    let count = item.inputs.len();
    let step = Step {
        work: item.work.clone(),
        inputs: (0..count).map(region).collect(),
        outputs: vec![region(count)],
        scratch: Some(region(count + 1)),
        label: item.label.clone(),
        flops: item.flops,
    };
    let plan = Plan { name: "bench".into(), steps: vec![step], ..Plan::default() };
    let program = Program { buffers, plans: vec![plan] };
    let mut gpu = Gpu::load_with(device.clone(), program, |step| rung.lower(step))?;
    for i in 0..count {
        let values: Vec<f32> = (0..lens[i]).map(|k| ((k * 2_654_435_761) % 2001) as f32 / 1000.0 - 1.0).collect();
        gpu.write(region(i), &values)?;
    }
    let mut run = |times: u32| -> Result<f64> {
        let begin = Instant::now();
        gpu.run(&[(0, times)])?;
        gpu.read(Region { len: 1, ..region(count) })?;
        Ok(begin.elapsed().as_secs_f64() / f64::from(times))
    };
    run(1)?;
    let times = (SUBMISSION_SECONDS / run(1)?).clamp(1.0, 1000.0) as u32;
    let before = cpu_seconds();
    let mut seconds = (0..REPEATS).map(|_| run(times)).collect::<Result<Vec<f64>>>()?;
    seconds.sort_by(f64::total_cmp);
    let cpu = before.zip(cpu_seconds()).map(|(from, to)| (to - from) / (REPEATS as f64 * f64::from(times)));
    Ok((seconds[REPEATS / 2], cpu))
}

fn items() -> Vec<Item> {
    let mut items = vec![
        gemm(false, false, [1024; 3]),
        gemm(false, true, [512; 3]),
        gemm(true, false, [512, 64, 16384]),
        gemm(false, false, [64, 8192, 100]),
    ];
    items.extend(convs(16, 32, [64, 64], [3, 1, 1, 1]));
    items.extend(convs(16, 32, [64, 64], [4, 2, 1, 1]));
    items.extend(convs(16, 8, [256, 256], [3, 1, 1, 1]));
    items.extend(convs(16, 16, [256, 256], [3, 1, 1, 16]));
    items.extend(convs(16, 32, [64, 64], [3, 1, 1, 64]));
    items.extend([fir([16, 32, 32, 64], 1, 1), fir([16, 16, 16, 64], 2, 1), fir([16, 32, 32, 64], 1, 2)]);
    items
}

fn main() -> Result<()> {
    let filters: Vec<String> = std::env::args().skip(1).filter(|a| !a.starts_with('-')).collect();
    let choice = std::env::var("DANSKIN_DEVICE").unwrap_or_else(|_| "vulkan".into());
    let known = list();
    let id = known.iter().map(|f| &f.id).find(|id| id.starts_with(&choice));
    let Some(id) = id else {
        let ids: Vec<&str> = known.iter().map(|f| f.id.as_str()).collect();
        return Err(Error::device(
            choice,
            format!("no such adapter; DANSKIN_DEVICE may be one of: {}", ids.join(", ")),
        ));
    };
    let device = Device::open(id)?;
    println!("{} {} ({})", device.facts().id, device.facts().name, device.facts().driver);
    println!("{:<48} {:<36} {:>10} {:>10} {:>9}", "work", "kernel", "ms", "core ms", "GFLOP/s");
    for item in items() {
        for rung in ladder(&item) {
            let line = format!("{:<48} {:<36}", item.label, rung.name());
            if !filters.iter().all(|f| line.contains(f.as_str())) {
                continue;
            }
            let (seconds, cpu) = time(&device, &item, &rung)?;
            let cpu = cpu.map_or("".into(), |cpu| format!("{:.3}", 1e3 * cpu));
            println!("{line} {:>10.3} {cpu:>10} {:>9.2}", 1e3 * seconds, item.flops as f64 / seconds / 1e9);
        }
    }
    Ok(())
}
