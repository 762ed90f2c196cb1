// The inner product of every tiled kernel: C[rows, cols] += A[rows, depth] · B[depth, cols] out of workgroup memory.
//
// A workgroup owns ROWS×COLS outputs, a thread 4·ROW_VECS × 4·COL_VECS of them in named accumulators (an indexed array may
// stay in memory). Slot s of a tile's side holds the elements s, s + side/4, s + 2·side/4, s + 3·side/4 as one vec4, so that
// threads that are neighbours touch neighbouring addresses at any alignment while the inner loop still reads whole vec4s.
// A kernel that imports this defines `struct Place` and `put_row`.

override ROWS: u32 = 64u;
override COLS: u32 = 64u;
// Depth staged at a time.
override DEPTH: u32 = 16u;
// vec4s of rows and of columns a thread owns: 1 or 2, or 4 of rows with 1 of columns.
override ROW_VECS: u32 = 1u;
override COL_VECS: u32 = 1u;

override ROW_SLOTS: u32 = ROWS / 4u;
override COL_SLOTS: u32 = COLS / 4u;
override ROW_THREADS: u32 = ROW_SLOTS / ROW_VECS;
override COL_THREADS: u32 = COL_SLOTS / COL_VECS;
override THREADS: u32 = ROW_THREADS * COL_THREADS;
// vec4s of a stage of each operand: at most two per thread.
override A_VECS: u32 = ROW_SLOTS * DEPTH;
override B_VECS: u32 = COL_SLOTS * DEPTH;
// One vec4 of padding keeps stores along the depth out of each other's banks.
override A_PITCH: u32 = ROW_SLOTS + 1u;
override B_PITCH: u32 = COL_SLOTS + 1u;
override A_SIZE: u32 = A_PITCH * DEPTH;
override B_SIZE: u32 = B_PITCH * DEPTH;

var<workgroup> a_tile: array<vec4<f32>, A_SIZE>;
var<workgroup> b_tile: array<vec4<f32>, B_SIZE>;

// Where a thread stages a vec4. Threads run along the depth or along the slots, whichever is contiguous in memory.
struct ThreadSlot {
    slot: u32,
    depth: u32,
}

// A depth that no operand has: the thread stages nothing.
const IDLE = 0x40000000u;

fn along_depth(l: u32, slots: u32) -> ThreadSlot {
    if l >= slots * DEPTH {
        return ThreadSlot(0u, IDLE);
    }
    return ThreadSlot(l / DEPTH, l % DEPTH);
}

fn along_slots(l: u32, slots: u32) -> ThreadSlot {
    if l >= slots * DEPTH {
        return ThreadSlot(0u, IDLE);
    }
    return ThreadSlot(l % slots, l / slots);
}

// The four elements of a slot; past the extent its last one, whose product nobody stores.
fn elements(origin: u32, slot: u32, slots: u32, extent: u32) -> vec4<u32> {
    return min(origin + slot + vec4(0u, 1u, 2u, 3u) * slots, vec4(extent - 1u));
}

// What a thread stages: up to two vec4s of each operand.
struct ThreadSlots {
    a0: ThreadSlot,
    a1: ThreadSlot,
    b0: ThreadSlot,
    b1: ThreadSlot,
}

// What a thread has fetched for the next stage.
struct Stage {
    a0: vec4<f32>,
    a1: vec4<f32>,
    b0: vec4<f32>,
    b1: vec4<f32>,
}

fn stash_a(thread_slot: ThreadSlot, v: vec4<f32>) {
    if thread_slot.depth < DEPTH {
        a_tile[thread_slot.depth * A_PITCH + thread_slot.slot] = v;
    }
}

fn stash_b(thread_slot: ThreadSlot, v: vec4<f32>) {
    if thread_slot.depth < DEPTH {
        b_tile[thread_slot.depth * B_PITCH + thread_slot.slot] = v;
    }
}

// Replaces the staged tiles; called by all threads of the workgroup.
fn stash(thread_slots: ThreadSlots, stage: Stage) {
    workgroupBarrier();
    stash_a(thread_slots.a0, stage.a0);
    stash_b(thread_slots.b0, stage.b0);
    if A_VECS > THREADS {
        stash_a(thread_slots.a1, stage.a1);
    }
    if B_VECS > THREADS {
        stash_b(thread_slots.b1, stage.b1);
    }
    workgroupBarrier();
}

struct Block {
    r0: vec4<f32>,
    r1: vec4<f32>,
    r2: vec4<f32>,
    r3: vec4<f32>,
}

struct Sums {
    b00: Block,
    b01: Block,
    b10: Block,
    b11: Block,
    b20: Block,
    b30: Block,
}

fn rank1(c: Block, a: vec4<f32>, b: vec4<f32>) -> Block {
    return Block(fma(vec4(a.x), b, c.r0), fma(vec4(a.y), b, c.r1), fma(vec4(a.z), b, c.r2), fma(vec4(a.w), b, c.r3));
}

// The vec4s of A for the rows of a thread.
struct Rows {
    a0: vec4<f32>,
    a1: vec4<f32>,
    a2: vec4<f32>,
    a3: vec4<f32>,
}

// The rows of thread `t` at depth `k`.
//#begin rows
fn staged_rows(k: u32, t: u32) -> Rows {
    let at = k * A_PITCH + t / COL_THREADS;
    var rows: Rows;
    rows.a0 = a_tile[at];
    if ROW_VECS > 1u {
        rows.a1 = a_tile[at + ROW_THREADS];
    }
    if ROW_VECS > 2u {
        rows.a2 = a_tile[at + 2u * ROW_THREADS];
        rows.a3 = a_tile[at + 3u * ROW_THREADS];
    }
    return rows;
}
//#end

// Adds the product of the staged tiles to the sums of thread `t`.
fn multiply(sums: ptr<function, Sums>, t: u32) {
    let col = t % COL_THREADS;
    for (var k = 0u; k < DEPTH; k++) {
        let rows = staged_rows(k, t);
        let b0 = b_tile[k * B_PITCH + col];
        (*sums).b00 = rank1((*sums).b00, rows.a0, b0);
        if COL_VECS == 2u {
            let b1 = b_tile[k * B_PITCH + col + COL_THREADS];
            (*sums).b01 = rank1((*sums).b01, rows.a0, b1);
            if ROW_VECS == 2u {
                (*sums).b11 = rank1((*sums).b11, rows.a1, b1);
            }
        }
        if ROW_VECS > 1u {
            (*sums).b10 = rank1((*sums).b10, rows.a1, b0);
        }
        if ROW_VECS > 2u {
            (*sums).b20 = rank1((*sums).b20, rows.a2, b0);
            (*sums).b30 = rank1((*sums).b30, rows.a3, b0);
        }
    }
}

fn put_block(place: Place, row: u32, col: u32, block: Block) {
    put_row(place, row, col, block.r0);
    put_row(place, row + ROW_SLOTS, col, block.r1);
    put_row(place, row + 2u * ROW_SLOTS, col, block.r2);
    put_row(place, row + 3u * ROW_SLOTS, col, block.r3);
}

// Stores the sums of thread `t`; `put_row(place, row, col, v)` writes v to the columns `spread(col)` of a row of C.
fn put(place: Place, origin: vec2<u32>, t: u32, sums: Sums) {
    let row = origin.x + t / COL_THREADS;
    let col = origin.y + t % COL_THREADS;
    put_block(place, row, col, sums.b00);
    if COL_VECS == 2u {
        put_block(place, row, col + COL_THREADS, sums.b01);
    }
    if ROW_VECS > 2u {
        put_block(place, row + 2u * ROW_THREADS, col, sums.b20);
        put_block(place, row + 3u * ROW_THREADS, col, sums.b30);
    }
    if ROW_VECS > 1u {
        put_block(place, row + ROW_THREADS, col, sums.b10);
        if COL_VECS == 2u {
            put_block(place, row + ROW_THREADS, col + COL_THREADS, sums.b11);
        }
    }
}

// The columns of a vec4 of C.
fn spread(col: u32) -> vec4<u32> {
    return col + vec4(0u, 1u, 2u, 3u) * COL_SLOTS;
}
