// A real index as a row of a table: cut to a whole number and clamped to 0..rows; NaN is row 0.

fn row_of(index: f32, rows: u32) -> u32 {
    return min(u32(select(0.0, min(index, 4.2e9), index > 0.0)), rows - 1u);
}
