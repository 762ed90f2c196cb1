//! Steps that no graph describes, on a device and on the host in f64: optimisers, loss scaling, drawing of batches, logs, rounds.

use super::super::{Row, rounding, seed, values};
use super::{Findings, Lowering, Subject};
use crate::Result;
use crate::gpu::{self, Gpu};
use crate::host::Host;
use crate::plan::{ALIGN, Builder, Class, Draw, Element, Executor, Options, Program, Region, WeightDecay, Work};

/// Numbers of a network, not whole blocks.
const LEN: usize = 21 * ALIGN + 5;

/// A step with what its operands hold.
pub(super) struct Update {
    name: String,
    work: Work,
    inputs: Vec<Data>,
    outputs: Vec<Data>,
}

enum Data {
    Floats(Vec<f32>),
    Words(Vec<u32>),
}

impl Data {
    fn len(&self) -> usize {
        match self {
            Data::Floats(v) => v.len(),
            Data::Words(v) => v.len(),
        }
    }

    fn element(&self) -> Element {
        match self {
            Data::Floats(_) => Element::F32,
            Data::Words(_) => Element::U32,
        }
    }
}

fn floats(name: &str, len: usize) -> Data {
    Data::Floats(values(name, len).into_iter().map(|v| v as f32).collect())
}

/// Optimisers with every form of decay, with and without an average; then the others.
pub(super) fn all() -> Vec<Update> {
    let mut all = vec![];
    let scalars = |decay: f32| Data::Floats(vec![2e-4, 0.5, 0.9, 1e-8, 2.0, 10.0, 0.99, 0.5, decay]);
    let mut gradients = values("gradients", LEN).into_iter().map(|v| v as f32).collect::<Vec<_>>();
    gradients[7] = f32::NAN;
    gradients[LEN - 1] = f32::INFINITY;
    let owners = || Data::Words((0..LEN.div_ceil(ALIGN) as u32).map(|block| block / 9).collect());
    let squares = || Data::Floats(values("squares", LEN).into_iter().map(|v| (v * v) as f32).collect());
    for average in [true, false] {
        let mut add = |name: &str, work: Work, decay: f32, moments: Vec<Data>| {
            let outputs = std::iter::once(floats("weights", LEN)).chain(moments);
            let outputs = outputs.chain(average.then(|| floats("average", LEN))).chain([Data::Words(vec![0; 3])]);
            let inputs = vec![scalars(decay), Data::Floats(gradients.clone()), owners()];
            let name = format!("{name}, {} an average", if average { "with" } else { "without" });
            all.push(Update { name, work, inputs, outputs: outputs.collect() });
        };
        for (decay, value) in [(WeightDecay::Off, 0.0), (WeightDecay::L2, 0.01), (WeightDecay::Decoupled, 0.999)] {
            add(&format!("decay {decay:?}"), Work::Adam(decay), value, vec![floats("first", LEN), squares()]);
        }
        for nesterov in [false, true] {
            add(&format!("nesterov {nesterov}"), Work::Sgd { nesterov }, 0.01, vec![floats("momentum", LEN)]);
        }
    }
    for square in [4.0, f32::INFINITY] {
        let outputs = [5, 9, 1, 1, 1].map(|len| Data::Floats(vec![0.5; len])).into();
        let inputs = vec![Data::Floats(vec![square]), scalars(0.0)];
        all.push(Update { name: format!("norm² {square}"), work: Work::LossScale, inputs, outputs });
    }
    let row = Work::LogRow { count: 3, rows: 5 };
    all.push(Update {
        name: "of three numbers".into(),
        work: row,
        inputs: vec![floats("logged", 3 * ALIGN)],
        outputs: vec![Data::Floats(vec![0.0; 15])],
    });
    for labels in [false, true] {
        let draw =
            Draw { count: 23, n: 40, image: [5, 7, 3], labels, mirror: labels, crop: usize::from(labels), stream: 3 };
        let bytes = (0..(23 * 105usize).div_ceil(4) as u32).map(|i| i.wrapping_mul(0x9E37_79B9)).collect();
        let known = labels.then(|| Data::Words((0..23).map(|i| i % 7).collect()));
        let inputs = std::iter::once(Data::Words(bytes)).chain(known).chain([Data::Words(vec![2, 19])]);
        let outputs = [40 * 105, 40][..1 + usize::from(labels)].iter().map(|&len| Data::Floats(vec![0.0; len]));
        let name = if labels { "mirrored, shifted, with labels" } else { "of images alone" };
        all.push(Update {
            name: name.into(),
            work: Work::Draw(draw),
            inputs: inputs.collect(),
            outputs: outputs.collect(),
        });
    }
    all
}

/// Where the operands of an update lie.
pub(super) struct Places {
    inputs: Vec<Region>,
    outputs: Vec<Region>,
}

/// A plan for each.
pub(super) fn program(updates: &[Update]) -> (Program, Vec<Places>) {
    let (mut b, mut places) = (Builder::new(Options::default()), vec![]);
    for (i, update) in updates.iter().enumerate() {
        let mut place = |what: &str, data: &[Data], class| -> Vec<Region> {
            let buffer =
                |(n, data): (usize, &Data)| b.buffer(&format!("{i} {what} {n}"), data.len(), data.element(), class);
            data.iter().enumerate().map(buffer).collect()
        };
        let inputs = place("input", &update.inputs, Class::Input);
        let outputs = place("output", &update.outputs, Class::Output);
        b.step(&update.name, update.work.clone(), inputs.clone(), outputs.clone());
        places.push(Places { inputs, outputs });
    }
    (b.finish(), places)
}

/// Runs each on the device and on the host.
pub(super) fn run(device: &gpu::Device, lowering: &Lowering, found: &mut Findings) -> Result<()> {
    let updates = all();
    let (program, places) = program(&updates);
    let mut subjects = vec![];
    for plan in &program.plans {
        for step in &plan.steps {
            found.launched(step.work.name(), &program, &lowering(device.tuning(), step)?);
        }
        subjects.push(Subject::of(&plan.steps, |step| lowering(device.tuning(), step))?);
    }
    let mut host = Host::<f64>::new(program.clone(), None)?;
    let mut gpu = Gpu::load_with(device.clone(), program, |step| lowering(device.tuning(), step))?;
    for executor in [&mut host as &mut dyn Executor, &mut gpu] {
        seed(executor)?;
        for (update, places) in updates.iter().zip(&places) {
            let operands = update.inputs.iter().chain(&update.outputs);
            for (&region, data) in places.inputs.iter().chain(&places.outputs).zip(operands) {
                match data {
                    Data::Floats(v) => executor.write(region, v)?,
                    Data::Words(v) => executor.write_u32(region, v)?,
                }
            }
        }
    }
    for (i, (update, places)) in updates.iter().zip(&places).enumerate() {
        host.run(&[(i, 1)])?;
        gpu.run(&[(i, 1)])?;
        for (n, (&region, data)) in places.outputs.iter().zip(&update.outputs).enumerate() {
            let (got, expected): (Vec<f32>, Vec<f64>) = match data {
                Data::Floats(_) => (gpu.read(region)?, host.values(region)?.to_vec()),
                // Counts are the same whole numbers.
                Data::Words(_) => (
                    gpu.read_u32(region)?.into_iter().map(|v| v as f32).collect(),
                    host.read_u32(region)?.into_iter().map(f64::from).collect(),
                ),
            };
            let name = format!("{} {} output {n}", update.work.name(), update.name);
            found.compared(&subjects[i], "as chosen", &compare(name, &got, &expected));
        }
    }
    Ok(())
}

/// As a case is compared; infinities and numbers that are none are compared by being the same.
fn compare(name: String, got: &[f32], expected: &[f64]) -> Row {
    let allowed = rounding::allowed_of_update();
    let same = |(a, b): &(&f32, &f64)| f64::from(**a) == **b || (a.is_nan() && b.is_nan());
    let pairs = got.iter().zip(expected).filter(|pair| !same(pair));
    let off = |d: f64| if d.is_nan() { f64::INFINITY } else { d };
    let errors: Vec<f64> = pairs.map(|(&a, &b)| off((f64::from(a) - b).abs())).collect();
    let finite = || expected.iter().filter(|v| v.is_finite());
    let mean = |sum: f64| (sum / expected.len().max(1) as f64).sqrt();
    let (size, peak) = (mean(finite().map(|v| v * v).sum()), finite().fold(0.0f64, |m, v| m.max(v.abs())));
    let relative_error = mean(errors.iter().map(|d| d * d).sum()) / size.max(1e-6);
    let largest_error = errors.iter().fold(0.0f64, |m, &d| m.max(d)) / peak.max(1e-6);
    let passed = got.len() == expected.len() && relative_error <= allowed && largest_error <= super::SPREAD * allowed;
    Row { name, relative_error, largest_error, allowed, passed }
}
