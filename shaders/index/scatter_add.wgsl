// out[r, c] = Σ_{b: index[b] = r} values[b, c], added in order of b.
//
// Layouts: values [count, cols], index [count], out [rows, cols]. Work: one thread per element of out, which looks at every
// index: no atomics, so the sum has a fixed order, and no zeroing pass. Right for embeddings, where count is a batch.

#import shared/index.wgsl
#import shared/row.wgsl

struct Params {
    rows: u32,
    cols: u32,
    count: u32,
    // Elements of out.
    total: u32,
}

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> values: array<f32>;
@group(0) @binding(2) var<storage, read> index: array<f32>;
@group(0) @binding(3) var<storage, read_write> out: array<f32>;

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let i = folded(group) * 256u + lane;
    if i >= p.total {
        return;
    }
    let row = i / p.cols;
    let col = i - row * p.cols;
    var sum = 0.0;
    for (var b = 0u; b < p.count; b++) {
        if row_of(index[b], p.rows) == row {
            sum += values[b * p.cols + col];
        }
    }
    out[i] = sum;
}
