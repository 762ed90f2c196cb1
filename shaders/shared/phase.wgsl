// The phases of a transposed convolution of stride s. A pixel of x with row + pad = u·s + phase meets the taps
// kh = phase + s·j alone, at row u − j of y. So a phase is a convolution of stride 1 with every s-th tap, along both axes.

struct Phase {
    at: vec2<u32>,
    // The first (u, v) inside the image, and how many there are.
    first: vec2<u32>,
    extent: vec2<u32>,
    // How many taps its pixels meet.
    taps: vec2<u32>,
}

fn phase(number: u32) -> Phase {
    let at = vec2(number / p.stride.y, number % p.stride.y);
    let last = p.stride - 1u - at;
    let first = (p.pad + last) / p.stride;
    return Phase(at, first, (p.input + p.pad + last) / p.stride - first, (p.kernel + last) / p.stride);
}
