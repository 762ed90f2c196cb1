// out[n,oy,ox,c] = ΣΣ f_h[t]·f_w[s]·u[n, oy·down + t − pad, ox·down + s − pad, c], where u is x [N,H,W,C] with up − 1 zeros after each pixel.
//
// One thread an output; it visits only the taps that meet a pixel, every `up`-th. The axes have their own parameters, so
// that a long filter can run as two passes of one axis each: the other axis then has the single tap 1.

#import shared/index.wgsl

struct Params {
    // N, H, W, C of x and the extent (Ho, Wo) of the output.
    n: u32,
    channels: u32,
    input: vec2<u32>,
    output: vec2<u32>,
    up: vec2<i32>,
    down: vec2<i32>,
    // Padding before (H, W) in the upsampled domain; negative crops.
    pad: vec2<i32>,
    // Number of taps of each axis, and index of its first.
    taps: vec2<i32>,
    first: vec2<i32>,
    // In the order of correlation.
    f: array<vec4<f32>, 17>,
}

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read_write> out: array<f32>;

fn tap(i: i32) -> f32 {
    return p.f[i / 4][i % 4];
}

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) t: u32) {
    let i = folded(group) * 64u + t;
    if i >= p.n * p.output.x * p.output.y * p.channels {
        return;
    }
    let c = i % p.channels;
    let pixel = i / p.channels;
    let row = pixel / p.output.y;
    let n = row / p.output.x;
    // Where the filter starts in u, the first tap that meets a pixel, and that pixel.
    let start = vec2<i32>(vec2(row % p.output.x, pixel % p.output.y)) * p.down - p.pad;
    let skip = ((-start) % p.up + p.up) % p.up;
    let meets = (start + skip) / p.up;
    var sum = 0.0;
    var iy = u32(meets.x);
    for (var ty = skip.x; ty < p.taps.x; ty += p.up.x) {
        // Above or left of the image wraps to a large number.
        if iy < p.input.x {
            var line = 0.0;
            var ix = u32(meets.y);
            for (var tx = skip.y; tx < p.taps.y; tx += p.up.y) {
                if ix < p.input.y {
                    line += tap(p.first.y + tx) * x[((n * p.input.x + iy) * p.input.y + ix) * p.channels + c];
                }
                ix++;
            }
            sum += tap(p.first.x + ty) * line;
        }
        iy++;
    }
    out[i] = sum;
}
