//! Speed of the host device in f32: products, convolutions with their gradients, and the memory-bound steps.
//!
//! `cargo bench --bench host`; `HOST_THREADS` sets the threads (one per core without it).

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use danskin::graph::{ConvSpec, Dist, FirSpec, Op, Real};
use danskin::host::Host;
use danskin::plan::{
    ALIGN, Buffer, Chain, Class, ConvDims, Element, Executor, Instr, Plan, Program, Region, Step, View, WeightDecay,
    Work,
};
use std::hint::black_box;
use std::time::Duration;

/// A step over buffers of these lengths (the outputs last), ready to run again and again.
fn host(work: Work, inputs: &[usize], outputs: &[usize], words: &[(usize, Element)]) -> Host {
    let rng = Buffer { name: "rng".into(), len: 4, element: Element::U32, class: Class::Rng };
    let mut program = Program { buffers: vec![rng], plans: vec![] };
    let mut region = |len: usize, element: Element| {
        let buffer = program.buffers.len();
        program.buffers.push(Buffer { name: format!("b{buffer}"), len, element, class: Class::Work });
        Region { buffer, offset: 0, len }
    };
    let element = |at: usize| words.iter().find(|(i, _)| *i == at).map_or(Element::F32, |(_, e)| *e);
    let inputs: Vec<Region> = inputs.iter().enumerate().map(|(i, &len)| region(len, element(i))).collect();
    let base = inputs.len();
    let outputs: Vec<Region> = outputs.iter().enumerate().map(|(i, &len)| region(len, element(base + i))).collect();
    let regions: Vec<Region> = inputs.iter().chain(&outputs).copied().collect();
    let step = Step { work, inputs, outputs, scratch: None, label: "bench".into(), flops: 0 };
    program.plans.push(Plan { name: "bench".into(), steps: vec![step], live_bytes: 0, work_bytes: 0 });
    let threads = std::env::var("HOST_THREADS").ok().and_then(|n| n.parse().ok());
    let mut host = Host::new(program, threads).expect("a valid program");
    for (i, r) in regions.into_iter().enumerate().filter(|(i, _)| element(*i) == Element::F32) {
        let values: Vec<f32> = (0..r.len).map(|n| ((n * 7 + i * 3) % 19) as f32 * 0.1 - 0.7).collect();
        host.write(r, &values).expect("a region of the program");
    }
    host
}

/// Runs a step under a name, with its operations or bytes per run.
fn bench(c: &mut Criterion, name: &str, throughput: Throughput, mut host: Host) {
    let mut group = c.benchmark_group("host");
    group.sample_size(20).warm_up_time(Duration::from_millis(200)).measurement_time(Duration::from_millis(800));
    group.throughput(throughput);
    group.bench_function(name, |b| b.iter(|| host.run(black_box(&[(0, 1)])).expect("the plan exists")));
    group.finish();
}

fn products(c: &mut Criterion) {
    for [m, n, k] in [[1024, 1024, 1024], [64, 2048, 100], [64, 64, 16384]] {
        let work = Work::MatMul { ta: false, tb: false, m, n, k };
        let flops = Throughput::Elements(2 * (m * n * k) as u64);
        bench(c, &format!("matmul {m}x{n}x{k}"), flops, host(work, &[m * k, k * n], &[m * n], &[]));
    }
}

/// The convolutions of a DCGAN at 32², and those of the speed targets: (name, n, input, cin, cout, kernel, stride, pad).
type Conv = (&'static str, usize, usize, usize, usize, usize, usize, usize);
const CONVS: [Conv; 10] = [
    ("3x3 s1 32² 64-64 n16", 16, 32, 64, 64, 3, 1, 1),
    ("4x4 s2 32² 64-128 n16", 16, 32, 64, 128, 4, 2, 1),
    ("4x4 s2 32² 3-32 n64", 64, 32, 3, 32, 4, 2, 1),
    ("4x4 s2 16² 32-64 n64", 64, 16, 32, 64, 4, 2, 1),
    ("4x4 s2 8² 64-128 n64", 64, 8, 64, 128, 4, 2, 1),
    ("4x4 s1 4² 128-1 n64", 64, 4, 128, 1, 4, 1, 0),
    ("4x4 s1 4² 128-100 n64", 64, 4, 128, 100, 4, 1, 0),
    ("1x1 s1 32² 64-64 n16", 16, 32, 64, 64, 1, 1, 0),
    ("3x3 s1 32² 3-64 n64", 64, 32, 3, 64, 3, 1, 1),
    ("3x3 s1 16² 128-128 n64", 64, 16, 128, 128, 3, 1, 1),
];

fn convolutions(c: &mut Criterion) {
    for (name, n, size, cin, cout, kernel, stride, pad) in CONVS {
        let spec = ConvSpec { stride: [stride; 2], pad: [pad; 2], groups: 1, kernel: [kernel; 2], input: [size; 2] };
        conv_family(c, name, ConvDims { spec, n, cin, cout });
    }
    let spec = ConvSpec { stride: [1; 2], pad: [1; 2], groups: 128, kernel: [3; 2], input: [32; 2] };
    conv_family(c, "depthwise 3x3 32² 128 n16", ConvDims { spec, n: 16, cin: 128, cout: 128 });
}

fn conv_family(c: &mut Criterion, name: &str, d: ConvDims) {
    let ([h, w], [ho, wo], [kh, kw]) = (d.spec.input, d.spec.output(), d.spec.kernel);
    let (x, k, y) = (d.n * h * w * d.cin, kh * kw * d.cin / d.spec.groups * d.cout, d.n * ho * wo * d.cout);
    let flops = || Throughput::Elements(2 * (d.n * ho * wo * k) as u64);
    bench(c, &format!("conv {name}"), flops(), host(Work::Conv(d), &[x, k], &[y], &[]));
    bench(c, &format!("conv_x {name}"), flops(), host(Work::ConvX(d), &[y, k], &[x], &[]));
    bench(c, &format!("conv_w {name}"), flops(), host(Work::ConvW(d), &[x, y], &[k], &[]));
}

/// A view over [rows, channels].
fn view(strides: [usize; 2]) -> View {
    View { strides: strides.to_vec(), offset: 0, within: vec![] }
}

fn memory_bound(c: &mut Criterion) {
    let (rows, channels) = (64 * 256, 64);
    let n = rows * channels;
    let bytes = |elements: usize| Throughput::Bytes(4 * elements as u64);
    let apply = |op: Op, args: &[usize]| Instr::Apply(op, args.to_vec());
    // leaky_relu(x·scale + shift), as batch norm applies it.
    let affine = Chain {
        extents: vec![rows, channels],
        views: vec![view([channels, 1]), view([0, 1]), view([0, 1])],
        instrs: vec![
            Instr::Load(0),
            Instr::Load(1),
            apply(Op::Mul, &[0, 1]),
            Instr::Load(2),
            apply(Op::Add, &[2, 3]),
            apply(Op::Scale(Real(0.2)), &[4]),
            apply(Op::Select, &[4, 4, 5]),
        ],
    };
    bench(
        c,
        "affine + leaky relu 1M",
        bytes(2 * n),
        host(Work::Pointwise(affine), &[n, channels, channels], &[n], &[]),
    );
    let tanh = Chain {
        extents: vec![n],
        views: vec![View { strides: vec![1], offset: 0, within: vec![] }],
        instrs: vec![Instr::Load(0), apply(Op::Tanh, &[0])],
    };
    bench(c, "tanh 1M", bytes(2 * n), host(Work::Pointwise(tanh), &[n], &[n], &[]));
    let transpose = Chain { extents: vec![1024, 1024], views: vec![view([1, 1024])], instrs: vec![Instr::Load(0)] };
    bench(c, "transpose 1024²", bytes(2 << 20), host(Work::Pointwise(transpose), &[1 << 20], &[1 << 20], &[]));
    // Σ x² over rows, as batch norm sums it.
    let square = Chain {
        extents: vec![rows, channels],
        views: vec![view([channels, 1])],
        instrs: vec![Instr::Load(0), apply(Op::Mul, &[0, 0])],
    };
    let reduce = |chain: &Chain, reduced: [bool; 2]| Work::Reduce { chain: chain.clone(), reduced: reduced.to_vec() };
    bench(c, "Σx² over rows 1M", bytes(n), host(reduce(&square, [true, false]), &[n], &[channels], &[]));
    bench(c, "Σx² over channels 1M", bytes(n), host(reduce(&square, [false, true]), &[n], &[rows], &[]));
    bench(c, "Σx² over all 1M", bytes(n), host(reduce(&square, [true, true]), &[n], &[1], &[]));
}

fn others(c: &mut Criterion) {
    let n = 1 << 20;
    let bytes = |elements: usize| Throughput::Bytes(4 * elements as u64);
    let words = [(2, Element::U32), (7, Element::U32)];
    let mut adam = host(Work::Adam(WeightDecay::Off), &[9, n, n / ALIGN], &[n, n, n, n, 1], &words);
    let scalars = adam.program().plans[0].steps[0].inputs[0];
    adam.write(scalars, &[2e-4, 0.5, 0.999, 1e-8, 2.0, 1000.0, 0.99, 1.0, 0.0]).unwrap();
    bench(c, "adam 1M", bytes(9 * n), adam);
    for (name, dist) in [("uniform 1M", Dist::Uniform), ("normal 1M", Dist::Normal)] {
        bench(c, name, bytes(n), host(Work::Rand { dist, stream: 1 }, &[], &[n], &[]));
    }
    let spec = FirSpec {
        taps: [0.125, 0.375, 0.375, 0.125].map(Real).to_vec(),
        up: 1,
        down: 2,
        pad: [[1, 1]; 2],
        flip: false,
    };
    for channels in [3, 64] {
        let input = [16, 64, 64, channels];
        let (from, to) = (16 * 64 * 64 * channels, 16 * 32 * 32 * channels);
        let fir = host(Work::Fir { spec: spec.clone(), input }, &[from], &[to], &[]);
        bench(c, &format!("fir ÷2 64² {channels} n16"), bytes(from + to), fir);
    }
}

criterion_group!(benches, products, convolutions, memory_bound, others);
criterion_main!(benches);
