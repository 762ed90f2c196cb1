// w[kh,kw,ci,co] = Σ x[n, oy·s + kh − pad, ox·s + kw − pad, ci] · y[n,oy,ox,co] over all outputs of a convolution, one thread
// an element of w: the oracle of the faster rungs on the same device.

#import shared/index.wgsl
#import shared/conv.wgsl

@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read> y: array<f32>;
@group(0) @binding(3) var<storage, read_write> w: array<f32>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) t: u32) {
    let i = folded(group) * 64u + t;
    if i >= p.kernel.x * p.kernel.y * p.group_cin * p.cout {
        return;
    }
    let co = i % p.cout;
    // (kh, kw, ci)
    let tap = digits(i / p.cout, vec2(p.kernel.y, p.group_cin));
    let channel = co / p.group_cout * p.group_cin + tap.z;
    var sum = 0.0;
    for (var n = 0u; n < p.n; n++) {
        for (var oy = 0u; oy < p.output.x; oy++) {
            // Above or left of the image wraps to a large number.
            let iy = oy * p.stride.x + tap.x - p.pad.x;
            if iy >= p.input.x {
                continue;
            }
            for (var ox = 0u; ox < p.output.y; ox++) {
                let ix = ox * p.stride.y + tap.y - p.pad.y;
                if ix < p.input.y {
                    let at_x = ((n * p.input.x + iy) * p.input.y + ix) * p.cin + channel;
                    let to = ((n * p.output.x + oy) * p.output.y + ox) * p.cout + co;
                    sum += x[at_x] * y[to];
                }
            }
        }
    }
    w[i] = sum;
}
