// Weight gradient of a depthwise convolution, Cin = groups: w[kh,kw,0,co] = Σ x[n, oy·s + kh − pad, ox·s + kw − pad, co/m] · y[n,oy,ox,co]
// over all outputs, with m = Cout/Cin.
//
// A workgroup makes four neighbouring taps of 64 channels over one part of the rows (n,oy): four threads per channel share
// the rows, each walks whole rows (at stride 1 with one new pixel of x per step), and their sums meet in workgroup memory.
// Part s goes to w[s] and `sum_splits` adds the parts, in order.

#import shared/index.wgsl
#import shared/conv.wgsl
#import shared/after.wgsl

alias V = f32;

@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read> y: array<f32>;
@group(0) @binding(3) var<storage, read_write> w: array<f32>;

var<workgroup> partial: array<vec4<f32>, 256>;

// Pixel `ix` of the row of x that starts at `row`; 0 outside.
fn pixel(row: u32, ix: u32) -> f32 {
    if ix >= p.input.y {
        return 0.0;
    }
    return x[row + ix * p.cin];
}

// The sums of the taps (kh, kw…kw+3) of channel co along row (n, oy).
fn row_sums(row: u32, kh: u32, kw: u32, co: u32) -> vec4<f32> {
    var sum: vec4<f32>;
    // Above or left of the image wraps to a large number.
    let iy = row % p.output.x * p.stride.x + kh - p.pad.x;
    if iy >= p.input.x {
        return sum;
    }
    let at_x = (row / p.output.x * p.input.x + iy) * p.input.y * p.cin + co / p.group_cout;
    var at_y = row * p.output.y * p.cout + co;
    var ix = kw - p.pad.y;
    var v: vec4<f32>;
    for (var ox = 0u; ox < p.output.y; ox++) {
        if ox > 0u && p.stride.y == 1u {
            v = vec4(v.yzw, pixel(at_x, ix + 3u));
        } else {
            v = vec4(pixel(at_x, ix), pixel(at_x, ix + 1u), pixel(at_x, ix + 2u), pixel(at_x, ix + 3u));
        }
        sum = fma(v, vec4(y[at_y]), sum);
        at_y += p.cout;
        ix += p.stride.y;
    }
    return sum;
}

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) t: u32) {
    // Tiles: 64 channels; four taps of a row of the kernel.
    let job = job(folded(group));
    if job.part >= p.parts {
        return;
    }
    let co = job.col_tile * 64u + t % 64u;
    let strips = (p.kernel.y + 3u) / 4u;
    let kh = job.row_tile / strips;
    let kw = job.row_tile % strips * 4u;
    var sum: vec4<f32>;
    if co < p.cout {
        let end = min((job.part + 1u) * p.part, p.n * p.output.x);
        for (var row = job.part * p.part + t / 64u; row < end; row += 4u) {
            sum += row_sums(row, kh, kw, co);
        }
    }
    partial[t] = sum;
    workgroupBarrier();
    if t >= 64u || co >= p.cout {
        return;
    }
    sum = (partial[t] + partial[t + 64u]) + (partial[t + 128u] + partial[t + 192u]);
    let to = ((job.part * p.kernel.x + kh) * p.kernel.y + kw) * p.cout + co;
    w[to] = after(sum.x, to);
    if kw + 1u < p.kernel.y { w[to + p.cout] = after(sum.y, to + p.cout); }
    if kw + 2u < p.kernel.y { w[to + 2u * p.cout] = after(sum.z, to + 2u * p.cout); }
    if kw + 3u < p.kernel.y { w[to + 3u * p.cout] = after(sum.w, to + 3u * p.cout); }
}
