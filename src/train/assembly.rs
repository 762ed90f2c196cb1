//! From a game to a program: flat buffers of every network, a place for every value, one plan per phase, and the order in which
//! an iteration runs them.

use super::game::{self, Built, Game, Phase, Player, When};
use crate::config::Config;
use crate::graph::Op;
use crate::nn::{ParamSpec, StateSpec};
use crate::optim::Flat;
use crate::plan::{ALIGN, Builder, Class, Draw, Element, Options, Places, Precision, Program, Region, Work};
use crate::{Error, Result};
use std::collections::HashMap;

/// A network's flat buffers.
#[derive(Clone, Debug)]
pub struct Learner {
    /// Its name in the game.
    pub name: String,
    /// Which tensor lies where.
    pub flat: Flat,
    /// Weights.
    pub param: Region,
    /// Where it learns: gradients and moments.
    pub training: Option<Training>,
    /// Moving average of the weights.
    pub ema: Option<Region>,
}

/// The buffers of a network that learns.
#[derive(Clone, Copy, Debug)]
pub struct Training {
    /// Gradients of the last step.
    pub grad: Region,
    /// First moments.
    pub m: Region,
    /// Second moments.
    pub v: Region,
    /// Index of the tensor that owns each block.
    pub owner: Region,
    /// Gradients that were not finite, by tensor, added up.
    pub bad: Region,
    /// Where losses are scaled.
    scaler: Option<Scaler>,
}

/// What scales a network's loss; see [`Work::LossScale`].
#[derive(Clone, Copy, Debug)]
struct Scaler {
    /// Scale, steps since it changed, steps left out.
    state: Region,
    /// Square of the norm of the scaled gradients.
    square: Region,
    /// The optimiser's scalars for scaled gradients.
    gated: Region,
}

/// A data set that is resident on the device.
#[derive(Clone, Copy, Debug)]
pub struct Resident {
    /// Images in it.
    pub count: usize,
    /// Flip half of them.
    pub mirror: bool,
    /// Whether each has a label.
    pub labels: bool,
}

impl Resident {
    /// What the set of a configuration would be, without opening it, for plans that are made and not run.
    pub fn of(config: &Config, game: &Game) -> Option<Resident> {
        let labels = game.batches.iter().any(|batch| batch.labels);
        (game.sample.len() == 3).then_some(Resident { count: config.data.count, mirror: config.data.mirror, labels })
    }
}

/// A batch of data on the device.
#[derive(Clone, Debug)]
pub struct Fed {
    /// Its number in [`Game::batches`].
    pub batch: usize,
    /// The samples.
    pub values: Region,
    /// Their labels.
    pub labels: Option<Region>,
    /// Epoch and place of its first image, where it is drawn from the resident set …
    pub cursor: Option<Region>,
    /// … by this plan.
    draw: Option<usize>,
}

/// One run of an optimiser: after a phase, for a network that learned from it.
#[derive(Clone, Debug)]
pub struct Update {
    /// Number of the network.
    pub network: usize,
    /// Number of the phase.
    pub phase: usize,
    /// The eight scalars of Adam.
    pub adam: Region,
    /// Norm of the gradients, scale of the loss, optimiser.
    plans: Vec<usize>,
}

/// The plans of a phase.
#[derive(Clone, Debug)]
struct Planned {
    plan: usize,
    /// Batches it reads, by number.
    reads: Vec<usize>,
    /// Phases part of which runs ahead of this one: (phase, plan of that part).
    ahead: Vec<(usize, usize)>,
}

/// The plan of an inference.
#[derive(Clone, Debug)]
pub struct Answer {
    /// Number of the plan.
    pub plan: usize,
    /// What it is given, by name.
    pub inputs: Vec<(String, Region)>,
    /// What it makes.
    pub output: Region,
}

/// A program that trains a game, and what its buffers mean.
#[derive(Clone)]
pub struct Assembly {
    /// What it was made from.
    pub game: Game,
    /// Buffers and plans.
    pub program: Program,
    /// Networks, in the order of the game.
    pub learners: Vec<Learner>,
    /// Persistent tensors other than weights.
    pub states: Vec<(StateSpec, Region)>,
    /// The resident data set, packed bytes, and its labels.
    pub data: Option<(Region, Option<Region>)>,
    /// Where the draws of an iteration start, at multiples of [`ALIGN`], where the set is resident: written at once.
    pub cursors: Option<Region>,
    /// Batches in the order of the game.
    pub fed: Vec<Fed>,
    /// Every per-step value, each at a multiple of [`ALIGN`]: written at once.
    pub scalars: Region,
    /// Where each of [`Game::values`] lies.
    pub values: Vec<Region>,
    /// Optimiser runs, in the order of phases.
    pub updates: Vec<Update>,
    /// Names of the logged scalars: the columns of the ring.
    pub log_names: Vec<String>,
    /// Which phase logs a scalar first; a gradient's norm belongs to the phase its network learns from.
    pub log_phase: HashMap<String, usize>,
    /// Rows of logged scalars, row `step % rows`.
    pub ring: Region,
    /// Rows of the ring.
    pub ring_rows: usize,
    /// The inference, where the game has one.
    pub answer: Option<Answer>,
    phases: Vec<Planned>,
    /// The plan that keeps the row of the log.
    log: Option<usize>,
}

impl Assembly {
    /// Builds the program. `resident` is the data set, where it lies on the device; `ring_rows` says how many iterations are
    /// logged between reads.
    ///
    /// # Errors
    /// [`Error::Graph`]: a phase whose shapes do not fit, names that nobody knows, a graph that can't be lowered.
    pub fn new(game: &Game, resident: Option<Resident>, ring_rows: usize, options: Options) -> Result<Assembly> {
        check(game, resident)?;
        let scaled = options.precision == Precision::F16;
        let built = game.graphs(scaled)?;
        let (phases, inference) = built.split_at(game.phases.len());
        let mut b = Builder::new(options);
        let penalties: Vec<&str> = phases.iter().flat_map(|p| p.penalties.iter().map(String::as_str)).collect();
        let plain: Vec<&str> = phases.iter().flat_map(|p| p.dag.roots.iter().map(|(name, _)| name.as_str())).collect();
        let plain: Vec<&str> =
            plain.into_iter().filter(|name| name.starts_with("log/") && !penalties.contains(name)).collect();
        b.keep_exact(&penalties, &plain);

        // Per-step values: the optimisers' first, then the game's.
        let trained: Vec<(usize, usize)> = (0..phases.len())
            .flat_map(|p| phases[p].trains.iter().filter_map(move |n| Some((p, game.network(n)?))))
            .collect();
        let slots = trained.len() + game.values.len();
        let scalars = b.buffer("scalars", slots.max(1) * ALIGN, Element::F32, Class::Scalar);
        let slot = |i: usize, len| Region { buffer: scalars.buffer, offset: i * ALIGN, len };
        let values: Vec<Region> = (0..game.values.len()).map(|i| slot(trained.len() + i, 1)).collect();

        let learners: Vec<Learner> = (0..game.networks.len())
            .map(|n| {
                let trains = trained.iter().any(|(_, network)| *network == n);
                learner(&mut b, &game.networks[n], parameters(&built, game, n), trains, scaled)
            })
            .collect();
        let batch = game.batch * game.sample_elems();
        let cursors = resident
            .filter(|_| !game.batches.is_empty())
            .map(|_| b.buffer("cursors", game.batches.len() * ALIGN, Element::U32, Class::Scalar));
        let mut fed: Vec<Fed> = (0..game.batches.len())
            .map(|i| {
                let spec = &game.batches[i];
                let values = b.buffer(&spec.name, batch, Element::F32, Class::Input);
                let name = game::labels_of(&spec.name);
                let labels = spec.labels.then(|| b.buffer(&name, game.batch, Element::F32, Class::Input));
                let cursor = cursors.map(|all| Region { offset: i * ALIGN, len: 2, ..all });
                Fed { batch: i, values, labels, cursor, draw: None }
            })
            .collect();

        let mut leaves = Places::new();
        let mut roots = Places::new();
        for (spec, fed) in game.batches.iter().zip(&fed) {
            leaves.insert(spec.name.clone(), fed.values);
            leaves.extend(fed.labels.map(|labels| (game::labels_of(&spec.name), labels)));
        }
        leaves.extend(game.values.iter().zip(&values).map(|(value, at)| (game::value_leaf(&value.name), *at)));
        // What phases hand to each other.
        let shared = phases.iter().flat_map(|p| &p.dag.roots).filter(|(name, _)| name.starts_with("shared/"));
        for (name, _) in shared {
            if !leaves.contains_key(name) {
                let len = phases.iter().map(|p| p.dag.root_elems(name)).max().unwrap_or(0);
                let region = b.buffer(name.trim_start_matches("shared/"), len, Element::F32, Class::State);
                leaves.insert(name.clone(), region);
                roots.insert(name.clone(), region);
            }
        }
        let mut states: Vec<(StateSpec, Region)> = vec![];
        for spec in built.iter().flat_map(|p| &p.states) {
            if states.iter().all(|(known, _)| known.name != spec.name) {
                states.push((spec.clone(), b.buffer(&spec.name, spec.shape.elems(), Element::F32, Class::State)));
            }
        }
        for learner in &learners {
            for entry in &learner.flat.entries {
                leaves.insert(entry.spec.name.clone(), learner.flat.region(learner.param, entry));
                if let Some(training) = &learner.training {
                    roots.insert(game::grad_root(&entry.spec.name), learner.flat.region(training.grad, entry));
                }
            }
            if let Some(scaler) = learner.training.and_then(|t| t.scaler) {
                leaves.insert(game::scale_leaf(&learner.name), Region { len: 1, ..scaler.state });
                let name = format!("scaler.{}", learner.name);
                states.push((StateSpec { name, shape: [3].into(), init: 0.0 }, scaler.state));
            }
        }
        for phase in &built {
            let mut unmade = phase.dag.nodes.iter().filter_map(|node| match &node.op {
                Op::State(name) => name.strip_prefix("shared/").filter(|_| !leaves.contains_key(&**name)),
                _ => None,
            });
            if let Some(name) = unmade.next() {
                return Err(Error::Graph(format!("phase {}: reads {name}, which no phase shares", phase.name)));
            }
        }
        for (state, region) in &states {
            leaves.insert(state.name.clone(), *region);
            roots.insert(game::state_root(&state.name), *region);
        }

        let mut log_names: Vec<String> = vec![];
        let mut log_phase: HashMap<String, usize> = HashMap::new();
        for (p, name) in phases.iter().enumerate().flat_map(|(p, phase)| phase.logs().map(move |name| (p, name))) {
            if !log_phase.contains_key(name) {
                log_names.push(name.to_owned());
                log_phase.insert(name.to_owned(), p);
            }
        }
        let mut norms: HashMap<usize, usize> = HashMap::new();
        for (n, network) in game.networks.iter().enumerate().filter(|(n, _)| learners[*n].training.is_some()) {
            norms.insert(n, log_names.len());
            let names = ["grad_norm", "loss_scale", "steps_left_out"].iter().take(if scaled { 3 } else { 1 });
            let names: Vec<String> = names.map(|name| format!("{}_{name}", network.name.to_lowercase())).collect();
            let phase = trained.iter().find(|(_, of)| *of == n).map_or(0, |(phase, _)| *phase);
            log_phase.extend(names.iter().map(|name| (name.clone(), phase)));
            log_names.extend(names);
        }
        let log = b.buffer("log", log_names.len().max(1) * ALIGN, Element::F32, Class::Output);
        let ring = b.buffer("ring", (log_names.len() * ring_rows).max(1), Element::F32, Class::Output);
        let log_at = |i: usize| Region { buffer: log.buffer, offset: i * ALIGN, len: 1 };
        roots.extend(log_names.iter().enumerate().map(|(i, name)| (format!("log/{name}"), log_at(i))));

        let data = resident.map(|r| {
            let bytes: usize = r.count * game.sample_elems();
            let labels = r.labels.then(|| b.buffer("data.labels", r.count, Element::U32, Class::Data));
            (b.buffer("data", bytes.div_ceil(4), Element::U32, Class::Data), labels)
        });
        // Plans stand in the order they run: memory is shared by it.
        let mut planned: Vec<Planned> = vec![];
        let mut updates: Vec<Update> = vec![];
        let mut rests = HashMap::new();
        for (p, phase) in game.phases.iter().enumerate() {
            let reads = reads(game, &phases[p]);
            let mut draws = reads.clone();
            let others: Vec<usize> =
                (0..game.phases.len()).filter(|&other| runs_ahead_of(game, other, phase)).collect();
            let first: Vec<usize> = others.iter().copied().filter(|other| !rests.contains_key(other)).collect();
            draws.extend(first.iter().flat_map(|&other| self::reads(game, &phases[other])));
            for i in draws {
                if fed[i].draw.is_none() {
                    fed[i].draw = resident.zip(data).map(|(r, data)| draw(&mut b, game, &fed[i], r, data));
                }
            }
            for other in first {
                let Some(ahead) = &game.phases[other].ahead else { continue };
                let (dag, root) = (&phases[other].dag, game::shared_leaf(&ahead.makes));
                let (plan, rest) = b.plan_until(&ahead.makes, &root, dag, &leaves, &roots)?;
                rests.insert(other, (plan, rest));
            }
            let ahead = others.iter().filter_map(|other| Some((*other, rests.get(other)?.0))).collect();
            let plan = match rests.remove(&p) {
                Some((_, rest)) => b.resume(&phase.name, rest),
                None => b.plan(&phase.name, &phases[p].dag, &leaves, &roots)?,
            };
            planned.push(Planned { plan, reads, ahead });
            for &(_, n) in trained.iter().filter(|(phase, _)| *phase == p) {
                let adam = slot(updates.len(), 8);
                let logged = [0, 1, 2].map(|i| log_at(norms[&n] + i));
                let several = phases[p].trains.len() > 1;
                let name = if several { format!("{}_{}", phase.name, learners[n].name) } else { phase.name.clone() };
                let plans = update(&mut b, &name, &learners[n], adam, logged);
                updates.push(Update { network: n, phase: p, adam, plans });
            }
        }
        let work = Work::LogRow { count: log_names.len(), rows: ring_rows };
        let log = (!log_names.is_empty()).then(|| b.step("log", work, vec![log], vec![ring]));
        let answer = match (&game.inference, inference.first()) {
            (Some(spec), Some(built)) => Some(answer(&mut b, spec, built, &learners, &leaves, &roots)?),
            _ => None,
        };
        Ok(Assembly {
            game: game.clone(),
            program: b.finish(),
            learners,
            states,
            data,
            cursors,
            fed,
            scalars,
            values,
            updates,
            log_names,
            log_phase,
            ring,
            ring_rows,
            answer,
            phases: planned,
            log,
        })
    }

    /// The plans of iteration `step` in order, with how many times each runs in a row.
    pub fn schedule(&self, step: u64) -> Vec<(usize, u32)> {
        let mut order = vec![];
        let (mut drawn, mut made) = (vec![false; self.fed.len()], vec![]);
        for (p, phase) in self.game.phases.iter().enumerate().filter(|(_, phase)| phase.when.is_due(step)) {
            let planned = &self.phases[p];
            let ahead = planned.ahead.iter().flat_map(|(other, _)| &self.phases[*other].reads);
            for &i in planned.reads.iter().chain(ahead) {
                if !std::mem::replace(&mut drawn[i], true) {
                    order.extend(self.fed[i].draw.map(|draw| (draw, 1)));
                }
            }
            for &(_, plan) in &planned.ahead {
                if !made.contains(&plan) {
                    made.push(plan);
                    order.push((plan, 1));
                }
            }
            let updates: Vec<(usize, u32)> =
                self.updates.iter().filter(|u| u.phase == p).flat_map(|u| &u.plans).map(|&plan| (plan, 1)).collect();
            if updates.is_empty() {
                order.push((planned.plan, phase.repeat));
            } else {
                (0..phase.repeat).for_each(|_| order.extend([&[(planned.plan, 1)], updates.as_slice()].concat()));
            }
        }
        order.extend(self.log.map(|log| (log, 1)));
        order
    }

    /// Whether iteration `step` reads batch `i`.
    pub fn is_read(&self, i: usize, step: u64) -> bool {
        let due = |p: usize| self.game.phases[p].when.is_due(step);
        let reads = |p: usize| {
            let ahead = self.phases[p].ahead.iter().any(|(other, _)| self.phases[*other].reads.contains(&i));
            ahead || self.phases[p].reads.contains(&i)
        };
        (0..self.phases.len()).any(|p| due(p) && reads(p))
    }

    /// Iterations before `step` that read batch `i`.
    pub fn times_read(&self, i: usize, step: u64) -> u64 {
        let cycle = self.game.cycle();
        let within = |end: u64| (0..end).filter(|&s| self.is_read(i, s)).count() as u64;
        step / cycle * within(cycle) + within(step % cycle)
    }

    /// Where the value of a name lies.
    pub fn value(&self, name: &str) -> Option<Region> {
        self.game.values.iter().position(|value| value.name == name).map(|i| self.values[i])
    }

    /// Bytes of all buffers.
    pub fn bytes(&self) -> u64 {
        self.program.bytes()
    }
}

/// Refuses games that make no sense, before anything is built.
fn check(game: &Game, resident: Option<Resident>) -> Result<()> {
    let refuse = |reason: String| Err(Error::Graph(reason));
    if game.batch == 0 || game.sample_elems() == 0 {
        return refuse(format!("a game with batches of {} samples {:?} trains nothing", game.batch, game.sample));
    }
    let mut names: Vec<&str> = game.phases.iter().map(|p| p.name.as_str()).collect();
    names.extend(game.inference.iter().map(|i| i.name.as_str()));
    names.extend(game.batches.iter().map(|b| b.name.as_str()));
    names.extend(game.networks.iter().map(|n| n.name.as_str()));
    let twice = names.iter().enumerate().find(|(i, name)| names[..*i].contains(name));
    if let Some((_, name)) = twice {
        return refuse(format!(
            "the game uses the name {name} twice: phases, batches and networks need names of their own"
        ));
    }
    if let Some(phase) = game.phases.iter().find(|p| p.when.every == 0 || p.when.at >= p.when.every) {
        let When { every, at, .. } = phase.when;
        return refuse(format!("phase {} runs at {at} of every {every} iterations, which never comes", phase.name));
    }
    for phase in &game.phases {
        let Some(ahead) = &phase.ahead else { continue };
        let at = |name: &str| game.phases.iter().position(|p| p.name == name);
        if let Some(before) = ahead.before.iter().find(|b| at(b).is_none() || at(b) >= at(&phase.name)) {
            let (name, makes) = (&phase.name, &ahead.makes);
            return refuse(format!("phase {name}: {makes} is made ahead of {before}, which must be an earlier phase"));
        }
    }
    if let Some(r) = resident {
        if game.sample.len() != 3 {
            return refuse(format!("a resident set of images can't feed samples of extents {:?}", game.sample));
        }
        if let Some(batch) = game.batches.iter().find(|b| b.labels && !r.labels) {
            return refuse(format!("batch {} needs labels, and the data set has none", batch.name));
        }
    }
    Ok(())
}
/// Whether part of phase `other` runs ahead of `phase`.
fn runs_ahead_of(game: &Game, other: usize, phase: &Phase) -> bool {
    game.phases[other].ahead.as_ref().is_some_and(|ahead| ahead.before.contains(&phase.name))
}

/// The batches that a phase reads, by number.
fn reads(game: &Game, built: &Built) -> Vec<usize> {
    let leaf = |name: &str| built.dag.inputs().any(|input| input == name);
    let read = |i: &usize| leaf(&game.batches[*i].name) || leaf(&game::labels_of(&game.batches[*i].name));
    (0..game.batches.len()).filter(read).collect()
}

/// The parameters of a network: first those of the phases it learns from, in the order they declare them.
fn parameters(built: &[Built], game: &Game, n: usize) -> Vec<ParamSpec> {
    let trains = |p: &&Built| p.trains.contains(&game.networks[n].name);
    let mut params: Vec<ParamSpec> = vec![];
    for phase in built.iter().filter(trains).chain(built.iter().filter(|p| !trains(p))) {
        for spec in &phase.params[n] {
            if params.iter().all(|known| known.name != spec.name) {
                params.push(spec.clone());
            }
        }
    }
    params
}

fn learner(b: &mut Builder, player: &Player, params: Vec<ParamSpec>, trains: bool, scaled: bool) -> Learner {
    let flat = Flat::new(params);
    let (name, len) = (&player.name, flat.len);
    let mut buffer = |what: &str, len, element, class| b.buffer(&format!("{name}.{what}"), len, element, class);
    let scaler = (trains && scaled).then(|| Scaler {
        state: buffer("scaler", 3, Element::F32, Class::State),
        square: buffer("square", 1, Element::F32, Class::Scalar),
        gated: buffer("gated", 8, Element::F32, Class::Scalar),
    });
    let param = buffer("param", len, Element::F32, Class::Param);
    let training = trains.then(|| Training {
        grad: buffer("grad", len, Element::F32, Class::Grad),
        m: buffer("m", len, Element::F32, Class::Moment),
        v: buffer("v", len, Element::F32, Class::Moment),
        owner: buffer("owner", len / ALIGN, Element::U32, Class::Scalar),
        bad: buffer("bad", flat.entries.len(), Element::U32, Class::Output),
        scaler,
    });
    let ema = (trains && player.average.is_some()).then(|| buffer("ema", len, Element::F32, Class::Ema));
    Learner { name: name.clone(), flat, param, training, ema }
}

/// The plan that draws a batch from the resident set.
fn draw(b: &mut Builder, game: &Game, fed: &Fed, resident: Resident, data: (Region, Option<Region>)) -> usize {
    let spec = &game.batches[fed.batch];
    let image = [game.sample[0], game.sample[1], game.sample[2]];
    let Resident { count, mirror, .. } = resident;
    let work = Work::Draw(Draw { count, n: game.batch, image, labels: spec.labels, mirror, stream: spec.stream });
    let inputs = [Some(data.0), data.1.filter(|_| spec.labels), fed.cursor].into_iter().flatten().collect();
    let outputs = [Some(fed.values), fed.labels].into_iter().flatten().collect();
    b.step(&format!("draw_{}", spec.name), work, inputs, outputs)
}

/// The plans between a network's gradients and its new weights; `log` takes the square of the norm of the gradients and, where
/// losses are scaled, the scale and the steps left out.
fn update(b: &mut Builder, name: &str, learner: &Learner, adam: Region, log: [Region; 3]) -> Vec<usize> {
    let Some(t) = &learner.training else { return vec![] };
    let [norm, used, left_out] = log;
    let mut plans = vec![b.sum_squares(&format!("{name}_norm"), t.grad, t.scaler.map_or(norm, |s| s.square))];
    if let Some(Scaler { state, square, gated }) = t.scaler {
        let outputs = vec![state, gated, norm, used, left_out];
        plans.push(b.step(&format!("{name}_scale"), Work::LossScale, vec![square, adam], outputs));
    }
    let scalars = t.scaler.map_or(adam, |scaler| scaler.gated);
    let outputs = [vec![learner.param, t.m, t.v], learner.ema.into_iter().collect(), vec![t.bad]].concat();
    plans.push(b.step(&format!("{name}_adam"), Work::Adam, vec![scalars, t.grad, t.owner], outputs));
    plans
}

/// The plan of an inference, by averaged weights where there are any.
fn answer(
    b: &mut Builder,
    spec: &game::Inference,
    built: &Built,
    learners: &[Learner],
    leaves: &Places,
    roots: &Places,
) -> Result<Answer> {
    let inputs: Vec<(String, Region)> = spec
        .inputs
        .iter()
        .map(|(name, extents)| {
            let len = spec.rows * extents.iter().product::<usize>();
            (name.clone(), b.buffer(name, len, Element::F32, Class::Input))
        })
        .collect();
    let len = spec.rows * spec.output.iter().product::<usize>();
    let output = b.buffer("output", len, Element::F32, Class::Output);
    let mut leaves = leaves.clone();
    leaves.extend(inputs.iter().map(|(name, region)| (game::given_leaf(name), *region)));
    for learner in learners {
        let weights = learner.ema.unwrap_or(learner.param);
        let entries = learner.flat.entries.iter();
        leaves.extend(entries.map(|e| (e.spec.name.clone(), learner.flat.region(weights, e))));
    }
    let mut roots = roots.clone();
    roots.insert(game::OUTPUT.into(), output);
    let plan = b.plan(&spec.name, &built.dag, &leaves, &roots)?;
    Ok(Answer { plan, inputs, output })
}
