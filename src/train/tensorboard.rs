//! TensorBoard event files: scalars and images, written by hand.
//!
//! A file is a sequence of TFRecords: length (u64), masked CRC-32C of the length, payload, masked CRC-32C of the
//! payload, all little-endian. A payload is a protocol-buffer `Event` (tensorflow/core/util/event.proto).
//! Only writing is here; `tests/tools/read_events.py` reads files back with TensorBoard's own reader.

use crate::{Error, Result};
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// An open event file. Every event is one write, so a crash leaves at most one torn record, which readers skip.
#[derive(Debug)]
pub struct EventWriter {
    file: File,
    path: PathBuf,
}

/// A picture that is a PNG file already.
#[derive(Clone, Copy, Debug)]
pub struct Picture<'a> {
    /// The bytes of the PNG file.
    pub png: &'a [u8],
    /// Rows of pixels.
    pub height: u32,
    /// Columns of pixels.
    pub width: u32,
    /// 1 grey, 3 RGB, 4 RGBA.
    pub channels: u32,
}

impl EventWriter {
    /// A new event file in `dir`. TensorBoard joins all event files of a folder.
    ///
    /// Errors: [`Error::Io`].
    pub fn create(dir: &Path) -> Result<EventWriter> {
        let now = since_epoch();
        // Unique without the host's name: the fraction of the second and the process.
        let unique = format!("{:09}.{}", now.subsec_nanos(), std::process::id());
        let path = dir.join(format!("events.out.tfevents.{:010}.{unique}", now.as_secs()));
        let opened = OpenOptions::new().append(true).create_new(true).open(&path);
        let file = opened.map_err(Error::io(&path, "creating the TensorBoard file"))?;
        let mut writer = EventWriter { file, path };
        writer.event(0, |event| event.bytes(3, b"brain.Event:2"))?;
        Ok(writer)
    }

    /// A new event file for a run that goes on after `step`: a session start at the next step makes TensorBoard forget
    /// what older files say about it and everything later.
    ///
    /// Errors: [`Error::Io`].
    pub fn resume(dir: &Path, step: u64) -> Result<EventWriter> {
        const START: u64 = 1;
        let mut writer = EventWriter::create(dir)?;
        let mut log = Message::default();
        log.varint(1, START);
        writer.event(step + 1, |event| event.bytes(7, &log.0))?;
        Ok(writer)
    }

    /// One event with all of these scalars.
    ///
    /// Errors: [`Error::Io`].
    pub fn scalars<'a>(&mut self, step: u64, values: impl IntoIterator<Item = (&'a str, f64)>) -> Result<()> {
        let mut summary = Message::default();
        for (tag, value) in values {
            let mut entry = Message::default();
            entry.bytes(1, tag.as_bytes());
            entry.float(2, value as f32);
            summary.bytes(1, &entry.0);
        }
        self.event(step, |event| event.bytes(5, &summary.0))
    }

    /// One event with a picture.
    ///
    /// Errors: [`Error::Io`].
    pub fn image(&mut self, step: u64, tag: &str, picture: Picture) -> Result<()> {
        let mut image = Message::default();
        image.varint(1, picture.height.into());
        image.varint(2, picture.width.into());
        image.varint(3, picture.channels.into());
        image.bytes(4, picture.png);
        let mut entry = Message::default();
        entry.bytes(1, tag.as_bytes());
        entry.bytes(4, &image.0);
        let mut summary = Message::default();
        summary.bytes(1, &entry.0);
        self.event(step, |event| event.bytes(5, &summary.0))
    }

    /// Where the events go.
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn event(&mut self, step: u64, fill: impl FnOnce(&mut Message)) -> Result<()> {
        let mut event = Message::default();
        event.double(1, since_epoch().as_secs_f64());
        event.varint(2, step);
        fill(&mut event);
        self.file.write_all(&record(&event.0)).map_err(Error::io(&self.path, "writing the TensorBoard file"))
    }
}

/// Since 1970; zero on a clock that stands before.
fn since_epoch() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// A payload framed as a TFRecord.
fn record(payload: &[u8]) -> Vec<u8> {
    let length = (payload.len() as u64).to_le_bytes();
    let mut out = Vec::with_capacity(payload.len() + 16);
    out.extend_from_slice(&length);
    out.extend_from_slice(&masked_crc(&length).to_le_bytes());
    out.extend_from_slice(payload);
    out.extend_from_slice(&masked_crc(payload).to_le_bytes());
    out
}

/// CRC-32C, rotated and shifted so that a checksum of data that holds checksums stays a good one.
fn masked_crc(bytes: &[u8]) -> u32 {
    crc32c::crc32c(bytes).rotate_right(15).wrapping_add(0xA282_EAD8)
}

/// A protocol-buffer message under construction: fields by number, in the three wire types used here.
#[derive(Default)]
struct Message(Vec<u8>);

impl Message {
    fn varint(&mut self, field: u32, value: u64) {
        self.raw_varint(u64::from(field << 3));
        self.raw_varint(value);
    }

    fn double(&mut self, field: u32, value: f64) {
        self.raw_varint(u64::from(field << 3 | 1));
        self.0.extend_from_slice(&value.to_le_bytes());
    }

    fn bytes(&mut self, field: u32, value: &[u8]) {
        self.raw_varint(u64::from(field << 3 | 2));
        self.raw_varint(value.len() as u64);
        self.0.extend_from_slice(value);
    }

    fn float(&mut self, field: u32, value: f32) {
        self.raw_varint(u64::from(field << 3 | 5));
        self.0.extend_from_slice(&value.to_le_bytes());
    }

    fn raw_varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_byte_by_byte() {
        let mut m = Message::default();
        m.varint(1, 300);
        m.bytes(2, b"hi");
        m.float(3, 1.0);
        m.double(4, -2.0);
        let expected = [
            &[0x08, 0xAC, 0x02, 0x12, 2, b'h', b'i'][..],
            &[0x1D, 0, 0, 0x80, 0x3F],
            &[0x21, 0, 0, 0, 0, 0, 0, 0, 0xC0],
        ];
        assert_eq!(m.0, expected.concat());
    }

    /// CRC-32C of "123456789" is E3069283 (the check value of the polynomial), masked by hand.
    #[test]
    fn a_record_byte_by_byte() {
        assert_eq!(masked_crc(b"123456789"), 0xE306_9283_u32.rotate_right(15).wrapping_add(0xA282_EAD8));
        let out = record(b"123456789");
        assert_eq!(out[..8], [9, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(out[12..21], *b"123456789");
        assert_eq!(out[21..], masked_crc(b"123456789").to_le_bytes());
        assert_eq!(out.len(), 25);
    }
}
