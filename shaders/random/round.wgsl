// round ← round + 1, or 0: a plan that draws random numbers and runs several times in one submission draws others each time.
//
// Layout: rng = [seed low, seed high, step, round]. Work: one thread; a kernel of its own because a plan may not write what its
// other launches read.

struct Params {
    reset: u32,
}

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read_write> rng: array<u32>;

@compute @workgroup_size(1)
fn main() {
    rng[3] = select(rng[3] + 1u, 0u, p.reset == 1u);
}
