// Gradients before an optimiser uses them: NaN → 0, then limited to ±10⁵ (StyleGAN2's clean-up). Whether one is finite is read
// from its bits: a compiler may assume that comparisons of floats never see NaN.

const MOST = 1e5;

fn is_finite(g: f32) -> bool {
    return (bitcast<u32>(g) & 0x7f800000u) != 0x7f800000u;
}

fn sanitised(g: f32) -> f32 {
    if is_finite(g) {
        return clamp(g, -MOST, MOST);
    }
    let bits = bitcast<u32>(g);
    let infinite = select(MOST, -MOST, (bits >> 31u) == 1u);
    return select(infinite, 0.0, (bits & 0x007fffffu) != 0u);
}
