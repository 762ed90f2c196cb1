//! Files made byte by byte, sound and broken.

use std::io::{Cursor, Write};
use std::path::{Path, PathBuf};

use flate2::{Compression, Crc, write::GzEncoder, write::ZlibEncoder};
use image::{DynamicImage, ImageFormat, Rgb, RgbImage};

/// A picture that differs for every `k`: even colours, so that JPEG keeps them.
pub fn picture(k: u8) -> RgbImage {
    RgbImage::from_pixel(12, 12, Rgb([k.wrapping_mul(40), 200 - k.wrapping_mul(7), k]))
}

/// A left-to-right ramp that differs for every `k`, so that a flip shows.
pub fn ramp(k: u8) -> RgbImage {
    RgbImage::from_fn(8, 8, |x, y| Rgb([(x * 30) as u8, (y * 30) as u8, k]))
}

pub fn encode(picture: impl Into<DynamicImage>, format: ImageFormat) -> Vec<u8> {
    let mut out = Cursor::new(Vec::new());
    picture.into().write_to(&mut out, format).unwrap();
    out.into_inner()
}

pub fn png(picture: RgbImage) -> Vec<u8> {
    encode(picture, ImageFormat::Png)
}

/// Writes `bytes` at `name` below `folder`, making folders on the way.
pub fn put(folder: &Path, name: &str, bytes: &[u8]) -> PathBuf {
    let path = folder.join(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(&path, bytes).unwrap();
    path
}

pub fn zip(entries: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let mut zip = zip::ZipWriter::new(Cursor::new(Vec::new()));
    for (name, bytes) in entries {
        zip.start_file(*name, zip::write::SimpleFileOptions::default()).unwrap();
        zip.write_all(bytes).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

/// Overwrites the decompressed size of the last entry in its local header and in the archive's directory.
pub fn lie_about_size(mut zip: Vec<u8>, size: u32) -> Vec<u8> {
    for (signature, field) in [(b"PK\x03\x04", 22), (b"PK\x01\x02", 24)] {
        let at = zip.windows(4).rposition(|w| w == signature).unwrap() + field;
        zip[at..at + 4].copy_from_slice(&size.to_le_bytes());
    }
    zip
}

/// Says of the last entry that another method compressed it.
pub fn lie_about_method(mut zip: Vec<u8>, method: u16) -> Vec<u8> {
    for (signature, field) in [(b"PK\x03\x04", 8), (b"PK\x01\x02", 10)] {
        let at = zip.windows(4).rposition(|w| w == signature).unwrap() + field;
        zip[at..at + 2].copy_from_slice(&method.to_le_bytes());
    }
    zip
}

pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut gz = GzEncoder::new(Vec::new(), Compression::fast());
    gz.write_all(bytes).unwrap();
    gz.finish().unwrap()
}

/// An IDX file of unsigned bytes.
pub fn idx(extents: &[u32], bytes: &[u8]) -> Vec<u8> {
    let mut file = vec![0, 0, 8, extents.len() as u8];
    file.extend(extents.iter().flat_map(|e| e.to_be_bytes()));
    file.extend(bytes);
    file
}

/// A PNG of any header: colour type 0 is grey, 3 palette; `rows` are filtered scanlines.
pub fn raw_png(width: u32, height: u32, depth: u8, colour: u8, palette: &[u8], rows: &[u8]) -> Vec<u8> {
    let mut file = b"\x89PNG\r\n\x1a\n".to_vec();
    let mut chunk = |kind: &[u8; 4], body: &[u8]| {
        let mut crc = Crc::new();
        crc.update(kind);
        crc.update(body);
        file.extend((body.len() as u32).to_be_bytes());
        file.extend(kind);
        file.extend(body);
        file.extend(crc.sum().to_be_bytes());
    };
    let header = [&width.to_be_bytes()[..], &height.to_be_bytes(), &[depth, colour, 0, 0, 0]].concat();
    let mut zlib = ZlibEncoder::new(Vec::new(), Compression::fast());
    zlib.write_all(rows).unwrap();
    chunk(b"IHDR", &header);
    if !palette.is_empty() {
        chunk(b"PLTE", palette);
    }
    chunk(b"IDAT", &zlib.finish().unwrap());
    chunk(b"IEND", &[]);
    file
}

/// A baseline CMYK JPEG of 8×8 as Adobe programs write it (samples inverted): every sample is 128, half ink of each.
pub fn cmyk_jpeg() -> Vec<u8> {
    let mut file = vec![0xFF, 0xD8];
    let mut segment = |marker: u8, body: &[u8]| {
        file.extend([0xFF, marker]);
        file.extend((body.len() as u16 + 2).to_be_bytes());
        file.extend(body);
    };
    segment(0xEE, b"Adobe\0\x64\0\0\0\0\0");
    segment(0xDB, &[&[0][..], &[1; 64]].concat());
    segment(0xC0, &[8, 0, 8, 0, 8, 4, 1, 0x11, 0, 2, 0x11, 0, 3, 0x11, 0, 4, 0x11, 0]);
    // One code of one bit in either table: no DC difference, end of block.
    for table in [0x00, 0x10] {
        segment(0xC4, &[&[table, 1][..], &[0; 15], &[0]].concat());
    }
    segment(0xDA, &[4, 1, 0, 2, 0, 3, 0, 4, 0, 0, 63, 0]);
    // Four blocks of two bits.
    file.extend([0x00, 0xFF, 0xD9]);
    file
}

/// A JPEG whose EXIF data asks for an orientation (6: stored lying on its left side).
pub fn oriented_jpeg(picture: RgbImage, orientation: u8) -> Vec<u8> {
    let plain = encode(picture, ImageFormat::Jpeg);
    let tiff = [b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0", &[orientation, 0, 0, 0, 0, 0, 0, 0][..]].concat();
    let exif = [b"Exif\0\0", tiff.as_slice()].concat();
    let length = (exif.len() as u16 + 2).to_be_bytes();
    [&plain[..2], &[0xFF, 0xE1], &length, &exif, &plain[2..]].concat()
}
