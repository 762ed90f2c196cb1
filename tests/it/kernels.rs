//! Pointwise chains, sums and padding against plain f64 references at awkward shapes: 1, 63/64/65, primes, empty tails, many
//! axes. Shapes and expressions that share a kernel's text share a pipeline: compiling is what takes the time.

use crate::harness::{Case, Data, close, floats, noise, run};
use danskin::graph::{Op, Real, Shape};
use danskin::plan::{Chain, Instr, View, Within, Work};

/// A pointwise primitive in f64.
fn apply(op: &Op, a: &[f64]) -> f64 {
    match op {
        Op::Add => a[0] + a[1],
        Op::Mul => a[0] * a[1],
        Op::Scale(c) => f64::from(c.0 as f32) * a[0],
        Op::Pow(p) => a[0].powf(p.0),
        Op::Exp => a[0].exp(),
        Op::Log => a[0].ln(),
        Op::Sigmoid => 1.0 / (1.0 + (-a[0]).exp()),
        Op::Tanh => a[0].tanh(),
        Op::Softplus => a[0].max(0.0) + (-a[0].abs()).exp().ln_1p(),
        Op::Abs => a[0].abs(),
        Op::Sign if a[0] == 0.0 => 0.0,
        Op::Sign => a[0].signum(),
        Op::Step => f64::from(u8::from(a[0] > 0.0)),
        Op::Select => {
            if a[0] > 0.0 {
                a[1]
            } else {
                a[2]
            }
        }
        Op::Max => a[0].max(a[1]),
        Op::Min => a[0].min(a[1]),
        _ => unreachable!("{op:?} is not pointwise"),
    }
}

/// The chain at one point of its iteration space.
fn chain_at(chain: &Chain, inputs: &[Data], point: &[usize]) -> f64 {
    let mut values: Vec<f64> = vec![];
    for instr in &chain.instrs {
        values.push(match instr {
            Instr::Load(i) => {
                let view = &chain.views[*i];
                let ahead: usize = view.within.iter().map(|w| w.from * view.strides[w.dim]).sum();
                let at = view.offset + view.strides.iter().zip(point).map(|(s, c)| s * c).sum::<usize>();
                let Data::F32(v) = &inputs[*i] else { unreachable!() };
                if inside(&view.within, point) { f64::from(v[at - ahead]) } else { 0.0 }
            }
            Instr::Inside(within) => f64::from(u8::from(inside(within, point))),
            Instr::Const(c) => f64::from(c.0 as f32),
            Instr::Apply(op, args) => apply(op, &args.iter().map(|&n| values[n]).collect::<Vec<_>>()),
        });
    }
    values[values.len() - 1]
}

fn inside(within: &[Within], point: &[usize]) -> bool {
    within.iter().all(|w| (w.from..w.to).contains(&point[w.dim]))
}

/// Every point of an iteration space, row-major.
fn points(extents: &[usize]) -> impl Iterator<Item = Vec<usize>> {
    let strides = Shape::from(extents).strides();
    (0..extents.iter().product::<usize>()).map(move |i| strides.iter().zip(extents).map(|(s, n)| i / s % n).collect())
}

type Strides = (&'static [usize], usize);

const IN_ORDER: [Strides; 7] = [(&[1], 0); 7];

fn chain(extents: &[usize], views: &[Strides], instrs: Vec<Instr>) -> (Chain, Vec<Data>) {
    let reach =
        |(strides, offset): &Strides| 1 + offset + strides.iter().zip(extents).map(|(s, n)| s * (n - 1)).sum::<usize>();
    let inputs = views.iter().zip(7..).map(|(v, seed)| Data::F32(noise(seed, reach(v)))).collect();
    let views = views.iter().map(|(s, offset)| View { strides: s.to_vec(), offset: *offset, within: vec![] }).collect();
    (Chain { extents: extents.to_vec(), views, instrs }, inputs)
}

/// Load everything and add it up, each input with its own weight.
fn weighted_sum(inputs: usize) -> Vec<Instr> {
    let mut instrs = vec![Instr::Load(0)];
    for i in 1..inputs {
        let sum = instrs.len() - 1;
        instrs.push(Instr::Load(i));
        instrs.push(Instr::Apply(Op::Scale(Real(1.5 + i as f64)), vec![sum + 1]));
        instrs.push(Instr::Apply(Op::Add, vec![sum, sum + 2]));
    }
    instrs
}

#[test]
fn every_pointwise_primitive() {
    let powers = [0.5, -0.5, 1.5, -1.5, 2.0, 3.0, -1.0, -2.0, 4.0, 7.0, -3.0, 0.3, -1.7];
    let mut ops = vec![
        Op::Add,
        Op::Mul,
        Op::Scale(Real(-2.5)),
        Op::Exp,
        Op::Log,
        Op::Sigmoid,
        Op::Tanh,
        Op::Softplus,
        Op::Abs,
        Op::Sign,
        Op::Step,
        Op::Select,
        Op::Max,
        Op::Min,
    ];
    ops.extend(powers.map(|p| Op::Pow(Real(p))));
    // One kernel holds them all; input 3 says which one an element asks for.
    let mut instrs = vec![Instr::Load(0), Instr::Load(1), Instr::Load(2), Instr::Load(3), Instr::Const(Real(0.0))];
    for (k, op) in ops.iter().enumerate() {
        let (n, arity) = (
            instrs.len(),
            match op {
                Op::Select => 3,
                Op::Add | Op::Mul | Op::Max | Op::Min => 2,
                _ => 1,
            },
        );
        instrs.push(Instr::Apply(op.clone(), (0..arity).collect()));
        instrs.push(Instr::Const(Real(-0.5 - k as f64)));
        instrs.push(Instr::Apply(Op::Add, vec![3, n + 1]));
        instrs.push(Instr::Apply(Op::Select, vec![n + 2, n, n - 1]));
    }
    let special =
        [0.0, -0.0, 1.0, -1.0, 1e-4, -1e-4, 0.01, 0.24, -0.26, 2.0, -3.0, 9.5, -20.0, 44.5, -44.5, 80.0, -100.0, 1e9];
    // All lengths: one divides by 4 and runs on vectors.
    let cases: Vec<Case> = [special.len() * ops.len(), special.len() * ops.len() + 1]
        .map(|len| {
            let at = |v: &[f32], shift: usize| (0..len).map(|i| v[(i + shift * (i / 18)) % v.len()]).collect();
            let which = (0..len).map(|i| 1.0 + (i / special.len() % ops.len()) as f32).collect();
            let (chain, _) = chain(&[len], &IN_ORDER[..4], instrs.clone());
            Case {
                label: format!("all primitives over {len}"),
                work: Work::Pointwise(chain),
                inputs: vec![
                    Data::F32(at(&special, 0)),
                    Data::F32(at(&special, 1)),
                    Data::F32(at(&special, 5)),
                    Data::F32(which),
                ],
                outputs: vec![Data::poison(len)],
            }
        })
        .to_vec();
    for (case, out) in cases.iter().zip(run(&cases)) {
        let columns: Vec<Vec<f32>> = case.inputs.iter().map(|d| floats(&d.words())).collect();
        for (i, got) in floats(&out[0]).into_iter().enumerate() {
            let op = &ops[columns[3][i] as usize - 1];
            let args: Vec<f64> = (0..3).map(|c| f64::from(columns[c][i])).collect();
            let expected = apply(op, &args) as f32;
            let label = format!("{op:?} of {args:?}");
            if expected.is_nan() {
                assert!(got.is_nan(), "{label}: {got}, expected NaN");
            } else if expected.is_infinite() {
                assert!(got == expected || got.abs() > 3e38, "{label}: {got}, expected {expected}");
            } else {
                // WGSL grants exp 3+2|x| ulp, log 2⁻²¹, a quotient 2.5 ulp, exp2(p·log2 a) the sum of these.
                let x = args[0].abs().max(1.0);
                let ulps = match op {
                    Op::Exp => 3.0 + 2.0 * x,
                    Op::Sigmoid | Op::Tanh | Op::Softplus => 8.0 + 2.0 * x.min(88.0),
                    Op::Pow(p) => 8.0 + 8.0 * (p.0 * x.log2()).abs(),
                    _ => 8.0,
                };
                let (rtol, atol) = (ulps * 1.2e-7, if matches!(op, Op::Log) { 5e-7 } else { 1e-37 });
                close(&label, &[got], &[f64::from(expected)], rtol, atol);
            }
        }
    }
}

#[test]
fn pointwise_views() {
    type Row = (&'static [usize], &'static [Strides]);
    let table: [Row; 16] = [
        (&[1], &[(&[1], 0), (&[0], 0)]),
        (&[63], &[(&[1], 0), (&[0], 3)]),
        (&[64], &[(&[1], 4), (&[0], 3)]),
        (&[65], &[(&[1], 1), (&[0], 0)]),
        // Four at a time where an offset, or a reversed order, keeps a view from whole vectors.
        (&[64], &[(&[1], 3), (&[2], 0)]),
        // A bias, aligned and not.
        (&[6, 8], &[(&[8, 1], 0), (&[0, 1], 0)]),
        (&[7, 5], &[(&[5, 1], 0), (&[0, 1], 0)]),
        // A scale for each sample and channel: [N,HW,C] · [N,1,C].
        (&[3, 7, 4], &[(&[28, 4, 1], 0), (&[4, 0, 1], 0)]),
        (&[3, 7, 5], &[(&[35, 5, 1], 0), (&[5, 0, 1], 0)]),
        // Transposes.
        (&[13, 17], &[(&[1, 13], 0), (&[17, 1], 0)]),
        (&[12, 20], &[(&[1, 12], 0), (&[20, 1], 0)]),
        (&[2, 3, 4, 5], &[(&[60, 1, 15, 3], 0), (&[60, 20, 5, 1], 0)]),
        // A slice of a larger tensor beside a broadcast row.
        (&[3, 4, 5], &[(&[77, 11, 1], 25), (&[0, 5, 1], 0)]),
        // Five axes that don't merge.
        (&[2, 3, 2, 3, 4], &[(&[1, 2, 18, 36, 6], 0), (&[72, 24, 12, 4, 1], 0)]),
        // More than one workgroup with a tail; extents of 1 in between.
        (&[31, 1, 37, 1], &[(&[37, 9, 1, 5], 0), (&[1, 0, 31, 0], 0)]),
        (&[257, 1, 64], &[(&[64, 0, 1], 0), (&[1, 0, 257], 0)]),
    ];
    let cases: Vec<Case> = table
        .iter()
        .map(|(extents, views)| {
            let (chain, inputs) = chain(extents, views, weighted_sum(views.len()));
            let outputs = vec![Data::poison(chain.elems())];
            Case { label: format!("chain {extents:?} {views:?}"), work: Work::Pointwise(chain), inputs, outputs }
        })
        .collect();
    for (case, out) in cases.iter().zip(run(&cases)) {
        let Work::Pointwise(chain) = &case.work else { unreachable!() };
        let expected: Vec<f64> = points(&chain.extents).map(|p| chain_at(chain, &case.inputs, &p)).collect();
        close(&case.label, &floats(&out[0]), &expected, 3e-7, 3e-7);
    }
}

#[test]
fn a_constant_and_seven_inputs() {
    let constant = vec![Instr::Const(Real(0.75))];
    let rows = [(5, 0, constant), (33, 7, weighted_sum(7))];
    let cases = rows.map(|(len, inputs, instrs)| {
        let (chain, inputs) = chain(&[len], &IN_ORDER[..inputs], instrs);
        Case {
            label: format!("chain of {len}"),
            work: Work::Pointwise(chain),
            inputs,
            outputs: vec![Data::poison(len)],
        }
    });
    for (case, out) in cases.iter().zip(run(&cases)) {
        let Work::Pointwise(chain) = &case.work else { unreachable!() };
        let expected: Vec<f64> = points(&chain.extents).map(|p| chain_at(chain, &case.inputs, &p)).collect();
        close(&case.label, &floats(&out[0]), &expected, 1e-6, 1e-6);
    }
}

/// 65,535 workgroups fill a row of the grid, and 2²⁴ elements the range of the fast division.
#[test]
fn more_workgroups_than_a_row_holds() {
    let rows = 3_355_520;
    let (chain, inputs) = chain(&[rows, 5], &[(&[0, 1], 0)], vec![Instr::Load(0)]);
    assert!(chain.elems() > 65_535 * 256 && chain.elems() > 1 << 24);
    let five = floats(&inputs[0].words());
    let outputs = vec![Data::poison(5 * rows)];
    let case = Case { label: "large".into(), work: Work::Pointwise(chain), inputs, outputs };
    let out = floats(&run(&[case])[0][0]);
    assert!(out.iter().enumerate().all(|(i, v)| *v == five[i % 5]), "a row of the grid is missing or misplaced");
}

#[test]
fn sums() {
    type Row = (&'static [usize], &'static [Strides], &'static [bool]);
    const NO: bool = false;
    const YES: bool = true;
    let table: [Row; 20] = [
        (&[1], &[(&[1], 0)], &[YES]),
        (&[5], &[(&[1], 0)], &[NO]),
        (&[63], &[(&[1], 0)], &[YES]),
        (&[64], &[(&[1], 0)], &[YES]),
        (&[65], &[(&[1], 2)], &[YES]),
        // Everything, in slices: whole vectors, and a prime.
        (&[40_000], &[(&[1], 0)], &[YES]),
        (&[30_011], &[(&[1], 0)], &[YES]),
        // Rows: short, long, long enough for slices.
        (&[37, 3], &[(&[3, 1], 0)], &[NO, YES]),
        (&[5, 1000], &[(&[1000, 1], 0)], &[NO, YES]),
        (&[3, 12_289], &[(&[12_289, 1], 0)], &[NO, YES]),
        (&[2, 16_384], &[(&[16_384, 1], 0)], &[NO, YES]),
        // Columns: a bias gradient of RGB, of 5 and of 64 channels; batch-norm statistics in slices.
        (&[1000, 3], &[(&[3, 1], 0)], &[YES, NO]),
        (&[7, 5], &[(&[5, 1], 0)], &[YES, NO]),
        (&[300, 64], &[(&[64, 1], 0)], &[YES, NO]),
        (&[9001, 12], &[(&[12, 1], 0)], &[YES, NO]),
        (&[1, 1031, 2], &[(&[0, 2, 1], 0)], &[YES, NO, NO]),
        // In the middle, and two that are not neighbours, with a strided view.
        (&[3, 11, 4], &[(&[44, 4, 1], 0)], &[NO, YES, NO]),
        (&[3, 5, 7, 2], &[(&[70, 14, 2, 1], 0)], &[YES, NO, YES, NO]),
        (&[4, 3, 5, 8], &[(&[1, 160, 32, 4], 1)], &[NO, YES, NO, YES]),
        // A product with a broadcast: the gradient of a scale of [N,1,C].
        (&[3, 50, 8], &[(&[400, 8, 1], 0), (&[8, 0, 1], 0)], &[NO, YES, NO]),
    ];
    let cases: Vec<Case> = table
        .iter()
        .map(|(extents, views, reduced)| {
            let instrs = match views.len() {
                1 => vec![Instr::Load(0)],
                _ => vec![Instr::Load(0), Instr::Load(1), Instr::Apply(Op::Mul, vec![0, 1])],
            };
            let (chain, inputs) = chain(extents, views, instrs);
            let outputs = extents.iter().zip(*reduced).filter(|(_, r)| !**r).map(|(n, _)| n).product();
            let work = Work::Reduce { chain, reduced: reduced.to_vec() };
            let label = format!("sum {extents:?} {views:?} over {reduced:?}");
            Case { label, work, inputs, outputs: vec![Data::poison(outputs)] }
        })
        .collect();
    for (case, out) in cases.iter().zip(run(&cases)) {
        let Work::Reduce { chain, reduced } = &case.work else { unreachable!() };
        let kept: Vec<usize> = chain.extents.iter().zip(reduced).map(|(&n, &r)| if r { 1 } else { n }).collect();
        let strides = Shape::from(kept.as_slice()).strides();
        let mut expected = vec![0.0; kept.iter().product()];
        for p in points(&chain.extents) {
            let at: usize = (0..p.len()).filter(|&a| !reduced[a]).map(|a| p[a] * strides[a]).sum();
            expected[at] += chain_at(chain, &case.inputs, &p);
        }
        // Terms are below 1 in size: a sum of K of them is about √K, with a rounding error of √K·√(longest addition chain).
        let terms = (chain.elems() / expected.len()) as f64;
        close(&case.label, &floats(&out[0]), &expected, 4e-7, 6e-8 * terms.sqrt() * 8.0);
    }
}

/// An input `from` inside zeros of `to`, as a view.
fn padded(from: &[usize], to: &[usize], start: &[usize]) -> View {
    let within = (0..to.len()).filter(|&a| from[a] != to[a]);
    let within = within.map(|dim| Within { dim, from: start[dim], to: start[dim] + from[dim] }).collect();
    View { strides: Shape::from(from).strides(), offset: 0, within }
}

#[test]
fn limited_views() {
    type Row = (&'static [usize], &'static [usize], &'static [usize]);
    let table: [Row; 11] = [
        (&[1], &[2], &[0]),
        (&[63], &[131], &[65]),
        // Limits in fours, and not.
        (&[64], &[132], &[68]),
        (&[64], &[132], &[66]),
        (&[3, 5], &[3, 7], &[0, 1]),
        (&[2, 1, 4], &[3, 1, 4], &[1, 0, 0]),
        (&[2, 3, 4, 8], &[2, 5, 7, 8], &[0, 1, 2, 0]),
        (&[2, 3, 4, 5], &[2, 5, 7, 20], &[0, 1, 2, 8]),
        // Every second element of an axis, as pooling fills them.
        (&[3, 1, 4, 1, 8], &[3, 2, 4, 2, 8], &[0, 1, 0, 1, 0]),
        (&[1, 2, 3, 2, 1], &[2, 3, 4, 3, 2], &[1, 1, 0, 1, 1]),
        (&[257, 300], &[300, 301], &[40, 0]),
    ];
    let mut cases = vec![];
    for (from, to, start) in table {
        let view = padded(from, to, start);
        let within = view.within.clone();
        let x = noise(1, from.iter().product());
        let load = vec![Instr::Load(0)];
        // What is computed outside is replaced: by another number than 0, so that a lost limit shows.
        let replaced = vec![
            Instr::Load(0),
            Instr::Inside(within),
            Instr::Const(Real(0.5)),
            Instr::Apply(Op::Select, vec![1, 0, 2]),
        ];
        for instrs in [load, replaced] {
            let chain = Chain { extents: to.to_vec(), views: vec![view.clone()], instrs };
            let inputs = || vec![Data::F32(x.clone())];
            let label = format!("{from:?} in {to:?} at {start:?}, {} lines", chain.instrs.len());
            let outputs = vec![Data::poison(chain.elems())];
            cases.push(Case { label, work: Work::Pointwise(chain.clone()), inputs: inputs(), outputs });
            // Summed over the first axis, over the last, over every second.
            for reduced in [|a: usize, _: usize| a == 0, |a, last| a == last, |a, _| a % 2 == 1] {
                let reduced: Vec<bool> = (0..to.len()).map(|a| reduced(a, to.len() - 1)).collect();
                let outputs = to.iter().zip(&reduced).filter(|(_, r)| !**r).map(|(n, _)| n).product();
                let label = format!("sum of {from:?} in {to:?} at {start:?} over {reduced:?}");
                let work = Work::Reduce { chain: chain.clone(), reduced };
                cases.push(Case { label, work, inputs: inputs(), outputs: vec![Data::poison(outputs)] });
            }
        }
    }
    for (case, out) in cases.iter().zip(run(&cases)) {
        let (chain, reduced) = match &case.work {
            Work::Reduce { chain, reduced } => (chain, reduced.clone()),
            Work::Pointwise(chain) => (chain, vec![false; chain.extents.len()]),
            _ => unreachable!(),
        };
        let kept: Vec<usize> = chain.extents.iter().zip(&reduced).map(|(&n, &r)| if r { 1 } else { n }).collect();
        let strides = Shape::from(kept.as_slice()).strides();
        let mut expected = vec![0.0; kept.iter().product()];
        for p in points(&chain.extents) {
            let at: usize = (0..p.len()).filter(|&a| !reduced[a]).map(|a| p[a] * strides[a]).sum();
            expected[at] += chain_at(chain, &case.inputs, &p);
        }
        let terms = (chain.elems() / expected.len()) as f64;
        close(&case.label, &floats(&out[0]), &expected, 4e-7, 6e-8 * terms.sqrt() * 8.0);
    }
}
