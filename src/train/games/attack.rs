//! Attacks on a network that learns nothing: as phases of any game, and as a game of their own.

use crate::attack::{self, Attack, Bounds, Memory, Norm, Scene, Stage};
use crate::autodiff::grad;
use crate::graph::{Shape, Tensor};
use crate::nn::{Mode, Network};
use crate::optim::Schedule;
use crate::train::game::{Adam, Batch, Game, Loop, Phase, PhaseGraph, Player, Value};
use crate::train::stream;
use std::cell::RefCell;
use std::sync::{Arc, Mutex, PoisonError};

/// The network that is attacked.
#[derive(Clone)]
pub struct Victim {
    /// Images to logits `[N,K]`.
    pub network: Arc<dyn Network>,
    /// Its name in the game: `C`.
    pub name: String,
    /// Extents of an image: [H, W, C].
    pub sample: Vec<usize>,
}

impl Victim {
    /// Number of its logits.
    pub fn classes(&self) -> usize {
        self.network.output().iter().product()
    }
}

/// Passes through the model, (forward, backward), of each stage of an attack: known once its phases were built.
pub type Passes = Arc<Mutex<Vec<(u64, u64)>>>;

/// An attack as phases of a game, in the order in which they run.
#[derive(Clone)]
pub struct Mounted {
    /// One for each stage: `NAME_begin`, …
    pub phases: Vec<Phase>,
    /// The groups of them that run several times: the steps or tries of one start, inside the restarts.
    pub loops: Vec<Loop>,
    /// What each costs.
    pub passes: Passes,
}

/// Mounts an attack on the images of `batch`, whose labels it reads. What its stages keep is shared under `NAME/…`; the radius of the
/// ball is the game's value `NAME_eps`, the classes that a targeted attack goes for are the labels of the batch `target`.
pub fn mount(attack: &Attack, victim: &Victim, name: &str, batch: &str, targeted: bool) -> Mounted {
    let passes: Passes = Arc::new(Mutex::new(vec![(0, 0); attack.stages.len()]));
    let mut phases = vec![];
    for (number, stage) in attack.stages.iter().cloned().enumerate() {
        let (victim, passes, repeat) = (victim.clone(), passes.clone(), stage.repeat);
        let (prefix, batch) = (name.to_owned(), batch.to_owned());
        let phase = Phase::new(&format!("{name}_{}", stage.name), move |p| {
            let (images, labels) = (p.batch(&batch), p.labels(&batch));
            let target = targeted.then(|| p.labels(TARGET));
            let (scope, eps) = (p.network(&victim.name)?, p.value(&format!("{prefix}_eps")));
            let told = (victim.network.classes() > 0).then_some(labels);
            let model = |x| victim.network.forward(&scope, x, told, Mode::Eval);
            let memory = Shared { phase: RefCell::new(p), prefix: &prefix };
            let scene = Scene::new(images, labels, eps, stream::ADVERSARY, &model, &memory).towards(target);
            stage.run(&scene);
            passes.lock().unwrap_or_else(PoisonError::into_inner)[number] = scene.passes();
            Ok(())
        });
        phases.push(Phase { repeat, ..phase });
    }
    let group = |is_in: fn(&Stage) -> bool, times: u32| {
        let inside = phases.iter().zip(&attack.stages).filter(|(_, stage)| is_in(stage));
        Loop { phases: inside.map(|(phase, _)| phase.name.clone()).collect(), times }
    };
    let loops = [group(|stage| stage.looped, attack.times), group(|stage| stage.restarted, attack.restarts)];
    let loops = loops.into_iter().filter(|l| !l.phases.is_empty()).collect();
    Mounted { phases, loops, passes }
}

/// The change of images that free training carries on, as a persistent tensor of a network: part of a run's checkpoints, and no part of
/// the network, see [`belongs_to_run`].
pub const DELTA: &str = "delta";

/// Whether a persistent tensor is of the training alone: whoever starts from the weights of another run starts it anew.
pub fn belongs_to_run(state: &str) -> bool {
    state.rsplit('.').next().is_some_and(|name| name == DELTA || AUGMENT.contains(&name))
}

/// What the controller of augmentation carries on, likewise: the probability, the last r_t, and the signs and steps since then.
pub const AUGMENT: [&str; 4] = ["augment_p", "augment_rt", "augment_signs", "augment_steps"];

/// The batch whose labels are the classes that a targeted attack goes for.
pub const TARGET: &str = "target";
/// The batch that is attacked by a game of [`evaluation`].
pub const IMAGES: &str = "images";
/// What phases of a game of [`evaluation`] are named by.
pub const NAME: &str = "attack";

/// The memory of an attack: what phases share.
struct Shared<'a, 'p, 'g> {
    phase: RefCell<&'p mut PhaseGraph<'g>>,
    prefix: &'a str,
}

impl<'g> Memory<'g> for Shared<'_, '_, 'g> {
    fn load(&self, name: &str, shape: Shape) -> Tensor<'g> {
        self.phase.borrow().shared(&format!("{}/{name}", self.prefix), shape)
    }

    fn store(&self, name: &str, value: Tensor<'g>) {
        self.phase.borrow_mut().share(&format!("{}/{name}", self.prefix), value);
    }
}

/// A game that attacks batches of images and learns nothing.
pub fn evaluation(attack: &Attack, victim: &Victim, batch: usize, targeted: bool) -> (Game, Passes) {
    let Mounted { phases, loops, passes } = mount(attack, victim, NAME, IMAGES, targeted);
    let labelled = |name: &str| Batch { labels: true, ..Batch::new(name, stream::DATA_D) };
    let game = Game {
        batch,
        sample: victim.sample.clone(),
        classes: Some(victim.classes()),
        networks: vec![Player::new(&victim.name, "classifier", Adam::new(0.0, 0.0, 0.0))],
        batches: [Some(labelled(IMAGES)), targeted.then(|| labelled(TARGET))].into_iter().flatten().collect(),
        values: vec![Value::new(&format!("{NAME}_eps"), Schedule::Constant(0.0))],
        phases,
        loops,
        ..Game::default()
    };
    (game, passes)
}

/// An attack on `discriminator` by `steps` steps of `alpha` within `eps`, in units of the samples, from the samples themselves: what
/// engines are compared by. It normalises by the statistics of the batch and keeps nothing but the last example.
pub fn pgd(discriminator: Arc<dyn Network>, sample: &[usize], batch: usize, steps: u32, eps: f64, alpha: f64) -> Game {
    let constant = |name: &str, value| Value::new(name, Schedule::Constant(value));
    let start = Phase::new("attack_start", |p| {
        let real = p.batch("real");
        p.share("x_adv", real);
        Ok(())
    });
    let step = Phase::new("attack_step", move |p| {
        let (real, x) = (p.batch("real"), p.shared("x_adv", p.batch_shape()));
        let logits = discriminator.forward(&p.network("D")?, x, None, Mode::Train);
        let gradient = grad(logits.scale(-1.0).softplus().sum_all(), &[x])[0];
        let (eps, alpha) = (p.value("attack_eps"), p.value("attack_alpha"));
        p.share("x_adv", attack::step(Norm::Inf, x, real, gradient, alpha, eps, Bounds::IMAGE));
        Ok(())
    });
    Game {
        batch,
        sample: sample.to_vec(),
        networks: vec![Player::new("D", "discriminator", Adam::new(0.0, 0.0, 0.0))],
        batches: vec![Batch::new("real", stream::DATA_D)],
        values: vec![constant("attack_eps", eps), constant("attack_alpha", alpha)],
        phases: vec![start, Phase { repeat: steps, ..step }],
        ..Game::default()
    }
}
