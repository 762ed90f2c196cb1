// bounds[n,b] = (least y, least x, greatest y, greatest x) of the grid points in block b: 64 points in order. The first stage of
// `sample_adjoint`, which skips the blocks that can't reach its tile. Points outside the image count for nothing.

#import shared/index.wgsl

struct Params {
    n: u32,
    // Blocks an image, points an image.
    blocks: u32,
    points: u32,
    // Extent of x.
    input: vec2<u32>,
}

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> grid: array<f32>;
@group(0) @binding(2) var<storage, read_write> bounds: array<vec4<f32>>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) t: u32) {
    let i = folded(group) * 64u + t;
    if i >= p.n * p.blocks {
        return;
    }
    let image = i / p.blocks * p.points;
    let first = i % p.blocks * 64u;
    let size = vec2<f32>(p.input);
    // Empty: the least above the greatest.
    var least = size + 1.0;
    var greatest = vec2(-2.0);
    for (var k = first; k < min(first + 64u, p.points); k++) {
        let at = vec2(grid[2u * (image + k)], grid[2u * (image + k) + 1u]);
        if all(at > vec2(-1.0)) && all(at < size) {
            least = min(least, at);
            greatest = max(greatest, at);
        }
    }
    bounds[i] = vec4(least, greatest);
}
