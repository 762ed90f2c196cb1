// Which image of a resident data set fills place j of a batch (`plan::Draw`).

#import shared/philox.wgsl

fn mix(word: u32) -> u32 {
    var v = word;
    v ^= v >> 16u;
    v *= 0x7feb352du;
    v ^= v >> 15u;
    v *= 0x846ca68bu;
    return v ^ (v >> 16u);
}

// The image `j` places after cursor = (epoch, place): every image comes once per epoch, in the order of a permutation by four
// Feistel rounds over the next even power of two, walked until it falls inside. The twin of `philox::shuffled`.
fn drawn(seed: vec2<u32>, stream: u32, cursor: vec2<u32>, j: u32, count: u32) -> u32 {
    let at = cursor.y + j;
    let keys = philox(seed, vec4(cursor.x + at / count, 0u, stream, 2u));
    let half = max((33u - countLeadingZeros(count - 1u)) / 2u, 1u);
    let mask = (1u << half) - 1u;
    var x = at % count;
    loop {
        var l = x >> half;
        var r = x & mask;
        for (var i = 0u; i < 4u; i++) {
            let next = l ^ (mix(r ^ keys[i]) & mask);
            l = r;
            r = next;
        }
        x = (l << half) | r;
        if x < count {
            break;
        }
    }
    return x;
}

// Rows and columns, each from 0 to 2·most, by which image j is shifted: halves of lane j%4 of block (j/4, step, stream, 3) as
// shares of 2·most + 1. The twin of `philox::shift`.
fn shifted(seed: vec2<u32>, step: u32, stream: u32, j: u32, most: u32) -> vec2<u32> {
    let words = philox(seed, vec4(j / 4u, step, stream, 3u));
    let word = words[j % 4u];
    return (vec2(word >> 16u, word & 0xffffu) * (2u * most + 1u)) >> vec2(16u);
}

// The top bit of lane j%4 of block (j/4, step, stream, 1).
fn mirrored(seed: vec2<u32>, step: u32, stream: u32, j: u32) -> bool {
    let words = philox(seed, vec4(j / 4u, step, stream, 1u));
    return (words[j % 4u] >> 31u) == 1u;
}
