// out[i] = uniform in (0,1) or standard normal number of lane i%4 of Philox block (i/4, step, stream, 4·round).
//
// Layout: rng = [seed low, seed high, step, round]. Work: one thread per block, so four numbers. The integers are the same on
// every device; logarithm, sine and cosine are made here where the built-ins of some drivers are good to 2⁻¹¹ only.

#import shared/index.wgsl
#import shared/philox.wgsl

struct Params {
    total: u32,
    stream: u32,
    // 1 for normal numbers.
    normal: u32,
}

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> rng: array<u32>;
@group(0) @binding(2) var<storage, read_write> out: array<f32>;

// (top 23 bits + ½)·2⁻²³, exact.
fn uniform_of(word: u32) -> f32 {
    return (f32(word >> 9u) + 0.5) * 1.1920929e-7;
}

// −ln u; near 1 from 1−u, which is exact, where ln u keeps no digit.
fn minus_log(u: f32) -> f32 {
    let w = 1.0 - u;
    let series = w * (1.0 + w * (0.5 + w * (0.33333334 + w * (0.25 + w * 0.2))));
    return select(-log(u), series, w < 0.05);
}

// (cos, sin) of 2πu: u in quarters of a turn is exact, so only an eighth of a turn is left to a series.
fn turn(u: f32) -> vec2<f32> {
    let quarters = u * 4.0;
    let nearest = floor(quarters + 0.5);
    let x = (quarters - nearest) * 1.5707964;
    let s = x * x;
    let sine = x * (1.0 - s * (0.16666667 - s * (8.3333333e-3 - s * (1.9841270e-4 - s * 2.7557319e-6))));
    let cosine = 1.0 - s * (0.5 - s * (0.041666667 - s * (1.3888889e-3 - s * 2.4801587e-5)));
    switch u32(nearest) & 3u {
        case 1u: { return vec2(-sine, cosine); }
        case 2u: { return vec2(-cosine, -sine); }
        case 3u: { return vec2(sine, -cosine); }
        default: { return vec2(cosine, sine); }
    }
}

fn normal_pair(a: u32, b: u32) -> vec2<f32> {
    return sqrt(2.0 * minus_log(uniform_of(a))) * turn(uniform_of(b));
}

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let block = folded(group) * 256u + lane;
    let first = 4u * block;
    if first >= p.total {
        return;
    }
    let w = philox(vec2(rng[0], rng[1]), vec4(block, rng[2], p.stream, rng[3] << 2u));
    var z = vec4(uniform_of(w.x), uniform_of(w.y), uniform_of(w.z), uniform_of(w.w));
    if p.normal == 1u {
        z = vec4(normal_pair(w.x, w.y), normal_pair(w.z, w.w));
    }
    out[first] = z.x;
    if first + 1u < p.total {
        out[first + 1u] = z.y;
    }
    if first + 2u < p.total {
        out[first + 2u] = z.z;
    }
    if first + 3u < p.total {
        out[first + 3u] = z.w;
    }
}
