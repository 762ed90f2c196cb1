//! Losses against closed forms written out here, and the gradients of the classifier losses.

use crate::numeric::{Feeds, check_gradient, normals, value};
use danskin::autodiff::grad;
use danskin::graph::{Graph, Tensor};
use danskin::loss::GanLoss;
use danskin::loss::classifier::{cross_entropy, kl, margin};

const N: usize = 6;

fn softplus(t: f64) -> f64 {
    t.exp().ln_1p()
}

/// The table of the field, on one pair of logits: (discriminator, generator).
fn closed_form(gan: GanLoss, real: f64, fake: f64) -> (f64, f64) {
    match gan {
        GanLoss::Ns => (softplus(-real) + softplus(fake), softplus(-fake)),
        GanLoss::Hinge => ((1.0 - real).max(0.0) + (1.0 + fake).max(0.0), -fake),
        GanLoss::Lsgan => ((real - 1.0).powi(2) + fake.powi(2), (fake - 1.0).powi(2)),
        GanLoss::Wgan => (fake - real, -fake),
        GanLoss::Rpgan => (softplus(fake - real), softplus(real - fake)),
    }
}

#[test]
fn gan_losses_are_the_published_ones() {
    let graph = Graph::new();
    let (real, fake) = (graph.input("real", [N, 1]), graph.input("fake", [N, 1]));
    let feeds = Feeds::from([
        ("real".into(), normals(1, N).iter().map(|v| 2.0 * v).collect()),
        ("fake".into(), normals(2, N).iter().map(|v| 2.0 * v).collect()),
    ]);
    let pairs = || feeds["real"].iter().zip(&feeds["fake"]);
    for gan in GanLoss::ALL {
        let mean =
            |pick: fn((f64, f64)) -> f64| pairs().map(|(r, f)| pick(closed_form(gan, *r, *f))).sum::<f64>() / N as f64;
        let d = value(gan.d_loss(real, fake), &feeds)[0];
        let g = value(gan.g_loss(fake, gan.generator_needs_reals().then_some(real)), &feeds)[0];
        assert!((d - mean(|p| p.0)).abs() < 1e-12, "{gan}: discriminator {d}");
        assert!((g - mean(|p| p.1)).abs() < 1e-12, "{gan}: generator {g}");
    }
}

/// Whatever the formula: the discriminator gains by larger logits of reals and smaller ones of fakes, the generator by larger
/// ones of fakes. Logits lie where no loss is flat and least squares has not reached its target.
#[test]
fn gradients_point_where_each_network_gains() {
    let graph = Graph::new();
    let (real, fake) = (graph.input("real", [N, 1]), graph.input("fake", [N, 1]));
    let logits = |stream: u32| normals(stream, N).iter().map(|v| 0.5 + 0.4 * v.tanh()).collect();
    let feeds = Feeds::from([("real".into(), logits(1)), ("fake".into(), logits(2))]);
    for gan in GanLoss::ALL {
        let d = grad(gan.d_loss(real, fake), &[real, fake]);
        let g = grad(gan.g_loss(fake, gan.generator_needs_reals().then_some(real)), &[fake])[0];
        for (name, gradient, sign) in [("D of reals", d[0], -1.0), ("D of fakes", d[1], 1.0), ("G", g, -1.0)] {
            let v = value(gradient, &feeds);
            assert!(v.iter().all(|v| v * sign > 1e-3), "{gan}: gradient of {name} {v:?}");
        }
    }
}

/// Only differences of logits enter the relativistic losses; a constant added to both changes nothing.
#[test]
fn rpgan_sees_differences_only() {
    let graph = Graph::new();
    let (real, fake) = (graph.input("real", [N, 1]), graph.input("fake", [N, 1]));
    let feeds = Feeds::from([("real".into(), normals(1, N)), ("fake".into(), normals(2, N))]);
    let shifted = GanLoss::Rpgan.d_loss(real + 7.0, fake + 7.0);
    let difference = value(shifted, &feeds)[0] - value(GanLoss::Rpgan.d_loss(real, fake), &feeds)[0];
    assert!(difference.abs() < 1e-13);
}

const K: usize = 5;

fn scores<'g>(graph: &'g Graph, feeds: &mut Feeds, name: &str, stream: u32) -> Tensor<'g> {
    feeds.insert(name.into(), normals(stream, N * K).iter().map(|v| 3.0 * v).collect());
    graph.input(name, [N, K])
}

fn softmax(row: &[f64]) -> Vec<f64> {
    let total: f64 = row.iter().map(|z| z.exp()).sum();
    row.iter().map(|z| z.exp() / total).collect()
}

#[test]
fn classifier_losses_are_their_definitions() {
    let graph = Graph::new();
    let mut feeds = Feeds::new();
    let (p, q) = (scores(&graph, &mut feeds, "p", 4), scores(&graph, &mut feeds, "q", 5));
    let labels = graph.input("labels", [N]);
    feeds.insert("labels".into(), (0..N).map(|n| ((3 * n) % K) as f64).collect());
    let ce = value(cross_entropy(p, labels), &feeds);
    let gap = value(margin(p, labels), &feeds);
    let divergence = value(kl(p, q), &feeds);
    for n in 0..N {
        let (zp, zq, y) = (&feeds["p"][n * K..][..K], &feeds["q"][n * K..][..K], (3 * n) % K);
        let (sp, sq) = (softmax(zp), softmax(zq));
        assert!((ce[n] + sp[y].ln()).abs() < 1e-10, "cross entropy of row {n}: {}", ce[n]);
        let best = (0..K).filter(|i| *i != y).map(|i| zp[i]).fold(f64::MIN, f64::max);
        assert!((gap[n] - (best - zp[y])).abs() < 1e-12, "margin of row {n}: {}", gap[n]);
        let want: f64 = (0..K).map(|i| sp[i] * (sp[i] / sq[i]).ln()).sum();
        assert!((divergence[n] - want).abs() < 1e-10, "divergence of row {n}: {}", divergence[n]);
    }
    let c = graph.input("c", [N, 1]);
    feeds.insert("c".into(), normals(6, N));
    for (label, loss) in [("cross entropy", cross_entropy(p, labels)), ("margin", margin(p, labels))] {
        assert!(check_gradient(label, (loss * c).sum_all(), &[p], &feeds, 3) > 1e-3);
    }
    assert!(check_gradient("kl", (kl(p, q) * c).sum_all(), &[p, q], &feeds, 3) > 1e-3);
}

/// With every other score below zero the true class must be masked, not multiplied by 0.
#[test]
fn margin_of_negative_scores() {
    let graph = Graph::new();
    let (z, labels) = (graph.input("z", [1, 3]), graph.input("labels", [1]));
    let feeds = Feeds::from([("z".into(), vec![-5.0, -2.0, -3.0]), ("labels".into(), vec![1.0])]);
    assert_eq!(value(margin(z, labels), &feeds), [-1.0]);
}
