//! What an attack must show to be believed (Carlini et al. 2019), for every attack of the catalogue, on a network that was trained: a
//! larger ball and more steps find no less, and without a bound nothing withstands.

use crate::attacks::{attack, options};
use crate::lab::Lab;
use danskin::attack::{ADVERSARIAL, AttackOptions, Ball, Listing, Norm, entries, named};

/// Steps (or queries) at which an attack does what it can: few, and several times as many.
fn budgets(entry: &Listing) -> [u32; 2] {
    match entry.name {
        "square" => [10, 150],
        "onepixel" | "pixle" => [2, 12],
        "jsma" | "sparsefool" => [2, 12],
        "spsa" => [2, 8],
        "cw2" | "ead" | "lbfgs" => [20, 60],
        _ => [3, 24],
    }
}

/// One step, whatever is asked for: more steps mean nothing, and no bound is reached by it.
const SINGLE: [&str; 4] = ["noise", "fgsm", "rfgsm", "ffgsm"];

fn success(lab: &Lab, entry: &Listing, steps: u32, eps: f64) -> f64 {
    let o = AttackOptions { steps: Some(steps), ..options() };
    lab.run(&attack(entry.name, &o), eps, 11, ADVERSARIAL).success()
}

fn ball(entry: &Listing) -> Ball {
    attack(entry.name, &options()).ball
}

/// One example of these few is chance.
const CHANCE: f64 = 1.01 / 12.0;

#[test]
fn a_larger_ball_holds_no_fewer_examples() {
    let lab = Lab::new(12);
    for entry in entries().filter(|entry| matches!(ball(entry), Ball::Radius(_))) {
        let radii = if ball(entry) == Ball::Radius(Norm::Two) { [0.3, 1.0, 3.0] } else { [0.03, 0.08, 0.25] };
        let found = radii.map(|eps| success(&lab, entry, budgets(entry)[1], eps));
        assert!(found.windows(2).all(|w| w[1] >= w[0] - CHANCE), "{}: {found:?}", entry.name);
    }
}

#[test]
fn more_steps_find_no_fewer_examples() {
    let lab = Lab::new(12);
    for entry in entries().filter(|entry| !SINGLE.contains(&entry.name)) {
        let found = budgets(entry).map(|steps| success(&lab, entry, steps, 0.08));
        assert!(found[1] >= found[0] - CHANCE, "{}: {found:?}", entry.name);
    }
}

/// With the whole box to move in, every attack that takes steps along gradients, and square, fools the network on every image.
#[test]
fn without_a_bound_nothing_withstands() {
    let lab = Lab::new(12);
    let partial = ["jsma", "onepixel", "pixle", "sparsefool", "tpgd", "upgd"];
    for entry in entries().filter(|entry| !SINGLE.contains(&entry.name) && !partial.contains(&entry.name)) {
        let steps = budgets(entry)[1].max(40);
        let found = success(&lab, entry, steps, 2.0);
        assert_eq!(found, 1.0, "{}", entry.name);
    }
}

/// Both norms, where an attack has both.
#[test]
fn the_euclidean_ball_grows_alike() {
    let lab = Lab::new(12);
    for entry in entries() {
        let o = AttackOptions { norm: Some(Norm::Two), steps: Some(20), ..options() };
        let Ok(attack) = named(entry.name, &o) else { continue };
        if attack.ball != Ball::Radius(Norm::Two) || SINGLE.contains(&entry.name) || entry.name == "square" {
            // Square has a schedule for its thousands of queries.
            continue;
        }
        // These raise a distance to the image's own prediction, or one loss of several in turn.
        let partial = ["tpgd", "upgd"].contains(&entry.name);
        let found = [0.3, 1.0, 12.0].map(|eps| lab.run(&attack, eps, 2, ADVERSARIAL).success());
        assert!(
            found[1] >= found[0] - CHANCE && found[2] >= found[1] - CHANCE && (partial || found[2] > 0.9),
            "{}: {found:?}",
            entry.name
        );
    }
}
