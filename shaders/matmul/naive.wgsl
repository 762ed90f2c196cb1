// c[m,n] = Σ_k a(m,k)·b(k,n), one thread per output: the oracle of `tiled` on the same device.

#import shared/index.wgsl

struct Params {
    m: u32,
    n: u32,
    k: u32,
    // Strides of a along (m, k) and of b along (k, n).
    a_row: u32,
    a_depth: u32,
    b_depth: u32,
    b_col: u32,
}

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> a: array<f32>;
@group(0) @binding(2) var<storage, read> b: array<f32>;
@group(0) @binding(3) var<storage, read_write> c: array<f32>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) t: u32) {
    let i = folded(group) * 64u + t;
    if i >= p.m * p.n {
        return;
    }
    var at_a = i / p.n * p.a_row;
    var at_b = i % p.n * p.b_col;
    var sum = 0.0;
    for (var k = 0u; k < p.k; k++) {
        sum += a[at_a] * b[at_b];
        at_a += p.a_depth;
        at_b += p.b_depth;
    }
    c[i] = sum;
}
