//! The games that come with the program, one file each, and which of them a configuration means.

pub mod attack;
mod classifier;
pub(super) mod features;
mod gan;
pub mod projection;

pub use attack::Victim;
pub use classifier::{Adversary, Classifier, Defence};
pub use gan::{Ascent, Gan, GanAdversary, GanAugment, On, Strength};
pub use projection::Projection;

use super::game::{Adam, Average, Game, Optimiser, Sgd};
use crate::augment::{AdaTransforms, DiffAugment};
use crate::config::{
    AdversaryKind, Amount, AugmentKind, Config, DefenceKind, LossKind, LrSchedule, ModelKind, OptimKind, Task,
};
use crate::graph::Tensor;
use crate::loss::classifier::margin;
use crate::nn::{
    Activation, BothHeads, ClassHead, ClassLogits, Dcgan, Discriminator, Generator, Layer, Lenet5, Mlp, MnistCnn,
    Model, Network, PreactResnet18, R3gan, Sequential, SequentialNetwork, SnganResnet,
};
use crate::optim::Schedule;
use crate::{Error, Result, loss};
use std::sync::Arc;

/// The game of a configuration.
///
/// # Errors
/// A setting that makes no model.
pub fn of(config: &Config) -> Result<Game> {
    match config.train.task {
        Task::Gan => gan(config).map(|gan| gan.game()),
        Task::Classifier => classifier(config)?.game().map(|game| Game { accumulate: config.train.accumulate, ..game }),
    }
}

/// The network of a configuration that can be attacked: its classifier, the classifier in its discriminator, or a discriminator of
/// images. `None` where there is none.
///
/// # Errors
/// A setting that makes no model.
pub fn victim_of(config: &Config) -> Result<Option<Victim>> {
    if !config.data.source.is_images() {
        return Ok(None);
    }
    Ok(match config.train.task {
        Task::Classifier => {
            let Classifier { network, sample, .. } = classifier(config)?;
            Some(Victim { network, name: "C".into(), sample })
        }
        Task::Gan => {
            let Gan { discriminator, sample, adversary, .. } = gan(config)?;
            discriminator.map(|network| {
                let tells = adversary.tells_classes();
                let network = if tells { Arc::new(ClassLogits(network)) } else { network };
                Victim { network, name: "D".into(), sample }
            })
        }
    })
}

/// The generator of a configuration, to be searched for the latents of images by so many starts at once; `None` where it makes none.
///
/// # Errors
/// A setting that makes no model.
pub fn projection_of(config: &Config, starts: usize, prior: f64) -> Result<Option<Projection>> {
    if config.train.task != Task::Gan || !config.data.source.is_images() {
        return Ok(None);
    }
    let Gan { generator, sample, classes, .. } = gan(config)?;
    Ok(Some(Projection { generator, name: "G".into(), sample, classes, starts, prior }))
}

/// The networks of a configuration with their names in its game, first the one that the game is for: generator and discriminator, or
/// the classifier.
///
/// # Errors
/// A setting that makes no model.
pub fn networks_of(config: &Config) -> Result<Vec<(String, Arc<dyn Network>)>> {
    Ok(match config.train.task {
        Task::Gan => {
            let Gan { generator, discriminator, .. } = gan(config)?;
            [("G".into(), generator)].into_iter().chain(discriminator.map(|d| ("D".into(), d))).collect()
        }
        Task::Classifier => vec![("C".into(), classifier(config)?.network)],
    })
}

/// The attack of a configuration, alone, on its discriminator.
///
/// # Errors
/// A setting that makes no model; no attack.
pub fn attack_of(config: &Config) -> Result<Game> {
    let gan = gan(config)?;
    match (gan.adversary, gan.discriminator) {
        (GanAdversary::Pgd(On::Reals, Ascent { steps, eps, alpha }), Some(d)) => {
            Ok(attack::pgd(d, &gan.sample, gan.batch, steps, eps, alpha))
        }
        _ => Err(Error::setting("command line", "attack.steps", 0, "must be at least 1 to measure an attack")),
    }
}

fn gan(config: &Config) -> Result<Gan> {
    let Pair { generator, discriminator, latent, sample } = networks(config)?;
    let l = &config.loss;
    let gamma = |from: f64| (from > 0.0).then(|| course(config, from, l.gamma_final));
    let optimiser = optimiser(config);
    Ok(Gan {
        sample,
        latent,
        classes: generator.classes(),
        generator,
        discriminator,
        batch: config.train.batch,
        accumulate: config.train.accumulate,
        loss: match l.kind {
            LossKind::Ns => loss::GanLoss::Ns,
            LossKind::Hinge => loss::GanLoss::Hinge,
            LossKind::Lsgan => loss::GanLoss::Lsgan,
            LossKind::Wgan => loss::GanLoss::Wgan,
            LossKind::Rpgan => loss::GanLoss::Rpgan,
        },
        r1: gamma(l.r1_gamma),
        r2: gamma(l.r2_gamma),
        gp: (l.gp_lambda > 0.0).then_some(Schedule::Constant(l.gp_lambda)),
        n_critic: u64::from(l.n_critic),
        penalty_every: u64::from(l.penalty_every),
        adversary: GanAdversary::of(config),
        augment: augment(config)?,
        optimiser_d: optimiser.clone().scaled(config.optim.lr_d_scale),
        optimiser_g: optimiser,
        average: average(config),
    })
}

/// What the discriminator is shown instead of images.
fn augment(config: &Config) -> Result<GanAugment> {
    let a = &config.augment;
    let refuse = |hint: String| {
        let policy = a.policy.clone().unwrap_or_default();
        Err(Error::setting(config.place("augment.policy"), "augment.policy", policy, hint))
    };
    let strength = match a.kind {
        AugmentKind::None => return Ok(GanAugment::Off),
        AugmentKind::Diffaugment => {
            let words = a.policy.as_deref().unwrap_or(DiffAugment::POLICY);
            return match DiffAugment::named(words) {
                Some(policy) => Ok(GanAugment::Diff(policy)),
                None => refuse(format!("must be words of {} with commas between them", DiffAugment::POLICY)),
            };
        }
        AugmentKind::Ada => Strength::Adaptive { target: a.target, interval: a.interval, speed_kimg: a.speed_kimg },
        AugmentKind::Fixed => Strength::Fixed(course(config, a.p, a.p_final)),
    };
    let Some(on) = AdaTransforms::named(a.policy.as_deref().unwrap_or("bgc")) else {
        return refuse(format!("must be one of {}", AdaTransforms::NAMES.join(", ")));
    };
    if config.data.size < on.least_side() {
        return refuse(format!("is for images of {} and more: its filters reach that far", on.least_side()));
    }
    Ok(GanAugment::Pipe(on, strength))
}

/// Share of rows whose largest logit is the label's, as `[1]`; a tie counts half.
fn accuracy<'g>(logits: Tensor<'g>, labels: Tensor<'g>) -> Tensor<'g> {
    (margin(logits, labels).sign().scale(-0.5) + 0.5).mean_all()
}

fn classifier(config: &Config) -> Result<Classifier> {
    let sample = sample_extents(config);
    if config.model.classes < 2 {
        let hint = "must be at least 2; it follows from the data where that is named";
        return Err(Error::setting(config.place("model.classes"), "model.classes", config.model.classes, hint));
    }
    Ok(Classifier {
        network: classifying(config, &sample)?,
        sample,
        classes: config.model.classes,
        batch: config.train.batch,
        optimiser: optimiser(config),
        average: Some(average(config)),
        defence: defence(config)?,
        warmup_kimg: config.defence.warmup_kimg,
    })
}

/// How a classifier withstands attacks.
fn defence(config: &Config) -> Result<Defence> {
    let (d, a) = (&config.defence, &config.attack);
    let adversary = Adversary {
        eps: a.radius(),
        steps: if a.steps > 0 { a.steps } else { DEFENCE_STEPS },
        alpha: a.alpha.as_ref().map(Amount::in_model_units),
    };
    let beta = |published: f64| d.beta.unwrap_or(published);
    let defence = match d.kind {
        DefenceKind::None => Defence::None,
        DefenceKind::Pgd => Defence::Pgd(adversary),
        DefenceKind::Fast => Defence::Fast(adversary),
        DefenceKind::Trades => Defence::Trades(adversary, beta(6.0)),
        DefenceKind::Mart => Defence::Mart(adversary, beta(5.0)),
        DefenceKind::Free => Defence::Free { eps: a.radius(), replays: d.replays },
        DefenceKind::Awp => Defence::Awp(adversary, d.gamma),
    };
    defence.check(config.place("defence.kind"))?;
    Ok(defence)
}

/// Steps of the attack inside a defence where none are named.
const DEFENCE_STEPS: u32 = 10;

/// The network of a classifier.
fn classifying(config: &Config, sample: &[usize]) -> Result<Arc<dyn Network>> {
    let (m, place, data) = (&config.model, config.place("model"), &config.data);
    let (image, classes) = ([data.size, data.size, data.channels], m.classes);
    Ok(match m.kind {
        ModelKind::MnistCnn => {
            let published = MnistCnn::new(image, classes);
            let network = MnistCnn { width: m.width.unwrap_or(published.width), ..published };
            network.check(place)?;
            Arc::new(network)
        }
        ModelKind::Lenet5 => {
            let published = Lenet5::new(image, classes);
            let network = Lenet5 { width: m.width.unwrap_or(published.width), ..published };
            network.check(place)?;
            Arc::new(network)
        }
        ModelKind::PreactResnet18 => {
            let published = PreactResnet18::new(image, classes);
            let network = PreactResnet18 { width: m.width.unwrap_or(published.width), ..published };
            network.check(place)?;
            Arc::new(network)
        }
        ModelKind::Dcgan | ModelKind::R3gan | ModelKind::SnganResnet | ModelKind::Mlp => {
            let network = ClassHead::new(model(config, m.d_width)?, classes);
            network.check(place)?;
            Arc::new(network)
        }
        ModelKind::Sequential => {
            let network = sequential(config, "model.c", m.c.as_ref(), sample)?;
            expect(config, "model.c", &network.output(), &[classes])?;
            if network.classes() > 0 {
                let hint = "a classifier is not told the class: leave both out";
                return Err(Error::setting(
                    config.place("model.c"),
                    "model.c",
                    "has `embedding` or `projection`",
                    hint,
                ));
            }
            Arc::new(network)
        }
    })
}

fn optimiser(config: &Config) -> Optimiser {
    let o = &config.optim;
    let (lr, weight_decay) = (lr(config), o.weight_decay);
    let decoupled = o.kind == OptimKind::Adamw;
    match o.kind {
        OptimKind::Adam | OptimKind::Adamw => {
            let beta2 = course(config, o.beta2, o.beta2_final);
            Adam { lr, beta2, eps: o.eps, weight_decay, decoupled, ..Adam::new(o.lr, o.beta1, o.beta2) }.into()
        }
        OptimKind::Sgd => Sgd { lr, nesterov: o.nesterov, weight_decay, ..Sgd::new(o.lr, o.momentum) }.into(),
    }
}

/// The course of the learning rate.
fn lr(config: &Config) -> Schedule {
    let (o, kimg) = (&config.optim, config.train.kimg);
    match o.lr_schedule {
        LrSchedule::Cosine => course(config, o.lr, o.lr_final),
        LrSchedule::Linear => Schedule::Linear(vec![(0.0, o.lr), (kimg, o.lr_final.unwrap_or(0.0))]),
        LrSchedule::CosineAnnealing => Schedule::Cosine { from: o.lr, to: o.lr_final.unwrap_or(0.0), kimg },
        LrSchedule::Triangle => {
            Schedule::triangle(o.lr, o.lr_final.unwrap_or(0.0), o.lr_peak_kimg.unwrap_or(0.5 * kimg), kimg)
        }
        LrSchedule::Steps => {
            let at = o.lr_drops.clone().unwrap_or_default();
            Schedule::Steps { from: o.lr, factor: o.lr_drop_factor, at }
        }
    }
}

fn average(config: &Config) -> Average {
    let e = &config.ema;
    let half_life_kimg = match e.half_life_start_kimg {
        Some(start) => course(config, start, Some(e.half_life_kimg)),
        None => Schedule::Constant(e.half_life_kimg),
    };
    Average { half_life_kimg, ramp: e.ramp }
}

/// A value that goes to another within the burn-in, where there is another.
fn course(config: &Config, from: f64, to: Option<f64>) -> Schedule {
    match to {
        Some(to) => Schedule::Cosine { from, to, kimg: config.optim.burn_in_kimg },
        None => Schedule::Constant(from),
    }
}

fn sample_extents(config: &Config) -> Vec<usize> {
    let data = &config.data;
    if data.source.is_images() { vec![data.size, data.size, data.channels] } else { vec![2] }
}

/// The networks of a GAN. A list of layers may stand for a generator alone.
struct Pair {
    generator: Arc<dyn Network>,
    discriminator: Option<Arc<dyn Network>>,
    latent: usize,
    sample: Vec<usize>,
}

fn networks(config: &Config) -> Result<Pair> {
    let (m, place) = (&config.model, config.place("model"));
    if m.kind == ModelKind::Sequential {
        let sample = sample_extents(config);
        let g = sequential(config, "model.g", m.g.as_ref(), &[m.z])?;
        expect(config, "model.g", &g.output(), &sample)?;
        if ![0, g.classes()].contains(&m.classes) {
            let hint = format!("must be those of model.g, {}: its layers are told of them by `embedding`", g.classes());
            return Err(Error::setting(config.place("model.classes"), "model.classes", m.classes, hint));
        }
        let discriminator: Option<Arc<dyn Network>> = match &m.d {
            None => None,
            Some(layers) => {
                let d = sequential(config, "model.d", Some(layers), &sample)?;
                let tells = config.adversary().kind == AdversaryKind::RobGan;
                let wanted = if tells { (1 + g.classes(), 0) } else { (1, g.classes()) };
                expect(config, "model.d", &d.output(), &[wanted.0])?;
                if tells && (d.classes() > 0 || g.classes() < 2) {
                    let hint = "adversary.kind \"robgan\" wants a generator of two classes or more, by `embedding`, and a discriminator \
                                that tells them and is not told: leave `embedding` and `projection` out of it";
                    return Err(Error::setting(config.place("model.d"), "model.d", "does not fit", hint));
                }
                if d.classes() != wanted.1 {
                    let (d, g) = (d.classes(), g.classes());
                    let hint = format!("must be those of model.g, {g}: an embedding and a projection of as many");
                    return Err(Error::setting(config.place("model.d"), "model.d", format!("knows {d} classes"), hint));
                }
                Some(Arc::new(d))
            }
        };
        return Ok(Pair { generator: Arc::new(g), discriminator, latent: m.z, sample });
    }
    let [g_model, d_model] = [model(config, m.g_width)?, model(config, m.d_width)?];
    let (latent, sample) = (g_model.latent(), g_model.sample_shape(1)[1..].to_vec());
    // A class is told to the generator by as many numbers as its latents have.
    let g = Generator::conditional(g_model, m.classes, if m.classes > 0 { latent } else { 0 });
    g.check(place)?;
    let d: Arc<dyn Network> = if config.adversary().kind == AdversaryKind::RobGan {
        let d = ClassHead::new(d_model, m.classes);
        d.check(place)?;
        Arc::new(BothHeads(d))
    } else {
        let d = Discriminator::conditional(d_model, m.classes);
        d.check(place)?;
        Arc::new(d)
    };
    Ok(Pair { generator: Arc::new(g), discriminator: Some(d), latent, sample })
}

/// The network of a list of layers; `key` is where the list stands.
fn sequential(config: &Config, key: &str, layers: Option<&toml::Table>, input: &[usize]) -> Result<SequentialNetwork> {
    let refuse = |value: String, hint: &str| Err(Error::setting(config.place(key), key, value, hint));
    let Some(table) = layers else { return refuse("is not set".into(), "give it a list of layers") };
    let list: Sequential = match table.clone().try_into() {
        Ok(list) => list,
        Err(error) => {
            let reason: toml::de::Error = error;
            // The number of the first layer that can't be read alone; none where it is another setting of the list.
            let layers = table.get("layers").and_then(toml::Value::as_array).into_iter().flatten();
            let bad = layers.map(|layer| layer.clone().try_into::<Layer>()).position(|layer| layer.is_err());
            let place = bad.map_or(String::new(), |at| format!("layer {at} "));
            return refuse(format!("{place}can't be read"), reason.message().trim());
        }
    };
    let l = &config.loss;
    let penalised = [l.r1_gamma, l.r2_gamma, l.gp_lambda].iter().any(|weight| *weight > 0.0);
    let penalty = match config.adversary().kind {
        _ if key != "model.d" => None,
        AdversaryKind::Alr => Some("adversary.kind \"alr\", whose penalty is on each sample's own slope"),
        _ => penalised.then_some("a gradient penalty, which is on each sample's own gradient"),
    };
    let normalised = list.layers.iter().position(|layer| layer.name() == "batch_norm");
    if let Some((at, penalty)) = normalised.zip(penalty) {
        let hint = format!("does not go with {penalty}: leave one of them out");
        return refuse(format!("layer {at} (batch_norm)"), &hint);
    }
    list.network(input, &format!("{}: {key}", config.place(key)))
}

fn expect(config: &Config, key: &str, found: &[usize], wanted: &[usize]) -> Result<()> {
    if found == wanted {
        return Ok(());
    }
    Err(Error::setting(config.place(key), key, format!("ends in {found:?}"), format!("must end in {wanted:?}")))
}

/// The model of a configuration with this width; each network is taken from that of its own.
fn model(config: &Config, width: usize) -> Result<Model> {
    let (m, data) = (&config.model, &config.data);
    Ok(match m.kind {
        ModelKind::Dcgan => Model::Dcgan(Dcgan {
            size: data.size,
            z: m.z,
            ngf: width,
            ndf: width,
            channels: data.channels,
            d_norm: m.d_norm,
            max_width: m.max_width.unwrap_or(usize::MAX),
            stddev: m.d_stddev,
        }),
        ModelKind::SnganResnet => {
            Model::Sngan(SnganResnet { size: data.size, z: m.z, width, channels: data.channels, stddev: m.d_stddev })
        }
        ModelKind::R3gan => {
            if data.size < 16 {
                return Err(Error::setting(config.place("data.size"), "data.size", data.size, "must be at least 16"));
            }
            let stages = (data.size / 4).ilog2() as usize + 1;
            // Channels double from the largest resolution down to 8x8 and stay there.
            let most = m.max_width.unwrap_or(usize::MAX);
            let doubled = |s: usize| width << (stages - 1 - s).min(stages.saturating_sub(2));
            let widths = (0..stages).map(|s| doubled(s).min(most)).collect();
            Model::R3gan(R3gan {
                size: data.size,
                z: m.z,
                widths,
                blocks: vec![m.blocks; stages],
                channels: data.channels,
                expansion: m.expansion,
                group_width: m.group_width,
                stddev: m.d_stddev,
            })
        }
        kind @ (ModelKind::Sequential | ModelKind::MnistCnn | ModelKind::Lenet5 | ModelKind::PreactResnet18) => {
            let hint = "is no pair of a generator and a discriminator";
            return Err(Error::setting(config.place("model.kind"), "model.kind", kind.name(), hint));
        }
        ModelKind::Mlp => Model::Mlp(Mlp {
            z: m.z,
            hidden: m.hidden,
            layers: m.layers,
            activation: Activation::Leaky,
            sample: sample_extents(config),
        }),
    })
}
