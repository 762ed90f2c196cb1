// Pointwise primitives of the closed set, one function each, for `V` = f32 or vec4<f32>; a template that imports this file
// says which. Sums, products and the built-ins `exp`, `log`, `abs`, `sign` need none.
//
// They hold for every finite argument: no exponential overflows, and small results keep their relative precision.

// ln(1+e) for e in [0, 1]; the series where rounding 1+e would lose e.
fn op_log1p(e: V) -> V {
    let series = e * (1.0 - e * (0.5 - e * (0.33333334 - e * (0.25 - e * 0.2))));
    return select(log(1.0 + e), series, e < V(0.05));
}

fn op_sigmoid(a: V) -> V {
    let e = exp(-abs(a));
    return select(e, V(1.0), a >= V(0.0)) / (1.0 + e);
}

// Built-in tanh is NaN beyond |a| = 44 on some drivers and loses small arguments on others.
fn op_tanh(a: V) -> V {
    let e = exp(-2.0 * abs(a));
    let far = sign(a) * (1.0 - e) / (1.0 + e);
    let s = a * a;
    let near = a * (1.0 - s * (0.33333334 - s * (0.13333334 - s * (0.053968254 - s * 0.021869488))));
    return select(far, near, s < V(0.0625));
}

fn op_softplus(a: V) -> V {
    return max(a, V(0.0)) + op_log1p(exp(-abs(a)));
}

fn op_step(a: V) -> V {
    return select(V(0.0), V(1.0), a > V(0.0));
}

// b where a > 0 or is NaN, else c: a rectifier hands NaN on.
fn op_select(a: V, b: V, c: V) -> V {
    return select(b, c, a <= V(0.0));
}

// The larger, the smaller of two; of a NaN and a number the NaN, where the built-ins answer with either. Only a NaN is neither at
// least as large nor smaller; `b != b` would not do: in SPIR-V it is false for a NaN.
fn op_max(a: V, b: V) -> V {
    return select(select(a + b, b, b > a), a, a >= b);
}

fn op_min(a: V, b: V) -> V {
    return select(select(a + b, b, b < a), a, a <= b);
}

// aⁿ for a whole n, negative a too, by repeated squaring.
fn op_pow_whole(a: V, n: u32) -> V {
    var result = V(1.0);
    var square = a;
    for (var rest = n; rest > 0u; rest >>= 1u) {
        if (rest & 1u) == 1u {
            result *= square;
        }
        square *= square;
    }
    return result;
}

// aᵖ; NaN for a < 0. Zero apart: some drivers take 2 to an infinite power for 0.
fn op_pow(a: V, p: f32) -> V {
    let zero = select(a, 1.0 / a, p < 0.0);
    return select(exp2(p * log2(a)), zero, a == V(0.0));
}
