//! Attacks: the ball, the box, the published steps, what they must and must not change, and what independent implementations find
//! on the same network (`tests/goldens/attacks.py`).

use crate::goldens::load;
use crate::lab::{CLASSES, ELEMS, Lab, SAMPLE};
use crate::numeric::{Feeds, value, values};
use crate::primitives::gpu;
use danskin::attack::{
    ADVERSARIAL, Attack, AttackOptions, Ball, Bounds, FOOLED, Keep, Loss, Norm, accumulate, entries, named,
};
use danskin::attack::{start, step};
use danskin::autodiff::grad;
use danskin::device::Device;
use danskin::graph::Graph;
use danskin::robustness::AUTO;
use danskin::train::Attacker;
use std::path::Path;

const BOX: Bounds = Bounds::IMAGE;

/// AttackOptions for the network of the laboratory.
pub fn options() -> AttackOptions {
    AttackOptions { classes: CLASSES, sample: SAMPLE.to_vec(), ..AttackOptions::default() }
}

/// An attack by name.
pub fn attack(name: &str, options: &AttackOptions) -> Attack {
    named(name, options).unwrap_or_else(|e| panic!("{e}"))
}

fn size(norm: Norm, change: &[f64]) -> f64 {
    match norm {
        Norm::Inf => change.iter().fold(0.0, |m, c| m.max(c.abs())),
        Norm::Two => change.iter().map(|c| c * c).sum::<f64>().sqrt(),
    }
}

/// Sizes of the changes of all examples.
pub fn sizes(norm: Norm, adversarial: &[f64], images: &[f64]) -> Vec<f64> {
    let change = |(a, b): (&[f64], &[f64])| a.iter().zip(b).map(|(a, b)| a - b).collect::<Vec<_>>();
    adversarial.chunks(ELEMS).zip(images.chunks(ELEMS)).map(|pair| size(norm, &change(pair))).collect()
}

/// A radius at which attacks of this ball have something to do.
fn radius(ball: Ball) -> f64 {
    match ball.norm() {
        Some(Norm::Two) => 1.0,
        _ => 0.08,
    }
}

fn f64s(values: &[f32]) -> Vec<f64> {
    values.iter().map(|v| f64::from(*v)).collect()
}

/// Few steps: of every attack, what it does is looked at, not what it could do.
fn quick() -> AttackOptions {
    AttackOptions { steps: Some(6), ..options() }
}

/// Every attack of the catalogue. Those that look for the smallest change set out from the image without a radius to aim for: they
/// get five times the steps.
fn all(o: &AttackOptions) -> Vec<Attack> {
    let longer = AttackOptions { steps: o.steps.map(|steps| 5 * steps), ..o.clone() };
    let make = |name: &str| match attack(name, o) {
        Attack { ball: Ball::Smallest(_), .. } => attack(name, &longer),
        quick => quick,
    };
    entries().map(|entry| make(entry.name)).collect()
}

#[test]
fn names_are_unique_and_read_back() {
    let names: Vec<&str> = entries().map(|entry| entry.name).collect();
    for name in &names {
        assert_eq!(names.iter().filter(|other| other == &name).count(), 1, "{name}");
        assert_eq!(attack(name, &options()).name, *name);
    }
    let message = named("pgd3", &options()).err().unwrap().to_string();
    assert!(message.contains("pgd3") && message.contains("mifgsm"), "{message}");
}

/// Examples lie in the box and, where a radius is given, in the ball; what is said to fool the network does.
#[test]
fn examples_are_in_the_ball_and_the_box_and_fool_as_they_say() {
    let lab = Lab::new(8);
    for attack in all(&quick()) {
        let (name, eps) = (attack.name, radius(attack.ball));
        let run = lab.run(&attack, eps, 5, ADVERSARIAL);
        for point in &run.path {
            assert!(point.iter().all(|v| (BOX.lo..=BOX.hi).contains(v)), "{name} leaves the box");
            if let Ball::Radius(norm) = attack.ball {
                let largest = sizes(norm, point, &lab.images).into_iter().fold(0.0, f64::max);
                assert!(largest <= eps * (1.0 + 1e-12), "{name} goes {largest} far");
            }
        }
        let classes = lab.classes(run.adversarial());
        for (i, (class, fooled)) in classes.iter().zip(&run.memory[FOOLED]).enumerate() {
            assert_eq!(*class != lab.labels[i], *fooled > 0.0, "{name}: example {i}");
        }
        assert!(run.adversarial() != lab.images, "{name} does nothing");
    }
}

#[test]
fn a_radius_of_zero_changes_nothing() {
    let lab = Lab::new(4);
    for attack in all(&quick()).iter().filter(|attack| matches!(attack.ball, Ball::Radius(_))) {
        let run = lab.run(attack, 0.0, 5, ADVERSARIAL);
        assert_eq!(run.adversarial(), lab.images, "{}", attack.name);
        assert_eq!(run.success(), 0.0, "{}", attack.name);
    }
}

/// Deterministic attacks, end point by end point, in f64.
#[test]
fn paths_are_those_of_an_independent_implementation() {
    let golden = load("attacks_gradient");
    let last = |o: AttackOptions| AttackOptions { keep: Keep::Last, ..o };
    let of = |steps: u32, alpha: f64| last(AttackOptions { steps: Some(steps), alpha: Some(alpha), ..options() });
    let euclidean = |o: AttackOptions| AttackOptions { norm: Some(Norm::Two), ..o };
    for (name, ours, eps, o) in [
        ("fgsm", "fgsm", 0.2, last(options())),
        ("bim", "bim", 0.2, of(7, 0.04)),
        ("pgd", "bim", 0.2, of(8, 0.05)),
        ("pgd2", "bim", 3.0, euclidean(of(8, 0.8))),
        ("mifgsm", "mifgsm", 0.2, of(6, 0.04)),
    ] {
        let (shape, expected) = golden.array(name);
        let lab = Lab::new(shape[0]);
        let run = lab.run(&attack(ours, &o), eps, 0, ADVERSARIAL);
        let error = run.adversarial().iter().zip(expected).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
        // The file holds f32.
        assert!(error < 2e-7, "{name}: {error:e} away");
    }
}

/// Attacks with random parts fool at least as many as independent ones of equal budget; the same for those that keep the best.
#[test]
fn success_is_that_of_an_independent_implementation() {
    let (lab, golden) = (Lab::new(64), load("attacks_gradient"));
    let steps = |steps: u32| AttackOptions { steps: Some(steps), ..options() };
    let euclidean = |o: AttackOptions| AttackOptions { norm: Some(Norm::Two), ..o };
    for (name, ours, o) in [
        ("noise", "noise", options()),
        ("fgsm", "fgsm", options()),
        ("rfgsm", "rfgsm", options()),
        ("ffgsm", "ffgsm", options()),
        ("pgd", "pgd", steps(20)),
        ("pgd2", "pgd", euclidean(steps(20))),
        ("mifgsm", "mifgsm", steps(10)),
        ("apgd-ce", "apgd-ce", steps(20)),
        ("apgd-dlr", "apgd-dlr", steps(20)),
        ("apgd-t", "apgd-t", steps(20)),
    ] {
        let expected = golden.array(&format!("{name} success")).1[0];
        let eps = if name == "pgd2" { 1.0 } else { 0.08 };
        let attack = attack(ours, &o);
        let runs = (0..20).map(|seed| lab.run(&attack, eps, seed, ADVERSARIAL).success());
        let mean = runs.sum::<f64>() / 20.0;
        // One of the examples, two where a single step decides: what chance moves.
        let slack = if o.steps.is_none() { 2.0 / 64.0 } else { 1.0 / 64.0 };
        assert!(mean >= expected - slack, "{name}: {mean} of the examples, and {expected} elsewhere");
    }
}

/// The stronger the attack, the more it fools: noise, one step, many steps, several losses.
#[test]
fn stronger_attacks_fool_more() {
    let lab = Lab::new(48);
    let success = |name: &str, o: &AttackOptions| lab.run(&attack(name, o), 0.05, 1, ADVERSARIAL).success();
    let steps = |steps: u32| AttackOptions { steps: Some(steps), ..options() };
    let (noise, fgsm) = (success("noise", &options()), success("fgsm", &options()));
    let [few, many] = [2, 30].map(|n| success("pgd", &steps(n)));
    let mut fallen = [false; 48];
    for name in AUTO {
        let (attack, eps) = (attack(name, &steps(30)), 0.05);
        let run = lab.run(&attack, eps, 1, ADVERSARIAL);
        let sizes = sizes(Norm::Inf, run.adversarial(), &lab.images);
        let found = |k: usize| run.memory[FOOLED][k] > 0.0 && sizes[k] <= eps * (1.0 + 1e-9);
        (0..48).for_each(|k| fallen[k] |= found(k));
    }
    let auto = fallen.iter().filter(|fallen| **fallen).count() as f64 / 48.0;
    assert!(noise < fgsm && fgsm <= many && few <= many && many <= auto, "{noise} {fgsm} {few} {many} {auto}");
    let restarts = success("pgd", &AttackOptions { restarts: Some(4), ..steps(30) });
    assert!(restarts >= many, "{restarts} with restarts, {many} without");
}

/// Steps, and how many of ten targets they should reach: one pixel reaches few, one step too.
fn target_budget(name: &str) -> (u32, usize) {
    match name {
        "fgsm" | "rfgsm" | "ffgsm" => (1, 1),
        // Its noise hides small differences.
        "jitter" => (40, 6),
        "spsa" => (36, 9),
        "square" => (300, 9),
        "onepixel" => (1200, 1),
        "pixle" => (300, 5),
        _ => (40, 9),
    }
}

/// With restarts the classes are gone through again, from the nearest one on, and the label is none of them.
#[test]
fn targets_in_turn_begin_again_with_restarts() {
    let lab = Lab::new(3);
    let restarted = attack("apgd-t", &AttackOptions { steps: Some(1), restarts: Some(2), ..options() });
    let path = lab.run(&restarted, 0.01, 1, "target").path;
    assert_eq!(path.len(), 18);
    assert_eq!(path[..9], path[9..]);
    for (k, label) in lab.labels.iter().enumerate() {
        let mut tried: Vec<u32> = path[..9].iter().map(|row| row[k] as u32).collect();
        tried.sort_unstable();
        assert_eq!(tried, (0..10).filter(|class| class != label).collect::<Vec<u32>>());
    }
}

/// In training, fast's one step starts anywhere in the ball and ends in ball and box; it moves most pixels by less than all of ε.
#[test]
fn the_step_of_fast_training_ends_in_the_box() {
    let lab = Lab::new(16);
    let eps = 0.6;
    let o = AttackOptions { keep: Keep::Last, ..options() };
    let end = lab.run(&attack("ffgsm", &o), eps, 3, ADVERSARIAL);
    let (x, images) = (end.adversarial(), &lab.images);
    assert!(x.iter().all(|v| (BOX.lo..=BOX.hi).contains(v)));
    assert!(sizes(Norm::Inf, x, images).iter().all(|size| *size <= eps * (1.0 + 1e-12)));
    // 1.25 ε up from U(±ε) reaches ε from the upper five eighths of the ball.
    let up: Vec<f64> = x.iter().zip(images).map(|(x, v)| x - v).filter(|d| *d > 1e-6).collect();
    let short = up.iter().filter(|d| **d < 0.999 * eps).count() as f64 / up.len() as f64;
    assert!((0.25..0.5).contains(&short), "{short}");
}

/// A targeted attack ends in its target.
#[test]
fn targets_are_reached() {
    let mut lab = Lab::new(10);
    let target: Vec<u32> = lab.labels.iter().map(|label| (label + 3) % 10).collect();
    lab.target = Some(target.clone());
    let mut weak = vec![];
    for entry in entries().filter(|entry| entry.targets) {
        let (steps, wanted) = target_budget(entry.name);
        let attack = attack(entry.name, &AttackOptions { targeted: true, steps: Some(steps), ..options() });
        let eps = radius(attack.ball) * 8.0;
        let run = lab.run(&attack, eps, 3, ADVERSARIAL);
        let classes = lab.classes(run.adversarial());
        let hits = classes.iter().zip(&target).filter(|(a, b)| a == b).count();
        assert_eq!(hits as f64 / 10.0, run.success(), "{}", entry.name);
        if hits < wanted {
            weak.push(format!("{}: {hits} of 10", entry.name));
        }
    }
    assert!(weak.is_empty(), "{weak:?}");
}

/// A whole attack is one submission, and its plans find what its stages find one by one.
#[test]
fn an_attack_on_a_device_is_one_submission_and_finds_the_same() {
    let lab = Lab::new(6);
    for device in [Device::Host, gpu()] {
        for attack in all(&AttackOptions { steps: Some(4), ..options() }) {
            let (name, eps) = (attack.name, radius(attack.ball));
            let reference = lab.run(&attack, eps, 7, ADVERSARIAL);
            let mut attacker = Attacker::new(attack, &lab.victim(), 6, false, 7, &device).unwrap();
            attacker.load(&lab.checkpoint(), Path::new("lab")).unwrap();
            let found = attacker.run(&lab.images_f32(), &lab.labels, None, eps, &mut |_| true).unwrap();
            assert_eq!(attacker.submissions(), 1, "{name}");
            let fooled: Vec<bool> = reference.memory[FOOLED].iter().map(|f| *f > 0.0).collect();
            let different = found.fooled.iter().zip(&fooled).filter(|(a, b)| a != b).count();
            assert!(different <= 1, "{name} on {}: {different} of 6 differ", device.describe());
            // A sign of a number near zero may fall differently in f32; what is gained by the whole attack may not.
            let margins = [f64s(&found.adversarial), reference.adversarial().to_vec()].map(|x| lab.margins(&x));
            // Where the network is sure, 1 − p(y) and with it the gradient of the cross-entropy is rounding in f32.
            let unsure = lab.margins(&lab.images).into_iter().map(|margin| margin > -9.0);
            for ((ours, exact), _) in margins[0].iter().zip(&margins[1]).zip(unsure).filter(|(_, unsure)| *unsure) {
                assert!(
                    (ours - exact).abs() < 0.25 + 0.1 * exact.abs(),
                    "{name} on {}: {ours}, {exact}",
                    device.describe()
                );
            }
        }
    }
}

/// One batch after another, with one image left over.
#[test]
fn any_number_of_images_is_attacked() {
    let lab = Lab::new(7);
    let mut attacker = Attacker::new(attack("bim", &quick()), &lab.victim(), 3, false, 1, &Device::Host).unwrap();
    attacker.load(&lab.checkpoint(), Path::new("lab")).unwrap();
    let (images, mut heard) = (lab.images_f32(), vec![]);
    let run = &mut |done| {
        heard.push(done);
        true
    };
    let all = attacker.run(&images, &lab.labels, None, 0.08, run).unwrap();
    assert_eq!((all.adversarial.len(), all.fooled.len()), (7 * ELEMS, 7));
    assert_eq!(heard, [3, 6, 7]);
    let one = attacker.run(&images[6 * ELEMS..], &lab.labels[6..], None, 0.08, &mut |_| true).unwrap();
    assert_eq!(one.adversarial, all.adversarial[6 * ELEMS..]);
    let stopped = attacker.run(&images, &lab.labels, None, 0.08, &mut |_| false).unwrap();
    assert_eq!(stopped.fooled.len(), 3);
}

/// Whoever watches hears of parts of a batch, and gets the same bits; where he says stop, whole batches are left.
#[test]
fn watching_changes_no_bit_and_stops_within_a_batch() {
    let lab = Lab::new(7);
    let images = lab.images_f32();
    for device in [Device::Host, gpu()] {
        for (name, restarts) in [("pgd", 3), ("eotpgd", 2), ("square", 1), ("cw2", 1)] {
            let o = AttackOptions { steps: Some(12), restarts: Some(restarts), ..options() };
            let mut attacker = Attacker::new(attack(name, &o), &lab.victim(), 3, false, 1, &device).unwrap();
            attacker.load(&lab.checkpoint(), Path::new("lab")).unwrap();
            let whole = attacker.run(&images, &lab.labels, None, 0.08, &mut |_| true).unwrap();
            assert_eq!(attacker.submissions(), 3, "{name}");

            attacker.rewind();
            let mut heard = vec![];
            let watch = &mut |images: f64| {
                heard.push(images);
                true
            };
            let watched = attacker.run_watched(&images, &lab.labels, None, 0.08, watch).unwrap();
            assert_eq!(watched, whole, "{name} on {}", device.describe());
            assert!(attacker.submissions() > 6 && heard.len() > 3, "{name}: {heard:?}");
            assert!(heard.windows(2).all(|w| w[0] < w[1]) && heard.last() == Some(&7.0), "{name}: {heard:?}");

            let mut attacker = Attacker::new(attack(name, &o), &lab.victim(), 3, false, 1, &device).unwrap();
            attacker.load(&lab.checkpoint(), Path::new("lab")).unwrap();
            let inside = attacker.run_watched(&images, &lab.labels, None, 0.08, &mut |_| false).unwrap();
            assert_eq!(inside.fooled.len(), 0, "{name}: stopped within the first batch");
            // The batch that was stopped is attacked again with its own random numbers.
            let again = attacker.run(&images, &lab.labels, None, 0.08, &mut |_| true).unwrap();
            assert_eq!(again, whole, "{name} on {}", device.describe());
        }
    }
}

/// Forty steps cost forty passes forward and backward, and one forward to look at the last example.
#[test]
fn passes_are_counted() {
    let lab = Lab::new(2);
    let passes = |o: &AttackOptions, name: &str| {
        Attacker::new(attack(name, o), &lab.victim(), 2, false, 1, &Device::Host).unwrap().passes()
    };
    let o = AttackOptions { steps: Some(40), ..options() };
    assert_eq!(passes(&o, "pgd"), (41, 40));
    assert_eq!(passes(&AttackOptions { keep: Keep::Last, ..o.clone() }, "pgd"), (40, 40));
    assert_eq!(passes(&AttackOptions { restarts: Some(3), ..o.clone() }, "pgd"), (123, 120));
    assert_eq!(passes(&o, "apgd-t"), (1 + 9 * 41, 9 * 41));
}

#[test]
fn what_makes_no_sense_is_refused() {
    let two = AttackOptions { classes: 2, ..options() };
    let says = |name: &str, o: AttackOptions, part: &str| {
        let message = named(name, &o).err().unwrap_or_else(|| panic!("{name}: {part}")).to_string();
        assert!(message.contains(part), "{message}");
    };
    says("apgd-dlr", two.clone(), "two classes: use margin");
    says("apgd-t", two.clone(), "four classes");
    says("pgd", AttackOptions { loss: Some(Loss::Dlr), ..two.clone() }, "use margin");
    says("pgd", AttackOptions { loss: Some(Loss::Bce), ..two.clone() }, "use ce");
    says("pgd", AttackOptions { loss: Some(Loss::Ce), classes: 1, ..options() }, "use bce");
    says("noise", AttackOptions { targeted: true, ..options() }, "knows no targets");
    says("pgd", AttackOptions { steps: Some(0), ..options() }, "must be at least 1");
    says("pgd", AttackOptions { alpha: Some(0.0), ..options() }, "must be above 0");

    let lab = Lab::new(2);
    let mut attacker = Attacker::new(attack("bim", &quick()), &lab.victim(), 2, false, 1, &Device::Host).unwrap();
    let mut refusal = |images: &[f32], labels: &[u32], eps: f64, part: &str| {
        let message = attacker.run(images, labels, None, eps, &mut |_| true).unwrap_err().to_string();
        assert!(message.contains(part), "{message}");
    };
    let images = lab.images_f32();
    refusal(&images[1..], &lab.labels, 0.1, "287 numbers for 2 images");
    refusal(&images, &lab.labels, f64::NAN, "must be a number");
    let outside: Vec<f32> = images.iter().map(|v| v * 3.0).collect();
    refusal(&outside, &lab.labels, 0.1, "outside of the box");
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
    let (x0, eps, alpha) = (graph.input("x0", [2, 3]), graph.input("eps", [1]), graph.input("alpha", [1]));
    let x = start(Norm::Inf, x0, eps, BOX, 6);
    let uphill = grad(x.square().sum_all(), &[x])[0];
    let moved = step(Norm::Inf, x, x0, uphill, alpha, eps, BOX);
    let through = grad(moved.square().sum_all(), &[x0, eps]);
    let feeds = Feeds::from([("x0".into(), vec![0.1; 6]), ("eps".into(), vec![0.1]), ("alpha".into(), vec![0.1])]);
    assert!(values(&through, &feeds).iter().flatten().all(|g| *g == 0.0));
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
