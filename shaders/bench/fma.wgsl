// xᵢ = fma(xᵢ, m, c), over and over, in twelve chains per thread that do not wait for each other: the most a device can
// multiply and add. Nothing is read but the uniform, and one number per thread is written so that the work is not dropped.
//
// Work: each thread keeps its chains in three named vec4s; a round is sixteen links of each, written out so that the loop
// itself costs little. 2 · 12 · 16 operations per round and thread.

#import shared/index.wgsl

struct Params {
    // Threads, rounds.
    total: u32,
    rounds: u32,
    // |m| < 1, so that the numbers stay where arithmetic is fast.
    m: f32,
    c: f32,
}

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read_write> out: array<f32>;

struct Chains {
    x: vec4<f32>,
    y: vec4<f32>,
    z: vec4<f32>,
}

fn link(v: Chains, m: vec4<f32>, c: vec4<f32>) -> Chains {
    return Chains(fma(v.x, m, c), fma(v.y, m, c), fma(v.z, m, c));
}

fn four(v: Chains, m: vec4<f32>, c: vec4<f32>) -> Chains {
    return link(link(link(link(v, m, c), m, c), m, c), m, c);
}

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let i = folded(group) * 256u + lane;
    if i >= p.total {
        return;
    }
    let m = vec4(p.m);
    let c = vec4(p.c);
    let start = f32(i % 64u) / 64.0;
    var v = Chains(vec4(start, start + 0.1, start + 0.2, start + 0.3), vec4(start * 0.5), vec4(start * 0.25));
    v.y += vec4(0.0, 0.1, 0.2, 0.3);
    v.z += vec4(0.0, 0.1, 0.2, 0.3);
    for (var round = 0u; round < p.rounds; round++) {
        v = four(four(four(four(v, m, c), m, c), m, c), m, c);
    }
    let sum = v.x + v.y + v.z;
    out[i] = sum.x + sum.y + sum.z + sum.w;
}
