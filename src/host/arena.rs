//! Scratch memory that is grown on first use and kept: one lane per thread, and one area shared by the tasks of a step.

use super::Scalar;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Elements before an address that is a multiple of 64 bytes (one cache line, one AVX-512 vector).
fn misalignment<T>(values: &[T]) -> usize {
    let elements = values.as_ptr().align_offset(64);
    if elements > 64 { 0 } else { elements }
}

/// A vector whose slices start on cache lines. Grows, never shrinks.
#[derive(Default)]
pub struct Aligned<T>(Vec<T>);

impl<T: Scalar> Aligned<T> {
    /// `len` zeros.
    pub fn zeros(len: usize) -> Aligned<T> {
        Aligned(vec![T::ZERO; len + 64])
    }

    /// The first `len` elements, whatever they hold.
    pub fn get(&mut self, len: usize) -> &mut [T] {
        if self.0.len() < len + 64 {
            *self = Aligned::zeros(len);
        }
        let start = misalignment(&self.0);
        &mut self.0[start..start + len]
    }

    /// The address of the first element of [`Aligned::get`], without borrowing the elements.
    pub fn as_mut_ptr(&mut self) -> *mut T {
        let start = misalignment(&self.0);
        self.0.as_mut_ptr().wrapping_add(start)
    }

    fn bytes(&self) -> usize {
        size_of_val(self.0.as_slice())
    }
}

/// One lane of scratch per thread. A lane is borrowed for the length of one task and holds whatever the last one left.
pub struct Lanes<T>(Vec<Mutex<Aligned<T>>>);

impl<T: Scalar> Lanes<T> {
    /// Runs `f` on `len` elements of this thread's lane.
    pub fn with<R>(&self, len: usize, f: impl FnOnce(&mut [T]) -> R) -> R {
        let at = rayon::current_thread_index().unwrap_or(0) % self.0.len();
        f(lock(&self.0[at]).get(len))
    }
}

/// Lanes hold scratch only, so one that a panic left behind is as good as any.
fn lock<T>(lane: &Mutex<T>) -> MutexGuard<'_, T> {
    lane.lock().unwrap_or_else(PoisonError::into_inner)
}

/// All scratch memory of a device.
pub struct Arena<T> {
    lanes: Lanes<T>,
    shared: Aligned<T>,
    /// The result of a product on its way to what follows it.
    staged: Aligned<T>,
    wide: Aligned<f64>,
}

impl<T: Scalar> Arena<T> {
    /// Empty scratch for a pool of `threads`.
    pub fn new(threads: usize) -> Arena<T> {
        let lanes = (0..threads.max(1)).map(|_| Mutex::new(Aligned::zeros(0))).collect();
        Arena { lanes: Lanes(lanes), shared: Aligned::zeros(0), staged: Aligned::zeros(0), wide: Aligned::zeros(0) }
    }

    /// The lanes alone.
    pub fn lanes(&self) -> &Lanes<T> {
        &self.lanes
    }

    /// The lanes, and `len` elements for all tasks of a step.
    pub fn shared(&mut self, len: usize) -> (&Lanes<T>, &mut [T]) {
        (&self.lanes, self.shared.get(len))
    }

    /// Runs `product` into `len` elements of scratch, then `then` on what it left there.
    pub fn staged(
        &mut self,
        len: usize,
        product: impl FnOnce(&mut Arena<T>, &mut [T]),
        then: impl FnOnce(&Lanes<T>, &[T]),
    ) {
        let mut staged = std::mem::take(&mut self.staged);
        product(self, staged.get(len));
        then(&self.lanes, staged.get(len));
        self.staged = staged;
    }

    /// The lanes, and `len` sums in double precision.
    pub fn wide(&mut self, len: usize) -> (&Lanes<T>, &mut [f64]) {
        (&self.lanes, self.wide.get(len))
    }

    /// Grows every lane to the longest, so that which thread takes which task later on allocates nothing.
    pub fn level(&mut self) {
        let longest = self.lanes.0.iter().map(|lane| lock(lane).0.len()).max().unwrap_or(0);
        for lane in &self.lanes.0 {
            lock(lane).get(longest.saturating_sub(64));
        }
    }

    /// Bytes held; constant after the first run of every plan.
    pub fn bytes(&self) -> usize {
        let lanes: usize = self.lanes.0.iter().map(|lane| lock(lane).bytes()).sum();
        lanes + self.shared.bytes() + self.staged.bytes() + self.wide.bytes()
    }
}
