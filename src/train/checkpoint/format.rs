//! The bytes of a checkpoint: safetensors (header length as u64, JSON header, numbers), little-endian, as every
//! machine that wgpu reaches. Tensors stand sorted by name, so equal contents make equal files.
//!
//! Reading goes through the safetensors crate; writing is done here because the crate takes its metadata from a hash
//! map (equal contents, different bytes).

use super::{Checkpoint, NamedTensor, Values};
use safetensors::{Dtype, SafeTensors};
use serde_json::{Map, Value, json};
use std::io::Write;

/// Metadata key: version of the layout, in every file that this program wrote.
pub const VERSION_KEY: &str = "danskin.checkpoint";
const VERSION: &str = "1";
/// Metadata key: CRC-32C of [`checksum`] as eight hexadecimal digits.
const CRC_KEY: &str = "danskin.crc32c";
const RESERVED: &str = "danskin.";

/// The length and the JSON header, padded to a multiple of 8 bytes; or what is wrong with the checkpoint.
pub(super) fn header(checkpoint: &Checkpoint) -> Result<Vec<u8>, String> {
    if let Some(key) = checkpoint.meta.keys().find(|k| k.starts_with(RESERVED)) {
        return Err(format!("metadata key {key:?} belongs to the format; name it without {RESERVED:?}"));
    }
    let mut meta: Map<String, Value> = checkpoint.meta.iter().map(|(k, v)| (k.clone(), json!(v))).collect();
    meta.insert(VERSION_KEY.into(), json!(VERSION));
    meta.insert(CRC_KEY.into(), json!(format!("{:08x}", checksum(checkpoint))));
    let mut header = Map::from_iter([("__metadata__".to_string(), Value::Object(meta))]);
    let mut end = 0;
    for tensor in sorted(checkpoint) {
        let elements = tensor.shape.iter().try_fold(1_usize, |n, d| n.checked_mul(*d));
        if elements != Some(tensor.data.len()) {
            let (name, shape, len) = (&tensor.name, &tensor.shape, tensor.data.len());
            return Err(format!("tensor {name:?} has shape {shape:?} and {len} numbers"));
        }
        let start = end;
        end += tensor.data.as_bytes().len();
        let entry = json!({ "dtype": dtype(&tensor.data), "shape": tensor.shape, "data_offsets": [start, end] });
        if tensor.name == "__metadata__" || header.insert(tensor.name.clone(), entry).is_some() {
            return Err(format!("tensor name {:?} is taken already", tensor.name));
        }
    }
    let mut json = Value::Object(header).to_string().into_bytes();
    json.resize(json.len().next_multiple_of(8), b' ');
    Ok([&(json.len() as u64).to_le_bytes(), json.as_slice()].concat())
}

/// The header and the numbers.
pub(super) fn write(out: &mut impl Write, header: &[u8], checkpoint: &Checkpoint) -> std::io::Result<()> {
    out.write_all(header)?;
    sorted(checkpoint).iter().try_for_each(|tensor| out.write_all(tensor.data.as_bytes()))
}

/// The checkpoint in a file's bytes, or what is wrong with them.
pub(super) fn parse(bytes: &[u8]) -> Result<Checkpoint, String> {
    let cut_short = |e| format!("is cut short, damaged, or no safetensors file ({e}); use an older checkpoint");
    let (_, metadata) = SafeTensors::read_metadata(bytes).map_err(cut_short)?;
    let file = SafeTensors::deserialize(bytes).map_err(cut_short)?;
    let mut meta: std::collections::BTreeMap<_, _> =
        metadata.metadata().clone().unwrap_or_default().into_iter().collect();
    match meta.remove(VERSION_KEY) {
        Some(version) if version == VERSION => {}
        Some(version) => {
            return Err(format!("has layout {version:?} and this program reads {VERSION:?}; use a newer program"));
        }
        None => return Err("is a safetensors file that Danskin did not write".into()),
    }
    let stored = meta.remove(CRC_KEY);
    let mut checkpoint = Checkpoint { tensors: Vec::with_capacity(file.len()), meta };
    for (name, view) in file.tensors() {
        let data = match view.dtype() {
            Dtype::F32 => Values::F32(bytemuck::pod_collect_to_vec(view.data())),
            Dtype::U32 => Values::U32(bytemuck::pod_collect_to_vec(view.data())),
            other => return Err(format!("holds tensor {name:?} of type {other:?}; only F32 and U32 are read")),
        };
        checkpoint.tensors.push(NamedTensor { name, shape: view.shape().to_vec(), data });
    }
    checkpoint.tensors.sort_by(|a, b| a.name.cmp(&b.name));
    let found = format!("{:08x}", checksum(&checkpoint));
    match stored {
        Some(stored) if stored == found => Ok(checkpoint),
        _ => Err("is damaged: its numbers do not match its checksum; use an older checkpoint".into()),
    }
}

/// CRC-32C over everything: metadata, names, types, shapes, numbers. Each text is preceded by its length, so that
/// nothing can move from one to its neighbour unnoticed.
fn checksum(checkpoint: &Checkpoint) -> u32 {
    let mut crc = 0;
    let mut add = |bytes: &[u8]| {
        crc = crc32c::crc32c_append(crc, &(bytes.len() as u64).to_le_bytes());
        crc = crc32c::crc32c_append(crc, bytes);
    };
    for (key, value) in &checkpoint.meta {
        add(key.as_bytes());
        add(value.as_bytes());
    }
    for tensor in sorted(checkpoint) {
        add(tensor.name.as_bytes());
        add(dtype(&tensor.data).as_bytes());
        add(format!("{:?}", tensor.shape).as_bytes());
        add(tensor.data.as_bytes());
    }
    crc
}

fn sorted(checkpoint: &Checkpoint) -> Vec<&NamedTensor> {
    let mut tensors: Vec<_> = checkpoint.tensors.iter().collect();
    tensors.sort_by(|a, b| a.name.cmp(&b.name));
    tensors
}

fn dtype(values: &Values) -> &'static str {
    match values {
        Values::F32(_) => "F32",
        Values::U32(_) => "U32",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Error, ErrorKind};

    /// Accepts so many bytes and then has no room.
    struct SmallDisk(usize);

    impl Write for SmallDisk {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            if self.0 == 0 {
                return Err(Error::from(ErrorKind::StorageFull));
            }
            let n = bytes.len().min(self.0);
            self.0 -= n;
            Ok(n)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_full_disk_is_reported_at_every_byte() {
        let tensor = NamedTensor { name: "w".into(), shape: vec![3], data: Values::U32(vec![1, 2, 3]) };
        let checkpoint = Checkpoint { tensors: vec![tensor], ..Checkpoint::default() };
        let header = header(&checkpoint).unwrap();
        let size = header.len() + 12;
        for room in 0..size {
            let failure = write(&mut SmallDisk(room), &header, &checkpoint).unwrap_err();
            assert_eq!(failure.kind(), ErrorKind::StorageFull, "{room} of {size}");
        }
        write(&mut SmallDisk(size), &header, &checkpoint).unwrap();
    }
}
