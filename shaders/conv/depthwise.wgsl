// Depthwise convolution, Cin = groups: y[n,oy,ox,co] = Σ x[n, oy·s + kh − pad, ox·s + kw − pad, co/m] · w[kh,kw,0,co] with m = Cout/Cin.
//
// A thread makes four neighbours along W of one channel: a tap is read once for the four, and at stride 1 each step along
// kw reads one new pixel. Threads run along the channels, which are contiguous.

#import shared/index.wgsl
#import shared/conv.wgsl
#import shared/after.wgsl

alias V = f32;

@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read> w: array<f32>;
@group(0) @binding(3) var<storage, read_write> y: array<f32>;

// Pixel `ix` of the row of x that starts at `row`; 0 outside.
fn pixel(row: u32, ix: u32) -> f32 {
    if ix >= p.input.y {
        return 0.0;
    }
    return x[row + ix * p.cin];
}

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) t: u32) {
    let strips = (p.output.y + 3u) / 4u;
    let i = folded(group) * 64u + t;
    if i >= p.n * p.output.x * strips * p.cout {
        return;
    }
    let co = i % p.cout;
    let at = digits(i / p.cout, vec2(p.output.x, strips));
    let ox = at.z * 4u;
    var sum: vec4<f32>;
    for (var kh = 0u; kh < p.kernel.x; kh++) {
        // Above or left of the image wraps to a large number.
        let iy = at.y * p.stride.x + kh - p.pad.x;
        if iy >= p.input.x {
            continue;
        }
        let row = (at.x * p.input.x + iy) * p.input.y * p.cin + co / p.group_cout;
        var v: vec4<f32>;
        for (var kw = 0u; kw < p.kernel.y; kw++) {
            let ix = ox * p.stride.y + kw - p.pad.y;
            if kw > 0u && p.stride.y == 1u {
                v = vec4(v.yzw, pixel(row, ix + 3u));
            } else {
                v = vec4(pixel(row, ix), pixel(row, ix + p.stride.y), pixel(row, ix + 2u * p.stride.y), pixel(row, ix + 3u * p.stride.y));
            }
            sum = fma(v, vec4(w[(kh * p.kernel.y + kw) * p.cout + co]), sum);
        }
    }
    let to = ((at.x * p.output.x + at.y) * p.output.y + ox) * p.cout + co;
    y[to] = after(sum.x, to);
    if ox + 1u < p.output.y { y[to + p.cout] = after(sum.y, to + p.cout); }
    if ox + 2u < p.output.y { y[to + 2u * p.cout] = after(sum.z, to + 2u * p.cout); }
    if ox + 3u < p.output.y { y[to + 3u * p.cout] = after(sum.w, to + 3u * p.cout); }
}
