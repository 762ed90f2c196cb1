// Input gradient of a depthwise convolution, Cin = groups: x[n,iy,ix,ci] = Σ y[n,oy,ox,ci·m + q] · w[kh,kw,0,ci·m + q] over the taps
// with oy·s + kh − pad = iy and ox·s + kw − pad = ix, and the m = Cout/Cin outputs of the channel.
//
// A thread makes four pixels of one phase (shared/phase.wgsl), neighbours at distance s along W, of one channel: a tap is
// read once for the four, and each step along the taps reads one new pixel of y.

#import shared/index.wgsl
#import shared/conv.wgsl
#import shared/phase.wgsl
#import shared/after.wgsl

alias V = f32;

@group(0) @binding(1) var<storage, read> y: array<f32>;
@group(0) @binding(2) var<storage, read> w: array<f32>;
@group(0) @binding(3) var<storage, read_write> x: array<f32>;

// Pixel `ox` of the row of y that starts at `row`; 0 outside.
fn pixel(row: u32, ox: u32) -> f32 {
    if ox >= p.output.y {
        return 0.0;
    }
    return y[row + ox * p.cout];
}

// The product of one row of y, from pixel `v` on, with one row of taps.
fn strip(phase: Phase, row: u32, first: u32, taps: u32) -> vec4<f32> {
    var sum: vec4<f32>;
    var v = vec4(pixel(row, first + 1u), pixel(row, first + 2u), pixel(row, first + 3u), 0.0);
    for (var j = 0u; j < phase.taps.y; j++) {
        v = vec4(pixel(row, first - j), v.xyz);
        sum = fma(v, vec4(w[taps + (phase.at.y + j * p.stride.y) * p.cout]), sum);
    }
    return sum;
}

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) t: u32) {
    // Strips of the widest phase along W, one a (row of x, phase along W).
    let strips = ((p.input.y + p.stride.y - 1u) / p.stride.y + 3u) / 4u;
    let i = folded(group) * 64u + t;
    if i >= p.n * p.input.x * p.stride.y * strips * p.cin {
        return;
    }
    let ci = i % p.cin;
    // (n, iy), phase along W, strip
    let at = digits(i / p.cin, vec2(p.stride.y, strips));
    let n = at.x / p.input.x;
    let iy = at.x % p.input.x;
    let padded = iy + p.pad.x;
    let phase = phase(padded % p.stride.x * p.stride.y + at.y);
    if at.z * 4u >= phase.extent.y {
        return;
    }
    let first = phase.first.y + at.z * 4u;
    var sum: vec4<f32>;
    for (var j = 0u; j < phase.taps.x; j++) {
        // Above the image wraps to a large number.
        let oy = padded / p.stride.x - j;
        if oy >= p.output.x {
            continue;
        }
        let kh = phase.at.x + j * p.stride.x;
        for (var q = 0u; q < p.group_cout; q++) {
            let co = ci * p.group_cout + q;
            let row = (n * p.output.x + oy) * p.output.y * p.cout + co;
            sum += strip(phase, row, first, kh * p.kernel.y * p.cout + co);
        }
    }
    let ix = first * p.stride.y + phase.at.y - p.pad.y;
    let to = (at.x * p.input.y + ix) * p.cin + ci;
    let next = p.stride.y * p.cin;
    x[to] = after(sum.x, to);
    if ix + p.stride.y < p.input.y { x[to + next] = after(sum.y, to + next); }
    if ix + 2u * p.stride.y < p.input.y { x[to + 2u * next] = after(sum.z, to + 2u * next); }
    if ix + 3u * p.stride.y < p.input.y { x[to + 3u * next] = after(sum.w, to + 3u * next); }
}
