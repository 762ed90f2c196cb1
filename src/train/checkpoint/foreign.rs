//! Tensors of safetensors files that other programs wrote.

use super::{NamedTensor, Values};
use crate::{Error, Result};
use safetensors::{Dtype, SafeTensors};
use std::collections::BTreeMap;
use std::path::Path;

/// What a file of another program holds.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Foreign {
    /// Tensors of floats in any precision, as 32-bit floats, sorted by name.
    pub tensors: Vec<NamedTensor>,
    /// Names of the tensors that hold no floats, such as PyTorch's `num_batches_tracked`.
    pub left_out: Vec<String>,
    /// Text by key.
    pub meta: BTreeMap<String, String>,
}

/// Reads any safetensors file: F32, F16, BF16 and F64 become 32-bit floats.
///
/// # Errors
/// [`Error::Io`]; [`Error::Checkpoint`] for a file that is damaged or no safetensors file, one without floats, and one
/// with a number that is not finite in 32 bits.
pub fn read_foreign(path: &Path) -> Result<Foreign> {
    let bytes = std::fs::read(path).map_err(Error::io(path, "reading the tensors"))?;
    parse(&bytes).map_err(|reason| Error::checkpoint(path, reason))
}

fn parse(bytes: &[u8]) -> Result<Foreign, String> {
    let file = SafeTensors::deserialize(bytes)
        .map_err(|e| format!("is cut short, damaged, or no safetensors file ({e}); write it again"))?;
    let (_, metadata) = SafeTensors::read_metadata(bytes).map_err(|e| e.to_string())?;
    let meta = metadata.metadata().clone().unwrap_or_default().into_iter().collect();
    let mut found = Foreign { meta, ..Foreign::default() };
    for (name, view) in file.tensors() {
        let Some(data) = floats(view.dtype(), view.data()) else {
            found.left_out.push(name);
            continue;
        };
        if let Some(at) = data.iter().position(|v| !v.is_finite()) {
            return Err(format!("tensor {name:?} holds {} at {at}, which no network can go on from", data[at]));
        }
        found.tensors.push(NamedTensor { name, shape: view.shape().to_vec(), data: Values::F32(data) });
    }
    if found.tensors.is_empty() {
        return Err("holds no tensor of floats (F32, F16, BF16 or F64)".into());
    }
    found.tensors.sort_by(|a, b| a.name.cmp(&b.name));
    found.left_out.sort();
    Ok(found)
}

/// Little-endian numbers as 32-bit floats; `None` for what are no floats.
fn floats(kind: Dtype, bytes: &[u8]) -> Option<Vec<f32>> {
    let short = |read: fn(u16) -> f32| {
        bytes.chunks_exact(2).map(|b| read(u16::from_le_bytes([b[0], b[1]]))).collect::<Vec<f32>>()
    };
    match kind {
        Dtype::F32 => Some(bytemuck::pod_collect_to_vec(bytes)),
        Dtype::F64 => Some(bytemuck::pod_collect_to_vec::<u8, f64>(bytes).into_iter().map(|v| v as f32).collect()),
        Dtype::BF16 => Some(short(|word| f32::from_bits(u32::from(word) << 16))),
        Dtype::F16 => Some(short(half)),
        _ => None,
    }
}

/// An IEEE half as a float; exact.
fn half(word: u16) -> f32 {
    let (sign, power, digits) = (word >> 15, word >> 10 & 0x1F, word & 0x3FF);
    let size = match power {
        0 => f32::from(digits) * 2f32.powi(-24),
        0x1F if digits == 0 => f32::INFINITY,
        0x1F => f32::NAN,
        _ => f32::from_bits((u32::from(power) + 112) << 23 | u32::from(digits) << 13),
    };
    if sign == 1 { -size } else { size }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(json: &str, data: &[u8]) -> Vec<u8> {
        [&(json.len() as u64).to_le_bytes(), json.as_bytes(), data].concat()
    }

    #[test]
    fn halves() {
        for (word, value) in [
            (0x0000, 0.0),
            (0x3C00, 1.0),
            (0xC000, -2.0),
            (0x7BFF, 65504.0),
            (0x0001, 2f32.powi(-24)),
            (0x03FF, 1023.0 * 2f32.powi(-24)),
            (0x0400, 2f32.powi(-14)),
            (0x3555, 0.333_251_95),
            (0xFC00, f32::NEG_INFINITY),
        ] {
            assert_eq!(half(word), value, "{word:04x}");
        }
        assert!(half(0x7E00).is_nan() && half(0x8000).is_sign_negative());
    }

    #[test]
    fn every_precision_arrives_and_what_is_no_float_is_told() {
        let json = r#"{"b":{"dtype":"BF16","shape":[1],"data_offsets":[0,2]},"h":{"dtype":"F16","shape":[1],"data_offsets":[2,4]},
            "f":{"dtype":"F32","shape":[1],"data_offsets":[4,8]},"d":{"dtype":"F64","shape":[1,1],"data_offsets":[8,16]},
            "n":{"dtype":"I64","shape":[],"data_offsets":[16,24]}}"#;
        let mut data = vec![0xC0, 0x3F, 0x00, 0x3E];
        data.extend(1.5f32.to_le_bytes());
        data.extend(1.5f64.to_le_bytes());
        data.extend(7i64.to_le_bytes());
        let found = parse(&file(json, &data)).unwrap();
        let names: Vec<_> = found.tensors.iter().map(|t| t.name.as_str()).collect();
        assert_eq!((names.as_slice(), found.left_out.as_slice()), (&["b", "d", "f", "h"][..], &["n".to_string()][..]));
        assert!(found.tensors.iter().all(|t| t.data == Values::F32(vec![1.5])), "{found:?}");
        assert_eq!(found.tensors[1].shape, [1, 1]);
    }

    #[test]
    fn what_is_of_no_use_is_refused() {
        let one = |dtype: &str, data: &[u8]| {
            let json = format!(r#"{{"w":{{"dtype":"{dtype}","shape":[1],"data_offsets":[0,{}]}}}}"#, data.len());
            parse(&file(&json, data)).unwrap_err()
        };
        assert_eq!(one("I64", &[0; 8]), "holds no tensor of floats (F32, F16, BF16 or F64)");
        let sentence = "tensor \"w\" holds inf at 0, which no network can go on from";
        assert_eq!(one("F16", &[0x00, 0x7C]), sentence);
        assert_eq!(one("F64", &1e300f64.to_le_bytes()), sentence);
        assert!(one("F32", &f32::NAN.to_le_bytes()).contains("holds NaN at 0"));
        assert!(parse(b"PK").unwrap_err().starts_with("is cut short, damaged, or no safetensors file"));
    }
}
