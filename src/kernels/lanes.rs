//! The tiled kernels for devices whose subgroups are always eight lanes wide, which today are software ones.
//!
//! There a load from workgroup memory is a loop over the lanes, ten times as dear as a multiplication. Eight neighbouring
//! threads of a tile share their rows, so each loads one of the eight elements of A and hands it to the others.

use std::borrow::Cow;

/// Lanes of a subgroup that the variant is written for.
const LANES: u32 = 8;

/// Thread numbers by subgroup, so that a subgroup is eight neighbours whatever order the device numbers invocations in.
const MAIN: &str = "\
@compute @workgroup_size(THREADS)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(subgroup_id) subgroup: u32,
    @builtin(subgroup_invocation_id) lane: u32,
) {
    let t = subgroup * 8u + lane;
";

const ROWS: &str = "\
fn shared4(own: f32) -> vec4<f32> {
    return vec4(
        subgroupBroadcast(own, 0u), subgroupBroadcast(own, 1u), subgroupBroadcast(own, 2u), subgroupBroadcast(own, 3u),
    );
}

fn shared8(own: f32) -> vec4<f32> {
    return vec4(
        subgroupBroadcast(own, 4u), subgroupBroadcast(own, 5u), subgroupBroadcast(own, 6u), subgroupBroadcast(own, 7u),
    );
}

fn staged_rows(k: u32, t: u32) -> Rows {
    let at = k * A_PITCH + t / COL_THREADS;
    var rows: Rows;
    if COL_THREADS == 4u && ROW_VECS == 1u {
        // Two rows of four threads.
        let own = a_tile[at][t & 3u];
        rows.a0 = select(shared4(own), shared8(own), (t & 4u) != 0u);
        return rows;
    }
    if COL_THREADS % 8u != 0u {
        rows.a0 = a_tile[at];
        if ROW_VECS > 1u {
            rows.a1 = a_tile[at + ROW_THREADS];
        }
        return rows;
    }
    let slot = select(0u, ROW_THREADS, ROW_VECS > 1u && (t & 4u) != 0u);
    let own = a_tile[at + slot][t & 3u];
    rows.a0 = shared4(own);
    if ROW_VECS > 1u {
        rows.a1 = shared8(own);
    }
    if ROW_VECS > 2u {
        let more = a_tile[at + slot + 2u * ROW_THREADS][t & 3u];
        rows.a2 = shared4(more);
        rows.a3 = shared8(more);
    }
    return rows;
}
";

/// The text of a kernel for a device whose subgroups have `subgroups` = [least, most] lanes.
pub fn for_lanes(text: &str, subgroups: Option<[u32; 2]>) -> Cow<'_, str> {
    let blocks = [("//#begin main\n", MAIN), ("//#begin rows\n", ROWS)];
    if subgroups != Some([LANES; 2]) || !blocks.iter().all(|(begin, _)| text.contains(begin)) {
        return Cow::Borrowed(text);
    }
    let mut text = text.to_string();
    for (begin, body) in blocks {
        if let Some(from) = text.find(begin).map(|at| at + begin.len())
            && let Some(len) = text[from..].find("//#end")
        {
            text.replace_range(from..from + len, body);
        }
    }
    Cow::Owned(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::MODULES;

    #[test]
    fn tiled_kernels_have_a_variant_and_others_none() {
        for module in MODULES {
            let changed = for_lanes(module.text, Some([8, 8])) != module.text;
            assert_eq!(changed, module.path.contains("tiled"), "{}", module.path);
            for other in [None, Some([4, 8]), Some([32, 32])] {
                assert_eq!(for_lanes(module.text, other), module.text, "{}", module.path);
            }
        }
    }
}
