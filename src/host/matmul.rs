//! Matrix products: the one place that calls the gemm crate, and the partition of large products into tasks.
//!
//! Every product runs on one thread; tasks are cut by shape alone, so results do not depend on the number of threads.

use super::Scalar;
use super::arena::{Arena, Lanes};
use super::chain::{After, follow, room};
use super::layout::transpose_all;
use super::reduce::sum_parts;
use rayon::prelude::*;

/// A matrix inside a slice, with strides in elements.
#[derive(Clone, Copy)]
pub struct Mat<'a, T> {
    data: &'a [T],
    rows: usize,
    cols: usize,
    row_stride: usize,
    col_stride: usize,
}

impl<'a, T> Mat<'a, T> {
    /// Row-major, rows `row_stride` apart.
    pub fn new(data: &'a [T], rows: usize, cols: usize, row_stride: usize) -> Mat<'a, T> {
        Mat { data, rows, cols, row_stride, col_stride: 1 }
    }

    /// The transpose, as a view.
    pub fn t(self) -> Mat<'a, T> {
        let Mat { data, rows, cols, row_stride, col_stride } = self;
        Mat { data, rows: cols, cols: rows, row_stride: col_stride, col_stride: row_stride }
    }

    /// Rows `from..from + rows`, as a view.
    fn rows(self, from: usize, rows: usize) -> Mat<'a, T> {
        Mat { data: &self.data[from * self.row_stride..], rows, ..self }
    }

    /// Columns `from..from + cols`, as a view.
    fn cols(self, from: usize, cols: usize) -> Mat<'a, T> {
        self.t().rows(from, cols).t()
    }

    /// Whether every element lies inside the slice.
    fn fits(&self) -> bool {
        let last = (self.rows.max(1) - 1) * self.row_stride + (self.cols.max(1) - 1) * self.col_stride;
        self.rows * self.cols == 0 || last < self.data.len()
    }
}

/// `out = a·b`, or `out += a·b` if `add`, on the calling thread. `out` is row-major with rows `stride` apart.
pub fn gemm<T: Scalar>(a: Mat<T>, b: Mat<T>, out: &mut [T], stride: usize, add: bool) {
    let (m, n, k) = (a.rows, b.cols, a.cols);
    if m == 0 || n == 0 {
        return;
    }
    assert!(k == b.rows && a.fits() && b.fits() && stride >= n && (m - 1) * stride + n <= out.len());
    // SAFETY: the assertion keeps every access of the three strided matrices inside their slices, and the rows of `out`,
    // which is borrowed exclusively, do not overlap. T is f32 or f64, which gemm supports.
    unsafe {
        gemm::gemm(
            m,
            n,
            k,
            out.as_mut_ptr(),
            1,
            stride as isize,
            add,
            a.data.as_ptr(),
            a.col_stride as isize,
            a.row_stride as isize,
            b.data.as_ptr(),
            b.col_stride as isize,
            b.row_stride as isize,
            T::ONE,
            T::ONE,
            false,
            false,
            false,
            gemm::Parallelism::None,
        );
    }
}

/// Rows a task makes: enough work to be worth one, and some sixteen tasks where the product is large.
fn band(m: usize, n: usize, k: usize) -> usize {
    const WORK: usize = 1 << 18;
    (m / 16).max(WORK / (n * k).max(1)).next_multiple_of(8).max(16)
}

/// Parts that the inner extent is cut into where the result alone is too small to share out.
fn inner_parts(m: usize, n: usize, k: usize) -> usize {
    let small = m * n <= 1 << 16 && m.div_ceil(band(m, n, k)) < 8;
    if small { (k / 1024).clamp(1, 16) } else { 1 }
}

/// Whether the result is made part by part, so that a chain can follow.
pub fn takes_after([m, n, k]: [usize; 3]) -> bool {
    m * n > 0 && inner_parts(m, n, k) == 1
}

/// op(a)·op(b) of row-major matrices, [m,k]·[k,n] after the transposes; then through the chain that follows, which
/// [`takes_after`] must allow.
pub fn matmul<T: Scalar>(
    [ta, tb]: [bool; 2],
    [m, n, k]: [usize; 3],
    a: &[T],
    b: &[T],
    out: &mut [T],
    after: Option<&After<T>>,
    arena: &mut Arena<T>,
) {
    if m * n == 0 {
        return;
    }
    if tb && m >= 8 {
        // gemm would transpose b for every band of rows, slowly where strides are powers of two.
        let (lanes, shared) = arena.shared(n * k + partials(m, n, k));
        let (straight, partial) = shared.split_at_mut(n * k);
        transpose_all(b, [n, k], straight);
        return product(ta, [m, n, k], a, Mat::new(straight, k, n, n), out, after, (lanes, partial));
    }
    let b = if tb { Mat::new(b, n, k, k).t() } else { Mat::new(b, k, n, n) };
    product(ta, [m, n, k], a, b, out, after, arena.shared(partials(m, n, k)));
}

/// Elements of partial results that a product needs.
fn partials(m: usize, n: usize, k: usize) -> usize {
    let parts = inner_parts(m, n, k);
    if parts == 1 { 0 } else { parts * m * n }
}

/// All tasks of a product.
fn product<T: Scalar>(
    ta: bool,
    [m, n, k]: [usize; 3],
    a: &[T],
    b: Mat<T>,
    out: &mut [T],
    after: Option<&After<T>>,
    (lanes, partial): (&Lanes<T>, &mut [T]),
) {
    let a = if ta { Mat::new(a, k, m, m).t() } else { Mat::new(a, m, k, k) };
    let parts = inner_parts(m, n, k);
    if parts == 1 {
        let rows = band(m, n, k);
        out.par_chunks_mut(rows * n).enumerate().for_each(|(i, out)| {
            let own = a.rows(i * rows, out.len() / n);
            lanes.with(room(after, out.len()), |scratch| {
                follow(after, i * rows * n, scratch, out, |out| gemm(own, b, out, n, false));
            });
        });
    } else {
        let share = k.div_ceil(parts);
        partial.par_chunks_mut(m * n).enumerate().for_each(|(i, out)| {
            let from = (i * share).min(k);
            let count = share.min(k - from);
            gemm(a.cols(from, count), b.rows(from, count), out, n, false);
        });
        sum_parts(partial, out);
    }
}
