//! From a game to a program: flat buffers of every network, a place for every value, one plan per phase, and the order in which
//! an iteration runs them.

mod site;

use self::site::Site;
use super::game::{Built, Game, Loop, Phase, When};
use crate::config::Config;
use crate::nn::StateSpec;
use crate::optim::Flat;
use crate::plan::{Options, Precision, Program, Region, Work};
use crate::{Error, Result};
use std::collections::HashMap;
use std::ops::Range;

/// A network's flat buffers.
#[derive(Clone, Debug)]
pub struct Learner {
    /// Its name in the game.
    pub name: String,
    /// Which tensor lies where.
    pub flat: Flat,
    /// Weights.
    pub param: Region,
    /// Where it learns: gradients and the optimiser's moments.
    pub training: Option<Training>,
    /// Moving average of the weights.
    pub ema: Option<Region>,
}

/// The buffers of a network that learns.
#[derive(Clone, Debug)]
pub struct Training {
    /// Gradients of the last step.
    pub grad: Region,
    /// Where batches come in parts: sums of gradients go back and forth between this and `grad`, and end there.
    partial: Option<Region>,
    /// What the optimiser keeps: name and place.
    pub moments: Vec<(&'static str, Region)>,
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
    /// Scale, steps since it changed, steps left out, and what corrects Adam's moments.
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
    /// Shift them by at most so many pixels over black; see [`crate::plan::Draw`].
    pub crop: usize,
    /// Whether each has a label.
    pub labels: bool,
}

impl Resident {
    /// What the set of a configuration would be, without opening it, for plans that are made and not run.
    pub fn of(config: &Config, game: &Game) -> Option<Resident> {
        let labels = game.batches.iter().any(|batch| batch.labels);
        let data = &config.data;
        let resident = Resident { count: data.count, mirror: data.mirror, crop: data.crop, labels };
        (game.sample.len() == 3).then_some(resident)
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
    /// The optimiser's scalars.
    pub scalars: Region,
    /// Norm of the gradients, scale of the loss, optimiser.
    plans: Vec<usize>,
}

/// The plans of a phase.
#[derive(Clone, Debug)]
struct Planned {
    /// By part of a batch.
    plans: Vec<usize>,
    /// Whether what runs after each of its runs draws other random numbers.
    draws: bool,
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
    /// Where the draws of an iteration start, at multiples of [`crate::plan::ALIGN`], where the set is resident: written at once.
    pub cursors: Option<Region>,
    /// Batches in the order of the game.
    pub fed: Vec<Fed>,
    /// Every per-step value, each at a multiple of [`crate::plan::ALIGN`]: written at once.
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
    /// What phases hand to each other, by name.
    pub shared: HashMap<String, Region>,
    phases: Vec<Planned>,
    /// The plans that count the runs of phases which draw: the next run, and back to the first. None where no phase repeats and draws.
    rounds: Option<[usize; 2]>,
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
        check_parts(game, phases)?;
        let trained: Vec<(usize, usize)> = (0..phases.len())
            .flat_map(|p| phases[p].trains.iter().filter_map(move |n| Some((p, game.network(n)?))))
            .collect();
        let rest = (1..game.parts()).map(|part| game.graphs_of(part, scaled)).collect::<Result<Vec<_>>>()?;
        let mut site = Site::new(game, phases, &rest, trained, resident, options);
        site.keep_penalties_exact();
        let (scalars, values) = site.scalars();
        let learners = site.learners(&built, scaled);
        let cursors = site.cursors();
        let mut fed = site.batches(cursors);
        let shared = site.shared(&built)?;
        let states = site.states(&built, &learners);
        let log = site.log(&learners, ring_rows, scaled);
        let data = site.data();
        let (planned, updates) = site.plans(&mut fed, data, &learners, scalars, &log)?;
        let rounds = planned.iter().any(|phase| phase.draws).then(|| site.rounds());
        let work = Work::LogRow { count: log.names.len(), rows: ring_rows };
        let log_plan = (!log.names.is_empty()).then(|| site.b.step("log", work, vec![log.row], vec![log.ring]));
        let answer = match (&game.inference, inference.first()) {
            (Some(spec), Some(built)) => Some(site.answer(spec, built, &learners)?),
            _ => None,
        };
        Ok(Assembly {
            game: game.clone(),
            program: site.b.finish(),
            learners,
            states,
            data,
            cursors,
            fed,
            scalars,
            values,
            updates,
            log_names: log.names,
            log_phase: log.phase,
            ring: log.ring,
            ring_rows,
            answer,
            shared,
            phases: planned,
            rounds,
            log: log_plan,
        })
    }

    /// The plans of iteration `step` in order, with how many times each runs in a row.
    pub fn schedule(&self, step: u64) -> Vec<(usize, u32)> {
        let mut order = vec![];
        let (mut drawn, mut made) = (vec![false; self.fed.len()], vec![]);
        let phases = &self.game.phases;
        let due = |p: &usize| phases[*p].when.is_due(step);
        let mut from = 0;
        while from < phases.len() {
            let until = self.section(from, step);
            for p in (from..until).filter(due) {
                self.prepare(p, &mut drawn, &mut made, &mut order);
            }
            for part in 0..self.game.parts() {
                let mut at = from;
                while at < until {
                    at = self.runs_of_group(at, part, step, &mut order);
                }
            }
            if self.game.parts() > 1 {
                (from..until).filter(due).for_each(|p| order.extend(self.learns(p)));
            }
            from = until;
        }
        order.extend(self.log.map(|log| (log, 1)));
        order
    }

    /// The end of the group of phases that begins with phase `from`: the phases of a loop, any other alone.
    fn group_end(&self, from: usize) -> usize {
        from + self.loop_at(from, usize::MAX).map_or(1, |l| l.phases.len())
    }

    /// The end of what runs part by part from phase `from` on: up to the next phase in iteration `step` that a network learns from.
    fn section(&self, from: usize, step: u64) -> usize {
        let mut until = self.group_end(from);
        let learns = |p: usize| self.updates.iter().any(|u| u.phase == p) && self.game.phases[p].when.is_due(step);
        while self.game.parts() > 1 && until < self.game.phases.len() && !learns(until - 1) {
            until = self.group_end(until);
        }
        until
    }

    /// The runs of the group that begins with phase `from` on part `part` of the batch; returns where the next begins.
    fn runs_of_group(&self, from: usize, part: usize, step: u64, order: &mut Vec<(usize, u32)>) -> usize {
        let until = self.group_end(from);
        self.group(from..until, usize::MAX, part, step, order);
        if let Some([_, first]) = self.rounds.filter(|_| (from..until).any(|p| self.phases[p].draws)) {
            order.push((first, 1));
        }
        until
    }

    /// The optimisers of the networks that learn from phase `p`.
    fn learns(&self, p: usize) -> impl Iterator<Item = (usize, u32)> {
        self.updates.iter().filter(move |u| u.phase == p).flat_map(|u| &u.plans).map(|&plan| (plan, 1))
    }

    /// The longest loop of less than `below` phases that begins at phase `from`.
    fn loop_at(&self, from: usize, below: usize) -> Option<&Loop> {
        let begins = |l: &&Loop| l.phases.len() < below && l.phases.first() == Some(&self.game.phases[from].name);
        self.game.loops.iter().filter(begins).max_by_key(|l| l.phases.len())
    }

    /// The runs of neighbouring phases on part `part` of the batch, those of a loop of less than `below` of them as often as it says.
    fn group(&self, phases: Range<usize>, below: usize, part: usize, step: u64, order: &mut Vec<(usize, u32)>) {
        let mut from = phases.start;
        while from < phases.end {
            let Some(l) = self.loop_at(from, below) else {
                if self.game.phases[from].when.is_due(step) {
                    self.runs(from, part, order);
                }
                from += 1;
                continue;
            };
            let (until, mut once) = (from + l.phases.len(), vec![]);
            self.group(from..until, l.phases.len(), part, step, &mut once);
            (0..l.times).for_each(|_| order.extend_from_slice(&once));
            from = until;
        }
    }

    /// What has to run before phase `p` and has not run in this iteration: draws of batches, parts of phases that run ahead.
    fn prepare(&self, p: usize, drawn: &mut [bool], made: &mut Vec<usize>, order: &mut Vec<(usize, u32)>) {
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
    }

    /// The runs of phase `p` on part `part` of the batch, each with the optimisers of the networks that learn from it; where there are several
    /// parts, they learn from all of them.
    fn runs(&self, p: usize, part: usize, order: &mut Vec<(usize, u32)>) {
        let (planned, repeat) = (&self.phases[p], self.game.phases[p].repeat);
        let updates = self.learns(p).filter(|_| self.game.parts() == 1);
        let next = self.rounds.filter(|_| planned.draws).map(|[next, _]| (next, 1));
        let behind: Vec<(usize, u32)> = updates.chain(next).collect();
        let plan = planned.plans[part];
        if behind.is_empty() {
            order.push((plan, repeat));
        } else {
            (0..repeat).for_each(|_| order.extend([&[(plan, 1)], behind.as_slice()].concat()));
        }
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

    /// [`Assembly::states`] that belong to networks and go where their weights go; scales of losses belong to a run.
    pub(super) fn network_states(&self) -> impl Iterator<Item = &(StateSpec, Region)> {
        let scalers = self.learners.iter().filter_map(|learner| Some(learner.training.as_ref()?.scaler?.state));
        let scalers: Vec<Region> = scalers.collect();
        self.states.iter().filter(move |(_, region)| !scalers.contains(region))
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
    if !game.batch.is_multiple_of(game.parts()) {
        return refuse(format!("a batch of {} can't be cut into {} equal parts", game.batch, game.parts()));
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
    let lower: Vec<String> = game.networks.iter().map(|n| n.name.to_lowercase()).collect();
    if let Some((_, name)) = lower.iter().enumerate().find(|(i, name)| lower[..*i].contains(name)) {
        return refuse(format!("two networks are called {name}, but for capitals, which names in logs do without"));
    }
    if let Some(phase) = game.phases.iter().find(|p| p.when.every == 0 || p.when.at >= p.when.every) {
        let When { every, at, .. } = phase.when;
        return refuse(format!("phase {} runs at {at} of every {every} iterations, which never comes", phase.name));
    }
    for l in &game.loops {
        let from = game.phases.iter().position(|p| Some(&p.name) == l.phases.first());
        let named = |from: usize| game.phases[from..].iter().map(|p| &p.name).take(l.phases.len()).eq(&l.phases);
        let shared = |other: &Loop| l.phases.iter().filter(|name| other.phases.contains(name)).count();
        // Apart, or the shorter of two whole inside the longer.
        let fits = |other: &Loop| {
            let (ours, theirs, both) = (l.phases.len(), other.phases.len(), shared(other));
            both == 0 || ours != theirs && both == ours.min(theirs)
        };
        let others = game.loops.iter().filter(|other| !std::ptr::eq(*other, l));
        if !from.is_some_and(named) || !others.into_iter().all(fits) {
            let names = l.phases.join(", ");
            return refuse(format!(
                "the loop over {names} must be over neighbouring phases, and lie apart from any other or inside it"
            ));
        }
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

/// Refuses games whose batches can't come in parts, where they shall.
fn check_parts(game: &Game, phases: &[Built]) -> Result<()> {
    let refuse = |reason: String| Err(Error::Graph(reason));
    if game.parts() == 1 {
        return Ok(());
    }
    if let Some(phase) = game.phases.iter().find(|phase| phase.ahead.is_some()) {
        let name = &phase.name;
        return refuse(format!("part of phase {name} runs ahead, which needs whole batches: leave them in one part"));
    }
    let times = |phase: &Phase| {
        let looped = game.loops.iter().find(|l| l.phases.contains(&phase.name)).map_or(1, |l| l.times);
        phase.repeat.max(looped)
    };
    let learning = game.phases.iter().zip(phases).filter(|(_, built)| !built.trains.is_empty());
    if let Some((phase, _)) = learning.into_iter().find(|(phase, _)| times(phase) > 1) {
        let name = &phase.name;
        return refuse(format!("phase {name} learns several times from a batch, which must be in one part then"));
    }
    Ok(())
}
