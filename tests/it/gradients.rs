//! The vjp table: every primitive against central differences, at orders one and two, with random cotangents.

use crate::numeric::{Feeds, check_gradient, dot, normals, value, values};
use danskin::autodiff::{grad, vjp};
use danskin::graph::{ConvSpec, Dist, FirSpec, Graph, Kind, Op, Real, Tensor};

/// A primitive applied to some operands.
struct Case {
    /// Extents of the operands.
    shapes: Vec<Vec<usize>>,
    /// How many of them, from the first, are differentiated; the others are data.
    by: usize,
    /// Maps a standard normal number to an operand's element.
    feed: fn(f64) -> f64,
    build: Box<Build>,
}

type Build = dyn for<'g> Fn(&[Tensor<'g>]) -> Tensor<'g>;

fn case(
    shapes: &[&[usize]],
    feed: fn(f64) -> f64,
    build: impl for<'g> Fn(&[Tensor<'g>]) -> Tensor<'g> + 'static,
) -> Case {
    Case { shapes: shapes.iter().map(|s| s.to_vec()).collect(), by: shapes.len(), feed, build: Box::new(build) }
}

/// The last operand is an index below `rows`.
fn indexed(case: Case) -> Case {
    Case { by: 1, ..case }
}

/// What the derivative of a kind must be.
enum Rule {
    /// No operand.
    Leaf,
    /// A value that changes with its operand, a derivative that is zero by definition.
    Zero(Case),
    /// Equal to central differences.
    Exact(Vec<Case>),
}

fn plain(v: f64) -> f64 {
    v
}
fn positive(v: f64) -> f64 {
    0.3 + v.abs()
}

/// The table. A kind without a row does not compile; the test below walks `Kind::ALL`.
fn rule(kind: Kind) -> Rule {
    use Rule::*;
    let unary = |feed, f: for<'g> fn(Tensor<'g>) -> Tensor<'g>| Exact(vec![case(&[&[3, 5]], feed, move |x| f(x[0]))]);
    let binary = |f: for<'g> fn(Tensor<'g>, Tensor<'g>) -> Tensor<'g>| {
        Exact(vec![case(&[&[3, 5], &[3, 5]], plain, move |x| f(x[0], x[1]))])
    };
    match kind {
        Kind::Input | Kind::Param | Kind::State | Kind::Const | Kind::Rand => Leaf,
        Kind::Detach => Zero(case(&[&[3, 5]], plain, |x| x[0].detach())),
        Kind::Sign => Zero(case(&[&[3, 5]], plain, |x| x[0].sign())),
        Kind::Step => Zero(case(&[&[3, 5]], plain, |x| x[0].step())),
        Kind::Add => binary(|a, b| a + b),
        Kind::Mul => binary(|a, b| a * b),
        Kind::Scale => unary(plain, |x| x.scale(-1.7)),
        Kind::Pow => Exact(
            [-1.5, -0.5, 0.5, 2.0, 3.0].map(|p| case(&[&[3, 5]], positive, move |x| x[0].pow(p))).into_iter().collect(),
        ),
        Kind::Exp => unary(plain, |x| x.exp()),
        Kind::Log => unary(positive, |x| x.log()),
        Kind::Sigmoid => unary(plain, |x| x.sigmoid()),
        Kind::Tanh => unary(plain, |x| x.tanh()),
        Kind::Softplus => unary(plain, |x| x.softplus()),
        Kind::Abs => unary(plain, |x| x.abs()),
        Kind::Select => Exact(vec![
            case(&[&[3, 5], &[3, 5], &[3, 5]], plain, |x| x[0].select(x[1], x[2])),
            case(&[&[3, 5]], plain, |x| x[0].leaky_relu(0.2)),
        ]),
        Kind::Max => binary(|a, b| a.max(b)),
        Kind::Min => binary(|a, b| a.min(b)),
        Kind::Reshape => unary(plain, |x| x.reshape([5, 3])),
        Kind::Permute => Exact(vec![case(&[&[2, 3, 4, 5]], plain, |x| x[0].permute(&[3, 0, 2, 1]))]),
        Kind::Expand => Exact(vec![case(&[&[1, 3, 1]], plain, |x| x[0].expand([4, 3, 2]))]),
        Kind::Sum => Exact(vec![case(&[&[4, 3, 2]], plain, |x| x[0].sum(&[0, 2]))]),
        Kind::Slice => Exact(vec![case(&[&[4, 5]], plain, |x| x[0].slice(&[1, 2], [2, 3]))]),
        Kind::Pad => Exact(vec![case(&[&[2, 3]], plain, |x| x[0].pad(&[1, 2], [4, 7]))]),
        Kind::MatMul => Exact(matmuls()),
        Kind::Conv => Exact(convolutions(|s, [x, w, _]| case(&[&x, &w], plain, move |t| t[0].conv_spec(t[1], s)))),
        Kind::ConvX => Exact(convolutions(|s, [_, w, y]| case(&[&y, &w], plain, move |t| t[0].conv_x_spec(t[1], s)))),
        Kind::ConvW => Exact(convolutions(|s, [x, _, y]| case(&[&x, &y], plain, move |t| t[0].conv_w_spec(t[1], s)))),
        Kind::Fir => Exact(filters()),
        Kind::Gather => Exact(vec![indexed(case(&[&[4, 3], &[6]], plain, |x| x[0].gather(to_index(x[1]))))]),
        Kind::ScatterAdd => {
            Exact(vec![indexed(case(&[&[6, 3], &[6]], plain, |x| x[0].scatter_add(to_index(x[1]), 4)))])
        }
        Kind::Sample => {
            Exact(vec![indexed(case(&[&[2, 4, 5, 3], &[2, 3, 3, 2]], plain, |x| x[0].sample(x[1].scale(2.0) + 1.5)))])
        }
        Kind::SampleAdjoint => Exact(vec![indexed(case(&[&[2, 3, 3, 3], &[2, 3, 3, 2]], plain, |x| {
            x[0].sample_adjoint(x[1].scale(2.0) + 1.5, [4, 5])
        }))]),
    }
}

/// Real numbers to whole ones from 0 to 3: one for each threshold that is passed.
fn to_index(x: Tensor) -> Tensor {
    (x + 0.8).step() + x.step() + (x - 0.8).step()
}

fn matmuls() -> Vec<Case> {
    let one = |(ta, tb)| {
        let a: [usize; 2] = if ta { [4, 3] } else { [3, 4] };
        let b: [usize; 2] = if tb { [5, 4] } else { [4, 5] };
        case(&[&a, &b], plain, move |x| x[0].matmul_t(ta, x[1], tb))
    };
    [(false, false), (false, true), (true, false), (true, true)].map(one).into_iter().collect()
}

/// Plain, strided with a remainder, grouped and padded, depthwise, and rectangular convolutions.
fn convolutions(make: fn(ConvSpec, [[usize; 4]; 3]) -> Case) -> Vec<Case> {
    let spec = |stride, pad, groups, kernel, input| ConvSpec { stride, pad, groups, kernel, input };
    let cases = [
        (spec([1, 1], [0, 0], 1, [3, 3], [5, 4]), 2, 3),
        (spec([2, 2], [1, 1], 1, [4, 4], [7, 6]), 2, 3),
        (spec([1, 1], [1, 1], 2, [3, 3], [4, 4]), 4, 6),
        (spec([2, 2], [1, 1], 4, [3, 3], [5, 5]), 4, 4),
        (spec([1, 3], [2, 0], 1, [2, 3], [3, 8]), 3, 2),
    ];
    let one = |(s, cin, cout): (ConvSpec, usize, usize)| {
        let ([h, w], [ho, wo], [kh, kw]) = (s.input, s.output(), s.kernel);
        make(s, [[2, h, w, cin], [kh, kw, cin / s.groups, cout], [2, ho, wo, cout]])
    };
    cases.map(one).into_iter().collect()
}

/// Up, down, both, cropped, flipped; taps without symmetry.
fn filters() -> Vec<Case> {
    let taps = || [0.2, 0.5, -0.3, 0.9].map(Real).to_vec();
    let one = |(up, down, pad, flip): (usize, usize, [[i64; 2]; 2], bool)| {
        case(&[&[2, 6, 5, 2]], plain, move |x| x[0].fir(FirSpec { taps: taps(), up, down, pad, flip }))
    };
    [
        (1, 1, [[2, 1], [1, 2]], false),
        (2, 1, [[2, 1], [2, 1]], false),
        (1, 2, [[1, 1], [1, 1]], true),
        (3, 2, [[2, 3], [0, 4]], false),
        (2, 1, [[-1, 2], [3, -2]], true),
    ]
    .map(one)
    .into_iter()
    .collect()
}

/// Leaves `x0`, `x1`, … of a case and their values.
fn operands<'g>(graph: &'g Graph, case: &Case, seed: u32) -> (Vec<Tensor<'g>>, Feeds) {
    let leaves: Vec<Tensor> =
        case.shapes.iter().enumerate().map(|(i, s)| graph.input(&format!("x{i}"), s.as_slice())).collect();
    let numbers = |(i, t): (usize, &Tensor)| {
        let values = normals(seed + i as u32, t.shape().elems()).into_iter().map(case.feed).collect();
        (format!("x{i}"), values)
    };
    let feeds = leaves.iter().enumerate().map(numbers).collect();
    (leaves, feeds)
}

#[test]
fn every_primitive_at_orders_one_and_two() {
    for kind in Kind::ALL {
        match rule(kind) {
            Rule::Leaf => {
                let graph = Graph::new();
                let leaf = leaf(&graph, kind);
                assert_eq!(graph.node(leaf.id()).op.kind(), kind);
                assert_eq!(value(grad(leaf, &[leaf])[0], &Feeds::new()), [1.0, 1.0], "{}", kind.name());
            }
            Rule::Zero(case) => {
                let graph = Graph::new();
                let (x, feeds) = operands(&graph, &case, 40);
                let y = (case.build)(&x);
                assert_eq!(graph.node(y.id()).op.kind(), kind);
                assert!(value(y, &feeds).iter().any(|v| *v != 0.0), "{}: a value of zeros proves nothing", kind.name());
                assert!(value(grad(y, &x)[0], &feeds).iter().all(|g| *g == 0.0), "{}", kind.name());
            }
            Rule::Exact(cases) => {
                for (i, case) in cases.iter().enumerate() {
                    check_case(kind, case, &format!("{} case {i}", kind.name()));
                }
            }
        }
    }
}

fn leaf(graph: &Graph, kind: Kind) -> Tensor<'_> {
    match kind {
        Kind::Input => graph.input("leaf", [2]),
        Kind::Param => graph.param("leaf", [2]),
        Kind::State => graph.state("leaf", [2]),
        Kind::Const => graph.constant(3.0, [2]),
        _ => graph.rand(Dist::Normal, 0, [2]),
    }
}

/// Order one: ⟨c, f(x)⟩ by x. Order two: ⟨∂⟨c, f(x)⟩/∂x, v⟩ by x and c, with random c and v.
fn check_case(kind: Kind, case: &Case, label: &str) {
    let graph = Graph::new();
    let (x, mut feeds) = operands(&graph, case, 70);
    let y = (case.build)(&x);
    let made = graph.node(y.id()).op.kind();
    assert!(made == kind, "{label}: the table builds {}", made.name());
    let by = &x[..case.by];
    let c = graph.input("c", y.shape());
    feeds.insert("c".into(), normals(80, y.shape().elems()));
    let steepest = check_gradient(label, (y * c).sum_all(), by, &feeds, 3);
    assert!(steepest > 1e-3, "{label}: a derivative of {steepest} proves nothing");

    let mut second = graph.constant(0.0, [1]);
    for (i, g) in vjp(y, c, by).into_iter().enumerate() {
        let name = format!("v{i}");
        feeds.insert(name.clone(), normals(90 + i as u32, g.shape().elems()));
        second = second + (g * graph.input(&name, g.shape())).sum_all();
    }
    let everything: Vec<Tensor> = by.iter().copied().chain([c]).collect();
    let steepest = check_gradient(&format!("{label}, order 2"), second, &everything, &feeds, 3);
    assert!(steepest > 1e-3, "{label}, order 2: a derivative of {steepest} proves nothing");
}

/// Central differences say nothing at a tie: the gradient there is split in halves by definition.
#[test]
fn ties_are_split_in_halves() {
    let graph = Graph::new();
    let (a, b) = (graph.input("a", [3]), graph.input("b", [3]));
    let feeds = Feeds::from([("a".into(), vec![1.0, 2.0, 3.0]), ("b".into(), vec![1.0, 3.0, 2.0])]);
    assert_eq!(values(&grad(a.max(b), &[a, b]), &feeds), [[0.5, 0.0, 1.0], [0.5, 1.0, 0.0]]);
    assert_eq!(values(&grad(a.min(b), &[a, b]), &feeds), [[0.5, 1.0, 0.0], [0.5, 0.0, 1.0]]);
}

/// The bilinear triples are adjoint to each other: one number, ⟨conv(x,w), y⟩, three ways.
#[test]
fn convolutions_form_an_adjoint_triple() {
    for build in convolutions(|s, [x, w, y]| {
        case(&[&x, &w, &y], plain, move |t| {
            let a = (t[0].conv_spec(t[1], s) * t[2]).sum_all();
            let b = (t[2].conv_x_spec(t[1], s) * t[0]).sum_all();
            let c = (t[0].conv_w_spec(t[2], s) * t[1]).sum_all();
            Tensor::concat(&[a, b, c], 0)
        })
    }) {
        let graph = Graph::new();
        let (x, feeds) = operands(&graph, &build, 20);
        let three = value((build.build)(&x), &feeds);
        assert!((three[0] - three[1]).abs() < 1e-11 && (three[0] - three[2]).abs() < 1e-11, "{three:?}");
    }
}

/// A filter and its adjoint, with x and y of their own: ⟨F x, y⟩ = ⟨x, Fᵀ y⟩.
#[test]
fn a_filter_has_an_adjoint() {
    for case in filters() {
        let graph = Graph::new();
        let (x, mut feeds) = operands(&graph, &case, 30);
        let y = (case.build)(&x);
        let Op::Fir(spec) = graph.node(y.id()).op else { panic!("not a filter") };
        let other = graph.input("y", y.shape());
        feeds.insert("y".into(), normals(35, y.shape().elems()));
        let back = other.fir(spec.adjoint([x[0].dim(1), x[0].dim(2)]));
        assert_eq!(back.shape(), x[0].shape());
        let v = values(&[y, back], &feeds);
        assert!((dot(&v[0], &feeds["y"]) - dot(&v[1], &feeds["x0"])).abs() < 1e-11, "{spec:?}");
    }
}

/// Equal nodes are one node, so a gradient asked for twice costs nothing, and constants fold.
#[test]
fn equal_nodes_are_shared() {
    let graph = Graph::new();
    let (a, b) = (graph.input("a", [2, 3]), graph.input("b", [2, 3]));
    assert_eq!((a + b).id(), (b + a).id());
    assert_eq!((a * b).id(), (b * a).id());
    assert_eq!((a * 2.0 * 3.0).id(), (a * 6.0).id());
    assert_eq!(a.permute(&[1, 0]).permute(&[1, 0]).id(), a.id());
    assert_ne!(a.scale(0.1).id(), a.scale(0.2).id());
    assert_ne!(graph.input("a", [2, 3]).id(), graph.param("a", [2, 3]).id());
    let y = (a.tanh() * b).sum_all();
    let first = grad(y, &[a, b]);
    let nodes = graph.len();
    let second = grad(y, &[a, b]);
    assert_eq!(nodes, graph.len());
    assert_eq!(first[0].id(), second[0].id());
    // The gradient of a sum is a constant, not a chain of them.
    let ones = grad(a.sum_all(), &[a])[0];
    assert!(matches!(graph.node(ones.id()).op, Op::Const(Real(1.0))));
}
