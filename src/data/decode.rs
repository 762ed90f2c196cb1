//! From the bytes of an image file to the bytes of a data set: a square of the asked size, RGB or grey.
//!
//! Any mode the decoders know is accepted: grey, palette, 16-bit and float samples, alpha (laid on white), CMYK JPEG (by the
//! decoder's formula, without its profile); EXIF orientation is applied, RGB and grey colour profiles are converted to sRGB. Whatever is wrong with a file becomes one short sentence, never a panic.

use std::io::Cursor;
use std::panic::{AssertUnwindSafe, catch_unwind};

use image::imageops::{self, FilterType};
use image::metadata::Orientation;
use image::{DynamicImage, ExtendedColorType, ImageDecoder, ImageError, ImageFormat, ImageReader, Limits, RgbImage};

use super::colour::to_srgb;

/// Widest and highest image that is decoded.
pub const MAX_SIDE: u32 = 16_384;

/// Most bytes an image may take while it is decoded.
pub const MAX_ALLOC: u64 = 256 << 20;

/// Most bytes an image file, or an entry of an archive once decompressed, may have.
pub const MAX_FILE: u64 = 128 << 20;

/// A decoded image, upright and in sRGB, and what its file was.
#[derive(Debug)]
pub(super) struct Picture {
    /// Its pixels.
    pub pixels: DynamicImage,
    /// What they were in the file: `RGB`, `16-bit grey` …
    pub mode: &'static str,
    /// Whether the file has a colour profile.
    pub profile: bool,
    /// Whether its EXIF data turned or mirrored it.
    pub turned: bool,
}

/// Decodes `file` to `[size,size,channels]` bytes: turned upright, brought to sRGB, cropped to the central square, resized.
pub(super) fn square(file: &[u8], size: usize, channels: usize) -> Result<Vec<u8>, String> {
    fit(picture(file)?.pixels, size, channels)
}

/// Decodes `file`.
pub(super) fn picture(file: &[u8]) -> Result<Picture, String> {
    // The decoders are other people's code fed with anybody's bytes: a bug in one costs an image, not the run.
    let decoded = catch_unwind(AssertUnwindSafe(|| open(file)));
    decoded.unwrap_or_else(|_| Err("the decoder failed on it".into()))
}

/// The central square of an image, resized, on white where it is transparent.
pub(super) fn fit(mut picture: DynamicImage, size: usize, channels: usize) -> Result<Vec<u8>, String> {
    let side = picture.width().min(picture.height());
    if side == 0 {
        return Err("it has no pixels".into());
    }
    let (x, y) = ((picture.width() - side) / 2, (picture.height() - side) / 2);
    if picture.width() != picture.height() {
        picture = picture.crop_imm(x, y, side, side);
    }
    Ok(with_channels(resize(&on_white(picture), size), channels))
}

/// Resizes a square image; when it shrinks the filter widens with it, so nothing aliases.
pub(super) fn resize(picture: &RgbImage, size: usize) -> Vec<u8> {
    imageops::resize(picture, size as u32, size as u32, FilterType::Lanczos3).into_raw()
}

/// RGB bytes as they are, or as grey by the luma weights of BT.601 (equal channels keep their value).
pub(super) fn with_channels(rgb: Vec<u8>, channels: usize) -> Vec<u8> {
    if channels == 3 {
        return rgb;
    }
    let luma = |p: &[u8]| (299 * u32::from(p[0]) + 587 * u32::from(p[1]) + 114 * u32::from(p[2]) + 500) / 1000;
    rgb.chunks_exact(3).map(|p| luma(p) as u8).collect()
}

fn open(file: &[u8]) -> Result<Picture, String> {
    let mut reader = ImageReader::new(Cursor::new(file)).with_guessed_format().map_err(|e| e.to_string())?;
    // What the decoders hide: they turn palettes and ink into RGB.
    let hidden = match reader.format() {
        None => return Err("not an image of a known format".into()),
        // The JPEG decoder fills what is missing of a cut file with grey and calls it well.
        Some(ImageFormat::Jpeg) => match jpeg_components(file) {
            None => return Err("the JPEG is cut short".into()),
            Some(components) => (components == 4).then_some("CMYK"),
        },
        Some(ImageFormat::Gif) => Some("palette"),
        Some(ImageFormat::Png) => file.get(25).filter(|colour| **colour == 3).map(|_| "palette"),
        Some(_) => None,
    };
    let mut limits = Limits::default();
    (limits.max_image_width, limits.max_image_height) = (Some(MAX_SIDE), Some(MAX_SIDE));
    limits.max_alloc = Some(MAX_ALLOC);
    reader.limits(limits);

    let mut decoder = reader.into_decoder().map_err(sentence)?;
    let (w, h) = decoder.dimensions();
    if decoder.total_bytes() > MAX_ALLOC {
        return Err(format!("{w}×{h} pixels are more than the limit of {} MiB", MAX_ALLOC >> 20));
    }
    // Broken metadata is no reason to lose a sound image.
    let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    let profile = decoder.icc_profile().ok().flatten();
    let mode = hidden.unwrap_or_else(|| mode(decoder.original_color_type()));
    let mut pixels = DynamicImage::from_decoder(decoder).map_err(sentence)?;
    pixels.apply_orientation(orientation);
    if let Some(profile) = &profile {
        pixels = to_srgb(pixels, profile);
    }
    let turned = orientation != Orientation::NoTransforms;
    Ok(Picture { pixels, mode, profile: profile.is_some(), turned })
}

fn mode(colour: ExtendedColorType) -> &'static str {
    match colour {
        ExtendedColorType::L1 | ExtendedColorType::L2 | ExtendedColorType::L4 | ExtendedColorType::L8 => "grey",
        ExtendedColorType::La8 => "grey+alpha",
        ExtendedColorType::Rgb8 => "RGB",
        ExtendedColorType::Rgba8 => "RGBA",
        ExtendedColorType::L16 => "16-bit grey",
        ExtendedColorType::La16 => "16-bit grey+alpha",
        ExtendedColorType::Rgb16 => "16-bit RGB",
        ExtendedColorType::Rgba16 => "16-bit RGBA",
        ExtendedColorType::Rgb32F | ExtendedColorType::Rgba32F => "float",
        ExtendedColorType::Cmyk8 | ExtendedColorType::Cmyk16 => "CMYK",
        _ => "other",
    }
}

fn sentence(error: ImageError) -> String {
    match error {
        ImageError::Limits(_) => format!("it is larger than {MAX_SIDE} pixels a side or {} MiB", MAX_ALLOC >> 20),
        other => other.to_string().lines().next().unwrap_or("it can't be decoded").to_owned(),
    }
}

/// Lays an image on white and reduces it to 8 bits per channel.
fn on_white(picture: DynamicImage) -> RgbImage {
    if !picture.color().has_alpha() {
        return picture.into_rgb8();
    }
    let rgba = picture.into_rgba8();
    let blend = |c: u8, a: u8| ((u32::from(c) * u32::from(a) + 255 * (255 - u32::from(a)) + 127) / 255) as u8;
    let pixels = rgba.pixels().flat_map(|p| [blend(p[0], p[3]), blend(p[1], p[3]), blend(p[2], p[3])]);
    RgbImage::from_raw(rgba.width(), rgba.height(), pixels.collect()).unwrap_or_default()
}

/// Walks the segments of a JPEG to its end marker, and gives the components of its frame; `None` for one that is cut short.
/// Inside a scan an 0xFF byte is followed by 0 or a restart marker, so the first other marker ends it; thumbnails lie inside
/// segments and are stepped over.
fn jpeg_components(file: &[u8]) -> Option<u8> {
    let (mut at, mut components) = (2, 0);
    loop {
        // Look for the next marker: after a segment it is here, in a scan it may be far.
        at += file.get(at..)?.iter().position(|&b| b == 0xFF)?;
        match file.get(at + 1)? {
            0xD9 => return Some(components),
            0xFF => at += 1,
            0x00 | 0x01 | 0xD0..=0xD8 => at += 2,
            marker => {
                let length = file.get(at + 2..at + 4)?;
                // Start of frame: length, precision, height, width, components.
                if matches!(marker, 0xC0..=0xC3 | 0xC5..=0xC7 | 0xC9..=0xCB | 0xCD..=0xCF) {
                    components = *file.get(at + 9)?;
                }
                at += 2 + usize::from(u16::from_be_bytes([length[0], length[1]])).max(2);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::{Rgb, Rgba, RgbaImage};

    fn encoded(picture: impl Into<DynamicImage>, format: ImageFormat) -> Vec<u8> {
        let mut out = Cursor::new(Vec::new());
        picture.into().write_to(&mut out, format).unwrap();
        out.into_inner()
    }

    #[test]
    fn the_central_square_is_kept() {
        // Red, green, blue thirds: the middle of a wide image is green.
        let wide = RgbImage::from_fn(30, 10, |x, _| Rgb([[255, 0, 0], [0, 255, 0], [0, 0, 255]][x as usize / 10]));
        let out = square(&encoded(wide.clone(), ImageFormat::Png), 10, 3).unwrap();
        assert!(out.chunks_exact(3).all(|p| p == [0, 255, 0]));
        let out = square(&encoded(imageops::rotate90(&wide), ImageFormat::Png), 4, 3).unwrap();
        assert!(out.chunks_exact(3).all(|p| p == [0, 255, 0]));
    }

    #[test]
    fn alpha_lies_on_white() {
        let faint = RgbaImage::from_pixel(4, 4, Rgba([0, 100, 200, 51]));
        let out = square(&encoded(faint, ImageFormat::Png), 4, 3).unwrap();
        // 255 − 0.2·(255 − c)
        assert_eq!(&out[..3], &[204, 224, 244]);
    }

    #[test]
    fn shrinking_averages() {
        // A checkerboard of single pixels shrinks to even grey, not to either colour.
        let board = RgbImage::from_fn(64, 64, |x, y| Rgb([255 * ((x + y) % 2) as u8; 3]));
        let out = square(&encoded(board, ImageFormat::Png), 8, 1).unwrap();
        assert_eq!(out.len(), 64);
        assert!(out.iter().all(|&v| v.abs_diff(127) <= 2), "{out:?}");
    }

    #[test]
    fn every_cut_of_a_jpeg_is_seen() {
        let picture = RgbImage::from_fn(24, 24, |x, y| Rgb([(x * 10) as u8, (y * 10) as u8, 90]));
        let whole = encoded(picture, ImageFormat::Jpeg);
        assert!(square(&whole, 24, 3).is_ok());
        for cut in 0..whole.len() - 1 {
            assert!(square(&whole[..cut], 24, 3).is_err(), "cut at {cut} of {}", whole.len());
        }
        // Anything may follow the end, such as the film of a motion photo.
        let tail = [whole.as_slice(), &[0xFF, 0xDA, 1, 2, 3]].concat();
        assert!(square(&tail, 24, 3).is_ok());
    }

    #[test]
    fn luma_keeps_grey() {
        for v in [0, 1, 127, 254, 255] {
            assert_eq!(with_channels(vec![v; 3], 1), [v]);
        }
        assert_eq!(with_channels(vec![255, 0, 0, 0, 255, 0, 0, 0, 255], 1), [76, 150, 29]);
    }
}
