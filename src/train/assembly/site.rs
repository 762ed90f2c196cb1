//! A program while it is assembled: buffers first, with the places of what phases read and make, then the plans over them.

use super::{Answer, Fed, Learner, Planned, Resident, Scaler, Training, Update};
use crate::graph::{Node, Op};
use crate::nn::{Init, ParamSpec, StateSpec};
use crate::optim::Flat;
use crate::plan::{ALIGN, Builder, Class, Draw, Element, OPTIMISER_SCALARS, Options, Places, RNG, Region, Work};
use crate::train::game::{self, Built, Game, Loop, Phase, Player};
use crate::{Error, Result};
use std::collections::HashMap;

/// Numbers in the state of a [`Work::LossScale`].
const SCALER: usize = 5;

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

/// A program while it is assembled.
pub(super) struct Site<'a> {
    game: &'a Game,
    phases: &'a [Built],
    /// Their graphs for the other parts of a batch.
    rest: &'a [Vec<Built>],
    /// (phase, network that learns from it), in order.
    trained: Vec<(usize, usize)>,
    resident: Option<Resident>,
    pub b: Builder,
    /// Where what phases read lies …
    leaves: Places,
    /// … and where what they make goes.
    roots: Places,
}

/// The columns of the log.
pub(super) struct Log {
    pub names: Vec<String>,
    /// Which phase logs a name first.
    pub phase: HashMap<String, usize>,
    /// By network that learns: the column of the norm of its gradients.
    norms: HashMap<usize, usize>,
    /// The row of an iteration, a column at each multiple of [`ALIGN`].
    pub row: Region,
    /// The last rows.
    pub ring: Region,
    /// Where batches come in parts: sums go back and forth between this and the row, and end there.
    partial: Option<Region>,
}

impl Log {
    fn at(&self, column: usize) -> Region {
        Region { offset: column * ALIGN, len: 1, ..self.row }
    }
}

impl<'a> Site<'a> {
    pub fn new(
        game: &'a Game,
        phases: &'a [Built],
        rest: &'a [Vec<Built>],
        trained: Vec<(usize, usize)>,
        resident: Option<Resident>,
        options: Options,
    ) -> Site<'a> {
        let (leaves, roots) = (Places::new(), Places::new());
        Site { game, phases, rest, trained, resident, b: Builder::new(options), leaves, roots }
    }

    /// Penalties and what depends on them stay in 32 bits.
    pub fn keep_penalties_exact(&mut self) {
        let penalties: Vec<&str> = self.phases.iter().flat_map(|p| p.penalties.iter().map(String::as_str)).collect();
        let roots = self.phases.iter().flat_map(|p| p.dag.roots.iter().map(|(name, _)| name.as_str()));
        let plain: Vec<&str> = roots.filter(|name| name.starts_with("log/") && !penalties.contains(name)).collect();
        self.b.keep_exact(&penalties, &plain);
    }

    /// A per-step value: the optimisers' come first, then the game's.
    fn slot(scalars: Region, i: usize, len: usize) -> Region {
        Region { offset: i * ALIGN, len, ..scalars }
    }

    /// The buffer of per-step values, and where those of the game lie.
    pub fn scalars(&mut self) -> (Region, Vec<Region>) {
        let (updates, values) = (self.trained.len(), &self.game.values);
        let scalars = self.b.buffer("scalars", (updates + values.len()).max(1) * ALIGN, Element::F32, Class::Scalar);
        let at: Vec<Region> = (0..values.len()).map(|i| Site::slot(scalars, updates + i, 1)).collect();
        self.leaves.extend(values.iter().zip(&at).map(|(value, at)| (game::value_leaf(&value.name), *at)));
        (scalars, at)
    }

    /// The networks, and places of their weights and gradients.
    pub fn learners(&mut self, built: &[Built], scaled: bool) -> Vec<Learner> {
        let mut learners = vec![];
        for (n, player) in self.game.networks.iter().enumerate() {
            let trains = self.trained.iter().any(|(_, network)| *network == n);
            let params = parameters(built, self.game, n);
            let learner = learner(&mut self.b, player, params, [trains, scaled, self.game.parts() > 1]);
            for entry in &learner.flat.entries {
                self.leaves.insert(entry.spec.name.clone(), learner.flat.region(learner.param, entry));
                if let Some(training) = &learner.training {
                    self.roots.insert(game::grad_root(&entry.spec.name), learner.flat.region(training.grad, entry));
                }
            }
            learners.push(learner);
        }
        learners
    }

    /// Where the draws of an iteration start, where the device makes them.
    pub fn cursors(&mut self) -> Option<Region> {
        let len = self.game.batches.len() * ALIGN;
        (self.resident.is_some() && len > 0).then(|| self.b.buffer("cursors", len, Element::U32, Class::Scalar))
    }

    /// Places of the batches; what draws them comes with the phases.
    pub fn batches(&mut self, cursors: Option<Region>) -> Vec<Fed> {
        let mut fed = vec![];
        for (i, spec) in self.game.batches.iter().enumerate() {
            let len = self.game.batch * self.game.sample_elems();
            let values = self.b.buffer(&spec.name, len, Element::F32, Class::Input);
            let name = game::labels_of(&spec.name);
            let labels = spec.labels.then(|| self.b.buffer(&name, self.game.batch, Element::F32, Class::Input));
            self.leaves.insert(spec.name.clone(), values);
            self.leaves.extend(labels.map(|labels| (name, labels)));
            let cursor = cursors.map(|all| Region { offset: i * ALIGN, len: 2, ..all });
            fed.push(Fed { batch: i, values, labels, cursor, draw: None });
        }
        fed
    }

    /// Places of what phases hand to each other, by name.
    ///
    /// # Errors
    /// A phase that reads what no phase shares.
    pub fn shared(&mut self, built: &[Built]) -> Result<HashMap<String, Region>> {
        let mut shared = HashMap::new();
        for phase in self.phases {
            for (name, id) in phase.dag.roots.iter().filter(|(name, _)| name.starts_with("shared/")) {
                if !self.leaves.contains_key(name) {
                    let (own, len) = (name.trim_start_matches("shared/"), phase.dag.nodes[*id].shape.elems());
                    let region = self.b.buffer(own, len, Element::F32, Class::State);
                    self.leaves.insert(name.clone(), region);
                    self.roots.insert(name.clone(), region);
                    shared.insert(own.to_owned(), region);
                }
            }
        }
        for phase in built {
            let mut unmade = phase.dag.nodes.iter().filter_map(|node| match &node.op {
                Op::State(name) => name.strip_prefix("shared/").filter(|_| !self.leaves.contains_key(&**name)),
                _ => None,
            });
            if let Some(name) = unmade.next() {
                return Err(Error::Graph(format!("phase {}: reads {name}, which no phase shares", phase.name)));
            }
        }
        Ok(shared)
    }

    /// The plans that count the runs of phases: the next, and back to the first.
    pub fn rounds(&mut self) -> [usize; 2] {
        let rng = Region { buffer: RNG, offset: 0, len: 4 };
        [("next_round", false), ("first_round", true)]
            .map(|(name, reset)| self.b.step(name, Work::Round { reset }, vec![], vec![rng]))
    }

    /// Persistent tensors of the networks, scales of losses among them.
    pub fn states(&mut self, built: &[Built], learners: &[Learner]) -> Vec<(StateSpec, Region)> {
        let mut states: Vec<(StateSpec, Region)> = vec![];
        for spec in built.iter().flat_map(|p| &p.states) {
            if states.iter().all(|(known, _)| known.name != spec.name) {
                let region = self.b.buffer(&spec.name, spec.shape.elems(), Element::F32, Class::State);
                states.push((spec.clone(), region));
            }
        }
        for learner in learners {
            if let Some(scaler) = learner.training.as_ref().and_then(|t| t.scaler) {
                self.leaves.insert(game::scale_leaf(&learner.name), Region { len: 1, ..scaler.state });
                let name = format!("scaler.{}", learner.name);
                states.push((StateSpec { name, shape: [SCALER].into(), init: Init::Zeros }, scaler.state));
            }
        }
        for (state, region) in &states {
            self.leaves.insert(state.name.clone(), *region);
            self.roots.insert(game::state_root(&state.name), *region);
        }
        states
    }

    /// What phases log, in order, then what optimisers do.
    pub fn log(&mut self, learners: &[Learner], ring_rows: usize, scaled: bool) -> Log {
        let (mut names, mut phase, mut norms) = (vec![], HashMap::new(), HashMap::new());
        for (p, name) in self.phases.iter().enumerate().flat_map(|(p, phase)| phase.logs().map(move |name| (p, name))) {
            if !phase.contains_key(name) {
                names.push(name.to_owned());
                phase.insert(name.to_owned(), p);
            }
        }
        for (n, learner) in learners.iter().enumerate().filter(|(_, learner)| learner.training.is_some()) {
            norms.insert(n, names.len());
            let first = self.trained.iter().find(|(_, of)| *of == n).map_or(0, |(phase, _)| *phase);
            for what in &["grad_norm", "loss_scale", "steps_left_out"][..if scaled { 3 } else { 1 }] {
                let name = format!("{}_{what}", learner.name.to_lowercase());
                phase.insert(name.clone(), first);
                names.push(name);
            }
        }
        let row = self.b.buffer("log", names.len().max(1) * ALIGN, Element::F32, Class::Output);
        let ring = self.b.buffer("ring", (names.len() * ring_rows).max(1), Element::F32, Class::Output);
        let parted = self.game.parts() > 1;
        let partial = parted.then(|| self.b.buffer("log partial", row.len, Element::F32, Class::Output));
        let log = Log { names, phase, norms, row, ring, partial };
        let places = log.names.iter().enumerate().map(|(i, name)| (format!("log/{name}"), log.at(i)));
        self.roots.extend(places);
        log
    }

    /// The resident data set and its labels.
    pub fn data(&mut self) -> Option<(Region, Option<Region>)> {
        let r = self.resident?;
        let words = (r.count * self.game.sample_elems()).div_ceil(4);
        let labels = r.labels.then(|| self.b.buffer("data.labels", r.count, Element::U32, Class::Data));
        Some((self.b.buffer("data", words, Element::U32, Class::Data), labels))
    }

    /// The plans of all phases, draws before them and optimisers behind: in the order they run, by which memory is shared.
    pub fn plans(
        &mut self,
        fed: &mut [Fed],
        data: Option<(Region, Option<Region>)>,
        learners: &[Learner],
        scalars: Region,
        log: &Log,
    ) -> Result<(Vec<Planned>, Vec<Update>)> {
        let (mut planned, mut updates, mut rests) = (vec![], vec![], HashMap::new());
        let moves = self.moves_on();
        for (p, phase) in self.game.phases.iter().enumerate() {
            let others: Vec<usize> =
                (0..self.game.phases.len()).filter(|&other| runs_ahead_of(self.game, other, phase)).collect();
            let first: Vec<usize> = others.iter().copied().filter(|other| !rests.contains_key(other)).collect();
            for reader in first.iter().chain([&p]) {
                for i in reads(self.game, &self.phases[*reader]) {
                    if fed[i].draw.is_none() {
                        fed[i].draw = self.draw(&fed[i], data);
                    }
                }
            }
            for other in first {
                let Some(ahead) = &self.game.phases[other].ahead else { continue };
                let (dag, root) = (&self.phases[other].dag, game::shared_leaf(&ahead.makes));
                let part = self.b.plan_until(&ahead.makes, &root, dag, &self.leaves, &self.roots)?;
                rests.insert(other, part);
            }
            let ahead = others.iter().filter_map(|other| Some((*other, rests.get(other)?.0))).collect();
            let plans = match rests.remove(&p) {
                Some((_, rest)) => vec![self.b.resume(&phase.name, rest)],
                None => (0..self.game.parts())
                    .map(|part| self.plan_part(p, part, learners, log))
                    .collect::<Result<Vec<_>>>()?,
            };
            planned.push(Planned { plans, draws: moves[p], reads: reads(self.game, &self.phases[p]), ahead });
            for n in self.trained.iter().filter(|(phase, _)| *phase == p).map(|(_, n)| *n) {
                let scalars = Site::slot(scalars, updates.len(), OPTIMISER_SCALARS);
                let several = self.phases[p].trains.len() > 1;
                let name = if several { format!("{}_{}", phase.name, learners[n].name) } else { phase.name.clone() };
                let columns = [0, 1, 2].map(|i| log.at(log.norms[&n] + i));
                let optimiser = self.game.networks[n].optimiser.work();
                let plans = update(&mut self.b, &name, &learners[n], optimiser, scalars, columns);
                updates.push(Update { network: n, phase: p, scalars, plans });
            }
        }
        Ok((planned, updates))
    }

    /// The plan of phase `p` for part `part` of a batch. What is summed over parts goes back and forth between two places, so that no step
    /// reads what it writes, and ends where the optimiser and the log look for it.
    fn plan_part(&mut self, p: usize, part: usize, learners: &[Learner], log: &Log) -> Result<usize> {
        let (phase, parts) = (&self.game.phases[p], self.game.parts());
        if parts == 1 {
            return self.b.plan(&phase.name, &self.phases[p].dag, &self.leaves, &self.roots);
        }
        let (mut leaves, mut roots) = (self.leaves.clone(), self.roots.clone());
        let mut alternate = |root: String, ends: Region, other: Region| {
            let [to, from] = if (parts - 1 - part).is_multiple_of(2) { [ends, other] } else { [other, ends] };
            leaves.insert(game::sum_leaf(&root), from);
            roots.insert(root, to);
        };
        for learner in learners {
            let Some(Training { grad, partial: Some(partial), .. }) = learner.training else { continue };
            for entry in &learner.flat.entries {
                let at = |whole| learner.flat.region(whole, entry);
                alternate(game::grad_root(&entry.spec.name), at(grad), at(partial));
            }
        }
        for (column, name) in log.names.iter().enumerate() {
            let at = |row: Region| Region { offset: column * ALIGN, len: 1, ..row };
            log.partial.into_iter().for_each(|partial| alternate(format!("log/{name}"), at(log.row), at(partial)));
        }
        let built = part.checked_sub(1).map_or(&self.phases[p], |other| &self.rest[other][p]);
        self.b.plan(&format!("{}.{}", phase.name, part + 1), &built.dag, &leaves, &roots)
    }

    /// Which phases move on to other random numbers whenever they have run: those that draw and run several times in a row, and of a loop in
    /// which none does the last that draws. So the first time through a loop draws what a game without the loop would.
    fn moves_on(&self) -> Vec<bool> {
        let random = |node: &Node| matches!(node.op, Op::Rand { .. });
        let draws: Vec<bool> = self.phases.iter().map(|built| built.dag.nodes.iter().any(random)).collect();
        let phases = self.game.phases.iter();
        let mut moves: Vec<bool> = phases.zip(&draws).map(|(phase, draws)| *draws && phase.repeat > 1).collect();
        let mut loops: Vec<&Loop> = self.game.loops.iter().filter(|l| l.times > 1).collect();
        loops.sort_by_key(|l| l.phases.len());
        for l in loops {
            let inside = |p: &usize| l.phases.contains(&self.game.phases[*p].name);
            let numbers: Vec<usize> = (0..moves.len()).filter(inside).collect();
            if !numbers.iter().any(|&p| moves[p]) {
                numbers.iter().rev().find(|&&p| draws[p]).into_iter().for_each(|&p| moves[p] = true);
            }
        }
        moves
    }

    /// The plan that draws a batch from the resident set.
    fn draw(&mut self, fed: &Fed, data: Option<(Region, Option<Region>)>) -> Option<usize> {
        let (Resident { count, mirror, crop, .. }, data) = self.resident.zip(data)?;
        let spec = &self.game.batches[fed.batch];
        let image = [self.game.sample[0], self.game.sample[1], self.game.sample[2]];
        let (n, labels, stream) = (self.game.batch, spec.labels, spec.stream);
        let work = Work::Draw(Draw { count, n, image, labels, mirror, crop, stream });
        let inputs = [Some(data.0), data.1.filter(|_| labels), fed.cursor].into_iter().flatten().collect();
        let outputs = [Some(fed.values), fed.labels].into_iter().flatten().collect();
        Some(self.b.step(&format!("draw_{}", spec.name), work, inputs, outputs))
    }

    /// The plan of an inference, by averaged weights where there are any.
    pub fn answer(&mut self, spec: &game::Inference, built: &Built, learners: &[Learner]) -> Result<Answer> {
        let mut inputs = vec![];
        for (name, extents) in &spec.inputs {
            let len = spec.rows * extents.iter().product::<usize>();
            inputs.push((name.clone(), self.b.buffer(name, len, Element::F32, Class::Input)));
        }
        let len = spec.rows * spec.output.iter().product::<usize>();
        let output = self.b.buffer("output", len, Element::F32, Class::Output);
        let (mut leaves, mut roots) = (self.leaves.clone(), self.roots.clone());
        leaves.extend(inputs.iter().map(|(name, region)| (game::given_leaf(name), *region)));
        for learner in learners {
            let weights = learner.ema.unwrap_or(learner.param);
            let entries = learner.flat.entries.iter();
            leaves.extend(entries.map(|e| (e.spec.name.clone(), learner.flat.region(weights, e))));
        }
        roots.insert(game::OUTPUT.into(), output);
        let plan = self.b.plan(&spec.name, &built.dag, &leaves, &roots)?;
        Ok(Answer { plan, inputs, output })
    }
}

fn learner(b: &mut Builder, player: &Player, params: Vec<ParamSpec>, [trains, scaled, parted]: [bool; 3]) -> Learner {
    let flat = Flat::new(params);
    let (name, len) = (&player.name, flat.len);
    let mut buffer = |what: &str, len, element, class| b.buffer(&format!("{name}.{what}"), len, element, class);
    let scaler = (trains && scaled).then(|| Scaler {
        state: buffer("scaler", SCALER, Element::F32, Class::State),
        square: buffer("square", 1, Element::F32, Class::Scalar),
        gated: buffer("gated", OPTIMISER_SCALARS, Element::F32, Class::Scalar),
    });
    let param = buffer("param", len, Element::F32, Class::Param);
    let training = trains.then(|| Training {
        grad: buffer("grad", len, Element::F32, Class::Grad),
        partial: parted.then(|| buffer("partial", len, Element::F32, Class::Grad)),
        moments: player
            .optimiser
            .moments()
            .iter()
            .map(|name| (*name, buffer(name.rsplit('.').next().unwrap_or(name), len, Element::F32, Class::Moment)))
            .collect(),
        owner: buffer("owner", len / ALIGN, Element::U32, Class::Scalar),
        bad: buffer("bad", flat.entries.len(), Element::U32, Class::Output),
        scaler,
    });
    let ema = player.average.is_some().then(|| buffer("ema", len, Element::F32, Class::Ema));
    Learner { name: name.clone(), flat, param, training, ema }
}

/// The plans between a network's gradients and its new weights; `log` takes the square of the norm of the gradients and, where
/// losses are scaled, the scale and the steps left out.
fn update(
    b: &mut Builder,
    name: &str,
    learner: &Learner,
    optimiser: Work,
    scalars: Region,
    log: [Region; 3],
) -> Vec<usize> {
    let Some(t) = &learner.training else { return vec![] };
    let [norm, used, left_out] = log;
    let mut plans = vec![b.sum_squares(&format!("{name}_norm"), t.grad, t.scaler.map_or(norm, |s| s.square))];
    if let Some(Scaler { state, square, gated }) = t.scaler {
        let outputs = vec![state, gated, norm, used, left_out];
        plans.push(b.step(&format!("{name}_scale"), Work::LossScale, vec![square, scalars], outputs));
    }
    let scalars = t.scaler.map_or(scalars, |scaler| scaler.gated);
    let moments = t.moments.iter().map(|(_, region)| *region);
    let outputs = [learner.param].into_iter().chain(moments).chain(learner.ema).chain([t.bad]).collect();
    let name = format!("{name}_{}", optimiser.name());
    plans.push(b.step(&name, optimiser, vec![scalars, t.grad, t.owner], outputs));
    plans
}
