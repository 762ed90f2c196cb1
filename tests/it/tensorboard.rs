//! TensorBoard files, read by an independent reader: frames, checksums and protocol buffers taken apart field by field,
//! and, where `DANSKIN_ORACLE_PYTHON` names a Python with tensorboard and pillow, TensorBoard's own reader.

use danskin::train::tensorboard::{EventWriter, Picture};
use std::path::Path;
use std::process::Command;

/// A 3x2 RGB picture.
fn png() -> Vec<u8> {
    let mut bytes = std::io::Cursor::new(Vec::new());
    let picture = image::RgbImage::from_fn(3, 2, |x, y| image::Rgb([80 * x as u8, 100 * y as u8, 7]));
    picture.write_to(&mut bytes, image::ImageFormat::Png).unwrap();
    bytes.into_inner()
}

/// Steps 0 to 40 by tens, a picture at 20, then a run that went back to 20 and wrote other values.
fn write(dir: &Path) {
    let png = png();
    let mut first = EventWriter::create(dir).unwrap();
    for step in [0, 10, 20, 30, 40] {
        first.scalars(step, [("loss/D", step as f64 + 0.5), ("loss/G", f64::NAN)]).unwrap();
    }
    first.image(20, "samples", Picture { png: &png, height: 2, width: 3, channels: 3 }).unwrap();
    let mut second = EventWriter::resume(dir, 20).unwrap();
    second.scalars(30, [("loss/D", -3.0)]).unwrap();
    second.scalars(1 << 40, [("loss/D", 1e30)]).unwrap();
}

/// A decoded field: number, and the value as an integer or as bytes.
#[derive(Clone, Debug, PartialEq)]
enum Field {
    Integer(u64),
    Bytes(Vec<u8>),
}

fn varint(bytes: &mut &[u8]) -> u64 {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let byte = bytes[0];
        *bytes = &bytes[1..];
        value |= u64::from(byte & 0x7F) << shift;
        if byte < 0x80 {
            return value;
        }
    }
    panic!("a varint of more than ten bytes");
}

fn fields(mut bytes: &[u8]) -> Vec<(u64, Field)> {
    let mut found = Vec::new();
    while !bytes.is_empty() {
        let key = varint(&mut bytes);
        let length = match key & 7 {
            0 => {
                found.push((key >> 3, Field::Integer(varint(&mut bytes))));
                continue;
            }
            1 => 8,
            2 => varint(&mut bytes) as usize,
            5 => 4,
            other => panic!("wire type {other}"),
        };
        found.push((key >> 3, Field::Bytes(bytes[..length].to_vec())));
        bytes = &bytes[length..];
    }
    found
}

fn get(fields: &[(u64, Field)], number: u64) -> Field {
    fields.iter().find(|(n, _)| *n == number).unwrap_or_else(|| panic!("no field {number} in {fields:?}")).1.clone()
}

fn message(fields: &[(u64, Field)], number: u64) -> Vec<(u64, Field)> {
    match get(fields, number) {
        Field::Bytes(bytes) => self::fields(&bytes),
        other => panic!("{other:?}"),
    }
}

/// The events of a file; bitwise CRC-32C, written from the definition, checks the frames.
fn events(path: &Path) -> Vec<Vec<(u64, Field)>> {
    let masked = |bytes: &[u8]| {
        let crc = !bytes.iter().fold(!0_u32, |crc, byte| {
            (0..8).fold(crc ^ u32::from(*byte), |c, _| if c & 1 == 1 { c >> 1 ^ 0x82F6_3B78 } else { c >> 1 })
        });
        crc.rotate_right(15).wrapping_add(0xA282_EAD8)
    };
    let file = std::fs::read(path).unwrap();
    let mut rest = file.as_slice();
    let mut found = Vec::new();
    while !rest.is_empty() {
        let length = u64::from_le_bytes(rest[..8].try_into().unwrap()) as usize;
        assert_eq!(rest[8..12], masked(&rest[..8]).to_le_bytes());
        let payload = &rest[12..12 + length];
        assert_eq!(rest[12 + length..16 + length], masked(payload).to_le_bytes());
        found.push(fields(payload));
        rest = &rest[16 + length..];
    }
    found
}

#[test]
fn files_hold_what_was_written() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path());
    let mut paths: Vec<_> = std::fs::read_dir(dir.path()).unwrap().map(|e| e.unwrap().path()).collect();
    paths.sort();
    assert_eq!(paths.len(), 2);
    assert!(paths.iter().all(|p| p.file_name().unwrap().to_str().unwrap().starts_with("events.out.tfevents.")));

    let first = events(&paths[0]);
    assert_eq!(first.len(), 7);
    assert_eq!(get(&first[0], 3), Field::Bytes(b"brain.Event:2".to_vec()));
    assert_eq!(get(&first[4], 2), Field::Integer(30));
    let value = message(&message(&first[4], 5), 1);
    assert_eq!(get(&value, 1), Field::Bytes(b"loss/D".to_vec()));
    assert_eq!(get(&value, 2), Field::Bytes(30.5_f32.to_le_bytes().to_vec()));
    let picture = message(&message(&message(&first[6], 5), 1), 4);
    assert_eq!([1, 2, 3].map(|n| get(&picture, n)), [2, 3, 3].map(Field::Integer));
    assert_eq!(get(&picture, 4), Field::Bytes(png()));

    let second = events(&paths[1]);
    assert_eq!(get(&second[1], 2), Field::Integer(21));
    assert_eq!(message(&second[1], 7), [(1, Field::Integer(1))], "a session starts after step 20");
    assert_eq!(get(&second[3], 2), Field::Integer(1 << 40));
}

#[test]
fn tensorboard_reads_what_was_written() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path());
    let Some(python) = std::env::var_os("DANSKIN_ORACLE_PYTHON") else {
        // The reader above stands in for it.
        return files_hold_what_was_written();
    };
    let output = Command::new(python).arg("tests/tools/read_events.py").arg(dir.path()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let expected = "image samples 20 2x3x3\n\
         scalar loss/D 0 0.5\nscalar loss/D 10 10.5\nscalar loss/D 20 20.5\n\
         scalar loss/D 30 -3.0\nscalar loss/D 1099511627776 1.0000000150474662e+30\n\
         scalar loss/G 0 nan\nscalar loss/G 10 nan\nscalar loss/G 20 nan\n";
    assert_eq!(String::from_utf8_lossy(&output.stdout), expected);
}
