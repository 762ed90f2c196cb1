// m ← β₁m + (1−β₁)g, v ← β₂v + (1−β₂)g², w ← w − lr·(m·c₁)/(√(v·c₂) + ε), ema ← w + β(ema − w), with g scaled and sanitised
// (Kingma & Ba 2015). Weights may decay: by g + λw in the place of g, or by (1 − lr·λ)w in the place of w (Loshchilov & Hutter 2019).
//
// Layouts: flat buffers of a whole network; scalars = [lr, β₁, β₂, ε, c₁ = 1/(1−β₁ᵗ), c₂ = 1/(1−β₂ᵗ), β, gradient scale, decay]; owner = tensor of
// each block of 64 elements; counters = gradients of each tensor that were not finite, added up.
// Work: one thread per element. A network without a moving average has a kernel without it (src/kernels/optim.rs). The
// counters are integers, whose sums don't depend on order.

#import shared/index.wgsl
#import shared/gradient.wgsl

struct Params {
    total: u32,
}

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> scalars: array<f32>;
@group(0) @binding(2) var<storage, read> gradients: array<f32>;
@group(0) @binding(3) var<storage, read> owner: array<u32>;
@group(0) @binding(4) var<storage, read_write> weights: array<f32>;
@group(0) @binding(5) var<storage, read_write> first: array<f32>;
@group(0) @binding(6) var<storage, read_write> second: array<f32>;
//#begin average
@group(0) @binding(7) var<storage, read_write> ema: array<f32>;
@group(0) @binding(8) var<storage, read_write> counters: array<atomic<u32>>;

fn average(i: u32, w: f32) {
    ema[i] = w + scalars[6] * (ema[i] - w);
}
//#end

// How weights decay: 0 not at all, 1 through the gradient (λ = scalars[8]), 2 by themselves (scalars[8] = 1 − lr·λ).
override DECAY: u32 = 0u;

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let i = folded(group) * 256u + lane;
    // A gradient scale of 0: this step is left out.
    if i >= p.total || scalars[7] == 0.0 {
        return;
    }
    let scaled = gradients[i] * scalars[7];
    if !is_finite(scaled) {
        atomicAdd(&counters[owner[i / 64u]], 1u);
    }
    var g = sanitised(scaled);
    var from_w = weights[i];
    if DECAY == 1u {
        g += scalars[8] * from_w;
    }
    if DECAY == 2u {
        from_w *= scalars[8];
    }
    let m = scalars[1] * first[i] + (1.0 - scalars[1]) * g;
    let v = scalars[2] * second[i] + (1.0 - scalars[2]) * g * g;
    let w = from_w - scalars[0] * (m * scalars[4]) / (sqrt(v * scalars[5]) + scalars[3]);
    first[i] = m;
    second[i] = v;
    weights[i] = w;
    average(i, w);
}
