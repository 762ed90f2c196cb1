//! Colour profiles: an image that carries one is brought to sRGB, which is what a data set holds.

use image::{DynamicImage, RgbImage, RgbaImage};
use moxcms::{ColorProfile, DataColorSpace, Layout, TransformOptions};

/// The image in sRGB. One whose profile can't be read, fits other pixels (the decoder has made RGB of CMYK), or moves no
/// colour by more than a level, is left as it is: broken metadata is no reason to lose a sound image.
pub(super) fn to_srgb(picture: DynamicImage, profile: &[u8]) -> DynamicImage {
    let Ok(profile) = ColorProfile::new_from_slice(profile) else { return picture };
    // Grey pixels under an RGB profile are RGB of equal channels.
    let grey = match profile.color_space {
        DataColorSpace::Rgb => false,
        DataColorSpace::Gray if !picture.color().has_color() => true,
        _ => return picture,
    };
    let alpha = picture.color().has_alpha();
    let from = match (grey, alpha) {
        (true, false) => Layout::Gray,
        (true, true) => Layout::GrayAlpha,
        (false, false) => Layout::Rgb,
        (false, true) => Layout::Rgba,
    };
    let to = if alpha { Layout::Rgba } else { Layout::Rgb };
    let options = TransformOptions::default();
    let Ok(transform) = profile.create_transform_8bit(from, &ColorProfile::new_srgb(), to, options) else {
        return picture;
    };
    let (channels, out) = (from.channels(), to.channels());
    let changed = |pixels: &[u8]| {
        let mut converted = vec![0; pixels.len() / channels * out];
        transform.transform(pixels, &mut converted).ok().map(|()| converted)
    };

    let probes = probes(grey, alpha);
    let level = |converted: &Vec<u8>| {
        let near = |(p, q): (&[u8], &[u8])| (0..3).all(|c| p[if grey { 0 } else { c }].abs_diff(q[c]) <= 1);
        probes.chunks_exact(channels).zip(converted.chunks_exact(out)).all(near)
    };
    match changed(&probes) {
        Some(converted) if !level(&converted) => {}
        _ => return picture,
    }

    let (width, height) = (picture.width(), picture.height());
    let pixels = match (grey, alpha) {
        (true, false) => picture.to_luma8().into_raw(),
        (true, true) => picture.to_luma_alpha8().into_raw(),
        (false, false) => picture.to_rgb8().into_raw(),
        (false, true) => picture.to_rgba8().into_raw(),
    };
    let converted = changed(&pixels).and_then(|c| match alpha {
        false => RgbImage::from_raw(width, height, c).map(DynamicImage::from),
        true => RgbaImage::from_raw(width, height, c).map(DynamicImage::from),
    });
    converted.unwrap_or(picture)
}

/// Pixels over the whole range, opaque.
fn probes(grey: bool, alpha: bool) -> Vec<u8> {
    let opaque = |mut pixel: Vec<u8>| {
        pixel.extend(alpha.then_some(255));
        pixel
    };
    if grey {
        return (0..=255).flat_map(|v| opaque(vec![v])).collect();
    }
    (0..216u8).flat_map(|i| opaque(vec![i % 6 * 51, i / 6 % 6 * 51, i / 36 * 51])).collect()
}
