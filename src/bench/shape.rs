//! What `danskin bench kernels` measures: kernels by name and shape, in a spelling that can be typed back.
//!
//! `matmul:MxNxK` (`matmul_nt`, `matmul_tn`: b or a stored transposed), `conv:N,H,W,CIN,COUT,K,STRIDE,PAD[,GROUPS]` with
//! the extents of the forward convolution (`conv_x`: its input gradient, which is the transposed convolution; `conv_w`:
//! its weight gradient), `fir:N,H,W,C,UP,DOWN`, `pointwise:N`, `reduce:ROWSxCOLS`, `adam:N`, `sgd:N`.

use crate::graph::{ConvSpec, FirSpec, Op, Real};
use crate::plan::{ALIGN, Chain, ConvDims, Element, Instr, OPTIMISER_SCALARS, View, WeightDecay, Work};
use crate::{Error, Result};

/// A buffer of an [`Item`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Operand {
    /// Elements.
    pub len: usize,
    /// Their type.
    pub element: Element,
}

/// A step of an [`Item`]: work over some of its operands.
#[derive(Clone, Debug)]
pub struct ItemStep {
    /// What is computed.
    pub work: Work,
    /// Operands read.
    pub inputs: Vec<usize>,
    /// Operands written.
    pub outputs: Vec<usize>,
    /// Floating-point operations.
    pub flops: u64,
}

/// Something to measure.
#[derive(Clone, Debug)]
pub struct Item {
    /// Its name in reports: a shape, or a workload that other engines run too.
    pub name: String,
    /// Kernel family.
    pub family: &'static str,
    /// Images in it; 0 where there are none.
    pub batch: usize,
    /// Buffers.
    pub operands: Vec<Operand>,
    /// What is run, in order.
    pub steps: Vec<ItemStep>,
    /// A workload that other engines run too: timed as they time it, one call a sample.
    pub is_workload: bool,
}

/// Elements of an operand that kernels can count.
const MOST: usize = 1 << 31;

fn floats(len: usize) -> Operand {
    Operand { len, element: Element::F32 }
}

impl Item {
    fn one(name: String, family: &'static str, operands: Vec<Operand>, work: Work, inputs: usize, flops: u64) -> Item {
        let outputs = (inputs..operands.len()).collect();
        let step = ItemStep { work, inputs: (0..inputs).collect(), outputs, flops };
        Item { name, family, batch: 0, operands, steps: vec![step], is_workload: false }
    }

    fn named(self, name: &str, batch: usize) -> Item {
        Item { name: name.into(), batch, is_workload: true, ..self }
    }

    fn matmul(family: &'static str, [m, n, k]: [usize; 3]) -> Item {
        let (ta, tb) = (family == "matmul_tn", family == "matmul_nt");
        let work = Work::MatMul { ta, tb, m, n, k };
        let operands = [m * k, k * n, m * n].map(floats).to_vec();
        Item::one(format!("{family}:{m}x{n}x{k}"), family, operands, work, 2, 2 * (m * n * k) as u64)
    }

    fn conv(family: &'static str, d: ConvDims) -> Item {
        let ConvDims { spec, n, cin, cout } = d;
        let ([h, w], [ho, wo], [k, _]) = (spec.input, spec.output(), spec.kernel);
        let inner = k * k * cin / spec.groups;
        let [x, weight, y] = [n * h * w * cin, inner * cout, n * ho * wo * cout].map(floats);
        let (work, operands) = match family {
            "conv_x" => (Work::ConvX(d), [y, weight, x]),
            "conv_w" => (Work::ConvW(d), [x, y, weight]),
            _ => (Work::Conv(d), [x, weight, y]),
        };
        let groups = if spec.groups > 1 { format!(",{}", spec.groups) } else { String::new() };
        let name = format!("{family}:{n},{h},{w},{cin},{cout},{k},{},{}{groups}", spec.stride[0], spec.pad[0]);
        let item = Item::one(name, family, operands.to_vec(), work, 2, 2 * (y.len * inner) as u64);
        Item { batch: n, ..item }
    }

    /// A convolution, or a transposed one, with the gradients of both its operands.
    fn with_gradients(name: &str, d: ConvDims, transposed: bool) -> Item {
        let [y, x, w] = ["conv", "conv_x", "conv_w"].map(|family| Item::conv(family, d));
        let [x_len, w_len, y_len] = [x.operands[2], w.operands[2], y.operands[2]];
        let step = |item: &Item, inputs: [usize; 2], output: usize| ItemStep {
            inputs: inputs.to_vec(),
            outputs: vec![output],
            ..item.steps[0].clone()
        };
        // Operands: input, weight, given gradient of the output, output, gradients of input and weight.
        let (operands, steps) = match transposed {
            false => ([x_len, w_len, y_len, y_len, x_len, w_len], [(&y, [0, 1], 3), (&x, [2, 1], 4), (&w, [0, 2], 5)]),
            true => ([y_len, w_len, x_len, x_len, y_len, w_len], [(&x, [0, 1], 3), (&y, [2, 1], 4), (&w, [2, 0], 5)]),
        };
        let steps = steps.into_iter().map(|(item, inputs, output)| step(item, inputs, output)).collect();
        let family = if transposed { "conv_x" } else { "conv" };
        let name = name.to_owned();
        Item { name, family, batch: d.n, operands: operands.to_vec(), steps, is_workload: true }
    }

    fn fir([n, h, w, c]: [usize; 4], up: usize, down: usize) -> Item {
        let taps = [1.0, 3.0, 3.0, 1.0].map(|t| Real(t / 8.0)).to_vec();
        let spec = FirSpec { taps, up, down, pad: [[2, 1]; 2], flip: false };
        let input = [n, h, w, c];
        let output = n * spec.output(0, h) * spec.output(1, w) * c;
        let flops = 2 * (output * 16 / (up * up)) as u64;
        let operands = vec![floats(n * h * w * c), floats(output)];
        Item::one(format!("fir:{n},{h},{w},{c},{up},{down}"), "fir", operands, Work::Fir { spec, input }, 1, flops)
    }

    /// leaky_relu(x·scale + shift) with a number per channel of 64, as batch norm applies it.
    fn pointwise(len: usize) -> Item {
        let channels = if len.is_multiple_of(64) { 64 } else { 1 };
        let view = |strides: [usize; 2]| View { strides: strides.to_vec(), offset: 0, within: vec![] };
        let apply = |op: Op, args: &[usize]| Instr::Apply(op, args.to_vec());
        let chain = Chain {
            extents: vec![len / channels, channels],
            views: vec![view([channels, 1]), view([0, 1]), view([0, 1])],
            instrs: vec![
                Instr::Load(0),
                Instr::Load(1),
                apply(Op::Mul, &[0, 1]),
                Instr::Load(2),
                apply(Op::Add, &[2, 3]),
                apply(Op::Scale(Real(0.2)), &[4]),
                apply(Op::Select, &[4, 4, 5]),
            ],
        };
        let operands = [len, channels, channels, len].map(floats).to_vec();
        Item::one(format!("pointwise:{len}"), "pointwise", operands, Work::Pointwise(chain), 3, 4 * len as u64)
    }

    /// The sums of the columns, as the gradient of a bias needs them.
    fn reduce([rows, cols]: [usize; 2]) -> Item {
        let view = View { strides: vec![cols, 1], offset: 0, within: vec![] };
        let chain = Chain { extents: vec![rows, cols], views: vec![view], instrs: vec![Instr::Load(0)] };
        let work = Work::Reduce { chain, reduced: vec![true, false] };
        let operands = [rows * cols, cols].map(floats).to_vec();
        Item::one(format!("reduce:{rows}x{cols}"), "reduce", operands, work, 1, (rows * cols) as u64)
    }

    /// An optimiser over this many weights with an average, in so many operations a weight.
    fn update(family: &'static str, len: usize) -> Item {
        let words = |len| Operand { len, element: Element::U32 };
        let (work, moments, flops) = match family {
            "sgd" => (Work::Sgd { nesterov: false }, 1, 8),
            _ => (Work::Adam(WeightDecay::Off), 2, 15),
        };
        let mut operands = vec![floats(OPTIMISER_SCALARS), floats(len), words(len.div_ceil(ALIGN))];
        operands.extend(vec![floats(len); 2 + moments]);
        operands.push(words(1));
        Item::one(format!("{family}:{len}"), family, operands, work, 3, flops * len as u64)
    }

    /// Floating-point operations.
    pub fn flops(&self) -> u64 {
        self.steps.iter().map(|s| s.flops).sum()
    }

    /// Bytes that must be read and written, each element once per step.
    pub fn bytes(&self) -> u64 {
        let touched =
            |s: &ItemStep| s.inputs.iter().chain(&s.outputs).map(|&i| self.operands[i].len as u64).sum::<u64>();
        // What an optimiser writes it reads first, all but the counter.
        let state = |s: &ItemStep| (s.outputs.len() - 1) as u64 * self.operands[1].len as u64;
        let again = |s: &ItemStep| if s.work.is_update() { state(s) } else { 0 };
        4 * self.steps.iter().map(|s| touched(s) + again(s)).sum::<u64>()
    }
}

/// Square images and kernels.
fn dims(n: usize, size: usize, [cin, cout]: [usize; 2], [k, stride, pad, groups]: [usize; 4]) -> ConvDims {
    let spec = ConvSpec { stride: [stride; 2], pad: [pad; 2], groups, kernel: [k; 2], input: [size; 2] };
    ConvDims { spec, n, cin, cout }
}

/// The shapes measured unless others are asked for: what other engines are measured by, every route a convolution can take,
/// and what waits for memory (larger than caches).
pub fn all() -> Vec<Item> {
    let w2 = dims(16, 32, [64, 64], [3, 1, 1, 1]);
    let w3 = dims(16, 32, [64, 128], [4, 2, 1, 1]);
    let mut items = vec![
        Item::matmul("matmul", [1024; 3]).named("W1", 0),
        Item::conv("conv", w2).named("W2-fwd", 16),
        Item::with_gradients("W2-fb", w2, false),
        Item::conv("conv_x", w3).named("W3-fwd", 16),
        Item::with_gradients("W3-fb", w3, true),
        Item::matmul("matmul_nt", [512; 3]),
        Item::matmul("matmul_tn", [512, 64, 16384]),
        Item::matmul("matmul", [64, 8192, 100]),
    ];
    for d in [
        w2,
        w3,
        dims(64, 32, [3, 32], [4, 2, 1, 1]),
        dims(16, 8, [256, 256], [3, 1, 1, 1]),
        dims(16, 32, [64, 64], [1, 1, 0, 1]),
        dims(16, 16, [256, 256], [3, 1, 1, 16]),
        dims(16, 32, [64, 64], [3, 1, 1, 64]),
    ] {
        items.extend(["conv", "conv_x", "conv_w"].map(|family| Item::conv(family, d)));
    }
    items.extend([
        Item::fir([16, 64, 64, 64], 1, 1),
        Item::fir([16, 32, 32, 64], 2, 1),
        Item::fir([16, 64, 64, 64], 1, 2),
        Item::pointwise(1 << 24),
        Item::reduce([1 << 18, 64]),
        Item::update("adam", 1 << 22),
        Item::update("sgd", 1 << 22),
    ]);
    items
}

/// What `asked` names: a shape in the spelling above, or every item of [`all`] whose name contains it.
///
/// # Errors
/// A shape that makes no sense; a text that no name contains.
pub fn find(asked: &str) -> Result<Vec<Item>> {
    let refuse = |hint: String| Error::setting("command line", "--shape", asked, hint);
    if let Some((family, numbers)) = asked.split_once(':') {
        return explicit(family, numbers).map(|item| vec![item]).map_err(refuse);
    }
    let text = asked.to_lowercase();
    let found: Vec<Item> = all().into_iter().filter(|item| item.name.to_lowercase().contains(&text)).collect();
    if found.is_empty() {
        let names = "w1, w2, w3, matmul, conv, conv_x, conv_w, fir, pointwise, reduce, adam, sgd";
        return Err(refuse(format!(
            "no kernel's name contains it; try {names}, or a shape such as matmul:4096x4096x4096 or conv:16,32,32,64,64,3,1,1"
        )));
    }
    Ok(found)
}

fn explicit(family: &str, numbers: &str) -> Result<Item, String> {
    let parse = |count: std::ops::RangeInclusive<usize>, form: &str| -> Result<Vec<usize>, String> {
        let parts: Option<Vec<usize>> = numbers.split(['x', ',']).map(|n| n.trim().parse().ok()).collect();
        parts.filter(|p| count.contains(&p.len())).ok_or_else(|| format!("must be {family}:{form}, in whole numbers"))
    };
    let at_least_one = |v: &[usize]| match v.contains(&0) {
        true => Err("every extent must be at least 1".to_owned()),
        false => Ok(()),
    };
    let limited = |v: &[usize]| match v.iter().try_fold(1usize, |n, &e| n.checked_mul(e)) {
        Some(n) if n <= MOST => Ok(()),
        _ => Err(format!("an operand may have at most {MOST} elements")),
    };
    Ok(match family {
        "matmul" | "matmul_nt" | "matmul_tn" => {
            let v = parse(3..=3, "MxNxK")?;
            at_least_one(&v)?;
            [[0, 1], [1, 2], [0, 2]].iter().try_for_each(|&[i, j]| limited(&[v[i], v[j]]))?;
            let family = ["matmul", "matmul_nt", "matmul_tn"].into_iter().find(|f| *f == family).unwrap_or("matmul");
            Item::matmul(family, [v[0], v[1], v[2]])
        }
        "conv" | "conv_x" | "conv_w" => {
            let v = parse(8..=9, "N,H,W,CIN,COUT,K,STRIDE,PAD[,GROUPS]")?;
            let family = ["conv", "conv_x", "conv_w"].into_iter().find(|f| *f == family).unwrap_or("conv");
            Item::conv(family, geometry(&v, limited)?)
        }
        "fir" => {
            let v = parse(6..=6, "N,H,W,C,UP,DOWN")?;
            at_least_one(&v)?;
            limited(&[v[0], v[1], v[2], v[3], v[4], v[4]])?;
            Item::fir([v[0], v[1], v[2], v[3]], v[4], v[5])
        }
        "pointwise" | "adam" | "sgd" => {
            let v = parse(1..=1, "N")?;
            at_least_one(&v)?;
            limited(&v)?;
            match family {
                "pointwise" => Item::pointwise(v[0]),
                _ if !v[0].is_multiple_of(ALIGN) => return Err(format!("N must be a multiple of {ALIGN}")),
                "sgd" => Item::update("sgd", v[0]),
                _ => Item::update("adam", v[0]),
            }
        }
        "reduce" => {
            let v = parse(2..=2, "ROWSxCOLS")?;
            at_least_one(&v)?;
            limited(&v)?;
            Item::reduce([v[0], v[1]])
        }
        _ => {
            let families = "matmul, matmul_nt, matmul_tn, conv, conv_x, conv_w, fir, pointwise, reduce, adam or sgd";
            return Err(format!("{family} is no kernel: must be {families}"));
        }
    })
}

/// A convolution from its typed numbers.
fn geometry(v: &[usize], limited: impl Fn(&[usize]) -> Result<(), String>) -> Result<ConvDims, String> {
    let [n, h, w, cin, cout, k, stride, pad] = v[..8] else { return Err("eight numbers are needed".into()) };
    let groups = v.get(8).copied().unwrap_or(1);
    if [n, h, w, cin, cout, k, stride, groups].contains(&0) {
        return Err("every number but PAD must be at least 1".into());
    }
    if !cin.is_multiple_of(groups) || !cout.is_multiple_of(groups) {
        return Err(format!("CIN {cin} and COUT {cout} must be multiples of GROUPS {groups}"));
    }
    if pad >= k || h.min(w) + 2 * pad < k {
        return Err(format!("the kernel must fit: PAD {pad} below K {k}, and K at most H or W with padding"));
    }
    limited(&[n, h, w, cin])?;
    limited(&[k, k, cin, cout])?;
    let spec = ConvSpec { stride: [stride; 2], pad: [pad; 2], groups, kernel: [k; 2], input: [h, w] };
    let [ho, wo] = spec.output();
    limited(&[n, ho, wo, cout])?;
    Ok(ConvDims { spec, n, cin, cout })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_can_be_typed_back() {
        for item in all().iter().filter(|item| !item.is_workload) {
            let again = find(&item.name).unwrap();
            assert_eq!(again.len(), 1);
            assert_eq!((&again[0].name, again[0].flops(), again[0].bytes()), (&item.name, item.flops(), item.bytes()));
            assert_eq!(again[0].operands, item.operands);
        }
    }

    #[test]
    fn workloads_have_the_published_counts() {
        let flops = |name: &str| find(name).unwrap().iter().map(Item::flops).collect::<Vec<_>>();
        let w2 = 2 * 16 * 1024 * 64 * 64 * 9;
        let w3 = 2 * 16 * 256 * 128 * 64 * 16;
        assert_eq!(flops("w1"), [2 << 30]);
        assert_eq!(flops("w2"), [w2, 3 * w2]);
        assert_eq!(flops("w3"), [w3, 3 * w3]);
    }

    #[test]
    fn nonsense_is_refused_with_a_way_out() {
        for (asked, part) in [
            ("frobnicate", "no kernel's name contains it"),
            ("frob:3", "frob is no kernel"),
            ("matmul:4x4", "must be matmul:MxNxK"),
            ("matmul:4x-4x4", "must be matmul:MxNxK"),
            ("matmul:0x4x4", "must be at least 1"),
            ("matmul:1000000x1000000x1", "at most 2147483648 elements"),
            ("conv:1,8,8,3,4,3,1", "must be conv:N,H,W"),
            ("conv:1,8,8,3,4,3,0,1", "but PAD must be at least 1"),
            ("conv:1,8,8,3,4,3,1,1,2", "multiples of GROUPS 2"),
            ("conv:1,2,2,3,4,5,1,0", "the kernel must fit"),
            ("adam:18446744073709551616", "must be adam:N"),
            ("adam:65", "multiple of 64"),
        ] {
            let message = find(asked).unwrap_err().to_string();
            assert!(
                message.starts_with(&format!("command line: --shape {asked}: ")) && message.contains(part),
                "{message}"
            );
        }
    }
}
