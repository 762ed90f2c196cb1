//! Adversaries inside a GAN's step: each against its formula in f64, what the discriminator makes of it, what it costs, and as runs.

use crate::config::with;
use crate::numeric::{Feeds, RNG, dot, normals};
use crate::primitives::gpu;
use crate::program::{done, run};
use crate::sequential_runs::{newest, refused};
use crate::training::{config, trainer};
use danskin::attack::{AttackOptions, named};
use danskin::config::Config;
use danskin::data::{Source, Spec};
use danskin::device::Device;
use danskin::graph::Op;
use danskin::host::eval;
use danskin::loss::GanLoss;
use danskin::nn::layers::linear;
use danskin::nn::{Init, Network, network};
use danskin::optim::Schedule;
use danskin::train::checkpoint::{Checkpoint, Values};
use danskin::train::game::{Adam, Average};
use danskin::train::games::{Ascent, Gan, GanAdversary, GanAugment, On};
use danskin::train::{Attacker, Judge, Measurement};
use std::path::Path;
use std::sync::Arc;

/// Rows of a batch, numbers of an image, numbers of a latent.
const N: usize = 3;
const E: usize = 4;
const Z: usize = 2;
const EPS: f64 = 0.3;
const ALPHA: f64 = 0.2;
const WALK: Ascent = Ascent { steps: 2, eps: EPS, alpha: ALPHA };

/// D(x) = ½(w·x)², whose gradient (w·x)·w has another sign from row to row.
fn bowl() -> Arc<dyn Network> {
    Arc::new(network(&[2, 2, 1], &[1], 0, |scope, x, _, _| {
        linear(scope, x.reshape([x.dim(0), E]), 1, Init::Zeros).square().scale(0.5)
    }))
}

/// So many linear logits.
fn plane(logits: usize) -> Arc<dyn Network> {
    Arc::new(network(&[2, 2, 1], &[logits], 0, move |scope, x, _, _| {
        linear(scope, x.reshape([x.dim(0), E]), logits, Init::Zeros)
    }))
}

/// A linear generator.
fn gan(discriminator: Arc<dyn Network>, adversary: GanAdversary, classes: usize) -> Gan {
    let generator = network(&[Z], &[2, 2, 1], classes, |scope, z, _, _| {
        linear(scope, z, E, Init::Zeros).reshape([z.dim(0), 2, 2, 1])
    });
    Gan {
        generator: Arc::new(generator),
        discriminator: Some(discriminator),
        sample: vec![2, 2, 1],
        latent: Z,
        classes,
        batch: N,
        accumulate: 1,
        loss: GanLoss::Ns,
        r1: None,
        r2: None,
        gp: None,
        n_critic: 1,
        penalty_every: 1,
        adversary,
        augment: GanAugment::Off,
        optimiser_g: Adam::new(1e-3, 0.5, 0.999).into(),
        optimiser_d: Adam::new(1e-3, 0.5, 0.999).into(),
        average: Average { half_life_kimg: Schedule::Constant(0.0), ramp: 0.0 },
    }
}

/// What a phase makes of these numbers, in f64.
fn made(gan: &Gan, phase: &str, feeds: &Feeds) -> Feeds {
    let graphs = gan.game().graphs(false).unwrap();
    let built = graphs.into_iter().find(|built| built.name == phase).unwrap_or_else(|| panic!("no phase {phase}"));
    eval::<f64>(&built.dag, feeds, RNG).unwrap()
}

/// Reals in the box, fakes and latents that leave it, points of the ball around each, weights.
fn feeds() -> Feeds {
    let real: Vec<f64> = normals(1, N * E).iter().map(|v| v.clamp(-1.0, 1.0)).collect();
    let (fake, z) = (normals(2, N * E), normals(3, N * Z));
    let near = |x: &[f64], stream| -> Vec<f64> {
        x.iter().zip(normals(stream, x.len())).map(|(x, v)| x + EPS * v.clamp(-1.0, 1.0)).collect()
    };
    Feeds::from([
        ("shared/x_adv".into(), near(&real, 4).iter().map(|v| v.clamp(-1.0, 1.0)).collect()),
        ("shared/fake_adv".into(), near(&fake, 5)),
        ("shared/z_adv".into(), near(&z, 6)),
        ("D.delta".into(), near(&[0.0; N * E], 7)),
        ("real".into(), real),
        ("shared/fake".into(), fake),
        ("shared/z".into(), z),
        ("real.labels".into(), vec![1.0, 0.0, 1.0]),
        ("D.weight".into(), normals(8, E)),
        ("G.weight".into(), normals(9, Z * E)),
        ("scalar/attack_eps".into(), vec![EPS]),
        ("scalar/attack_alpha".into(), vec![ALPHA]),
        ("scalar/alr_weight".into(), vec![10.0]),
    ])
}

fn close(what: &str, got: &[f64], want: &[f64]) {
    assert_eq!(got.len(), want.len(), "{what}");
    let off = got.iter().zip(want).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
    assert!(off < 1e-9, "{what}: {off} off, {got:?} {want:?}");
}

/// ∇D of each row under [`bowl`].
fn slope(x: &[f64], w: &[f64]) -> Vec<f64> {
    x.chunks(E).flat_map(|row| w.iter().map(|w_i| dot(row, w) * w_i).collect::<Vec<_>>()).collect()
}

/// The step by hand: along the sign of `up`, into the ball around `x0`, and no further out of the box than `x0` is.
fn stepped(x: &[f64], x0: &[f64], up: &[f64], boxed: bool) -> Vec<f64> {
    let step = |i: usize| {
        let ball = x0[i] + (x[i] + ALPHA * up[i].signum() - x0[i]).clamp(-EPS, EPS);
        if boxed { ball.clamp(x0[i].min(-1.0), x0[i].max(1.0)) } else { ball }
    };
    (0..x.len()).map(step).collect()
}

/// Reals go where D(x) falls, fakes where it rises, each within its ball and its box.
#[test]
fn pgd_by_hand() {
    let feeds = feeds();
    let made = made(&gan(bowl(), GanAdversary::Pgd(On::Both, WALK), 0), "attack_step", &feeds);
    let (w, x, fake) = (&feeds["D.weight"], &feeds["shared/x_adv"], &feeds["shared/fake_adv"]);
    let down: Vec<f64> = slope(x, w).iter().map(|g| -g).collect();
    close("reals", &made["shared/x_adv"], &stepped(x, &feeds["real"], &down, true));
    close("fakes", &made["shared/fake_adv"], &stepped(fake, &feeds["shared/fake"], &slope(fake, w), true));
    let mean = |x: &[f64]| x.chunks(E).map(|row| 0.5 * dot(row, w).powi(2)).sum::<f64>() / N as f64;
    close("losses", &[made["log/attack_loss"][0], made["log/attack_fake_loss"][0]], &[-mean(x), mean(fake)]);
    assert_eq!((made["log/attack_frozen"][0], made["log/attack_fake_frozen"][0]), (0.0, 0.0));
}

/// Latents go where D(G(z)) rises; they know no box. The start is a point of the ball around what the step draws.
#[test]
fn pgd_on_latents_by_hand() {
    let (feeds, gan) = (feeds(), gan(bowl(), GanAdversary::Pgd(On::Latents, WALK), 0));
    let (w, g, z) = (&feeds["D.weight"], &feeds["G.weight"], &feeds["shared/z_adv"]);
    let along: Vec<f64> = g.chunks(E).map(|row| dot(row, w)).collect();
    let up: Vec<f64> = z.chunks(Z).flat_map(|z| along.iter().map(|a| dot(z, &along) * a).collect::<Vec<_>>()).collect();
    let step = made(&gan, "attack_step", &feeds);
    close("latents", &step["shared/z_adv"], &stepped(z, &feeds["shared/z"], &up, false));
    let start = made(&gan, "attack_start", &feeds);
    let moved = start["shared/z"].iter().zip(&start["shared/z_adv"]).map(|(a, b)| (a - b).abs());
    assert!(moved.clone().all(|d| d <= EPS) && moved.sum::<f64>() > 0.1);
}

/// One step of Euclidean length ε for each example by itself, and nothing outside of the box that was inside.
#[test]
fn direct_adversarial_training_by_hand() {
    let feeds = feeds();
    let adversary = GanAdversary::Dat { on: On::Both, eps: EPS };
    let made = made(&gan(bowl(), adversary, 0), "attack_step", &feeds);
    for (name, clean, sign) in [("x_adv", "real", -1.0), ("fake_adv", "shared/fake", 1.0)] {
        let (x, w) = (&feeds[clean], &feeds["D.weight"]);
        let step = |(i, x): (usize, &f64)| {
            let row = &slope(&feeds[clean], w)[i / E * E..i / E * E + E];
            let moved = x + sign * EPS * row[i % E] / dot(row, row).sqrt();
            moved.clamp(x.min(-1.0), x.max(1.0))
        };
        let want: Vec<f64> = x.iter().enumerate().map(step).collect();
        close(name, &made[&format!("shared/{name}")], &want);
    }
}

/// The change follows the sign of −∇D at the reals that were seen, within ±ε; the weights' gradient is that of the plain step there.
#[test]
fn free_training_by_hand() {
    let feeds = feeds();
    let free = made(&gan(bowl(), GanAdversary::Free { eps: EPS, replays: 2 }, 0), "d", &feeds);
    let seen: Vec<f64> = feeds["real"].iter().zip(&feeds["D.delta"]).map(|(x, d)| (x + d).clamp(-1.0, 1.0)).collect();
    let up = slope(&seen, &feeds["D.weight"]);
    let want: Vec<f64> =
        feeds["D.delta"].iter().zip(up).map(|(d, g)| (d - EPS * g.signum()).clamp(-EPS, EPS)).collect();
    close("delta", &free["state/D.delta"], &want);
    let plain = made(&gan(bowl(), GanAdversary::Off, 0), "d", &there(&feeds, &[("real", seen)]));
    close("gradient", &free["grad/D.weight"], &plain["grad/D.weight"]);
    close("loss", &free["log/d_loss"], &plain["log/d_loss"]);
}

/// Feeds with some of them replaced.
fn there(feeds: &Feeds, with: &[(&str, Vec<f64>)]) -> Feeds {
    let mut feeds = feeds.clone();
    feeds.extend(with.iter().map(|(name, values)| (name.to_string(), values.clone())));
    feeds
}

/// What was moved is a constant: the discriminator's step is the plain one on other images.
#[test]
fn the_discriminator_learns_from_what_was_moved() {
    let feeds = feeds();
    let gradient = |adversary, feeds: &Feeds| made(&gan(bowl(), adversary, 0), "d", feeds)["grad/D.weight"].clone();
    let images = [("real", feeds["shared/x_adv"].clone()), ("shared/fake", feeds["shared/fake_adv"].clone())];
    let plain = gradient(GanAdversary::Off, &there(&feeds, &images));
    for adversary in [GanAdversary::Pgd(On::Both, WALK), GanAdversary::Dat { on: On::Both, eps: EPS }] {
        close("both", &gradient(adversary, &feeds), &plain);
    }
    let (z, g) = (&feeds["shared/z_adv"], &feeds["G.weight"]);
    let fakes = z.chunks(Z).flat_map(|z| (0..E).map(|e| z[0] * g[e] + z[1] * g[E + e]).collect::<Vec<_>>()).collect();
    let plain = gradient(GanAdversary::Off, &there(&feeds, &[("shared/fake", fakes)]));
    close("latents", &gradient(GanAdversary::Pgd(On::Latents, WALK), &feeds), &plain);
}

/// Rob-GAN with a linear network: the attack on both heads, the discriminator's losses and gradients, the generator's.
#[test]
fn robgan_by_hand() {
    let (feeds, gan) =
        (there(&feeds(), &[("D.weight", normals(10, 3 * E))]), gan(plane(3), GanAdversary::RobGan(WALK), 2));
    let column = |k: usize| -> Vec<f64> { (0..E).map(|e| feeds["D.weight"][3 * e + k]).collect() };
    let (a, c) = (column(0), [column(1), column(2)]);
    let sigmoid = |v: f64| 1.0 / (1.0 + (-v).exp());
    let softplus = |v: f64| (1.0 + v.exp()).ln();
    // p − e of the classes of a row.
    let wrong = |row: &[f64], label: f64| {
        let p = [0, 1].map(|k| sigmoid(dot(row, &c[k]) - dot(row, &c[1 - k])));
        [0, 1].map(|k| p[k] - f64::from(u8::from(label == k as f64)))
    };
    let labels = &feeds["real.labels"];
    let x = &feeds["shared/x_adv"];
    let up = |(row, label): (&[f64], &f64)| -> Vec<f64> {
        let (e, s) = (wrong(row, *label), sigmoid(-dot(row, &a)));
        (0..E).map(|i| -s * a[i] + e[0] * c[0][i] + e[1] * c[1][i]).collect()
    };
    let up: Vec<f64> = x.chunks(E).zip(labels).flat_map(up).collect();
    close("attack", &made(&gan, "attack_step", &feeds)["shared/x_adv"], &stepped(x, &feeds["real"], &up, true));
    close("start", &made(&gan, "attack_start", &feeds)["shared/x_adv"], &feeds["real"]);

    let d = made(&gan, "d", &feeds);
    let fake = &feeds["shared/fake"];
    let mean = |values: Vec<f64>| values.iter().sum::<f64>() / N as f64;
    let source = mean(x.chunks(E).map(|x| softplus(-dot(x, &a))).collect())
        + mean(fake.chunks(E).map(|f| softplus(dot(f, &a))).collect());
    let truth = |(row, label): (&[f64], &f64)| -(1.0 + wrong(row, *label)[*label as usize]).ln();
    close("d_loss", &d["log/d_loss"], &[source]);
    close("class_loss", &d["log/class_loss"], &[mean(x.chunks(E).zip(labels).map(truth).collect())]);
    let mut want = vec![0.0; 3 * E];
    for n in 0..N {
        let (x, f) = (&x[n * E..n * E + E], &fake[n * E..n * E + E]);
        let e = wrong(x, labels[n]);
        for i in 0..E {
            want[3 * i] += (-sigmoid(-dot(x, &a)) * x[i] + sigmoid(dot(f, &a)) * f[i]) / N as f64;
            (0..2).for_each(|k| want[3 * i + 1 + k] += e[k] * x[i] / N as f64);
        }
    }
    close("gradient", &d["grad/D.weight"], &want);

    let g = made(&gan, "g", &feeds);
    let own = &g["shared/fake"];
    let told = mean(own.chunks(E).zip(labels).map(truth).collect());
    close("g_class_loss", &g["log/g_class_loss"], &[told]);
    close("g_loss", &g["log/g_loss"], &[mean(own.chunks(E).map(|f| softplus(-dot(f, &a))).collect())]);
}

/// A plane of slope ‖w‖ is that steep in the direction that one power step finds, from everywhere and over every length.
#[test]
fn lipschitz_regularisation_of_a_plane() {
    let feeds = there(&feeds(), &[("D.weight", normals(8, E).iter().map(|w| 2.0 * w).collect())]);
    for on in [On::Reals, On::Fakes, On::Both] {
        let alr = gan(plane(1), GanAdversary::Alr { on, weight: 10.0 }, 0);
        let [steep, plain] = [&alr, &gan(plane(1), GanAdversary::Off, 0)].map(|gan| made(gan, "d", &feeds));
        let w = &feeds["D.weight"];
        let length = dot(w, w).sqrt();
        assert!(length > 1.1, "{length}");
        close("slope", &steep["log/attack_loss"], &[length]);
        close("penalty", &steep["log/alr"], &[10.0 * (length - 1.0).powi(2)]);
        let slope = |w: &f64| 20.0 * (length - 1.0) * w / length;
        let want: Vec<f64> = plain["grad/D.weight"].iter().zip(w).map(|(g, w)| g + slope(w)).collect();
        close("gradient", &steep["grad/D.weight"], &want);
        // A flat one is left alone, and one without any slope is no division by zero.
        for share in [0.5 / length, 0.0] {
            let flat = there(&feeds, &[("D.weight", w.iter().map(|w| w * share).collect())]);
            let made = made(&alr, "d", &flat);
            assert_eq!(made["log/alr"], [0.0]);
            assert_eq!(made["log/attack_frozen"], [f64::from(u8::from(share == 0.0))]);
            assert!(made["grad/D.weight"].iter().all(|g| g.is_finite()));
        }
    }
}

/// What is said of the cost is what the graphs hold: products with D's weight, or for its gradient.
#[test]
fn passes_are_counted_as_they_are() {
    let (both, reals) = (On::Both, On::Reals);
    for adversary in [
        GanAdversary::Off,
        GanAdversary::Pgd(reals, WALK),
        GanAdversary::Pgd(both, WALK),
        GanAdversary::Dat { on: both, eps: EPS },
        GanAdversary::Dat { on: reals, eps: EPS },
        GanAdversary::Alr { on: both, weight: 10.0 },
        GanAdversary::Alr { on: reals, weight: 10.0 },
    ] {
        let game = gan(bowl(), adversary, 0).game();
        let mut passes = 0;
        for phase in game.phases.iter().filter(|phase| phase.name != "g") {
            let built = game.build(&phase.name, &phase.build, N, false).unwrap();
            let products = built.dag.nodes.iter().filter(|node| matches!(node.op, Op::MatMul { .. })).count();
            passes += products as u64 * u64::from(phase.repeat);
        }
        assert_eq!(passes, adversary.passes(), "{adversary:?}");
    }
    assert_eq!(GanAdversary::Free { eps: EPS, replays: 2 }.passes(), 8);
}

const TINY: &[&str] = &[
    "model.z=8",
    "model.g_width=4",
    "model.d_width=4",
    "train.batch=4",
    "data.count=32",
    "data.label=glasses",
    "log.every_steps=8",
];

/// Every kind, with and without a generator's step of its own.
const KINDS: &[&[&str]] = &[
    &["adversary.kind=pgd", "adversary.eps=4/255"],
    &["adversary.kind=pgd", "adversary.on=both", "adversary.steps=2"],
    &["adversary.kind=pgd", "adversary.on=both", "adversary.steps=2", "loss.kind=rpgan"],
    &["adversary.kind=pgd", "adversary.on=fakes", "adversary.steps=2", "loss.kind=hinge", "loss.n_critic=2"],
    &["adversary.kind=pgd", "adversary.on=latents", "adversary.steps=2"],
    &["adversary.kind=pgd", "adversary.on=latents", "adversary.steps=2", "loss.kind=rpgan"],
    &["adversary.kind=free"],
    &["adversary.kind=free", "loss.kind=rpgan", "adversary.replays=3"],
    &["adversary.kind=free", "model.d_norm=false", "loss.r1_gamma=1", "loss.penalty_every=2"],
    &["adversary.kind=robgan", "model.classes=6"],
    &["adversary.kind=dat"],
    &["adversary.kind=dat", "loss.kind=rpgan", "model.classes=6"],
    &["adversary.kind=alr", "model.d_norm=false"],
    &["adversary.kind=alr", "model.d_norm=false", "loss.kind=wgan", "loss.gp_lambda=1"],
];

fn of(set: &[&str]) -> Config {
    let config = config("faces32", &[TINY, set].concat());
    config.validate().unwrap();
    config
}

/// One submission per iteration, finite numbers, a loss and a share of frozen examples in the log.
#[test]
fn every_kind_trains_in_one_submission() {
    for (number, set) in KINDS.iter().enumerate() {
        // A software driver is slow: one of each form.
        let devices = if [1, 7, 9, 12].contains(&number) { vec![Device::Host, gpu()] } else { vec![Device::Host] };
        for device in devices {
            let mut trainer = trainer(&of(set), &device);
            (0..2).for_each(|_| trainer.iterate().unwrap());
            let before = trainer.counters();
            (0..4).for_each(|_| trainer.iterate().unwrap());
            let after = trainer.counters();
            assert_eq!(after.submissions - before.submissions, 4, "{set:?}");
            assert_eq!((after.buffers, after.pipelines), (before.buffers, before.pipelines), "{set:?}");
            let name = if set.contains(&"adversary.on=fakes") { "attack_fake" } else { "attack" };
            let frozen = trainer.latest(&format!("{name}_frozen")).unwrap();
            assert!((0.0..=1.0).contains(&frozen) && trainer.latest(&format!("{name}_loss")).unwrap().is_finite());
            trainer.begin_log().unwrap();
            let rows = trainer.take_log(true).unwrap().unwrap().rows;
            for name in ["d_loss", "g_loss", "d_grad_norm", "g_grad_norm"] {
                let column = trainer.log_names().iter().position(|n| n == name).unwrap();
                assert!(rows.iter().all(|row| row.values[column].is_finite()), "{set:?} {name}");
            }
        }
    }
}

fn floats<'a>(state: &'a Checkpoint, name: &str) -> &'a [f32] {
    match &state.tensor(name).unwrap_or_else(|| panic!("no {name}")).data {
        Values::F32(values) => values,
        Values::U32(_) => panic!("{name} holds whole numbers"),
    }
}

/// The change that is carried on is part of a checkpoint, stays in its ball, and a resumed run makes the same numbers. Who starts from the
/// weights of a run starts it anew.
#[test]
fn free_training_goes_on_exactly() {
    let config = of(&["adversary.kind=free", "adversary.eps=2/255"]);
    let fresh = || trainer(&config, &Device::Host);
    let mut unbroken = fresh();
    (0..6).for_each(|_| unbroken.iterate().unwrap());
    let mut first = fresh();
    (0..3).for_each(|_| first.iterate().unwrap());
    let half = first.checkpoint().unwrap();
    let (delta, eps) = (floats(&half, "D.delta"), (4.0f64 / 255.0) as f32);
    assert!(delta.iter().all(|d| d.abs() <= eps) && delta.iter().any(|d| *d != 0.0));
    let mut second = fresh();
    second.restore(&half, Path::new("half")).unwrap();
    (0..3).for_each(|_| second.iterate().unwrap());
    assert_eq!(second.checkpoint().unwrap(), unbroken.checkpoint().unwrap());

    let mut plain = trainer(&of(&[]), &Device::Host);
    plain.iterate().unwrap();
    let plain = plain.checkpoint().unwrap();
    let mut begun = fresh();
    begun.init_from(&plain, Path::new("plain")).unwrap();
    let begun = begun.checkpoint().unwrap();
    assert!(floats(&begun, "D.delta").iter().all(|d| *d == 0.0));
    assert_eq!(floats(&begun, "D.main.0.weight"), floats(&plain, "D.main.0.weight"));
}

/// `attack.*` means what it always did: PGD on the reals, bit for bit, under either name.
#[test]
fn the_attack_of_old_is_pgd_on_reals() {
    let state = |set: &[&str]| {
        let mut trainer = trainer(&of(set), &Device::Host);
        (0..2).for_each(|_| trainer.iterate().unwrap());
        trainer.checkpoint().unwrap().tensors
    };
    let old = state(&["attack.steps=2", "attack.eps=8/255"]);
    for set in [
        &["adversary.kind=pgd", "attack.steps=2", "attack.eps=8/255"][..],
        &["adversary.kind=pgd", "adversary.steps=2", "adversary.eps=8/255", "adversary.on=reals"],
    ] {
        assert_eq!(state(set), old);
    }
    assert_ne!(state(&[]), old);
}

/// Preset, settings, the sentence that refuses them.
#[test]
fn what_does_not_go_together_is_refused() {
    for (preset, set, sentence) in [
        (
            "faces32",
            "adversary.kind=robgan",
            "command line: model.classes 0: must be at least 2 with adversary.kind \"robgan\": name the number of classes, and \
             data.label a factor of the built-in faces",
        ),
        (
            "faces32",
            "adversary.kind=alr",
            "command line: adversary.kind \"alr\": does not go with model.d_norm true: the penalty is on each sample's own slope, \
             and batch norm couples samples",
        ),
        (
            "ring8",
            "adversary.kind=free",
            "command line: adversary.kind \"free\": does not go with data.source \"ring8\": it changes pixels; in the plane there \
             are alr, and pgd on latents",
        ),
        (
            "faces32",
            "adversary.kind=dat adversary.on=latents",
            "command line: adversary.on \"latents\": does not go with adversary.kind \"dat\": only pgd changes latents",
        ),
        (
            "faces32",
            "adversary.kind=free adversary.on=both",
            "command line: adversary.on \"both\": does not go with adversary.kind \"free\": it changes reals alone",
        ),
        (
            "faces32",
            "adversary.kind=free attack.steps=2",
            "command line: adversary.kind \"free\": does not go with attack.steps 2: that is PGD on the reals, and there is one \
             adversary at a time: leave one of the two out",
        ),
        (
            "classifier",
            "adversary.kind=pgd",
            "command line: adversary.kind \"pgd\": does not go with train.task \"classifier\": it takes part in the steps of a GAN; a \
             classifier has --defence",
        ),
        ("faces32", "adversary.kind=pgd adversary.eps=0", "command line: adversary.eps 0.0: must be above 0"),
        (
            "faces32",
            "adversary.kind=fgsm",
            "command line: adversary.kind \"fgsm\": must be one of off, pgd, free, robgan, dat, alr",
        ),
    ] {
        let set: Vec<_> = set.split(' ').collect();
        let message = Config::load(&with(preset, &set)).unwrap_err().to_string();
        assert_eq!(message, sentence, "{preset} {set:?}");
    }
    for (preset, set) in [("ring8", "adversary.kind=alr"), ("ring8", "adversary.kind=pgd adversary.on=latents")] {
        let set: Vec<_> = set.split(' ').collect();
        Config::load(&with(preset, &set)).unwrap();
    }
    for (set, sentence) in [
        (
            "adversary.kind=pgd adversary.steps=2 adversary.eps=8/255 adversary.alpha=1/255",
            "command line: adversary.alpha \"1/255\": leaves 2 steps of 0.00784313725490196 in a ball of 0.06274509803921569: the attack \
             can't reach its edge",
        ),
        ("adversary.eps=8/255", "command line: adversary.eps \"8/255\": is read only where adversary.kind names one"),
        (
            "adversary.kind=pgd attack.steps=4 attack.eps=8/255 attack.alpha=1/255",
            "command line: attack.alpha \"1/255\": times attack.steps is below attack.eps: the attack can't reach the edge of its ball",
        ),
        ("adversary.kind=free", ""),
    ] {
        let set: Vec<_> = set.split(' ').collect();
        let (_, warnings) = Config::load(&with("faces32", &set)).unwrap();
        let expected: Vec<_> = [sentence].into_iter().filter(|s| !s.is_empty()).collect();
        assert_eq!(warnings, expected, "{set:?}");
    }
}

/// A discriminator as a list of layers: for Rob-GAN it ends in one logit and those of the classes, for a penalty on slopes it has no batch
/// norm.
#[test]
fn lists_of_layers_under_an_adversary() {
    let lists = |d: &str, set: &[&str]| {
        let g = "model.g={ layers = [{ type = 'embedding', classes = 6, dim = 4 }, { type = 'linear', out = 192 }, \
                 { type = 'reshape', shape = [3, 8, 8] }, { type = 'tanh' }] }";
        let d = format!("model.d={{ layers = [{d}] }}");
        let base = ["model.kind=sequential", "data.size=8", "model.z=5", "data.count=16", "train.batch=4", g, &d];
        let faces = ["data.label=glasses"];
        config("faces32", &[&base, &faces[..], set].concat())
    };
    let sentence = |config: &Config| danskin::train::games::of(config).err().unwrap().to_string();
    let heads = "{ type = 'flatten' }, { type = 'linear', out = 7 }";
    let robgan = lists(heads, &["adversary.kind=robgan"]);
    let mut run = trainer(&robgan, &Device::Host);
    (0..2).for_each(|_| run.iterate().unwrap());
    assert!(run.latest("class_loss").unwrap() > 0.0);
    assert_eq!(danskin::train::games::victim_of(&robgan).unwrap().unwrap().classes(), 6);
    let one = "{ type = 'flatten' }, { type = 'linear', out = 1 }";
    let text = sentence(&lists(one, &["adversary.kind=robgan"]));
    assert!(text.ends_with("model.d ends in [1]: must end in [7]"), "{text}");
    let normed = "{ type = 'conv', out = 4, kernel = 3 }, { type = 'batch_norm' }, { type = 'flatten' }, { type = 'linear', out = 1 }";
    let text = sentence(&lists(normed, &["adversary.kind=alr"]));
    assert!(text.contains("layer 1 (batch_norm): does not go with adversary.kind \"alr\""), "{text}");
}

/// What a run measured of the class head of its last checkpoint, measured again by hand on the faces of the next seed.
fn measured_as_it_is(run: &Path) {
    let lines = std::fs::read_to_string(run.join("metrics.jsonl")).unwrap();
    let measured: Vec<Measurement> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(measured.iter().map(|m| m.kimg).collect::<Vec<_>>(), [0.04, 0.08]);
    let config = of(&["data.count=48", "train.batch=8", "adversary.kind=robgan", "model.classes=6"]);
    let victim = danskin::train::games::victim_of(&config).unwrap().unwrap();
    let faces = Source::Faces { seed: 1, count: 40, label: Some("glasses".into()) };
    let set = danskin::data::load(&Spec { channels: 3, ..Spec::new(faces, 32) }, &|_, _| {}).unwrap();
    let images: Vec<f32> = (0..40).flat_map(|k| danskin::data::floats(set.image(k))).collect();
    let (labels, state) = (set.labels.unwrap(), newest(run));
    let mut judge = Judge::new(&victim, 40, &Device::Host).unwrap();
    judge.load(&state, run).unwrap();
    let right: Vec<bool> = judge.classes(&images).unwrap().iter().zip(&labels).map(|(said, is)| said == is).collect();
    let share = |of: Vec<bool>| of.iter().filter(|is| **is).count() as f64 / 40.0;
    let options = AttackOptions { steps: Some(3), classes: 6, sample: vec![32, 32, 3], ..AttackOptions::default() };
    let pgd = named("pgd", &options).unwrap();
    let mut attacker = Attacker::new(pgd, &victim, 40, false, 0, &Device::Host).unwrap();
    attacker.load(&state, run).unwrap();
    let found = attacker.run(&images, &labels, None, 0.03125, &mut |_| true).unwrap();
    let standing = right.iter().zip(&found.fooled).map(|(right, fooled)| *right && !fooled).collect();
    let clean = share(right);
    assert_eq!([measured[1].clean, measured[1].robust], [clean, share(standing)].map(Some));
    assert!(clean > 0.0, "{measured:?}");
}

/// One run makes a generator to draw from and a classifier to count and to attack. A discriminator without classes is none.
#[test]
fn robgan_leaves_a_generator_and_a_classifier() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let small = "--device host --batch 8 --set model.z=8 --set model.g_width=4 --set model.d_width=4 --set data.count=48 \
                 --set data.label=glasses";
    let measure = "--set checkpoint.every_kimg=0.04 --set validate.count=40 --set validate.steps=3";
    let text =
        done(dir, &format!("train {small} --adversary robgan --set model.classes=6 {measure} --kimg 0.08 --out rob"));
    assert!(text.contains("40 images of another population, clean and by PGD-3"), "{text}");
    measured_as_it_is(&dir.join("rob"));
    assert!(text.contains("adversary robgan on reals: 14 D passes per iteration, 4 without"), "{text}");
    let written = std::fs::read_to_string(dir.join("rob/config.toml")).unwrap();
    assert!(written.contains("kind = \"robgan\""), "{written}");
    let end = newest(&dir.join("rob"));
    assert_eq!(end.tensor("D.class.weight").unwrap().shape[0], 6);
    assert!(end.tensor("G.embedding.weight").is_some());
    done(dir, "sample rob --device host --grid 2x2 --class 3");
    let text = done(dir, "eval rob --device host");
    assert!(text.contains("accuracy ") && text.contains("of 48 images"), "{text}");
    let output = run(dir, "attack rob --device host --attack pgd --steps 2 --count 8 --eps 8/255");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));

    let text = done(dir, &format!("train {small} --adversary free --kimg 0.016 --out free"));
    assert!(text.contains("adversary free on reals: 8 D passes per iteration, 4 without"), "{text}");
    // A GAN without a class head is measured by its images.
    let text = done(dir, "eval free --device host --metrics fd --samples 16");
    assert!(text.contains("FD ") && !text.contains("accuracy"), "{text}");
    let sentence = refused(dir, "train --resume free --device host --kimg 0.032 --set adversary.kind=dat");
    assert!(sentence.contains("can't change while a run goes on"), "{sentence}");
}
