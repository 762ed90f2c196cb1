//! Every kernel variant that a device may come to run, against the f64 host: `danskin check --all-variants`.
//!
//! Which tile makes a product depends on its shape and on what was measured, so that one training reaches few of the variants.
//! Here each is forced in turn, by a tuning that holds it for every shape: what plans and launches it is what trainings use.

mod cases;
mod updates;

use super::{Case, Loaded, Planned, Row, SPREAD, rounding};
use crate::gpu::{self, Gpu};
use crate::host;
use crate::kernels::tile::{Product, Schedule, Tile};
use crate::kernels::tuning::{Choice, bucket};
use crate::kernels::{Dispatch, Source, Tuning, lower_with, scratch_with};
use crate::plan::{Class, Element, Executor, Options, Precision, Program, Region, Step};
use crate::{Error, Result};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;
use std::sync::Arc;

/// How a step becomes launches by a tuning: [`lower_with`], unless a test breaks a variant to see it found.
pub type Lowering<'a> = dyn Fn(&Tuning, &Step) -> Result<Vec<Dispatch>> + 'a;

/// Parts of the depth that each tile is tried with: whole, and summed by a second kernel.
const PARTS: [usize; 2] = [1, 3];

/// What was found of a family of kernels.
#[derive(Clone, Debug)]
pub struct Family {
    /// Its work: `conv_x`.
    pub name: &'static str,
    /// Different kernels that ran: text, constants, storage types.
    pub variants: usize,
    /// Results that were compared.
    pub comparisons: usize,
    /// The largest difference, as a share of what rounding explains.
    pub worst: f64,
    /// Where that was.
    pub worst_at: String,
    /// Results that are further off than rounding explains, each as a sentence.
    pub wrong: Vec<String>,
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let verdict = if self.wrong.is_empty() { "ok" } else { "WRONG" };
        let Family { name, variants, comparisons, worst, worst_at, .. } = self;
        write!(f, "{name:<15}{variants:>5} variants {comparisons:>6} results, at worst {worst:>9.2e} of the bound  ")?;
        write!(f, "{verdict:<5}  {worst_at}")
    }
}

/// Goes through all variants; `progress` hears how many of the ways to run the cases are done.
///
/// # Errors
/// A device that fails, a kernel that does not compile. A wrong result is no error here.
pub fn run(device: &gpu::Device, progress: &mut dyn FnMut(usize, usize)) -> Result<Vec<Family>> {
    run_with(device, &lower_with, &|_| true, progress)
}

/// [`run`] with another lowering, in those ways whose name `wanted` picks: `as chosen`, `naive`, `tile 64x64x8 8x8 in 3 parts`.
///
/// # Errors
/// As [`run`].
pub fn run_with(
    device: &gpu::Device,
    lowering: &Lowering,
    wanted: &dyn Fn(&str) -> bool,
    progress: &mut dyn FnMut(usize, usize),
) -> Result<Vec<Family>> {
    let facts = device.facts();
    let sets = Set::all(facts.f16);
    let ways = |set: &Set| set.ways(device.tuning(), facts.is_software(), facts.workgroup_threads as usize);
    let ways = |set: &Set| ways(set).into_iter().filter(|way| wanted(&way.name)).collect();
    let ways: Vec<Vec<Way>> = sets.iter().map(ways).collect();
    let (mut done, total) = (0, ways.iter().map(Vec::len).sum());
    let mut found = Findings { families: BTreeMap::new(), device: facts.describe() };
    for (set, ways) in sets.iter().zip(ways) {
        let references = set.references()?;
        for way in &ways {
            progress(done, total);
            set.run(device, way, lowering, &references, &mut found)?;
            done += 1;
        }
    }
    updates::run(device, lowering, &mut found)?;
    progress(total, total);
    Ok(found.families.into_iter().map(|(name, entry)| entry.family(name)).collect())
}

/// A kernel as a device compiles it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Kernel {
    /// The module.
    pub source: Source,
    /// Values of its constants, by their bits.
    pub overrides: Vec<(&'static str, u64)>,
    /// Bindings, from 1 on, that hold 16-bit floats.
    pub halves: Vec<bool>,
}

impl Kernel {
    /// What a launch of a program runs.
    pub fn of(launch: &Dispatch, program: &Program) -> Kernel {
        let is_half = |region: Region| program.buffers[region.buffer].element == Element::F16;
        Kernel {
            source: launch.source.clone(),
            overrides: launch.overrides.iter().map(|(name, value)| (*name, value.to_bits())).collect(),
            halves: launch.bindings.iter().map(|b| is_half(b.region)).collect(),
        }
    }
}

/// Every kernel that [`run`] would launch on a GPU with 16-bit floats: what has to be readable by every driver.
///
/// # Errors
/// A case that can't be planned.
pub fn kernels() -> Result<HashSet<Kernel>> {
    let mut kernels = HashSet::new();
    for set in Set::all(true) {
        for way in set.ways(&Tuning::default(), false, usize::MAX) {
            let program = Planned::new(&set.cases, set.options(&way))?.program;
            for step in program.plans.iter().flat_map(|plan| &plan.steps) {
                kernels.extend(lower_with(&way.tuning, step)?.iter().map(|launch| Kernel::of(launch, &program)));
            }
        }
    }
    let program = updates::program(&updates::all()).0;
    for step in program.plans.iter().flat_map(|plan| &plan.steps) {
        kernels.extend(lower_with(&Tuning::default(), step)?.iter().map(|launch| Kernel::of(launch, &program)));
    }
    Ok(kernels)
}

/// Cases of one precision.
struct Set {
    cases: Vec<Case>,
    precision: Precision,
    /// Made of products that take a schedule.
    scheduled: bool,
}

/// One way to run the cases of a set.
struct Way {
    /// `tile 64x64x8 8x8 in 3 parts`
    name: String,
    tuning: Tuning,
    fuse: bool,
}

impl Set {
    fn all(halves: bool) -> Vec<Set> {
        let mut all = vec![(cases::others(), Precision::F32, false), (cases::scheduled(), Precision::F32, true)];
        if halves {
            all.push((cases::others_in_halves(), Precision::F16, false));
            all.push((cases::scheduled_in_halves(), Precision::F16, true));
        }
        all.into_iter().map(|(cases, precision, scheduled)| Set { cases, precision, scheduled }).collect()
    }

    /// What the f64 host makes of the cases.
    fn references(&self) -> Result<Vec<HashMap<String, Vec<f64>>>> {
        self.cases.iter().map(|case| host::eval::<f64>(&case.dag, &case.feeds, super::SEED)).collect()
    }

    /// The ways for a device with this tuning and so many threads a workgroup.
    fn ways(&self, own: &Tuning, software: bool, threads: usize) -> Vec<Way> {
        let way = |name: &str, tuning: Tuning| Way { name: name.into(), tuning, fuse: true };
        let mut ways = vec![way("as chosen", own.clone())];
        if software {
            ways.push(way("as estimated for hardware", Tuning::default()));
        }
        if !self.scheduled {
            // In halves, a step of its own for every primitive reads and writes what chains do.
            ways.push(Way { fuse: false, ..way("as chosen, unfused", own.clone()) });
            return ways;
        }
        let products = self.products(&ways[0]);
        let forced = |choice: &dyn Fn(&Product) -> Choice| {
            let mut tuning = Tuning::default();
            products.iter().for_each(|(name, product)| tuning.set(name.clone(), choice(product)));
            tuning
        };
        ways.push(way("naive", forced(&|_| Choice::naive(0.0))));
        for tile in Tile::ALL.into_iter().filter(|tile| tile.threads() <= threads) {
            for parts in PARTS {
                let tuning = forced(&|product| Choice::new(&Schedule::new(product, tile, parts), 0.0));
                let plural = if parts == 1 { "part" } else { "parts" };
                ways.push(way(&format!("tile {tile} in {parts} {plural}"), tuning));
            }
        }
        ways
    }

    /// The products of the cases that take a schedule, by bucket.
    fn products(&self, way: &Way) -> HashMap<String, Product> {
        let planned = Planned::new(&self.cases, self.options(way));
        let plans = planned.map(|planned| planned.program.plans).unwrap_or_default();
        plans.iter().flat_map(|plan| &plan.steps).filter_map(|step| bucket(&step.work)).collect()
    }

    fn options(&self, way: &Way) -> Options {
        let tuning = way.tuning.clone();
        let scratch = Arc::new(move |work: &_| scratch_with(&tuning, work));
        Options { fuse: way.fuse, precision: self.precision, scratch, ..Options::default() }
    }

    fn run(
        &self,
        device: &gpu::Device,
        way: &Way,
        lowering: &Lowering,
        references: &[HashMap<String, Vec<f64>>],
        found: &mut Findings,
    ) -> Result<()> {
        let Planned { program, writes, roots } = Planned::new(&self.cases, self.options(way))?;
        let lower = |step: &Step| lowering(&way.tuning, step);
        let mut subjects = vec![];
        for plan in &program.plans {
            for step in &plan.steps {
                found.launched(step.work.name(), &program, &lower(step)?);
            }
            subjects.push(Subject::of(&plan.steps, lower)?);
        }
        let is_half = |region: &Region| program.buffers[region.buffer].element == Element::F16;
        let stores: Vec<usize> =
            program.plans.iter().map(|p| p.steps.iter().filter(|s| s.outputs.iter().any(is_half)).count()).collect();
        let mut gpu = Gpu::load_with(device.clone(), program, lower)?;
        poison(&mut gpu)?;
        let mut loaded = Loaded::fed(Box::new(gpu), &writes, roots)?;
        for (i, case) in self.cases.iter().enumerate() {
            let allowed = case.allowed();
            for (root, values) in loaded.run(i)? {
                let allowed = rounding::with_halves(allowed[&root], stores[i]);
                let row = case.compare(&root, &values, &references[i][&root], allowed);
                found.compared(&subjects[i], &way.name, &row);
            }
        }
        Ok(())
    }
}

/// What a plan is there to check.
struct Subject {
    family: &'static str,
    /// Its kernel, with the constants that set variants apart: `conv/tiled.wgsl ROWS 64 COLS 64 …`
    kernel: String,
}

impl Subject {
    /// Chains and padding make a product's operands and read its result; where there is nothing else, they are what is checked.
    fn of(steps: &[Step], lower: impl Fn(&Step) -> Result<Vec<Dispatch>>) -> Result<Subject> {
        let own = steps.iter().find(|step| !["pointwise", "pad"].contains(&step.work.name()));
        let Some(step) = own.or(steps.last()) else {
            return Ok(Subject { family: "pointwise", kernel: String::new() });
        };
        let launches = lower(step)?;
        let kernel = launches.first().map_or(String::new(), |launch| {
            let path = match &launch.source {
                Source::File(path) => path,
                Source::Generated { template, .. } => template,
            };
            let constants = launch.overrides.iter().map(|(name, value)| format!(" {name} {value}"));
            format!("{path}{}", constants.collect::<String>())
        });
        Ok(Subject { family: step.work.name(), kernel })
    }
}

/// What no kernel has written yet is not a number.
fn poison(gpu: &mut Gpu) -> Result<()> {
    let buffers = gpu.program().buffers.iter().enumerate();
    let work: Vec<Region> = buffers
        .filter(|(_, b)| b.class == Class::Work && b.element == Element::F32)
        .map(|(buffer, b)| Region { buffer, offset: 0, len: b.len })
        .collect();
    work.into_iter().try_for_each(|region| gpu.write(region, &vec![f32::NAN; region.len]))
}

/// What was found so far, by family.
struct Findings {
    families: BTreeMap<&'static str, Entry>,
    device: String,
}

#[derive(Default)]
struct Entry {
    kernels: HashSet<Kernel>,
    comparisons: usize,
    worst: f64,
    worst_at: String,
    wrong: Vec<String>,
}

impl Findings {
    /// Counts the kernels of these launches.
    fn launched(&mut self, family: &'static str, program: &Program, launches: &[Dispatch]) {
        let kernels = &mut self.families.entry(family).or_default().kernels;
        kernels.extend(launches.iter().map(|launch| Kernel::of(launch, program)));
    }

    fn compared(&mut self, subject: &Subject, way: &str, row: &Row) {
        let entry = self.families.entry(subject.family).or_default();
        entry.comparisons += 1;
        // A sum of nothing is −0.
        let share = (row.relative_error / row.allowed).max(row.largest_error / (SPREAD * row.allowed)).abs();
        if share >= entry.worst {
            (entry.worst, entry.worst_at) = (share, format!("{way}: {}", row.name));
        }
        if !row.passed {
            let Row { name, relative_error, largest_error, allowed, .. } = row;
            entry.wrong.push(format!(
                "{name}, {way} ({}), is wrong on {}: off by {relative_error:.1e} of the root of the mean square (rounding explains \
                 {allowed:.1e}), single values by {largest_error:.1e} of the largest ({:.1e})",
                subject.kernel,
                self.device,
                SPREAD * allowed
            ));
        }
    }
}

impl Entry {
    fn family(self, name: &'static str) -> Family {
        let Entry { kernels, comparisons, worst, worst_at, wrong } = self;
        Family { name, variants: kernels.len(), comparisons, worst, worst_at, wrong }
    }
}

/// The first of all wrong results as an error; nothing where there is none.
///
/// # Errors
/// [`Error::Check`] with variant, shape and error.
pub fn verdict(families: &[Family]) -> Result<()> {
    let all: Vec<&String> = families.iter().flat_map(|family| &family.wrong).collect();
    let results: usize = families.iter().map(|family| family.comparisons).sum();
    match all.first() {
        None => Ok(()),
        Some(first) => Err(Error::Check(format!(
            "{} of {results} results of kernel variants differ from the f64 host by more than rounding allows, first: {first}; report \
             this table with the driver's version",
            all.len()
        ))),
    }
}
