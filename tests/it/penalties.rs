//! Gradients of gradients: parameter gradients of R1, WGAN-GP and path length, through minibatch standard deviation,
//! demodulation and FIR resampling, against central differences; third order; a device-fed γ.

use crate::numeric::{Feeds, check_gradient, normals, random_feeds, value, values};
use danskin::autodiff::grad;
use danskin::graph::{Dist, Graph, Shape, Tensor};
use danskin::loss::{GanLoss, gradient_penalty, path_length, r1_penalty, r2_penalty};
use danskin::nn::layers::{Conv, bias, conv, convolve, linear, minibatch_stddev, modulated_conv};
use danskin::nn::resample::{blur, down, up};
use danskin::nn::{Init, Layout, Scope};

const BATCH: usize = 4;
const SIZE: usize = 8;
const CHANNELS: usize = 3;

/// A discriminator in the manner of StyleGAN2, with everything that is hard to differentiate twice.
fn discriminator<'g>(scope: &Scope<'g>, x: Tensor<'g>) -> Tensor<'g> {
    let layer = |channels, stride, pad| Conv { channels, kernel: 3, stride, pad, groups: 1 };
    let stage = |name: &str, x, l| {
        let scope = scope.child(name);
        bias(&scope, "bias", conv(&scope, x, l, Init::Zeros)).leaky_relu(0.2)
    };
    let h = stage("0", x, layer(4, 1, 1));
    let h = blur(h, &[1.0, 3.0, 3.0, 1.0]);
    let h = down(stage("1", h, layer(6, 1, 1)));
    let h = stage("2", h, layer(5, 2, 0));
    let h = minibatch_stddev(h, 2);
    linear(&scope.child("3"), h.tanh().reshape([BATCH, h.shape().elems() / BATCH]), 1, Init::Zeros)
}

/// A modulated synthesis network.
fn generator<'g>(scope: &Scope<'g>, w: Tensor<'g>) -> Tensor<'g> {
    let style = |name: &str, channels| linear(&scope.child(name), w, channels, Init::Zeros) + 1.0;
    let weight = |name: &str, shape: [usize; 4]| scope.param(name, shape, Init::Zeros, Layout::Conv);
    let base = scope.param("base", [1, 4, 4, 4], Init::Zeros, Layout::Plain).expand([BATCH, 4, 4, 4]);
    let x = modulated_conv(base, weight("w0", [3, 3, 4, 5]), style("s0", 4), 1).leaky_relu(0.2);
    let x = modulated_conv(up(x), weight("w1", [3, 3, 5, 4]), style("s1", 5), 1).softplus();
    convolve(x, weight("rgb", [1, 1, 4, CHANNELS]), 1, 0, 1)
}

fn images<'g>(graph: &'g Graph, name: &str) -> Tensor<'g> {
    graph.input(name, [BATCH, SIZE, SIZE, CHANNELS])
}

/// Checks `loss` by every parameter of `scope`; `inputs` are fed random numbers too.
fn check(label: &str, scope: &Scope, loss: Tensor, inputs: &[Tensor]) {
    let params = scope.param_tensors();
    let feeds = random_feeds(&[&params, inputs].concat(), 0.5);
    let steepest = check_gradient(label, loss, &params, &feeds, 4);
    assert!(steepest > 1e-2, "{label}: a derivative of {steepest} proves nothing");
}

#[test]
fn r1_and_r2_by_the_weights() {
    let graph = Graph::new();
    let scope = Scope::new(&graph, "D");
    let (x, fake, gamma) = (images(&graph, "x"), images(&graph, "fake"), graph.input("gamma", [1]));
    let (real_logits, fake_logits) = (discriminator(&scope, x), discriminator(&scope, fake));
    let loss = GanLoss::Rpgan.d_loss(real_logits, fake_logits)
        + r1_penalty(real_logits, x, gamma)
        + r2_penalty(fake_logits, fake, 10.0);
    check("R1 + R2", &scope, loss, &[x, fake, gamma]);
}

#[test]
fn wgan_gp_by_the_weights() {
    let graph = Graph::new();
    let scope = Scope::new(&graph, "D");
    let (real, fake) = (images(&graph, "real"), images(&graph, "fake"));
    let penalty = gradient_penalty(|x| discriminator(&scope, x), real, fake, 5);
    check("WGAN-GP", &scope, penalty, &[real, fake]);
}

#[test]
fn path_length_by_the_weights() {
    let graph = Graph::new();
    let scope = Scope::new(&graph, "G");
    let (w, mean) = (graph.input("w", [BATCH, 6]), graph.state("path.mean", [1]));
    let path = path_length(generator(&scope, w), w, mean, 9);
    check("path length", &scope, path.penalty, &[w, mean]);
}

/// The gradient of the squared norm of the gradient of the R1 loss: third order.
#[test]
fn third_order() {
    let graph = Graph::new();
    let scope = Scope::new(&graph, "D");
    let x = images(&graph, "x");
    let logits = discriminator(&scope, x);
    let loss = (-logits).softplus().mean_all() + r1_penalty(logits, x, 1.0);
    let params = scope.param_tensors();
    let steps = grad(loss, &params).into_iter().map(|g| g.square().sum_all());
    check("third order", &scope, steps.reduce(|a, b| a + b).unwrap(), &[x]);
}

/// R1 of D(x) = ½ Σ a·x²: the gradient is a·x, the penalty γ/2 · mean Σ (a·x)², its gradient by a is γ/N Σₙ a·x².
#[test]
fn r1_of_a_quadratic() {
    let graph = Graph::new();
    let (x, a) = (graph.input("x", [4, 2]), graph.param("a", [1, 2]));
    let logits = (x.square() * a).sum(&[1]).scale(0.5);
    let penalty = r1_penalty(logits, x, 3.0);
    let feeds = Feeds::from([("x".into(), normals(1, 8)), ("a".into(), vec![0.7, -1.3])]);
    let moment = |c: usize, p: i32| feeds["x"].iter().skip(c).step_by(2).map(|v| v.powi(p)).sum::<f64>() / 4.0;
    let want: f64 = (0..2).map(|c| 1.5 * feeds["a"][c].powi(2) * moment(c, 2)).sum();
    assert!((value(penalty, &feeds)[0] - want).abs() < 1e-12);
    let slope = value(grad(penalty, &[a])[0], &feeds);
    for c in 0..2 {
        assert!((slope[c] - 3.0 * feeds["a"][c] * moment(c, 2)).abs() < 1e-12, "{slope:?}");
    }
}

/// γ as data and γ in the graph are the same number.
#[test]
fn gamma_may_be_device_data() {
    let graph = Graph::new();
    let (x, gamma) = (graph.input("x", [4, 2]), graph.input("gamma", [1]));
    let logits = x.tanh().sum(&[1]);
    let feeds = Feeds::from([("x".into(), normals(1, 8)), ("gamma".into(), vec![0.2])]);
    let both = values(&[r1_penalty(logits, x, gamma), r1_penalty(logits, x, 0.2)], &feeds);
    assert!((both[0][0] - both[1][0]).abs() < 1e-15 && both[0][0] > 0.0, "{both:?}");
}

/// A critic of slope s everywhere is penalised by (s − 1)², wherever the interpolates are; α differs from sample to sample.
#[test]
fn gradient_penalty_of_a_plane() {
    let graph = Graph::new();
    let (real, fake) = (graph.input("real", [5, 2]), graph.input("fake", [5, 2]));
    let slope = graph.input("slope", [2, 1]);
    let penalty = gradient_penalty(|x| x.matmul(slope), real, fake, 0);
    let mut feeds = random_feeds(&[real, fake], 1.0);
    feeds.insert("slope".into(), vec![3.0, 4.0]);
    assert!((value(penalty, &feeds)[0] - 16.0).abs() < 1e-9);

    // Between 0 and 1 the interpolate is 1 − α itself.
    feeds.extend([("real".into(), vec![0.0; 10]), ("fake".into(), vec![1.0; 10])]);
    let mut seen = None;
    gradient_penalty(
        |x| {
            seen = Some(x);
            x.matmul(slope)
        },
        real,
        fake,
        0,
    );
    let between = value(seen.unwrap(), &feeds);
    assert!(between.chunks(2).all(|p| p[0] == p[1] && p[0] > 0.0 && p[0] < 1.0), "{between:?}");
    assert!(between.chunks(2).any(|p| p[0] != between[0]), "one α for all samples: {between:?}");
}

/// A linear generator: the length is known, and the average moves by one hundredth of the way.
#[test]
fn path_length_of_a_linear_map() {
    let graph = Graph::new();
    let (w, mean) = (graph.input("w", [3, 2, 2]), graph.state("mean", [1]));
    let image = w.sum(&[1]).reshape([3, 1, 1, 2]).expand([3, 2, 2, 2]);
    let path = path_length(image, w, mean, 4);
    let noise = graph.rand(Dist::Normal, 4, [3, 2, 2, 2]);
    let mut feeds = random_feeds(&[w], 1.0);
    feeds.insert("mean".into(), vec![0.7]);
    let v = values(&[path.penalty, path.mean, noise], &feeds);
    let lengths: Vec<f64> = (0..3)
        .map(|n| {
            // ∂/∂w of ⟨image, y/2⟩ is Σ over pixels of y/2, for either of the two layers.
            let g = |c: usize| (0..4).map(|p| v[2][(n * 4 + p) * 2 + c]).sum::<f64>() / 2.0;
            g(0).hypot(g(1))
        })
        .collect();
    let average = 0.99 * 0.7 + 0.01 * lengths.iter().sum::<f64>() / 3.0;
    assert!((v[1][0] - average).abs() < 1e-9, "{} is not {average}", v[1][0]);
    let penalty = lengths.iter().map(|l| (l - average).powi(2)).sum::<f64>() / 3.0;
    assert!((v[0][0] - penalty).abs() < 1e-9, "{} is not {penalty}", v[0][0]);
}

/// Groups of the minibatch statistic are strided: with N = 4 and groups of 2, images 0 and 2 share one.
#[test]
fn minibatch_groups_are_strided() {
    let graph = Graph::new();
    let x = graph.input("x", [4, 1, 1, 1]);
    let y = minibatch_stddev(x, 2);
    assert_eq!(y.shape(), Shape::from([4, 1, 1, 2]));
    let feeds = Feeds::from([("x".into(), vec![0.0, 5.0, 2.0, 5.0])]);
    let v = value(y, &feeds);
    let want = [0.0, 1.0, 5.0, 1e-4, 2.0, 1.0, 5.0, 1e-4];
    assert!(v.iter().zip(want).all(|(a, b)| (a - b).abs() < 1e-8), "{v:?}");
}

/// Demodulated weights have unit norm per image and output channel, so unit input noise keeps unit variance.
#[test]
fn demodulation_is_the_per_image_convolution() {
    let graph = Graph::new();
    let (x, w, s) = (graph.input("x", [2, 3, 3, 2]), graph.input("w", [3, 3, 2, 4]), graph.input("s", [2, 2]));
    let feeds = random_feeds(&[x, w, s], 1.0);
    let got = value(modulated_conv(x, w, s, 1), &feeds);
    for n in 0..2 {
        // The published form: modulate the weight, normalise it per output channel, convolve this image with it.
        let one = x.slice(&[n, 0, 0, 0], [1, 3, 3, 2]);
        let modulated = w * s.slice(&[n, 0], [1, 2]).reshape([1, 1, 2, 1]);
        let norm = (modulated.square().sum(&[0, 1, 2]) + 1e-8).pow(-0.5);
        let want = value(one.conv(modulated * norm, 1, 1, 1), &feeds);
        let part = &got[n * want.len()..][..want.len()];
        assert!(part.iter().zip(&want).all(|(a, b)| (a - b).abs() < 1e-12));
    }
}
