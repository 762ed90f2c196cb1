// c[m,n] = Σ_k a(m,k)·b(k,n) for operands of any two strides: all four transposes are one kernel.
//
// A workgroup makes a tile of c (shared/tile.wgsl) over one part of the depth. With more than one part, part s goes to
// c[s,m,n] and `sum_splits` adds the parts. The next stage is fetched into registers while the current one is multiplied.

#import shared/index.wgsl
#import shared/tile.wgsl
#import shared/after.wgsl

alias V = f32;

struct Params {
    m: u32,
    n: u32,
    k: u32,
    // Strides of a along (m, k) and of b along (k, n); one of each pair is 1.
    a_row: u32,
    a_depth: u32,
    b_depth: u32,
    b_col: u32,
    // Depth of a part, and how many parts.
    part: u32,
    parts: u32,
    // Tiles along m and n.
    row_tiles: u32,
    col_tiles: u32,
    // See shared/after.wgsl.
    after: array<vec4<u32>, 33>,
}

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> a: array<f32>;
@group(0) @binding(2) var<storage, read> b: array<f32>;
@group(0) @binding(3) var<storage, read_write> c: array<f32>;

struct Place {
    // Start of this part's output.
    base: u32,
}

fn put_row(place: Place, row: u32, col: u32, v: vec4<f32>) {
    if row >= p.m {
        return;
    }
    let at = place.base + row * p.n;
    let cols = spread(col);
    if cols.x < p.n { c[at + cols.x] = after(v.x, at + cols.x); }
    if cols.y < p.n { c[at + cols.y] = after(v.y, at + cols.y); }
    if cols.z < p.n { c[at + cols.z] = after(v.z, at + cols.z); }
    if cols.w < p.n { c[at + cols.w] = after(v.w, at + cols.w); }
}

fn thread_slots(t: u32) -> ThreadSlots {
    var s = ThreadSlots(
        along_slots(t, ROW_SLOTS), along_slots(t + THREADS, ROW_SLOTS),
        along_slots(t, COL_SLOTS), along_slots(t + THREADS, COL_SLOTS),
    );
    if p.a_depth == 1u {
        s.a0 = along_depth(t, ROW_SLOTS);
        s.a1 = along_depth(t + THREADS, ROW_SLOTS);
    }
    if p.b_depth == 1u {
        s.b0 = along_depth(t, COL_SLOTS);
        s.b1 = along_depth(t + THREADS, COL_SLOTS);
    }
    return s;
}

// Addresses of a thread's elements at depth 0.
struct Lanes {
    a0: vec4<u32>,
    a1: vec4<u32>,
    b0: vec4<u32>,
    b1: vec4<u32>,
}

fn fetch_a(lane: vec4<u32>, k: u32, end: u32) -> vec4<f32> {
    if k >= end {
        return vec4<f32>();
    }
    let at = lane + k * p.a_depth;
    return vec4(a[at.x], a[at.y], a[at.z], a[at.w]);
}

fn fetch_b(lane: vec4<u32>, k: u32, end: u32) -> vec4<f32> {
    if k >= end {
        return vec4<f32>();
    }
    let at = lane + k * p.b_depth;
    return vec4(b[at.x], b[at.y], b[at.z], b[at.w]);
}

fn fetch(thread_slots: ThreadSlots, lanes: Lanes, k0: u32, end: u32) -> Stage {
    var stage: Stage;
    stage.a0 = fetch_a(lanes.a0, k0 + thread_slots.a0.depth, end);
    stage.b0 = fetch_b(lanes.b0, k0 + thread_slots.b0.depth, end);
    if A_VECS > THREADS {
        stage.a1 = fetch_a(lanes.a1, k0 + thread_slots.a1.depth, end);
    }
    if B_VECS > THREADS {
        stage.b1 = fetch_b(lanes.b1, k0 + thread_slots.b1.depth, end);
    }
    return stage;
}

//#begin main
@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) t: u32) {
//#end
    let id = folded(group);
    let tiles = p.row_tiles * p.col_tiles;
    let part = id / tiles;
    if part >= p.parts {
        return;
    }
    let tile = id % tiles;
    let origin = vec2(tile / p.col_tiles * ROWS, tile % p.col_tiles * COLS);
    let begin = part * p.part;
    let end = min(begin + p.part, p.k);

    let thread_slots = thread_slots(t);
    let lanes = Lanes(
        elements(origin.x, thread_slots.a0.slot, ROW_SLOTS, p.m) * p.a_row,
        elements(origin.x, thread_slots.a1.slot, ROW_SLOTS, p.m) * p.a_row,
        elements(origin.y, thread_slots.b0.slot, COL_SLOTS, p.n) * p.b_col,
        elements(origin.y, thread_slots.b1.slot, COL_SLOTS, p.n) * p.b_col,
    );
    var sums: Sums;
    var next = fetch(thread_slots, lanes, begin, end);
    for (var k0 = begin; k0 < end; k0 += DEPTH) {
        stash(thread_slots, next);
        next = fetch(thread_slots, lanes, k0 + DEPTH, end);
        multiply(&sums, t);
    }
    put(Place(part * p.m * p.n), origin, t, sums);
}
