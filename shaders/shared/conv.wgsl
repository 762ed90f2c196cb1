// Geometry of the convolution family: x [N,H,W,Cin], w [Kh,Kw,Cin/groups,Cout], y [N,Ho,Wo,Cout];
// y[n,oy,ox,co] = Σ x[n, oy·s + kh − pad, ox·s + kw − pad, ci] · w[kh,kw,ci,co] over the taps (kh, kw) and the ci of co's group.
// Every kernel of the family binds these Params, so one Rust value serves them all.

struct Params {
    // Extents (H, W) of x and (Ho, Wo) of y.
    input: vec2<u32>,
    output: vec2<u32>,
    kernel: vec2<u32>,
    stride: vec2<u32>,
    pad: vec2<u32>,
    n: u32,
    groups: u32,
    cin: u32,
    cout: u32,
    // Channels of one group.
    group_cin: u32,
    group_cout: u32,
    // Depth of a part of the reduction, and how many parts.
    part: u32,
    parts: u32,
    // Tiles along the rows and columns of a group's matrix.
    row_tiles: u32,
    col_tiles: u32,
    // See shared/after.wgsl.
    after: array<vec4<u32>, 33>,
}

@group(0) @binding(0) var<uniform> p: Params;

// A position along three nested axes, outer to inner, whose inner two have these radices.
fn digits(i: u32, radix: vec2<u32>) -> vec3<u32> {
    let outer = i / radix.y;
    return vec3(outer / radix.x, outer % radix.x, i % radix.y);
}

// `at + step` with carries: how a thread walks a reduction without dividing.
fn advance(at: vec3<u32>, step: vec3<u32>, radix: vec2<u32>) -> vec3<u32> {
    var sum = at + step;
    if sum.z >= radix.y {
        sum.z -= radix.y;
        sum.y += 1u;
    }
    if sum.y >= radix.x {
        sum.y -= radix.x;
        sum.x += 1u;
    }
    return sum;
}

// The same decomposition of four positions.
struct Digits4 {
    outer: vec4<u32>,
    middle: vec4<u32>,
    inner: vec4<u32>,
}

fn digits4(i: vec4<u32>, radix: vec2<u32>) -> Digits4 {
    let outer = i / radix.y;
    return Digits4(outer / radix.x, outer % radix.x, i % radix.y);
}

// What a workgroup of a tiled kernel makes.
struct Job {
    row_tile: u32,
    col_tile: u32,
    group: u32,
    part: u32,
}

// Workgroups number column tiles first, then row tiles, groups, and parts of the depth.
fn job(id: u32) -> Job {
    let rows = id / p.col_tiles;
    let groups = rows / p.row_tiles;
    return Job(rows % p.row_tiles, id % p.col_tiles, groups % p.groups, groups / p.groups);
}
