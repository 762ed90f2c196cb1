//! Pointwise primitives over slices: one loop a primitive, shared by `eval` and by the chains of plans.

use super::Scalar;
use super::simd::multiversion;
use crate::graph::Op;

multiversion! {
    /// `out[i] = op(args[0][i], …)`. Every argument is at least as long as `out`.
    ///
    /// # Panics
    /// If `op` is not pointwise or an argument is missing or too short.
    pub fn apply<T: Scalar>(op: &Op, args: &[&[T]], out: &mut [T]) {
        let a = args[0];
        match op {
            Op::Add => zip(a, args[1], out, |a, b| a + b),
            Op::Mul => zip(a, args[1], out, |a, b| a * b),
            Op::Scale(c) => {
                let c = T::of(c.0);
                map(a, out, |a| c * a);
            }
            Op::Pow(p) => power(p.0, a, out),
            Op::Exp => map(a, out, |a| a.exp()),
            Op::Log => map(a, out, |a| a.ln()),
            Op::Sigmoid => map(a, out, |a| a.sigmoid()),
            Op::Tanh => map(a, out, |a| a.tanh()),
            Op::Softplus => map(a, out, |a| a.softplus()),
            Op::Abs => map(a, out, |a| a.abs()),
            Op::Sign => map(a, out, |a| indicator::<T>(a > T::ZERO) - indicator::<T>(a < T::ZERO)),
            Op::Step => map(a, out, |a| indicator(a > T::ZERO)),
            Op::Select => select(a, args[1], args[2], out),
            // Written so that a NaN on either side is the result.
            Op::Max => zip(a, args[1], out, |a, b| if b > a || b.is_nan() { b } else { a }),
            Op::Min => zip(a, args[1], out, |a, b| if b < a || b.is_nan() { b } else { a }),
            _ => unreachable!("{op:?} is not pointwise"),
        }
    }
}

/// aᵖ, with the exponents that roots, norms and their gradients produce written out.
#[inline(always)]
fn power<T: Scalar>(p: f64, a: &[T], out: &mut [T]) {
    if p == 2.0 {
        map(a, out, |a| a * a);
    } else if p == 3.0 {
        map(a, out, |a| a * a * a);
    } else if p == 0.5 {
        map(a, out, |a| a.sqrt());
    } else if p == -0.5 {
        map(a, out, |a| T::ONE / a.sqrt());
    } else if p == -1.0 {
        map(a, out, |a| T::ONE / a);
    } else if p == -1.5 {
        map(a, out, |a| T::ONE / (a * a.sqrt()));
    } else if p == -2.0 {
        map(a, out, |a| T::ONE / (a * a));
    } else if p == -2.5 {
        map(a, out, |a| T::ONE / (a * a * a.sqrt()));
    } else {
        let p = T::of(p);
        map(a, out, |a| a.powf(p));
    }
}

#[inline(always)]
fn indicator<T: Scalar>(condition: bool) -> T {
    if condition { T::ONE } else { T::ZERO }
}

#[inline(always)]
fn map<T: Scalar>(a: &[T], out: &mut [T], f: impl Fn(T) -> T) {
    let a = &a[..out.len()];
    for (o, &a) in out.iter_mut().zip(a) {
        *o = f(a);
    }
}

#[inline(always)]
fn zip<T: Scalar>(a: &[T], b: &[T], out: &mut [T], f: impl Fn(T, T) -> T) {
    let (a, b) = (&a[..out.len()], &b[..out.len()]);
    for ((o, &a), &b) in out.iter_mut().zip(a).zip(b) {
        *o = f(a, b);
    }
}

#[inline(always)]
fn select<T: Scalar>(a: &[T], b: &[T], c: &[T], out: &mut [T]) {
    let (a, b, c) = (&a[..out.len()], &b[..out.len()], &c[..out.len()]);
    for (((o, &a), &b), &c) in out.iter_mut().zip(a).zip(b).zip(c) {
        // Written so that NaN takes the first branch.
        *o = if a <= T::ZERO { c } else { b };
    }
}
