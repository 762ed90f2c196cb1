//! Measuring schedules on the device they are for.
//!
//! Every candidate makes the same product of random numbers. One that differs from the naive kernel by more than rounding is
//! dropped, whatever its speed; of the others the fastest is kept, in the user's cache folder if there is one. Where none is left the
//! naive kernel itself is the choice.

use super::device::{Autotune, Device};
use super::executor::Gpu;
use super::notice::Notice;
use crate::kernels::tile::{Product, Schedule};
use crate::kernels::tuning::{Choice, bucket, naive, scheduled};
use crate::kernels::{Dispatch, Tuning};
use crate::plan::{ALIGN, Buffer, Class, Element, Executor, Plan, Program, RNG, Region, Step};
use crate::{Error, Result, cache};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// Most schedules measured a shape.
const CANDIDATES: usize = 8;
/// Rounds in which every candidate is timed once …
const ROUNDS: usize = 7;
/// … of which none is begun after this many seconds.
const ROUNDS_SECONDS: f64 = 0.2;
/// Unit roundoff of f32.
const UNIT: f64 = 5.96e-8;
/// Elements of a window of an output that is too large to be compared as a whole.
const WINDOW: usize = 1 << 18;
/// A prime: rows of a tensor never begin with the same numbers.
const NOISE: usize = 65_537;

/// How a step becomes launches by a schedule; [`scheduled`] unless a test puts another in its place.
pub type Lowering<'a> = dyn Fn(&Step, &Schedule) -> Result<Vec<Dispatch>> + 'a;

/// The schedules of a device on the disk.
#[derive(Default)]
pub(super) struct TuningFile {
    /// Adapter, driver, version.
    pub key: String,
    path: Option<PathBuf>,
}

impl TuningFile {
    /// What was measured in earlier starts; with a sentence where the file had to be set aside.
    pub fn open(key: String, folder: Option<&Path>) -> (TuningFile, Tuning, Option<String>) {
        let path = folder.map(|folder| folder.join(cache::name("tuning", &key, "json")));
        let file = TuningFile { key, path };
        match file.read() {
            Ok(tuning) => (file, tuning.unwrap_or_default(), None),
            Err(reason) => {
                let name = file.path.clone().unwrap_or_default();
                let problem = format!("{}: {reason}; what it held is measured again", name.display());
                (file, Tuning::default(), Some(problem))
            }
        }
    }

    fn read(&self) -> Result<Option<Tuning>, String> {
        let Some(path) = &self.path else { return Ok(None) };
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(e.to_string()),
        };
        match Tuning::from_json(&text)? {
            (tuning, device) if device == self.key => Ok(Some(tuning)),
            (_, device) => Err(format!("it was measured on {device}")),
        }
    }

    /// Adds what was measured to the file; what another process wrote meanwhile stays.
    fn add(&self, measured: &Tuning) -> Result<(), String> {
        let Some(path) = &self.path else { return Ok(()) };
        let mut all = self.read().ok().flatten().unwrap_or_default();
        all.merge(measured);
        let written = cache::replace(path, all.to_json(&self.key).as_bytes());
        written.map_err(|e| format!("{}: measured schedules can't be kept for the next start: {e}", path.display()))
    }
}

/// Candidates that are not used, with the reason.
type Problems = Vec<(Schedule, String)>;

/// What became of a candidate.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Verdict {
    Seconds(f64),
    /// Share of the elements that are wrong.
    Wrong(f64),
}

impl Device {
    /// The same device with measured schedules for the shapes of `program`, where the setup asks for measuring and there
    /// are shapes to measure. The program has to be planned again for the new handle: schedules decide how much room for
    /// partial results per step needs.
    ///
    /// # Errors
    /// A device that fails, or lacks the memory for one of the products.
    pub fn tune(&self, program: &Program) -> Result<Option<Device>> {
        self.tune_with(program, &scheduled)
    }

    /// [`Device::tune`] with another lowering of the candidates, to test that wrong ones are found.
    ///
    /// # Errors
    /// As [`Device::tune`].
    pub fn tune_with(&self, program: &Program, lowering: &Lowering) -> Result<Option<Device>> {
        let measures = match self.autotune() {
            Autotune::Off => false,
            Autotune::Cached => !self.facts().is_software(),
            Autotune::Full => true,
        };
        let known = self.tuned();
        let is_new =
            |name: &str| !known.holds(name) && (self.autotune() == Autotune::Full || !self.tuning().holds(name));
        let mut shapes: BTreeMap<String, (&Step, Product)> = BTreeMap::new();
        for step in program.plans.iter().flat_map(|plan| &plan.steps).filter(|_| measures) {
            if let Some((name, product)) = bucket(&step.work).filter(|(name, _)| is_new(name)) {
                shapes.entry(name).or_insert((step, product));
            }
        }
        let measured = self.measure(&shapes, lowering)?;
        let mut tuning = (**self.tuning()).clone();
        tuning.merge(&known);
        tuning.merge(&measured);
        Ok((tuning != **self.tuning()).then(|| self.with_tuning(tuning)))
    }

    /// The measured schedules for the products of a program that was planned by [`Device::tune`] on this device.
    pub fn in_force(&self, program: &Program) -> Tuning {
        let mut tuning = (**self.tuning()).clone();
        tuning.merge(&self.tuned());
        tuning.only(program.plans.iter().flat_map(|plan| &plan.steps))
    }

    /// Measures shapes and keeps what is found.
    fn measure(&self, shapes: &BTreeMap<String, (&Step, Product)>, lowering: &Lowering) -> Result<Tuning> {
        let (mut measured, total) = (Tuning::default(), shapes.len());
        if total == 0 {
            return Ok(measured);
        }
        for (done, (name, (step, product))) in shapes.iter().enumerate() {
            self.notify(Notice::Tuning { done, total, shape: name.clone() });
            measured.set(name.clone(), self.race(name, step, product, lowering)?);
        }
        self.notify(Notice::Tuning { done: total, total, shape: String::new() });
        if let Err(problem) = self.0.tuning_file.add(&measured) {
            self.notify(Notice::Warning(problem));
        }
        self.note_tuned(&measured);
        Ok(measured)
    }

    /// The fastest of the candidates that agree with the naive kernel; where none does, the naive kernel.
    fn race(&self, name: &str, step: &Step, product: &Product, lowering: &Lowering) -> Result<Choice> {
        let limits = self.0.device.limits();
        let len = step.outputs[0].len;
        let fits = |s: &Schedule| {
            4 * s.scratch(len) as u64 <= limits.max_storage_buffer_binding_size
                && s.tile.threads() <= limits.max_compute_invocations_per_workgroup as usize
        };
        let mut candidates = Schedule::candidates(product, CANDIDATES, fits);
        let (mut problems, tried) = (vec![], candidates.len());
        let mut race = match Race::new(self, step, &candidates, lowering) {
            Err(Error::Shader { .. }) => {
                (candidates, problems) = self.compiling(step, candidates, lowering)?;
                Race::new(self, step, &candidates, lowering)?
            }
            race => race?,
        };
        let results = race.run(product.depth)?;
        let mut best: Option<(f64, &Schedule)> = None;
        for (schedule, result) in candidates.iter().zip(results) {
            match result {
                Verdict::Seconds(s) if best.is_none_or(|(least, _)| s < least) => best = Some((s, schedule)),
                Verdict::Seconds(_) => {}
                Verdict::Wrong(share) => {
                    let share = 100.0 * share;
                    let reason =
                        format!("{share:.1} % of its results differ from the naive kernel's by more than rounding");
                    problems.push((*schedule, reason));
                }
            }
        }
        let report = format!("please report it with the driver's version, {}", self.facts().driver);
        let Some((seconds, schedule)) = best else {
            let (schedule, reason) =
                problems.first().ok_or_else(|| self.error(format!("{name}: nothing was measured")))?;
            self.notify(Notice::Warning(format!(
                "{name}: none of {tried} tilings works on this device, so the naive kernel is used, which is right and slow \
                 (tile {} in {} parts: {reason}); {report}",
                schedule.tile, schedule.parts
            )));
            return Ok(Choice::naive(race.gpu.seconds(0)?));
        };
        for (schedule, reason) in &problems {
            let Schedule { tile, parts, .. } = schedule;
            self.notify(Notice::Warning(format!(
                "{name}: tile {tile} in {parts} parts is not used: {reason}; {report}"
            )));
        }
        Ok(Choice::new(schedule, seconds))
    }

    /// The candidates that the driver compiles, and those that it does not, each with its reason.
    fn compiling(
        &self,
        step: &Step,
        candidates: Vec<Schedule>,
        lowering: &Lowering,
    ) -> Result<(Vec<Schedule>, Problems)> {
        let (mut compiled, mut problems) = (vec![], vec![]);
        for schedule in candidates {
            match Race::new(self, step, &[schedule], lowering) {
                Ok(_) => compiled.push(schedule),
                Err(error @ Error::Shader { .. }) => problems.push((schedule, error.to_string())),
                Err(error) => return Err(error),
            }
        }
        Ok((compiled, problems))
    }
}

/// A program with the naive kernel as plan 0 and a plan a candidate.
struct Race {
    gpu: Gpu,
    output: Region,
}

impl Race {
    fn new(device: &Device, step: &Step, candidates: &[Schedule], lowering: &Lowering) -> Result<Race> {
        let buffer = |name: String, len: usize, class| Buffer { name, len, element: Element::F32, class };
        let mut buffers = vec![Buffer { name: "rng".into(), len: 4, element: Element::U32, class: Class::Rng }];
        debug_assert_eq!(RNG, 0);
        let mut add = |name: String, len: usize, class| {
            buffers.push(buffer(name, len, class));
            Region { buffer: buffers.len() - 1, offset: 0, len }
        };
        let operands = step.inputs.iter().take(2).enumerate();
        let inputs: Vec<Region> = operands.map(|(i, r)| add(format!("operand {i}"), r.len, Class::Input)).collect();
        let output = add("product".into(), step.outputs[0].len, Class::Output);
        let most = candidates.iter().map(|s| s.scratch(output.len)).max().unwrap_or(0);
        let room = (most > 0).then(|| add("parts".into(), most, Class::Work));
        let work = step.work.product().clone();
        let base = Step { work, inputs: inputs.clone(), outputs: vec![output], scratch: room, ..step.clone() };
        let label = |i: usize| format!("plan {i}");
        let plans = (0..=candidates.len()).map(|i| Plan {
            steps: vec![Step { label: label(i), ..base.clone() }],
            name: label(i),
            ..Plan::default()
        });
        let program = Program { plans: plans.collect(), buffers };
        let lower = |step: &Step| match (1..).zip(candidates).find(|(i, _)| label(*i) == step.label) {
            Some((_, schedule)) => lowering(step, schedule),
            None => Ok(naive(step)),
        };
        let mut gpu = Gpu::load_with(device.clone(), program, lower)?;
        // One launch a run, and times of its own.
        gpu.set_submission_seconds(None);
        for (region, stream) in inputs.into_iter().zip(0..) {
            let noise: Vec<f32> = (0..NOISE as u64)
                .map(|i| (2.0 * crate::philox::uniform_at(0x7e57, stream, 0, i) - 1.0) as f32)
                .collect();
            let values: Vec<f32> = noise.into_iter().cycle().take(region.len).collect();
            gpu.write(region, &values)?;
        }
        Ok(Race { gpu, output })
    }

    /// The product as plan `plan` makes it, in place of poison: all of it, or windows of a large one.
    fn product(&mut self, plan: usize) -> Result<Vec<f32>> {
        let windows = windows(self.output);
        for window in &windows {
            self.gpu.write(*window, &vec![f32::NAN; window.len])?;
        }
        self.gpu.run(&[(plan, 1)])?;
        let values: Vec<Vec<f32>> = windows.into_iter().map(|window| self.gpu.read(window)).collect::<Result<_>>()?;
        Ok(values.concat())
    }

    /// Of every candidate: its median seconds, or how wrong it is.
    fn run(&mut self, depth: usize) -> Result<Vec<Verdict>> {
        let count = self.gpu.program().plans.len() - 1;
        let expected = self.product(0)?;
        let mut wrong = vec![];
        for i in 0..count {
            wrong.push(wrong_share(&self.product(i + 1)?, &expected, depth));
        }
        let (start, mut times) = (Instant::now(), vec![vec![]; count]);
        // In turns: a clock that rises or falls meanwhile treats all alike.
        for round in 0..ROUNDS {
            if round > 0 && start.elapsed().as_secs_f64() > ROUNDS_SECONDS {
                break;
            }
            for (i, times) in times.iter_mut().enumerate().filter(|(i, _)| wrong[*i] == 0.0) {
                times.push(self.gpu.seconds(i + 1)?);
            }
        }
        let median = |mut times: Vec<f64>| {
            times.sort_by(f64::total_cmp);
            times[times.len() / 2]
        };
        let results = times.into_iter().zip(wrong);
        Ok(results
            .map(|(t, share)| if t.is_empty() { Verdict::Wrong(share) } else { Verdict::Seconds(median(t)) })
            .collect())
    }
}

impl Gpu {
    /// Seconds that one run of a plan takes on the device, or from submission to end where it has no timestamps.
    fn seconds(&mut self, plan: usize) -> Result<f64> {
        if self.device.facts().timestamps {
            return Ok(self.profile(&[(plan, 1)])?.slices.iter().map(|slice| slice.seconds).sum());
        }
        // A submission costs tens of microseconds: enough launches to make that small.
        const TIMES: u32 = 8;
        let start = Instant::now();
        self.run(&[(plan, TIMES)])?;
        self.wait()?;
        Ok(start.elapsed().as_secs_f64() / f64::from(TIMES))
    }
}

/// What is compared of an output: the whole, or of a large one its beginning, its end and two windows between.
fn windows(output: Region) -> Vec<Region> {
    if output.len <= 4 * WINDOW {
        return vec![output];
    }
    let start = |i: usize| match i {
        3 => (output.len - WINDOW).next_multiple_of(ALIGN),
        _ => i * (output.len - WINDOW) / 3 / ALIGN * ALIGN,
    };
    (0..4).map(start).map(|at| Region { offset: at, len: WINDOW.min(output.len - at), ..output }).collect()
}

/// Share of elements that two ways to sum `depth` products of numbers in (−1, 1) can't explain by rounding. A sum of K
/// terms of either sign is about √K in size, and so is its error in roundings: |a − b| ≤ 2u(√K + 8)(√K + |b|).
fn wrong_share(got: &[f32], expected: &[f32], depth: usize) -> f64 {
    let root = (depth as f64).sqrt();
    let near = |(&a, &b): (&f32, &f32)| {
        (f64::from(a) - f64::from(b)).abs() <= 2.0 * UNIT * (root + 8.0) * (root + f64::from(b).abs())
    };
    let wrong = got.iter().zip(expected).filter(|pair| !near(*pair)).count();
    wrong as f64 / expected.len().max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_lie_in_the_output_and_reach_its_ends() {
        for len in [1, 100, 4 * WINDOW, 4 * WINDOW + 1, 5 * WINDOW - 7, 16_777_216, 16_777_255] {
            let all = windows(Region { buffer: 1, offset: 0, len });
            assert!(
                all.iter().all(|w| w.offset.is_multiple_of(ALIGN) && w.len > 0 && w.offset + w.len <= len),
                "{all:?}"
            );
            assert!(all.windows(2).all(|w| w[0].offset + w[0].len <= w[1].offset), "{all:?}");
            let (first, last) = (all[0], all[all.len() - 1]);
            assert_eq!((first.offset, last.offset + last.len), (0, len), "{all:?}");
        }
    }

    #[test]
    fn only_rounding_is_forgiven() {
        let expected = [3.0f32, -4.0, 0.0, 5.0];
        assert_eq!(wrong_share(&expected, &expected, 100), 0.0);
        assert_eq!(wrong_share(&[3.000_001, -4.000_001, 0.000_001, 5.000_001], &expected, 100), 0.0);
        assert_eq!(wrong_share(&[3.001, -4.0, 0.0, f32::NAN], &expected, 100), 0.5);
    }
}
