// Which image of a resident data set fills place j of a batch (`plan::Draw`).

#import shared/philox.wgsl

// (u64(word)·count) >> 32 with word = lane j%4 of block (j/4, step, stream, 0).
fn drawn(seed: vec2<u32>, step: u32, stream: u32, j: u32, count: u32) -> u32 {
    let words = philox(seed, vec4(j / 4u, step, stream, 0u));
    return wide_product(words[j % 4u], count).y;
}

// The top bit of lane j%4 of block (j/4, step, stream, 1).
fn mirrored(seed: vec2<u32>, step: u32, stream: u32, j: u32) -> bool {
    let words = philox(seed, vec4(j / 4u, step, stream, 1u));
    return (words[j % 4u] >> 31u) == 1u;
}
