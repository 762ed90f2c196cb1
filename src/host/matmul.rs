//! Matrix products: the one place that calls the gemm crate.

use super::Scalar;

/// A matrix inside a slice, with strides.
#[derive(Clone, Copy)]
pub struct Mat<'a, T> {
    pub data: &'a [T],
    pub rows: usize,
    pub cols: usize,
    pub row_stride: usize,
    pub col_stride: usize,
}

impl<'a, T> Mat<'a, T> {
    /// Row-major, rows `row_stride` apart.
    pub fn new(data: &'a [T], rows: usize, cols: usize, row_stride: usize) -> Mat<'a, T> {
        Mat { data, rows, cols, row_stride, col_stride: 1 }
    }

    /// The transpose, as a view.
    pub fn t(self) -> Mat<'a, T> {
        Mat {
            data: self.data,
            rows: self.cols,
            cols: self.rows,
            row_stride: self.col_stride,
            col_stride: self.row_stride,
        }
    }

    fn last(&self) -> usize {
        (self.rows - 1) * self.row_stride + (self.cols - 1) * self.col_stride
    }
}

/// `out = a·b`, or `out += a·b` if `add`, on the calling thread. `out` is row-major with rows `stride` apart.
pub fn gemm<T: Scalar>(a: Mat<T>, b: Mat<T>, out: &mut [T], stride: usize, add: bool) {
    let (m, n, k) = (a.rows, b.cols, a.cols);
    if m == 0 || n == 0 {
        return;
    }
    assert!(k == b.rows && stride >= n && (m - 1) * stride + n <= out.len());
    assert!(k == 0 || (a.last() < a.data.len() && b.last() < b.data.len()));
    // SAFETY: the asserts above keep every access of the three strided matrices inside their slices, and `out` is
    // borrowed exclusively with rows that do not overlap (stride ≥ n).
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

/// op(a)·op(b) of row-major matrices, [m,k]·[k,n] after the transposes.
pub fn matmul<T: Scalar>(ta: bool, tb: bool, [m, n, k]: [usize; 3], a: &[T], b: &[T], out: &mut [T]) {
    let a = if ta { Mat::new(a, k, m, m).t() } else { Mat::new(a, m, k, k) };
    let b = if tb { Mat::new(b, n, k, k).t() } else { Mat::new(b, k, n, n) };
    gemm(a, b, out, n, false);
}
