//! Checksums of data sets (CRC-32C), each going on from the one before.

/// Over a number.
pub(super) fn word(crc: u32, value: u64) -> u32 {
    crc32c::crc32c_append(crc, &value.to_le_bytes())
}

/// Over a text and its end.
pub(super) fn text(crc: u32, text: &str) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c_append(crc, text.as_bytes()), &[0])
}

/// Over labels, or over there being none.
pub(super) fn labels(crc: u32, labels: Option<&[u32]>) -> u32 {
    let Some(labels) = labels else { return word(crc, u64::MAX) };
    labels.iter().fold(crc, |crc, label| crc32c::crc32c_append(crc, &label.to_le_bytes()))
}
