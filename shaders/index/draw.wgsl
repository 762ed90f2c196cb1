// batch[j] = image drawn(j) of a resident set of bytes, as byte/127.5 − 1 (with one rounding), shifted at random over black
// and flipped along W for a random half.
//
// Layouts: images NHWC, four bytes per word, little-endian; batch [n,H,W,C]; rng = [seed low, seed high, step, 0];
// cursor = (epoch, place) of the batch's first image.
// Work: a workgroup makes 1024 elements of one image (x: part of the image, z and y: image), four per thread, which spreads
// the cost of the random numbers.

#import shared/index.wgsl
#import shared/draw.wgsl

struct Params {
    // Images of the set and of the batch.
    count: u32,
    n: u32,
    // Elements of an image, of its rows and of its pixels.
    image: u32,
    row: u32,
    pixel: u32,
    // 1 to flip half of the images.
    mirror: u32,
    // Pixels of the border; 0 to shift none.
    crop: u32,
    stream: u32,
}

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> rng: array<u32>;
@group(0) @binding(2) var<storage, read> images: array<u32>;
@group(0) @binding(3) var<storage, read> cursor: array<u32>;
@group(0) @binding(4) var<storage, read_write> batch: array<f32>;

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let j = group.z * FOLD + group.y;
    if j >= p.n {
        return;
    }
    let seed = vec2(rng[0], rng[1]);
    let start = drawn(seed, p.stream, vec2(cursor[0], cursor[1]), j, p.count) * p.image;
    let flip = p.mirror == 1u && mirrored(seed, rng[2], p.stream, j);
    // A border of so many pixels goes around the image; the window starts `shift` from its corner.
    var shift = vec2(0u);
    if p.crop > 0u {
        shift = shifted(seed, rng[2], p.stream, j, p.crop);
    }
    for (var part = 0u; part < 4u; part++) {
        let e = (group.x * 4u + part) * 256u + lane;
        if e >= p.image {
            return;
        }
        var element = e;
        if flip {
            let along = e % p.row;
            let channel = along % p.pixel;
            element = e - along + (p.row - p.pixel - (along - channel)) + channel;
        }
        if p.crop > 0u {
            let along = element % p.row;
            let at = vec2(element / p.row, along / p.pixel) + shift - p.crop;
            // What lies before the image has wrapped around and is large.
            if at.x >= p.image / p.row || at.y >= p.row / p.pixel {
                batch[j * p.image + e] = -1.0;
                continue;
            }
            element = at.x * p.row + at.y * p.pixel + along % p.pixel;
        }
        let byte = start + element;
        let value = (images[byte >> 2u] >> (8u * (byte & 3u))) & 255u;
        batch[j * p.image + e] = (2.0 * f32(value) - 255.0) / 255.0;
    }
}
