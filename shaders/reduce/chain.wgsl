// out[o] = Σ_r expression of in0[f0(o,r)], in1[f1(o,r)], … : sums over any axes, with a fused chain in front.
//
// Layouts: o runs over the axes that stay, r over those that are summed, both row-major. Input n is read at offset + o·unit₀ +
// r·unit₁ + Σ_q (o or r / divisor_q)·step_{n,q}, modulo 2³² (see pointwise/chain.wgsl).
// Work: a workgroup has `output_lanes` × `term_lanes` = 256 threads. Neighbouring threads walk r where the innermost axis is
// summed (rows) and o where it stays (columns: batch-norm statistics over NHWC), so that loads are contiguous either way.
// Terms are cut into slices along z; slice s of output o goes to o·output_step + s·slice_step, and a second launch of
// this kernel adds the slices. Each sum has a fixed order: results do not depend on timing.
// A template: the launcher (src/kernels/reduce.rs) replaces the marked blocks; as it stands it sums what it reads.

#import shared/index.wgsl
#import shared/after.wgsl

struct Params {
    // Outputs, terms of an output and terms of a slice, in units of V where V runs along them.
    outputs: u32,
    terms: u32,
    slice: u32,
    // Powers of two, and where each lane number sits in the thread's.
    output_lanes: u32,
    term_lanes: u32,
    output_shift: u32,
    term_shift: u32,
    output_step: u32,
    slice_step: u32,
    // Of quotient q: its divisor, and 1/divisor.
    divisors: array<vec4<u32>, 2>,
    reciprocals: array<vec4<f32>, 2>,
    // Three per input: (offset, unit₀, unit₁, –), then a step per quotient.
    inputs: array<vec4<u32>, 21>,
    // Of each limit: extent of its axis, first index inside, number of indices inside, –.
    limits: array<vec4<u32>, 8>,
    constants: array<vec4<f32>, 8>,
    // See shared/after.wgsl.
    after: array<vec4<u32>, 33>,
}

// V: what a thread reads at once. S: what it adds up with others; `joined` makes one of the other.
//#begin width
alias V = f32;
alias S = f32;
const OUTPUT_WIDTH = 1u;
const TERM_WIDTH = 1u;
fn joined(sum: V) -> S {
    return sum;
}
// The sum of the elements from i on as it is stored.
fn finished(sum: S, i: u32) -> S {
    return after(sum, i);
}
//#end

@group(0) @binding(0) var<uniform> p: Params;
//#begin bindings
@group(0) @binding(1) var<storage, read> in0: array<f32>;
@group(0) @binding(2) var<storage, read_write> out: array<S>;
//#end

var<workgroup> sums: array<S, 256>;

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let output_lane = (thread >> p.output_shift) & (p.output_lanes - 1u);
    let term_lane = (thread >> p.term_shift) & (p.term_lanes - 1u);
    let at = (group.y * FOLD + group.x) * p.output_lanes + output_lane;
    var sum = V(0.0);
    if at < p.outputs {
        let o = at * OUTPUT_WIDTH;
//#begin bases
        let b0 = p.inputs[0].x + o * p.inputs[0].y;
//#end
        let end = min((group.z + 1u) * p.slice, p.terms);
        for (var t = group.z * p.slice + term_lane; t < end; t += p.term_lanes) {
            let r = t * TERM_WIDTH;
//#begin chain
            let value = in0[b0 + r * p.inputs[0].z];
//#end
            sum += value;
        }
    }
    sums[thread] = joined(sum);
    for (var half = p.term_lanes >> 1u; half > 0u; half >>= 1u) {
        workgroupBarrier();
        if term_lane < half {
            sums[thread] += sums[thread + (half << p.term_shift)];
        }
    }
    if term_lane == 0u && at < p.outputs {
        out[at * p.output_step + group.z * p.slice_step] = finished(sums[thread], at * OUTPUT_WIDTH);
    }
}
