//! The closed set of primitives.
//!
//! The derivative of every primitive is made of primitives again (`autodiff.rs`), so gradients of any order stay inside
//! this set. Layers, losses and attacks are functions that build graphs from it; adding one touches no kernel.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

/// A real constant inside a primitive, compared and hashed by its bits so that nodes can be hash-consed.
#[derive(Clone, Copy, Debug)]
pub struct Real(pub f64);

impl PartialEq for Real {
    fn eq(&self, other: &Real) -> bool {
        self.0.to_bits() == other.0.to_bits()
    }
}
impl Eq for Real {}
impl Hash for Real {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.to_bits().hash(state);
    }
}

/// The distribution of a [`Op::Rand`] leaf.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Dist {
    /// Uniform on the open interval (0, 1).
    Uniform,
    /// Standard normal (Box–Muller on pairs of words).
    Normal,
}

/// Geometry of a 2-D convolution, shared by the three members of its family. Layouts: x `[N,H,W,Cin]`,
/// w [Kh,Kw,Cin/groups,Cout], y `[N,Ho,Wo,Cout]` with Ho = (H + 2·pad − Kh)/stride + 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ConvSpec {
    /// Stride along (H, W).
    pub stride: [usize; 2],
    /// Zero padding on both sides of (H, W).
    pub pad: [usize; 2],
    /// Channel groups; `groups == Cin` is depthwise.
    pub groups: usize,
    /// Kernel extent (Kh, Kw).
    pub kernel: [usize; 2],
    /// Extent (H, W) of x. The stride may not divide H + 2·pad − Kh, so y alone does not determine it.
    pub input: [usize; 2],
}

impl ConvSpec {
    /// Extent (Ho, Wo) of y.
    pub fn output(&self) -> [usize; 2] {
        [0, 1].map(|a| (self.input[a] + 2 * self.pad[a] - self.kernel[a]) / self.stride[a] + 1)
    }
}

/// A separable FIR filter with zero insertion before and decimation after, along H and W of an NHWC tensor:
/// `out[o] = Σ_t f[t] · u[o·down + t − pad₀]` with `u[j] = x[j/up]` where `up` divides `j`, else 0.
/// `f` is `taps` if `flip`, else `taps` reversed (true convolution). Blur, resampling and box pooling are instances,
/// and the adjoint of each is another one.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct FirSpec {
    /// Filter taps of one axis; the same along H and W.
    pub taps: Vec<Real>,
    /// Zero-insertion factor.
    pub up: usize,
    /// Decimation factor.
    pub down: usize,
    /// (before, after) padding of H and of W in the upsampled domain; negative crops.
    pub pad: [[i64; 2]; 2],
    /// Correlate with `taps` as given instead of reversed.
    pub flip: bool,
}

impl FirSpec {
    /// Output extent along `axis` (0 = H, 1 = W) for an input of `n`.
    pub fn output(&self, axis: usize, n: usize) -> usize {
        let padded = (n * self.up) as i64 + self.pad[axis][0] + self.pad[axis][1];
        // Rounded down below zero too: a filter longer than what it reads has no output.
        ((padded - self.taps.len() as i64).div_euclid(self.down as i64) + 1).max(0) as usize
    }

    /// The adjoint filter for an input of extent (`h`, `w`).
    pub fn adjoint(&self, input: [usize; 2]) -> FirSpec {
        let taps = self.taps.len() as i64;
        let pad = [0, 1].map(|axis| {
            let out = self.output(axis, input[axis]) as i64;
            let before = taps - self.pad[axis][0] - 1;
            let after =
                (input[axis] * self.up) as i64 - out * self.down as i64 + self.pad[axis][0] - self.up as i64 + 1;
            [before, after]
        });
        FirSpec { taps: self.taps.clone(), up: self.down, down: self.up, pad, flip: !self.flip }
    }

    /// The taps in the order in which they are correlated with the input.
    pub fn correlation_taps(&self) -> Vec<f64> {
        let mut taps: Vec<f64> = self.taps.iter().map(|t| t.0).collect();
        if !self.flip {
            taps.reverse();
        }
        taps
    }
}

/// A primitive. Indices travel as real numbers (exact up to 2²⁴), so every tensor has one element type.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)] // Fields of variants are described with the variant.
pub enum Op {
    /// A tensor fed by the caller: a batch, latents, a per-step value such as γ.
    Input(Arc<str>),
    /// A trainable tensor of a network.
    Param(Arc<str>),
    /// A tensor that persists between runs and is updated by graphs: running statistics, `x_adv`.
    State(Arc<str>),
    /// Every element equals this number.
    Const(Real),
    /// Philox4x32-10 numbers of (seed, stream, step, element).
    Rand { dist: Dist, stream: u32 },
    /// The identity with derivative zero.
    Detach,

    /// a + b
    Add,
    /// a · b
    Mul,
    /// c · a
    Scale(Real),
    /// aᵖ
    Pow(Real),
    /// eᵃ
    Exp,
    /// ln a
    Log,
    /// 1/(1+e⁻ᵃ)
    Sigmoid,
    /// tanh a
    Tanh,
    /// ln(1+eᵃ)
    Softplus,
    /// |a|
    Abs,
    /// −1, 0 or 1
    Sign,
    /// 1 where a > 0, else 0
    Step,
    /// b where a > 0, else c
    Select,
    /// max(a, b); the gradient of a tie is split in halves
    Max,
    /// min(a, b); the gradient of a tie is split in halves
    Min,

    /// The same elements in another shape (a view).
    Reshape,
    /// Output axis i is input axis `.0[i]`.
    Permute(Vec<usize>),
    /// Axes of extent 1 repeated to the node's shape.
    Expand,
    /// Sum over these axes, which stay with extent 1.
    Sum(Vec<usize>),
    /// A box of the input that starts here and has the node's shape.
    Slice(Vec<usize>),
    /// The input at this offset inside zeros of the node's shape.
    Pad(Vec<usize>),

    /// op(a)·op(b) of two matrices, op = transpose where set.
    MatMul { ta: bool, tb: bool },
    /// (x, w) → y
    Conv(ConvSpec),
    /// (y, w) → x: the input gradient of [`Op::Conv`], which is the transposed convolution.
    ConvX(ConvSpec),
    /// (x, y) → w: the weight gradient of [`Op::Conv`].
    ConvW(ConvSpec),

    /// x → filtered x, along H and W.
    Fir(FirSpec),

    /// (table [R, …], index `[B]`) → [B, …]; an index outside 0..R is clamped.
    Gather,
    /// (rows [B, …], index `[B]`) → [R, …]: rows that share an index add up in order of B.
    ScatterAdd,
    /// (x `[N,H,W,C]`, grid `[N,Ho,Wo,2]`) → `[N,Ho,Wo,C]`: bilinear at (y, x) in pixels, zero outside. The grid is data.
    Sample,
    /// (y `[N,Ho,Wo,C]`, grid `[N,Ho,Wo,2]`) → `[N,H,W,C]`: the adjoint of [`Op::Sample`] in its first argument.
    SampleAdjoint,
}

/// The kind of a primitive without its attributes: what tables and tests walk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[allow(missing_docs)]
pub enum Kind {
    Input,
    Param,
    State,
    Const,
    Rand,
    Detach,
    Add,
    Mul,
    Scale,
    Pow,
    Exp,
    Log,
    Sigmoid,
    Tanh,
    Softplus,
    Abs,
    Sign,
    Step,
    Select,
    Max,
    Min,
    Reshape,
    Permute,
    Expand,
    Sum,
    Slice,
    Pad,
    MatMul,
    Conv,
    ConvX,
    ConvW,
    Fir,
    Gather,
    ScatterAdd,
    Sample,
    SampleAdjoint,
}

impl Kind {
    /// Every kind, in declaration order.
    #[rustfmt::skip]
    pub const ALL: [Kind; 36] = {
        use Kind::*;
        [Input, Param, State, Const, Rand, Detach,
         Add, Mul, Scale, Pow, Exp, Log, Sigmoid, Tanh, Softplus, Abs, Sign, Step, Select, Max, Min,
         Reshape, Permute, Expand, Sum, Slice, Pad,
         MatMul, Conv, ConvX, ConvW, Fir, Gather, ScatterAdd, Sample, SampleAdjoint]
    };

    /// The field's name in lower case: `conv_x`.
    pub fn name(self) -> &'static str {
        use Kind::*;
        match self {
            Input => "input",
            Param => "param",
            State => "state",
            Const => "const",
            Rand => "rand",
            Detach => "detach",
            Add => "add",
            Mul => "mul",
            Scale => "scale",
            Pow => "pow",
            Exp => "exp",
            Log => "log",
            Sigmoid => "sigmoid",
            Tanh => "tanh",
            Softplus => "softplus",
            Abs => "abs",
            Sign => "sign",
            Step => "step",
            Select => "select",
            Max => "max",
            Min => "min",
            Reshape => "reshape",
            Permute => "permute",
            Expand => "expand",
            Sum => "sum",
            Slice => "slice",
            Pad => "pad",
            MatMul => "matmul",
            Conv => "conv",
            ConvX => "conv_x",
            ConvW => "conv_w",
            Fir => "fir",
            Gather => "gather",
            ScatterAdd => "scatter_add",
            Sample => "sample",
            SampleAdjoint => "sample_adjoint",
        }
    }
}

impl Op {
    /// This primitive's kind.
    pub fn kind(&self) -> Kind {
        match self {
            Op::Input(_) => Kind::Input,
            Op::Param(_) => Kind::Param,
            Op::State(_) => Kind::State,
            Op::Const(_) => Kind::Const,
            Op::Rand { .. } => Kind::Rand,
            Op::Detach => Kind::Detach,
            Op::Add => Kind::Add,
            Op::Mul => Kind::Mul,
            Op::Scale(_) => Kind::Scale,
            Op::Pow(_) => Kind::Pow,
            Op::Exp => Kind::Exp,
            Op::Log => Kind::Log,
            Op::Sigmoid => Kind::Sigmoid,
            Op::Tanh => Kind::Tanh,
            Op::Softplus => Kind::Softplus,
            Op::Abs => Kind::Abs,
            Op::Sign => Kind::Sign,
            Op::Step => Kind::Step,
            Op::Select => Kind::Select,
            Op::Max => Kind::Max,
            Op::Min => Kind::Min,
            Op::Reshape => Kind::Reshape,
            Op::Permute(_) => Kind::Permute,
            Op::Expand => Kind::Expand,
            Op::Sum(_) => Kind::Sum,
            Op::Slice(_) => Kind::Slice,
            Op::Pad(_) => Kind::Pad,
            Op::MatMul { .. } => Kind::MatMul,
            Op::Conv(_) => Kind::Conv,
            Op::ConvX(_) => Kind::ConvX,
            Op::ConvW(_) => Kind::ConvW,
            Op::Fir(_) => Kind::Fir,
            Op::Gather => Kind::Gather,
            Op::ScatterAdd => Kind::ScatterAdd,
            Op::Sample => Kind::Sample,
            Op::SampleAdjoint => Kind::SampleAdjoint,
        }
    }

    /// Element by element, all operands of one shape.
    pub fn is_pointwise(&self) -> bool {
        (Kind::Add..=Kind::Min).contains(&self.kind())
    }

    /// The same elements as the operand, in memory too.
    pub fn is_view(&self) -> bool {
        matches!(self, Op::Reshape | Op::Detach)
    }
}
