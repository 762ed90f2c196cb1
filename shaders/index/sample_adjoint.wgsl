// out[n,iy,ix,c] = Σ over the grid points at (v, u) of max(0, 1 − |v − iy|)·max(0, 1 − |u − ix|)·y[n,oy,ox,c]: the adjoint of `sample`.
//
// A gather, so that it needs no atomics and adds in one order. A workgroup makes 8×8 pixels of up to four channels; it
// passes over the 8×8 blocks of the grid whose bounds (`sample_bounds`) do not reach its pixels. For a smooth grid few
// blocks are left; for any grid the result is right.

#import shared/index.wgsl

struct Params {
    n: u32,
    channels: u32,
    // Extent of the image and of the grid.
    input: vec2<u32>,
    output: vec2<u32>,
}

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> y: array<f32>;
@group(0) @binding(2) var<storage, read> grid: array<f32>;
@group(0) @binding(3) var<storage, read> bounds: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read_write> out: array<f32>;

// Up to four channels of a grid point; 0 past the last channel.
fn values(point: u32, c: u32) -> vec4<f32> {
    let at = point * p.channels + c;
    var v = vec4(y[at], 0.0, 0.0, 0.0);
    if c + 1u < p.channels { v.y = y[at + 1u]; }
    if c + 2u < p.channels { v.z = y[at + 2u]; }
    if c + 3u < p.channels { v.w = y[at + 3u]; }
    return v;
}

// The part of `pixel` that the block of the grid at `first` makes.
fn gather(n: u32, first: vec2<u32>, pixel: vec2<f32>, c: u32) -> vec4<f32> {
    var sum: vec4<f32>;
    let end = min(first + 8u, p.output);
    for (var oy = first.x; oy < end.x; oy++) {
        for (var ox = first.y; ox < end.y; ox++) {
            let point = (n * p.output.x + oy) * p.output.y + ox;
            let at = vec2(grid[2u * point], grid[2u * point + 1u]);
            let corner = floor(at);
            // 0 or 1 for a pixel next to the point; the weights are those of `sample`, bit for bit.
            let away = pixel - corner;
            let f = at - corner;
            if all((away == vec2(0.0)) | (away == vec2(1.0))) {
                let weight = select(f, 1.0 - f, away == vec2(0.0));
                sum += weight.x * weight.y * values(point, c);
            }
        }
    }
    return sum;
}

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) t: u32) {
    let tiles = (p.input + 7u) / 8u;
    let fours = (p.channels + 3u) / 4u;
    // Four channels, tile along W, tile along H, image: inner to outer.
    var id = folded(group);
    let c = id % fours * 4u;
    id /= fours;
    let corner = vec2(id / tiles.y % tiles.x, id % tiles.y) * 8u;
    let n = id / (tiles.x * tiles.y);
    let at = corner + vec2(t / 8u, t % 8u);
    if n >= p.n || any(at >= p.input) {
        return;
    }
    let low = vec2<f32>(corner) - 1.0;
    let high = vec2<f32>(corner) + 8.0;
    var sum: vec4<f32>;
    let blocks = (p.output + 7u) / 8u;
    for (var b = 0u; b < blocks.x * blocks.y; b++) {
        let box = bounds[n * blocks.x * blocks.y + b];
        if all(box.zw > low) && all(box.xy < high) {
            sum += gather(n, vec2(b / blocks.y, b % blocks.y) * 8u, vec2<f32>(at), c);
        }
    }
    let to = ((n * p.input.x + at.x) * p.input.y + at.y) * p.channels + c;
    out[to] = sum.x;
    if c + 1u < p.channels { out[to + 1u] = sum.y; }
    if c + 2u < p.channels { out[to + 2u] = sum.z; }
    if c + 3u < p.channels { out[to + 3u] = sum.w; }
}
