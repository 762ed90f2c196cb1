// n / d by a reciprocal, for n < 2²⁴ (exact in f32): a product and a correction by one instead of an integer division,
// which takes some twenty instructions on a GPU.

fn quotient(n: u32, d: u32, reciprocal: f32) -> u32 {
    var q = u32(f32(n) * reciprocal);
    // Wraps to a huge number where q is one too many.
    let rest = n - q * d;
    q -= u32(rest >= 0x80000000u);
    q += u32(rest < 0x80000000u && rest >= d);
    return q;
}
