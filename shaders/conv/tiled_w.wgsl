// w = the weight gradient of y = conv(x, w), as an implicit matrix product per group: rows are taps (kh,kw,ci), the depth is all
// outputs (n,oy,ox), columns are co.
//
// The depth is long and the matrix small, so it is split: part s goes to w[s] and `sum_splits` adds the parts, in order.
// A thread stages up to eight taps at one or two outputs; it decomposes the taps once and walks the outputs with carries.

#import shared/index.wgsl
#import shared/conv.wgsl
#import shared/sites.wgsl
#import shared/tile.wgsl
#import shared/after.wgsl

alias V = f32;

@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read> y: array<f32>;
@group(0) @binding(3) var<storage, read_write> w: array<f32>;

struct Place {
    // Address of the group's first channel in this part's output.
    base: u32,
}

fn rows() -> u32 {
    return p.kernel.x * p.kernel.y * p.group_cin;
}

fn put_row(place: Place, row: u32, col: u32, v: vec4<f32>) {
    if row >= rows() {
        return;
    }
    let at = place.base + row * p.cout;
    let cols = spread(col);
    if cols.x < p.group_cout { w[at + cols.x] = after(v.x, at + cols.x); }
    if cols.y < p.group_cout { w[at + cols.y] = after(v.y, at + cols.y); }
    if cols.z < p.group_cout { w[at + cols.z] = after(v.z, at + cols.z); }
    if cols.w < p.group_cout { w[at + cols.w] = after(v.w, at + cols.w); }
}

// The places of x that four taps meet at output (0, 0).
fn sites(origin: u32, slot: u32, channel: u32) -> Sites {
    let at = digits4(elements(origin, slot, ROW_SLOTS, rows()), vec2(p.kernel.y, p.group_cin));
    let iy = vec4<i32>(at.outer) - i32(p.pad.x);
    let ix = vec4<i32>(at.middle) - i32(p.pad.y);
    let base = (iy * i32(p.input.y) + ix) * i32(p.cin) + vec4<i32>(at.inner + channel);
    return Sites(base, iy, ix);
}

// `pixel` is (n, oy, ox).
fn fetch_x(sites: Sites, pixel: vec3<u32>) -> vec4<f32> {
    let by = vec2<i32>(pixel.yz * p.stride);
    let ok = inside(sites, by, p.input);
    let shift = ((i32(pixel.x * p.input.x) + by.x) * i32(p.input.y) + by.y) * i32(p.cin);
    let at = select(vec4(0), sites.base + shift, ok);
    return select(vec4<f32>(), vec4(x[at.x], x[at.y], x[at.z], x[at.w]), ok);
}

fn fetch_y(cols: vec4<u32>, k: u32, end: u32) -> vec4<f32> {
    if k >= end {
        return vec4<f32>();
    }
    let at = cols + k * p.cout;
    return vec4(y[at.x], y[at.y], y[at.z], y[at.w]);
}

// What a thread stages: places in x and columns of y.
struct Lanes {
    a0: Sites,
    a1: Sites,
    b0: vec4<u32>,
    b1: vec4<u32>,
}

// The outputs (n, oy, ox) at which a thread stages its vec4s of x.
struct Pixels {
    a0: vec3<u32>,
    a1: vec3<u32>,
}

fn fetch(thread_slots: ThreadSlots, lanes: Lanes, pixels: Pixels, k0: u32, end: u32) -> Stage {
    var stage: Stage;
    if k0 + thread_slots.a0.depth < end {
        stage.a0 = fetch_x(lanes.a0, pixels.a0);
    }
    if A_VECS > THREADS && k0 + thread_slots.a1.depth < end {
        stage.a1 = fetch_x(lanes.a1, pixels.a1);
    }
    stage.b0 = fetch_y(lanes.b0, k0 + thread_slots.b0.depth, end);
    if B_VECS > THREADS {
        stage.b1 = fetch_y(lanes.b1, k0 + thread_slots.b1.depth, end);
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
    let end = min(begin + p.part, p.n * p.output.x * p.output.y);

    let thread_slots = ThreadSlots(
        along_slots(t, ROW_SLOTS), along_slots(t + THREADS, ROW_SLOTS),
        along_slots(t, COL_SLOTS), along_slots(t + THREADS, COL_SLOTS),
    );
    let channel = vec2(job.group * p.group_cin, job.group * p.group_cout);
    let lanes = Lanes(
        sites(origin.x, thread_slots.a0.slot, channel.x),
        sites(origin.x, thread_slots.a1.slot, channel.x),
        channel.y + elements(origin.y, thread_slots.b0.slot, COL_SLOTS, p.group_cout),
        channel.y + elements(origin.y, thread_slots.b1.slot, COL_SLOTS, p.group_cout),
    );
    let step = digits(DEPTH, p.output);
    var pixels = Pixels(digits(begin + thread_slots.a0.depth, p.output), digits(begin + thread_slots.a1.depth, p.output));
    var sums: Sums;
    var next = fetch(thread_slots, lanes, pixels, begin, end);
    for (var k0 = begin; k0 < end; k0 += DEPTH) {
        stash(thread_slots, next);
        pixels.a0 = advance(pixels.a0, step, p.output);
        if A_VECS > THREADS {
            pixels.a1 = advance(pixels.a1, step, p.output);
        }
        next = fetch(thread_slots, lanes, pixels, k0 + DEPTH, end);
        multiply(&sums, t);
    }
    put(Place(job.part * rows() * p.cout + channel.y), origin, t, sums);
}
