//! The two element types of the host device.

use super::math;
use std::fmt::{Debug, Display};
use std::ops::{Add, AddAssign, Div, Mul, Neg, Sub};

/// f32 (the device) or f64 (the oracle). Elementary functions of f32 are accurate to 4e-7, those of f64 are the standard
/// library's.
pub trait Scalar:
    Copy
    + Default
    + Send
    + Sync
    + Debug
    + Display
    + PartialOrd
    + Add<Output = Self>
    + Sub<Output = Self>
    + Mul<Output = Self>
    + Div<Output = Self>
    + Neg<Output = Self>
    + AddAssign
    + 'static
{
    /// 0
    const ZERO: Self;
    /// 1
    const ONE: Self;
    /// The nearest value to `x`.
    fn of(x: f64) -> Self;
    /// This value, exactly.
    fn to_f64(self) -> f64;
    /// eˣ
    fn exp(self) -> Self;
    /// ln x
    fn ln(self) -> Self;
    /// 1/(1+e⁻ˣ)
    fn sigmoid(self) -> Self;
    /// tanh x
    fn tanh(self) -> Self;
    /// ln(1+eˣ), without overflow
    fn softplus(self) -> Self;
    /// (cos 2πu, sin 2πu) for 0 ≤ u ≤ 1
    fn turn(self) -> [Self; 2];
    /// √x
    fn sqrt(self) -> Self;
    /// xᵖ
    fn powf(self, p: Self) -> Self;
    /// |x|
    fn abs(self) -> Self;
    /// Largest integer ≤ x
    fn floor(self) -> Self;
    /// Neither infinite nor NaN
    fn is_finite(self) -> bool;
    /// Not a number
    fn is_nan(self) -> bool;
}

macro_rules! common {
    ($t:ident) => {
        const ZERO: $t = 0.0;
        const ONE: $t = 1.0;
        #[inline(always)]
        fn of(x: f64) -> $t {
            x as $t
        }
        #[inline(always)]
        fn to_f64(self) -> f64 {
            f64::from(self)
        }
        #[inline(always)]
        fn sqrt(self) -> $t {
            $t::sqrt(self)
        }
        #[inline(always)]
        fn powf(self, p: $t) -> $t {
            $t::powf(self, p)
        }
        #[inline(always)]
        fn abs(self) -> $t {
            $t::abs(self)
        }
        #[inline(always)]
        fn floor(self) -> $t {
            $t::floor(self)
        }
        #[inline(always)]
        fn is_finite(self) -> bool {
            $t::is_finite(self)
        }
        #[inline(always)]
        fn is_nan(self) -> bool {
            $t::is_nan(self)
        }
    };
}

impl Scalar for f32 {
    common!(f32);
    #[inline(always)]
    fn exp(self) -> f32 {
        math::exp(self)
    }
    #[inline(always)]
    fn ln(self) -> f32 {
        math::ln(self)
    }
    #[inline(always)]
    fn sigmoid(self) -> f32 {
        math::sigmoid(self)
    }
    #[inline(always)]
    fn tanh(self) -> f32 {
        math::tanh(self)
    }
    #[inline(always)]
    fn softplus(self) -> f32 {
        math::softplus(self)
    }
    #[inline(always)]
    fn turn(self) -> [f32; 2] {
        math::turn(self)
    }
}

impl Scalar for f64 {
    common!(f64);
    fn exp(self) -> f64 {
        f64::exp(self)
    }
    fn ln(self) -> f64 {
        f64::ln(self)
    }
    fn sigmoid(self) -> f64 {
        1.0 / (1.0 + f64::exp(-self))
    }
    fn tanh(self) -> f64 {
        f64::tanh(self)
    }
    fn softplus(self) -> f64 {
        self.max(0.0) + f64::exp(-self.abs()).ln_1p()
    }
    fn turn(self) -> [f64; 2] {
        let (sin, cos) = (std::f64::consts::TAU * self).sin_cos();
        [cos, sin]
    }
}
