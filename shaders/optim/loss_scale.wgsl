// Dynamic loss scaling (Micikevicius et al. 2018): from the norm of scaled gradients to the optimiser's scalars, on the device.
//
// state = [scale, steps since it last changed, steps left out, 1 − ∏β₁, 1 − ∏β₂]; scalars as in adam.wgsl, gated like them for
// scaled gradients, with c₁ and c₂ of the steps that were made: only the device knows which. Where the norm is not finite the
// step is left out, which a gradient scale of 0 tells adam.wgsl, and the scale is halved. One thread: there are a dozen
// numbers. Finite is read from the bits, as compilers may assume it.

struct Params {
    // The scale to start with, and the good steps after which it is doubled.
    start: f32,
    steps: f32,
    // Scalars of the optimiser.
    scalars: u32,
}

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> square: array<f32>;
@group(0) @binding(2) var<storage, read> scalars: array<f32>;
@group(0) @binding(3) var<storage, read_write> state: array<f32>;
@group(0) @binding(4) var<storage, read_write> gated: array<f32>;
@group(0) @binding(5) var<storage, read_write> norm: array<f32>;
@group(0) @binding(6) var<storage, read_write> used: array<f32>;
@group(0) @binding(7) var<storage, read_write> left_out: array<f32>;

const LEAST = 1.0;
const MOST = 16777216.0;

@compute @workgroup_size(1)
fn main() {
    let scale = select(state[0], p.start, state[0] == 0.0);
    let good = (bitcast<u32>(square[0]) & 0x7f800000u) != 0x7f800000u;
    for (var i = 0u; i < p.scalars; i++) {
        gated[i] = scalars[i];
    }
    gated[7] = scalars[7] / scale;
    used[0] = scale;
    if good {
        norm[0] = square[0] / scale / scale;
        let streak = state[1] + 1.0;
        let grows = streak >= p.steps;
        state[0] = select(scale, min(2.0 * scale, MOST), grows);
        state[1] = select(streak, 0.0, grows);
        for (var i = 0u; i < 2u; i++) {
            let beta = scalars[1u + i];
            state[3u + i] = beta * state[3u + i] + (1.0 - beta);
            gated[4u + i] = 1.0 / state[3u + i];
        }
    } else {
        norm[0] = 0.0;
        gated[7] = 0.0;
        state[0] = max(0.5 * scale, LEAST);
        state[1] = 0.0;
        state[2] += 1.0;
    }
    left_out[0] = state[2];
}
