//! Text and parameters of a fused chain: how its inputs are walked, and one named `let` a line of the expression.
//!
//! The text depends on the expression, on which inputs are broadcast or strided, and on nothing else: extents, strides and
//! constants travel as parameters, so layers of different sizes share a pipeline.

use crate::graph::Op;
use crate::plan::{Chain, Instr, View, Within};
use crate::{Error, Result};
use std::fmt::Write;

/// Inputs a chain can have: with its output and its parameters, what a portable device lets a kernel bind.
pub const MAX_INPUTS: usize = 7;
/// Quotients that all walks of a launch may need together.
const MAX_QUOTIENTS: usize = 8;
/// Limits of indices a chain may have.
const MAX_LIMITS: usize = 8;
/// Constants that travel as parameters; more are written into the text.
const MAX_CONSTANTS: usize = 32;
/// Below this, `quotient` of `shared/divide.wgsl` is exact.
const EXACT: usize = 1 << 24;

/// How the text of a chain names its parameters and inputs.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Names {
    /// Fields of `Params`, and bindings from 1 on: the chain is the kernel.
    Kernel,
    /// The block `p.after` (`shared/after.wgsl`), and bindings from this number on: the chain follows a product, whose element
    /// is input 0.
    After { binding: usize },
}

/// Rows of the block `p.after`: divisors, reciprocals, inputs, constants.
pub(super) const AFTER: usize = CONSTANTS_AT + MAX_CONSTANTS / 4;
const INPUTS_AT: usize = 4;
const CONSTANTS_AT: usize = INPUTS_AT + 3 * MAX_INPUTS;

impl Names {
    fn divisor(self, slot: usize) -> String {
        match self {
            Names::Kernel => format!("p.divisors{}", place(slot)),
            Names::After { .. } => format!("p.after{}", place(slot)),
        }
    }

    fn reciprocal(self, slot: usize) -> String {
        match self {
            Names::Kernel => format!("p.reciprocals{}", place(slot)),
            Names::After { .. } => format!("bitcast<f32>(p.after{})", place(MAX_QUOTIENTS + slot)),
        }
    }

    /// A number of the table of inputs.
    fn input(self, number: usize) -> String {
        match self {
            Names::Kernel => format!("p.inputs{}", place(number)),
            Names::After { .. } => format!("p.after{}", place(4 * INPUTS_AT + number)),
        }
    }

    fn constant(self, number: usize) -> String {
        match self {
            Names::Kernel => format!("p.constants{}", place(number)),
            Names::After { .. } => format!("bitcast<f32>(p.after{})", place(4 * CONSTANTS_AT + number)),
        }
    }

    /// The variable of an input.
    fn variable(self, input: usize) -> String {
        match self {
            Names::Kernel => format!("in{input}"),
            Names::After { .. } => format!("e{input}"),
        }
    }

    /// The binding of an input; none for the product's element.
    fn binding(self, input: usize) -> Option<usize> {
        match self {
            Names::Kernel => Some(input + 1),
            Names::After { binding } => (input > 0).then(|| binding + input - 1),
        }
    }
}

/// An axis of an iteration space, how each input steps along it, and its limits: their number in [`Chain::limits`], first
/// index, count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Axis {
    pub extent: usize,
    pub strides: Vec<usize>,
    limits: Vec<(usize, [usize; 2])>,
}

impl Axis {
    /// Whether four neighbours along it are inside every limit together, or outside.
    pub fn in_fours(&self) -> bool {
        self.extent.is_multiple_of(4) && self.limits.iter().flat_map(|(_, range)| range).all(|n| n.is_multiple_of(4))
    }
}

/// The axes of a chain that `keep` picks, outermost first; extents of 1 vanish and neighbours that every input walks as
/// one are merged, unless the inner one is limited.
pub(super) fn axes(chain: &Chain, keep: impl Fn(usize) -> bool) -> Vec<Axis> {
    let all = chain.limits();
    let mut merged: Vec<Axis> = vec![];
    for (a, &extent) in chain.extents.iter().enumerate().filter(|(a, n)| keep(*a) && **n != 1) {
        let strides: Vec<usize> = chain.views.iter().map(|v| v.strides[a]).collect();
        let own = all.iter().enumerate().filter(|(_, limit)| limit.dim == a);
        let limits: Vec<_> = own.map(|(number, w)| (number, [w.from, w.to - w.from])).collect();
        match merged.last_mut() {
            Some(left)
                if limits.is_empty()
                    && left.strides.iter().zip(&strides).all(|(&outer, &inner)| outer == extent * inner) =>
            {
                left.extent *= extent;
                left.strides = strides;
                left.limits.iter_mut().for_each(|(_, range)| *range = range.map(|n| n * extent));
            }
            _ => merged.push(Axis { extent, strides, limits }),
        }
    }
    merged
}

/// How one index walks every input. With axes (e₀,s₀) … (eₙ,sₙ), Σ cₐ·sₐ = i·sₙ + Σ_{a<n} (i / Π_{b>a} e_b)·(sₐ − eₐ₊₁·sₐ₊₁):
/// an axis that continues its right neighbour has step 0 and needs no quotient.
pub(super) struct Walk {
    /// Name of the index in the text.
    name: char,
    /// Number of values the index takes.
    pub count: usize,
    /// Of each quotient: its divisor, and the step of each input, modulo 2³².
    quotients: Vec<(u32, Vec<u32>)>,
    /// Step of each input along the innermost axis.
    units: Vec<u32>,
    /// Limits of its axes.
    limits: Vec<Limit>,
}

/// A limit of an axis of a walk.
struct Limit {
    /// In [`Chain::limits`].
    number: usize,
    /// Of the axis, outermost first.
    axis: usize,
    /// Extent of the axis, first index inside, number of indices inside.
    row: [u32; 3],
}

impl Walk {
    pub fn new(name: char, axes: &[Axis], inputs: usize) -> Walk {
        let (mut divisor, mut quotients) = (1, vec![]);
        for pair in axes.windows(2).rev() {
            let [outer, inner] = pair else { continue };
            divisor *= inner.extent;
            let steps = outer.strides.iter().zip(&inner.strides);
            let steps: Vec<u32> = steps.map(|(s, t)| (s.wrapping_sub(inner.extent.wrapping_mul(*t))) as u32).collect();
            quotients.push((divisor as u32, steps));
        }
        let units = axes.last().map_or(vec![0; inputs], |a| a.strides.iter().map(|&s| s as u32).collect());
        let limits = axes.iter().enumerate().flat_map(|(axis, a)| {
            a.limits.iter().map(move |&(number, [from, count])| Limit {
                number,
                axis,
                row: [a.extent, from, count].map(|n| n as u32),
            })
        });
        let limits = limits.collect();
        Walk { name, count: axes.iter().map(|a| a.extent).product(), quotients, units, limits }
    }

    /// One `let` a limit: `w{number}`, whether the index is inside. An index along an axis is its quotient less the whole turns
    /// that the next outer quotient counts.
    fn limit_text(&self) -> String {
        let mut text = String::new();
        for Limit { number, axis, .. } in &self.limits {
            // The last quotient is that of the outermost axis.
            let quotient = |axis: usize| match self.quotients.len() - axis {
                0 => self.name.to_string(),
                inner => format!("{}{}", self.name, inner - 1),
            };
            let row = format!("p.limits[{number}]");
            let turns = if *axis == 0 { String::new() } else { format!(" - {} * {row}.x", quotient(axis - 1)) };
            let _ = writeln!(text, "let w{number} = ({}{turns}) - {row}.y < {row}.z;", quotient(*axis));
        }
        text
    }

    /// One `let` a quotient; `slot` counts those of all walks.
    fn quotient_text(&self, mut slot: usize, names: Names) -> String {
        let mut text = String::new();
        for q in 0..self.quotients.len() {
            let (name, divisor) = (self.name, names.divisor(slot));
            let _ = match self.count < EXACT {
                true => writeln!(text, "let {name}{q} = quotient({name}, {divisor}, {});", names.reciprocal(slot)),
                false => writeln!(text, "let {name}{q} = {name} / {divisor};"),
            };
            slot += 1;
        }
        text
    }

    /// What this index adds to the place of `input`: `i + i0 * p.inputs[1].x`, or nothing.
    fn terms(&self, input: usize, walk: usize, first_slot: usize, names: Names) -> Vec<String> {
        let name = self.name;
        let mut terms = match self.units[input] {
            0 => vec![],
            1 => vec![name.to_string()],
            _ => vec![format!("{name} * {}", names.input(12 * input + 1 + walk))],
        };
        let used = self.quotients.iter().enumerate().filter(|(_, (_, steps))| steps[input] != 0);
        terms.extend(used.map(|(q, _)| format!("{name}{q} * {}", names.input(4 * (3 * input + 1) + first_slot + q))));
        terms
    }
}

/// `[2].z` for the 10th number in an array of vec4.
fn place(slot: usize) -> String {
    format!("[{}].{}", slot / 4, ['x', 'y', 'z', 'w'][slot % 4])
}

/// A filled-in chain: the blocks of a template and the parameters both templates share.
pub(super) struct Filled {
    /// `var<storage>` lines of the inputs; the output's follows.
    pub bindings: String,
    /// Places that don't depend on the innermost walk.
    pub bases: String,
    /// The loads and the expression; ends with `value`.
    pub body: String,
    pub divisors: [[u32; 4]; 2],
    pub reciprocals: [[f32; 4]; 2],
    pub inputs: [[u32; 4]; 3 * MAX_INPUTS],
    pub limits: [[u32; 4]; MAX_LIMITS],
    pub constants: [[f32; 4]; MAX_CONSTANTS / 4],
}

/// Fills a chain walked by one index, or by two of which the last is the inner loop. `vector` is the walk whose index goes
/// in steps of 4, if any.
pub(super) fn fill(chain: &Chain, walks: &[Walk], vector: Option<usize>, names: Names) -> Result<Filled> {
    let slots: usize = walks.iter().map(|w| w.quotients.len()).sum();
    let (count, limits) = (chain.views.len(), chain.limits());
    if limits.len() > MAX_LIMITS || matches!(names, Names::After { .. }) && !limits.is_empty() {
        return Err(Error::Graph(format!("a chain over {:?} with the limits {limits:?}", chain.extents)));
    }
    if count > MAX_INPUTS || slots > MAX_QUOTIENTS {
        return Err(Error::Graph(format!(
            "a chain of {count} inputs over extents {:?} passes the {MAX_INPUTS} inputs or {MAX_QUOTIENTS} axes a kernel has",
            chain.extents
        )));
    }
    let mut filled = Filled {
        bindings: String::new(),
        bases: String::new(),
        body: String::new(),
        divisors: Default::default(),
        reciprocals: Default::default(),
        inputs: Default::default(),
        limits: Default::default(),
        constants: Default::default(),
    };
    let (mut slot, mut places) = (0, vec![vec![]; count]);
    for (w, walk) in walks.iter().enumerate() {
        let inner = w + 1 == walks.len();
        let text = if inner { &mut filled.body } else { &mut filled.bases };
        *text += &walk.quotient_text(slot, names);
        *text += &walk.limit_text();
        walk.limits.iter().for_each(|limit| filled.limits[limit.number][..3].copy_from_slice(&limit.row));
        for (i, view) in chain.views.iter().enumerate() {
            filled.inputs[3 * i][0] = start(view);
            filled.inputs[3 * i][w + 1] = walk.units[i];
            if w == 0 {
                places[i].push(names.input(12 * i));
            }
            places[i].extend(walk.terms(i, w, slot, names));
            if !inner {
                let _ = writeln!(text, "let b{i} = {};", std::mem::take(&mut places[i]).join(" + "));
                places[i].push(format!("b{i}"));
            }
        }
        for (divisor, steps) in &walk.quotients {
            filled.divisors[slot / 4][slot % 4] = *divisor;
            filled.reciprocals[slot / 4][slot % 4] = 1.0 / *divisor as f32;
            for (i, &step) in steps.iter().enumerate() {
                filled.inputs[3 * i + 1 + slot / 4][slot % 4] = step;
            }
            slot += 1;
        }
    }
    for (i, terms) in places.iter().enumerate() {
        let Some(binding) = names.binding(i) else {
            let _ = writeln!(filled.body, "let x{i} = V(first);");
            continue;
        };
        let load = load(chain, walks, vector, i, &terms.join(" + "), names);
        let (element, name) = (if load.whole { "V" } else { "f32" }, names.variable(i));
        let _ = writeln!(filled.bindings, "@group(0) @binding({binding}) var<storage, read> {name}: array<{element}>;");
        let within = condition(&chain.views[i].within, &limits);
        filled.body += &match within.is_empty() {
            true => load.text,
            false => {
                let text = load.text.replace(&format!("let x{i} = "), &format!("x{i} = "));
                format!("var x{i} = V(0.0);\nif {within} {{\n{text}}}\n")
            }
        };
    }
    expression(chain, &limits, names, &mut filled)?;
    Ok(filled)
}

struct Load {
    text: String,
    /// The input is bound as whole vectors.
    whole: bool,
}

/// Where an input would be read at index 0 of every extent, modulo 2³²: of limited ones possibly before its region.
fn start(view: &View) -> u32 {
    let before: usize = view.within.iter().map(|w| w.from * view.strides[w.dim]).sum();
    view.offset.wrapping_sub(before) as u32
}

/// `w0 && w2`: whether every index is within these limits.
fn condition(limits: &[Within], all: &[Within]) -> String {
    let number = |limit| all.iter().position(|w| w == limit).unwrap_or(0);
    limits.iter().map(|limit| format!("w{}", number(limit))).collect::<Vec<_>>().join(" && ")
}

/// `let x{input} = …;` for the element, or the four, at `place`.
fn load(chain: &Chain, walks: &[Walk], vector: Option<usize>, input: usize, place: &str, names: Names) -> Load {
    let (i, array) = (input, names.variable(input));
    let single = |text| Load { text, whole: false };
    let Some(v) = vector else { return single(format!("let x{i} = V({array}[{place}]);\n")) };
    let aligned = |step: u32| step.is_multiple_of(4);
    let steps = walks.iter().flat_map(|w| w.quotients.iter().map(|(_, steps)| steps[i]));
    let others = walks.iter().enumerate().filter(|(w, _)| *w != v).map(|(_, w)| w.units[i]);
    let whole = start(&chain.views[i]).is_multiple_of(4) && steps.chain(others).all(aligned);
    match walks[v].units[i] {
        0 => single(format!("let x{i} = V({array}[{place}]);\n")),
        1 if whole => Load { text: format!("let x{i} = {array}[({place}) >> 2u];\n"), whole: true },
        _ => {
            let unit = names.input(12 * i + 1 + v);
            let at = |n: usize| format!("{array}[p{i} + {n}u * {unit}]");
            let four = format!("V({array}[p{i}], {array}[p{i} + {unit}], {}, {})", at(2), at(3));
            single(format!("let p{i} = {place};\nlet x{i} = {four};\n"))
        }
    }
}

/// One `let` an instruction; the last is called `value`.
fn expression(chain: &Chain, limits: &[Within], names: Names, filled: &mut Filled) -> Result<()> {
    let (mut constants, last) = (0, chain.instrs.len() - 1);
    let mut constant = |value: f64, filled: &mut Filled| {
        if constants == MAX_CONSTANTS {
            return format!("bitcast<f32>({}u)", (value as f32).to_bits());
        }
        filled.constants[constants / 4][constants % 4] = value as f32;
        constants += 1;
        names.constant(constants - 1)
    };
    for (line, instr) in chain.instrs.iter().enumerate() {
        let text = match instr {
            Instr::Load(input) => format!("x{input}"),
            Instr::Const(c) => format!("V({})", constant(c.0, filled)),
            Instr::Inside(within) => format!("V(select(0.0, 1.0, {}))", condition(within, limits)),
            Instr::Apply(op, operands) => {
                let args: Vec<String> = operands.iter().map(|n| format!("v{n}")).collect();
                let c = match op {
                    Op::Scale(c) => constant(c.0, filled),
                    Op::Pow(p) if power(p.0, "").is_none() => constant(p.0, filled),
                    _ => String::new(),
                };
                apply(op, &args, &c)?
            }
        };
        let _ = writeln!(filled.body, "let v{line} = {text};");
    }
    let _ = writeln!(filled.body, "let value = v{last};");
    Ok(())
}

/// WGSL of a pointwise primitive; `c` is its constant.
fn apply(op: &Op, args: &[String], c: &str) -> Result<String> {
    let a = args[0].as_str();
    Ok(match op {
        Op::Add => format!("{a} + {}", args[1]),
        Op::Mul => format!("{a} * {}", args[1]),
        Op::Scale(_) => format!("{c} * {a}"),
        Op::Pow(p) => power(p.0, a).unwrap_or_else(|| format!("op_pow({a}, {c})")),
        Op::Exp => format!("exp({a})"),
        Op::Log => format!("log({a})"),
        Op::Sigmoid => format!("op_sigmoid({a})"),
        Op::Tanh => format!("op_tanh({a})"),
        Op::Softplus => format!("op_softplus({a})"),
        Op::Abs => format!("abs({a})"),
        Op::Sign => format!("sign({a})"),
        Op::Step => format!("op_step({a})"),
        Op::Select => format!("op_select({a}, {}, {})", args[1], args[2]),
        Op::Max => format!("op_max({a}, {})", args[1]),
        Op::Min => format!("op_min({a}, {})", args[1]),
        _ => return Err(Error::Graph(format!("`{}` is not pointwise", op.kind().name()))),
    })
}

/// Powers that need no logarithm, exact where the hardware's root and reciprocal are: wholes and halves.
fn power(p: f64, a: &str) -> Option<String> {
    let text = match p {
        0.5 => format!("sqrt({a})"),
        -0.5 => format!("inverseSqrt({a})"),
        1.5 => format!("{a} * sqrt({a})"),
        -1.5 => format!("inverseSqrt({a}) / {a}"),
        1.0 => a.to_string(),
        2.0 => format!("{a} * {a}"),
        3.0 => format!("{a} * {a} * {a}"),
        -1.0 => format!("1.0 / {a}"),
        -2.0 => format!("1.0 / ({a} * {a})"),
        _ if p.fract() == 0.0 && (0.0..=64.0).contains(&p) => format!("op_pow_whole({a}, {p}u)"),
        _ if p.fract() == 0.0 && (-64.0..0.0).contains(&p) => format!("1.0 / op_pow_whole({a}, {}u)", -p),
        _ => return None,
    };
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chain(extents: &[usize], views: &[(&[usize], usize)]) -> Chain {
        let views =
            views.iter().map(|(s, offset)| View { strides: s.to_vec(), offset: *offset, within: vec![] }).collect();
        Chain { extents: extents.to_vec(), views, instrs: vec![Instr::Load(0)] }
    }

    #[test]
    fn a_bias_takes_one_quotient_and_a_contiguous_input_none() {
        let chain = chain(&[2, 3, 5, 8], &[(&[120, 40, 8, 1], 0), (&[0, 0, 0, 1], 0)]);
        let axes = axes(&chain, |_| true);
        assert_eq!(axes.iter().map(|a| a.extent).collect::<Vec<_>>(), [30, 8]);
        let walk = Walk::new('i', &axes, 2);
        assert_eq!(walk.quotients, [(8, vec![0, 0u32.wrapping_sub(8)])]);
    }

    #[test]
    fn walks_reach_every_element() {
        let chain = chain(&[3, 4, 1, 5], &[(&[5, 15, 7, 1], 0), (&[0, 9, 0, 2], 3), (&[1, 3, 0, 12], 0)]);
        let walk = Walk::new('i', &axes(&chain, |_| true), 3);
        for i in 0..60_u32 {
            let c = [i / 20, i / 5 % 4, 0, i % 5];
            for (input, view) in chain.views.iter().enumerate() {
                let expected: usize = view.strides.iter().zip(c).map(|(s, c)| s * c as usize).sum();
                let steps = walk.quotients.iter().map(|(d, s)| (i / d).wrapping_mul(s[input]));
                let at = steps.fold(i.wrapping_mul(walk.units[input]), u32::wrapping_add);
                assert_eq!(at, expected as u32, "input {input} at {i}");
            }
        }
    }

    /// The arithmetic of `quotient` in shared/divide.wgsl.
    #[test]
    fn quotient_is_exact_below_its_bound() {
        let quotient = |n: u32, d: u32| {
            let mut q = (n as f32 * (1.0 / d as f32)) as u32;
            let rest = n.wrapping_sub(q.wrapping_mul(d));
            q -= u32::from(rest >= 0x8000_0000);
            q + u32::from(rest < 0x8000_0000 && rest >= d)
        };
        let top = EXACT as u32 - 1;
        for d in (1..3000).chain([4095, 4097, 65_537, 1_000_003, top - 1, top]) {
            for n in
                [0, 1, d - 1, d, d + 1, top].into_iter().chain((0..40).map(|k| top / d * d - (k * d).min(top / d * d)))
            {
                for n in [n.saturating_sub(1), n, (n + 1).min(top)].map(|n| n.min(top)) {
                    assert_eq!(quotient(n, d), n / d, "{n} / {d}");
                }
            }
        }
    }
}
