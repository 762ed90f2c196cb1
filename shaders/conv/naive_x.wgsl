// x[n,iy,ix,ci] = Σ y[n,oy,ox,co] · w[kh,kw,ci,co] over the taps with oy·s + kh − pad = iy and ox·s + kw − pad = ix: the
// adjoint of `naive`, one thread per output. Steps of one stride through the taps, so none is multiplied by an inserted zero.

#import shared/index.wgsl
#import shared/conv.wgsl

@group(0) @binding(1) var<storage, read> y: array<f32>;
@group(0) @binding(2) var<storage, read> w: array<f32>;
@group(0) @binding(3) var<storage, read_write> x: array<f32>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) t: u32) {
    let i = folded(group) * 64u + t;
    if i >= p.n * p.input.x * p.input.y * p.cin {
        return;
    }
    let ci = i % p.cin;
    let at = digits(i / p.cin, p.input);
    let first = ci / p.group_cin * p.group_cout;
    let padded = at.yz + p.pad;
    var sum = 0.0;
    for (var kh = padded.x % p.stride.x; kh < p.kernel.x; kh += p.stride.x) {
        // Above or left of the image wraps to a large number.
        let oy = padded.x / p.stride.x - kh / p.stride.x;
        if oy >= p.output.x {
            continue;
        }
        for (var kw = padded.y % p.stride.y; kw < p.kernel.y; kw += p.stride.y) {
            let ox = padded.y / p.stride.y - kw / p.stride.y;
            if ox >= p.output.y {
                continue;
            }
            let at_y = ((at.x * p.output.x + oy) * p.output.y + ox) * p.cout + first;
            let tap = ((kh * p.kernel.y + kw) * p.group_cin + ci % p.group_cin) * p.cout + first;
            for (var co = 0u; co < p.group_cout; co++) {
                sum += y[at_y + co] * w[tap + co];
            }
        }
    }
    x[i] = sum;
}
