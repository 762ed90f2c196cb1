// out[n,oy,ox,c] = ΣΣ f_h[t]·f_w[s]·u[n, oy·down + t − pad, ox·down + s − pad, c], where u is x [N,H,W,C] with up − 1 zeros after each pixel.
//
// A thread makes four outputs of a row whose taps meet a pixel at the same places: `stride` apart, and `advance` pixels of x
// apart. A tap is read once for the four, only every `up`-th is visited, and where they advance by 1 each step along W
// reads one new pixel. The axes have their own parameters, so that a long filter can run as two passes of one axis each:
// the other axis then has the single tap 1.

#import shared/index.wgsl
#import shared/after.wgsl

alias V = f32;

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
    // Outputs along W that a thread makes are `stride` outputs and `advance` pixels apart: up and down without their divisor.
    stride: u32,
    advance: u32,
    // In the order of correlation.
    f: array<vec4<f32>, 17>,
    // See shared/after.wgsl.
    after: array<vec4<u32>, 33>,
}

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read_write> out: array<f32>;

fn tap(i: i32) -> f32 {
    return p.f[i / 4][i % 4];
}

// Pixel `ix` of the row of x that starts at `row`; 0 outside.
fn pixel(row: u32, ix: u32) -> f32 {
    if ix >= p.input.y {
        return 0.0;
    }
    return x[row + ix * p.channels];
}

// The filter along W over one row of x, from tap `skip` at pixel `first` on.
fn line(row: u32, first: u32, skip: i32) -> vec4<f32> {
    var sum: vec4<f32>;
    var v: vec4<f32>;
    // Left of the image wraps to a large number.
    var ix = first;
    for (var t = skip; t < p.taps.y; t += p.up.y) {
        if t > skip && p.advance == 1u {
            v = vec4(v.yzw, pixel(row, ix + 3u));
        } else {
            v = vec4(pixel(row, ix), pixel(row, ix + p.advance), pixel(row, ix + 2u * p.advance), pixel(row, ix + 3u * p.advance));
        }
        sum = fma(vec4(tap(p.first.y + t)), v, sum);
        ix++;
    }
    return sum;
}

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) t: u32) {
    let strips = (p.output.y + 4u * p.stride - 1u) / (4u * p.stride);
    // Channel, place inside the stride, strip, row, image: inner to outer.
    let i = folded(group) * 64u + t;
    let c = i % p.channels;
    let place = i / p.channels;
    let strip = place / p.stride;
    let row = strip / strips;
    let n = row / p.output.x;
    let at = vec2(row % p.output.x, strip % strips * 4u * p.stride + place % p.stride);
    if n >= p.n || at.y >= p.output.y {
        return;
    }
    // Where the filter starts in u, the first tap that meets a pixel, and that pixel.
    let start = vec2<i32>(at) * p.down - p.pad;
    let skip = ((-start) % p.up + p.up) % p.up;
    let first = vec2<u32>((start + skip) / p.up);
    var sum: vec4<f32>;
    var iy = first.x;
    for (var ty = skip.x; ty < p.taps.x; ty += p.up.x) {
        // Above the image wraps to a large number.
        if iy < p.input.x {
            sum = fma(vec4(tap(p.first.x + ty)), line((n * p.input.x + iy) * p.input.y * p.channels + c, first.y, skip.y), sum);
        }
        iy++;
    }
    let to = (row * p.output.y + at.y) * p.channels + c;
    let next = p.stride * p.channels;
    out[to] = after(sum.x, to);
    if at.y + p.stride < p.output.y { out[to + next] = after(sum.y, to + next); }
    if at.y + 2u * p.stride < p.output.y { out[to + 2u * next] = after(sum.z, to + 2u * next); }
    if at.y + 3u * p.stride < p.output.y { out[to + 3u * next] = after(sum.w, to + 3u * next); }
}
