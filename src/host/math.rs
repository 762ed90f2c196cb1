//! Elementary functions of f32 that LLVM can vectorise: no branches, no calls, relative error below 4e-7.
//!
//! Each reduces its argument to a short interval and evaluates a Chebyshev fit there; the fits' own errors are below 3e-8.

/// 355/512: its products with small integers are exact.
const LN2_HIGH: f32 = 0.693_359_4;
const LN2_LOW: f32 = -2.121_944_4e-4;
/// Adding and subtracting 1.5·2²³ rounds to the nearest integer.
const ROUND: f32 = 12_582_912.0;

/// Σ c[i]·xⁱ
#[inline(always)]
fn poly<const N: usize>(x: f32, c: [f32; N]) -> f32 {
    let mut sum = c[N - 1];
    for i in (0..N - 1).rev() {
        sum = sum * x + c[i];
    }
    sum
}

/// 2ⁿ for −126 ≤ n ≤ 127.
#[inline(always)]
fn power_of_two(n: i32) -> f32 {
    f32::from_bits(((n + 127) << 23) as u32)
}

/// eˣ, with gradual underflow.
#[inline(always)]
pub fn exp(x: f32) -> f32 {
    let x = if x > 89.0 { 89.0 } else { x };
    let x = if x < -104.5 { -104.5 } else { x };
    let shifted = x * std::f32::consts::LOG2_E + ROUND;
    let n = (shifted.to_bits() as i32).wrapping_sub(ROUND.to_bits() as i32);
    let whole = shifted - ROUND;
    let r = x - whole * LN2_HIGH - whole * LN2_LOW;
    let fit = [0.5, 1.666_657_6e-1, 4.166_655_6e-2, 8.363_195e-3, 1.392_620_4e-3];
    let y = poly(r, fit) * r * r + r + 1.0;
    // In two factors, because n runs over −151..=128 and NaN makes it anything.
    let half = (n >> 1).clamp(-100, 100);
    y * power_of_two(half) * power_of_two((n - half).clamp(-100, 100))
}

/// ln(1 + f) for √½ − 1 ≤ f ≤ √2 − 1, plus n·ln 2.
#[inline(always)]
fn ln_near_one(f: f32, n: f32) -> f32 {
    let fit = [
        3.333_333e-1,
        -2.500_030_7e-1,
        2.000_104_5e-1,
        -1.664_128_2e-1,
        1.421_449_6e-1,
        -1.299_818_3e-1,
        1.262_231_9e-1,
        -7.902_744e-2,
    ];
    let tail = poly(f, fit) * f * f * f - 0.5 * f * f;
    n * LN2_HIGH + (f + (tail + n * LN2_LOW))
}

/// (f, n) with x = (1 + f)·2ⁿ and √½ ≤ 1 + f < √2, for a normal positive x.
#[inline(always)]
fn split(x: f32) -> (f32, f32) {
    const SQRT_HALF: i32 = 0x3f35_04f3;
    let bits = (x.to_bits() as i32).wrapping_sub(SQRT_HALF);
    let f = f32::from_bits(((bits & 0x007f_ffff) + SQRT_HALF) as u32) - 1.0;
    (f, (bits >> 23) as f32)
}

/// ln x
#[inline(always)]
pub fn ln(x: f32) -> f32 {
    let tiny = x < f32::MIN_POSITIVE;
    let (f, n) = split(if tiny { x * 16_777_216.0 } else { x });
    let y = ln_near_one(f, if tiny { n - 24.0 } else { n });
    let y = if x == f32::INFINITY { x } else { y };
    let y = if x > 0.0 { y } else { f32::NAN };
    if x == 0.0 { f32::NEG_INFINITY } else { y }
}

/// 1/(1+e⁻ˣ)
#[inline(always)]
pub fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + exp(-x))
}

/// tanh x
#[inline(always)]
pub fn tanh(x: f32) -> f32 {
    let a = x.abs();
    let square = x * x;
    let fit = [-3.333_333e-1, 1.333_277e-1, -5.385_090_8e-2, 2.099_718e-2, -6.096_714e-3];
    let small = x + x * (square * poly(square, fit));
    let large = (1.0 - 2.0 / (exp(2.0 * a) + 1.0)).copysign(x);
    if a < 0.625 { small } else { large }
}

/// ln(1 + eˣ), without overflow.
#[inline(always)]
pub fn softplus(x: f32) -> f32 {
    let e = exp(-x.abs());
    let u = 1.0 + e;
    let (f, n) = split(u);
    // What rounding 1 + e lost, to first order.
    let log = ln_near_one(f, n) + (e - (u - 1.0)) / u;
    (if x < 0.0 { 0.0 } else { x }) + log
}

/// (cos 2πu, sin 2πu) for 0 ≤ u ≤ 1.
#[inline(always)]
pub fn turn(u: f32) -> [f32; 2] {
    let quarters = 4.0 * u;
    let shifted = quarters + ROUND;
    let quadrant = shifted.to_bits() & 3;
    let t = quarters - (shifted - ROUND);
    let square = t * t;
    let sin = t * poly(square, [1.570_796_4, -6.459_635e-1, 7.968_022e-2, -4.602_149e-3]);
    let cos = 1.0 + square * poly(square, [-1.233_700_5, 2.536_694e-1, -2.086_152_9e-2, 9.067_399e-4]);
    let (a, b) = if quadrant & 1 == 0 { (cos, sin) } else { (sin, cos) };
    let a = if quadrant == 1 || quadrant == 2 { -a } else { a };
    let b = if quadrant >= 2 { -b } else { b };
    [a, b]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Largest error of `f` over a sweep, relative to |want| (plus `floor`).
    fn worst(lo: f32, hi: f32, floor: f64, f: impl Fn(f32) -> f32, want: impl Fn(f64) -> f64) -> f64 {
        let steps = 200_000;
        (0..=steps).fold(0.0, |worst: f64, i| {
            let x = lo + (hi - lo) * (i as f32 / steps as f32);
            let want = want(f64::from(x));
            let error = (f64::from(f(x)) - want).abs() / (want.abs() + floor);
            assert!(!error.is_nan(), "{x}: {} is not {want}", f(x));
            worst.max(error)
        })
    }

    #[test]
    fn relative_errors() {
        let soft = |x: f64| x.max(0.0) + (-x.abs()).exp().ln_1p();
        let logistic = |x: f64| 1.0 / (1.0 + (-x).exp());
        let errors = [
            ("exp", worst(-87.0, 88.7, 0.0, exp, f64::exp)),
            ("ln", worst(1e-3, 3.0, 1e-30, ln, f64::ln)),
            ("ln of large", worst(1.0, 1e30, 1e-30, ln, f64::ln)),
            ("tanh", worst(-10.0, 10.0, 1e-30, tanh, f64::tanh)),
            ("sigmoid", worst(-80.0, 80.0, 0.0, sigmoid, logistic)),
            ("softplus", worst(-80.0, 80.0, 0.0, softplus, soft)),
            ("cos", worst(0.0, 1.0, 1.0, |u| turn(u)[0], |u| (std::f64::consts::TAU * u).cos())),
            ("sin", worst(0.0, 1.0, 1.0, |u| turn(u)[1], |u| (std::f64::consts::TAU * u).sin())),
        ];
        for (name, error) in errors {
            assert!(error < 4e-7, "{name}: {error:e}");
        }
    }

    #[test]
    fn special_values() {
        assert_eq!((exp(f32::INFINITY), exp(f32::NEG_INFINITY), exp(0.0)), (f32::INFINITY, 0.0, 1.0));
        assert_eq!((exp(1e30), exp(-1e30)), (f32::INFINITY, 0.0));
        let denormal = f64::from(exp(-95.0)) / f64::exp(-95.0);
        assert!((denormal - 1.0).abs() < 1e-3, "{denormal}");
        assert_eq!((ln(0.0), ln(f32::INFINITY), ln(1.0)), (f32::NEG_INFINITY, f32::INFINITY, 0.0));
        assert!((f64::from(ln(1e-42)) - f64::from(1e-42f32).ln()).abs() < 1e-4);
        assert_eq!((tanh(50.0), tanh(-50.0), tanh(0.0)), (1.0, -1.0, 0.0));
        assert_eq!((sigmoid(-200.0), sigmoid(200.0)), (0.0, 1.0));
        assert_eq!((softplus(200.0), softplus(-200.0)), (200.0, 0.0));
        for f in [exp, ln, tanh, sigmoid, softplus] {
            assert!(f(f32::NAN).is_nan());
        }
        assert!(ln(-1.0).is_nan());
    }
}
