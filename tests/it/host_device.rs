//! Every kind of step on the host device, in f64 and f32, against `host::eval` or sums written plainly here.
//!
//! Each step runs with garbage in its output and sentinels around it, on one thread and on two (the same bits), twice
//! (the same bits, no more scratch).

use crate::host_eval::conv_cases;
use danskin::graph::{Dist, FirSpec, Graph, Op, Real, Shape, Tensor};
use danskin::host::{Host, Rng, Scalar, eval};
use danskin::plan::{
    ALIGN, Buffer, Chain, Class, ConvDims, Draw, Element, Executor, Instr, Plan, Program, Region, Step, View,
    WeightDecay, Within, Work,
};
use danskin::{kernels, philox};
use std::collections::HashMap;

const SEED: u64 = 0x1234_5678_9abc_def0;
const STEP: u32 = 3;
const SENTINEL: f64 = -12345.0;

fn noise(stream: u32, n: usize) -> Vec<f64> {
    // Exact in f32, so that both precisions start from the same numbers.
    (0..n as u64).map(|i| f64::from(philox::normal_at(6, stream, 0, i) as f32)).collect()
}

/// A program under construction: the seed, then one buffer per tensor, each at offset [`ALIGN`] with room behind.
struct Builder {
    program: Program,
}

impl Builder {
    fn new() -> Builder {
        let rng = Buffer { name: "rng".into(), len: 4, element: Element::U32, class: Class::Rng };
        Builder { program: Program { buffers: vec![rng], plans: vec![Plan::default()] } }
    }

    fn region(&mut self, len: usize, element: Element) -> Region {
        let buffer = self.program.buffers.len();
        let name = format!("buffer {buffer}");
        self.program.buffers.push(Buffer { name, len: len + 2 * ALIGN, element, class: Class::Work });
        Region { buffer, offset: ALIGN, len }
    }

    fn step(&mut self, work: Work, inputs: &[Region], outputs: &[Region]) {
        let (inputs, outputs) = (inputs.to_vec(), outputs.to_vec());
        let step = Step { work, inputs, outputs, scratch: None, label: "test".into(), flops: 0 };
        self.program.plans[0].steps.push(step);
    }

    fn host<T: Scalar>(&self, threads: usize) -> Host<T> {
        let mut host = Host::new(self.program.clone(), Some(threads)).unwrap();
        let rng = Region { buffer: 0, offset: 0, len: 4 };
        host.write_u32(rng, &[SEED as u32, (SEED >> 32) as u32, STEP, 0]).unwrap();
        host
    }
}

fn whole(r: Region) -> Region {
    Region { offset: 0, len: r.len + 2 * ALIGN, ..r }
}

fn set<T: Scalar>(host: &mut Host<T>, region: Region, values: &[f64]) {
    host.values(region).unwrap().iter_mut().zip(values).for_each(|(to, &v)| *to = T::of(v));
}

/// Runs one step of f32 tensors and compares its output.
fn check(what: &str, work: Work, inputs: &[&[f64]], want: &[f64], tolerance: f64) {
    run_as::<f64>(what, &work, inputs, want, 1e-11);
    run_as::<f32>(what, &work, inputs, want, tolerance);
}

fn run_as<T: Scalar>(what: &str, work: &Work, inputs: &[&[f64]], want: &[f64], tolerance: f64) {
    let mut b = Builder::new();
    let regions: Vec<Region> = inputs.iter().map(|values| b.region(values.len(), Element::F32)).collect();
    let out = b.region(want.len(), Element::F32);
    b.step(work.clone(), &regions, &[out]);
    let mut results: Vec<Vec<T>> = vec![];
    for threads in [1, 2] {
        let mut host = b.host::<T>(threads);
        for (&region, values) in regions.iter().zip(inputs) {
            set(&mut host, region, values);
        }
        let mut scratch = None;
        for _ in 0..2 {
            host.values(whole(out)).unwrap().fill(T::of(SENTINEL));
            host.run(&[(0, 1)]).unwrap();
            let around = host.values(whole(out)).unwrap().to_vec();
            assert!(around[..ALIGN].iter().all(|&v| v == T::of(SENTINEL)), "{what}: wrote before its output");
            assert!(
                around[ALIGN + want.len()..].iter().all(|&v| v == T::of(SENTINEL)),
                "{what}: wrote past its output"
            );
            results.push(around[ALIGN..ALIGN + want.len()].to_vec());
            let bytes = host.scratch_bytes();
            assert_eq!(*scratch.get_or_insert(bytes), bytes, "{what}: scratch grew");
        }
    }
    let size = want.iter().fold(0.0, |m: f64, v| m.max(v.abs()));
    for (i, (&got, &want)) in results[0].iter().zip(want).enumerate() {
        let error = (got.to_f64() - want).abs();
        assert!(error <= tolerance * (size + want.abs()), "{what}: element {i}: {got} is not {want}");
    }
    for other in &results[1..] {
        assert!(
            results[0].iter().zip(other).all(|(a, b)| a.to_f64().to_bits() == b.to_f64().to_bits()),
            "{what}: bits"
        );
    }
}

/// What `eval` makes of a graph with one root over inputs named a and b.
fn oracle(
    build: impl for<'g> Fn(Tensor<'g>, Tensor<'g>) -> Tensor<'g>,
    a: (&[usize], &[f64]),
    b: (&[usize], &[f64]),
) -> Vec<f64> {
    let g = Graph::new();
    let root = build(g.input("a", a.0), g.input("b", b.0));
    let feeds = HashMap::from([("a".to_string(), a.1.to_vec()), ("b".to_string(), b.1.to_vec())]);
    eval(&g.freeze(&[("out".into(), root)]), &feeds, Rng { seed: SEED, step: STEP, round: 0 })
        .unwrap()
        .remove("out")
        .unwrap()
}

#[test]
fn matrix_products() {
    let cases =
        [(1, 1, 1), (3, 5, 7), (64, 1, 200), (65, 63, 31), (130, 257, 40), (17, 9, 5000), (1, 300, 64), (40, 33, 0)];
    for (m, n, k) in cases {
        for (ta, tb) in [(false, false), (true, false), (false, true), (true, true)] {
            let (a, b) = (noise(1, m * k), noise(2, k * n));
            let at = |i: usize, l: usize| if ta { a[l * m + i] } else { a[i * k + l] };
            let bt = |l: usize, j: usize| if tb { b[j * k + l] } else { b[l * n + j] };
            let want: Vec<f64> = (0..m * n).map(|i| (0..k).map(|l| at(i / n, l) * bt(l, i % n)).sum()).collect();
            check(&format!("{m}×{n}×{k} {ta} {tb}"), Work::MatMul { ta, tb, m, n, k }, &[&a, &b], &want, 1e-5);
        }
    }
}

#[test]
fn convolutions() {
    for (spec, n, cin, cout) in conv_cases() {
        let [[h, w], [ho, wo], [kh, kw]] = [spec.input, spec.output(), spec.kernel];
        let (xs, ws, ys) = ([n, h, w, cin], [kh, kw, cin / spec.groups, cout], [n, ho, wo, cout]);
        let [x, k, y] = [(1, &xs), (2, &ws), (3, &ys)].map(|(i, s)| noise(i, s.iter().product()));
        let d = ConvDims { spec, n, cin, cout };
        let name = format!("{spec:?}");
        check(&name, Work::Conv(d), &[&x, &k], &oracle(|a, b| a.conv_spec(b, spec), (&xs, &x), (&ws, &k)), 1e-5);
        check(&name, Work::ConvX(d), &[&y, &k], &oracle(|a, b| a.conv_x_spec(b, spec), (&ys, &y), (&ws, &k)), 1e-5);
        check(&name, Work::ConvW(d), &[&x, &y], &oracle(|a, b| a.conv_w_spec(b, spec), (&xs, &x), (&ys, &y)), 1e-5);
    }
}

#[test]
fn filters() {
    let taps = [0.3, -1.0, 0.7, 0.25].map(Real).to_vec();
    for (up, down, pad) in
        [(1, 1, [[1, 2], [2, 1]]), (2, 1, [[2, 1], [2, 1]]), (1, 2, [[1, 1], [1, 1]]), (2, 3, [[-1, 4], [3, -2]])]
    {
        let spec = FirSpec { taps: taps.clone(), up, down, pad, flip: up == 2 };
        let input = [3, 9, 7, 5];
        let x = noise(4, 945);
        let want = oracle(|a, _| a.fir(spec.clone()), (&input, &x), (&[1], &[0.0]));
        check(&format!("{spec:?}"), Work::Fir { spec, input }, &[&x], &want, 1e-6);
    }
}

#[test]
fn padding() {
    for (from, to, start) in [
        (vec![1], vec![2], vec![0]),
        (vec![3, 4], vec![3, 9], vec![0, 2]),
        (vec![2, 3, 5, 7], vec![2, 5, 6, 20], vec![0, 1, 1, 13]),
        (vec![2, 1, 130], vec![5, 300, 131], vec![3, 299, 1]),
        (vec![40, 1, 30, 1, 7], vec![40, 2, 30, 3, 7], vec![0, 1, 0, 2, 0]),
    ] {
        let (from, to) = (Shape::from(from), Shape::from(to));
        let x = noise(5, from.elems());
        let want = oracle(|a, _| a.pad(&start, &to), (&from, &x), (&[1], &[0.0]));
        let limited = (0..to.len()).filter(|&a| from[a] != to[a]);
        let within: Vec<Within> =
            limited.map(|dim| Within { dim, from: start[dim], to: start[dim] + from[dim] }).collect();
        let view = View { strides: from.strides(), offset: 0, within: within.clone() };
        let chain = |instrs| Chain { extents: to.to_vec(), views: vec![view.clone()], instrs };
        let plain = Work::Pointwise(chain(vec![Instr::Load(0)]));
        check(&format!("{from} in {to}"), plain, &[&x], &want, 0.0);
        // What a chain computes outside is replaced.
        let select = Instr::Apply(Op::Select, vec![1, 0, 2]);
        let replaced = chain(vec![Instr::Load(0), Instr::Inside(within), Instr::Const(Real(0.5)), select]);
        let want = chain_values(&replaced, &[&x]);
        check(&format!("{from} in halves of {to}"), Work::Pointwise(replaced), &[&x], &want, 0.0);
    }
}

#[test]
fn rows_by_index() {
    let (rows, cols, count) = (7, 33, 300);
    let index: Vec<f64> = (0..count).map(|i| ((i * i + 3) % 9) as f64 - 1.0).collect();
    let (table, values) = (noise(6, rows * cols), noise(7, count * cols));
    let want = oracle(|a, b| a.gather(b), (&[rows, cols], &table), (&[count], &index));
    check("gather", Work::Gather { rows, cols, count }, &[&table, &index], &want, 0.0);
    let want = oracle(|a, b| a.scatter_add(b, rows), (&[count, cols], &values), (&[count], &index));
    check("scatter_add", Work::ScatterAdd { rows, cols, count }, &[&values, &index], &want, 1e-6);
}

#[test]
fn bilinear_samples() {
    let (n, c, from, to) = (3, 5, [6, 8], [7, 9]);
    let grid: Vec<f64> = noise(8, n * 63 * 2).iter().map(|v| f64::from((3.5 + 3.0 * v) as f32)).collect();
    let (x, y) = (noise(9, n * 48 * c), noise(10, n * 63 * c));
    let want = oracle(|a, b| a.sample(b), (&[n, 6, 8, c], &x), (&[n, 7, 9, 2], &grid));
    check("sample", Work::Sample { n, c, from, to }, &[&x, &grid], &want, 1e-6);
    let want = oracle(|a, b| a.sample_adjoint(b, from), (&[n, 7, 9, c], &y), (&[n, 7, 9, 2], &grid));
    check("sample_adjoint", Work::SampleAdjoint { n, c, from, to }, &[&y, &grid], &want, 1e-6);
}

#[test]
fn random_numbers() {
    for n in [1, 63, 64, 65, 20_003u64] {
        let uniform: Vec<f64> = (0..n).map(|i| philox::uniform_at(SEED, 9, STEP, i)).collect();
        check("uniform", Work::Rand { dist: Dist::Uniform, stream: 9 }, &[], &uniform, 0.0);
        let normal: Vec<f64> = (0..n).map(|i| philox::normal_at(SEED, 8, STEP, i)).collect();
        check("normal", Work::Rand { dist: Dist::Normal, stream: 8 }, &[], &normal, 3e-7);
    }
}

/// A chain evaluated one element at a time: values in the order of iteration.
fn chain_values(chain: &Chain, inputs: &[&[f64]]) -> Vec<f64> {
    let strides = Shape::from(chain.extents.as_slice()).strides();
    let inside = |within: &[Within], n: usize| {
        within.iter().all(|w| (w.from..w.to).contains(&(n / strides[w.dim] % chain.extents[w.dim])))
    };
    let element = |n: usize| {
        let mut line: Vec<f64> = vec![];
        for instr in &chain.instrs {
            let value = match instr {
                Instr::Load(i) => {
                    let view = &chain.views[*i];
                    let at = |a: usize| n / strides[a] % chain.extents[a] * view.strides[a];
                    let ahead: usize = view.within.iter().map(|w| w.from * view.strides[w.dim]).sum();
                    let place = view.offset + (0..strides.len()).map(at).sum::<usize>();
                    if inside(&view.within, n) { inputs[*i][place - ahead] } else { 0.0 }
                }
                Instr::Inside(within) => f64::from(u8::from(inside(within, n))),
                Instr::Const(c) => c.0,
                Instr::Apply(op, args) => match (op, args.as_slice()) {
                    (Op::Add, &[a, b]) => line[a] + line[b],
                    (Op::Mul, &[a, b]) => line[a] * line[b],
                    (Op::Max, &[a, b]) => line[a].max(line[b]),
                    (Op::Scale(c), &[a]) => c.0 * line[a],
                    (Op::Tanh, &[a]) => line[a].tanh(),
                    (Op::Select, &[a, b, c]) => {
                        if line[a] > 0.0 {
                            line[b]
                        } else {
                            line[c]
                        }
                    }
                    _ => unreachable!("{op:?} is not used by these tests"),
                },
            };
            line.push(value);
        }
        line[line.len() - 1]
    };
    (0..chain.elems()).map(element).collect()
}

/// A chain over `extents` that reads inputs with all kinds of views, and those inputs.
fn mixed_chain(extents: &[usize]) -> (Chain, Vec<Vec<f64>>) {
    let contiguous = Shape::from(extents).strides();
    let rank = extents.len();
    let reversed = {
        let mut strides = vec![1; rank];
        (1..rank).for_each(|a| strides[a] = strides[a - 1] * extents[a - 1]);
        strides
    };
    let only = |axis: usize, stride: usize| (0..rank).map(|a| if a == axis { stride } else { 0 }).collect::<Vec<_>>();
    let views = vec![
        View { strides: contiguous, offset: 3, within: vec![] },
        View { strides: reversed, offset: 0, within: vec![] },
        View { strides: only(rank - 1, 1), offset: 5, within: vec![] },
        View { strides: only(0, 2), offset: 1, within: vec![] },
        View { strides: vec![0; rank], offset: 2, within: vec![] },
    ];
    let total: usize = extents.iter().product();
    let widest = extents.iter().max().unwrap();
    let lens = [total + 3, total, widest + 5, 2 * widest + 1, 3];
    let inputs = lens.iter().enumerate().map(|(i, &n)| noise(20 + i as u32, n)).collect();
    use Instr::{Apply, Const, Load};
    let instrs = vec![
        Load(0),
        Load(2),
        Apply(Op::Mul, vec![0, 1]),
        Load(3),
        Apply(Op::Add, vec![2, 3]),
        Load(1),
        Apply(Op::Tanh, vec![5]),
        Apply(Op::Select, vec![4, 6, 0]),
        Const(Real(0.25)),
        Apply(Op::Max, vec![7, 8]),
        Load(4),
        Apply(Op::Mul, vec![9, 10]),
        Apply(Op::Scale(Real(-1.5)), vec![11]),
        Apply(Op::Add, vec![12, 4]),
    ];
    (Chain { extents: extents.to_vec(), views, instrs }, inputs)
}

#[test]
fn pointwise_chains() {
    for extents in
        [vec![1], vec![1025], vec![3, 700], vec![400, 3], vec![5, 1, 7, 31], vec![300, 129], vec![2, 3, 4, 5, 6, 7]]
    {
        let (chain, inputs) = mixed_chain(&extents);
        let inputs: Vec<&[f64]> = inputs.iter().map(|v| v.as_slice()).collect();
        let want = chain_values(&chain, &inputs);
        check(&format!("chain over {extents:?}"), Work::Pointwise(chain.clone()), &inputs, &want, 1e-6);
        // Each view alone: a copy.
        for (view, input) in chain.views.iter().zip(&inputs) {
            let chain = Chain { extents: extents.clone(), views: vec![view.clone()], instrs: vec![Instr::Load(0)] };
            let want = chain_values(&chain, &[input]);
            check(&format!("copy of {view:?} over {extents:?}"), Work::Pointwise(chain), &[input], &want, 0.0);
        }
    }
    let constant = Chain { extents: vec![40], views: vec![], instrs: vec![Instr::Const(Real(2.5))] };
    check("constant", Work::Pointwise(constant), &[], &[2.5; 40], 0.0);
}

#[test]
fn reductions() {
    let cases: [(&[usize], &[bool]); 17] = [
        (&[1], &[true]),
        (&[70_001], &[true]),
        (&[5, 3], &[false, false]),
        (&[300, 70], &[true, false]),
        (&[40_000, 3], &[true, false]),
        (&[9, 2500], &[true, false]),
        (&[3000, 10], &[false, true]),
        (&[3, 33_000], &[false, true]),
        (&[257, 100], &[false, true]),
        (&[6, 40, 50], &[false, true, false]),
        (&[700, 3, 5], &[false, true, false]),
        (&[2, 900, 40], &[false, true, false]),
        (&[4, 5, 600], &[true, false, true]),
        (&[3, 4, 5, 6, 7], &[false, true, false, true, false]),
        (&[3, 4, 5, 6], &[true, false, true, false]),
        (&[4, 5, 6, 8], &[true, true, false, false]),
        (&[4, 1, 6, 8], &[false, false, true, true]),
    ];
    for (extents, reduced) in cases {
        let strides = Shape::from(extents).strides();
        let mut to_stride = vec![0; extents.len()];
        let mut outputs = 1;
        for a in (0..extents.len()).rev().filter(|&a| !reduced[a]) {
            to_stride[a] = outputs;
            outputs *= extents[a];
        }
        let sum = |values: &[f64]| {
            let mut want = vec![0.0; outputs];
            for (n, v) in values.iter().enumerate() {
                want[(0..extents.len()).map(|a| n / strides[a] % extents[a] * to_stride[a]).sum::<usize>()] += v;
            }
            want
        };
        let (chain, inputs) = mixed_chain(extents);
        let inputs: Vec<&[f64]> = inputs.iter().map(|v| v.as_slice()).collect();
        let want = sum(&chain_values(&chain, &inputs));
        let what = format!("sum of {extents:?} over {reduced:?}");
        let work = Work::Reduce { chain: chain.clone(), reduced: reduced.to_vec() };
        check(&what, work, &inputs, &want, 3e-6);
        let plain = Chain { extents: extents.to_vec(), views: chain.views[..1].to_vec(), instrs: vec![Instr::Load(0)] };
        let want = sum(&chain_values(&plain, &inputs[..1]));
        check(&what, Work::Reduce { chain: plain, reduced: reduced.to_vec() }, &inputs[..1], &want, 1e-6);
    }
}

/// A million equal numbers: naive f32 accumulation would be off by percents.
#[test]
fn long_sums_are_accurate() {
    let n = 1 << 20;
    let x = vec![f64::from(0.1f32); n];
    let want = [x.iter().sum::<f64>()];
    let view = |strides: &[usize]| View { strides: strides.to_vec(), offset: 0, within: vec![] };
    let flat = Chain { extents: vec![n], views: vec![view(&[1])], instrs: vec![Instr::Load(0)] };
    run_as::<f32>("flat", &Work::Reduce { chain: flat, reduced: vec![true] }, &[&x], &want, 1e-7);
    let rows = Chain { extents: vec![n / 4, 4], views: vec![view(&[4, 1])], instrs: vec![Instr::Load(0)] };
    let want = [want[0] / 4.0; 4];
    run_as::<f32>("rows", &Work::Reduce { chain: rows, reduced: vec![true, false] }, &[&x], &want, 1e-7);
}

fn adam_as<T: Scalar>(tolerance: f64) {
    let n = 5 * ALIGN + 7;
    let mut b = Builder::new();
    let (scalars, grads) = (b.region(9, Element::F32), b.region(n, Element::F32));
    let owner = b.region(6, Element::U32);
    let state = [0; 4].map(|_| b.region(n, Element::F32));
    let counters = b.region(3, Element::U32);
    let [p, m, v, ema] = state;
    b.step(Work::Adam(WeightDecay::Off), &[scalars, grads, owner], &[p, m, v, ema, counters]);
    // The same weights without an average.
    let alone = [0; 3].map(|_| b.region(n, Element::F32));
    let counted = b.region(3, Element::U32);
    b.step(Work::Adam(WeightDecay::Off), &[scalars, grads, owner], &[alone[0], alone[1], alone[2], counted]);
    let (lr, b1, b2, eps, c1, c2, beta) = (0.01, 0.5, 0.9, 1e-8, 2.0, 10.0, 0.75);
    let mut g = noise(30, n);
    (g[3], g[ALIGN], g[n - 1], g[10]) = (f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 3e7);
    let before = [31, 32, 33, 34].map(|i| noise(i, n));
    let mut results = vec![];
    for threads in [1, 2] {
        let mut host = b.host::<T>(threads);
        set(&mut host, scalars, &[lr, b1, b2, eps, c1, c2, beta, 0.5, 0.0]);
        set(&mut host, grads, &g);
        for (&region, values) in state.iter().zip(&before).chain(alone.iter().zip(&before)) {
            set(&mut host, region, values);
        }
        // The second moment is never negative.
        for v in [v, alone[2]] {
            host.values(v).unwrap().iter_mut().for_each(|v| *v = v.abs());
        }
        host.write_u32(owner, &[0, 1, 1, 1, 2, 2]).unwrap();
        host.write_u32(counters, &[7, 0, 0]).unwrap();
        host.run(&[(0, 1)]).unwrap();
        assert_eq!(host.read_u32(counters).unwrap(), [8, 1, 1]);
        assert_eq!(host.read_u32(counted).unwrap(), [1, 1, 1]);
        for (with, without) in state.iter().zip(alone) {
            assert_eq!(host.read(*with).unwrap(), host.read(without).unwrap());
        }
        results.push(state.map(|r| host.values(r).unwrap().iter().map(|v| v.to_f64()).collect::<Vec<_>>()));
    }
    assert_eq!(results[0], results[1]);
    for i in 0..n {
        let g = if g[i].is_nan() { 0.0 } else { (0.5 * g[i]).clamp(-1e5, 1e5) };
        let want_m = b1 * before[1][i] + (1.0 - b1) * g;
        let want_v = b2 * before[2][i].abs() + (1.0 - b2) * g * g;
        let want_p = before[0][i] - lr * (want_m * c1) / ((want_v * c2).sqrt() + eps);
        let want_ema = want_p + beta * (before[3][i] - want_p);
        for (k, want) in [want_p, want_m, want_v, want_ema].into_iter().enumerate() {
            let got = results[0][k][i];
            assert!(
                (got - want).abs() <= tolerance * (1.0 + want.abs()),
                "output {k}, element {i}: {got} is not {want}"
            );
        }
    }
}

/// The formulas of PyTorch's Adam with weight decay, AdamW, and SGD with and without Nesterov, over a few steps in a row.
#[test]
fn optimisers_of_pytorch() {
    use WeightDecay::{Decoupled, L2};
    let (lr, momentum, b1, b2, eps, decay) = (0.05, 0.9, 0.5, 0.9, 1e-3, 0.2);
    let works = [Work::Adam(L2), Work::Adam(Decoupled), Work::Sgd { nesterov: false }, Work::Sgd { nesterov: true }];
    for (work, n) in works.iter().flat_map(|work| [1, 63, 65, 9001].map(|n| (work, n))) {
        let adam = matches!(work, Work::Adam(_));
        let mut b = Builder::new();
        let (scalars, grads) = (b.region(9, Element::F32), b.region(n, Element::F32));
        let owner = b.region(n.div_ceil(ALIGN), Element::U32);
        let state = [0; 4].map(|_| b.region(n, Element::F32));
        let counters = b.region(1, Element::U32);
        let kept = if adam { &state[..] } else { &state[..3] };
        let outputs = [kept, &[counters]].concat();
        b.step(work.clone(), &[scalars, grads, owner], &outputs);
        let mut host = b.host::<f64>(2);
        let (mut p, g) = (noise(40, n), noise(41, n));
        let (mut m, mut v) = (vec![0.0; n], vec![0.0; n]);
        let mut ema = p.clone();
        set(&mut host, state[0], &p);
        state[1..].iter().for_each(|&r| set(&mut host, r, &vec![0.0; n]));
        set(&mut host, *kept.last().unwrap(), &ema);
        for t in 1..=3 {
            let grad: Vec<f64> = g.iter().map(|g| g * f64::from(t)).collect();
            set(&mut host, grads, &grad);
            let (c1, c2) = (1.0 / (1.0 - f64::powi(b1, t)), 1.0 / (1.0 - f64::powi(b2, t)));
            let told = match work {
                Work::Adam(Decoupled) => [lr, b1, b2, eps, c1, c2, 0.75, 1.0, 1.0 - lr * decay],
                Work::Adam(_) => [lr, b1, b2, eps, c1, c2, 0.75, 1.0, decay],
                // What it must not read is no number.
                _ => [lr, momentum, f64::NAN, f64::NAN, f64::NAN, f64::NAN, 0.75, 1.0, decay],
            };
            set(&mut host, scalars, &told);
            host.run(&[(0, 1)]).unwrap();
            for i in 0..n {
                let mut g = grad[i];
                if *work != Work::Adam(Decoupled) {
                    g += decay * p[i];
                }
                if adam {
                    if *work == Work::Adam(Decoupled) {
                        p[i] *= 1.0 - lr * decay;
                    }
                    m[i] = b1 * m[i] + (1.0 - b1) * g;
                    v[i] = b2 * v[i] + (1.0 - b2) * g * g;
                    p[i] -= lr * (m[i] * c1) / ((v[i] * c2).sqrt() + eps);
                } else {
                    m[i] = momentum * m[i] + g;
                    p[i] -= lr * if *work == (Work::Sgd { nesterov: true }) { g + momentum * m[i] } else { m[i] };
                }
                ema[i] = p[i] + 0.75 * (ema[i] - p[i]);
            }
        }
        let wanted = if adam { vec![&p, &m, &v, &ema] } else { vec![&p, &m, &ema] };
        for (k, (region, want)) in kept.iter().zip(wanted).enumerate() {
            let got: Vec<f64> = host.values(*region).unwrap().to_vec();
            for (i, (got, want)) in got.iter().zip(want).enumerate() {
                assert!((got - want).abs() <= 1e-13 * (1.0 + want.abs()), "{work:?} over {n}: output {k}, element {i}");
            }
        }
    }
}

#[test]
fn adam() {
    adam_as::<f64>(1e-13);
    adam_as::<f32>(1e-6);
}

#[test]
fn batches_are_drawn() {
    // 15 bytes per image: not a multiple of four.
    for (labels, mirror, crop) in [(true, true, 0), (false, false, 0), (true, true, 2), (false, false, 1)] {
        let d = Draw { count: 11, n: 37, image: [1, 5, 3], labels, mirror, crop, stream: 4 };
        let bytes: Vec<u8> = (0..165).map(|i| (i * 7 + 3) as u8).collect();
        let words: Vec<u32> =
            bytes.chunks(4).map(|c| c.iter().enumerate().map(|(i, &b)| u32::from(b) << (8 * i)).sum()).collect();
        let mut b = Builder::new();
        let (images, marks) = (b.region(words.len(), Element::U32), b.region(11, Element::U32));
        let cursor = b.region(2, Element::U32);
        let (batch, out) = (b.region(37 * 15, Element::F32), b.region(37, Element::F32));
        let both = 1 + usize::from(labels);
        let inputs = [&[images, marks][..both], &[cursor]].concat();
        b.step(Work::Draw(d), &inputs, &[batch, out][..both]);
        let mut host = b.host::<f32>(2);
        host.write_u32(images, &words).unwrap();
        host.write_u32(marks, &(0..11).map(|i| 100 + i).collect::<Vec<_>>()).unwrap();
        host.write_u32(cursor, &[6, 4]).unwrap();
        host.run(&[(0, 1)]).unwrap();
        let (got, got_labels) = (host.read(batch).unwrap(), host.read(out).unwrap());
        let (mut mirrored, mut moved) = (0, 0);
        for j in 0..37 {
            let (epoch, place) = (6 + (4 + j) / 11, (4 + j) % 11);
            let image = philox::shuffled(SEED, 4, epoch as u32, place as u32, 11) as usize;
            let flip = mirror && philox::block(SEED, [j as u32 / 4, STEP, 4, 1])[j % 4] >= 1 << 31;
            mirrored += usize::from(flip);
            // The image stands in a black border of `crop`; a window of its size starts at this row and column.
            let word = philox::block(SEED, [j as u32 / 4, STEP, 4, 3])[j % 4];
            let [row, column] = [word >> 16, word & 0xffff].map(|half| half as usize * (2 * crop + 1) / 65_536);
            moved += usize::from([row, column] != [crop; 2]);
            for (i, got) in got[j * 15..][..15].iter().enumerate() {
                let x = if flip { 4 - i / 3 } else { i / 3 } + column;
                let inside = row == crop && (crop..crop + 5).contains(&x);
                let byte = if inside { bytes[image * 15 + (x - crop) * 3 + i % 3] } else { 0 };
                let want = f32::from(byte) / 127.5 - 1.0;
                assert!((got - want).abs() < 1e-6, "image {j} element {i}: {got} is not {want}");
            }
            assert_eq!(got_labels[j], if labels { 100.0 + image as f32 } else { 0.0 });
        }
        assert!((mirrored > 0) == mirror && mirrored < 37, "{mirrored} of 37 mirrored");
        assert!((moved > 20) == (crop > 0), "{moved} of 37 moved");
    }
}

#[test]
fn scalars_are_logged_in_a_ring() {
    let mut b = Builder::new();
    let (from, ring) = (b.region(2 * ALIGN + 1, Element::F32), b.region(6, Element::F32));
    b.step(Work::LogRow { count: 3, rows: 2 }, &[from], &[ring]);
    let mut host = b.host::<f32>(1);
    let mut values = vec![9.0; 2 * ALIGN + 1];
    (values[0], values[ALIGN], values[2 * ALIGN]) = (1.0, 2.0, 3.0);
    host.write(from, &values).unwrap();
    host.run(&[(0, 1)]).unwrap();
    assert_eq!(host.read(ring).unwrap(), [0.0, 0.0, 0.0, 1.0, 2.0, 3.0]);
}

#[test]
fn steps_run_in_order_and_are_counted() {
    let mut b = Builder::new();
    let (x, y) = (b.region(5, Element::F32), b.region(5, Element::F32));
    let double = |to: Region, from: Region, b: &mut Builder| {
        let view = View { strides: vec![1], offset: 0, within: vec![] };
        let instrs = vec![Instr::Load(0), Instr::Apply(Op::Scale(Real(2.0)), vec![0])];
        b.step(Work::Pointwise(Chain { extents: vec![5], views: vec![view], instrs }), &[from], &[to]);
    };
    double(y, x, &mut b);
    double(x, y, &mut b);
    let mut host = b.host::<f32>(2);
    host.write(x, &[1.0; 5]).unwrap();
    host.run(&[(0, 3), (0, 0)]).unwrap();
    let read = host.begin_read(x).unwrap();
    host.write(x, &[0.0; 5]).unwrap();
    assert_eq!(host.try_finish(read).unwrap(), Some(vec![64f32.to_bits(); 5]));
    assert!(host.finish(read).is_err(), "a read finishes once");
    let counters = host.counters();
    assert_eq!((counters.dispatches, counters.submissions, counters.read_backs), (6, 1, 1));
    assert!(host.describe().starts_with("host: 2 threads, "), "{}", host.describe());
}

/// Four elements of `work` as they are.
fn then(work: Work) -> Work {
    let views = vec![View { strides: vec![1], offset: 0, within: vec![] }];
    Work::Then { work: Box::new(work), chain: Chain { extents: vec![4], views, instrs: vec![Instr::Load(0)] } }
}

#[test]
fn programs_and_regions_are_checked() {
    let broken = |change: fn(&mut Program), expect: &str| {
        let mut b = Builder::new();
        let (a, c, out) = (b.region(6, Element::F32), b.region(6, Element::F32), b.region(4, Element::F32));
        b.step(Work::MatMul { ta: false, tb: false, m: 2, n: 2, k: 3 }, &[a, c], &[out]);
        assert!(Host::<f32>::new(b.program.clone(), Some(1)).is_ok());
        change(&mut b.program);
        let error = Host::<f32>::new(b.program, Some(1)).err().map(|e| e.to_string()).unwrap_or_default();
        assert!(error.contains(expect), "`{error}` does not say `{expect}`");
    };
    broken(|p| p.buffers[0].len = 3, "buffer 0 of a program must hold the seed");
    broken(|p| p.plans[0].steps[0].inputs[1].len = 5, "input 1 has 5 elements, expected 6");
    broken(|p| p.plans[0].steps[0].inputs[0].offset = 192, "`buffer 1` has 134 elements, not 6 from 192 on");
    broken(|p| p.plans[0].steps[0].inputs[0].offset = 63, "a multiple of 64");
    broken(|p| p.plans[0].steps[0].inputs[0].buffer = 9, "buffer 9 does not exist, there are 4");
    broken(|p| p.buffers[3].element = Element::U32, "`buffer 3` holds U32, not F32");
    broken(|p| p.plans[0].steps[0].outputs[0] = Region { buffer: 1, offset: 64, len: 4 }, "overlaps");
    broken(|p| p.plans[0].steps[0].inputs.truncate(1), "1 inputs, expected 2");
    // What follows must follow a product; WGSL launches refuse the same.
    for work in [
        Work::Rand { dist: Dist::Uniform, stream: 1 },
        then(Work::Sgd { nesterov: true }),
        then(then(Work::Adam(WeightDecay::Off))),
    ] {
        let mut b = Builder::new();
        let out = b.region(4, Element::F32);
        b.step(then(work), &[], &[out]);
        let error = Host::<f32>::new(b.program.clone(), Some(1)).err().expect("is refused").to_string();
        assert!(error.contains("takes no epilogue"), "{error}");
        let error = kernels::lower(&b.program.plans[0].steps[0]).unwrap_err().to_string();
        assert!(error.contains("takes no epilogue"), "{error}");
    }

    let mut b = Builder::new();
    let r = b.region(6, Element::F32);
    let mut host = b.host::<f32>(1);
    assert!(host.write(r, &[0.0; 5]).unwrap_err().to_string().contains("5 values for 6 elements of `buffer 1`"));
    assert!(host.write_u32(r, &[0; 6]).is_err());
    assert!(host.begin_read(Region { len: 400, ..r }).is_err());
    assert!(host.run(&[(1, 1)]).unwrap_err().to_string().contains("plan 1 does not exist, there are 1"));
}
