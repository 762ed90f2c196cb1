// out[n,oy,ox,c] = x [N,H,W,C] sampled bilinearly at grid[n,oy,ox] = (y, x) in pixels, zero outside. One thread an output.

#import shared/index.wgsl

struct Params {
    n: u32,
    channels: u32,
    // Extent of x and of the grid.
    input: vec2<u32>,
    output: vec2<u32>,
}

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read> grid: array<f32>;
@group(0) @binding(3) var<storage, read_write> out: array<f32>;

// A pixel; above or left of the image wraps to a large number.
fn pixel(n: u32, at: vec2<u32>, c: u32) -> f32 {
    if at.x >= p.input.x || at.y >= p.input.y {
        return 0.0;
    }
    return x[((n * p.input.x + at.x) * p.input.y + at.y) * p.channels + c];
}

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) t: u32) {
    let i = folded(group) * 64u + t;
    let points = p.output.x * p.output.y;
    if i >= p.n * points * p.channels {
        return;
    }
    let c = i % p.channels;
    let point = i / p.channels;
    let n = point / points;
    let at = vec2(grid[2u * point], grid[2u * point + 1u]);
    // False for NaN too, and it keeps the conversion to integers in range.
    let near = all(at > vec2(-1.0)) && all(at < vec2<f32>(p.input));
    var sum = 0.0;
    if near {
        let corner = floor(at);
        let f = at - corner;
        let q = vec2<u32>(vec2<i32>(corner));
        let top = (1.0 - f.y) * pixel(n, q, c) + f.y * pixel(n, q + vec2(0u, 1u), c);
        let bottom = (1.0 - f.y) * pixel(n, q + vec2(1u, 0u), c) + f.y * pixel(n, q + vec2(1u, 1u), c);
        sum = (1.0 - f.x) * top + f.x * bottom;
    }
    out[i] = sum;
}
