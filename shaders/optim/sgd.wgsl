// g ← g + λw, m ← μm + g, w ← w − lr·m, or w − lr·(g + μm) (Nesterov), ema ← w + β(ema − w), with g scaled and sanitised: PyTorch's
// SGD without dampening.
//
// Layouts: flat buffers of a whole network; scalars = [lr, μ, four that are not read, β, gradient scale, λ]; owner = tensor of each
// block of 64 elements; counters = gradients of each tensor that were not finite, added up.
// Work: one thread per element. A network without a moving average has a kernel without it (src/kernels/optim.rs).

#import shared/index.wgsl
#import shared/gradient.wgsl

struct Params {
    total: u32,
    // 1 to look ahead (Nesterov).
    nesterov: u32,
}

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> scalars: array<f32>;
@group(0) @binding(2) var<storage, read> gradients: array<f32>;
@group(0) @binding(3) var<storage, read> owner: array<u32>;
@group(0) @binding(4) var<storage, read_write> weights: array<f32>;
@group(0) @binding(5) var<storage, read_write> first: array<f32>;
//#begin average
@group(0) @binding(6) var<storage, read_write> ema: array<f32>;
@group(0) @binding(7) var<storage, read_write> counters: array<atomic<u32>>;

fn average(i: u32, w: f32) {
    ema[i] = w + scalars[6] * (ema[i] - w);
}
//#end

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
    let g = sanitised(scaled) + scalars[8] * weights[i];
    let m = scalars[1] * first[i] + g;
    let along = select(m, g + scalars[1] * m, p.nesterov == 1u);
    let w = weights[i] - scalars[0] * along;
    first[i] = m;
    weights[i] = w;
    average(i, w);
}
