//! The vocabulary of a plan: buffers, regions, and the steps that devices execute. Pure data, the same for every device.

use crate::graph::{ConvSpec, Dist, FirSpec, Op, Real, Shape};

/// Regions inside a shared buffer start at multiples of this many elements (256 bytes: the portable binding alignment).
pub const ALIGN: usize = 64;

/// The scale of losses that dynamic loss scaling starts with.
pub const LOSS_SCALE: f32 = 65_536.0;

/// Steps without overflow after which the scale of losses is doubled.
pub const LOSS_SCALE_STEPS: f32 = 1000.0;

/// Numbers that an optimiser is told at each step: [`Work::Adam`] and [`Work::Sgd`].
pub const OPTIMISER_SCALARS: usize = 9;

/// The buffer every program has first: `[seed low, seed high, step, round]` as u32, read by [`Work::Rand`] and [`Work::Draw`]. The round
/// tells apart the runs of a plan that draws and runs several times per step; it is 0 everywhere else.
pub const RNG: usize = 0;

/// Element type of a buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Element {
    /// 32-bit float.
    F32,
    /// 16-bit float: intermediate values on a GPU, whose arithmetic stays in 32 bits.
    F16,
    /// 32-bit unsigned integer; packed bytes too.
    U32,
}

impl Element {
    /// Bytes of one.
    pub fn bytes(self) -> usize {
        match self {
            Element::F32 | Element::U32 => 4,
            Element::F16 => 2,
        }
    }
}

/// What a buffer is for; `danskin plan` sums bytes by class.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Class {
    /// Seed and step counter.
    Rng,
    /// Per-step values written by the host: learning rates, γ.
    Scalar,
    /// The resident data set.
    Data,
    /// Weights of a network, flat.
    Param,
    /// Gradients of a network, flat.
    Grad,
    /// First and second moments of the optimiser, flat.
    Moment,
    /// Moving average of the weights, flat.
    Ema,
    /// Tensors that persist between runs: running statistics, adversarial images.
    State,
    /// Batches and latents.
    Input,
    /// Values a caller reads: images, logged scalars.
    Output,
    /// Intermediate values, shared by lifetime.
    Work,
}

impl Class {
    /// Lower-case name for tables.
    pub fn name(self) -> &'static str {
        match self {
            Class::Rng => "rng",
            Class::Scalar => "scalar",
            Class::Data => "data",
            Class::Param => "param",
            Class::Grad => "grad",
            Class::Moment => "moment",
            Class::Ema => "ema",
            Class::State => "state",
            Class::Input => "input",
            Class::Output => "output",
            Class::Work => "work",
        }
    }
}

/// A buffer of a program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Buffer {
    /// Unique name: `D.param`, `work 3`.
    pub name: String,
    /// Length in elements.
    pub len: usize,
    /// Element type.
    pub element: Element,
    /// What it is for.
    pub class: Class,
}

impl Buffer {
    /// Its size, whole words.
    pub fn bytes(&self) -> u64 {
        (self.len * self.element.bytes()).next_multiple_of(4) as u64
    }
}

/// A contiguous range of a buffer, in elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Region {
    /// Index into the program's buffers.
    pub buffer: usize,
    /// First element; a multiple of [`ALIGN`].
    pub offset: usize,
    /// Number of elements.
    pub len: usize,
}

impl Region {
    /// Whether they share elements.
    pub fn overlaps(&self, other: &Region) -> bool {
        self.buffer == other.buffer && self.offset < other.offset + other.len && other.offset < self.offset + self.len
    }
}

/// A part of an iteration space: where the index of extent `dim` is at least `from` and below `to`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Within {
    /// Which extent of the chain.
    pub dim: usize,
    /// First index inside.
    pub from: usize,
    /// First index behind; more than `from`.
    pub to: usize,
}

/// How a chain walks one of its inputs: element (i₀, i₁, …) of the iteration space is at `offset + Σ iₐ·strides[a]`
/// of the input's region. Stride 0 repeats (expand); permuted strides transpose; an offset slices.
///
/// Where `within` limits indices (pad), each counts from its first one inside, and outside the element is 0 and nothing is read.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct View {
    /// One stride an extent of the chain, in elements.
    pub strides: Vec<usize>,
    /// Start inside the region.
    pub offset: usize,
    /// Limits of indices, at most one per extent; usually none.
    pub within: Vec<Within>,
}

/// One line of a chain; operands are indices of earlier lines.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Instr {
    /// The current element of input `.0`.
    Load(usize),
    /// A constant.
    Const(Real),
    /// 1 where every index is within its limits, else 0.
    Inside(Vec<Within>),
    /// A pointwise primitive (`Op::is_pointwise`) of one to three earlier lines.
    Apply(Op, Vec<usize>),
}

/// A fused pointwise expression in single-assignment form over a (collapsed) iteration space. The last line is its value.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Chain {
    /// Extents of the iteration space, row-major, neighbours merged where every view allows it; at least one.
    pub extents: Vec<usize>,
    /// One view an input of the step.
    pub views: Vec<View>,
    /// The expression.
    pub instrs: Vec<Instr>,
}

impl Chain {
    /// Elements of the iteration space.
    pub fn elems(&self) -> usize {
        self.extents.iter().product()
    }

    /// Gives the inputs that loads name other numbers.
    pub(super) fn renumber(&mut self, number: impl Fn(usize) -> usize) {
        for instr in &mut self.instrs {
            if let Instr::Load(input) = instr {
                *input = number(*input);
            }
        }
    }

    /// The different limits of indices in views and lines, in order of appearance.
    pub fn limits(&self) -> Vec<Within> {
        let of_lines = self.instrs.iter().flat_map(|instr| match instr {
            Instr::Inside(limits) => limits.as_slice(),
            _ => &[],
        });
        let mut limits: Vec<Within> = vec![];
        for limit in self.views.iter().flat_map(|view| &view.within).chain(of_lines) {
            if !limits.contains(limit) {
                limits.push(*limit);
            }
        }
        limits
    }

    /// Whether input `i` is read in the order of iteration: element n at `offset + n`.
    pub fn is_contiguous(&self, i: usize) -> bool {
        let strides = Shape::from(self.extents.as_slice()).strides();
        self.views[i].within.is_empty()
            && (0..self.extents.len()).all(|a| self.extents[a] == 1 || self.views[i].strides[a] == strides[a])
    }
}

/// Extents of a convolution: x [n, spec.input, cin], w [spec.kernel, cin/groups, cout], y [n, spec.output(), cout].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ConvDims {
    /// Stride, padding, groups, kernel, input extent.
    pub spec: ConvSpec,
    /// Batch.
    pub n: usize,
    /// Channels of x.
    pub cin: usize,
    /// Channels of y.
    pub cout: usize,
}

/// Drawing a batch from a resident data set of u8 images.
///
/// Inputs: images (U32 buffer; bytes packed little-endian, image i at byte i·H·W·C, NHWC), then, if `labels`, one u32 an
/// image, then the cursor (U32): (epoch, place) of the batch's first image. Outputs: batch `[n,H,W,C]` = byte/127.5 − 1 = (2·byte − 255)/255, then,
/// if `labels`, their labels `[n]` as f32.
///
/// Every image comes once per epoch. Image j of the batch stands at place (place + j) % count of epoch
/// epoch + (place + j) / count, and is number permute(that place) of the set. With round keys K = Philox block
/// (epoch, 0, stream, 2), b the smallest even number ≥ 2 with 2ᵇ ≥ count, h = b/2 and mask = 2ʰ − 1, permute is: x = place;
/// repeat { l = x >> h, r = x & mask; for i in 0..4 { (l, r) = (r, l ^ (mix(r ^ K\[i\]) & mask)) }; x = l << h | r } until x < count;
/// mix(v): v ^= v >> 16, v *= 0x7feb352d, v ^= v >> 15, v *= 0x846ca68b, v ^= v >> 16 in wrapping u32.
/// With `crop` = p > 0 image j lies in the middle of p pixels of byte 0 on each side, of which an H×W window is drawn: it starts
/// at row y = ((word >> 16)·(2p+1)) >> 16 and column x = ((word & 0xffff)·(2p+1)) >> 16 of the widened image, word being lane j%4 of block
/// (j/4, step, stream, 3). With `mirror` what was drawn is then flipped along W where the top bit of lane j%4 of block
/// (j/4, step, stream, 1) is set.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Draw {
    /// Images in the set, 1 to 2³¹.
    pub count: usize,
    /// Batch.
    pub n: usize,
    /// Extents H, W, C.
    pub image: [usize; 3],
    /// Whether labels are drawn too.
    pub labels: bool,
    /// Flip half of the images along W.
    pub mirror: bool,
    /// Pixels by which an image is shifted at most, at most [`MAX_CROP`]; 0 for none.
    pub crop: usize,
    /// Random stream.
    pub stream: u32,
}

/// Most that [`Draw::crop`] may be.
pub const MAX_CROP: usize = 1 << 12;

/// How [`Work::Adam`] makes weights smaller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum WeightDecay {
    /// Not at all.
    Off,
    /// λ·w is added to the gradient: the gradient of λ/2·|w|² (PyTorch's `Adam`).
    L2,
    /// Weights are multiplied by 1 − lr·λ before the step (Loshchilov & Hutter 2019; PyTorch's `AdamW`).
    Decoupled,
}

/// What a step computes. Tensors are contiguous row-major in their regions.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)] // Fields of variants are described with the variant.
pub enum Work {
    /// output`[i]` = chain(i). Expand, Permute, Slice, Pad, Const and copies are chains with strided views.
    Pointwise(Chain),
    /// Sum of the chain over the extents where `reduced` is set; the output runs over the others, in order.
    Reduce { chain: Chain, reduced: Vec<bool> },
    /// `work`, which [`Work::takes_epilogue`], each element of whose output goes through `chain` before it is stored. Input 0 of the chain is
    /// that element, in order; the others follow the work's own inputs.
    Then { work: Box<Work>, chain: Chain },
    /// `[m,k]`·`[k,n]` with transposes: a is stored `[k,m]` if `ta`, b is stored `[n,k]` if `tb`.
    MatMul { ta: bool, tb: bool, m: usize, n: usize, k: usize },
    /// (x, w) → y
    Conv(ConvDims),
    /// (y, w) → x
    ConvX(ConvDims),
    /// (x, y) → w
    ConvW(ConvDims),
    /// Filter of an input `[N,H,W,C]`.
    Fir { spec: FirSpec, input: [usize; 4] },
    /// (table `[rows,cols]`, index `[count]`) → `[count,cols]`
    Gather { rows: usize, cols: usize, count: usize },
    /// (values `[count,cols]`, index `[count]`) → `[rows,cols]`
    ScatterAdd { rows: usize, cols: usize, count: usize },
    /// (x `[n,h,w,c]`, grid `[n,ho,wo,2]`) → `[n,ho,wo,c]`
    Sample { n: usize, c: usize, from: [usize; 2], to: [usize; 2] },
    /// (y `[n,ho,wo,c]`, grid `[n,ho,wo,2]`) → `[n,h,w,c]`, with `from` = (h, w) and `to` = (ho, wo)
    SampleAdjoint { n: usize, c: usize, from: [usize; 2], to: [usize; 2] },
    /// Random numbers: element i is lane i%4 of Philox block (i/4, step, stream, 4·round).
    Rand { dist: Dist, stream: u32 },
    /// A batch from the resident data set.
    Draw(Draw),
    /// Sanitise + Adam + EMA over a network's flat buffers.
    ///
    /// Inputs: scalars [[`OPTIMISER_SCALARS`]] = lr, β₁, β₂, ε, 1/(1−β₁ᵗ), 1/(1−β₂ᵗ), EMA β, gradient scale (0: nothing is done), decay (λ
    /// of [`WeightDecay::L2`], 1 − lr·λ of [`WeightDecay::Decoupled`]); gradients; owner (U32: index of the tensor
    /// that owns each block of [`ALIGN`] elements). Outputs, all read and written: weights, first moment, second moment,
    /// EMA weights (or none: four outputs), counters (U32, one per tensor: gradients that were not finite, added up).
    /// Gradients: scaled, NaN → 0, then limited to ±1e5; then weights decay. p −= lr·(m·c₁)/(√(v·c₂)+ε), then ema = p + β(ema − p).
    Adam(WeightDecay),
    /// Sanitise + gradient descent with momentum + EMA over a network's flat buffers, by PyTorch's formula (`torch.optim.SGD`, dampening 0).
    ///
    /// Inputs: scalars [[`OPTIMISER_SCALARS`]] = lr, momentum μ, four that are not read, EMA β, gradient scale (0: nothing is done),
    /// λ; the other inputs as those of [`Work::Adam`], the outputs without a second moment: weights, momentum buffer, EMA weights (or
    /// none: three outputs), counters. Gradients as there, plus λ·p. m = μ·m + g; p −= lr·m, or lr·(g + μ·m) with `nesterov`; then the
    /// average.
    Sgd { nesterov: bool },
    /// Dynamic loss scaling (Micikevicius 2018), between a network's gradients and its optimiser.
    ///
    /// Inputs: square of the norm of the scaled gradients `[1]`; the optimiser's scalars for plain gradients. Outputs: state
    /// `[5]` = scale, steps since it last changed, steps left out so far, 1 − ∏β₁ and 1 − ∏β₂ over the steps that were made
    /// (read and written; scale 0 stands for [`LOSS_SCALE`]); the optimiser's scalars for scaled gradients, Adam's bias
    /// corrections those of the steps made; square of the norm of the gradients `[1]`; the scale that
    /// was in force `[1]`; steps left out so far `[1]`.
    /// Where the norm is not finite, the step is left out (gradient scale 0, norm 0) and the loss's scale halved; after
    /// [`LOSS_SCALE_STEPS`] good steps it is doubled, up to 2²⁴.
    LossScale,
    /// Copies `count` scalars, scalar i at element i·ALIGN of the input, to row `step % rows` of the output [rows, count].
    LogRow { count: usize, rows: usize },
    /// Adds 1 to the round of [`RNG`], its only output, so that a plan which runs again draws other numbers; sets it to 0 if `reset`.
    Round { reset: bool },
}

impl Work {
    /// Short name of the kernel family.
    pub fn name(&self) -> &'static str {
        match self {
            Work::Pointwise(_) => "pointwise",
            Work::Reduce { .. } => "reduce",
            Work::Then { work, .. } => work.name(),
            Work::MatMul { .. } => "matmul",
            Work::Conv(_) => "conv",
            Work::ConvX(_) => "conv_x",
            Work::ConvW(_) => "conv_w",
            Work::Fir { .. } => "fir",
            Work::Gather { .. } => "gather",
            Work::ScatterAdd { .. } => "scatter_add",
            Work::Sample { .. } => "sample",
            Work::SampleAdjoint { .. } => "sample_adjoint",
            Work::Rand { .. } => "rand",
            Work::Draw(_) => "draw",
            Work::Adam(_) => "adam",
            Work::Sgd { .. } => "sgd",
            Work::LossScale => "loss_scale",
            Work::LogRow { .. } => "log_row",
            Work::Round { .. } => "round",
        }
    }

    /// Whether it is an optimiser's step over a network's flat buffers.
    pub fn is_update(&self) -> bool {
        matches!(self, Work::Adam(_) | Work::Sgd { .. })
    }

    /// Whether a chain can come between its result and memory: products, filters and sums.
    pub fn takes_epilogue(&self) -> bool {
        matches!(
            self,
            Work::MatMul { .. }
                | Work::Conv(_)
                | Work::ConvX(_)
                | Work::ConvW(_)
                | Work::Fir { .. }
                | Work::Reduce { .. }
        )
    }

    /// The work without its epilogue.
    pub fn product(&self) -> &Work {
        match self {
            Work::Then { work, .. } => work,
            work => work,
        }
    }
}

/// One unit of work of a plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// What it computes.
    pub work: Work,
    /// Read-only regions, in the order `work` documents.
    pub inputs: Vec<Region>,
    /// Written regions (of optimisers read too).
    pub outputs: Vec<Region>,
    /// Room for partial results, where the device asked for it.
    pub scratch: Option<Region>,
    /// Which tensor this makes, for tables and errors: `conv_x %41`.
    pub label: String,
    /// Floating-point operations.
    pub flops: u64,
}

impl Step {
    /// Short name of the kernel family.
    pub fn name(&self) -> &'static str {
        self.work.name()
    }
}

/// The steps of one phase.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    /// Name of the phase.
    pub name: String,
    /// In order of execution.
    pub steps: Vec<Step>,
    /// Least bytes of intermediate values any order-preserving allocation needs.
    pub live_bytes: u64,
    /// Bytes of the work buffers this plan touches.
    pub work_bytes: u64,
}

/// Everything a device needs to train: its buffers and the plans over them. Index 0 of `buffers` is [`RNG`].
#[derive(Clone, Debug, Default)]
pub struct Program {
    /// Persistent and work buffers.
    pub buffers: Vec<Buffer>,
    /// One per phase.
    pub plans: Vec<Plan>,
}

impl Program {
    /// Bytes of all buffers.
    pub fn bytes(&self) -> u64 {
        self.buffers.iter().map(Buffer::bytes).sum()
    }

    /// Bytes of work buffers.
    pub fn work_bytes(&self) -> u64 {
        self.buffers.iter().filter(|b| b.class == Class::Work).map(Buffer::bytes).sum()
    }

    /// Floating-point operations of all plans, each run once.
    pub fn flops(&self) -> u64 {
        self.plans.iter().flat_map(|plan| &plan.steps).map(|step| step.flops).sum()
    }

    /// Bytes that a step reads and writes, each element once; of a table that rows are picked from, only the rows.
    pub fn moved(&self, step: &Step) -> u64 {
        let bytes = |r: &Region| (r.len * self.buffers[r.buffer].element.bytes()) as u64;
        let whole: u64 = step.inputs.iter().chain(&step.outputs).chain(&step.scratch).map(bytes).sum();
        let picked = |table: usize, picked: usize| whole - bytes(&step.inputs[table]) + picked as u64;
        match step.work.product() {
            Work::Draw(draw) => picked(0, draw.n * draw.image.iter().product::<usize>()),
            Work::Gather { cols, count, .. } => picked(0, 4 * cols * count),
            _ => whole,
        }
    }
}
