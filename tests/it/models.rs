//! Models: shapes, parameter counts, names, batch statistics, and the short cuts of the convolution layers.

use crate::numeric::{Feeds, normals, random_feeds, value, values};
use danskin::graph::{Graph, Op, Shape, Tensor};
use danskin::nn::layers::{Conv, batch_norm, conv_transpose, convolve};
use danskin::nn::resample::{blur, down, up};
use danskin::nn::softmax::{iota, log_softmax, one_hot, row_max};
use danskin::nn::{Activation, Dcgan, Init, Mlp, Mode, Model, Pair, ParamSpec, R3gan, Scope, SnganResnet};

/// Both networks of a model applied to a batch of two: parameters of (G, D), after checking the shapes.
fn build(model: &Model) -> (Vec<ParamSpec>, Vec<ParamSpec>) {
    model.check("test").unwrap();
    let graph = Graph::new();
    let (g, d) = (Scope::new(&graph, "G"), Scope::new(&graph, "D"));
    let fake = model.generator(&g, graph.input("z", [2, model.latent()]), Mode::Train);
    assert_eq!(fake.shape(), model.sample_shape(2));
    assert_eq!(model.discriminator(&d, fake, Mode::Train).shape(), Shape::from([2, 1]));
    (g.params(), d.params())
}

fn count(params: &[ParamSpec]) -> usize {
    params.iter().map(|p| p.shape.elems()).sum()
}

fn names(params: &[ParamSpec]) -> Vec<&str> {
    params.iter().map(|p| p.name.as_str()).collect()
}

#[test]
fn dcgan_has_the_published_size_and_names() {
    let (g, d) = build(&Model::Dcgan(Dcgan::new(64)));
    assert_eq!((count(&g), count(&d)), (3_576_704, 2_765_568));
    assert_eq!(names(&g)[..4], ["G.main.0.weight", "G.main.1.weight", "G.main.1.bias", "G.main.3.weight"]);
    assert_eq!(names(&g).last(), Some(&"G.main.12.weight"));
    assert_eq!(names(&d)[..4], ["D.main.0.weight", "D.main.2.weight", "D.main.3.weight", "D.main.3.bias"]);
    assert_eq!(names(&d).last(), Some(&"D.main.11.weight"));

    let bare = Dcgan { ngf: 32, ndf: 32, d_norm: false, ..Dcgan::new(32) };
    let (g, d) = build(&Model::Dcgan(bare));
    // Layers 100-128-64-32-3 and 3-32-64-128-1 of 4×4 kernels.
    assert_eq!(count(&g), 16 * (100 * 128 + 128 * 64 + 64 * 32 + 32 * 3) + 2 * (128 + 64 + 32));
    assert_eq!(count(&d), 16 * (3 * 32 + 32 * 64 + 64 * 128 + 128));
    assert_eq!(names(&d), ["D.main.0.weight", "D.main.2.weight", "D.main.4.weight", "D.main.6.weight"]);
}

#[test]
fn r3gan_has_the_published_form() {
    for size in [16, 32, 64, 128, 256] {
        build(&Model::R3gan(R3gan::compact(size)));
    }
    let (g, d) =
        build(&Model::R3gan(R3gan { z: 8, widths: vec![16, 16, 8], blocks: vec![2, 1, 1], ..R3gan::compact(16) }));
    // A block: 1×1 up, bias, grouped 3×3 (16 channels per group), bias, 1×1 down, at twice the width inside.
    let block = |w: usize| w * 2 * w + 2 * w + 9 * 16 * 2 * w + 2 * w + 2 * w * w;
    let blocks = 3 * block(16) + block(8);
    assert_eq!(count(&g), blocks + 16 * 16 + 8 * 16 + 16 * 8 + 8 * 3);
    assert_eq!(count(&d), blocks + 3 * 8 + 8 * 16 + 16 * 16 + 16);
    for name in [
        "G.MainLayers.0.Layers.0.Basis",
        "G.MainLayers.2.Layers.0.LinearLayer.Layer.weight",
        "G.AggregationLayer.Layer.weight",
    ] {
        assert!(names(&g).contains(&name), "{name}");
    }
    for name in [
        "D.ExtractionLayer.Layer.weight",
        "D.MainLayers.0.Layers.1.LinearLayer.Layer.weight",
        "D.MainLayers.2.Layers.2.Basis.weight",
    ] {
        assert!(names(&d).contains(&name), "{name}");
    }
    // √(2/1.04)·L^(-1/4) over √fan_in; the last layer of a block starts at zero.
    let init = |name: &str| g.iter().find(|p| p.name.ends_with(name)).unwrap().init;
    let gain = (2.0f64 / 1.04).sqrt() * 4f64.powf(-0.25);
    assert_eq!(init("1.LinearLayer2.Layer.weight"), Init::Normal { mean: 0.0, std: gain / 12.0 });
    assert_eq!(init("1.LinearLayer3.Layer.weight"), Init::Zeros);
    assert_eq!(init("0.Layers.0.Basis"), Init::Normal { mean: 0.0, std: 1.0 });
}

#[test]
fn r3gan_at_the_published_widths() {
    // 768 channels at every stage of CIFAR-10, 96 groups of 16 channels inside each block.
    let widths = vec![768; 4];
    let cifar = Model::R3gan(R3gan { size: 32, widths, blocks: vec![2; 4], ..R3gan::compact(32) });
    let (g, d) = build(&cifar);
    let block = 768 * 1536 * 2 + 1536 * 16 * 9 + 2 * 1536;
    assert_eq!(count(&g), 8 * block + 768 * 16 + 64 * 768 + 768 * 3);
    assert_eq!(count(&d), 8 * block + 3 * 768 + 768 * 16 + 768);
    let grouped = g.iter().find(|p| p.name.ends_with("LinearLayer2.Layer.weight")).unwrap();
    assert_eq!(grouped.shape, Shape::from([3, 3, 16, 1536]));
    assert_eq!(grouped.init, Init::Normal { mean: 0.0, std: (2.0f64 / 1.04).sqrt() * 8f64.powf(-0.25) / 12.0 });
}

#[test]
fn dcgan_up_to_256_does_not_grow_wider_than_eight_times() {
    for (size, stages) in [(128, vec![512, 512, 256, 128, 64]), (256, vec![512, 512, 512, 256, 128, 64])] {
        let (g, d) = build(&Model::Dcgan(Dcgan::new(size)));
        let pairs = |from: usize| stages.windows(2).map(|w| 16 * w[0] * w[1]).sum::<usize>() + from;
        let norms: usize = stages.iter().map(|c| 2 * c).sum();
        assert_eq!(count(&g), pairs(16 * 100 * 512) + 16 * 64 * 3 + norms);
        assert_eq!(count(&d), pairs(16 * 3 * 64) + 16 * 512 + norms - 2 * 64);
    }
    let (_, d) = build(&Model::Dcgan(Dcgan { max_width: 100, stddev: 4, ..Dcgan::new(64) }));
    let widths: Vec<usize> = d.iter().filter(|p| p.shape.len() == 4).map(|p| p.shape[3]).collect();
    assert_eq!(widths, [64, 100, 100, 100, 1]);
    assert_eq!(d.last().unwrap().shape, Shape::from([4, 4, 101, 1]), "the last layer reads how much a batch spreads");
}

/// Widths, extents and names of Miyato's networks.
#[test]
fn sngan_has_the_published_form() {
    let conv = |k: usize, a: usize, b: usize| k * k * a * b + b;
    let published = [
        (32, 256, 128, vec![256; 4], vec![128; 4]),
        (64, 64, 64, vec![1024, 512, 256, 128, 64], vec![64, 128, 256, 512, 1024]),
        (128, 64, 64, vec![1024, 1024, 512, 256, 128, 64], vec![64, 128, 256, 512, 1024, 1024]),
    ];
    for (size, ngf, ndf, up, down) in published {
        let (g, _) = build(&Model::Sngan(SnganResnet::new(size, ngf)));
        let (_, d) = build(&Model::Sngan(SnganResnet::new(size, ndf)));
        let block = |w: &[usize]| conv(3, w[0], w[1]) + conv(3, w[1], w[1]) + conv(1, w[0], w[1]) + 2 * (w[0] + w[1]);
        let last = 2 * ngf + conv(3, ngf, 3);
        assert_eq!(count(&g), (128 + 1) * 16 * up[0] + up.windows(2).map(block).sum::<usize>() + last, "G of {size}");
        let first = conv(3, 3, ndf) + conv(3, ndf, ndf) + conv(1, 3, ndf);
        // Where neither extent nor width changes the input is added as it is.
        let halves = |i: usize| if size == 32 { i < 1 } else { i < 4 };
        let blocks = down.windows(2).enumerate().map(|(i, w)| {
            let shortcut = if halves(i) || w[0] != w[1] { conv(1, w[0], w[1]) } else { 0 };
            conv(3, w[0], w[0]) + conv(3, w[0], w[1]) + shortcut
        });
        assert_eq!(count(&d), first + blocks.sum::<usize>() + down.last().unwrap() + 1, "D of {size}");
    }
    let (g, d) = build(&Model::Sngan(SnganResnet::new(32, 4)));
    for name in ["G.l1.weight", "G.block2.b1.weight", "G.block4.c_sc.bias", "G.b5.weight", "G.conv5.weight"] {
        assert!(names(&g).contains(&name), "{name}");
    }
    for name in ["D.block1.c1.weight_orig", "D.block2.c_sc.weight_orig", "D.block4.c2.bias", "D.l5.weight_orig"] {
        assert!(names(&d).contains(&name), "{name}");
    }
    let (_, d) = build(&Model::Sngan(SnganResnet { stddev: 4, ..SnganResnet::new(32, 4) }));
    let last = d.iter().find(|p| p.name == "D.l5.weight_orig").unwrap();
    assert_eq!(last.shape, Shape::from([5, 1]), "the last layer reads how much a batch spreads");
    let message = Pair::check(&SnganResnet::new(256, 64), "run.toml").unwrap_err().to_string();
    assert_eq!(message, "run.toml: size 256: must be 32, 64 or 128 for sngan-resnet");
}

/// Images in PyTorch's order of features, through a tanh.
#[test]
fn mlp_makes_images() {
    let mlp = Mlp { z: 4, hidden: 8, layers: 1, activation: Activation::Leaky, sample: vec![5, 4, 3] };
    let (g, d) = build(&Model::Mlp(mlp.clone()));
    assert_eq!((count(&g), count(&d)), (5 * 8 + 9 * 60, 61 * 8 + 9));
    let graph = Graph::new();
    let scope = Scope::new(&graph, "G");
    let image = mlp.generate(&scope, graph.input("z", [1, 4]), Mode::Train);
    let mut feeds = random_feeds(&scope.param_tensors(), 0.0);
    feeds.insert("z".into(), vec![0.0; 4]);
    feeds.insert("G.main.2.bias".into(), (0..60).map(f64::from).map(|i| i / 60.0).collect());
    let made = value(image, &feeds);
    for (i, v) in made.iter().enumerate() {
        let (y, x, c) = (i / 12, i / 3 % 4, i % 3);
        assert!((v - ((c * 20 + y * 4 + x) as f64 / 60.0).tanh()).abs() < 1e-12, "pixel {y} {x} {c}");
    }
}

#[test]
fn mlp_mirrors() {
    let mlp = Mlp { z: 4, hidden: 32, layers: 2, activation: Activation::Relu, sample: vec![2] };
    let (g, d) = build(&Model::Mlp(mlp));
    assert_eq!(
        names(&d),
        ["D.main.0.weight", "D.main.0.bias", "D.main.2.weight", "D.main.2.bias", "D.main.4.weight", "D.main.4.bias"]
    );
    assert_eq!(count(&g), (4 + 1) * 32 + 33 * 32 + 33 * 2);
    assert_eq!(count(&d), (2 + 1) * 32 + 33 * 32 + 33);
}

#[test]
fn nonsense_is_refused_in_words() {
    let bad = |model: Model, words: &[&str]| {
        let message = model.check("run.toml").unwrap_err().to_string();
        assert!(words.iter().all(|w| message.contains(w)), "{message}");
    };
    bad(Model::Dcgan(Dcgan::new(48)), &["run.toml", "size 48", "power of two"]);
    bad(Model::Dcgan(Dcgan { ngf: 0, ..Dcgan::new(64) }), &["ngf 0", "at least 1"]);
    bad(Model::R3gan(R3gan::compact(512)), &["size 512", "256"]);
    bad(Model::R3gan(R3gan { size: 0, ..R3gan::compact(16) }), &["size 0"]);
    bad(Model::R3gan(R3gan { widths: vec![16, 16], ..R3gan::compact(16) }), &["widths [16, 16]", "3 numbers"]);
    bad(Model::R3gan(R3gan { blocks: vec![1, 0, 1], ..R3gan::compact(16) }), &["blocks"]);
    bad(Model::R3gan(R3gan { widths: vec![20, 16, 16], ..R3gan::compact(16) }), &["widths", "multiples of 8"]);
    bad(Model::Mlp(Mlp { z: 2, hidden: 8, layers: 0, activation: Activation::Leaky, sample: vec![2] }), &["layers 0"]);
}

/// Train: statistics of the batch, biased; the running ones move by a tenth towards the unbiased. Eval: the running ones.
#[test]
fn batch_norm_in_both_modes() {
    let graph = Graph::new();
    let x = graph.input("x", [2, 1, 2, 1]);
    let (scope, again) = (Scope::new(&graph, "n"), graph.input("again", [2, 1, 2, 1]));
    let train = batch_norm(&scope, x, Mode::Train, Init::Ones);
    let first = scope.updates();
    batch_norm(&scope, again, Mode::Train, Init::Ones);
    let second = scope.updates();
    let other = Scope::new(&graph, "n");
    let eval = batch_norm(&other, x, Mode::Eval, Init::Ones);
    assert!(other.updates().is_empty());
    let feeds = Feeds::from([
        ("x".into(), vec![1.0, 2.0, 3.0, 6.0]),
        ("again".into(), vec![0.0, 0.0, 0.0, 4.0]),
        ("n.weight".into(), vec![2.0]),
        ("n.bias".into(), vec![0.5]),
        ("n.running_mean".into(), vec![-1.0]),
        ("n.running_var".into(), vec![4.0]),
    ]);
    let tensors = [train, eval, first[0].1, first[1].1, second[0].1, second[1].1];
    let v = values(&tensors, &feeds);
    // Mean 3, biased variance 3.5, unbiased 14/3; then mean 1 and unbiased variance 4.
    let close = |a: f64, b: f64| assert!((a - b).abs() < 1e-12, "{a} is not {b}");
    for (i, x) in [1.0, 2.0, 3.0, 6.0].into_iter().enumerate() {
        close(v[0][i], (x - 3.0) / (3.5f64 + 1e-5).sqrt() * 2.0 + 0.5);
        close(v[1][i], (x + 1.0) / (4.0f64 + 1e-5).sqrt() * 2.0 + 0.5);
    }
    assert_eq!(first[0].0, "n.running_mean");
    close(v[2][0], -0.9 + 0.3);
    close(v[3][0], 3.6 + 1.4 / 3.0);
    close(v[4][0], 0.9 * -0.6 + 0.1);
    close(v[5][0], 0.9 * (3.6 + 1.4 / 3.0) + 0.4);
}

/// The forms a layer prefers where the geometry allows are the same numbers as the convolution primitives.
#[test]
fn short_cuts_are_the_convolution() {
    let graph = Graph::new();
    let same = |x: Tensor, fast: Tensor, plain: Tensor, kind: fn(&Op) -> bool| {
        assert_eq!(fast.shape(), plain.shape());
        let dag = graph.freeze(&[("fast".into(), fast)]);
        assert!(!dag.nodes.iter().any(|n| kind(&n.op)), "no short cut for {:?}", x);
        let leaves: Vec<Tensor> = (0..graph.len()).map(|i| graph.tensor(i)).filter(|t| is_fed(*t)).collect();
        let v = values(&[fast, plain], &random_feeds(&leaves, 1.0));
        assert!(v[0].iter().zip(&v[1]).all(|(a, b)| (a - b).abs() < 1e-12), "{:?}", x);
    };
    let is_conv = |op: &Op| matches!(op, Op::Conv(_));
    let x = graph.input("x", [2, 4, 4, 6]);
    for (name, k, groups) in [("one", [1, 1, 6, 5], 1), ("whole", [4, 4, 6, 5], 1), ("depthwise", [4, 4, 1, 6], 6)] {
        let w = graph.input(name, k);
        same(x, convolve(x, w, 1, 0, groups), x.conv(w, 1, 0, groups), is_conv);
    }
    let z = graph.input("z", [2, 1, 1, 3]);
    let layer = Conv { channels: 5, kernel: 4, stride: 1, pad: 0, groups: 1 };
    let fast = conv_transpose(&Scope::new(&graph, "t"), z, layer, Init::Zeros);
    let plain = z.conv_transpose(graph.param("t.weight", [4, 4, 5, 3]), 1, 0, 1);
    same(z, fast, plain, |op| matches!(op, Op::ConvX(_)));
}

fn is_fed(t: Tensor) -> bool {
    matches!(t.graph().node(t.id()).op, Op::Input(_) | Op::Param(_) | Op::State(_))
}

/// Resampling keeps a constant image away from the border, and a ramp goes up by half steps.
#[test]
fn resampling_interpolates() {
    let graph = Graph::new();
    let x = graph.input("x", [1, 8, 8, 1]);
    let ramp: Vec<f64> = (0..64).map(|i| (i % 8) as f64).collect();
    let feeds = Feeds::from([("x".into(), ramp)]);
    let v = values(&[up(x), down(x), blur(x, &[1.0, 2.0, 1.0])], &feeds);
    let row = |v: &[f64], width: usize, y: usize| v[y * width..(y + 1) * width].to_vec();
    let wide = row(&v[0], 16, 8);
    assert!((2..14).all(|i| (wide[i] - (i as f64 - 0.5) / 2.0).abs() < 1e-12), "{wide:?}");
    let narrow = row(&v[1], 4, 2);
    assert!((1..3).all(|i| (narrow[i] - (2.0 * i as f64 + 0.5)).abs() < 1e-12), "{narrow:?}");
    let same = row(&v[2], 8, 4);
    assert!((1..7).all(|i| (same[i] - i as f64).abs() < 1e-12), "{same:?}");
}

#[test]
fn rows_of_scores() {
    let graph = Graph::new();
    for k in [1, 2, 3, 7, 10] {
        let x = graph.input(&format!("x{k}"), [4, k]);
        let feeds = Feeds::from([(format!("x{k}"), normals(3, 4 * k).iter().map(|v| 40.0 * v).collect())]);
        let v = values(&[row_max(x), log_softmax(x), iota(&graph, k)], &feeds);
        for (n, row) in feeds[&format!("x{k}")].chunks(k).enumerate() {
            let top = row.iter().copied().fold(f64::MIN, f64::max);
            assert_eq!(v[0][n], top);
            let total = top + row.iter().map(|z| (z - top).exp()).sum::<f64>().ln();
            assert!(row.iter().zip(&v[1][n * k..]).all(|(z, got)| (got - (z - total)).abs() < 1e-10));
        }
        assert_eq!(v[2], (0..k).map(|i| i as f64).collect::<Vec<_>>());
    }
    let labels = graph.input("labels", [3]);
    let feeds = Feeds::from([("labels".into(), vec![2.0, 0.0, 3.0])]);
    let want = [0., 0., 1., 0., 1., 0., 0., 0., 0., 0., 0., 1.];
    assert_eq!(value(one_hot(labels, 4), &feeds), want);
}
