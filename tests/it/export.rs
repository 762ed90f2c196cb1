//! What leaves the house: models that are read back and interpreted operator by operator, weights that come back bit for bit.

use crate::numeric::{RNG, normals};
use crate::onnx_eval::{self, Array};
use crate::program::{done, run, stderr};
use crate::sequential_runs::{newest, refused};
use danskin::Result;
use danskin::export::TrainedNetwork;
use danskin::export::onnx::proto::ModelProto;
use danskin::export::onnx::{self, Port};
use danskin::graph::{ConvSpec, Dist, FirSpec, Graph, Kind, Op, Real, Tensor};
use danskin::host::eval;
use danskin::nn::pool::{avg_pool, max_pool, upsample_bilinear, upsample_nearest};
use danskin::train::checkpoint::{Checkpoint, Values};
use prost::Message;
use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::Path;

type Build<'a> = dyn for<'g> Fn(&'g Graph, &[Tensor<'g>]) -> Result<Tensor<'g>> + 'a;

/// Images `[n,h,w,c]` as `[n,c,h,w]`; others as they are.
fn outside(rows: usize, row: &[usize], values: &[f64]) -> Array {
    let [h, w, c] = row[..] else { return Array::new(&[&[rows], row].concat(), values.to_vec()) };
    let at = |i: usize| {
        let (n, k, y, x) = (i / (c * h * w), i / (h * w) % c, i / w % h, i % w);
        values[((n * h + y) * w + x) * c + k]
    };
    Array::new(&[rows, c, h, w], (0..values.len()).map(at).collect())
}

fn close(label: &str, found: &Array, wanted: &Array) {
    assert_eq!(found.dims, wanted.dims, "{label}");
    let size = wanted.data.iter().fold(0.0f64, |most, v| most.max(v.abs()));
    assert!(size > 1e-3, "{label}: nothing to compare");
    for (i, (a, b)) in found.data.iter().zip(&wanted.data).enumerate() {
        // Constants are stored in 32 bits.
        assert!((a - b).abs() <= 1e-5 * size.max(1.0), "{label}: element {i} is {a}, wanted {b}");
    }
}

/// Writes the model of a function and compares what its operators mean with the f64 host, for several batches.
fn compare(label: &str, row: &[usize], output: &[usize], weights: &[(&str, &[usize])], build: &Build) -> ModelProto {
    let mut feeds: HashMap<String, Vec<f64>> = HashMap::new();
    for (i, (name, shape)) in weights.iter().enumerate() {
        let values = normals(40 + i as u32, shape.iter().product());
        feeds.insert((*name).into(), values.into_iter().map(|v| f64::from(v as f32)).collect());
    }
    let (given, made) = (Port::floats("given", row), Port::floats("made", output));
    let model = onnx::model(label, &[given], &made, build, &feeds, &BTreeMap::new());
    let model = model.unwrap_or_else(|e| panic!("{label}: {e}"));
    let model = ModelProto::decode(model.encode_to_vec().as_slice()).unwrap();
    for rows in [1, 2, 5] {
        let values = normals(7, rows * row.iter().product::<usize>());
        let graph = Graph::new();
        let x = graph.input("given", [&[rows], row].concat());
        let dag = graph.freeze(&[("made".into(), build(&graph, &[x]).unwrap())]);
        let mut all = feeds.clone();
        all.insert("given".into(), values.clone());
        let wanted = eval::<f64>(&dag, &all, RNG).unwrap().remove("made").unwrap();
        let found = onnx_eval::run(&model, &[("given", outside(rows, row, &values))]);
        close(&format!("{label}, batch {rows}"), &found, &outside(rows, output, &wanted));
    }
    model
}

fn fir<'g>(x: Tensor<'g>, taps: &[f64], up: usize, down: usize, pad: [[i64; 2]; 2], flip: bool) -> Tensor<'g> {
    x.fir(FirSpec { taps: taps.iter().map(|t| Real(*t)).collect(), up, down, pad, flip })
}

#[test]
fn pointwise_primitives_and_views_mean_the_same_in_onnx() {
    compare("pointwise", &[6], &[6], &[("w", &[6])], &|g, x| {
        let (x, w) = (x[0], g.param("w", [6]).reshape([1, 6]));
        let rectified = x.leaky_relu(0.2) + (x - w).relu() + (x + 0.1).select(w, x.scale(3.0));
        let smooth = x.sigmoid() * w + x.tanh() + x.softplus() + (x.scale(0.3)).exp();
        let roots = (x.square() + 1.0).log() + (x.abs() + 1.0).sqrt() + (x.square() + 2.0).pow(-0.5);
        let powers = (x.abs() + 0.5).pow(-1.0) + (x.abs() + 0.5).pow(1.7) + x.pow(3.0).scale(0.1);
        let steps = (x.sign() + 0.25) * x.detach() + (x - 0.3).step() + x.max(w) + x.min(w.scale(-1.0));
        let larger = (x - w).select(x, w);
        Ok(rectified + smooth + roots + powers + steps + larger)
    });
    compare("views", &[4, 5, 6], &[5, 24], &[], &|_, x| {
        let x = x[0].exp();
        let n = x.dim(0);
        let rows = x.permute(&[0, 2, 3, 1]).reshape([n * 5, 6, 4]).permute(&[0, 2, 1]).reshape([n, 5, 24]);
        let part = x.slice(&[0, 1, 0, 2], [n, 2, 5, 3]).pad(&[0, 1, 0, 2], [n, 4, 5, 6]);
        let means = (x + part).mean(&[1, 3]).expand([n, 4, 5, 6]).permute(&[0, 2, 1, 3]).reshape([n, 5, 24]);
        Ok(rows + means.sum(&[1]).scale(0.1) + means)
    });
    compare("constants alone", &[3], &[3], &[("w", &[3])], &|g, x| {
        // Nothing of the input but its rows.
        Ok(g.param("w", [3]).reshape([1, 3]).exp().expand([x[0].dim(0), 3]))
    });
    compare("a weight that is read in two ways", &[3], &[3], &[("w", &[3, 3])], &|g, x| {
        let w = g.param("w", [3, 3]);
        let turned = w.reshape([1, 9]).reshape([3, 3]).permute(&[1, 0]);
        Ok(x[0].matmul(w)
            + x[0].matmul_t(false, w, true).matmul(turned.scale(0.5))
            + x[0].matmul(w.reshape([9]).exp().reshape([3, 3])))
    });
}

#[test]
fn products_and_filters_mean_the_same_in_onnx() {
    compare("matmul", &[4], &[3], &[("a", &[4, 5]), ("b", &[3, 5])], &|g, x| {
        Ok(x[0].matmul(g.param("a", [4, 5])).tanh().matmul_t(false, g.param("b", [3, 5]), true))
    });
    compare("products with the input on the right", &[4], &[3], &[("a", &[4, 3])], &|g, x| {
        let a = g.param("a", [4, 3]);
        Ok(a.matmul_t(true, x[0], true).permute(&[1, 0]).tanh())
    });
    compare("conv", &[7, 9, 4], &[4, 4, 6], &[("w", &[3, 2, 2, 6])], &|g, x| {
        let (stride, pad) = ([2, 2], [1, 0]);
        let spec = ConvSpec { stride, pad, groups: 2, kernel: [3, 2], input: [7, 9] };
        Ok(x[0].conv_spec(g.param("w", [3, 2, 2, 6]), spec))
    });
    // The stride leaves something over: the last row and column of x are seen by no window.
    compare("conv_x", &[4, 3, 6], &[8, 9, 4], &[("w", &[3, 4, 2, 6])], &|g, x| {
        let spec = ConvSpec { stride: [2, 3], pad: [1, 1], groups: 2, kernel: [3, 4], input: [8, 9] };
        Ok(x[0].conv_x_spec(g.param("w", [3, 4, 2, 6]), spec))
    });
    compare("a kernel of one pixel", &[4, 3, 5], &[4, 3, 2], &[("w", &[5, 2]), ("b", &[2])], &|g, x| {
        let rows = x[0].tanh().reshape([x[0].dim(0) * 12, 5]);
        let y = rows.matmul(g.param("w", [5, 2])).reshape([x[0].dim(0), 4, 3, 2]);
        Ok(y + g.param("b", [2]).reshape([1, 1, 1, 2]))
    });
    type Filter = (&'static str, usize, usize, [[i64; 2]; 2], bool);
    let filters: [Filter; 7] = [
        ("blur", 1, 1, [[2, 1], [0, 3]], false),
        ("blur and cut", 1, 1, [[-1, 1], [2, -2]], true),
        ("down", 1, 2, [[1, 1], [0, 2]], false),
        ("up", 2, 1, [[2, 1], [1, 0]], false),
        ("up and around", 3, 1, [[5, 4], [2, -3]], true),
        ("up and down", 3, 2, [[1, 2], [3, 0]], false),
        ("up and cut", 2, 3, [[-1, -2], [3, 1]], true),
    ];
    for (name, up, down, pad, flip) in filters {
        let taps = [0.5, -1.0, 2.0, 0.25];
        let extent = |axis: usize, n: usize| {
            let spec = FirSpec { taps: taps.map(Real).to_vec(), up, down, pad, flip };
            spec.output(axis, n)
        };
        let output = [extent(0, 6), extent(1, 7), 3];
        compare(name, &[6, 7, 3], &output, &[], &move |_, x| Ok(fir(x[0], &taps, up, down, pad, flip)));
    }
    compare("pools", &[9, 8, 3], &[4, 3, 3], &[], &|_, x| Ok(max_pool(x[0], 3, 2) + avg_pool(x[0], 3, 2)));
    compare("enlarged", &[3, 4, 2], &[9, 12, 2], &[], &|_, x| {
        Ok(upsample_nearest(x[0], 3) + upsample_bilinear(x[0], 3).scale(2.0))
    });
    compare("enlarged by 2", &[3, 4, 2], &[6, 8, 2], &[], &|_, x| Ok(upsample_bilinear(x[0], 2)));
}

/// The comparison sees a wrong number: each attribute of a model, changed, changes what comes out, or fits nothing any more.
#[test]
fn a_wrong_attribute_shows() {
    let model =
        compare("all kinds", &[6, 5, 4], &[10, 10, 2], &[("w", &[3, 2, 2, 6]), ("v", &[4, 3, 2, 6])], &|g, x| {
            let spec = ConvSpec { stride: [2, 1], pad: [1, 0], groups: 2, kernel: [3, 2], input: [6, 5] };
            let y = x[0].conv_spec(g.param("w", [3, 2, 2, 6]), spec).leaky_relu(0.2);
            let spec = ConvSpec { stride: [2, 1], pad: [1, 0], groups: 1, kernel: [4, 3], input: [6, 6] };
            let y = fir(
                y.conv_x_spec(g.param("v", [4, 3, 2, 6]), spec).tanh(),
                &[0.5, 1.0, -2.0],
                2,
                1,
                [[1, -1], [0, 0]],
                true,
            );
            Ok(y.permute(&[0, 2, 1, 3]).slice(&[0, 0, 0, 0], [x[0].dim(0), 10, 10, 2]).softplus())
        });
    let given = || [("given", outside(2, &[6, 5, 4], &normals(9, 240)))];
    let right = onnx_eval::run(&model, &given());
    let nodes = &model.graph.as_ref().unwrap().node;
    let mut changed = 0;
    for (n, node) in nodes.iter().enumerate() {
        for (k, attribute) in node.attribute.iter().enumerate() {
            let places = attribute.ints.len().max(1);
            for place in 0..places {
                let mut wrong = model.clone();
                let attribute = &mut wrong.graph.as_mut().unwrap().node[n].attribute[k];
                match attribute.ints.get_mut(place) {
                    Some(number) => *number += 1,
                    None => {
                        attribute.f = attribute.f.map(|f| f + 0.1);
                        attribute.i = attribute.i.map(|i| i + 1);
                    }
                }
                let found = std::panic::catch_unwind(|| onnx_eval::run(&wrong, &given()));
                let name = &nodes[n].attribute[k].name;
                assert!(found.is_err() || found.unwrap() != right, "{} of {} at {place}", name, node.name);
                changed += 1;
            }
        }
    }
    assert!(changed > 25, "{changed} attributes");
}

#[test]
fn classes_are_whole_numbers_that_are_kept_within_the_table() {
    let feeds = HashMap::from([("table".to_owned(), normals(3, 12))]);
    let (x, classes) = (Port::floats("x", &[3]), Port::classes("classes"));
    let told: &Build =
        &|g, x| Ok(x[0] + g.param("table", [4, 3]).gather(x[1]) + x[1].reshape([x[1].dim(0), 1]).scale(0.5));
    let model = onnx::model("told", &[x, classes], &Port::floats("y", &[3]), told, &feeds, &BTreeMap::new()).unwrap();
    let given = [("x", Array::new(&[3, 3], vec![0.0; 9])), ("classes", Array::new(&[3], vec![2.0, -1.0, 9.0]))];
    let found = onnx_eval::run(&model, &given);
    for (row, (at, class)) in [(2, 2.0), (0, -1.0), (3, 9.0)].into_iter().enumerate() {
        for k in 0..3 {
            assert!((found.data[3 * row + k] - feeds["table"][3 * at + k] - 0.5 * class).abs() < 1e-6);
        }
    }
}

#[test]
fn what_has_no_place_in_onnx_is_named() {
    let refused = |build: &Build| {
        let (x, y) = (Port::floats("x", &[4, 4, 2]), Port::floats("y", &[4, 4, 2]));
        onnx::model("odd", &[x], &y, build, &HashMap::new(), &BTreeMap::new()).unwrap_err().to_string()
    };
    let noisy = refused(&|g, x| Ok(x[0] + g.rand(Dist::Normal, 1, x[0].shape())));
    assert!(noisy.starts_with("graph: the operation rand has no place in an ONNX model"), "{noisy}");
    let sampled = refused(&|_, x| Ok(x[0].sample(x[0])));
    assert!(sampled.contains("the operation sample has no place"), "{sampled}");
    let mixed = refused(&|_, x| Ok(x[0] - x[0].mean(&[0])));
    assert!(mixed.contains("depends on the number of rows in a batch"), "{mixed}");
    let unfed = refused(&|g, x| Ok(x[0] * g.param("w", [1, 1, 1, 2])));
    assert!(unfed.contains("`w`"), "{unfed}");
}

/// The cases of `danskin check`, with inputs made of what the model is given: a sum over the batch, so that shapes stay as they are.
#[test]
fn every_primitive_is_written_or_refused() {
    let refused = [Kind::Rand, Kind::ConvW, Kind::ScatterAdd, Kind::Sample, Kind::SampleAdjoint];
    for kind in Kind::ALL {
        for case in danskin::check::primitive_cases(kind) {
            let lengths: Vec<(String, usize)> =
                case.dag.inputs().map(|name| (name.to_owned(), case.feeds[name].len())).collect();
            let row: usize = lengths.iter().map(|(_, len)| len).sum::<usize>().max(1);
            let made = case.dag.nodes[case.dag.roots[0].1].shape.elems();
            let build: &Build = &|g, x| {
                let all = x[0].sum(&[0]);
                let mut tensors: Vec<Tensor> = vec![];
                let mut from = 0;
                for node in &case.dag.nodes {
                    tensors.push(if let Op::Input(_) = node.op {
                        let part = all.slice(&[0, from], [1, node.shape.elems()]).reshape(&node.shape);
                        from += node.shape.elems();
                        part
                    } else {
                        applied(g, node, &tensors)
                    });
                }
                let value = tensors[case.dag.roots[0].1].reshape([1, made]);
                Ok(value.expand([x[0].dim(0), made]))
            };
            let (given, output) = (Port::floats("given", &[row]), Port::floats("made", &[made]));
            let model = onnx::model(&case.name, &[given], &output, build, &case.feeds, &BTreeMap::new());
            if case.dag.nodes.iter().any(|node| refused.contains(&node.op.kind())) {
                assert!(model.unwrap_err().to_string().contains("has no place in an ONNX model"), "{}", case.name);
                continue;
            }
            let model = model.unwrap_or_else(|e| panic!("{}: {e}", case.name));
            let mut values: Vec<f64> = lengths.iter().flat_map(|(name, _)| case.feeds[name].clone()).collect();
            values.resize(row, 0.0);
            let wanted = eval::<f64>(&case.dag, &case.feeds, RNG).unwrap().remove(&case.dag.roots[0].0).unwrap();
            let found = onnx_eval::run(&model, &[("given", Array::new(&[1, row], values))]);
            close(&case.name, &found, &Array::new(&[1, made], wanted));
        }
    }
}

/// A node of a frozen graph, again, over other operands.
fn applied<'g>(g: &'g Graph, node: &danskin::graph::Node, tensors: &[Tensor<'g>]) -> Tensor<'g> {
    let x = |i: usize| tensors[node.src[i]];
    match &node.op {
        Op::Param(name) => g.param(name, &node.shape),
        Op::State(name) => g.state(name, &node.shape),
        Op::Const(c) => g.constant(c.0, &node.shape),
        Op::Rand { dist, stream } => g.rand(*dist, *stream, &node.shape),
        Op::Input(_) => unreachable!("inputs are given"),
        Op::Detach => x(0).detach(),
        Op::Add => x(0) + x(1),
        Op::Mul => x(0) * x(1),
        Op::Scale(c) => x(0).scale(c.0),
        Op::Pow(p) => x(0).pow(p.0),
        Op::Exp => x(0).exp(),
        Op::Log => x(0).log(),
        Op::Sigmoid => x(0).sigmoid(),
        Op::Tanh => x(0).tanh(),
        Op::Softplus => x(0).softplus(),
        Op::Abs => x(0).abs(),
        Op::Sign => x(0).sign(),
        Op::Step => x(0).step(),
        Op::Select => x(0).select(x(1), x(2)),
        Op::Max => x(0).max(x(1)),
        Op::Min => x(0).min(x(1)),
        Op::Reshape => x(0).reshape(&node.shape),
        Op::Permute(axes) => x(0).permute(axes),
        Op::Expand => x(0).expand(&node.shape),
        Op::Sum(axes) => x(0).sum(axes),
        Op::Slice(start) => x(0).slice(start, &node.shape),
        Op::Pad(start) => x(0).pad(start, &node.shape),
        Op::MatMul { ta, tb } => x(0).matmul_t(*ta, x(1), *tb),
        Op::Conv(spec) => x(0).conv_spec(x(1), *spec),
        Op::ConvX(spec) => x(0).conv_x_spec(x(1), *spec),
        Op::ConvW(spec) => x(0).conv_w_spec(x(1), *spec),
        Op::Fir(spec) => x(0).fir(spec.clone()),
        Op::Gather => x(0).gather(x(1)),
        Op::ScatterAdd => x(0).scatter_add(x(1), node.shape[0]),
        Op::Sample => x(0).sample(x(1)),
        Op::SampleAdjoint => x(0).sample_adjoint(x(1), [node.shape[1], node.shape[2]]),
    }
}

fn tensor(file: &Checkpoint, name: &str) -> Array {
    let tensor = file.tensor(name).unwrap_or_else(|| panic!("{name}"));
    let data = match &tensor.data {
        Values::F32(values) => values.iter().map(|v| f64::from(*v)).collect(),
        Values::U32(values) => values.iter().map(|v| f64::from(*v)).collect(),
    };
    Array::new(&tensor.shape, data)
}

fn first(array: &Array, rows: usize) -> Array {
    let row: usize = array.dims[1..].iter().product();
    Array::new(&[&[rows], &array.dims[1..]].concat(), array.data[..rows * row].to_vec())
}

fn model(path: &Path) -> ModelProto {
    ModelProto::decode(fs::read(path).unwrap().as_slice()).unwrap()
}

const SMALL: &str = "--device host --batch 4 --kimg 0.016 --set data.count=32 --set sample.count=2x2";

#[test]
fn an_exported_generator_repeats_the_samples_of_its_run_and_comes_back_bit_for_bit() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    let widths =
        "--set model.g_width=4 --set model.d_width=4 --set model.z=8 --set optim.lr=0.02 --set data.label=glasses";
    done(dir.path(), &format!("train faces32 {SMALL} {widths} --set model.classes=6 --out run"));
    let text = done(dir.path(), "export run --onnx g.onnx --safetensors g.safetensors");
    assert!(text.contains("averaged weights of the dcgan generator at 0.016 kimg"), "{text}");
    done(dir.path(), "sample run --device host --seeds 0-2 --out a.png --save-latents n.safetensors");
    let numbers = Checkpoint::load(&at("n.safetensors")).unwrap();
    let given = [("latents", tensor(&numbers, "latents")), ("classes", tensor(&numbers, "classes"))];
    close("generator", &onnx_eval::run(&model(&at("g.onnx")), &given), &tensor(&numbers, "images"));
    // The saved latents draw the same picture.
    done(dir.path(), "sample run --device host --latents n.safetensors --out b.png");
    let pixels = |name: &str| image::open(at(name)).unwrap().to_rgb8();
    assert_eq!(pixels("a.png"), pixels("b.png"));
    // The last weights are others; so is the other network.
    done(dir.path(), "export run --raw --safetensors raw.safetensors");
    done(dir.path(), "export run --network d --safetensors d.safetensors --onnx d.onnx");
    let [averaged, last, d] = ["g", "raw", "d"].map(|n| Checkpoint::load(&at(&format!("{n}.safetensors"))).unwrap());
    let weight = "main.0.weight";
    assert_ne!(averaged.tensor(weight), last.tensor(weight));
    assert_eq!(last.tensor(weight).unwrap().data, newest(&at("run")).tensor("G.main.0.weight").unwrap().data);
    assert_eq!((averaged.meta["network"].as_str(), d.meta["network"].as_str()), ("G", "D"));
    assert_eq!(d.tensor(weight).unwrap().shape, [4, 3, 4, 4]);
    // Back again.
    let output = run(dir.path(), "import g.safetensors --config run/config.toml --out back");
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(stderr(&output).contains("holds no discriminator; the run gets an untrained one"), "{}", stderr(&output));
    done(dir.path(), "export back --safetensors back.safetensors");
    assert_eq!(Checkpoint::load(&at("back.safetensors")).unwrap().tensors, averaged.tensors);
    done(dir.path(), "sample back --device host --seeds 0-2 --out c.png");
    assert_eq!(pixels("a.png"), pixels("c.png"));
}

#[test]
fn an_exported_classifier_gives_the_logits_of_its_run() {
    let dir = tempfile::tempdir().unwrap();
    for (kind, width) in [("preact-resnet18", 2), ("lenet5", 3)] {
        let name = |end: &str| dir.path().join(format!("{kind}{end}"));
        let words = format!("train classifier {SMALL} --set model.kind={kind} --set model.width={width} --out {kind}");
        done(dir.path(), &words);
        done(dir.path(), &format!("export {kind} --onnx {kind}.onnx --safetensors {kind}.safetensors"));
        done(dir.path(), &format!("eval {kind} --device host --save-logits {kind}-n.safetensors"));
        let numbers = Checkpoint::load(&name("-n.safetensors")).unwrap();
        let found = onnx_eval::run(&model(&name(".onnx")), &[("images", first(&tensor(&numbers, "images"), 2))]);
        close(kind, &found, &first(&tensor(&numbers, "logits"), 2));
        done(dir.path(), &format!("import {kind}.safetensors --config {kind}/config.toml --out {kind}-back"));
        done(dir.path(), &format!("export {kind}-back --safetensors {kind}-back.safetensors"));
        let [there, back] = ["", "-back"].map(|n| Checkpoint::load(&name(&format!("{n}.safetensors"))).unwrap());
        assert_eq!(there.tensors, back.tensors);
    }
}

#[test]
fn an_export_leaves_files_alone_and_says_what_a_run_has() {
    let dir = tempfile::tempdir().unwrap();
    done(dir.path(), "train ring8 --device host --batch 32 --kimg 0.032 --set model.hidden=16 --out run");
    fs::write(dir.path().join("there.onnx"), "mine").unwrap();
    let taken = refused(dir.path(), "export run --safetensors new.safetensors --onnx there.onnx");
    assert_eq!(taken, "error: command line: --onnx there.onnx: is there already; name a new file, or remove it\n");
    assert_eq!(fs::read(dir.path().join("there.onnx")).unwrap(), b"mine");
    assert!(!dir.path().join("new.safetensors").exists());
    let unknown = refused(dir.path(), "export run --network c --onnx a.onnx");
    assert_eq!(unknown, "error: command line: --network c: this run has g and d\n");
    assert!(refused(dir.path(), "export nothing --onnx a.onnx").contains("nothing: is not a run folder"));
    assert!(refused(dir.path(), "export run --onnx no/folder.onnx").contains("no/folder.onnx: writing the model"));
    for words in ["export run", "export run --onnx a.txt"] {
        assert_eq!(run(dir.path(), words).status.code(), Some(2), "{words}");
    }
    let network = TrainedNetwork::open(&dir.path().join("run"), None, None, false).unwrap();
    assert_eq!((network.inputs()[0].name.as_str(), network.output().name.as_str()), ("latents", "points"));
}
