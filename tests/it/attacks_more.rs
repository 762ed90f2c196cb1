//! The families of attacks beside the plain gradient: those that transfer, those that only ask, those that change few pixels.

use crate::attacks::{attack, options, sizes};
use crate::goldens::load;
use crate::lab::{ELEMS, Lab};
use crate::primitives::gpu;
use danskin::attack::{ADVERSARIAL, AttackOptions, FOOLED, Keep, Norm, named};
use danskin::device::Device;
use danskin::train::Attacker;
use std::path::Path;

fn steps(steps: u32) -> AttackOptions {
    AttackOptions { steps: Some(steps), ..options() }
}

fn euclidean(o: AttackOptions) -> AttackOptions {
    AttackOptions { norm: Some(Norm::Two), ..o }
}

/// Elements of each example that differ from the image.
fn changed(adversarial: &[f64], images: &[f64]) -> Vec<usize> {
    let pairs = adversarial.chunks(ELEMS).zip(images.chunks(ELEMS));
    pairs.map(|(a, b)| a.iter().zip(b).filter(|(a, b)| (*a - *b).abs() > 1e-9).count()).collect()
}

#[test]
fn transfer_paths_are_those_of_an_independent_implementation() {
    let golden = load("attacks_transfer");
    for name in ["nifgsm", "sinifgsm", "tifgsm", "upgd"] {
        let (shape, expected) = golden.array(name);
        let lab = Lab::new(shape[0]);
        let o = AttackOptions { keep: Keep::Last, alpha: Some(0.04), ..steps(6) };
        let run = lab.run(&attack(name, &o), 0.2, 0, ADVERSARIAL);
        let error = run.adversarial().iter().zip(expected).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
        // The file holds f32.
        assert!(error < 2e-7, "{name}: {error:e} away");
    }
}

/// Success at equal budgets is that of independent implementations, or higher, up to one example. What is below it here by less was
/// measured over more seeds: tpgd .4491 over 200 (elsewhere .4498 ± .0039 over 200), eotpgd .8216 over 60 (.8228 ± .0004 over 600), onepixel .889
/// over 8 (.865 over 8). sparsefool leaves one example of 64: it goes on from its last point, as published; the library starts from the image each time.
#[test]
fn success_of_the_families_is_that_of_an_independent_implementation() {
    let lab = Lab::new(64);
    let mut weaker = vec![];
    for (family, name, o, seeds) in [
        ("transfer", "nifgsm", steps(10), 1),
        ("transfer", "sinifgsm", steps(10), 1),
        ("transfer", "vmifgsm", steps(10), 2),
        ("transfer", "vnifgsm", steps(10), 2),
        ("transfer", "difgsm", steps(10), 20),
        ("transfer", "tifgsm", steps(10), 1),
        ("transfer", "tpgd", steps(10), 20),
        ("transfer", "eotpgd", steps(10), 2),
        ("transfer", "upgd", steps(10), 1),
        ("transfer", "jitter", steps(10), 20),
        ("transfer", "pgd-rs", steps(10), 20),
        ("query", "square", steps(200), 10),
        ("query", "spsa", steps(5), 2),
        ("query", "onepixel", steps(660), 3),
        ("query", "pixle", steps(200), 2),
        ("sparse", "sparsefool", steps(10), 1),
    ] {
        let expected = load(&format!("attacks_{family}")).array(&format!("{name} success")).1[0];
        let attack = attack(name, &o);
        let runs = (0..seeds).map(|seed| lab.run(&attack, 0.08, seed, ADVERSARIAL).success());
        let mean = runs.sum::<f64>() / seeds as f64;
        println!("{name}: {mean} of the examples, and {expected} elsewhere");
        if mean < expected - 1.0 / 64.0 {
            weaker.push(format!("{name}: {mean} of the examples, and {expected} elsewhere"));
        }
    }
    assert!(weaker.is_empty(), "{weaker:#?}");
}

/// jsma sets the same elements, in the examples that reach the class; it sets them to white, two at a time.
#[test]
fn a_saliency_map_chooses_the_elements_of_an_independent_implementation() {
    let golden = load("attacks_sparse");
    let (shape, expected) = golden.array("jsma");
    let mut lab = Lab::new(64);
    let target: Vec<u32> = lab.labels.iter().map(|label| (label + 1) % 10).collect();
    lab.target = Some(target.clone());
    let run = lab.run(&attack("jsma", &AttackOptions { targeted: true, ..options() }), 0.0, 0, ADVERSARIAL);
    let share = golden.array("jsma success").1[0];
    assert!(run.success() >= share, "{} reach the class, {share} elsewhere", run.success());
    let classes = lab.classes(run.adversarial());
    let mut compared = 0;
    for i in (0..shape[0]).filter(|&i| classes[i] == target[i]) {
        let row = i * ELEMS..(i + 1) * ELEMS;
        let far = run.adversarial()[row.clone()].iter().zip(&expected[row]).any(|(a, b)| (a - b).abs() > 2e-7);
        assert!(!far, "example {i} is another");
        compared += 1;
    }
    assert!(compared > shape[0] / 2, "only {compared} reach the class");
    let pixels = run.adversarial().iter().zip(&lab.images).filter(|(a, b)| a != b);
    assert!(pixels.clone().all(|(a, _)| *a == 1.0));
    assert!(changed(run.adversarial(), &lab.images).iter().all(|n| n % 2 == 0 && *n <= 16));
}

#[test]
fn sparse_attacks_change_few_pixels() {
    let lab = Lab::new(32);
    let one = lab.run(&attack("onepixel", &steps(60)), 0.0, 1, ADVERSARIAL);
    assert!(changed(one.adversarial(), &lab.images).iter().all(|n| *n <= 1));

    let sparse = lab.run(&attack("sparsefool", &steps(10)), 0.0, 1, ADVERSARIAL);
    let pixels = changed(sparse.adversarial(), &lab.images).into_iter().zip(&sparse.memory[FOOLED]);
    let pixels: Vec<usize> = pixels.filter(|(_, fooled)| **fooled > 0.0).map(|(pixels, _)| pixels).collect();
    assert!(pixels.iter().all(|n| *n > 0));
    let mean = pixels.iter().sum::<usize>() as f64 / pixels.len() as f64;
    let expected = load("attacks_sparse").array("sparsefool pixels").1[0];
    println!("sparsefool changes {mean} pixels, {expected} elsewhere");
    assert!(mean <= expected * 1.1, "{mean} pixels, and {expected} elsewhere");

    // Every pixel of pixle's examples is one of the image's.
    let moved = lab.run(&attack("pixle", &steps(60)), 0.0, 1, ADVERSARIAL);
    for (example, image) in moved.adversarial().chunks(ELEMS).zip(lab.images.chunks(ELEMS)) {
        assert!(example.iter().all(|a| image.contains(a)));
    }
    assert!(moved.success() > 0.5, "{}", moved.success());
}

/// Differential evolution beats as many random pixels: its children are fitter than its founders.
#[test]
fn a_population_evolves() {
    let lab = Lab::new(24);
    let attack = attack("onepixel", &steps(240));
    let run = lab.run(&attack, 0.0, 2, "fitness");
    let mean = |fitness: &[f64]| fitness.iter().sum::<f64>() / fitness.len() as f64;
    // Eight individuals: everyone has been looked at once after eight queries.
    let (founders, last) = (&run.path[8], run.path.last().unwrap());
    assert!(run.path[7].iter().any(|f| *f == -1e30) && founders.iter().all(|f| *f > -1e30));
    assert!(mean(last) > mean(founders) + 0.1, "{} and {}", mean(founders), mean(last));
}

/// Square starts with stripes, stays on the border of its ball, and what it keeps has no smaller margin than what it had.
#[test]
fn square_searches_the_border_of_the_ball() {
    let lab = Lab::new(16);
    let eps = 0.08;
    let start = lab.run(&attack("square", &steps(1)), eps, 4, ADVERSARIAL);
    for (i, (a, x)) in start.adversarial().iter().zip(&lab.images).enumerate() {
        let (first, above) = (i % ELEMS < 12, i.wrapping_sub(12));
        let sign = |at: usize| start.adversarial()[at] > lab.images[at];
        let free = (a - x).abs() > eps - 1e-9;
        assert!(free || a.abs() == 1.0, "element {i}");
        if !first && free && (start.adversarial()[above] - lab.images[above]).abs() > eps - 1e-9 {
            assert_eq!(sign(i), sign(above), "element {i} is in no stripe");
        }
    }

    let run = lab.run(&attack("square", &steps(120)), eps, 4, "score");
    for pair in run.path.windows(2) {
        assert!(pair[0].iter().zip(&pair[1]).all(|(before, after)| after >= before));
    }
    assert!(run.adversarial().iter().zip(&lab.images).all(|(a, x)| (a - x).abs() > eps - 1e-9 || a.abs() == 1.0));
    let [few, many] = [10, 200].map(|n| lab.run(&attack("square", &steps(n)), eps, 4, ADVERSARIAL).success());
    assert!(many > few, "{few} of the examples after 10 queries, {many} after 200");
}

/// Euclidean squares use the whole radius where the box lets them, and find more than noise of that length.
#[test]
fn euclidean_squares_use_the_radius() {
    let lab = Lab::new(32);
    for n in [1, 40] {
        let run = lab.run(&attack("square", &euclidean(steps(n))), 1.0, 4, "score");
        let lengths = sizes(Norm::Two, run.adversarial(), &lab.images);
        assert!(lengths.iter().all(|l| (0.8..=1.0 + 1e-12).contains(l)), "{lengths:?}");
        for pair in run.path.windows(2) {
            assert!(pair[0].iter().zip(&pair[1]).all(|(before, after)| after >= before));
        }
    }
    let success = |name: &str, o: &AttackOptions| lab.run(&attack(name, o), 1.0, 4, ADVERSARIAL).success();
    let noise = success("noise", &euclidean(options()));
    let square = success("square", &euclidean(steps(300)));
    let pgd = success("pgd", &euclidean(steps(20)));
    println!("euclidean: noise {noise}, square {square}, pgd {pgd}");
    assert!(noise < square && square <= pgd, "{noise} {square} {pgd}");
}

/// A resized copy is another look: the path of difgsm is not that of plain steps, and differs from seed to seed.
#[test]
fn copies_are_drawn_anew() {
    let lab = Lab::new(8);
    let o = AttackOptions { keep: Keep::Last, alpha: Some(0.02), ..steps(4) };
    let path = |name: &str, seed| lab.run(&attack(name, &o), 0.08, seed, ADVERSARIAL).adversarial().to_vec();
    assert_ne!(path("difgsm", 1), path("difgsm", 2));
    assert_ne!(path("difgsm", 1), path("bim", 1));
    assert_ne!(path("tifgsm", 1), path("bim", 1));
    // Of a model that draws nothing, twenty looks say what one says.
    assert_eq!(path("eotpgd", 1), path("pgd", 1));
}

#[test]
fn passes_of_the_families_are_counted() {
    let lab = Lab::new(2);
    let passes = |o: &AttackOptions, name: &str| {
        Attacker::new(attack(name, o), &lab.victim(), 2, false, 1, &Device::Host).unwrap().passes()
    };
    assert_eq!(passes(&steps(10), "nifgsm"), (21, 10));
    assert_eq!(passes(&steps(10), "tifgsm"), (11, 10));
    assert_eq!(passes(&steps(3), "vmifgsm"), (3 * 21 + 1, 3 * 21));
    for name in ["square", "onepixel"] {
        assert_eq!(passes(&steps(40), name), (40, 0), "{name}");
    }
    assert_eq!(passes(&steps(40), "pixle"), (41, 0));
    assert_eq!(passes(&steps(2), "spsa"), (2 * (2 * 128 + 1), 0));
}

#[test]
fn families_refuse_what_makes_no_sense() {
    let says = |name: &str, o: AttackOptions, part: &str| {
        let message = named(name, &o).err().unwrap_or_else(|| panic!("{name}: {part}")).to_string();
        assert!(message.contains(part), "{message}");
    };
    says("difgsm", AttackOptions { sample: vec![144], ..options() }, "for images");
    says("square", AttackOptions { sample: vec![144], ..options() }, "for images");
    says("jsma", AttackOptions { classes: 1, ..options() }, "tell classes apart");
    says("tpgd", AttackOptions { targeted: true, ..options() }, "knows no targets");
}

/// Tiles of six axes, windows and looked-up bumps come out the same on a device.
#[test]
fn euclidean_squares_on_a_device_are_those_of_their_stages() {
    let lab = Lab::new(4);
    let square = attack("square", &euclidean(steps(6)));
    let reference = lab.run(&square, 1.0, 7, ADVERSARIAL);
    let mut attacker = Attacker::new(square, &lab.victim(), 4, false, 7, &gpu()).unwrap();
    attacker.load(&lab.checkpoint(), Path::new("lab")).unwrap();
    let found = attacker.run(&lab.images_f32(), &lab.labels, None, 1.0, &mut |_| true).unwrap();
    let far = found.adversarial.iter().zip(reference.adversarial());
    let far = far.map(|(a, b)| (f64::from(*a) - b).abs()).fold(0.0, f64::max);
    assert!(far < 1e-4, "{far} away");
}
