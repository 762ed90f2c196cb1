// out[o] = x[o − start] inside the box, else 0: the adjoint of a slice, and what a concatenation is made of.
//
// Layout: row-major, rank up to 8 after axes that are not padded were merged into their left neighbours.
// Work: one thread per output element; its coordinates come from one division per axis, so each element is written once and
// no zeroing pass is needed.

#import shared/index.wgsl

struct Params {
    // Elements of the output, number of axes.
    total: u32,
    rank: u32,
    // An axis each: extent of the output, extent of x, start, stride of x.
    axes: array<vec4<u32>, 8>,
}

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read_write> out: array<f32>;

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let i = folded(group) * 256u + lane;
    if i >= p.total {
        return;
    }
    var rest = i;
    var at = 0u;
    var inside = true;
    for (var a = p.rank; a > 0u; a--) {
        let axis = p.axes[a - 1u];
        let outer = rest / axis.x;
        // Wraps to a huge number before the start, which is outside too.
        let c = rest - outer * axis.x - axis.z;
        inside = inside && c < axis.y;
        at += c * axis.w;
        rest = outer;
    }
    if inside {
        out[i] = x[at];
    } else {
        out[i] = 0.0;
    }
}
