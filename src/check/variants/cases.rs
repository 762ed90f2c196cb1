//! Graphs that make every family of kernels run, at shapes that fit no tile, also with operands and results in 16 bits.

use crate::check::{Case, case, epilogue_cases, feed, followed, primitive_cases};
use crate::graph::{ConvSpec, Dag, FirSpec, Graph, Kind, Node, Op, Real, Tensor};

/// Batch, input, channels, kernel, stride, padding, groups.
type Geometry = (usize, [usize; 2], [usize; 2], [usize; 2], [usize; 2], [usize; 2], usize);

/// Products that take a schedule, each plain and followed by an epilogue: rows, columns and depth that divide nothing, and some that
/// fill whole vectors.
pub(super) fn scheduled() -> Vec<Case> {
    let transposes = [(false, false), (false, true), (true, false), (true, true)];
    let sizes = [[129, 131, 37], [20, 36, 300]];
    let mut cases: Vec<Case> = sizes.iter().flat_map(|&size| transposes.map(|(ta, tb)| matmul(ta, tb, size))).collect();
    let table: [Geometry; 5] = [
        (3, [11, 8], [33, 21], [3, 2], [2, 1], [1, 1], 1),
        (2, [9, 9], [16, 24], [3, 3], [2, 2], [1, 0], 2),
        (2, [8, 8], [36, 40], [3, 3], [1, 1], [1, 1], 1),
        (2, [16, 16], [12, 32], [4, 4], [2, 2], [1, 1], 1),
        (2, [7, 5], [24, 36], [1, 1], [1, 1], [0, 0], 1),
    ];
    cases.extend(table.into_iter().flat_map(family));
    and_followed(cases)
}

/// Everything else: the other routes of convolutions, filters, sums, chains, and every primitive once.
pub(super) fn others() -> Vec<Case> {
    let mut cases: Vec<Case> = Kind::ALL.into_iter().flat_map(primitive_cases).collect();
    cases.extend(strict(epilogue_cases()));
    let mut more = routes();
    more.extend(sums());
    more.push(long_filter());
    cases.extend(and_followed(more));
    cases
}

/// The same products with every operand and result kept as 16-bit floats.
pub(super) fn scheduled_in_halves() -> Vec<Case> {
    let cases = scheduled().into_iter().filter(|case| case.name.ends_with(FOLLOWED));
    cases.map(|case| in_halves(&case)).collect()
}

/// The same of everything else that may read or write 16-bit floats.
pub(super) fn others_in_halves() -> Vec<Case> {
    let mut cases: Vec<Case> = and_followed(routes()).iter().map(in_halves).collect();
    // Without an epilogue the product itself is what is stored.
    cases.extend(scheduled().iter().filter(|case| !case.name.ends_with(FOLLOWED)).map(in_halves));
    cases.extend(and_followed(vec![long_filter()]).iter().map(in_halves));
    for (name, up, down, pad) in [("blur", 1, 1, [2, 1]), ("up", 2, 1, [2, 1]), ("down", 1, 2, [1, 1])] {
        let plain = case(name, Kind::Fir, |g| g.input("a", [2, 19, 17, 5]).fir(fir(4, up, down, pad)));
        cases.extend(and_followed(vec![plain]).iter().map(in_halves));
    }
    let halves = |name: &str, kind, build: &dyn for<'g> Fn(&'g Graph) -> Tensor<'g>| {
        case(format!("{name} {HALVES}").trim_start(), kind, |g| build(g))
    };
    for [rows, cols] in [[64, 128], [63, 129], [2000, 4], [2001, 3], [3, 4000]] {
        cases.push(halves("of rows", Kind::Sum, &|g| held(g.input("a", [rows, cols])).sum(&[1])));
        cases.push(halves("of columns", Kind::Sum, &|g| held(g.input("a", [rows, cols])).sum(&[0])));
        cases.push(halves(&format!("of {rows}x{cols}"), Kind::Add, &|g| {
            held((held(g.input("a", [rows, cols])) + g.input("b", [1, cols])).leaky_relu(0.2))
        }));
        cases.push(halves(&format!("of {rows}x{cols}"), Kind::Permute, &|g| {
            held(held(g.input("a", [rows, cols])).permute(&[1, 0]).scale(0.5))
        }));
    }
    cases.push(halves("", Kind::Gather, &|g| held(g.input("table", [30, 7, 11])).gather(g.input("index", [13]))));
    cases.push(halves("", Kind::ScatterAdd, &|g| {
        held(g.input("rows", [10, 11, 13])).scatter_add(g.input("index", [11]), 7)
    }));
    cases.push(halves("", Kind::Sample, &|g| held(g.input("a", [1, 19, 18, 3])).sample(g.input("grid", [2, 5, 6, 2]))));
    cases.push(halves("", Kind::SampleAdjoint, &|g| {
        held(g.input("a", [1, 15, 16, 3])).sample_adjoint(g.input("grid", [2, 15, 16, 2]), [9, 8])
    }));
    cases
}

/// What [`followed`] adds to a name.
const FOLLOWED: &str = "> bias, rectifier, residual";
/// What the cases of this page add to it.
const HALVES: &str = "of 16-bit numbers";

/// Each case, then each followed by an epilogue.
fn and_followed(cases: Vec<Case>) -> Vec<Case> {
    let again = |case: &Case| Case {
        name: case.name.clone(),
        kind: case.kind,
        dag: case.dag.clone(),
        feeds: case.feeds.clone(),
    };
    let followed: Vec<Case> = cases.iter().map(|case| followed(again(case))).collect();
    // The kind of a case that is followed is of a phase's; here each is of one product.
    let kinds: Vec<Option<Kind>> = cases.iter().map(|case| case.kind).collect();
    let followed = followed.into_iter().zip(kinds).map(|(case, kind)| Case { kind, ..case });
    cases.into_iter().chain(followed).collect()
}

/// Single values may not be off by more than rounding either: nothing here has a rectifier's derivative.
fn strict(cases: Vec<Case>) -> impl Iterator<Item = Case> {
    cases.into_iter().map(|case| Case { kind: Some(Kind::Add), ..case })
}

fn matmul(ta: bool, tb: bool, [m, n, k]: [usize; 3]) -> Case {
    case(&format!("{m}x{n}x{k} ta {ta} tb {tb}"), Kind::MatMul, |g| {
        let a = g.input("a", if ta { [k, m] } else { [m, k] });
        a.matmul_t(ta, g.input("b", if tb { [n, k] } else { [k, n] }), tb)
    })
}

/// The three members of a geometry.
fn family(geometry: Geometry) -> [Case; 3] {
    [Kind::Conv, Kind::ConvX, Kind::ConvW].map(|kind| convolution(kind, geometry))
}

fn convolution(kind: Kind, (n, input, [cin, cout], kernel, stride, pad, groups): Geometry) -> Case {
    let spec = ConvSpec { stride, pad, groups, kernel, input };
    let ([h, w], [kh, kw], [sh, sw]) = (input, kernel, stride);
    let name = format!("{n}x{h}x{w} {cin}→{cout} kernel {kh}x{kw} stride {sh}x{sw} groups {groups}");
    case(&name, kind, |g| {
        let [ho, wo] = spec.output();
        let x = || g.input("x", [n, h, w, cin]);
        let weights = || g.input("w", [kh, kw, cin / groups, cout]);
        let y = || g.input("y", [n, ho, wo, cout]);
        match kind {
            Kind::Conv => x().conv_spec(weights(), spec),
            Kind::ConvX => y().conv_x_spec(weights(), spec),
            _ => x().conv_w_spec(y(), spec),
        }
    })
}

/// Convolutions on routes that take no schedule: depthwise, to a few channels, of narrow groups.
fn routes() -> Vec<Case> {
    let grouped: [Geometry; 7] = [
        (2, [15, 17], [3, 3], [3, 3], [1, 1], [1, 1], 3),
        (4, [6, 6], [65, 65], [4, 4], [1, 1], [0, 0], 65),
        (2, [9, 11], [7, 14], [3, 5], [1, 1], [1, 2], 7),
        (3, [18, 9], [5, 15], [3, 3], [2, 2], [1, 1], 5),
        (5, [10, 13], [4, 4], [5, 2], [3, 3], [2, 0], 4),
        (40, [16, 3], [2, 2], [3, 3], [1, 1], [1, 1], 2),
        (8, [7, 9], [12, 6], [3, 2], [1, 2], [1, 0], 3),
    ];
    let mut cases: Vec<Case> = grouped.into_iter().flat_map(family).collect();
    for channels in 1..=4 {
        let halved = (4, [26, 22], [channels, 24], [4, 4], [2, 2], [1, 1], 1);
        let kept = (4, [18, 16], [channels, 9], [3, 3], [1, 1], [1, 1], 1);
        cases.extend([halved, kept].map(|geometry| convolution(Kind::ConvX, geometry)));
    }
    cases
}

/// Sums along rows and columns, in vectors and not, whole and in slices.
fn sums() -> Vec<Case> {
    let shapes = [[64, 128], [63, 129], [40_000, 8], [9001, 7], [3, 20_000], [5, 20_001]];
    let both = shapes.into_iter().flat_map(|[rows, cols]| {
        [1, 0].map(|axis| {
            case(&format!("of {rows}x{cols} along axis {axis}"), Kind::Sum, |g| g.input("a", [rows, cols]).sum(&[axis]))
        })
    });
    let middle = case("of axes 0 and 2", Kind::Sum, |g| g.input("a", [5, 7, 11, 12]).sum(&[0, 2]));
    both.chain([middle]).collect()
}

/// Long enough for a pass per axis.
fn long_filter() -> Case {
    case("of 13 taps", Kind::Fir, |g| g.input("a", [2, 19, 17, 5]).fir(fir(13, 1, 1, [6, 6])))
}

fn fir(taps: usize, up: usize, down: usize, pad: [i64; 2]) -> FirSpec {
    let taps = (1..=taps).map(|i| Real(f64::from((0.1 * i as f64) as f32))).collect();
    FirSpec { taps, up, down, pad: [pad; 2], flip: false }
}

/// The tensor as memory holds it, one longer along its first axis: no chain reaches through the kernel that pads.
fn held(t: Tensor<'_>) -> Tensor<'_> {
    let mut to = t.shape().to_vec();
    to[0] += 1;
    t.pad(&vec![0; to.len()], to)
}

/// The case with its operands made by chains and its result read by another kernel, so that a plan in half precision keeps all of them
/// as 16-bit floats.
fn in_halves(case: &Case) -> Case {
    let (mut halved, mut number) = (Dag::default(), vec![]);
    for node in &case.dag.nodes {
        let src = node.src.iter().map(|&s| number[s]).collect();
        halved.nodes.push(Node { op: node.op.clone(), src, shape: node.shape.clone() });
        if matches!(node.op, Op::Input(_)) {
            let leaf = halved.nodes.len() - 1;
            halved.nodes.push(Node { op: Op::Scale(Real(0.5)), src: vec![leaf], shape: node.shape.clone() });
        }
        number.push(halved.nodes.len() - 1);
    }
    let graph = Graph::new();
    let root = held(graph.thaw(&halved)[number[case.dag.roots[0].1]]);
    let dag = graph.freeze(&[("out".to_owned(), root)]);
    let feeds = feed(&dag);
    Case { name: format!("{} {HALVES}", case.name), kind: case.kind, dag, feeds }
}
