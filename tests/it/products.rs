//! Products, convolutions, filters and sampling on a GPU against the f64 host oracle, at shapes that fit no tile.
//!
//! Every case runs as the launchers choose, by the naive kernels, and by every tile; the harness poisons what lies around.

use crate::harness::{Case, Data, floats, noise, run, run_with};
use danskin::graph::{ConvSpec, Dag, FirSpec, Node, Op, Real, Shape};
use danskin::host::{Rng, eval};
use danskin::kernels::tile::{Product, Schedule, Tile};
use danskin::kernels::{conv, matmul};
use danskin::plan::{ConvDims, Step, Work};
use std::collections::HashMap;

/// Half a unit in the last place of 1: the relative error of one rounding.
const UNIT: f64 = f32::EPSILON as f64 / 2.0;

/// A case with its oracle.
struct Row {
    case: Case,
    expected: Vec<f64>,
    /// Bound of the rounding error of each element.
    bound: Vec<f64>,
    /// Length of its sums.
    terms: usize,
}

/// The f64 value of `op`.
fn oracle(op: &Op, inputs: &[(Shape, Vec<f64>)], to: &Shape) -> Vec<f64> {
    let mut nodes = vec![];
    let mut feeds = HashMap::new();
    for (i, (shape, values)) in inputs.iter().enumerate() {
        nodes.push(Node { op: Op::Input(i.to_string().into()), src: vec![], shape: shape.clone() });
        feeds.insert(i.to_string(), values.clone());
    }
    nodes.push(Node { op: op.clone(), src: (0..inputs.len()).collect(), shape: to.clone() });
    let dag = Dag { roots: vec![("out".into(), nodes.len() - 1)], nodes };
    let mut roots = eval::<f64>(&dag, &feeds, Rng::default()).unwrap_or_else(|e| panic!("{op:?}: {e}"));
    roots.remove("out").unwrap_or_default()
}

/// The operation on absolute values: Σ|terms| of each output element.
fn magnitude(op: &Op) -> Op {
    let Op::Fir(spec) = op else { return op.clone() };
    Op::Fir(FirSpec { taps: spec.taps.iter().map(|t| Real(t.0.abs())).collect(), ..spec.clone() })
}

/// Roundings that a term of a K-long sum goes through in effect: at most K, and of the order of √K where they are
/// independent (Higham & Mary 2019), plus those of its factors, the product and the sum of partial sums.
fn roundings(terms: usize) -> f64 {
    let k = terms as f64;
    k.min(2.0 * k.sqrt()) + 6.0
}

/// A case of `op` over inputs of noise; `terms` is the length of its sums.
fn row(label: String, work: Work, op: Op, shapes: &[Shape], to: Shape, terms: usize) -> Row {
    let values = shapes.iter().enumerate().map(|(i, s)| noise(i as u64 + 1, s.elems())).collect();
    row_of(label, work, op, shapes, values, to, terms)
}

fn row_of(label: String, work: Work, op: Op, shapes: &[Shape], values: Vec<Vec<f32>>, to: Shape, terms: usize) -> Row {
    let wide = |f: fn(f64) -> f64| -> Vec<(Shape, Vec<f64>)> {
        shapes.iter().zip(&values).map(|(s, v)| (s.clone(), v.iter().map(|&x| f(x.into())).collect())).collect()
    };
    let expected = oracle(&op, &wide(|x| x), &to);
    // Coordinates keep their sign: they are no factors.
    let mut sizes = wide(f64::abs);
    if matches!(op, Op::Sample | Op::SampleAdjoint) {
        sizes[1] = wide(|x| x)[1].clone();
    }
    let bound = oracle(&magnitude(&op), &sizes, &to).iter().map(|m| UNIT * roundings(terms) * m).collect();
    let inputs = values.into_iter().map(Data::F32).collect();
    Row { case: Case { label, work, inputs, outputs: vec![Data::poison(to.elems())] }, expected, bound, terms }
}

fn compare(rows: &[Row], results: &[Vec<Vec<u32>>], how: &str) {
    for (row, result) in rows.iter().zip(results) {
        let label = &row.case.label;
        let got = floats(&result[0]);
        assert_eq!(got.len(), row.expected.len(), "{label}");
        let (mut error, mut power) = (0.0, 0.0);
        for (i, ((&got, &want), &bound)) in got.iter().zip(&row.expected).zip(&row.bound).enumerate() {
            let got = f64::from(got);
            let off = (got - want).abs();
            assert!(off <= bound, "{label} ({how}): element {i} is {got}, expected {want} ± {bound:e}");
            error += off * off;
            power += want * want;
        }
        // Terms of either sign: a running sum of K is of the order of √K, and so is its error in roundings of the result.
        let (relative, most) = ((error / power).sqrt(), UNIT * ((row.terms as f64).sqrt() + 6.0));
        assert!(got.len() < 64 || relative <= most, "{label} ({how}): relative error {relative:e} above {most:e}");
    }
}

fn cases(rows: &[Row]) -> Vec<Case> {
    rows.iter().map(|row| row.case.clone()).collect()
}

fn check(rows: &[Row]) {
    compare(rows, &run(&cases(rows)), "as chosen");
}

/// Runs rows by a forced schedule.
fn check_schedule(rows: &[Row], schedule: impl Fn(&Product) -> Schedule, how: &str) {
    let product = |work: &Work| matmul::product(work).or(conv::product(work)).expect("a product");
    let scratch = |work: &Work| {
        let row = rows.iter().find(|row| row.case.work == *work).expect("a row");
        schedule(&product(work)).scratch(row.expected.len())
    };
    let lower = |step: &Step| {
        let schedule = schedule(&product(&step.work));
        match step.work {
            Work::MatMul { .. } => matmul::tiled(step, &schedule),
            _ => conv::tiled(step, &schedule),
        }
    };
    compare(rows, &run_with(&cases(rows), scratch, lower), how);
}

fn check_naive(rows: &[Row]) {
    let lower = |step: &Step| match step.work {
        Work::MatMul { .. } => Ok(matmul::naive(step)),
        _ => Ok(conv::naive(step)),
    };
    compare(rows, &run_with(&cases(rows), |_| 0, lower), "naive");
}

fn check_tiles(rows: &[Row], tiles: &[Tile]) {
    for tile in tiles {
        for parts in [1, 3] {
            check_schedule(rows, |product| Schedule::new(product, *tile, parts), &format!("{tile:?} in {parts} parts"));
        }
    }
}

fn matmul_row(ta: bool, tb: bool, [m, n, k]: [usize; 3]) -> Row {
    let a = if ta { [k, m] } else { [m, k] };
    let b = if tb { [n, k] } else { [k, n] };
    row(
        format!("matmul {m}×{n}×{k} ta {ta} tb {tb}"),
        Work::MatMul { ta, tb, m, n, k },
        Op::MatMul { ta, tb },
        &[a.into(), b.into()],
        [m, n].into(),
        k,
    )
}

const TRANSPOSES: [(bool, bool); 4] = [(false, false), (false, true), (true, false), (true, true)];

#[test]
fn matmul() {
    let shapes = [
        [1, 1, 1],
        [1, 65, 3],
        [63, 1, 64],
        [64, 64, 64],
        [65, 63, 17],
        [2, 3, 1031],
        [127, 31, 5],
        [33, 129, 100],
        [5, 300, 7],
        [16, 16, 1 << 14],
    ];
    let rows: Vec<Row> = shapes.iter().flat_map(|&s| TRANSPOSES.map(|(ta, tb)| matmul_row(ta, tb, s))).collect();
    check(&rows);
    check_naive(&rows);
}

#[test]
fn matmul_tiles() {
    let shapes = [[129, 131, 37], [64, 64, 64], [1, 3, 50]];
    let rows: Vec<Row> = shapes.iter().flat_map(|&s| TRANSPOSES.map(|(ta, tb)| matmul_row(ta, tb, s))).collect();
    check_tiles(&rows, &Tile::ALL);
}

/// More workgroups than one dimension of a launch holds.
#[test]
fn folded_launches() {
    let rows = [matmul_row(false, false, [1_050_000, 4, 1])];
    check_schedule(&rows, |p| Schedule::new(p, Tile::ALL[7], 1), "folded");
    check_naive(&rows);
}

/// The three members of the family at one geometry.
fn conv_rows(n: usize, [h, w]: [usize; 2], [cin, cout]: [usize; 2], spec: ConvSpec) -> Vec<Row> {
    let ConvSpec { stride, pad, groups, kernel, .. } = spec;
    let [ho, wo] = spec.output();
    let x = Shape::from([n, h, w, cin]);
    let weights = Shape::from([kernel[0], kernel[1], cin / groups, cout]);
    let y = Shape::from([n, ho, wo, cout]);
    let d = ConvDims { spec, n, cin, cout };
    let taps = kernel[0] * kernel[1];
    let label = |name| {
        format!("{name} {n}×{h}×{w} {cin}→{cout} kernel {kernel:?} stride {stride:?} pad {pad:?} groups {groups}")
    };
    vec![
        row(
            label("conv"),
            Work::Conv(d),
            Op::Conv(spec),
            &[x.clone(), weights.clone()],
            y.clone(),
            taps * cin / groups,
        ),
        row(
            label("conv_x"),
            Work::ConvX(d),
            Op::ConvX(spec),
            &[y.clone(), weights.clone()],
            x.clone(),
            taps * cout / groups,
        ),
        row(label("conv_w"), Work::ConvW(d), Op::ConvW(spec), &[x, y], weights, n * ho * wo),
    ]
}

/// (batch, input, channels, kernel, stride, pad, groups)
type Geometry = (usize, [usize; 2], [usize; 2], [usize; 2], [usize; 2], [usize; 2], usize);

fn geometries(table: &[Geometry]) -> Vec<Row> {
    let rows = table.iter().flat_map(|&(n, input, channels, kernel, stride, pad, groups)| {
        conv_rows(n, input, channels, ConvSpec { stride, pad, groups, kernel, input })
    });
    rows.collect()
}

const DENSE: [Geometry; 16] = [
    (1, [1, 1], [1, 1], [1, 1], [1, 1], [0, 0], 1),
    (2, [5, 7], [3, 5], [1, 1], [1, 1], [0, 0], 1),
    (2, [5, 7], [4, 6], [1, 1], [2, 2], [0, 0], 1),
    (1, [4, 4], [7, 9], [4, 4], [1, 1], [0, 0], 1),
    (3, [1, 1], [13, 2], [4, 4], [1, 1], [3, 3], 1),
    (2, [9, 6], [3, 17], [3, 3], [1, 1], [1, 1], 1),
    (1, [8, 8], [65, 63], [3, 3], [1, 1], [1, 1], 1),
    (2, [7, 8], [5, 7], [3, 3], [2, 2], [1, 1], 1),
    (1, [16, 16], [19, 33], [4, 4], [2, 2], [1, 1], 1),
    (1, [11, 13], [6, 4], [5, 5], [3, 3], [2, 2], 1),
    (2, [10, 7], [3, 5], [2, 3], [3, 2], [0, 2], 1),
    (1, [3, 2], [5, 3], [5, 4], [2, 1], [1, 2], 1),
    (1, [7, 7], [2, 3], [1, 2], [3, 3], [0, 0], 1),
    (2, [6, 9], [32, 48], [3, 3], [1, 1], [1, 1], 2),
    (1, [9, 8], [48, 48], [3, 3], [2, 2], [1, 1], 3),
    (2, [5, 6], [12, 6], [3, 2], [1, 2], [1, 0], 3),
];

#[test]
fn conv() {
    let rows = geometries(&DENSE);
    check(&rows);
    check_naive(&rows);
}

#[test]
fn conv_depthwise() {
    let rows = geometries(&[
        (2, [5, 7], [3, 3], [3, 3], [1, 1], [1, 1], 3),
        (1, [4, 4], [65, 65], [4, 4], [1, 1], [0, 0], 65),
        (2, [9, 11], [7, 14], [3, 5], [1, 1], [1, 2], 7),
        (1, [8, 9], [5, 15], [3, 3], [2, 2], [1, 1], 5),
        (2, [10, 13], [4, 4], [5, 2], [3, 3], [2, 0], 4),
        (1, [2, 3], [66, 66], [5, 5], [1, 2], [2, 1], 66),
        (3, [17, 17], [2, 4], [1, 1], [2, 1], [0, 0], 2),
        (40, [16, 3], [2, 2], [3, 3], [1, 1], [1, 1], 2),
    ]);
    check(&rows);
    check_naive(&rows);
}

/// Every tile on one geometry whose rows, columns and depth divide nothing; the widest have enough to fill a tile.
#[test]
fn conv_tiles() {
    let rows = geometries(&[
        (3, [11, 8], [33, 21], [3, 2], [2, 1], [1, 1], 1),
        (2, [9, 9], [16, 24], [3, 3], [2, 2], [1, 0], 2),
    ]);
    check_tiles(&rows, &Tile::ALL);
}

/// A weight gradient long enough that its depth is split by the schedule that is chosen.
#[test]
fn conv_split_depth() {
    let rows = geometries(&[
        (4, [33, 31], [5, 6], [3, 3], [1, 1], [1, 1], 1),
        (8, [4, 4], [96, 80], [3, 3], [1, 1], [1, 1], 1),
    ]);
    let split = |row: &Row| danskin::kernels::scratch(&row.case.work) > 0;
    assert!(rows[1..3].iter().chain(&rows[3..]).any(split) && split(&rows[2]), "no schedule splits the depth");
    check(&rows);
}

fn fir_row(taps: &[f64], up: usize, down: usize, pad: [[i64; 2]; 2], flip: bool, input: [usize; 4]) -> Row {
    // Taps as the kernel has them: f32.
    let taps: Vec<Real> = taps.iter().map(|&t| Real(f64::from(t as f32))).collect();
    let spec = FirSpec { taps, up, down, pad, flip };
    let [n, h, w, c] = input;
    let to = Shape::from([n, spec.output(0, h), spec.output(1, w), c]);
    let terms = spec.taps.len().div_ceil(up).pow(2);
    let label = format!("fir {input:?} of {} taps up {up} down {down} pad {pad:?} flip {flip}", spec.taps.len());
    row(label, Work::Fir { spec: spec.clone(), input }, Op::Fir(spec), &[input.into()], to, terms)
}

#[test]
fn fir() {
    let ramp = |n: usize| -> Vec<f64> { noise(9, n).into_iter().map(f64::from).collect() };
    let even = |before, after| [[before, after]; 2];
    let mut rows = vec![
        fir_row(&[0.7], 1, 1, even(0, 0), false, [1, 1, 1, 1]),
        fir_row(&[1.0, 3.0, 3.0, 1.0], 1, 1, even(2, 1), false, [2, 5, 7, 3]),
        fir_row(&[0.25, 0.5, 0.25], 2, 1, even(1, 0), true, [2, 4, 3, 65]),
        fir_row(&[1.0, 2.0, 1.0], 1, 2, even(1, 1), false, [1, 9, 8, 5]),
        fir_row(&ramp(4), 2, 3, [[3, 1], [0, 2]], false, [1, 7, 5, 2]),
        fir_row(&ramp(5), 3, 2, [[-2, 4], [1, -3]], true, [2, 6, 7, 3]),
        fir_row(&ramp(3), 1, 1, even(-2, -1), false, [1, 8, 9, 4]),
        fir_row(&ramp(12), 2, 1, even(6, 5), false, [1, 6, 5, 3]),
        fir_row(&ramp(13), 1, 2, [[6, 6], [5, 7]], false, [2, 9, 11, 2]),
        fir_row(&ramp(64), 1, 1, even(40, 30), true, [1, 5, 6, 2]),
        fir_row(&[1.0; 8], 1, 8, even(0, 0), false, [2, 16, 24, 3]),
        fir_row(&ramp(2), 5, 1, even(4, 4), false, [1, 3, 2, 1]),
    ];
    // The adjoint of each is one of the family.
    let adjoints: Vec<Row> = rows
        .iter()
        .filter_map(|row| {
            let Work::Fir { spec, input: [n, h, w, c] } = &row.case.work else { return None };
            let adjoint = spec.adjoint([*h, *w]);
            let taps: Vec<f64> = adjoint.taps.iter().map(|t| t.0).collect();
            let from = [*n, spec.output(0, *h), spec.output(1, *w), *c];
            Some(fir_row(&taps, adjoint.up, adjoint.down, adjoint.pad, adjoint.flip, from))
        })
        .collect();
    rows.extend(adjoints);
    check(&rows);
}

/// Sampling and its adjoint at the same grid.
fn sample_rows(n: usize, c: usize, from: [usize; 2], to: [usize; 2], grid: Vec<f32>) -> [Row; 2] {
    let x = Shape::from([n, from[0], from[1], c]);
    let at = Shape::from([n, to[0], to[1], 2]);
    let y = Shape::from([n, to[0], to[1], c]);
    let label = |name| format!("{name} {n}×{from:?}×{c} at {to:?}");
    let values = |shape: &Shape| vec![noise(3, shape.elems()), grid.clone()];
    // Every point may fall on one pixel.
    let points = to[0] * to[1];
    [
        row_of(
            label("sample"),
            Work::Sample { n, c, from, to },
            Op::Sample,
            &[x.clone(), at.clone()],
            values(&x),
            y.clone(),
            4,
        ),
        row_of(
            label("sample_adjoint"),
            Work::SampleAdjoint { n, c, from, to },
            Op::SampleAdjoint,
            &[y.clone(), at],
            values(&y),
            x,
            points,
        ),
    ]
}

/// Points all over the image and a little beyond.
fn scattered(n: usize, from: [usize; 2], to: [usize; 2]) -> Vec<f32> {
    let spread = noise(5, n * to[0] * to[1] * 2);
    spread.iter().enumerate().map(|(i, v)| (v + 1.0) * 0.6 * from[i % 2] as f32 - 1.5).collect()
}

#[test]
fn sample() {
    // A rotation about the centre, as augmentation makes it: most blocks of the grid are far from most pixels.
    let turned = |[h, w]: [usize; 2]| -> Vec<f32> {
        let (sin, cos) = 0.6f32.sin_cos();
        (0..h * w)
            .flat_map(|i| {
                let (y, x) = ((i / w) as f32 - h as f32 / 2.0, (i % w) as f32 - w as f32 / 2.0);
                [cos * y - sin * x + h as f32 / 2.0, sin * y + cos * x + w as f32 / 2.0]
            })
            .collect()
    };
    let whole: Vec<f32> = (0..5 * 4).flat_map(|i| [(i / 4) as f32, (i % 4) as f32]).collect();
    let wild = vec![f32::NAN, 1.0, f32::INFINITY, 0.0, -1.0, 0.5, 3e38, -3e38, 0.5, 0.5, -0.5, 4.99];
    let rows: Vec<Row> = [
        sample_rows(1, 1, [1, 1], [1, 1], vec![0.25, -0.5]),
        sample_rows(2, 3, [7, 5], [9, 11], scattered(2, [7, 5], [9, 11])),
        sample_rows(1, 5, [33, 17], [40, 3], scattered(1, [33, 17], [40, 3])),
        sample_rows(1, 3, [37, 41], [37, 41], turned([37, 41])),
        sample_rows(1, 65, [5, 4], [5, 4], whole),
        sample_rows(1, 2, [3, 5], [2, 3], wild),
    ]
    .into_iter()
    .flatten()
    .collect();
    check(&rows);
}

/// Two runs of everything that adds in parts or gathers give the same bits.
#[test]
fn repeats_bit_for_bit() {
    let mut rows = geometries(&[(4, [33, 31], [5, 6], [3, 3], [1, 1], [1, 1], 1)]);
    rows.push(matmul_row(true, false, [16, 16, 1 << 14]));
    rows.extend(sample_rows(1, 3, [16, 16], [16, 16], scattered(1, [16, 16], [16, 16])));
    let cases = cases(&rows);
    assert_eq!(run(&cases), run(&cases));
}
