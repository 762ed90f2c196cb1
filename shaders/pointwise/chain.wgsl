// out[i] = expression of in0[f0(i)], in1[f1(i)], … : any fused chain of pointwise primitives over strided views.
//
// Layouts: out is contiguous. Input n is read at offset + i·unit + Σ_q (i / divisor_q)·step_{n,q}, modulo 2³²: every expand,
// permutation and slice has that form, and a view that is walked in order has no quotient and so no division. A pad limits indices:
// inputs are then read, or values kept, where each is inside.
// Work: one thread per `V`, which is one element, or four neighbours where the innermost extent divides by 4.
// A template: the launcher (src/kernels/pointwise.rs) replaces the marked blocks; as it stands it copies.

#import shared/index.wgsl
#import shared/divide.wgsl
#import shared/math.wgsl

struct Params {
    // Elements of the output in units of V.
    total: u32,
    // Of quotient q: its divisor, and 1/divisor.
    divisors: array<vec4<u32>, 2>,
    reciprocals: array<vec4<f32>, 2>,
    // Three per input: (offset, unit, –, –), then a step per quotient.
    inputs: array<vec4<u32>, 21>,
    // Of each limit: extent of its axis, first index inside, number of indices inside, –.
    limits: array<vec4<u32>, 8>,
    constants: array<vec4<f32>, 8>,
}

//#begin width
alias V = f32;
const WIDTH = 1u;
//#end

@group(0) @binding(0) var<uniform> p: Params;
//#begin bindings
@group(0) @binding(1) var<storage, read> in0: array<f32>;
@group(0) @binding(2) var<storage, read_write> out: array<V>;
//#end

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let at = folded(group) * 256u + lane;
    if at >= p.total {
        return;
    }
    let i = at * WIDTH;
//#begin chain
    let value = in0[p.inputs[0].x + i];
//#end
    out[at] = value;
}
