//! Attacks that look for the smallest change: what independent implementations find on the same network
//! (`tests/goldens/attacks.py`), and the rules they share.

use crate::attacks::{attack, options, sizes};
use crate::goldens::load;
use crate::lab::{ELEMS, Lab, Run};
use crate::numeric::{Feeds, normals, value};
use crate::primitives::gpu;
use danskin::attack::{ADVERSARIAL, AttackOptions, Bounds, FOOLED, Norm, to_boundary};
use danskin::device::Device;
use danskin::graph::Graph;
use danskin::train::Attacker;
use std::collections::HashMap;
use std::path::Path;

const NAMES: [&str; 9] = ["deepfool", "cw2", "ead", "ead-l1", "lbfgs", "fab", "fab-t", "ddn", "fmn"];

fn steps(steps: u32) -> AttackOptions {
    AttackOptions { steps: Some(steps), ..options() }
}

fn in_norm(norm: Norm, o: AttackOptions) -> AttackOptions {
    AttackOptions { norm: Some(norm), ..o }
}

/// Runs an attack that ignores the radius.
fn run(lab: &Lab, name: &str, o: &AttackOptions) -> Run {
    lab.run(&attack(name, o), 0.0, 0, ADVERSARIAL)
}

/// A laboratory whose targets are three classes on, as in the goldens.
fn targeted(count: usize) -> Lab {
    let mut lab = Lab::new(count);
    lab.target = Some(lab.labels.iter().map(|label| (label + 3) % 10).collect());
    lab
}

fn median(mut sizes: Vec<f64>) -> f64 {
    sizes.sort_by(f64::total_cmp);
    (sizes[sizes.len() / 2] + sizes[(sizes.len() - 1) / 2]) / 2.0
}

/// Deterministic attacks, end point by end point, in f64.
#[test]
fn the_smallest_changes_are_those_of_an_independent_implementation() {
    let golden = load("attacks_minimal");
    for (name, ours, o, tolerance) in [
        // The file holds f32; foolbox keeps c and ddn's radius in f32 and adds 1e-8 to lengths that are divided by.
        ("deepfool", "deepfool", options(), 1e-6),
        ("cw2", "cw2", steps(40), 1e-5),
        ("cw2 targeted", "cw2", steps(40), 1e-5),
        ("ead", "ead", steps(40), 1e-5),
        ("ead-l1", "ead-l1", steps(40), 1e-5),
        ("ddn", "ddn", steps(30), 1e-6),
        ("ddn targeted", "ddn", steps(30), 1e-6),
        ("fmn-inf", "fmn", in_norm(Norm::Inf, steps(30)), 1e-6),
        ("fmn-2", "fmn", in_norm(Norm::Two, steps(30)), 1e-6),
    ] {
        let (shape, expected) = golden.array(name);
        let aims = name.ends_with("targeted");
        let lab = if aims { targeted(shape[0]) } else { Lab::new(shape[0]) };
        let run = run(&lab, ours, &AttackOptions { targeted: aims, ..o });
        let error = run.adversarial().iter().zip(expected).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
        println!("{name}: {error:e} away, {} fooled", run.success());
        assert!(error < tolerance, "{name}: {error:e} away");
    }
}

/// Changes are no larger than those that others find, in the median and the mean: by a share where the procedures are not the same.
#[test]
fn changes_are_no_larger_than_elsewhere() {
    let golden = load("attacks_minimal");
    for (name, ours, o, slack) in [
        // The library lengthens every step, this one as published their sum.
        ("deepfool", "deepfool", options(), 0.005),
        // The library does not search for c.
        ("cw2", "cw2", steps(50), 0.0),
        // The library does not project.
        ("fmn-2", "fmn", in_norm(Norm::Two, steps(100)), 0.0),
        // The library has no final search.
        ("fab-inf", "fab-t", in_norm(Norm::Inf, steps(50)), 0.0),
        ("fab-2", "fab-t", in_norm(Norm::Two, steps(50)), 0.0),
        // Another L-BFGS.
        ("lbfgs", "lbfgs", options(), 0.0),
    ] {
        let expected = golden.array(&format!("{name} size")).1.clone();
        let lab = Lab::new(expected.len());
        let found = run(&lab, ours, &o);
        assert_eq!(found.success(), 1.0, "{name}");
        let norm = o.norm.unwrap_or(Norm::Two);
        let size = sizes(norm, found.adversarial(), &lab.images);
        let mean = |sizes: &[f64]| sizes.iter().sum::<f64>() / sizes.len() as f64;
        // Within a radius: as many, but for one that lies at its border.
        let radius = 1.001 * median(expected.clone());
        let within = |sizes: &[f64]| sizes.iter().filter(|size| **size <= radius).count();
        let (our_count, their_count) = (within(&size), within(&expected));
        assert!(our_count + 1 >= their_count, "{name}: {our_count} within {radius}, and {their_count} elsewhere");
        let (our_mean, their_mean) = (mean(&size), mean(&expected));
        let (ours, theirs) = (median(size), median(expected));
        println!("{name}: median {ours:.4} and {theirs:.4} elsewhere, mean {our_mean:.4} and {their_mean:.4}");
        assert!(ours <= theirs * (1.0 + slack), "{name}: median {ours}, and {theirs} elsewhere");
        assert!(our_mean <= their_mean * (1.0 + slack), "{name}: mean {our_mean}, and {their_mean} elsewhere");
    }
}

/// Untargeted FAB and the authors' code on the same images with the same steps, alone and with two restarts.
#[test]
fn fab_finds_no_larger_changes_than_its_authors_code() {
    let golden = load("attacks_fab");
    let mut means = HashMap::new();
    for (name, norm, restarts, eps) in [
        ("inf", Norm::Inf, 1, 0.1),
        ("2", Norm::Two, 1, 1.0),
        ("inf restarts", Norm::Inf, 3, 0.1),
        ("2 restarts", Norm::Two, 3, 1.0),
    ] {
        let expected = golden.array(&format!("{name} size")).1.clone();
        let lab = Lab::new(expected.len());
        let o = AttackOptions { restarts: Some(restarts), ..in_norm(norm, steps(50)) };
        let found = lab.run(&attack("fab", &o), eps, 0, ADVERSARIAL);
        assert_eq!(found.success(), 1.0, "{name}");
        let size = sizes(norm, found.adversarial(), &lab.images);
        let mean = |sizes: &[f64]| sizes.iter().sum::<f64>() / sizes.len() as f64;
        let (our_mean, their_mean) = (mean(&size), mean(&expected));
        let (ours, theirs) = (median(size), median(expected));
        println!("fab {name}: median {ours:.4} and {theirs:.4} elsewhere, mean {our_mean:.4} and {their_mean:.4}");
        let before = means.insert(norm, our_mean);
        assert!(before.is_none_or(|once| our_mean < 0.999 * once), "{name}: restarts find nothing");
        // Random starts are other ones.
        let slack = if restarts > 1 { 1.01 } else { 1.0 };
        assert!(
            ours <= theirs * slack && our_mean <= their_mean * slack,
            "{name}: {ours} {theirs} {our_mean} {their_mean}"
        );
    }
}

/// What the model gets wrong already is left as it is, and counts as found.
#[test]
fn misclassified_images_are_left_alone() {
    let mut lab = Lab::new(4);
    lab.labels[1] = (lab.labels[1] + 1) % 10;
    for name in NAMES {
        let run = run(&lab, name, &steps(8));
        assert_eq!(run.memory[FOOLED][1], 1.0, "{name}");
        assert_eq!(run.adversarial()[ELEMS..2 * ELEMS], lab.images[ELEMS..2 * ELEMS], "{name}");
    }
}

/// Where nothing was found the image stays; what was found only ever gets smaller.
#[test]
fn the_best_change_only_shrinks() {
    let lab = Lab::new(4);
    for name in NAMES {
        let attack = attack(name, &steps(12));
        // The elastic net is not a length.
        let Some(norm) = attack.ball.norm().filter(|_| !name.starts_with("ead")) else { continue };
        let path = lab.run(&attack, 0.0, 0, ADVERSARIAL).path;
        let mut known = [f64::INFINITY; 4];
        for point in path {
            for (known, size) in known.iter_mut().zip(sizes(norm, &point, &lab.images)) {
                assert!(
                    size == 0.0 && known.is_infinite() || size > 0.0 && size <= *known,
                    "{name}: {size} after {known}"
                );
                if size > 0.0 {
                    *known = size;
                }
            }
        }
    }
    // Too short an attack finds nothing.
    let nothing = run(&lab, "cw2", &steps(1));
    assert_eq!((nothing.success(), nothing.adversarial()), (0.0, lab.images.as_slice()));
}

/// More steps find smaller changes.
#[test]
fn more_steps_find_smaller_changes() {
    let lab = Lab::new(12);
    for (name, few, many) in
        [("cw2", 25, 80), ("lbfgs", 15, 60), ("fab", 5, 40), ("fab-t", 5, 40), ("ddn", 15, 100), ("fmn", 15, 100)]
    {
        let size = |n: u32| {
            let attack = attack(name, &steps(n));
            let run = lab.run(&attack, 0.0, 0, ADVERSARIAL);
            assert_eq!(run.success(), 1.0, "{name} of {n} steps");
            median(sizes(attack.ball.norm().unwrap(), run.adversarial(), &lab.images))
        };
        let (short, long) = (size(few), size(many));
        assert!(long <= short, "{name}: {short} in {few} steps, {long} in {many}");
    }
}

/// On devices, in f32 and in one submission, as much is found as in f64, and changes are as small.
#[test]
fn rounding_makes_changes_no_larger() {
    let lab = Lab::new(8);
    for device in [Device::Host, gpu()] {
        for name in NAMES {
            let attack = attack(name, &steps(40));
            let norm = attack.ball.norm().unwrap();
            let reference = lab.run(&attack, 0.0, 0, ADVERSARIAL);
            let mut attacker = Attacker::new(attack, &lab.victim(), 8, false, 0, &device).unwrap();
            attacker.load(&lab.checkpoint(), Path::new("lab")).unwrap();
            let found = attacker.run(&lab.images_f32(), &lab.labels, None, 0.0, &mut |_| true).unwrap();
            assert_eq!(attacker.submissions(), 1, "{name}");
            let fooled: Vec<bool> = reference.memory[FOOLED].iter().map(|fooled| *fooled > 0.0).collect();
            assert_eq!(found.fooled, fooled, "{name} on {}", device.describe());
            let ours: Vec<f64> = found.adversarial.iter().map(|v| f64::from(*v)).collect();
            let [ours, exact] = [&ours, reference.adversarial()].map(|x| median(sizes(norm, x, &lab.images)));
            println!("{name} on {}: {ours:.5}, {exact:.5} in f64", device.describe());
            assert!((ours - exact).abs() <= 0.02 * exact, "{name} on {}: {ours}, {exact} in f64", device.describe());
        }
    }
}

#[test]
fn a_model_of_one_logit_is_refused() {
    for name in NAMES {
        let message =
            danskin::attack::named(name, &AttackOptions { classes: 1, ..options() }).err().unwrap().to_string();
        assert!(message.contains("no classes"), "{message}");
    }
}

/// The change along a ray of this length, limited by the box, and what it covers of `missing`.
fn along(norm: Norm, x: &[f64], slope: &[f64], way: f64) -> (Vec<f64>, f64) {
    let ray = |w: f64| if norm == Norm::Inf { w.signum() * f64::from(u8::from(w != 0.0)) } else { w };
    let change = x.iter().zip(slope).map(|(x, w)| (x + way * ray(*w)).clamp(-1.0, 1.0) - x);
    let change: Vec<f64> = change.collect();
    let covered = change.iter().zip(slope).map(|(c, w)| c * w).sum();
    (change, covered)
}

/// The way to the linearised boundary against two hundred bisections, for images with elements on the faces of the box, elements without slope,
/// boundaries on either side, near and far, and one that the box does not reach.
#[test]
fn the_way_to_the_boundary_is_the_shortest_in_the_box() {
    const SIZE: usize = 300;
    for norm in [Norm::Inf, Norm::Two] {
        for (case, share) in [0.0, 0.001, 0.1, 0.5, 0.9, 0.999, -0.3, 1.5].into_iter().enumerate() {
            let x: Vec<f64> = normals(case as u32, SIZE).into_iter().map(|v| v.clamp(-1.0, 1.0)).collect();
            let mut slope: Vec<f64> = normals(40 + case as u32, SIZE).into_iter().map(|v| 1e-3 * v * v * v).collect();
            slope[7] = 0.0;
            let sign = if share < 0.0 { -1.0 } else { 1.0 };
            let toward: Vec<f64> = slope.iter().map(|w| w * sign).collect();
            let farthest = along(norm, &x, &toward, 1e12).1;
            let missing = farthest * share;

            let (mut low, mut high) = (0.0, 1e12);
            for _ in 0..200 {
                let middle = 0.5 * (low + high);
                let covered = along(norm, &x, &toward, middle).1;
                *(if covered < missing.abs() { &mut low } else { &mut high }) = middle;
            }
            let expected = along(norm, &x, &toward, high).0;
            let graph = Graph::new();
            let [at, w] = ["x", "slope"].map(|name| graph.input(name, [1, SIZE]));
            let change = to_boundary(norm, at, w, graph.input("missing", [1, 1]), Bounds::IMAGE);
            let feeds = Feeds::from([("x".into(), x), ("slope".into(), slope), ("missing".into(), vec![missing])]);
            let error = value(change, &feeds).iter().zip(&expected).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
            println!("{norm:?} {share}: {error:e}");
            assert!(error < 1e-6, "{norm:?}, {share} of the way: {error:e} away");
        }
    }
}
