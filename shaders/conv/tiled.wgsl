// y = conv(x, w) as an implicit matrix product per group: rows are outputs (n,oy,ox), the depth is (kh,kw,ci), columns are co.
//
// Tiles are those of shared/tile.wgsl; nothing like im2col is stored. A thread stages one depth of up to eight outputs:
// it decomposes these outputs once, and walks its (kh,kw,ci) with carries. Parts of the depth go to y[part] and
// `sum_splits` adds them.

#import shared/index.wgsl
#import shared/conv.wgsl
#import shared/sites.wgsl
#import shared/tile.wgsl
#import shared/after.wgsl

alias V = f32;

@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read> w: array<f32>;
@group(0) @binding(3) var<storage, read_write> y: array<f32>;

struct Place {
    // Address of the group's first channel in this part's output.
    base: u32,
}

fn rows() -> u32 {
    return p.n * p.output.x * p.output.y;
}

fn put_row(place: Place, row: u32, col: u32, v: vec4<f32>) {
    if row >= rows() {
        return;
    }
    let at = place.base + row * p.cout;
    let cols = spread(col);
    if cols.x < p.group_cout { y[at + cols.x] = after(v.x, at + cols.x); }
    if cols.y < p.group_cout { y[at + cols.y] = after(v.y, at + cols.y); }
    if cols.z < p.group_cout { y[at + cols.z] = after(v.z, at + cols.z); }
    if cols.w < p.group_cout { y[at + cols.w] = after(v.w, at + cols.w); }
}

// The corners of x under four outputs.
fn sites(origin: u32, slot: u32, channel: u32) -> Sites {
    let at = digits4(elements(origin, slot, ROW_SLOTS, rows()), p.output);
    let iy = vec4<i32>(at.middle * p.stride.x) - i32(p.pad.x);
    let ix = vec4<i32>(at.inner * p.stride.y) - i32(p.pad.y);
    let row = vec4<i32>(at.outer * p.input.x) + iy;
    return Sites((row * i32(p.input.y) + ix) * i32(p.cin) + i32(channel), iy, ix);
}

fn fetch_x(sites: Sites, tap: vec3<u32>) -> vec4<f32> {
    let by = vec3<i32>(tap);
    let ok = inside(sites, by.xy, p.input);
    let at = select(vec4(0), sites.base + (by.x * i32(p.input.y) + by.y) * i32(p.cin) + by.z, ok);
    return select(vec4<f32>(), vec4(x[at.x], x[at.y], x[at.z], x[at.w]), ok);
}

fn fetch_w(cols: vec4<u32>, k: u32, end: u32) -> vec4<f32> {
    if k >= end {
        return vec4<f32>();
    }
    let at = cols + k * p.cout;
    return vec4(w[at.x], w[at.y], w[at.z], w[at.w]);
}

// What a thread stages: places in x and columns of w.
struct Lanes {
    a0: Sites,
    a1: Sites,
    b0: vec4<u32>,
    b1: vec4<u32>,
}

fn fetch(thread_slots: ThreadSlots, lanes: Lanes, tap: vec3<u32>, k0: u32, end: u32) -> Stage {
    var stage: Stage;
    if k0 + thread_slots.a0.depth < end {
        stage.a0 = fetch_x(lanes.a0, tap);
        // At the same depth, since THREADS is a multiple of DEPTH.
        if A_VECS > THREADS {
            stage.a1 = fetch_x(lanes.a1, tap);
        }
    }
    stage.b0 = fetch_w(lanes.b0, k0 + thread_slots.b0.depth, end);
    if B_VECS > THREADS {
        stage.b1 = fetch_w(lanes.b1, k0 + thread_slots.b1.depth, end);
    }
    return stage;
}

//#begin main
@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) t: u32) {
//#end
    let job = job(folded(group));
    if job.part >= p.parts {
        return;
    }
    let origin = vec2(job.row_tile * ROWS, job.col_tile * COLS);
    let begin = job.part * p.part;
    let end = min(begin + p.part, p.kernel.x * p.kernel.y * p.group_cin);

    let thread_slots = ThreadSlots(
        along_depth(t, ROW_SLOTS), along_depth(t + THREADS, ROW_SLOTS),
        along_slots(t, COL_SLOTS), along_slots(t + THREADS, COL_SLOTS),
    );
    let channel = vec2(job.group * p.group_cin, job.group * p.group_cout);
    let lanes = Lanes(
        sites(origin.x, thread_slots.a0.slot, channel.x),
        sites(origin.x, thread_slots.a1.slot, channel.x),
        channel.y + elements(origin.y, thread_slots.b0.slot, COL_SLOTS, p.group_cout),
        channel.y + elements(origin.y, thread_slots.b1.slot, COL_SLOTS, p.group_cout),
    );
    // The depth of the thread as (kh, kw, ci).
    let radix = vec2(p.kernel.y, p.group_cin);
    let step = digits(DEPTH, radix);
    var tap = digits(begin + thread_slots.a0.depth, radix);
    var sums: Sums;
    var next = fetch(thread_slots, lanes, tap, begin, end);
    for (var k0 = begin; k0 < end; k0 += DEPTH) {
        stash(thread_slots, next);
        tap = advance(tap, step, radix);
        next = fetch(thread_slots, lanes, tap, k0 + DEPTH, end);
        multiply(&sums, t);
    }
    put(Place(job.part * rows() * p.cout + channel.y), origin, t, sums);
}
