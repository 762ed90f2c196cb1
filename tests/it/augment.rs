//! Augmentation: every transform against PyTorch on the same random numbers, its gradients of both orders, the identity; what a GAN's
//! steps make of it, and the controller, against closed forms; what it costs.

use crate::config::with;
use crate::goldens::{in_f32, in_f64, load, on};
use crate::numeric::{Feeds, RNG, check_gradient, dot, normals};
use crate::primitives::gpu;
use crate::training::{config, trainer};
use danskin::augment::{AdaPipe, AdaTransforms, DiffAugment, Draws};
use danskin::autodiff::{grad, vjp};
use danskin::config::Config;
use danskin::device::Device;
use danskin::graph::{Dag, Graph, Tensor};
use danskin::host::eval;
use danskin::kernels;
use danskin::loss::{GanLoss, r1_penalty};
use danskin::nn::layers::linear;
use danskin::nn::{Init, network};
use danskin::optim::Schedule;
use danskin::philox;
use danskin::plan::Options;
use danskin::train::checkpoint::{Checkpoint, Values};
use danskin::train::game::{Adam, Average};
use danskin::train::games::{Gan, GanAdversary, GanAugment, Strength};
use danskin::train::{Resident, Settings, stream};
use std::path::Path;
use std::sync::Arc;

/// Numbers of a golden, or random ones, as leaves.
fn draws(graph: &Graph, [n, h, w, c]: [usize; 4]) -> Draws<'_> {
    Draws {
        uniform: graph.input("uniform", [n, Draws::UNIFORM]),
        normal: graph.input("normal", [n, Draws::NORMAL]),
        noise: graph.input("noise", [n, h, w, c]),
    }
}

/// x of this shape augmented by `diff POLICY`, or by a set of the pipe; the probability is the leaf `p`.
fn augmented<'g>(graph: &'g Graph, name: &str, shape: [usize; 4]) -> (Tensor<'g>, Tensor<'g>) {
    let (x, draws) = (graph.input("x", shape), draws(graph, shape));
    let y = match name.strip_prefix("diff ") {
        Some(words) => DiffAugment::named(words).unwrap().apply(x, &draws, 0),
        None => {
            let on = AdaTransforms::named(name).unwrap();
            AdaPipe::new(on, draws, graph.input("p", [1]), [shape[1], shape[2]]).part(0, shape[0]).apply(x)
        }
    };
    (x, y)
}

/// Holds every case of the golden file against an evaluator.
fn against_pytorch(tolerance: f64, evaluate: impl Fn(&Dag, &Feeds) -> Feeds) {
    let golden = load("augment");
    let cases: Vec<String> =
        golden.keys("").iter().filter_map(|key| key.strip_suffix(" out")).map(str::to_owned).collect();
    assert!(cases.len() > 16, "{cases:?}");
    for case in cases {
        let words: Vec<&str> = case.split(' ').collect();
        let channels = words[2];
        let (name, p) = match words[0] {
            "diff" => (format!("diff {}", words[1]), 1.0),
            set => (set.to_owned(), words[1].parse::<f64>().unwrap()),
        };
        let array = |name: &str| golden.array(&format!("{name}{channels}"));
        let (shape, x) = array("x");
        let shape: [usize; 4] = shape.as_slice().try_into().unwrap();
        let graph = Graph::new();
        let (input, y) = augmented(&graph, &name, shape);
        let weights = graph.input("weights", shape);
        let slope = vjp(y, weights, &[input])[0];
        let sums =
            |t: Tensor<'_>| t.reshape([shape[0], t.shape().elems() / shape[0]]).sum(&[1]).reshape([shape[0]]).id();
        let sums = [y, y * weights, slope * weights].map(|t| graph.tensor(sums(t)));
        let roots = [("out", y), ("gradient", slope), ("sum 0", sums[0]), ("sum 1", sums[1]), ("sum 2", sums[2])];
        let dag = graph.freeze(&roots.map(|(name, t)| (name.to_owned(), t)));
        let feeds = Feeds::from([
            ("x".into(), x.clone()),
            ("noise".into(), array("noise").1.clone()),
            ("weights".into(), array("weights").1.clone()),
            ("uniform".into(), golden.array("uniform").1.clone()),
            ("normal".into(), golden.array("normal").1.clone()),
            ("p".into(), vec![p]),
        ]);
        let made = evaluate(&dag, &feeds);
        let close = |what: &str, got: &[f64], want: &[f64]| {
            let size = want.iter().fold(1.0f64, |size, v| size.max(v.abs()));
            let off = got.iter().zip(want).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
            assert!(off <= tolerance * size, "{case}, {what}: {off:e} off, of {size}");
        };
        let elems = shape[1] * shape[2] * shape[3];
        for what in ["out", "gradient"] {
            close(what, &made[what][..elems], &golden.array(&format!("{case} {what}")).1);
        }
        let want = &golden.array(&format!("{case} sums")).1;
        (0..3).for_each(|i| close(&format!("sum {i}"), &made[&format!("sum {i}")], &want[i * shape[0]..][..shape[0]]));
    }
}

/// The file holds f32.
#[test]
fn transforms_against_pytorch_in_f64() {
    against_pytorch(3e-7, in_f64);
}

#[test]
fn transforms_against_pytorch_in_f32_on_the_host_and_in_wgsl() {
    against_pytorch(1e-4, in_f32);
    for device in [Device::Host, gpu()] {
        against_pytorch(1e-4, on(&device));
    }
}

/// Random numbers for `shape`, at probability p.
fn random(shape: [usize; 4], p: f64) -> Feeds {
    let n = shape[0];
    let uniform = (0..n * Draws::UNIFORM).map(|i| philox::uniform_at(3, 1, 0, i as u64)).collect();
    let elems = shape.iter().product();
    Feeds::from([
        ("x".into(), normals(1, elems).iter().map(|v| 0.5 * v).collect()),
        ("noise".into(), normals(2, elems)),
        ("uniform".into(), uniform),
        ("normal".into(), normals(4, n * Draws::NORMAL)),
        ("weights".into(), normals(5, elems)),
        ("p".into(), vec![p]),
    ])
}

/// Through tanh, so that there is a second order: ⟨tanh T(x), w⟩, and the square of its gradient, as R1 has it.
#[test]
fn gradients_of_both_orders() {
    let names = ["blit", "geom", "color", "filter", "noise", "cutout", "bgcfnc", "diff color,translation,cutout"];
    for name in names {
        let shape = [2, 22, 22, 3];
        let graph = Graph::new();
        let (x, y) = augmented(&graph, name, shape);
        let feeds = random(shape, 1.0);
        let loss = (y.tanh() * graph.input("weights", shape)).sum_all();
        let steepest = check_gradient(name, loss, &[x], &feeds, 2);
        let penalty = grad(loss, &[x])[0].square().sum_all();
        let bent = check_gradient(&format!("{name}, order 2"), penalty, &[x], &feeds, 2);
        assert!(steepest > 1e-2 && bent > 1e-2, "{name}: derivatives of {steepest}, {bent} prove nothing");
    }
}

/// At p = 0 nothing changes, not even a bit, on any device; at a probability in between some images do and some don't.
#[test]
fn what_does_not_fire_changes_nothing() {
    let shape = [4, 24, 24, 3];
    for device in [Device::Host, gpu()] {
        for name in AdaTransforms::NAMES {
            let graph = Graph::new();
            let (_, y) = augmented(&graph, name, shape);
            let dag = graph.freeze(&[("y".into(), y)]);
            let same = |p: f64| -> usize {
                let feeds = random(shape, p);
                let (made, elems) = (on(&device)(&dag, &feeds), shape[1..].iter().product());
                let pairs = made["y"].chunks(elems).zip(feeds["x"].chunks(elems));
                pairs.filter(|(y, x)| y.iter().zip(*x).all(|(y, x)| *y as f32 == *x as f32)).count()
            };
            assert_eq!(same(0.0), 4, "{name}");
            assert!(same(1.0) < 3, "{name}");
        }
    }
    let graph = Graph::new();
    let (_, y) = augmented(&graph, "geom", [64, 8, 8, 1]);
    let feeds = random([64, 8, 8, 1], 0.1);
    let made = in_f64(&graph.freeze(&[("y".into(), y)]), &feeds);
    let same = made["y"].chunks(64).zip(feeds["x"].chunks(64)).filter(|(y, x)| y == x).count();
    // Of four transforms none fires with probability .9⁴ = .66 (both turns together count once).
    assert!((30..=54).contains(&same), "{same} of 64");
}

const N: usize = 3;
const E: usize = 4;
const Z: usize = 2;

/// A linear discriminator and generator of images of 2 × 2.
fn gan(augment: GanAugment, loss: GanLoss) -> Gan {
    let flat = |x: Tensor<'_>| -> [usize; 2] { [x.dim(0), E] };
    let d = network(&[2, 2, 1], &[1], 0, move |scope, x, _, _| linear(scope, x.reshape(flat(x)), 1, Init::Zeros));
    let g =
        network(&[Z], &[2, 2, 1], 0, |scope, z, _, _| linear(scope, z, E, Init::Zeros).reshape([z.dim(0), 2, 2, 1]));
    Gan {
        accumulate: 1,
        generator: Arc::new(g),
        discriminator: Some(Arc::new(d)),
        sample: vec![2, 2, 1],
        latent: Z,
        classes: 0,
        batch: N,
        loss,
        r1: Some(Schedule::Constant(1.0)),
        r2: Some(Schedule::Constant(1.0)),
        gp: None,
        n_critic: 1,
        penalty_every: 1,
        adversary: GanAdversary::Off,
        augment,
        optimiser_g: Adam::new(1e-3, 0.5, 0.999).into(),
        optimiser_d: Adam::new(1e-3, 0.5, 0.999).into(),
        average: Average { half_life_kimg: Schedule::Constant(0.0), ramp: 0.0 },
    }
}

fn made(gan: &Gan, phase: &str, feeds: &Feeds) -> Feeds {
    let graphs = gan.game().graphs(false).unwrap();
    let built = graphs.into_iter().find(|built| built.name == phase).unwrap_or_else(|| panic!("no phase {phase}"));
    eval::<f64>(&built.dag, feeds, RNG).unwrap()
}

fn feeds() -> Feeds {
    Feeds::from([
        ("real".into(), normals(1, N * E)),
        ("shared/fake".into(), normals(2, N * E)),
        ("D.weight".into(), normals(3, E)),
        ("G.weight".into(), normals(4, Z * E)),
        ("scalar/r1_gamma".into(), vec![0.7]),
        ("scalar/r2_gamma".into(), vec![0.9]),
    ])
}

fn close(what: &str, got: f64, want: f64) {
    assert!((got - want).abs() < 1e-9 * (1.0 + want.abs()), "{what}: {got}, not {want}");
}

/// DiffAugment's colours of a grey image by hand: (x + b − m)·c + m with the mean m of x + b. Reals have the first N draws of the step,
/// fakes the others; the generator's step has a stream of its own. R1 and R2 are by the images before: ∂/∂x = c·w + (1 − c)·mean w.
#[test]
fn both_steps_and_penalties_by_hand() {
    let gan = gan(GanAugment::Diff(DiffAugment::named("color").unwrap()), GanLoss::Ns);
    let feeds = feeds();
    let w = &feeds["D.weight"];
    let mean = |v: &[f64]| v.iter().sum::<f64>() / v.len() as f64;
    let u = |stream, row: usize, k: usize| {
        philox::uniform_at(RNG.seed, stream, RNG.step, (row * Draws::UNIFORM + k) as u64)
    };
    let logits = |images: &[f64], stream, first: usize| -> Vec<f64> {
        let one = |(n, x): (usize, &[f64])| {
            let (b, c) = (u(stream, first + n, 0) - 0.5, u(stream, first + n, 2) + 0.5);
            let m = mean(x) + b;
            let seen: Vec<f64> = x.iter().map(|x| (x + b - m) * c + m).collect();
            dot(&seen, w)
        };
        images.chunks(E).enumerate().map(one).collect()
    };
    let penalty = |first: usize| {
        let one = |n: usize| {
            let c = u(stream::AUGMENT_D, first + n, 2) + 0.5;
            w.iter().map(|v| (c * v + (1.0 - c) * mean(w)).powi(2)).sum::<f64>()
        };
        0.5 * mean(&(0..N).map(one).collect::<Vec<_>>())
    };
    let softplus = |v: &f64| (1.0 + v.exp()).ln();
    let d = made(&gan, "d", &feeds);
    let real = logits(&feeds["real"], stream::AUGMENT_D, 0);
    let fake = logits(&feeds["shared/fake"], stream::AUGMENT_D, N);
    close("d_real", d["log/d_real"][0], mean(&real));
    close("d_fake", d["log/d_fake"][0], mean(&fake));
    close("r1", d["log/r1"][0], 0.7 * penalty(0));
    close("r2", d["log/r2"][0], 0.9 * penalty(N));
    let g = made(&gan, "g", &feeds);
    let own = logits(&g["shared/fake"], stream::AUGMENT_G, 0);
    close("g_loss", g["log/g_loss"][0], mean(&own.iter().map(|v| softplus(&-v)).collect::<Vec<_>>()));

    // A relativistic generator's step has reals too.
    let gan = self::gan(gan.augment.clone(), GanLoss::Rpgan);
    let mut feeds = feeds.clone();
    feeds.insert("real_g".into(), normals(6, N * E));
    let g = made(&gan, "g", &feeds);
    let z: Vec<f64> = (0..N * Z).map(|i| philox::normal_at(RNG.seed, stream::Z_G, RNG.step, i as u64)).collect();
    let weight = &feeds["G.weight"];
    let fake: Vec<f64> =
        z.chunks(Z).flat_map(|z| (0..E).map(|e| z[0] * weight[e] + z[1] * weight[E + e]).collect::<Vec<_>>()).collect();
    let (fake, real) = (logits(&fake, stream::AUGMENT_G, 0), logits(&feeds["real_g"], stream::AUGMENT_G, N));
    let want = real.iter().zip(&fake).map(|(r, f)| softplus(&(r - f))).collect::<Vec<_>>();
    close("g_loss, rpgan", g["log/g_loss"][0], mean(&want));
}

/// The gradient of R1 by D's weights goes through the warp: the whole pipe, fired at ½, against central differences.
#[test]
fn the_gradient_of_a_penalty_goes_through_the_pipe() {
    let shape = [3, 22, 22, 3];
    let graph = Graph::new();
    let (x, y) = augmented(&graph, "bgcfnc", shape);
    let w = graph.input("w", [shape[1] * shape[2] * shape[3], 4]);
    let logits = y.reshape([3, w.dim(0)]).matmul(w).softplus().sum(&[1]);
    let penalty = r1_penalty(logits, x, 2.0);
    let mut feeds = random(shape, 0.5);
    feeds.insert("w".into(), normals(9, w.shape().elems()).iter().map(|v| 0.1 * v).collect());
    let steepest = check_gradient("r1", penalty, &[w, x], &feeds, 2);
    assert!(steepest > 1e-2, "{steepest}");
}

/// p, r_t, signs and steps after one step, by hand, where an interval ends and where it does not; p stays within [0, 1].
#[test]
fn the_controller_by_hand() {
    let strength = |speed_kimg| Strength::Adaptive { target: 0.6, interval: 4, speed_kimg };
    for (p, signs, steps, speed) in
        [(0.3, 2.7, 3.0, 0.5), (0.3, 1.0, 3.0, 0.5), (0.3, 1.0, 1.0, 0.5), (0.99, 3.0, 3.0, 0.1), (0.01, 0.0, 3.0, 0.1)]
    {
        let gan = gan(GanAugment::Pipe(AdaTransforms::named("cutout").unwrap(), strength(speed)), GanLoss::Ns);
        let mut feeds = feeds();
        let states = [("p", p), ("rt", 0.2), ("signs", signs), ("steps", steps)];
        feeds.extend(states.map(|(name, v)| (format!("D.augment_{name}"), vec![v])));
        // Logits of which sign is what: the hole is at most half of an image.
        feeds.insert("real".into(), [[1.0; E], [-1.0; E], [2.0; E]].concat());
        feeds.insert("D.weight".into(), vec![1.0; E]);
        let d = made(&gan, "d", &feeds);
        let total = signs + 1.0 / 3.0;
        let change = 4.0 * N as f64 / (1000.0 * speed);
        let want = if steps < 3.0 {
            [p, 0.2, total, steps + 1.0]
        } else {
            [(p + change * (total / 4.0 - 0.6).signum()).clamp(0.0, 1.0), total / 4.0, 0.0, 0.0]
        };
        for ((name, _), want) in states.iter().zip(want) {
            close(name, d[&format!("state/D.augment_{name}")][0], want);
        }
        assert_eq!(d["log/augment_p"], [p]);
        close("log", d["log/augment_rt"][0], want[1]);
        // The generator's step reads p and leaves it alone.
        assert!(!made(&gan, "g", &feeds).keys().any(|root| root.starts_with("state/D.augment")));
    }
}

const TINY: &[&str] = &[
    "model.z=8",
    "model.g_width=4",
    "model.d_width=4",
    "train.batch=4",
    "data.count=32",
    "log.every_steps=8",
    "augment.interval=2",
    "augment.speed_kimg=0.1",
];

fn tiny(set: &[&str]) -> Config {
    config("faces32", &[TINY, set].concat())
}

fn number(checkpoint: &Checkpoint, name: &str) -> f32 {
    match &checkpoint.tensor(name).unwrap_or_else(|| panic!("no {name}")).data {
        Values::F32(data) => data[0],
        Values::U32(_) => panic!("{name} is of integers"),
    }
}

/// A run with one image per batch, whose r_t are means of signs of the logged D(x): p is what the formula makes of them, step by step.
/// Nothing is read back for it, made anew or submitted apart.
#[test]
fn a_run_steers_itself_in_one_submission_per_iteration() {
    for device in [Device::Host, gpu()] {
        let set = [
            "augment.kind=ada",
            "augment.policy=blit",
            "train.batch=1",
            "model.d_norm=false",
            "augment.speed_kimg=0.02",
        ];
        let mut run = trainer(&tiny(&set), &device);
        let (mut p, mut signs, mut seen) = (0.0f32, 0.0f32, vec![]);
        for step in 0..8 {
            run.iterate().unwrap();
            let logged = run.latest("augment_p").unwrap();
            assert!((logged - p).abs() < 1e-6, "step {step}: {logged}, not {p}");
            signs += run.latest("d_real").unwrap().signum();
            if step % 2 == 1 {
                assert_eq!(run.latest("augment_rt").unwrap(), signs / 2.0);
                let change = 2.0 / 20.0;
                p = (p + if signs / 2.0 > 0.6 { change } else { -change }).clamp(0.0, 1.0);
                signs = 0.0;
            }
            seen.push(p);
        }
        assert!(seen.iter().any(|p| *p > 0.05), "{seen:?}: p never rose, which proves nothing");
        let before = run.counters();
        (0..3).for_each(|_| run.iterate().unwrap());
        let after = run.counters();
        assert_eq!(after.submissions - before.submissions, 3);
        let fixed = |c: danskin::plan::Counters| (c.buffers, c.bind_groups, c.pipelines, c.read_backs);
        assert_eq!(fixed(after), fixed(before));
    }
}

/// Six iterations equal three and three, bit for bit, p and what is counted among them; weights for another run come without them.
#[test]
fn a_resumed_run_is_the_unbroken_one() {
    for kind in
        [&["augment.kind=ada", "augment.policy=bgcfnc", "augment.interval=4"][..], &["augment.kind=diffaugment"]]
    {
        let config = tiny(kind);
        let fresh = || trainer(&config, &Device::Host);
        let mut unbroken = fresh();
        (0..6).for_each(|_| unbroken.iterate().unwrap());
        let mut first = fresh();
        (0..3).for_each(|_| first.iterate().unwrap());
        let half = first.checkpoint().unwrap();
        let mut second = fresh();
        second.restore(&half, Path::new("half")).unwrap();
        (0..3).for_each(|_| second.iterate().unwrap());
        let end = second.checkpoint().unwrap();
        assert_eq!(end, unbroken.checkpoint().unwrap());
        if kind.len() > 1 {
            assert_eq!(number(&half, "D.augment_steps"), 3.0);
            assert_eq!(number(&end, "D.augment_steps"), 2.0);
            assert!(number(&end, "D.augment_rt") != 0.0);
            let mut begun = trainer(&config, &Device::Host);
            begun.init_from(&half, Path::new("half")).unwrap();
            assert_eq!(number(&begun.checkpoint().unwrap(), "D.augment_steps"), 0.0);
        }
    }
}

/// A fixed strength follows its cosine.
#[test]
fn a_fixed_strength_follows_its_schedule() {
    let set =
        ["augment.kind=fixed", "augment.p=0.2", "augment.p_final=0.6", "optim.burn_in_kimg=0.032", "train.kimg=1"];
    let mut run = trainer(&tiny(&set), &Device::Host);
    for step in 0..12 {
        run.iterate().unwrap();
        let t = (f64::from(step) * 4.0 / 32.0).min(1.0);
        let want = 0.6 - 0.2 * (1.0 + (std::f64::consts::PI * t).cos());
        assert!((f64::from(run.latest("augment_p").unwrap()) - want).abs() < 1e-6, "step {step}");
    }
}

/// What augmentation adds to an iteration of the default preset: launches, and MiB that steps read and write. Each limit is a few per
/// cent above what stands.
#[test]
fn augmentation_stays_within_its_budget() {
    let cost = |set: &[&str]| {
        let settings = Settings::new(&config("faces32", set)).unwrap();
        let options = Options { scratch: Arc::new(kernels::scratch), ..Options::default() };
        let resident = Some(Resident { count: 1000, mirror: true, crop: 0, labels: false });
        let assembly = settings.plan(resident, options).unwrap();
        let ran = assembly.schedule(0).into_iter().map(|(plan, _)| &assembly.program.plans[plan]);
        let steps: Vec<_> = ran.flat_map(|plan| &plan.steps).collect();
        let launches: usize = steps.iter().map(|s| kernels::lower(s).unwrap().len()).sum();
        (launches, steps.iter().map(|s| assembly.program.moved(s) as f64).sum::<f64>() / f64::from(1 << 20))
    };
    let (launches, moved) = cost(&[]);
    for (kind, policy, most, mib) in [
        ("diffaugment", "color,translation,cutout", 80, 21.5),
        ("ada", "blit", 100, 13.0),
        ("ada", "bgc", 232, 203.0),
        ("ada", "bgcfnc", 372, 365.0),
    ] {
        let (l, m) = cost(&[&format!("augment.kind={kind}"), &format!("augment.policy={policy}")]);
        println!(
            "{kind} {policy}: {} launches and {:.1} MiB more than {launches} and {moved:.1}",
            l - launches,
            m - moved
        );
        assert!(
            l - launches <= most && m - moved <= mib,
            "{kind} {policy}: {} launches, {:.1} MiB",
            l - launches,
            m - moved
        );
    }
}

/// Settings, and the sentence that refuses them.
#[test]
fn what_does_not_go_together_is_refused() {
    for (preset, set, sentence) in [
        (
            "ring8",
            "augment.kind=ada",
            "command line: augment.kind \"ada\": does not go with data.source \"ring8\": only images are augmented",
        ),
        (
            "classifier",
            "augment.kind=fixed",
            "command line: augment.kind \"fixed\": does not go with train.task \"classifier\": it is for the discriminator of a GAN; a \
             classifier has data.mirror and data.crop",
        ),
        (
            "faces32",
            "augment.kind=diffaugment adversary.kind=free",
            "command line: augment.kind \"diffaugment\": does not go with adversary.kind \"free\": it would attack another draw of the \
             augmentation than the discriminator is shown: leave one of them out",
        ),
        (
            "faces32",
            "augment.kind=diffaugment attack.steps=2",
            "command line: augment.kind \"diffaugment\": does not go with attack.steps 2: it would attack another draw of the augmentation \
             than the discriminator is shown: leave one of them out",
        ),
        (
            "faces32",
            "augment.kind=ada loss.kind=rpgan",
            "command line: augment.kind \"ada\": does not go with loss.kind \"rpgan\": its controller reads the sign of D(x), a verdict with \
             ns and hinge alone; choose augment.kind \"fixed\"",
        ),
        (
            "faces32",
            "augment.kind=cutmix",
            "command line: augment.kind \"cutmix\": must be one of none, diffaugment, ada, fixed",
        ),
        (
            "faces32",
            "augment.kind=fixed augment.p=1.5",
            "command line: augment.p 1.5: must be at least 0 and at most 1",
        ),
        (
            "faces32",
            "augment.kind=diffaugment augment.policy=color,blur",
            "command line: augment.policy color,blur: must be words of color,translation,cutout with commas between them",
        ),
        (
            "faces32",
            "augment.kind=ada augment.policy=all",
            "command line: augment.policy all: must be one of blit, geom, color, filter, noise, cutout, bg, bgc, bgcf, bgcfn, bgcfnc",
        ),
        (
            "faces32",
            "augment.kind=fixed augment.p=0.5 augment.policy=bgcf data.size=16 model.kind=r3gan model.d_norm=false",
            "command line: augment.policy bgcf: is for images of 22 and more: its filters reach that far",
        ),
    ] {
        let set: Vec<_> = set.split(' ').collect();
        let found = Config::load(&with(preset, &set)).and_then(|(config, _)| Settings::new(&config));
        assert_eq!(found.err().unwrap().to_string(), sentence, "{preset} {set:?}");
    }
    for (set, sentence) in [
        ("augment.policy=bgc", "command line: augment.policy \"bgc\": is read only where augment.kind names one"),
        ("augment.p=0.5", "command line: augment.p 0.5: is read only with augment.kind \"fixed\""),
        (
            "augment.kind=ada augment.p_final=0.5",
            "command line: augment.p_final 0.5: is read only with augment.kind \"fixed\"",
        ),
        (
            "augment.kind=fixed augment.p_final=0.5",
            "command line: augment.p_final 0.5: is never reached while optim.burn_in_kimg is 0",
        ),
    ] {
        let set: Vec<_> = set.split(' ').collect();
        let (_, warnings) = Config::load(&with("faces32", &set)).unwrap();
        assert_eq!(warnings, [sentence], "{set:?}");
    }
    let (_, warnings) = Config::load(&with("faces32", &["augment.kind=fixed"])).unwrap();
    assert_eq!(warnings.len(), 1, "{warnings:?}");
}
