// x = transposed conv(y, w) to at most four channels, such as the colours of an image: a tile of a matrix product would be
// mostly empty columns.
//
// A thread makes all channels of one pixel: each element of y is read once for them, and neighbouring threads read the same
// weights. A pixel at (iy, ix) meets the taps kh = (iy + pad) mod s + s·j alone, at row (iy + pad) / s − j of y.

#import shared/index.wgsl
#import shared/conv.wgsl
#import shared/after.wgsl

alias V = f32;

@group(0) @binding(1) var<storage, read> y: array<f32>;
@group(0) @binding(2) var<storage, read> w: array<f32>;
@group(0) @binding(3) var<storage, read_write> x: array<f32>;

// Channels of x.
override CHANNELS: u32 = 4u;

// The products of one pixel of y with one tap.
fn tap(start: u32, weights: u32, before: vec4<f32>) -> vec4<f32> {
    var sum = before;
    for (var co = 0u; co < p.cout; co++) {
        let v = y[start + co];
        let at = weights + co;
        sum.x = fma(v, w[at], sum.x);
        if CHANNELS > 1u { sum.y = fma(v, w[at + p.cout], sum.y); }
        if CHANNELS > 2u { sum.z = fma(v, w[at + 2u * p.cout], sum.z); }
        if CHANNELS > 3u { sum.w = fma(v, w[at + 3u * p.cout], sum.w); }
    }
    return sum;
}

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) t: u32) {
    let i = folded(group) * 64u + t;
    if i >= p.n * p.input.x * p.input.y {
        return;
    }
    let at = digits(i, p.input);
    let first = (at.yz + p.pad) % p.stride;
    let corner = (at.yz + p.pad) / p.stride;
    var sum: vec4<f32>;
    for (var j = 0u; first.x + j * p.stride.x < p.kernel.x; j++) {
        // Above or left of the image wraps to a large number.
        let oy = corner.x - j;
        if oy >= p.output.x {
            continue;
        }
        let kh = first.x + j * p.stride.x;
        for (var k = 0u; first.y + k * p.stride.y < p.kernel.y; k++) {
            let ox = corner.y - k;
            if ox >= p.output.y {
                continue;
            }
            let kw = first.y + k * p.stride.y;
            let start = ((at.x * p.output.x + oy) * p.output.y + ox) * p.cout;
            sum = tap(start, (kh * p.kernel.y + kw) * CHANNELS * p.cout, sum);
        }
    }
    let to = i * CHANNELS;
    x[to] = after(sum.x, to);
    if CHANNELS > 1u { x[to + 1u] = after(sum.y, to + 1u); }
    if CHANNELS > 2u { x[to + 2u] = after(sum.z, to + 2u); }
    if CHANNELS > 3u { x[to + 3u] = after(sum.w, to + 3u); }
}
