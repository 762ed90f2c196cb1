//! Pointwise primitives over slices: one loop a primitive, shared by `eval` and by the chains of plans.

use super::Scalar;
use crate::graph::Op;

/// `out[i] = op(args[0][i], …)`. Every slice has the length of `out`.
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
        Op::Exp => map(a, out, T::exp),
        Op::Log => map(a, out, T::ln),
        Op::Sigmoid => map(a, out, |a| T::ONE / (T::ONE + (-a).exp())),
        Op::Tanh => map(a, out, T::tanh),
        Op::Softplus => map(a, out, |a| larger(a, T::ZERO) + (-a.abs()).exp().ln_1p()),
        Op::Abs => map(a, out, T::abs),
        Op::Sign => map(a, out, |a| indicator::<T>(a > T::ZERO) - indicator(a < T::ZERO)),
        Op::Step => map(a, out, |a| indicator(a > T::ZERO)),
        Op::Select => {
            let (b, c) = (&args[1][..out.len()], &args[2][..out.len()]);
            for (i, (o, &a)) in out.iter_mut().zip(a).enumerate() {
                *o = if a > T::ZERO { b[i] } else { c[i] };
            }
        }
        Op::Max => zip(a, args[1], out, larger),
        Op::Min => zip(a, args[1], out, |a, b| if b < a { b } else { a }),
        _ => unreachable!("{op:?} is not pointwise"),
    }
}

/// aᵖ, with the exponents that gradients produce all the time written out.
fn power<T: Scalar>(p: f64, a: &[T], out: &mut [T]) {
    if p == 2.0 {
        map(a, out, |a| a * a);
    } else if p == -1.0 {
        map(a, out, |a| T::ONE / a);
    } else if p == 0.5 {
        map(a, out, T::sqrt);
    } else if p == -0.5 {
        map(a, out, |a| T::ONE / a.sqrt());
    } else if p == -2.0 {
        map(a, out, |a| T::ONE / (a * a));
    } else {
        let p = T::of(p);
        map(a, out, |a| a.powf(p));
    }
}

fn larger<T: Scalar>(a: T, b: T) -> T {
    if b > a { b } else { a }
}

fn indicator<T: Scalar>(condition: bool) -> T {
    if condition { T::ONE } else { T::ZERO }
}

fn map<T: Scalar>(a: &[T], out: &mut [T], f: impl Fn(T) -> T) {
    for (o, &a) in out.iter_mut().zip(a) {
        *o = f(a);
    }
}

fn zip<T: Scalar>(a: &[T], b: &[T], out: &mut [T], f: impl Fn(T, T) -> T) {
    for ((o, &a), &b) in out.iter_mut().zip(a).zip(b) {
        *o = f(a, b);
    }
}
