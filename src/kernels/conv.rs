//! Launches of `shaders/conv`: convolution, its input gradient (transposed convolution) and its weight gradient.
//!
//! One route a geometry: a matrix product where the convolution is one, depthwise kernels, implicit matrix products on
//! tiles, a kernel of its own for a transposed convolution to a few channels, and the naive kernel for narrow groups.

use super::after::After;
use super::matmul::{Gemm, bindings, in_parts, then};
use super::params::conv_naive::Params;
use super::tile::{Product, Schedule};
use super::tuning::{Tuning, name};
use super::{Dispatch, fold};
use crate::Result;
use crate::plan::{ConvDims, Step, Work};

/// Which member of the family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Member {
    /// (x, w) → y
    Y,
    /// (y, w) → x
    X,
    /// (x, y) → w
    W,
}

/// How a convolution runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Route {
    MatMul(Gemm),
    Depthwise {
        part: usize,
        parts: usize,
    },
    Tiled(Schedule),
    /// A transposed convolution to a few channels.
    Narrow,
    Naive,
}

/// A member of the family with its geometry.
#[derive(Clone, Copy, Debug)]
struct Conv {
    member: Member,
    d: ConvDims,
}

/// Columns of a group below which a tile would be mostly empty.
const NARROW: usize = 4;
/// Workgroups of 256 threads that a depthwise weight gradient is split into.
const DEPTHWISE_GROUPS: usize = 512;

impl Conv {
    fn of(work: &Work) -> Option<Conv> {
        match *work {
            Work::Conv(d) => Some(Conv { member: Member::Y, d }),
            Work::ConvX(d) => Some(Conv { member: Member::X, d }),
            Work::ConvW(d) => Some(Conv { member: Member::W, d }),
            _ => None,
        }
    }

    fn route(&self, tuning: &Tuning) -> Route {
        let d = &self.d;
        let product = self.product();
        if let Some(gemm) = self.gemm() {
            if gemm.is_naive(tuning) { Route::Naive } else { Route::MatMul(gemm) }
        } else if d.spec.groups == d.cin && d.cin > 1 {
            self.depthwise_route()
        } else if d.spec.groups == 1 && product.cols <= NARROW && self.member == Member::X {
            Route::Narrow
        } else if d.spec.groups > 1 && product.cols <= NARROW && self.member != Member::W {
            Route::Naive
        } else if tuning.is_naive(&self.bucket()) {
            // No tile was right on this device.
            Route::Naive
        } else {
            Route::Tiled(tuning.schedule(&self.bucket(), &product))
        }
    }

    /// Name of its bucket of shapes.
    fn bucket(&self) -> String {
        let ([kh, kw], [sh, sw]) = (self.d.spec.kernel, self.d.spec.stride);
        let member = self.file(["conv", "conv_x", "conv_w"]);
        name(&format!("{member} k{kh}x{kw} s{sh}x{sw}"), &self.product())
    }

    /// The matrix product that this convolution is, if it is one: a 1×1 kernel, or a kernel that covers the whole input.
    fn gemm(&self) -> Option<Gemm> {
        let ConvDims { spec, n, cin, cout } = self.d;
        let [h, w] = spec.input;
        let plain = spec.groups == 1 && spec.pad == [0, 0];
        let (pixels, inner) = if plain && spec.kernel == [1, 1] && spec.stride == [1, 1] {
            (n * h * w, cin)
        } else if plain && spec.kernel == spec.input {
            (n, h * w * cin)
        } else {
            return None;
        };
        Some(match self.member {
            Member::Y => Gemm { ta: false, tb: false, m: pixels, n: cout, k: inner },
            Member::X => Gemm { ta: false, tb: true, m: pixels, n: inner, k: cout },
            Member::W => Gemm { ta: true, tb: false, m: inner, n: cout, k: pixels },
        })
    }

    /// The implicit matrix products of the tiled kernel; those of a transposed convolution are as large as the largest phase.
    fn product(&self) -> Product {
        let ConvDims { spec, n, cin, cout } = self.d;
        let (group_cin, group_cout) = (cin / spec.groups, cout / spec.groups);
        let [ho, wo] = spec.output();
        let [kh, kw] = spec.kernel;
        match self.member {
            Member::Y => {
                Product { count: spec.groups, rows: n * ho * wo, cols: group_cout, depth: kh * kw * group_cin }
            }
            Member::X => {
                let [sh, sw] = spec.stride;
                let rows = n * spec.input[0].div_ceil(sh) * spec.input[1].div_ceil(sw);
                let depth = kh.div_ceil(sh) * kw.div_ceil(sw) * group_cout;
                Product { count: spec.groups * sh * sw, rows, cols: group_cin, depth }
            }
            Member::W => {
                Product { count: spec.groups, rows: kh * kw * group_cin, cols: group_cout, depth: n * ho * wo }
            }
        }
    }

    /// The weight gradient splits the rows (n, oy) of y so that a device has enough to do.
    fn depthwise_route(&self) -> Route {
        if self.member != Member::W {
            return Route::Depthwise { part: 0, parts: 1 };
        }
        let [rows, cols] = self.depthwise_tiles();
        let lines = self.d.n * self.d.spec.output()[0];
        let parts = (DEPTHWISE_GROUPS / (rows * cols)).clamp(1, lines.div_ceil(4));
        let part = lines.div_ceil(parts);
        Route::Depthwise { part, parts: lines.div_ceil(part) }
    }

    /// Tiles of a depthwise weight gradient: four taps of a kernel row, 64 channels.
    fn depthwise_tiles(&self) -> [usize; 2] {
        let [kh, kw] = self.d.spec.kernel;
        [kh * kw.div_ceil(4), self.d.cout.div_ceil(64)]
    }

    /// The geometry that every kernel of the family binds.
    fn params(&self) -> Params {
        let ConvDims { spec, n, cin, cout } = self.d;
        let pair = |v: [usize; 2]| v.map(|v| v as u32);
        Params {
            input: pair(spec.input),
            output: pair(spec.output()),
            kernel: pair(spec.kernel),
            stride: pair(spec.stride),
            pad: pair(spec.pad),
            n: n as u32,
            groups: spec.groups as u32,
            cin: cin as u32,
            cout: cout as u32,
            group_cin: (cin / spec.groups) as u32,
            group_cout: (cout / spec.groups) as u32,
            parts: 1,
            ..Default::default()
        }
    }

    /// The member's file out of three.
    fn file(&self, [y, x, w]: [&'static str; 3]) -> &'static str {
        match self.member {
            Member::Y => y,
            Member::X => x,
            Member::W => w,
        }
    }

    fn naive(&self, step: &Step) -> Vec<Dispatch> {
        let file = self.file(["conv/naive.wgsl", "conv/naive_x.wgsl", "conv/naive_w.wgsl"]);
        let out = step.outputs[0];
        vec![Dispatch::file(file, self.params(), bindings(step, out), fold(out.len.div_ceil(64)))]
    }

    fn tiled(&self, step: &Step, after: Option<&After>, schedule: &Schedule) -> Result<Vec<Dispatch>> {
        let product = self.product();
        let [row_tiles, col_tiles] = schedule.tiles(&product).map(|v| v as u32);
        let (part, parts) = (schedule.part as u32, schedule.parts as u32);
        let params = Params { part, parts, row_tiles, col_tiles, ..self.params() };
        let file = self.file(["conv/tiled.wgsl", "conv/tiled_x.wgsl", "conv/tiled_w.wgsl"]);
        let groups = fold(schedule.workgroups(&product));
        in_parts(step, after, schedule.parts, file, |out, tail| {
            let params = Params { after: tail.block, ..params };
            Dispatch::new(tail.source, params, [bindings(step, out), tail.bindings].concat(), groups)
                .with(schedule.tile.overrides())
        })
    }

    /// One thread per pixel.
    fn narrow(&self, step: &Step, after: Option<&After>) -> Result<Vec<Dispatch>> {
        let groups = fold((step.outputs[0].len / self.d.cin).div_ceil(64));
        in_parts(step, after, 1, "conv/narrow_x.wgsl", |out, tail| {
            let params = Params { after: tail.block, ..self.params() };
            Dispatch::new(tail.source, params, [bindings(step, out), tail.bindings].concat(), groups)
                .with(vec![("CHANNELS", self.d.cin as f64)])
        })
    }

    fn depthwise(&self, step: &Step, after: Option<&After>, part: usize, parts: usize) -> Result<Vec<Dispatch>> {
        let ConvDims { spec, n, cin, cout } = self.d;
        let [row_tiles, col_tiles] = self.depthwise_tiles();
        let [ho, wo] = spec.output();
        let groups = match self.member {
            Member::Y => (n * ho * wo.div_ceil(4) * cout).div_ceil(64),
            Member::X => {
                let strips = spec.input[1].div_ceil(spec.stride[1]).div_ceil(4);
                (n * spec.input[0] * spec.stride[1] * strips * cin).div_ceil(64)
            }
            Member::W => row_tiles * col_tiles * parts,
        };
        let params = Params {
            // The channels are tiled as if they were one group.
            groups: if self.member == Member::W { 1 } else { spec.groups as u32 },
            row_tiles: row_tiles as u32,
            col_tiles: col_tiles as u32,
            part: part as u32,
            parts: parts as u32,
            ..self.params()
        };
        let file = self.file(["conv/depthwise.wgsl", "conv/depthwise_x.wgsl", "conv/depthwise_w.wgsl"]);
        in_parts(step, after, parts, file, |out, tail| {
            let params = Params { after: tail.block, ..params };
            Dispatch::new(tail.source, params, [bindings(step, out), tail.bindings].concat(), fold(groups))
        })
    }
}

/// The launches of [`Work::Conv`], [`Work::ConvX`] and [`Work::ConvW`]; nothing for other work.
///
/// # Errors
/// [`Error::Graph`](crate::Error::Graph) where the step lacks the room that [`scratch`] asks for.
pub(super) fn lower(step: &Step, tuning: &Tuning, after: Option<&After>) -> Result<Vec<Dispatch>> {
    let Some(conv) = Conv::of(&step.work) else { return Ok(vec![]) };
    match conv.route(tuning) {
        Route::MatMul(gemm) => gemm.lower(step, tuning, after),
        Route::Depthwise { part, parts } => conv.depthwise(step, after, part, parts),
        Route::Tiled(schedule) => conv.tiled(step, after, &schedule),
        Route::Narrow => conv.narrow(step, after),
        Route::Naive => then(step, after, |step| conv.naive(step)),
    }
}

/// Whether this convolution's kernel has no place for an epilogue.
pub(super) fn stores_plainly(work: &Work, tuning: &Tuning) -> bool {
    Conv::of(work).is_some_and(|conv| conv.route(tuning) == Route::Naive)
}

/// Elements of room for partial results.
pub fn scratch(work: &Work, tuning: &Tuning) -> usize {
    let Some(conv) = Conv::of(work) else { return 0 };
    let [kh, kw] = conv.d.spec.kernel;
    let [ho, wo] = conv.d.spec.output();
    let len = match conv.member {
        Member::Y => conv.d.n * ho * wo * conv.d.cout,
        Member::X => conv.d.n * conv.d.spec.input[0] * conv.d.spec.input[1] * conv.d.cin,
        Member::W => kh * kw * conv.d.cin / conv.d.spec.groups * conv.d.cout,
    };
    match conv.route(tuning) {
        Route::MatMul(gemm) => gemm.scratch(tuning),
        Route::Depthwise { parts, .. } if parts > 1 => parts * len,
        Route::Tiled(schedule) => schedule.scratch(len),
        Route::Depthwise { .. } | Route::Narrow | Route::Naive => 0,
    }
}

/// The bucket of a convolution that takes a schedule, and its product.
pub(super) fn bucket(work: &Work) -> Option<(String, Product)> {
    let conv = Conv::of(work)?;
    match conv.route(&Tuning::default()) {
        Route::MatMul(gemm) => gemm.scheduled(),
        Route::Tiled(_) => Some((conv.bucket(), conv.product())),
        Route::Depthwise { .. } | Route::Narrow | Route::Naive => None,
    }
}

/// The launches of a convolution that takes a schedule, by a given one.
///
/// # Errors
/// As [`lower`].
pub(super) fn scheduled(step: &Step, schedule: &Schedule) -> Result<Vec<Dispatch>> {
    let Some(conv) = Conv::of(&step.work) else { return Ok(vec![]) };
    match conv.route(&Tuning::default()) {
        Route::MatMul(gemm) => gemm.tiled(step, None, schedule),
        _ => conv.tiled(step, None, schedule),
    }
}

/// The implicit matrix products of a convolution: what a [`Schedule`] is made for.
pub fn product(work: &Work) -> Option<Product> {
    Conv::of(work).map(|conv| conv.product())
}

/// The launches of a convolution by the tiled kernel and a given schedule, whatever its geometry.
///
/// # Errors
/// A step without the room for partial results that the schedule needs.
pub fn tiled(step: &Step, schedule: &Schedule) -> Result<Vec<Dispatch>> {
    Conv::of(&step.work).map_or(Ok(vec![]), |conv| conv.tiled(step, None, schedule))
}

/// The launch of a convolution with one thread per output: the oracle of the others on the same device.
pub fn naive(step: &Step) -> Vec<Dispatch> {
    Conv::of(&step.work).map_or(vec![], |conv| conv.naive(step))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::ConvSpec;

    fn route(kernel: usize, stride: usize, pad: usize, groups: usize, [cin, cout]: [usize; 2]) -> Route {
        let input = [8, 8];
        let spec = ConvSpec { stride: [stride; 2], pad: [pad; 2], groups, kernel: [kernel; 2], input };
        Conv { member: Member::X, d: ConvDims { spec, n: 4, cin, cout } }.route(&Tuning::default())
    }

    #[test]
    fn geometries_take_their_routes() {
        let gemm = |m, n, k| Route::MatMul(Gemm { ta: false, tb: true, m, n, k });
        assert_eq!(route(1, 1, 0, 1, [3, 5]), gemm(256, 3, 5));
        assert_eq!(route(8, 1, 0, 1, [3, 5]), gemm(4, 192, 5));
        assert_eq!(route(3, 2, 1, 6, [6, 12]), Route::Depthwise { part: 0, parts: 1 });
        assert_eq!(route(3, 1, 1, 4, [16, 16]), Route::Naive);
        assert_eq!(route(4, 2, 1, 1, [3, 16]), Route::Narrow);
        for (kernel, stride, pad, groups, channels) in
            [(3, 1, 1, 1, [6, 5]), (1, 2, 0, 1, [6, 5]), (4, 2, 1, 2, [64, 64])]
        {
            assert!(matches!(route(kernel, stride, pad, groups, channels), Route::Tiled(_)), "kernel {kernel}");
        }
    }

    #[test]
    fn a_step_without_room_for_its_parts_says_so() {
        let spec = ConvSpec { stride: [1; 2], pad: [1; 2], groups: 1, kernel: [3; 2], input: [64, 64] };
        let work = Work::ConvW(ConvDims { spec, n: 16, cin: 8, cout: 8 });
        let region = |buffer, len| crate::plan::Region { buffer, offset: 0, len };
        let step = Step {
            inputs: vec![region(1, 16 * 64 * 64 * 8), region(2, 16 * 64 * 64 * 8)],
            outputs: vec![region(3, 9 * 64)],
            scratch: Some(region(4, 9 * 64)),
            label: "conv_w %7".into(),
            flops: 0,
            work,
        };
        let none = Tuning::default();
        let reason = lower(&step, &none, None).expect_err("too little room").to_string();
        assert!(reason.contains("conv_w %7") && reason.contains(&scratch(&step.work, &none).to_string()), "{reason}");
    }
}
