// x = transposed conv(y, w) as implicit matrix products, one per group and phase.
//
// The phases (shared/phase.wgsl) are numbered as further groups: rows are the pixels (n,u,v) of one, the depth is its taps
// (j,i,co), columns are ci. A thread stages one depth of up to eight rows and eight columns; it decomposes the rows once
// and walks its depth with carries. Parts of the depth go to x[part] and `sum_splits` adds them.

#import shared/index.wgsl
#import shared/conv.wgsl
#import shared/phase.wgsl
#import shared/sites.wgsl
#import shared/tile.wgsl
#import shared/after.wgsl

alias V = f32;

@group(0) @binding(1) var<storage, read> y: array<f32>;
@group(0) @binding(2) var<storage, read> w: array<f32>;
@group(0) @binding(3) var<storage, read_write> x: array<f32>;

struct Place {
    // Address of the group's first channel in this part's output.
    base: u32,
    phase: Phase,
}

fn rows(phase: Phase) -> u32 {
    return p.n * phase.extent.x * phase.extent.y;
}

fn put_row(place: Place, row: u32, col: u32, v: vec4<f32>) {
    if row >= rows(place.phase) {
        return;
    }
    let at = digits(row, place.phase.extent);
    let pixel = (place.phase.first + at.yz) * p.stride + place.phase.at - p.pad;
    let to = place.base + ((at.x * p.input.x + pixel.x) * p.input.y + pixel.y) * p.cin;
    let cols = spread(col);
    if cols.x < p.group_cin { x[to + cols.x] = after(v.x, to + cols.x); }
    if cols.y < p.group_cin { x[to + cols.y] = after(v.y, to + cols.y); }
    if cols.z < p.group_cin { x[to + cols.z] = after(v.z, to + cols.z); }
    if cols.w < p.group_cin { x[to + cols.w] = after(v.w, to + cols.w); }
}

// The places (u, v) of y under four rows.
fn sites(phase: Phase, origin: u32, slot: u32, channel: u32) -> Sites {
    let at = digits4(elements(origin, slot, ROW_SLOTS, rows(phase)), phase.extent);
    let u = vec4<i32>(at.middle + phase.first.x);
    let v = vec4<i32>(at.inner + phase.first.y);
    let row = vec4<i32>(at.outer * p.output.x) + u;
    return Sites((row * i32(p.output.y) + v) * i32(p.cout) + i32(channel), u, v);
}

fn fetch_y(sites: Sites, tap: vec3<u32>) -> vec4<f32> {
    let by = vec3<i32>(tap);
    let ok = inside(sites, -by.xy, p.output);
    let at = select(vec4(0), sites.base - (by.x * i32(p.output.y) + by.y) * i32(p.cout) + by.z, ok);
    return select(vec4<f32>(), vec4(y[at.x], y[at.y], y[at.z], y[at.w]), ok);
}

// `cols` are addresses of channels ci at the first tap of the phase.
fn fetch_w(cols: vec4<u32>, tap: vec3<u32>) -> vec4<f32> {
    let kernel = tap.xy * p.stride;
    let at = cols + (kernel.x * p.kernel.y + kernel.y) * p.group_cin * p.cout + tap.z;
    return vec4(w[at.x], w[at.y], w[at.z], w[at.w]);
}

// What a thread stages: places in y and columns of w.
struct Lanes {
    a0: Sites,
    a1: Sites,
    b0: vec4<u32>,
    b1: vec4<u32>,
}

// THREADS is a multiple of DEPTH, so that all a thread stages has one depth.
fn fetch(thread_slots: ThreadSlots, lanes: Lanes, tap: vec3<u32>, k0: u32, end: u32) -> Stage {
    var stage: Stage;
    if k0 + thread_slots.a0.depth < end {
        stage.a0 = fetch_y(lanes.a0, tap);
        if A_VECS > THREADS {
            stage.a1 = fetch_y(lanes.a1, tap);
        }
    }
    if k0 + thread_slots.b0.depth < end {
        stage.b0 = fetch_w(lanes.b0, tap);
        if B_VECS > THREADS {
            stage.b1 = fetch_w(lanes.b1, tap);
        }
    }
    return stage;
}

fn columns(phase: Phase, origin: u32, slot: u32, channel: u32) -> vec4<u32> {
    let cols = elements(origin, slot, COL_SLOTS, p.group_cin);
    return ((phase.at.x * p.kernel.y + phase.at.y) * p.group_cin + cols) * p.cout + channel;
}

//#begin main
@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) t: u32) {
//#end
    let job = job(folded(group));
    let phases = p.stride.x * p.stride.y;
    let part = job.part / phases;
    let phase = phase(job.part % phases);
    let origin = vec2(job.row_tile * ROWS, job.col_tile * COLS);
    // Phases differ by a row or column of pixels: the last tile may be empty.
    if part >= p.parts || origin.x >= rows(phase) {
        return;
    }
    let begin = part * p.part;
    let end = min(begin + p.part, phase.taps.x * phase.taps.y * p.group_cout);

    let thread_slots = ThreadSlots(
        along_depth(t, ROW_SLOTS), along_depth(t + THREADS, ROW_SLOTS),
        along_depth(t, COL_SLOTS), along_depth(t + THREADS, COL_SLOTS),
    );
    let channel = vec2(job.group * p.group_cin, job.group * p.group_cout);
    let lanes = Lanes(
        sites(phase, origin.x, thread_slots.a0.slot, channel.y),
        sites(phase, origin.x, thread_slots.a1.slot, channel.y),
        columns(phase, origin.y, thread_slots.b0.slot, channel.y),
        columns(phase, origin.y, thread_slots.b1.slot, channel.y),
    );
    // The depth of the thread as (j, i, co); a phase without taps has none and stores zeros.
    let radix = max(vec2(phase.taps.y, p.group_cout), vec2(1u));
    let step = digits(DEPTH, radix);
    var tap = digits(begin + min(thread_slots.a0.depth, thread_slots.b0.depth), radix);
    var sums: Sums;
    var next = fetch(thread_slots, lanes, tap, begin, end);
    for (var k0 = begin; k0 < end; k0 += DEPTH) {
        stash(thread_slots, next);
        tap = advance(tap, step, radix);
        next = fetch(thread_slots, lanes, tap, k0 + DEPTH, end);
        multiply(&sums, t);
    }
    let len = p.n * p.input.x * p.input.y * p.cin;
    put(Place(part * len + channel.x, phase), origin, t, sums);
}
