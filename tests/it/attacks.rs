//! Attacks: the ball, the box, the published steps, and what they must and must not change.

use crate::numeric::{Feeds, RNG, normals, value, values};
use danskin::attack::{Attack, Bounds, Norm, accumulate, start, step};
use danskin::autodiff::grad;
use danskin::graph::{Graph, Tensor};
use danskin::host::eval;

const N: usize = 5;
const ELEMS: usize = 12;
const SHAPE: [usize; 4] = [N, 2, 2, 3];
const BOX: Bounds = Bounds::IMAGE;

/// A concave loss, so that small steps find its maximum and one large step may pass it: −Σ (mix·x − 2)², summed over
/// examples.
fn loss(x: Tensor<'_>) -> Tensor<'_> {
    let mix = x.graph().input("mix", [ELEMS, ELEMS]);
    -(x.reshape([N, ELEMS]).matmul(mix) - 2.0).square().sum_all()
}

/// Images in the box, several elements on its border.
fn feeds(eps: f64, alpha: f64) -> Feeds {
    Feeds::from([
        ("x0".into(), normals(1, N * ELEMS).iter().map(|v| v.clamp(-1.0, 1.0)).collect()),
        ("mix".into(), normals(2, ELEMS * ELEMS)),
        ("eps".into(), vec![eps]),
        ("alpha".into(), vec![alpha]),
    ])
}

/// The points of an attack of `steps` steps by its name, started and unrolled in one graph.
fn run<'g>(graph: &'g Graph, attack: Attack, asked: usize) -> Vec<Tensor<'g>> {
    let (x0, eps, alpha) = (graph.input("x0", SHAPE), graph.input("eps", [1]), graph.input("alpha", [1]));
    let norm = attack.norm();
    let mut x = if attack.random_start() { start(norm, x0, eps, BOX, 6) } else { x0 };
    let mut momentum = graph.constant(0.0, SHAPE);
    let mut path = vec![x];
    for _ in 0..attack.steps(asked) {
        let mut gradient = grad(loss(x), &[x])[0];
        if attack == Attack::Mifgsm {
            momentum = accumulate(momentum, gradient, 1.0);
            gradient = momentum;
        }
        x = step(norm, x, x0, gradient, alpha, eps, BOX);
        path.push(x);
    }
    path
}

fn size(norm: Norm, change: &[f64]) -> f64 {
    match norm {
        Norm::Inf => change.iter().fold(0.0, |m, c| m.max(c.abs())),
        Norm::Two => change.iter().map(|c| c * c).sum::<f64>().sqrt(),
    }
}

#[test]
fn every_point_is_in_the_ball_and_the_box() {
    for attack in Attack::ALL {
        let eps = if attack.norm() == Norm::Two { 0.9 } else { 0.15 };
        let feeds = feeds(eps, attack.alpha(eps, 4));
        let graph = Graph::new();
        let points = values(&run(&graph, attack, 4), &feeds);
        for point in &points {
            assert!(point.iter().all(|v| (BOX.lo..=BOX.hi).contains(v)), "{attack} leaves the box");
            for (x, x0) in point.chunks(ELEMS).zip(feeds["x0"].chunks(ELEMS)) {
                let change: Vec<f64> = x.iter().zip(x0).map(|(a, b)| a - b).collect();
                let size = size(attack.norm(), &change);
                assert!(size <= eps * (1.0 + 1e-12), "{attack} goes {size} far");
            }
        }
        assert_ne!(points[points.len() - 1], feeds["x0"], "{attack} does nothing");
    }
}

/// The same in f32: the ball may be left by no more than the rounding of x0 + δ.
#[test]
fn the_ball_holds_in_f32() {
    let eps = 8.0 / 255.0;
    for attack in Attack::ALL {
        let graph = Graph::new();
        let path = run(&graph, attack, 3);
        let dag = graph.freeze(&[("x".into(), path[path.len() - 1])]);
        let narrow = |(k, v): (&String, &Vec<f64>)| (k.clone(), v.iter().map(|v| *v as f32).collect());
        let feeds = feeds(eps, attack.alpha(eps, 3)).iter().map(narrow).collect();
        let x = &eval::<f32>(&dag, &feeds, RNG).unwrap()["x"];
        for (x, x0) in x.chunks(ELEMS).zip(feeds["x0"].chunks(ELEMS)) {
            let change: Vec<f64> = x.iter().zip(x0).map(|(a, b)| f64::from(*a) - f64::from(*b)).collect();
            assert!(size(attack.norm(), &change) <= eps + 4.0 * f64::from(f32::EPSILON), "{attack}: {change:?}");
        }
    }
}

#[test]
fn a_radius_of_zero_changes_nothing() {
    for attack in Attack::ALL {
        let feeds = feeds(0.0, 0.1);
        let graph = Graph::new();
        for point in values(&run(&graph, attack, 3), &feeds) {
            assert_eq!(point, feeds["x0"], "{attack}");
        }
    }
}

/// Gradient steps raise the loss, more of them at least as much, and noise less than one gradient step.
#[test]
fn the_loss_rises() {
    let eps = 0.3;
    let reached = |attack: Attack, steps: usize| {
        let graph = Graph::new();
        let path = run(&graph, attack, steps);
        let feeds = feeds(eps, attack.alpha(eps, steps));
        let ends = [loss(path[0]), loss(path[path.len() - 1])];
        ends.map(|l| value(l, &feeds)[0])
    };
    for attack in [Attack::Fgsm, Attack::Rfgsm, Attack::Bim, Attack::Pgd, Attack::Pgd2, Attack::Mifgsm] {
        let [before, after] = reached(attack, 5);
        assert!(after > before + 0.1, "{attack}: from {before} to {after}");
    }
    let noise = reached(Attack::Noise, 5)[1];
    let fgsm = reached(Attack::Fgsm, 1)[1];
    let pgd = reached(Attack::Pgd, 20)[1];
    assert!(noise < fgsm && fgsm <= pgd + 1e-9, "noise {noise}, fgsm {fgsm}, pgd {pgd}");
}

/// One sign step by hand, with a gradient that is zero at one element.
#[test]
fn a_sign_step_by_hand() {
    let graph = Graph::new();
    let [x, x0, g] = ["x", "x0", "g"].map(|n| graph.input(n, [1, 4]));
    let (alpha, eps) = (graph.input("alpha", [1]), graph.input("eps", [1]));
    let next = step(Norm::Inf, x, x0, g, alpha, eps, BOX);
    let feeds = Feeds::from([
        ("x0".into(), vec![0.0, 0.0, 0.5, 0.95]),
        ("x".into(), vec![0.15, 0.0, 0.45, 0.95]),
        ("g".into(), vec![3.0, 0.0, -0.01, 2.0]),
        ("alpha".into(), vec![0.1]),
        ("eps".into(), vec![0.2]),
    ]);
    // Limited by the ball, left where the gradient is zero, moved by α, limited by the box.
    let got = value(next, &feeds);
    assert!(got.iter().zip([0.2, 0.0, 0.35, 1.0]).all(|(a, b)| (a - b).abs() < 1e-15), "{got:?}");
}

/// One Euclidean step by hand, for an example that moves freely, one that is pulled back, and one without gradient.
#[test]
fn a_euclidean_step_by_hand() {
    let graph = Graph::new();
    let [x, x0, g] = ["x", "x0", "g"].map(|n| graph.input(n, [3, 2]));
    let (alpha, eps) = (graph.input("alpha", [1]), graph.input("eps", [1]));
    let next = step(Norm::Two, x, x0, g, alpha, eps, BOX);
    let feeds = Feeds::from([
        ("x0".into(), vec![0.0; 6]),
        ("x".into(), vec![0.0, 0.0, 0.3, 0.0, 0.2, 0.1]),
        ("g".into(), vec![3e-5, 4e-5, 7.0, 0.0, 0.0, 0.0]),
        ("alpha".into(), vec![0.2]),
        ("eps".into(), vec![0.4]),
    ]);
    let got = value(next, &feeds);
    assert!(got.iter().zip([0.12, 0.16, 0.4, 0.0, 0.2, 0.1]).all(|(a, b)| (a - b).abs() < 1e-15), "{got:?}");
}

/// Accumulation divides by the mean size of each example's gradient and decays what was there.
#[test]
fn momentum_by_hand() {
    let graph = Graph::new();
    let [m, g] = ["m", "g"].map(|n| graph.input(n, [3, 2]));
    let feeds = Feeds::from([
        ("m".into(), vec![1.0, 1.0, 0.0, 0.0, 2.0, 0.0]),
        ("g".into(), vec![1.0, -3.0, 1e-6, 1e-6, 0.0, 0.0]),
    ]);
    let got = value(accumulate(m, g, 0.5), &feeds);
    assert!(got.iter().zip([1.0, -1.0, 1.0, 1.0, 1.0, 0.0]).all(|(a, b)| (a - b).abs() < 1e-12), "{got:?}");
}

/// Danskin: the adversarial example is a constant for whatever is differentiated after it.
#[test]
fn nothing_is_differentiated_through_an_attack() {
    let graph = Graph::new();
    let path = run(&graph, Attack::Pgd, 2);
    let (x0, eps) = (graph.input("x0", SHAPE), graph.input("eps", [1]));
    let through = grad(loss(path[2]), &[x0, eps]);
    assert!(values(&through, &feeds(0.1, 0.1)).iter().flatten().all(|g| *g == 0.0));
}

/// A random start fills the ball: examples differ, and the Euclidean radii are not all at the border.
#[test]
fn a_start_is_spread_over_the_ball() {
    for norm in [Norm::Inf, Norm::Two] {
        let graph = Graph::new();
        let (x0, eps) = (graph.constant(0.0, [200, 2, 2, 1]), graph.input("eps", [1]));
        let at = start(norm, x0, eps, BOX, 0);
        let point = value(at, &Feeds::from([("eps".into(), vec![0.5])]));
        let radii: Vec<f64> = point.chunks(4).map(|c| size(norm, c) / 0.5).collect();
        // Uniform in a ball of dimension 4: P(radius < r) = r⁴, mean 4/5.
        let mean = radii.iter().sum::<f64>() / 200.0;
        assert!((mean - 0.8).abs() < 0.05, "{norm:?}: mean radius {mean}");
        let centre = point.iter().sum::<f64>() / 800.0;
        assert!(centre.abs() < 0.05, "{norm:?}: centre {centre}");
    }
}
