// out[b, c] = table[index[b], c].
//
// Layouts: table [rows, cols], index [count], out [count, cols]. Work: one thread per element of out.

#import shared/index.wgsl
#import shared/row.wgsl

struct Params {
    rows: u32,
    cols: u32,
    // Elements of out.
    total: u32,
}

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> table: array<f32>;
@group(0) @binding(2) var<storage, read> index: array<f32>;
@group(0) @binding(3) var<storage, read_write> out: array<f32>;

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let i = folded(group) * 256u + lane;
    if i < p.total {
        let b = i / p.cols;
        out[i] = table[row_of(index[b], p.rows) * p.cols + (i - b * p.cols)];
    }
}
