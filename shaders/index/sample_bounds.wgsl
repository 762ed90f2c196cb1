// bounds[n,b] = (least y, least x, greatest y, greatest x) of the points in 8×8 block b of the grid. The first stage of
// `sample_adjoint`, which skips the blocks that can't reach its tile. Points outside the image count for nothing.

#import shared/index.wgsl

struct Params {
    n: u32,
    // Extent of x and of the grid.
    input: vec2<u32>,
    output: vec2<u32>,
}

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> grid: array<f32>;
@group(0) @binding(2) var<storage, read_write> bounds: array<vec4<f32>>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) t: u32) {
    let i = folded(group) * 64u + t;
    let blocks = (p.output + 7u) / 8u;
    let line = i / blocks.y;
    let n = line / blocks.x;
    if n >= p.n {
        return;
    }
    let first = vec2(line % blocks.x, i % blocks.y) * 8u;
    let end = min(first + 8u, p.output);
    let size = vec2<f32>(p.input);
    // Empty: the least above the greatest.
    var least = size + 1.0;
    var greatest = vec2(-2.0);
    for (var oy = first.x; oy < end.x; oy++) {
        for (var ox = first.y; ox < end.y; ox++) {
            let point = (n * p.output.x + oy) * p.output.y + ox;
            let at = vec2(grid[2u * point], grid[2u * point + 1u]);
            if all(at > vec2(-1.0)) && all(at < size) {
                least = min(least, at);
                greatest = max(greatest, at);
            }
        }
    }
    bounds[i] = vec4(least, greatest);
}
