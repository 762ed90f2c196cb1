//! A whole iteration of training (or a whole attack) on a device: time, work, memory, and the share of each phase.

use super::clock::{self, Limits};
use super::report::Common;
use super::workload::Peer;
use crate::Result;
use crate::config::Config;
use crate::device::Device;
use crate::plan::{Counters, Program, Timeline};
use crate::train::{Feed, Settings, Trainer, games};
use serde::Serialize;

/// Profiled iterations behind the times of the phases, where they are quick.
const PROFILED: u64 = 5;
/// Iterations that phases are averaged over at most, where penalties and generator steps come round more rarely.
const LONGEST_CYCLE: u64 = 64;
/// Iterations that last longer than this are profiled once.
const SLOW_S: f64 = 1.0;

/// A phase, as an iteration of a full cycle runs it on average: phases that run every few iterations count in part.
#[derive(Clone, Debug, Serialize)]
pub struct Phase {
    /// Name of the plan.
    pub phase: String,
    /// Times it runs.
    pub runs: f64,
    /// Kernels launched (host device: steps run); unknown where the device has no timestamps.
    pub dispatches: Option<f64>,
    /// Floating-point operations.
    pub flops: f64,
    /// Bytes read and written, each element once per step.
    pub bytes: f64,
    /// Milliseconds of its kernels, timed one by one.
    pub ms: Option<f64>,
}

/// What was measured of an iteration.
#[derive(Clone, Debug, Serialize)]
pub struct StepRow {
    /// Workload and time.
    #[serde(flatten)]
    pub common: Common,
    /// Seconds a thousand images.
    pub sec_per_kimg: f64,
    /// Kernels launched in an iteration (host device: steps run).
    pub dispatches: f64,
    /// Command buffers submitted for it (host device: runs), the read-back that ends a measured one left out.
    pub submissions: f64,
    /// Its floating-point operations.
    pub flops: f64,
    /// Bytes it reads and writes, each element once per step.
    pub bytes: f64,
    /// Bytes of device memory held.
    pub memory_bytes: u64,
    /// Its phases, in order.
    pub phases: Vec<Phase>,
}

/// Something that runs plans again and again.
trait Subject {
    /// Once, waited for.
    fn run(&mut self) -> Result<()>;
    /// What the next run runs.
    fn schedule(&self) -> Vec<(usize, u32)>;
    /// Whether kernels can be timed.
    fn check_profile(&mut self) -> Result<()>;
    /// Runs once and times every kernel.
    fn profile(&mut self) -> Result<Timeline>;
    fn program(&self) -> &Program;
    /// What people should know of it.
    fn note(&self) -> Option<String> {
        None
    }
    fn counters(&self) -> Counters;
}

impl Subject for Trainer {
    fn run(&mut self) -> Result<()> {
        self.iterate()?;
        self.wait()
    }

    fn schedule(&self) -> Vec<(usize, u32)> {
        Trainer::schedule(self, self.step())
    }

    fn check_profile(&mut self) -> Result<()> {
        Trainer::check_profile(self)
    }

    fn profile(&mut self) -> Result<Timeline> {
        Ok(Trainer::profile(self)?.timeline)
    }

    fn program(&self) -> &Program {
        &self.assembly().program
    }

    fn note(&self) -> Option<String> {
        self.recomputed().map(|done| done.to_string())
    }

    fn counters(&self) -> Counters {
        Trainer::counters(self)
    }
}

/// Measures an iteration of a configuration, or of `peer`'s work. `select` opens the device, which is part of the first
/// step's time; loading the data set is not.
///
/// # Errors
/// Those of the data set, the model and the device.
pub fn run(
    config: &Config,
    peer: Option<Peer>,
    limits: &Limits,
    progress: &dyn Fn(usize, usize),
    select: &mut dyn FnMut() -> Result<Device>,
) -> Result<StepRow> {
    let mut settings = Settings::new(config)?;
    let attacks = peer == Some(Peer::W7);
    if attacks {
        settings.game = games::attack_of(config)?;
    }
    let batch = settings.game.batch;
    let name = match peer {
        Some(peer) => peer.name(),
        None => &config.preset,
    };
    let feed = Feed::open(config, progress)?;
    let cycle = settings.game.cycle().min(LONGEST_CYCLE);
    let load = || {
        let trainer = Trainer::new(settings, feed, &select()?)?;
        Ok((trainer.describe_device(), trainer))
    };
    let row = measure(name, batch, cycle, limits, load)?;
    let note = format!("{} attack steps, batch statistics", config.attack.steps);
    Ok(if attacks { row.with_note(&note) } else { row })
}

/// Measures what `load` makes; its iterations repeat after `cycle`.
fn measure<S: Subject>(
    name: &str,
    batch: usize,
    cycle: u64,
    limits: &Limits,
    load: impl FnOnce() -> Result<(String, S)>,
) -> Result<StepRow> {
    let ((device, mut subject), first) = clock::time(|| {
        let (device, mut subject) = load()?;
        subject.run()?;
        Ok((device, subject))
    })?;
    let timing = clock::sample(limits, first, &mut || subject.run())?;
    let (mut schedules, before) = (vec![], subject.counters());
    for _ in 0..cycle {
        schedules.push(subject.schedule());
        subject.run()?;
    }
    let after = subject.counters();
    let mean = |from: u64, to: u64| (to - from) as f64 / cycle as f64;
    // Every measured run ends with a read-back, which is a submission of its own on a GPU.
    let waits = after.read_backs - before.read_backs;
    let submissions = after.submissions - before.submissions;
    let own = if submissions > waits { submissions - waits } else { submissions };
    let phases = phases(&mut subject, &schedules, timing.median_s)?;
    let sum = |of: fn(&Phase) -> f64| phases.iter().map(of).sum::<f64>();
    let (flops, bytes) = (sum(|p| p.flops), sum(|p| p.bytes));
    let mut common = Common::new(&device, name, batch, timing, flops as u64);
    if phases.iter().any(|p| p.ms.is_none()) {
        common.note = "the device has no timestamps: phases are not timed".into();
    }
    if let Some(note) = subject.note() {
        common.note = if common.note.is_empty() { note } else { format!("{}; {note}", common.note) };
    }
    Ok(StepRow {
        sec_per_kimg: 1000.0 * common.timing.median_s / batch as f64,
        dispatches: mean(before.dispatches, after.dispatches),
        submissions: own as f64 / cycle as f64,
        flops,
        bytes,
        memory_bytes: subject.program().bytes(),
        phases,
        common,
    })
}

/// The phases of a cycle of iterations, in the order in which they first run.
fn phases(subject: &mut impl Subject, schedules: &[Vec<(usize, u32)>], median_s: f64) -> Result<Vec<Phase>> {
    let cycle = schedules.len() as u64;
    let count = if median_s > SLOW_S { cycle } else { PROFILED.next_multiple_of(cycle) };
    let profiled: Option<Vec<Timeline>> = match subject.check_profile() {
        Ok(()) => Some((0..count).map(|_| subject.profile()).collect::<Result<_>>()?),
        Err(_) => None,
    };
    let mut order: Vec<(usize, u32)> = vec![];
    for &(plan, times) in schedules.iter().flatten() {
        match order.iter_mut().find(|(known, _)| *known == plan) {
            Some((_, runs)) => *runs += times,
            None => order.push((plan, times)),
        }
    }
    let program = subject.program();
    let phase = |&(plan, times): &(usize, u32)| {
        let slices = || profiled.iter().flatten().flat_map(|t| &t.slices).filter(|s| s.plan == plan);
        let known = profiled.is_some();
        let a_run = |sum: f64| known.then_some(sum / count as f64);
        let steps = &program.plans[plan].steps;
        let runs = f64::from(times) / cycle as f64;
        Phase {
            phase: program.plans[plan].name.clone(),
            runs,
            dispatches: a_run(slices().count() as f64),
            flops: runs * steps.iter().map(|s| s.flops).sum::<u64>() as f64,
            bytes: runs * steps.iter().map(|s| subject.program().moved(s)).sum::<u64>() as f64,
            ms: a_run(1e3 * slices().map(|s| s.seconds).sum::<f64>()),
        }
    };
    Ok(order.iter().map(phase).collect())
}

impl StepRow {
    fn with_note(mut self, note: &str) -> StepRow {
        let known = std::mem::take(&mut self.common.note);
        self.common.note = [note, &known].into_iter().filter(|n| !n.is_empty()).collect::<Vec<_>>().join("; ");
        self
    }
}
