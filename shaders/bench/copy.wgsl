// y = x: what moving memory costs where nothing is computed.
//
// Work: one thread per vec4, neighbours in a workgroup next to each other in memory.

#import shared/index.wgsl

struct Params {
    // vec4s.
    total: u32,
}

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read_write> y: array<vec4<f32>>;

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let i = folded(group) * 256u + lane;
    if i < p.total {
        y[i] = x[i];
    }
}
