//! Attacks that start anew: every one that draws random numbers may, and keeps the best example of all its starts.

use crate::attacks::{attack, options, sizes};
use crate::lab::Lab;
use crate::primitives::gpu;
use danskin::attack::{ADVERSARIAL, AttackOptions, Ball, FOOLED, Norm, entries, named};
use danskin::device::Device;
use danskin::train::Attacker;
use std::path::Path;

/// Steps (or queries) of attacks that are too short to find everything at once.
fn short(name: &str) -> u32 {
    match name {
        "square" | "onepixel" | "pixle" => 12,
        "spsa" | "pgd-rs" | "eotpgd" => 2,
        // What they draw is heard of from the second step on.
        "vmifgsm" | "vnifgsm" => 5,
        _ => 3,
    }
}

fn with(name: &str, restarts: u32) -> AttackOptions {
    AttackOptions { steps: Some(short(name)), restarts: Some(restarts), ..options() }
}

/// A radius at which a short attack leaves some examples standing.
const EPS: f64 = 0.05;

/// What draws may start anew and what draws nothing may not: by the graphs of its stages, not by its word.
#[test]
fn what_draws_may_start_anew_and_nothing_else() {
    let lab = Lab::new(2);
    for entry in entries() {
        let restarted = named(entry.name, &with(entry.name, 3));
        match restarted {
            Ok(attack) => {
                assert!(lab.draws(&attack), "{} draws nothing", entry.name);
                assert!(attack.restarts == 3 || attack.times % 3 == 0, "{} does not start anew", entry.name);
            }
            Err(e) => {
                let once = attack(entry.name, &with(entry.name, 1));
                assert!(!lab.draws(&once), "{} draws, and may not start anew", entry.name);
                let said = e.to_string();
                assert!(
                    said.contains(entry.name) && said.contains("restarts 3") && said.contains("leave it out"),
                    "{said}"
                );
            }
        }
    }
}

/// Restarts find all that one run finds, where nothing was found an example of no lower score, and all together more.
#[test]
fn restarts_never_leave_more_standing_than_one_run() {
    let lab = Lab::new(16);
    let mut gained = vec![];
    for entry in entries().filter(|entry| entry.draws) {
        let [once, several] =
            [1, 4].map(|restarts| lab.run(&attack(entry.name, &with(entry.name, restarts)), EPS, 3, ADVERSARIAL));
        let worse = |name: &str| {
            let pairs = once.memory[name].iter().zip(&several.memory[name]);
            pairs.filter(|(before, after)| after < before).count()
        };
        assert_eq!(worse(FOOLED), 0, "{}", entry.name);
        let standing = |k: &usize| several.memory[FOOLED][*k] == 0.0;
        let lower = |k: &usize| several.memory["score"][*k] < once.memory["score"][*k];
        assert_eq!((0..16).filter(standing).filter(lower).count(), 0, "{}", entry.name);
        gained.push((entry.name, several.success() - once.success()));
        // The same numbers in every start would be one run.
        if let Ball::Radius(_) = attack(entry.name, &options()).ball {
            assert!(several.adversarial() != once.adversarial(), "{}: restarts change nothing", entry.name);
        }
    }
    println!("{gained:?}");
    assert!(gained.iter().filter(|(_, more)| *more > 0.0).count() >= 6, "{gained:?}");
}

/// Of attacks that look for the smallest change, the size of no example grows, and the first search is the one without restarts.
#[test]
fn restarts_never_make_the_smallest_change_larger() {
    let lab = Lab::new(32);
    for (name, norm, eps) in
        [("fab", Norm::Inf, 0.1), ("fab", Norm::Two, 1.0), ("fab-t", Norm::Inf, 0.1), ("fab-t", Norm::Two, 1.0)]
    {
        let size = |restarts: u32| {
            let o = AttackOptions { steps: Some(30), norm: Some(norm), restarts: Some(restarts), ..options() };
            let run = lab.run(&attack(name, &o), eps, 5, ADVERSARIAL);
            assert_eq!(run.success(), 1.0, "{name}");
            sizes(norm, run.adversarial(), &lab.images)
        };
        let (once, several) = (size(1), size(4));
        assert!(
            once.iter().zip(&several).all(|(a, b)| *b <= a * (1.0 + 1e-9)),
            "{name} {norm:?}: {once:?} {several:?}"
        );
        assert!(
            once.iter().zip(&several).any(|(a, b)| *b < a * (1.0 - 1e-6)),
            "{name} {norm:?}: restarts change nothing"
        );
    }
}

/// A loop of steps inside the restarts, on devices as stage by stage, in one submission.
#[test]
fn nested_loops_on_a_device_are_those_of_their_stages() {
    let lab = Lab::new(4);
    for device in [Device::Host, gpu()] {
        for name in ["eotpgd", "vnifgsm", "pixle", "fab-t", "square"] {
            let nested = attack(name, &AttackOptions { steps: Some(2), ..with(name, 2) });
            let reference = lab.run(&nested, EPS, 7, ADVERSARIAL);
            let mut attacker = Attacker::new(nested, &lab.victim(), 4, false, 7, &device).unwrap();
            attacker.load(&lab.checkpoint(), Path::new("lab")).unwrap();
            let found = attacker.run(&lab.images_f32(), &lab.labels, None, EPS, &mut |_| true).unwrap();
            assert_eq!(attacker.submissions(), 1, "{name}");
            let far = found.adversarial.iter().zip(reference.adversarial());
            let far = far.filter(|(a, b)| (f64::from(**a) - **b).abs() > 1e-3).count() as f64;
            // A sign at a number of nearly 0 turns by rounding.
            assert!(far < 0.02 * found.adversarial.len() as f64, "{name} on {}: {far} elements", device.describe());
        }
    }
}
