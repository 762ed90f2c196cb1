// out[j] = label of image drawn(j): the companion of index/draw.wgsl, which draws the images themselves.
//
// Layouts: one u32 per image; cursor = (epoch, place) of the first; out [n] as f32. Work: one thread per label.

#import shared/index.wgsl
#import shared/draw.wgsl

struct Params {
    // Images of the set and of the batch.
    count: u32,
    n: u32,
    stream: u32,
}

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> rng: array<u32>;
@group(0) @binding(2) var<storage, read> labels: array<u32>;
@group(0) @binding(3) var<storage, read> cursor: array<u32>;
@group(0) @binding(4) var<storage, read_write> out: array<f32>;

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let j = folded(group) * 256u + lane;
    if j < p.n {
        out[j] = f32(labels[drawn(vec2(rng[0], rng[1]), p.stream, vec2(cursor[0], cursor[1]), j, p.count)]);
    }
}
