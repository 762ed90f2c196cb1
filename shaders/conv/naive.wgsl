// y[n,oy,ox,co] = Σ x[n, oy·s + kh − pad, ox·s + kw − pad, ci] · w[kh,kw,ci,co], one thread per output: the oracle of the
// faster rungs on the same device, and the kernel of groups too narrow for a tile.

#import shared/index.wgsl
#import shared/conv.wgsl

@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read> w: array<f32>;
@group(0) @binding(3) var<storage, read_write> y: array<f32>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) t: u32) {
    let i = folded(group) * 64u + t;
    if i >= p.n * p.output.x * p.output.y * p.cout {
        return;
    }
    let co = i % p.cout;
    let at = digits(i / p.cout, p.output);
    let first = co / p.group_cout * p.group_cin;
    var sum = 0.0;
    for (var kh = 0u; kh < p.kernel.x; kh++) {
        // Above or left of the image wraps to a large number.
        let iy = at.y * p.stride.x + kh - p.pad.x;
        if iy >= p.input.x {
            continue;
        }
        for (var kw = 0u; kw < p.kernel.y; kw++) {
            let ix = at.z * p.stride.y + kw - p.pad.y;
            if ix >= p.input.y {
                continue;
            }
            let at_x = ((at.x * p.input.x + iy) * p.input.y + ix) * p.cin + first;
            let tap = (kh * p.kernel.y + kw) * p.group_cin;
            for (var ci = 0u; ci < p.group_cin; ci++) {
                sum += x[at_x + ci] * w[(tap + ci) * p.cout + co];
            }
        }
    }
    y[i] = sum;
}
