//! Checks a device: every primitive and every phase of real models, against the f64 host.
//!
//! `danskin check` prints what [`run`] finds; the tests use the same [`cases`]. Uses everything below `cli`. A case is a graph
//! with values for its leaves; all cases become plans of one program, so a device is opened once. `variants` forces every variant of
//! every kernel in turn.

mod phases;
mod rounding;
pub mod variants;

pub use phases::games;

use crate::device::Device;
use crate::graph::{ConvSpec, Dag, Dist, FirSpec, Graph, Kind, Op, Real, Tensor};
use crate::host::{self, Rng};
use crate::plan::{Builder, Class, Element, Executor, Options, Places, Program, RNG, Region};
use crate::{Error, Result, philox};
use std::collections::HashMap;
use std::fmt;

/// Random numbers of every case.
const SEED: Rng = Rng { seed: 0x00C0_FFEE_1234_5678, step: 3, round: 0 };

/// A graph and values for its leaves.
pub struct Case {
    /// What is checked: `conv_x stride 2`, `r3gan d`.
    pub name: String,
    /// The primitive it is there for; `None` for a whole phase.
    pub kind: Option<Kind>,
    /// The graph.
    pub dag: Dag,
    /// Values by name of input, parameter or state.
    pub feeds: HashMap<String, Vec<f64>>,
}

/// One root of one case.
#[derive(Clone, Debug)]
pub struct Row {
    /// Case and root.
    pub name: String,
    /// Root of the mean square of the differences, relative to that of the reference.
    pub relative_error: f64,
    /// Largest difference, relative to the largest reference value.
    pub largest_error: f64,
    /// The first of them that rounding explains.
    pub allowed: f64,
    /// Within what rounding explains.
    pub passed: bool,
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let verdict = if self.passed { "ok" } else { "MISS" };
        write!(f, "{:<58} rms {:>9.2e}  max {:>9.2e}  {verdict}", self.name, self.relative_error, self.largest_error)
    }
}

/// What a check found.
#[derive(Clone, Debug)]
pub struct Report {
    /// One line about the device.
    pub device: String,
    /// Rows compared.
    pub rows: usize,
    /// Names of those that missed.
    pub missed: Vec<String>,
}

/// An element may be off by so many times the root of the mean square: a normal error passes this once in a billion elements.
const SPREAD: f64 = 6.0;
/// In phases, of the largest value: a leaky ReLU that flips at a rounding error from 0 moves single gradients further than rounding.
const FLIP: f64 = 1e-3;

/// Runs every case on `device`; `show` gets a line per row.
///
/// # Errors
/// A device that fails. A miss is no error here.
pub fn run(device: &Device, show: &mut dyn FnMut(&Row)) -> Result<Report> {
    let cases = cases();
    let mut loaded = Loaded::new(&cases, device, device.options(true))?;
    let mut report = Report { device: loaded.device.describe(), rows: 0, missed: vec![] };
    for (i, case) in cases.iter().enumerate() {
        let reference = host::eval::<f64>(&case.dag, &case.feeds, SEED)?;
        let allowed = case.allowed();
        for (root, values) in loaded.run(i)? {
            let row = case.compare(&root, &values, &reference[&root], allowed[&root]);
            show(&row);
            report.rows += 1;
            if !row.passed {
                report.missed.push(row.name.clone());
            }
        }
    }
    Ok(report)
}

impl Case {
    /// By root, the relative error of its mean square that rounding to f32 explains, see [`rounding::allowed`].
    pub fn allowed(&self) -> HashMap<String, f64> {
        let by_node = rounding::allowed(&self.dag);
        self.dag.roots.iter().map(|(name, id)| (name.clone(), by_node[*id])).collect()
    }

    /// Compares f32 values of a root with an f64 reference.
    pub fn compare(&self, root: &str, values: &[f32], reference: &[f64], allowed: f64) -> Row {
        let (mut error, mut size, mut largest, mut peak) = (0.0, 0.0, 0.0f64, 0.0f64);
        for (&v, &r) in values.iter().zip(reference) {
            let d = (f64::from(v) - r).abs();
            // A NaN must not hide in a maximum.
            let d = if d.is_nan() { f64::INFINITY } else { d };
            error += d * d;
            size += r * r;
            largest = largest.max(d);
            peak = peak.max(r.abs());
        }
        // A reference of exact zeros is compared absolutely.
        let n = reference.len().max(1) as f64;
        let relative_error = (error / n).sqrt() / (size / n).sqrt().max(1e-6);
        let largest_error = largest / peak.max(1e-6);
        let flip = if self.kind.is_some() { 0.0 } else { FLIP };
        let passed = values.len() == reference.len()
            && relative_error <= allowed
            && largest_error <= (SPREAD * allowed).max(flip);
        Row { name: format!("{} {root}", self.name), relative_error, largest_error, allowed, passed }
    }
}

/// Cases as plans of one program on a device.
pub struct Loaded {
    device: Box<dyn Executor>,
    roots: Vec<Vec<(String, Region)>>,
}

/// Cases as plans of one program, with what its leaves hold.
struct Planned {
    program: Program,
    writes: Vec<(Region, Vec<f32>)>,
    roots: Vec<Vec<(String, Region)>>,
}

impl Planned {
    fn new(cases: &[Case], options: Options) -> Result<Planned> {
        let mut b = Builder::new(options);
        let mut writes: Vec<(Region, Vec<f32>)> = vec![];
        let mut roots = vec![];
        for (i, case) in cases.iter().enumerate() {
            let mut leaves = Places::new();
            for (name, values) in &case.feeds {
                let region = b.buffer(&format!("case {i} {name}"), values.len(), Element::F32, Class::Input);
                leaves.insert(name.clone(), region);
                writes.push((region, values.iter().map(|&v| v as f32).collect()));
            }
            let mut outputs = vec![];
            for (name, id) in &case.dag.roots {
                let len = case.dag.nodes[*id].shape.elems();
                let region = b.buffer(&format!("case {i} root {name}"), len, Element::F32, Class::Output);
                // What a kernel leaves unwritten shows.
                writes.push((region, vec![-12345.0; len]));
                outputs.push((name.clone(), region));
            }
            b.plan(&case.name, &case.dag, &leaves, &outputs.iter().cloned().collect())?;
            roots.push(outputs);
        }
        Ok(Planned { program: b.finish(), writes, roots })
    }
}

impl Loaded {
    /// Plans all cases and feeds their leaves.
    ///
    /// # Errors
    /// A case that can't be planned; a device that fails.
    pub fn new(cases: &[Case], device: &Device, options: Options) -> Result<Loaded> {
        let Planned { program, writes, roots } = Planned::new(cases, options)?;
        Loaded::fed(device.load(program)?, &writes, roots)
    }

    /// A device that holds the program of some cases, and what its leaves are to hold.
    fn fed(
        mut device: Box<dyn Executor>,
        writes: &[(Region, Vec<f32>)],
        roots: Vec<Vec<(String, Region)>>,
    ) -> Result<Loaded> {
        for (region, values) in writes {
            device.write(*region, values)?;
        }
        seed(device.as_mut())?;
        Ok(Loaded { device, roots })
    }

    /// One line about the device.
    pub fn describe(&self) -> String {
        self.device.describe()
    }

    /// Runs case `i` and reads its roots.
    ///
    /// # Errors
    /// A device that fails.
    pub fn run(&mut self, i: usize) -> Result<Vec<(String, Vec<f32>)>> {
        self.device.run(&[(i, 1)])?;
        let roots = self.roots.get(i).ok_or_else(|| Error::Check(format!("there is no case {i}")))?.clone();
        roots.into_iter().map(|(name, region)| Ok((name, self.device.read(region)?))).collect()
    }
}

/// Gives a program the random numbers of every case.
fn seed(device: &mut dyn Executor) -> Result<()> {
    let rng = Region { buffer: RNG, offset: 0, len: 4 };
    device.write_u32(rng, &[SEED.seed as u32, (SEED.seed >> 32) as u32, SEED.step, 0])
}

/// The random numbers every case was evaluated with.
pub fn rng() -> Rng {
    SEED
}

/// Standard normal values for a leaf, rounded to f32 so that both sides start from the same numbers.
pub fn values(name: &str, len: usize) -> Vec<f64> {
    let stream = name.bytes().fold(17u32, |h, b| h.wrapping_mul(31).wrapping_add(u32::from(b)));
    (0..len).map(|i| f64::from(philox::normal_at(5, stream, 0, i as u64) as f32)).collect()
}

/// Every primitive, products with what follows them, then every phase of small models.
pub fn cases() -> Vec<Case> {
    let mut cases: Vec<Case> = Kind::ALL.into_iter().flat_map(primitive_cases).collect();
    cases.extend(epilogue_cases());
    // The games of this page fit; the first case of one that does not would be missing from every check.
    cases.extend(phases::cases().unwrap_or_default());
    cases
}

fn case(name: &str, kind: Kind, build: impl for<'g> Fn(&'g Graph) -> Tensor<'g>) -> Case {
    let graph = Graph::new();
    let root = build(&graph);
    let dag = graph.freeze(&[("out".to_owned(), root)]);
    let name = if name.is_empty() { kind.name().to_owned() } else { format!("{} {name}", kind.name()) };
    let feeds = feed(&dag);
    Case { name, kind: Some(kind), dag, feeds }
}

/// Values for the leaves of a graph: indices for names that start with `index`, positive for `positive`, pixels for `grid`, what
/// games feed as they would.
fn feed(dag: &Dag) -> HashMap<String, Vec<f64>> {
    let mut feeds = HashMap::new();
    for node in &dag.nodes {
        if let Op::Input(name) | Op::Param(name) | Op::State(name) = &node.op {
            let scale = |v: f64| match &**name {
                n if n.starts_with("index") => (v.abs() * 3.0).floor().min(6.0),
                n if n.starts_with("positive") || n.ends_with("running_var") => f64::from((v.abs() + 0.5) as f32),
                n if n.starts_with("grid") => f64::from((4.0 + 3.0 * v) as f32),
                n if n.ends_with(".labels") => (v.abs() * 3.0).floor().min(phases::CLASSES as f64 - 1.0),
                n if n.starts_with("scalar/") && n.ends_with("_eps") => f64::from(0.06f32),
                n if n.starts_with("scalar/attack_alpha") => f64::from(0.02f32),
                n if n.starts_with("scalar/augment_p") || n.ends_with("augment_p") => f64::from(0.7f32),
                n if n.starts_with("scalar/") => 1.0,
                n if n.ends_with(".delta") => f64::from((0.02 * v) as f32),
                n if ["real", "images", "shared/"].iter().any(|start| n.starts_with(start)) => {
                    f64::from((0.5 * v).clamp(-1.0, 1.0) as f32)
                }
                n if n.ends_with("weight") => f64::from((0.2 * v) as f32),
                _ => v,
            };
            // What phases share has the values of a batch of that name.
            let own = name.strip_prefix("shared/").unwrap_or(name);
            feeds.insert(name.to_string(), values(own, node.shape.elems()).into_iter().map(scale).collect());
        }
    }
    feeds
}

/// Cases for one primitive; every kind has at least one.
pub fn primitive_cases(kind: Kind) -> Vec<Case> {
    let unary = |f: for<'g> fn(Tensor<'g>) -> Tensor<'g>| vec![case("", kind, |g| f(g.input("a", [7, 13])))];
    let positive = |f: for<'g> fn(Tensor<'g>) -> Tensor<'g>| vec![case("", kind, |g| f(g.input("positive", [7, 13])))];
    let binary = |f: for<'g> fn(Tensor<'g>, Tensor<'g>) -> Tensor<'g>| {
        vec![case("", kind, |g| f(g.input("a", [7, 13]), g.input("b", [7, 13])))]
    };
    match kind {
        Kind::Input => unary(|a| a.scale(1.5)),
        Kind::Param => vec![case("", kind, |g| g.param("w", [65]).scale(0.5))],
        Kind::State => vec![case("", kind, |g| g.state("s", [63]).scale(0.5))],
        Kind::Const => vec![case("", kind, |g| g.constant(2.5, [5, 3]))],
        Kind::Rand => vec![
            case("uniform", kind, |g| g.rand(Dist::Uniform, 9, [3, 67])),
            case("normal", kind, |g| g.rand(Dist::Normal, 10, [1001])),
        ],
        Kind::Detach => unary(|a| a.detach().scale(2.0)),
        Kind::Add => binary(|a, b| a + b),
        Kind::Mul => binary(|a, b| a * b),
        Kind::Scale => unary(|a| a.scale(-3.0)),
        Kind::Pow => vec![
            case("-0.5", kind, |g| g.input("positive", [7, 13]).pow(-0.5)),
            case("3", kind, |g| g.input("a", [7, 13]).pow(3.0)),
            case("1.7", kind, |g| g.input("positive", [7, 13]).pow(1.7)),
        ],
        Kind::Exp => unary(|a| a.exp()),
        Kind::Log => positive(|a| a.log()),
        Kind::Sigmoid => unary(|a| a.sigmoid()),
        Kind::Tanh => vec![
            case("", kind, |g| g.input("a", [7, 13]).tanh()),
            case("of large numbers", kind, |g| g.input("a", [64]).scale(60.0).tanh()),
        ],
        Kind::Softplus => vec![
            case("", kind, |g| g.input("a", [7, 13]).softplus()),
            case("of large numbers", kind, |g| g.input("a", [64]).scale(60.0).softplus()),
        ],
        Kind::Abs => unary(|a| a.abs()),
        Kind::Sign => unary(|a| (a.abs() + 1.0) * a.sign()),
        Kind::Step => unary(|a| a.step()),
        Kind::Select => binary(|a, b| a.select(b, b.scale(-0.5))),
        Kind::Max => binary(|a, b| a.max(b)),
        Kind::Min => binary(|a, b| a.min(b)),
        Kind::Reshape => unary(|a| a.exp().reshape([13, 7]).sum(&[0])),
        Kind::Permute => vec![case("", kind, |g| g.input("a", [3, 5, 7, 2]).permute(&[3, 1, 0, 2]))],
        Kind::Expand => vec![case("", kind, |g| g.input("a", [1, 5, 1, 2]).expand([3, 5, 7, 2]))],
        Kind::Sum => vec![
            case("of rows", kind, |g| g.input("a", [65, 33]).sum(&[1])),
            case("of columns", kind, |g| g.input("a", [1027, 33]).sum(&[0])),
            case("of all", kind, |g| g.input("a", [97, 131]).sum_all()),
            case("of every other axis", kind, |g| g.input("a", [5, 7, 11, 3]).sum(&[0, 2])),
        ],
        Kind::Slice => vec![case("", kind, |g| g.input("a", [5, 7, 11]).slice(&[1, 2, 3], [3, 4, 5]))],
        Kind::Pad => pad_cases(),
        Kind::MatMul => [(false, false), (true, false), (false, true), (true, true)]
            .into_iter()
            .map(|(ta, tb)| {
                case(&format!("ta {ta} tb {tb}"), kind, move |g| {
                    let a = g.input("a", if ta { [67, 65] } else { [65, 67] });
                    a.matmul_t(ta, g.input("b", if tb { [33, 67] } else { [67, 33] }), tb)
                })
            })
            .collect(),
        Kind::Conv | Kind::ConvX | Kind::ConvW => conv_cases(kind),
        Kind::Fir => vec![
            case("blur", kind, |g| g.input("a", [2, 9, 7, 5]).fir(fir(1, 1, [2, 1], false))),
            case("up", kind, |g| g.input("a", [2, 9, 7, 5]).fir(fir(2, 1, [2, 1], true))),
            case("down", kind, |g| g.input("a", [2, 9, 7, 5]).fir(fir(1, 2, [1, 1], false))),
            case("crop", kind, |g| g.input("a", [2, 9, 7, 5]).fir(fir(1, 1, [-1, 0], false))),
        ],
        Kind::Gather => vec![case("", kind, |g| g.input("table", [7, 3, 5]).gather(g.input("index", [11])))],
        Kind::ScatterAdd => {
            vec![case("", kind, |g| g.input("rows", [11, 3, 5]).scatter_add(g.input("index", [11]), 7))]
        }
        Kind::Sample => {
            vec![case("", kind, |g| g.input("a", [2, 9, 8, 3]).sample(g.input("grid", [2, 5, 6, 2])))]
        }
        Kind::SampleAdjoint => {
            vec![case("", kind, |g| g.input("a", [2, 5, 6, 3]).sample_adjoint(g.input("grid", [2, 5, 6, 2]), [9, 8]))]
        }
    }
}

/// Each product's cases followed by a bias, a rectifier and a residual, which plans make part of the product's step.
pub fn epilogue_cases() -> Vec<Case> {
    let products = [Kind::MatMul, Kind::Conv, Kind::ConvX, Kind::ConvW, Kind::Fir, Kind::Sum];
    let mut cases: Vec<Case> = products.into_iter().flat_map(primitive_cases).map(followed).collect();
    // Sums in parts: over a long depth, and over many rows.
    let deep = case("in parts", Kind::MatMul, |g| g.input("a", [5, 2050]).matmul(g.input("b", [2050, 3])));
    let long = case("of many rows", Kind::Sum, |g| g.input("a", [40_000, 8]).sum(&[0]));
    let wide = case("of long rows", Kind::Sum, |g| g.input("a", [3, 20_000]).sum(&[1]));
    cases.extend([deep, long, wide].map(followed));
    cases
}

/// The same graph with a bias along the last axis, a leaky rectifier and a residual behind its root.
fn followed(case: Case) -> Case {
    let graph = Graph::new();
    let product = graph.thaw(&case.dag)[case.dag.roots[0].1];
    let shape = product.shape();
    let mut along_last = vec![1; shape.len()];
    along_last[shape.len() - 1] = shape[shape.len() - 1];
    let biased = product + graph.input("bias", along_last);
    let root = biased.leaky_relu(0.2) + graph.input("residual", shape).scale(0.5);
    let dag = graph.freeze(&[("out".to_owned(), root)]);
    let feeds = feed(&dag);
    Case { name: format!("{} > bias, rectifier, residual", case.name), kind: None, dag, feeds }
}

fn fir(up: usize, down: usize, pad: [i64; 2], flip: bool) -> FirSpec {
    FirSpec { taps: [0.1, 0.4, 0.3, 0.2].map(Real).to_vec(), up, down, pad: [pad; 2], flip }
}

/// Alone, and where chains take it in: around what they compute, side by side, in every second place, cut by other shapes.
fn pad_cases() -> Vec<Case> {
    let kind = Kind::Pad;
    vec![
        case("", kind, |g| g.input("a", [3, 4, 5]).pad(&[1, 2, 3], [5, 7, 11])),
        case("of a chain", kind, |g| {
            (g.input("a", [3, 4, 5]) + g.input("b", [1, 4, 1])).exp().pad(&[1, 0, 3], [5, 4, 8])
        }),
        case("of a pad", kind, |g| g.input("a", [3, 8]).pad(&[1, 0], [5, 8]).exp().pad(&[0, 4], [5, 16])),
        case("side by side", kind, |g| {
            let (a, b) = (g.input("a", [3, 4, 5]), g.input("b", [3, 2, 5]));
            Tensor::concat(&[a.exp(), b, b * b, a.slice(&[0, 1, 0], [3, 3, 5])], 1).tanh()
        }),
        case("in every second place", kind, |g| {
            let (a, b) = (g.input("a", [3, 1, 4, 1, 8]), g.input("b", [3, 1, 4, 1, 8]));
            let [p, q, r] = [(a.exp(), [0, 1]), (b, [1, 0]), ((a - b).select(a, b), [1, 1])]
                .map(|(x, [i, j])| x.pad(&[0, i, 0, j, 0], [3, 2, 4, 2, 8]));
            (p + q + r).reshape([6, 8, 8]).permute(&[1, 0, 2])
        }),
        case("of constants", kind, |g| {
            let one = |i| g.constant(i as f64, [1]).pad(&[i], [5]);
            g.input("a", [4, 5]) * (one(1) + one(2) + one(4)).reshape([1, 5])
        }),
        case("cut in rows", kind, |g| g.input("a", [12]).tanh().pad(&[5], [30]).reshape([6, 5]).permute(&[1, 0])),
        case("of whole rows", kind, |g| g.input("a", [10]).tanh().pad(&[5], [30]).reshape([6, 5]).permute(&[1, 0])),
        case("summed", kind, |g| (g.input("a", [3, 4, 5]).exp().pad(&[1, 2, 3], [5, 7, 11]) + 1.0).sum(&[0, 2])),
    ]
}

fn conv_cases(kind: Kind) -> Vec<Case> {
    // (name, kernel, stride, pad, groups, input, cin, cout)
    let table = [
        ("3x3", [3, 3], [1, 1], [1, 1], 1, [9, 7], 5, 6),
        ("4x4 stride 2", [4, 4], [2, 2], [1, 1], 1, [16, 16], 3, 8),
        ("1x1", [1, 1], [1, 1], [0, 0], 1, [6, 5], 17, 9),
        ("5x2 stride 3x1, remainder", [5, 2], [3, 1], [2, 0], 1, [11, 6], 4, 3),
        ("grouped by 16", [3, 3], [1, 1], [1, 1], 2, [8, 8], 32, 32),
        ("depthwise", [4, 4], [1, 1], [0, 0], 12, [4, 4], 12, 12),
    ];
    table
        .into_iter()
        .map(|(name, kernel, stride, pad, groups, input, cin, cout)| {
            case(name, kind, move |g| {
                let spec = ConvSpec { stride, pad, groups, kernel, input };
                let [ho, wo] = spec.output();
                let x = || g.input("x", [3, input[0], input[1], cin]);
                let w = || g.input("w", [kernel[0], kernel[1], cin / groups, cout]);
                let y = || g.input("y", [3, ho, wo, cout]);
                match kind {
                    Kind::Conv => x().conv_spec(w(), spec),
                    Kind::ConvX => y().conv_x_spec(w(), spec),
                    _ => x().conv_w_spec(y(), spec),
                }
            })
        })
        .collect()
}
