// out[i] = Σ_s part[s, i], in order of s: the second stage of every product whose depth was split. No atomics, so a run
// repeats bit for bit. The product's epilogue comes here (shared/after.wgsl).

#import shared/index.wgsl
#import shared/after.wgsl

alias V = f32;

struct Params {
    len: u32,
    parts: u32,
    // See shared/after.wgsl.
    after: array<vec4<u32>, 33>,
}

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> part: array<f32>;
@group(0) @binding(2) var<storage, read_write> out: array<f32>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) t: u32) {
    let i = folded(group) * 64u + t;
    if i >= p.len {
        return;
    }
    var sum = part[i];
    for (var s = 1u; s < p.parts; s++) {
        sum += part[s * p.len + i];
    }
    out[i] = after(sum, i);
}
