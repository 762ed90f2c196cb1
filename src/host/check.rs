//! Checks of a program before it is run: every region lies inside its buffer, has the element type and the length its
//! step needs, and no step writes what it also reads. What is accepted here is what `memory` relies on.

use crate::graph::Op;
use crate::plan::{
    ALIGN, Chain, ConvDims, Element, Instr, MAX_CROP, OPTIMISER_SCALARS, Plan, Program, RNG, Region, Step, Within, Work,
};
use crate::{Error, Result};
use Element::{F32, U32};

/// Most inputs of a step.
pub const MAX_INPUTS: usize = 32;

/// Element type and least length of each region of a step.
struct Needs {
    inputs: Vec<(Element, usize)>,
    outputs: Vec<(Element, usize)>,
}

/// Checks all steps of all plans and returns the plans with every region cut to the length that its step needs.
pub fn program(program: &Program) -> Result<Vec<Plan>> {
    match program.buffers.first() {
        Some(rng) if rng.element == U32 && rng.len >= 4 => {}
        _ => return Err(Error::Graph(format!("buffer {RNG} of a program must hold the seed: four u32"))),
    }
    let mut plans = program.plans.clone();
    for plan in &mut plans {
        for (i, step) in plan.steps.iter_mut().enumerate() {
            check_step(program, step).map_err(|reason| {
                Error::Graph(format!("plan {}: step {i} ({}, {}): {reason}", plan.name, step.name(), step.label))
            })?;
        }
    }
    Ok(plans)
}

/// Whether a region lies inside a buffer of this element type.
pub fn region(program: &Program, region: Region, element: Element) -> Result<(), String> {
    let Region { buffer, offset, len } = region;
    let Some(b) = program.buffers.get(buffer) else {
        return Err(format!("buffer {buffer} does not exist, there are {}", program.buffers.len()));
    };
    if b.element != element {
        return Err(format!("`{}` holds {:?}, not {element:?}", b.name, b.element));
    }
    if !offset.is_multiple_of(ALIGN) || offset.checked_add(len).is_none_or(|end| end > b.len) {
        return Err(format!("`{}` has {} elements, not {len} from {offset} on (a multiple of {ALIGN})", b.name, b.len));
    }
    Ok(())
}

fn check_step(program: &Program, step: &mut Step) -> Result<(), String> {
    let needs = needs(step)?;
    let sides = [("input", &mut step.inputs, &needs.inputs), ("output", &mut step.outputs, &needs.outputs)];
    for (name, regions, needs) in sides {
        if regions.len() != needs.len() {
            return Err(format!("{} {name}s, expected {}", regions.len(), needs.len()));
        }
        for (i, (r, &(element, len))) in regions.iter_mut().zip(needs).enumerate() {
            region(program, *r, element).map_err(|reason| format!("{name} {i}: {reason}"))?;
            if r.len < len {
                return Err(format!("{name} {i} has {} elements, expected {len}", r.len));
            }
            r.len = len;
        }
    }
    if step.inputs.len() > MAX_INPUTS {
        return Err(format!("{} inputs, at most {MAX_INPUTS} are supported", step.inputs.len()));
    }
    for (i, a) in step.outputs.iter().enumerate() {
        if let Some(b) = step.inputs.iter().chain(&step.outputs[i + 1..]).find(|b| overlap(a, b)) {
            return Err(format!("output {i} {a:?} overlaps {b:?}"));
        }
    }
    Ok(())
}

fn overlap(a: &Region, b: &Region) -> bool {
    a.buffer == b.buffer && a.offset < b.offset + b.len && b.offset < a.offset + a.len
}

fn needs(step: &Step) -> Result<Needs, String> {
    needs_of(&step.work, step)
}

fn needs_of(work: &Work, step: &Step) -> Result<Needs, String> {
    let product = |extents: &[usize]| extents.iter().product::<usize>();
    let plain = |inputs: &[usize], output: usize| Needs {
        inputs: inputs.iter().map(|&len| (F32, len)).collect(),
        outputs: vec![(F32, output)],
    };
    Ok(match work {
        Work::Then { work, .. } if !work.takes_epilogue() => return Err(format!("{} takes no epilogue", work.name())),
        Work::Then { work, chain } => {
            let mut needs = needs_of(work, step)?;
            let lens = chain_inputs(chain)?;
            let follows = lens.is_empty() || chain.is_contiguous(0);
            if needs.outputs != [(F32, chain.elems())] || !follows || !chain.limits().is_empty() {
                return Err(format!("an epilogue over {:?} after {}", chain.extents, work.name()));
            }
            needs.inputs.extend(lens.into_iter().skip(1).map(|len| (F32, len)));
            needs
        }
        Work::Pointwise(chain) => plain(&chain_inputs(chain)?, chain.elems()),
        Work::Reduce { chain, reduced } => {
            if reduced.len() != chain.extents.len() {
                return Err(format!("{} reduced flags for {} extents", reduced.len(), chain.extents.len()));
            }
            let kept = chain.extents.iter().zip(reduced).filter(|(_, reduced)| !**reduced);
            plain(&chain_inputs(chain)?, kept.map(|(extent, _)| extent).product())
        }
        Work::MatMul { m, n, k, .. } => plain(&[m * k, k * n], m * n),
        Work::Conv(d) => conv(d, |x, w, y| plain(&[x, w], y))?,
        Work::ConvX(d) => conv(d, |x, w, y| plain(&[y, w], x))?,
        Work::ConvW(d) => conv(d, |x, w, y| plain(&[x, y], w))?,
        Work::Fir { spec, input } => {
            if spec.up == 0 || spec.down == 0 || spec.taps.is_empty() {
                return Err(format!("{spec:?} is not a filter"));
            }
            let [n, h, w, c] = *input;
            plain(&[product(input)], n * spec.output(0, h) * spec.output(1, w) * c)
        }
        Work::Gather { rows, cols, count } => indexed(*rows, *count, plain(&[rows * cols, *count], count * cols))?,
        Work::ScatterAdd { rows, cols, count } => indexed(*rows, *count, plain(&[count * cols, *count], rows * cols))?,
        Work::Sample { n, c, from, to } => plain(&[n * product(from) * c, n * product(to) * 2], n * product(to) * c),
        Work::SampleAdjoint { n, c, from, to } => {
            plain(&[n * product(to) * c, n * product(to) * 2], n * product(from) * c)
        }
        Work::Rand { .. } => plain(&[], step.outputs.first().map_or(0, |out| out.len)),
        Work::Draw(d) if d.count == 0 => return Err("a data set without images".into()),
        Work::Draw(d) if d.count > 1 << 31 || d.n > 1 << 31 => {
            return Err(format!("{} of {} images: both are at most 2³¹", d.n, d.count));
        }
        Work::Draw(d) if d.crop > MAX_CROP => return Err(format!("a shift of {}: must be at most {MAX_CROP}", d.crop)),
        Work::Draw(d) => {
            let set = d.count * product(&d.image);
            let labels = usize::from(d.labels);
            Needs {
                inputs: [vec![(U32, set.div_ceil(4))], vec![(U32, d.count); labels], vec![(U32, 2)]].concat(),
                outputs: [(F32, d.n * product(&d.image)), (F32, d.n)][..1 + labels].to_vec(),
            }
        }
        Work::Adam(_) => update(step, 2),
        Work::Sgd { .. } => update(step, 1),
        Work::LossScale => {
            let scalars = (F32, OPTIMISER_SCALARS);
            Needs { inputs: vec![(F32, 1), scalars], outputs: vec![(F32, 5), scalars, (F32, 1), (F32, 1), (F32, 1)] }
        }
        Work::Round { .. } => Needs { inputs: vec![], outputs: vec![(U32, 4)] },
        Work::LogRow { count, rows } => plain(&[count.saturating_sub(1) * ALIGN + 1], rows.max(&1) * count),
    })
}

/// An optimiser that keeps so many moments.
fn update(step: &Step, moments: usize) -> Needs {
    let len = step.inputs.get(1).map_or(0, |grads| grads.len);
    let average = usize::from(step.outputs.len() == moments + 3);
    let tensors = step.outputs.last().map_or(1, |counters| counters.len);
    Needs {
        inputs: vec![(F32, OPTIMISER_SCALARS), (F32, len), (U32, len.div_ceil(ALIGN))],
        outputs: [vec![(F32, len); 1 + moments + average], vec![(U32, tensors)]].concat(),
    }
}

fn indexed(rows: usize, count: usize, needs: Needs) -> Result<Needs, String> {
    if rows == 0 && count > 0 { Err("a table without rows".into()) } else { Ok(needs) }
}

fn conv(d: &ConvDims, needs: impl Fn(usize, usize, usize) -> Needs) -> Result<Needs, String> {
    let s = &d.spec;
    let ok = s.groups > 0
        && d.cin.is_multiple_of(s.groups)
        && d.cout.is_multiple_of(s.groups)
        && (0..2).all(|a| s.stride[a] > 0 && s.kernel[a] > 0 && s.input[a] + 2 * s.pad[a] >= s.kernel[a]);
    if !ok {
        return Err(format!("{d:?} is not a convolution"));
    }
    let [ho, wo] = s.output();
    let x = d.n * s.input[0] * s.input[1] * d.cin;
    Ok(needs(x, s.kernel[0] * s.kernel[1] * d.cin / s.groups * d.cout, d.n * ho * wo * d.cout))
}

/// Operands of a pointwise primitive.
fn arity(op: &Op) -> usize {
    match op {
        Op::Add | Op::Mul | Op::Max | Op::Min => 2,
        Op::Select => 3,
        _ => 1,
    }
}

/// Checks a chain and returns the length that each of its inputs needs.
fn chain_inputs(chain: &Chain) -> Result<Vec<usize>, String> {
    if chain.instrs.is_empty() || chain.extents.is_empty() {
        return Err("an empty chain".into());
    }
    for (i, instr) in chain.instrs.iter().enumerate() {
        let ok = match instr {
            Instr::Load(input) => *input < chain.views.len(),
            Instr::Const(_) | Instr::Inside(_) => true,
            Instr::Apply(op, args) => op.is_pointwise() && args.len() == arity(op) && args.iter().all(|&a| a < i),
        };
        if !ok {
            return Err(format!("line {i} of the chain, {instr:?}, is not valid"));
        }
    }
    let fits = |w: &Within| w.from < w.to && chain.extents.get(w.dim).is_some_and(|extent| w.to <= *extent);
    if let Some(limit) = chain.limits().iter().find(|limit| !fits(limit)) {
        return Err(format!("{limit:?} over {:?}", chain.extents));
    }
    let mut lens = vec![];
    for view in &chain.views {
        let once = |w: &Within| view.within.iter().filter(|other| other.dim == w.dim).count() == 1;
        if view.strides.len() != chain.extents.len() || !view.within.iter().all(once) {
            return Err(format!("{view:?} over {:?}", chain.extents));
        }
        let count =
            |dim: usize, extent: usize| view.within.iter().find(|w| w.dim == dim).map_or(extent, |w| w.to - w.from);
        let counts = chain.extents.iter().enumerate().map(|(dim, &extent)| count(dim, extent).saturating_sub(1));
        let last: usize = counts.zip(&view.strides).map(|(last, stride)| last * stride).sum();
        lens.push(if chain.elems() == 0 { 0 } else { view.offset + last + 1 });
    }
    Ok(lens)
}
