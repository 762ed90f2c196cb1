// log[step % rows, i] = scalars[64·i]: what a step has to say, kept on the device until somebody reads it.
//
// Layouts: scalar i at the start of block i of 64 elements; log [rows, count]; rng = [seed low, seed high, step, 0].
// Work: one thread per scalar.

struct Params {
    count: u32,
    rows: u32,
}

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> rng: array<u32>;
@group(0) @binding(2) var<storage, read> scalars: array<f32>;
@group(0) @binding(3) var<storage, read_write> log_rows: array<f32>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    if id.x < p.count {
        log_rows[(rng[2] % p.rows) * p.count + id.x] = scalars[64u * id.x];
    }
}
