//! Training that withstands attacks: losses against their formulas, the weights that AWP moves, and what each defence is worth.

use crate::numeric::{Feeds, normals, value, values};
use crate::program::run;
use danskin::attack::{AttackOptions, named};
use danskin::autodiff::grad;
use danskin::data::DataSet;
use danskin::device::Device;
use danskin::graph::Graph;
use danskin::loss::classifier::mart;
use danskin::nn::{Init, Layout, Network, Scope, layers, network};
use danskin::philox::uniform_at;
use danskin::train::game::Adam;
use danskin::train::games::{Adversary, Classifier, Defence, Victim};
use danskin::train::{Attacker, Feed, Settings, Trainer};
use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

const SIDE: usize = 8;

/// Stripes somewhere under noise; upright ones are class 0, lying ones class 1. Their height is a good deal more than ε.
fn image(k: u64) -> Vec<u8> {
    let random = |i: u64| uniform_at(k, 0, 0, i);
    let wave = |i: u64| (1.5 * (if k % 2 == 1 { i / 8 } else { i % 8 }) as f64 + 6.3 * random(64)).sin();
    (0..64).map(|i| (128.0 + 127.0 * (0.6 * wave(i) + 0.6 * (random(i) - 0.5))).clamp(0.0, 255.0) as u8).collect()
}

fn data() -> DataSet {
    let labels = (0..2048).map(|k| (k % 2) as u32).collect();
    DataSet::from_images("stripes", (0..2048).flat_map(image).collect(), Some(labels), [SIDE, SIDE, 1]).unwrap()
}

fn net() -> Arc<dyn Network> {
    Arc::new(network(&[SIDE, SIDE, 1], &[2], 0, |scope, x, _, _| {
        let x = x.reshape([x.dim(0), SIDE * SIDE]);
        let hidden = layers::linear(&scope.child("hidden"), x, 64, Init::scaled(1.4, 64)).relu();
        layers::linear(&scope.child("logits"), hidden, 2, Init::scaled(1.0, 64))
    }))
}

fn classifier(defence: Defence) -> Trainer {
    let game = Classifier { defence, ..Classifier::new(net(), &[SIDE, SIDE, 1], 2, 32, Adam::new(3e-3, 0.9, 0.999)) };
    Trainer::new(Settings::of(game.game().unwrap()), Feed::from_set(data(), false), &Device::Host).unwrap()
}

/// (clean, robust) accuracy of what was trained.
fn accuracy(trainer: &mut Trainer, eps: f64) -> [f64; 2] {
    let options = AttackOptions { classes: 2, steps: Some(20), sample: vec![SIDE, SIDE, 1], ..Default::default() };
    let victim = Victim { network: net(), name: "C".into(), sample: vec![SIDE, SIDE, 1] };
    let mut attacker = Attacker::new(named("pgd", &options).unwrap(), &victim, 64, false, 3, &Device::Host).unwrap();
    attacker.load(&trainer.checkpoint().unwrap(), Path::new("memory")).unwrap();
    let images: Vec<f32> = (9000..9128).flat_map(image).map(|b| f32::from(b) / 127.5 - 1.0).collect();
    let images: Vec<f32> = images.into_iter().map(|v| v.clamp(-1.0, 1.0)).collect();
    let labels: Vec<u32> = (0..128).map(|k| k % 2).collect();
    [0.0, eps].map(|eps| {
        let found = attacker.run(&images, &labels, None, eps, &mut |_| true).unwrap();
        found.fooled.iter().filter(|fooled| !**fooled).count() as f64 / 128.0
    })
}

/// Every defence leaves more under attack than none, and still tells images apart.
#[test]
fn defended_classifiers_withstand_more() {
    let eps = 0.32;
    let adversary = || Adversary { eps, steps: 5, alpha: None };
    let trained = |defence: Defence| {
        let mut trainer = classifier(defence);
        (0..400).for_each(|_| trainer.iterate().unwrap());
        accuracy(&mut trainer, eps)
    };
    let [clean, none] = trained(Defence::None);
    assert!(clean > 0.95 && none < 0.4, "clean {clean}, attacked {none}");
    for (name, defence) in [
        ("pgd", Defence::Pgd(adversary())),
        ("fast", Defence::Fast(adversary())),
        ("trades", Defence::Trades(adversary(), 6.0)),
        ("mart", Defence::Mart(adversary(), 5.0)),
        ("free", Defence::Free { eps, replays: 4 }),
        ("awp", Defence::Awp(adversary(), 0.01)),
    ] {
        let [clean, robust] = trained(defence);
        assert!(clean > 0.85 && robust > 0.7, "{name}: clean {clean}, robust {robust}; undefended {none}");
    }
}

/// With a warm-up the radius begins at nothing: on the first batch nothing is moved, so that both accuracies are one.
#[test]
fn the_radius_of_a_defence_grows() {
    let defence = || Defence::Pgd(Adversary { eps: 0.32, steps: 3, alpha: None });
    let first = |warmup_kimg: f64| {
        let game = Classifier {
            defence: defence(),
            warmup_kimg,
            ..Classifier::new(net(), &[SIDE, SIDE, 1], 2, 32, Adam::new(3e-3, 0.9, 0.999))
        };
        let feed = Feed::from_set(data(), false);
        let mut trainer = Trainer::new(Settings::of(game.game().unwrap()), feed, &Device::Host).unwrap();
        let mut row = || {
            trainer.iterate().unwrap();
            ["accuracy", "robust_accuracy"].map(|name| trainer.latest(name).unwrap())
        };
        (row(), (0..120).map(|_| row()).last().unwrap())
    };
    let (grown, all) = (first(2.0), first(0.0));
    assert_eq!(grown.0[0], grown.0[1], "nothing is moved at first");
    assert!(all.0[0] > all.0[1], "without a warm-up the first batch is attacked");
    assert!(grown.1[0] > grown.1[1], "in the end it is attacked with one, too");
}

/// What training carries over from batch to batch is part of its checkpoints: a resumed run makes the same numbers.
#[test]
fn free_training_goes_on_exactly() {
    let free = || classifier(Defence::Free { eps: 0.2, replays: 3 });
    let mut unbroken = free();
    (0..6).for_each(|_| unbroken.iterate().unwrap());
    let mut first = free();
    (0..3).for_each(|_| first.iterate().unwrap());
    let half = first.checkpoint().unwrap();
    let delta = half.tensor("C.delta").expect("the change of the images is kept");
    assert!(matches!(&delta.data, danskin::train::checkpoint::Values::F32(v) if v.iter().any(|d| *d != 0.0)));
    let mut second = free();
    second.restore(&half, Path::new("half")).unwrap();
    (0..3).for_each(|_| second.iterate().unwrap());
    assert_eq!(second.checkpoint().unwrap(), unbroken.checkpoint().unwrap());
}

/// Three of four steps on one batch: each makes its own update.
#[test]
fn free_training_steps_as_often_as_it_replays() {
    let moved = |replays: u32| {
        let mut trainer = classifier(Defence::Free { eps: 0.2, replays });
        let before = trainer.checkpoint().unwrap();
        trainer.iterate().unwrap();
        let after = trainer.checkpoint().unwrap();
        let weights =
            |state: &danskin::train::checkpoint::Checkpoint| match &state.tensor("C.hidden.weight").unwrap().data {
                danskin::train::checkpoint::Values::F32(v) => v.clone(),
                other => panic!("{other:?}"),
            };
        let (a, b) = (weights(&before), weights(&after));
        a.iter().zip(&b).map(|(a, b)| f64::from((a - b).abs())).fold(0.0, f64::max)
    };
    // Adam's steps are about its rate long.
    let (one, four) = (moved(1), moved(4));
    assert!((0.0025..0.0031).contains(&one) && four > 2.0 * one, "{one} {four}");
}

/// MART by hand, in f64.
#[test]
fn mart_by_its_formula() {
    let (clean, attacked) = (normals(1, 15), normals(2, 15));
    let labels = [0usize, 4, 2];
    let softmax = |z: &[f64]| {
        let sum: f64 = z.iter().map(|z| z.exp()).sum();
        z.iter().map(|z| z.exp() / sum).collect::<Vec<f64>>()
    };
    let expected: Vec<f64> = (0..3)
        .map(|n| {
            let (p, q) = (softmax(&clean[5 * n..5 * n + 5]), softmax(&attacked[5 * n..5 * n + 5]));
            let wrong = (0..5).filter(|k| *k != labels[n]).map(|k| q[k]).fold(0.0, f64::max);
            let kl: f64 = p.iter().zip(&q).map(|(p, q)| p * (p / q).ln()).sum();
            -q[labels[n]].ln() - (1.0001 - wrong).ln() + 5.0 * kl * (1.0 - p[labels[n]])
        })
        .collect();
    let graph = Graph::new();
    let [a, b] = ["clean", "attacked"].map(|name| graph.input(name, [3, 5]));
    let loss = mart(a, b, graph.input("labels", [3]), 5.0);
    let feeds = Feeds::from([
        ("clean".into(), clean),
        ("attacked".into(), attacked),
        ("labels".into(), labels.map(|l| l as f64).to_vec()),
    ]);
    let got = value(loss, &feeds);
    assert!(got.iter().zip(&expected).all(|(a, b)| (a - b).abs() < 1e-12), "{got:?} {expected:?}");
}

/// The gradient through moved weights is the gradient at the place they are moved to, by the weights themselves.
#[test]
fn moved_weights_have_the_gradient_of_where_they_are() {
    let graph = Graph::new();
    let scope = Scope::new(&graph, "C");
    let x = graph.input("x", [3, 2]);
    let weight = |scope: &Scope<'_>| scope.param("weight", [2, 4], Init::Zeros, Layout::Linear).id();
    let loss = |id: usize| x.matmul(graph.tensor(id)).tanh().square().sum_all();
    let plain = loss(weight(&scope));
    let shift = graph.input("shift", [2, 4]);
    let moved = loss(weight(&scope.shifted(HashMap::from([("C.weight".to_owned(), shift)]))));
    let w = scope.param_tensors()[0];
    let gradients = [grad(plain, &[w])[0], grad(moved, &[w])[0]];
    let (weights, by) = (normals(3, 8), normals(4, 8));
    let feeds =
        |w: Vec<f64>| Feeds::from([("x".into(), normals(5, 6)), ("C.weight".into(), w), ("shift".into(), by.clone())]);
    let there: Vec<f64> = weights.iter().zip(&by).map(|(w, s)| w + s).collect();
    let through = values(&gradients, &feeds(weights)).remove(1);
    let at = values(&gradients, &feeds(there)).remove(0);
    assert!(through.iter().zip(&at).all(|(a, b)| (a - b).abs() < 1e-12), "{through:?} {at:?}");
}

/// A run that measures its checkpoints: the best one is kept and used, patience ends it, and what is refused.
#[test]
fn checkpoints_are_measured_and_the_best_is_kept() {
    let dir = tempfile::tempdir().unwrap();
    let small = "--set data.count=96 --set data.size=16 --set model.kind=lenet5 --batch 16 --set optim.kind=adam --set optim.lr=1e-3 \
                 --set optim.lr_schedule=cosine --set attack.eps=2/255 --set checkpoint.every_kimg=0.064 --set checkpoint.keep=1";
    let train = format!(
        "train classifier {small} --defence fast --kimg 0.32 --set validate.count=32 --set validate.steps=2 --device host --out run"
    );
    let output = run(dir.path(), &train);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    assert!(text.contains("32 images of another population") && text.contains("the best so far"), "{text}");
    let measured = std::fs::read_to_string(dir.path().join("run/metrics.jsonl")).unwrap();
    assert_eq!(measured.lines().filter(|line| line.contains("\"robust\":")).count(), 5, "{measured}");
    let best = std::fs::read_to_string(dir.path().join("run/checkpoints/best")).unwrap();
    assert!(dir.path().join("run/checkpoints").join(best).is_file());
    assert!(run(dir.path(), "eval run --checkpoint best --device host").status.success());
    // A rate at which nothing is learned: nothing gets better.
    let idle = format!(
        "train classifier {small} --kimg 3.2 --set optim.lr=1e-12 --set validate.count=16 --set validate.steps=1 --set validate.patience=2 \
         --device host --out idle"
    );
    let output = run(dir.path(), &idle);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success() && text.contains("stopped early"), "{text}");
    for (words, part) in [
        ("train classifier --defence trade --device host", "must be one of"),
        ("train classifier --defence pgd --set attack.eps=0 --device host --out new", "attack.eps 0: must be above 0"),
        (
            "train classifier --defence awp --set defence.gamma=0 --device host --out new",
            "defence.gamma 0: must be above 0",
        ),
    ] {
        let output = run(dir.path(), words);
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && text.contains(part), "{words}: {text}");
        assert!(!dir.path().join("new").exists());
    }
}
