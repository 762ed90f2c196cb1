//! What an attack must show to be believed (Carlini et al. 2019), for every attack of the catalogue, on a network that was trained: a
//! larger ball and more steps find no less, nothing is found at no distance, and without a bound nothing withstands.

use crate::attacks::{attack, options, sizes};
use crate::lab::Lab;
use danskin::attack::{ADVERSARIAL, Attack, AttackOptions, Ball, FOOLED, Listing, Norm, entries, named};

/// Steps (or queries) at which an attack does what it can: few, and several times as many.
fn budgets(entry: &Listing) -> [u32; 2] {
    match entry.name {
        "square" => [10, 150],
        "onepixel" | "pixle" => [2, 12],
        "jsma" | "sparsefool" => [2, 12],
        "spsa" => [2, 8],
        "cw2" | "ead" | "ead-l1" | "lbfgs" => [20, 60],
        _ => [3, 24],
    }
}

/// One step, whatever is asked for, or none: more steps mean nothing, and nobody can promise that one arrives, see [`one_step_gains`].
const SINGLE: [&str; 4] = ["noise", "fgsm", "rfgsm", "ffgsm"];

fn several() -> impl Iterator<Item = &'static Listing> {
    entries().filter(|entry| !SINGLE.contains(&entry.name))
}

fn steps(steps: u32) -> AttackOptions {
    AttackOptions { steps: Some(steps), ..options() }
}

/// Share of the examples that are fooled within the radius, by the attack's own norm.
fn share(lab: &Lab, attack: &Attack, eps: f64) -> f64 {
    let run = lab.run(attack, eps, 11, ADVERSARIAL);
    let Ball::Smallest(norm) = attack.ball else { return run.success() };
    let fooled = sizes(norm, run.adversarial(), &lab.images).into_iter().zip(&run.memory[FOOLED]);
    let count = fooled.clone().filter(|(size, fooled)| **fooled > 0.0 && *size <= eps * (1.0 + 1e-9)).count();
    count as f64 / fooled.count() as f64
}

fn success(lab: &Lab, entry: &Listing, number: u32, eps: f64) -> f64 {
    share(lab, &attack(entry.name, &steps(number)), eps)
}

fn ball(entry: &Listing) -> Ball {
    attack(entry.name, &options()).ball
}

/// One example of these few is chance.
const CHANCE: f64 = 1.01 / 12.0;

/// Small, middling and large radii of a norm.
fn radii(norm: Norm) -> [f64; 3] {
    match norm {
        Norm::Two => [0.3, 1.0, 3.0],
        Norm::Inf => [0.03, 0.08, 0.25],
    }
}

#[test]
fn a_larger_ball_holds_no_fewer_examples() {
    let lab = Lab::new(12);
    for entry in entries() {
        // Pixels are changed at will.
        let Some(norm) = ball(entry).norm() else { continue };
        let found = radii(norm).map(|eps| success(&lab, entry, budgets(entry)[1], eps));
        assert!(found.windows(2).all(|w| w[1] >= w[0] - CHANCE), "{}: {found:?}", entry.name);
        assert!(found[2] > found[0] || found[0] == 1.0 || entry.name == "noise", "{}: {found:?}", entry.name);
    }
}

#[test]
fn more_steps_find_no_fewer_examples() {
    let lab = Lab::new(12);
    for entry in several() {
        let eps = ball(entry).norm().map_or(0.0, |norm| radii(norm)[1]);
        let found = budgets(entry).map(|number| success(&lab, entry, number, eps));
        assert!(found[1] >= found[0] - CHANCE, "{}: {found:?}", entry.name);
    }
}

/// Balls of no radius are in `attacks::a_radius_of_zero_changes_nothing`; here, what looks for the smallest change.
#[test]
fn at_no_distance_nothing_is_found() {
    let lab = Lab::new(4);
    for entry in entries().filter(|entry| matches!(ball(entry), Ball::Smallest(_))) {
        assert_eq!(success(&lab, entry, budgets(entry)[1], 0.0), 0.0, "{}", entry.name);
    }
}

/// What an attack needs to fool the network on every image when nothing but the box bounds it.
fn unbounded(entry: &Listing) -> AttackOptions {
    let enough = steps(budgets(entry)[1].max(40));
    match entry.name {
        // Away from what the network says of the image is also where it is surer of it, and there the divergence is bounded: which way a
        // start goes is chance.
        "tpgd" => AttackOptions { restarts: Some(8), ..enough },
        "onepixel" => AttackOptions { pixels: Some(24), ..steps(400) },
        "sparsefool" => steps(12),
        _ => enough,
    }
}

/// With the whole box to move in, every attack that takes more than one step fools the network on every image.
#[test]
fn without_a_bound_nothing_withstands() {
    let lab = Lab::new(12);
    for entry in several() {
        let most = match ball(entry) {
            Ball::Smallest(Norm::Two) => 24.0,
            _ => 2.0,
        };
        let found = share(&lab, &attack(entry.name, &unbounded(entry)), most);
        assert_eq!(found, 1.0, "{}", entry.name);
    }
}

/// A single step goes beyond where its gradient means anything when the ball is large. But it fools more than noise of its radius,
/// wherever noise leaves something, and at one radius most.
#[test]
fn one_step_gains() {
    let lab = Lab::new(12);
    let found = |name: &str| [0.03, 0.08, 0.25].map(|eps| share(&lab, &attack(name, &options()), eps));
    let noise = found("noise");
    for name in &SINGLE[1..] {
        let one = found(name);
        assert!(
            one.iter().zip(&noise).all(|(one, noise)| one >= noise) && one[1] > noise[1],
            "{name}: {one:?}, noise {noise:?}"
        );
        assert!(one[2] > 0.6, "{name}: {one:?}");
    }
}

/// Both norms, where an attack has both.
#[test]
fn the_euclidean_ball_grows_alike() {
    let lab = Lab::new(12);
    let mut seen = 0;
    for entry in several() {
        let number = if entry.name == "spsa" { 40 } else { 20 };
        let restarts = (entry.name == "tpgd").then_some(8);
        let o = AttackOptions { norm: Some(Norm::Two), restarts, ..steps(number) };
        let Ok(attack) = named(entry.name, &o) else { continue };
        if attack.ball != Ball::Radius(Norm::Two) || entry.name == "square" {
            // Square has a schedule for its thousands of queries.
            continue;
        }
        seen += 1;
        let found = [0.3, 1.0, 12.0].map(|eps| {
            let run = lab.run(&attack, eps, 2, ADVERSARIAL);
            let most = sizes(Norm::Two, run.adversarial(), &lab.images).into_iter().fold(0.0, f64::max);
            assert!(most <= eps * (1.0 + 1e-9), "{} goes {most} far", entry.name);
            run.success()
        });
        println!("{}: {found:?}", entry.name);
        assert!(
            found[1] >= found[0] - CHANCE && found[2] >= found[1] - CHANCE && found[2] > 0.9,
            "{}: {found:?}",
            entry.name
        );
    }
    assert!(seen >= 17, "only {seen} attacks know the Euclidean ball");
}
