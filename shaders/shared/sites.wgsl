// Four places of a zero-padded image, and moves of all four: what the tiled convolutions gather.

struct Sites {
    // Address, row and column of each; the place may lie outside the image.
    base: vec4<i32>,
    y: vec4<i32>,
    x: vec4<i32>,
}

// Which of the sites lie inside `extent` after a move by `by`.
fn inside(sites: Sites, by: vec2<i32>, extent: vec2<u32>) -> vec4<bool> {
    return (vec4<u32>(sites.y + by.x) < vec4(extent.x)) & (vec4<u32>(sites.x + by.y) < vec4(extent.y));
}
