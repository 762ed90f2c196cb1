//! Launches of `shaders/matmul`: matrix products with either operand transposed, of any extents. Products with a vector are
//! sums, and take the kernel of those.

use super::after::{After, Tail};
use super::params::{matmul_naive, matmul_sum_splits, matmul_tiled};
use super::tile::{Product, Schedule};
use super::tuning::{Tuning, name};
use super::{Binding, Dispatch, fold, reduce, room};
use crate::Result;
use crate::graph::Op;
use crate::plan::{Chain, Instr, Region, Step, View, Work};

/// [m,k]·[k,n]; a is stored [k,m] if `ta`, b is stored [n,k] if `tb`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Gemm {
    pub ta: bool,
    pub tb: bool,
    pub m: usize,
    pub n: usize,
    pub k: usize,
}

impl Gemm {
    pub fn of(work: &Work) -> Option<Gemm> {
        match *work {
            Work::MatMul { ta, tb, m, n, k } => Some(Gemm { ta, tb, m, n, k }),
            _ => None,
        }
    }

    pub fn product(&self) -> Product {
        Product { count: 1, rows: self.m, cols: self.n, depth: self.k }
    }

    /// The schedule that was measured, else the estimated one.
    fn schedule(&self, tuning: &Tuning) -> Schedule {
        tuning.schedule(&self.bucket(), &self.product())
    }

    /// Name of its bucket of shapes.
    fn bucket(&self) -> String {
        let transposed = |name: &'static str, t: bool| if t { format!("{name}'") } else { name.into() };
        name(&format!("matmul {}{}", transposed("a", self.ta), transposed("b", self.tb)), &self.product())
    }

    /// The sum that a product with a vector is: it waits for memory, and a tile would be mostly empty.
    fn sum(&self) -> Option<Work> {
        if self.m.min(self.n) != 1 || self.k < 2 {
            return None;
        }
        let [a_row, a_depth, b_depth, b_col] = self.strides().map(|v| v as usize);
        let (long, steps) = if self.n == 1 { (self.m, [a_row, 0]) } else { (self.n, [0, b_col]) };
        let depths = [a_depth, b_depth];
        // Inside goes the axis along which the matrix is contiguous.
        let matrix = usize::from(self.n != 1);
        let by_rows = depths[matrix] == 1;
        let pair = |outer: usize, inner: usize| if by_rows { vec![outer, inner] } else { vec![inner, outer] };
        let views = [0, 1].map(|i| View { strides: pair(steps[i], depths[i]), offset: 0, within: vec![] }).to_vec();
        let instrs = vec![Instr::Load(0), Instr::Load(1), Instr::Apply(Op::Mul, vec![0, 1])];
        let chain = Chain { extents: pair(long, self.k), views, instrs };
        Some(Work::Reduce { chain, reduced: vec![!by_rows, by_rows] })
    }

    /// The launches of this product over the regions of `step`, with its epilogue.
    pub fn lower(&self, step: &Step, tuning: &Tuning, after: Option<&After>) -> Result<Vec<Dispatch>> {
        match self.sum() {
            Some(work) => reduce::lower(&Step { work, ..step.clone() }, after),
            None if self.is_naive(tuning) => then(step, after, |step| self.naive(step)),
            None => self.tiled(step, after, &self.schedule(tuning)),
        }
    }

    /// Whether it runs by the naive kernel, which has no place for an epilogue: no tile was right on the device.
    pub fn is_naive(&self, tuning: &Tuning) -> bool {
        self.sum().is_none() && tuning.is_naive(&self.bucket())
    }

    /// Elements of room for partial results.
    pub fn scratch(&self, tuning: &Tuning) -> usize {
        match self.sum() {
            Some(work) => reduce::scratch(&work),
            None if self.is_naive(tuning) => 0,
            None => self.schedule(tuning).scratch(self.m * self.n),
        }
    }

    /// Its bucket and the product, where it takes a schedule.
    pub fn scheduled(&self) -> Option<(String, Product)> {
        self.sum().is_none().then(|| (self.bucket(), self.product()))
    }

    /// Strides of a along (m, k) and of b along (k, n).
    fn strides(&self) -> [u32; 4] {
        let a = if self.ta { [1, self.m] } else { [self.k, 1] };
        let b = if self.tb { [1, self.k] } else { [self.n, 1] };
        [a[0], a[1], b[0], b[1]].map(|v| v as u32)
    }

    /// The launch of this product with one thread per output.
    fn naive(&self, step: &Step) -> Vec<Dispatch> {
        let [a_row, a_depth, b_depth, b_col] = self.strides();
        let [m, n, k] = [self.m, self.n, self.k].map(|v| v as u32);
        let params = matmul_naive::Params { m, n, k, a_row, a_depth, b_depth, b_col, ..Default::default() };
        let groups = fold((self.m * self.n).div_ceil(64));
        vec![Dispatch::file("matmul/naive.wgsl", params, bindings(step, step.outputs[0]), groups)]
    }

    /// The launches of this product on tiles.
    pub fn tiled(&self, step: &Step, after: Option<&After>, schedule: &Schedule) -> Result<Vec<Dispatch>> {
        let product = self.product();
        let [row_tiles, col_tiles] = schedule.tiles(&product).map(|v| v as u32);
        let [a_row, a_depth, b_depth, b_col] = self.strides();
        let [m, n, k] = [self.m, self.n, self.k].map(|v| v as u32);
        let (part, parts) = (schedule.part as u32, schedule.parts as u32);
        let params = matmul_tiled::Params {
            m,
            n,
            k,
            a_row,
            a_depth,
            b_depth,
            b_col,
            part,
            parts,
            row_tiles,
            col_tiles,
            ..Default::default()
        };
        let groups = fold(schedule.workgroups(&product));
        in_parts(step, after, schedule.parts, "matmul/tiled.wgsl", |out, tail| {
            let params = matmul_tiled::Params { after: tail.block, ..params };
            Dispatch::new(tail.source, params, [bindings(step, out), tail.bindings].concat(), groups)
                .with(schedule.tile.overrides())
        })
    }
}

/// A kernel that has no place for an epilogue, which is then a launch of its own, by way of the step's scratch.
pub(super) fn then(
    step: &Step,
    after: Option<&After>,
    plain: impl Fn(&Step) -> Vec<Dispatch>,
) -> Result<Vec<Dispatch>> {
    let Some(after) = after else { return Ok(plain(step)) };
    let product = room(step, step.outputs[0].len)?;
    let first = plain(&Step { outputs: vec![product], ..step.clone() });
    Ok([first, after.launch(step, product)?].concat())
}

/// The two operands of a product, and where it goes.
pub(super) fn bindings(step: &Step, out: Region) -> Vec<Binding> {
    vec![Binding::read(step.inputs[0]), Binding::read(step.inputs[1]), Binding::write(out)]
}

/// One launch of `kernel` into the output of `step` with the epilogue, or one into its scratch and a second that sums the
/// parts and has the epilogue.
pub(super) fn in_parts(
    step: &Step,
    after: Option<&After>,
    parts: usize,
    kernel: &'static str,
    launch: impl Fn(Region, Tail) -> Dispatch,
) -> Result<Vec<Dispatch>> {
    let out = step.outputs[0];
    if parts < 2 {
        return Ok(vec![launch(out, Tail::new(kernel, after, 3)?)]);
    }
    let room = room(step, parts * out.len)?;
    let tail = Tail::new("matmul/sum_splits.wgsl", after, 2)?;
    let (len, parts) = (out.len as u32, parts as u32);
    let params = matmul_sum_splits::Params { len, parts, after: tail.block, ..Default::default() };
    let bindings = [vec![Binding::read(room), Binding::write(out)], tail.bindings].concat();
    let sum = Dispatch::new(tail.source, params, bindings, fold(out.len.div_ceil(64)));
    Ok(vec![launch(room, Tail::none(kernel)), sum])
}

/// The launches of a [`Work::MatMul`] by its measured or estimated schedule; nothing for other work.
///
/// # Errors
/// [`Error::Graph`](crate::Error::Graph) where the step lacks the room that [`scratch`] asks for.
pub(super) fn lower(step: &Step, tuning: &Tuning, after: Option<&After>) -> Result<Vec<Dispatch>> {
    match Gemm::of(&step.work) {
        Some(gemm) => gemm.lower(step, tuning, after),
        None => Ok(vec![]),
    }
}

/// Elements of room for partial results.
pub fn scratch(work: &Work, tuning: &Tuning) -> usize {
    Gemm::of(work).map_or(0, |gemm| gemm.scratch(tuning))
}

/// Whether this product's kernel has no place for an epilogue.
pub(super) fn stores_plainly(work: &Work, tuning: &Tuning) -> bool {
    Gemm::of(work).is_some_and(|gemm| gemm.is_naive(tuning))
}

/// The bucket of a [`Work::MatMul`] that takes a schedule, and its product.
pub(super) fn bucket(work: &Work) -> Option<(String, Product)> {
    Gemm::of(work).and_then(|gemm| gemm.scheduled())
}

/// The product of a [`Work::MatMul`]: what a [`Schedule`] is made for.
pub fn product(work: &Work) -> Option<Product> {
    Gemm::of(work).map(|gemm| gemm.product())
}

/// The launches of a [`Work::MatMul`] by a given schedule.
///
/// # Errors
/// A step without the room for partial results that the schedule needs.
pub fn tiled(step: &Step, schedule: &Schedule) -> Result<Vec<Dispatch>> {
    match Gemm::of(&step.work) {
        Some(gemm) => gemm.tiled(step, None, schedule),
        None => Ok(vec![]),
    }
}

/// The launch of a [`Work::MatMul`] with one thread per output: the oracle of [`tiled`] on the same device.
pub fn naive(step: &Step) -> Vec<Dispatch> {
    Gemm::of(&step.work).map_or(vec![], |gemm| gemm.naive(step))
}
