//! Networks as lists of layers: against PyTorch's `nn.Sequential` with its weights, and what is refused.
//! `tests/goldens/sequential.py` made the files.

use crate::goldens::{Golden, error, in_f32, in_f64, load, on};
use crate::numeric::{Feeds, normals, value, values};
use crate::primitives::gpu;
use danskin::autodiff::grad;
use danskin::device::Device;
use danskin::graph::{Dag, Graph};
use danskin::nn::pool::{avg_pool, max_pool, upsample_bilinear, upsample_nearest};
use danskin::nn::{Init, Layer, Mode, Network, ParamSpec, Scope, Sequential, StateSpec};

/// As in sequential.py.
pub const EVERY: usize = 7;

pub const DCGAN_G: &str = r#"
prefix = "main"
init = "dcgan"
layers = [
    { type = "conv_transpose", out = 16, kernel = 4, bias = false },
    { type = "batch_norm" },
    { type = "relu" },
    { type = "conv_transpose", out = 8, kernel = 4, stride = 2, padding = 1, bias = false },
    { type = "batch_norm" },
    { type = "relu" },
    { type = "conv_transpose", out = 4, kernel = 4, stride = 2, padding = 1, bias = false },
    { type = "batch_norm" },
    { type = "relu" },
    { type = "conv_transpose", out = 2, kernel = 4, stride = 2, padding = 1, bias = false },
    { type = "batch_norm" },
    { type = "relu" },
    { type = "conv_transpose", out = 3, kernel = 4, stride = 2, padding = 1, bias = false },
    { type = "tanh" },
]
"#;

const DCGAN_D: &str = r#"
prefix = "main"
layers = [
    { type = "conv", out = 2, kernel = 4, stride = 2, padding = 1, bias = false },
    { type = "leaky_relu", slope = 0.2 },
    { type = "conv", out = 4, kernel = 4, stride = 2, padding = 1, bias = false },
    { type = "batch_norm" },
    { type = "leaky_relu", slope = 0.2 },
    { type = "conv", out = 8, kernel = 4, stride = 2, padding = 1, bias = false },
    { type = "batch_norm" },
    { type = "leaky_relu", slope = 0.2 },
    { type = "conv", out = 16, kernel = 4, stride = 2, padding = 1, bias = false },
    { type = "batch_norm" },
    { type = "leaky_relu", slope = 0.2 },
    { type = "conv", out = 1, kernel = 4, bias = false },
]
"#;

const CNN: &str = r#"
layers = [
    { type = "conv", out = 6, kernel = 3, padding = 1 },
    { type = "batch_norm", eps = 1e-3, momentum = 0.3 },
    { type = "relu" },
    { type = "max_pool", kernel = 3, stride = 2 },
    { type = "upsample", factor = 2, mode = "bilinear" },
    { type = "dropout", p = 0.3 },
    { type = "conv", out = 8, kernel = 3, padding = 1, groups = 2 },
    { type = "leaky_relu", slope = 0.1 },
    { type = "max_pool", kernel = 2 },
    { type = "upsample", factor = 3, mode = "bilinear" },
    { type = "avg_pool", kernel = 2 },
    { type = "upsample", factor = 2 },
    { type = "avg_pool", kernel = 3, stride = 2 },
    { type = "flatten" },
    { type = "linear", out = 24 },
    { type = "batch_norm" },
    { type = "sigmoid" },
    { type = "reshape", shape = [2, 3, 4] },
    { type = "conv_transpose", out = 3, kernel = 3, stride = 2, padding = 1 },
    { type = "silu" },
]
"#;

const SPECTRAL: &str = r#"
layers = [
    { type = "conv", out = 6, kernel = 3, padding = 1, spectral_norm = true },
    { type = "leaky_relu", slope = 0.1 },
    { type = "conv", out = 8, kernel = 4, stride = 2, padding = 1, groups = 2, bias = false, spectral_norm = true },
    { type = "minibatch_stddev", group = 2 },
    { type = "flatten" },
    { type = "linear", out = 20, spectral_norm = true },
    { type = "softplus" },
    { type = "minibatch_stddev" },
]
"#;

pub fn read(text: &str) -> Sequential {
    toml::from_str(text).unwrap_or_else(|e| panic!("{e}"))
}

/// The same network with dropout that drops nothing.
fn without_dropout(mut list: Sequential) -> Sequential {
    for layer in &mut list.layers {
        if let Layer::Dropout { p } = layer {
            *p = 0.0;
        }
    }
    list
}

/// `[N,C,H,W]` as `[N,H,W,C]`; rows stay.
fn nhwc(shape: &[usize], data: &[f64]) -> (Vec<usize>, Vec<f64>) {
    let [n, c, h, w] = shape[..] else { return (shape.to_vec(), data.to_vec()) };
    let from = |i: usize| ((i / (h * w * c) * c + i % c) * h + i / (w * c) % h) * w + i / c % w;
    (vec![n, h, w, c], (0..data.len()).map(|i| data[from(i)]).collect())
}

/// `[N,H,W,C]` as `[N,C,H,W]`, given the latter extents; rows stay.
fn nchw(shape: &[usize], data: &[f64]) -> Vec<f64> {
    let [_, c, h, w] = shape[..] else { return data.to_vec() };
    let from = |i: usize| ((i / (c * h * w) * h + i / w % h) * w + i % w) * c + i / (h * w) % c;
    (0..data.len()).map(|i| data[from(i)]).collect()
}

/// The graphs of a network in both modes on the golden's input, with roots `y`, `grad NAME`, `state NAME`; and its feeds.
struct Built {
    dags: [Dag; 2],
    feeds: Feeds,
    params: Vec<ParamSpec>,
    states: Vec<StateSpec>,
}

fn build(network: &dyn Network, golden: &Golden) -> Built {
    let (shape, data) = golden.array("input");
    let data = if shape.len() == 4 { data.iter().map(|b| b / 127.5 - 1.0).collect() } else { data.clone() };
    let (shape, data) = nhwc(shape, &data);
    let mut feeds = Feeds::from([("x".to_owned(), data)]);
    assert_eq!(shape[1..], network.input());
    let (mut params, mut states) = (vec![], vec![]);
    let dags = [Mode::Eval, Mode::Train].map(|mode| {
        let graph = Graph::new();
        let scope = Scope::new(&graph, "");
        let y = network.forward(&scope, graph.input("x", shape.as_slice()), None, mode);
        assert_eq!(y.shape()[1..], network.output());
        (params, states) = (scope.params(), scope.states());
        let mut roots = vec![("y".to_owned(), y)];
        if mode == Mode::Train {
            // cos(i) of PyTorch's flat index i.
            let theirs = torch_extents(golden);
            let weights = (0..y.shape().elems()).map(|i| (i as f64).cos()).collect::<Vec<_>>();
            feeds.insert("c".into(), if theirs.len() == 4 { nhwc(&theirs, &weights).1 } else { weights });
            let loss = (y * graph.input("c", y.shape())).sum_all();
            let names = params.iter().map(|p| format!("grad {}", p.name));
            roots.extend(names.zip(grad(loss, &scope.param_tensors())));
            roots.extend(scope.updates().into_iter().map(|(name, t)| (format!("state {name}"), t)));
        }
        graph.freeze(&roots)
    });
    feeds.extend(params.iter().map(|p| (p.name.clone(), golden.tensor("param", p))));
    feeds.extend(states.iter().map(|s| (s.name.clone(), golden.array(&format!("state {}", s.name)).1.clone())));
    Built { dags, feeds, params, states }
}

fn torch_extents(golden: &Golden) -> Vec<usize> {
    let shape: Vec<usize> = golden.array("shape").1.iter().map(|v| *v as usize).collect();
    // A logit of PyTorch is an image of one pixel, here a row.
    if shape[2..] == [1, 1] { shape[..2].to_vec() } else { shape }
}

fn check_golden(name: &str, text: &str, tolerance: f64, evaluate: impl Fn(&Dag, &Feeds) -> Feeds) {
    let golden = load(name);
    let (shape, data) = golden.array("input");
    let network = without_dropout(read(text)).network(&nhwc(shape, data).0[1..], "golden").unwrap();
    check_network(name, &network, tolerance, evaluate);
}

/// Output, gradients and running statistics of a network against a file of `sequential.py`'s `make`.
pub fn check_network(name: &str, network: &dyn Network, tolerance: f64, evaluate: impl Fn(&Dag, &Feeds) -> Feeds) {
    let golden = load(name);
    let built = build(network, &golden);
    let [eval, train] = [0, 1].map(|i| evaluate(&built.dags[i], &built.feeds));
    for (mode, out) in [("eval", &eval), ("train", &train)] {
        let y = nchw(&torch_extents(&golden), &out["y"]);
        let some: Vec<f64> = y.into_iter().step_by(EVERY).collect();
        let off = error(&some, &golden.array(mode).1);
        assert!(off <= tolerance, "{name}: output in mode {mode} is off by {off:e}");
    }
    assert!(built.states.is_empty() || eval["y"] != train["y"], "{name}: batch statistics show");
    assert_eq!(built.params.len(), golden.keys("grad ").len(), "{name}: parameters");
    for spec in &built.params {
        let want = golden.tensor("grad", spec);
        let got = &train[&format!("grad {}", spec.name)];
        // A bias before a normalisation has no gradient but rounding: measured against the others then.
        let scale = want.iter().fold(0.0f64, |m, v| m.max(v.abs()));
        let off = if scale > 1e-9 { error(got, &want) } else { got.iter().fold(0.0f64, |m, v| m.max(v.abs())) };
        assert!(off <= 10.0 * tolerance, "{name}: gradient of {} is off by {off:e}", spec.name);
        assert!(off <= tolerance || scale <= 1e-9, "{name}: gradient of {} is off by {off:e}", spec.name);
    }
    for spec in &built.states {
        let off = error(&train[&format!("state {}", spec.name)], &golden.array(&format!("after {}", spec.name)).1);
        assert!(off <= tolerance, "{name}: {} is off by {off:e}", spec.name);
    }
}

const GOLDENS: [(&str, &str); 4] = [
    ("sequential_dcgan_g", DCGAN_G),
    ("sequential_dcgan_d", DCGAN_D),
    ("sequential_cnn", CNN),
    ("sequential_spectral", SPECTRAL),
];

/// The files hold f32, so half a unit in its last place is all that may differ.
#[test]
fn equals_pytorch_in_f64() {
    for (name, text) in GOLDENS {
        check_golden(name, text, 6e-8, in_f64);
    }
}

#[test]
fn equals_pytorch_in_f32() {
    for (name, text) in GOLDENS {
        check_golden(name, text, 1e-5, in_f32);
    }
}

#[test]
fn equals_pytorch_as_plans_on_the_host_and_in_wgsl() {
    for device in [Device::Host, gpu()] {
        for (name, text) in GOLDENS {
            check_golden(name, text, 2e-5, on(&device));
        }
    }
}

/// Names, and initial values: PyTorch's bounds, whose fan-in of a transposed convolution counts channels out; or DCGAN's.
#[test]
fn names_and_initial_values_are_those_of_pytorch() {
    let specs = |text: &str, input: &[usize]| {
        let graph = Graph::new();
        let scope = Scope::new(&graph, "D");
        let x = graph.input("x", [vec![2], input.to_vec()].concat());
        read(text).network(input, "test").unwrap().forward(&scope, x, None, Mode::Train);
        scope.params()
    };
    let cnn = specs(CNN, &[12, 10, 3]);
    let names: Vec<&str> = cnn.iter().map(|p| p.name.as_str()).collect();
    assert_eq!(names[..5], ["D.0.weight", "D.0.bias", "D.1.weight", "D.1.bias", "D.6.weight"]);
    let init = |name: &str| cnn.iter().find(|p| p.name == name).unwrap().init;
    assert_eq!(init("D.0.weight"), Init::Uniform { bound: 27f64.powf(-0.5) });
    assert_eq!(init("D.0.bias"), init("D.0.weight"));
    assert_eq!(init("D.6.weight"), Init::Uniform { bound: 27f64.powf(-0.5) });
    assert_eq!(init("D.1.weight"), Init::Ones);
    assert_eq!(init("D.14.weight"), Init::Uniform { bound: 240f64.powf(-0.5) });
    assert_eq!(init("D.18.weight"), Init::Uniform { bound: 27f64.powf(-0.5) });
    let g = specs(DCGAN_G, &[8]);
    assert_eq!(g[0].name, "D.main.0.weight");
    assert_eq!(g[0].init, Init::Normal { mean: 0.0, std: 0.02 });
    assert_eq!(g[1].init, Init::Normal { mean: 1.0, std: 0.02 });
}

/// What is written is what was read, defaults included.
#[test]
fn a_description_survives_writing() {
    for (_, text) in GOLDENS {
        let list = read(text);
        assert_eq!(read(&toml::to_string(&list).unwrap()), list);
    }
}

#[test]
fn misfits_are_refused_in_words() {
    let refused = |layers: &str, input: &[usize], words: &[&str]| {
        let message = read(&format!("layers = [{layers}]")).check(input, "run.toml: model.d").unwrap_err().to_string();
        assert!(message.starts_with("run.toml: model.d: ") && !message.contains('\n'), "{message}");
        assert!(words.iter().all(|w| message.contains(w)), "{message}");
    };
    let relu = r#"{ type = "relu" }, "#;
    refused("", &[4], &["number of layers 0"]);
    refused(relu, &[4, 4], &["sample [4, 4]"]);
    refused(relu, &[usize::MAX, 2, 2], &["sample", "2^26"]);
    refused(
        &format!(r#"{relu}{{ type = "linear", out = 3 }}"#),
        &[4, 5, 6],
        &["layer 1 (linear)", "4x5", "6 channels", "`flatten`"],
    );
    refused(r#"{ type = "conv", out = 3, kernel = 3 }"#, &[8], &["layer 0 (conv)", "row of 8", "`reshape`"]);
    refused(r#"{ type = "conv", out = 3, kernel = 9 }"#, &[8, 6, 1], &["kernel 9", "8x6"]);
    refused(r#"{ type = "conv", out = 3, kernel = 3, groups = 2 }"#, &[8, 8, 4], &["groups 2", "4 channels"]);
    refused(r#"{ type = "conv", out = 3, kernel = 3, groups = 0 }"#, &[8, 8, 4], &["groups 0"]);
    refused(r#"{ type = "conv", out = 3, kernel = 3, stride = 0 }"#, &[8, 8, 4], &["stride 0"]);
    refused(r#"{ type = "conv", out = 3, kernel = 3, padding = 3 }"#, &[8, 8, 4], &["padding 3", "kernel"]);
    refused(r#"{ type = "conv", out = 1000000, kernel = 3 }"#, &[8, 8, 1000], &["weight"]);
    refused(
        r#"{ type = "conv_transpose", out = 3, kernel = 3, stride = 2, output_padding = 1 }"#,
        &[8],
        &["output_padding 1"],
    );
    refused(r#"{ type = "conv_transpose", out = 3, kernel = 3, padding = 2 }"#, &[8], &["padding 2"]);
    refused(r#"{ type = "max_pool", kernel = 3 }"#, &[2, 8, 1], &["kernel 3"]);
    refused(r#"{ type = "avg_pool", kernel = 0 }"#, &[2, 8, 1], &["kernel 0"]);
    refused(r#"{ type = "upsample", factor = 0 }"#, &[2, 8, 1], &["factor 0"]);
    refused(
        &r#"{ type = "upsample", factor = 32 }, "#.repeat(4),
        &[2, 8, 1],
        &["layer 2 (upsample)", "numbers per sample"],
    );
    refused(r#"{ type = "reshape", shape = [2, 3] }"#, &[6], &["[2, 3]", "[channels, height, width]"]);
    refused(r#"{ type = "reshape", shape = [2, 2, 2] }"#, &[6], &["[2, 2, 2]", "6 numbers"]);
    refused(r#"{ type = "dropout", p = 1.0 }"#, &[6], &["p 1", "below 1"]);
    refused(r#"{ type = "batch_norm", eps = nan }"#, &[6], &["eps NaN"]);
    let both = r#"{ type = "embedding", classes = 3, dim = 2 }, { type = "projection", classes = 4 }"#;
    refused(both, &[6], &["layer 1 (projection)", "4 classes", "3"]);
    assert_eq!(read(&format!("layers = [{relu}]")).check(&[4, 5, 6], "").unwrap(), [4, 5, 6]);
    for text in
        [r#"{ type = "relu", slope = 1 }"#, r#"{ type = "conv", out = -3, kernel = 1 }"#, r#"{ type = "lstm" }"#]
    {
        assert!(toml::from_str::<Sequential>(&format!("layers = [{text}]")).is_err(), "{text}");
    }
}

/// Dropout keeps a share 1−p at 1/(1−p), draws anew at each use and in each layer, and is the identity when used.
#[test]
fn dropout_draws() {
    let list = read(r#"layers = [{ type = "dropout", p = 0.25 }, { type = "dropout", p = 0.25 }]"#);
    let network = list.network(&[1000], "test").unwrap();
    let graph = Graph::new();
    let scope = Scope::new(&graph, "D");
    let x = graph.input("x", [8, 1000]);
    let [once, twice] = [0, 1].map(|_| network.forward(&scope, x, None, Mode::Train));
    let used = network.forward(&scope, x, None, Mode::Eval);
    let v = values(&[once, twice, used], &Feeds::from([("x".into(), vec![3.0; 8000])]));
    let share = |v: &[f64]| v.iter().filter(|v| **v != 0.0).count() as f64 / v.len() as f64;
    assert!(v[0].iter().all(|y| *y == 0.0 || (y - 3.0 / 0.5625).abs() < 1e-12));
    // Both layers keep with probability 0.75² = 0.5625, within five standard deviations.
    assert!((share(&v[0]) - 0.5625).abs() < 5.0 * (0.5625f64 * 0.4375 / 8000.0).sqrt(), "{}", share(&v[0]));
    assert!(v[0] != v[1], "a second use draws the same");
    assert_eq!(v[2], vec![3.0; 8000]);
}

/// Windows by definition, on extents that they do not fill.
#[test]
fn pooling_and_enlarging_by_definition() {
    let graph = Graph::new();
    let (h, w) = (7, 6);
    let x = graph.input("x", [1, h, w, 1]);
    let data = normals(4, h * w);
    let feeds = Feeds::from([("x".into(), data.clone())]);
    for (kernel, stride) in [(2, 2), (3, 3), (3, 2), (2, 3), (4, 1), (1, 1), (5, 2)] {
        let (ho, wo) = ((h - kernel) / stride + 1, (w - kernel) / stride + 1);
        let window = |o: usize| {
            let pixel = move |k: usize| (o / wo * stride + k / kernel) * w + o % wo * stride + k % kernel;
            (0..kernel * kernel).map(pixel).map(|i| data[i]).collect::<Vec<f64>>()
        };
        let most: Vec<f64> = (0..ho * wo).map(|o| window(o).into_iter().fold(f64::MIN, f64::max)).collect();
        assert_eq!(value(max_pool(x, kernel, stride), &feeds), most, "maximum of {kernel} every {stride}");
        let mean = |o: usize| window(o).iter().sum::<f64>() / (kernel * kernel) as f64;
        let got = value(avg_pool(x, kernel, stride), &feeds);
        assert!(got.len() == ho * wo && got.iter().enumerate().all(|(o, v)| (v - mean(o)).abs() < 1e-12));
    }
    for factor in [1, 2, 3, 4, 5] {
        let (ho, wo) = (h * factor, w * factor);
        let want: Vec<f64> = (0..ho * wo).map(|o| data[o / wo / factor * w + o % wo / factor]).collect();
        assert_eq!(value(upsample_nearest(x, factor), &feeds), want, "nearest, {factor}");
        let got = value(upsample_bilinear(x, factor), &feeds);
        assert_eq!(got.len(), ho * wo);
        for (o, v) in got.iter().enumerate() {
            // PyTorch's rule: the source position is at least 0, its right neighbour at most the last.
            let source = |o: usize, n: usize| {
                let s = ((o as f64 + 0.5) / factor as f64 - 0.5).max(0.0);
                (s as usize, (s as usize + 1).min(n - 1), s.fract())
            };
            let ((y0, y1, fy), (x0, x1, fx)) = (source(o / wo, h), source(o % wo, w));
            let at = |y: usize, x: usize| data[y * w + x];
            let mix = |y: usize| at(y, x0) * (1.0 - fx) + at(y, x1) * fx;
            let want = mix(y0) * (1.0 - fy) + mix(y1) * fy;
            assert!((v - want).abs() < 1e-12, "bilinear, {factor}, element {o}: {v}, not {want}");
        }
    }
}

/// A tie's gradient goes to the first pixel of the window.
#[test]
fn ties_of_a_maximum_go_to_the_first() {
    let graph = Graph::new();
    let x = graph.input("x", [1, 2, 2, 1]);
    let g = grad(max_pool(x, 2, 2).sum_all(), &[x])[0];
    assert_eq!(value(g, &Feeds::from([("x".into(), vec![1.0, 2.0, 2.0, 2.0])])), [0.0, 1.0, 0.0, 0.0]);
}
