//! Sample grids and single images as PNG files, with notes of how they were made; films.
//!
//! Images are floats NHWC in [-1,1], grey or RGB, and are quantised in one place: round(127.5·(x+1)), limited to 0–255.
//! A file appears whole or not at all. Text is a caption of one line in a fixed font. Deliberately absent: tone mapping, other formats
//! of stills.

mod film;
mod notes;

pub use film::{FPS, FilmFormat, film};
pub use notes::Notes;

use std::path::{Path, PathBuf};

use font8x8::{BASIC_FONTS, UnicodeFonts};
use image::{Rgb, RgbImage};
use png::ColorType;

use crate::{Error, Result, files};

/// Pixels between images, before magnification.
const GAP: usize = 2;

/// Side of a letter, pixels.
pub const LETTER: usize = 8;

/// An image of a contact sheet is magnified to at least this width.
const TILE: usize = 96;

/// What errors call it.
const WRITING: &str = "writing a PNG";

/// A grid is magnified to about this width, pixels.
const WIDTH: usize = 512;

/// Magnification of the pixels of a grid.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Scale {
    /// The least whole number, at most 16, that makes the grid 512 pixels wide.
    #[default]
    Auto,
    /// This whole number; 0 counts as 1.
    Times(u32),
}

/// A float of an image as a byte: round(127.5·(x+1)), limited to 0–255; NaN is 0. Inverse of byte/127.5 − 1.
pub fn quantise(x: f32) -> u8 {
    (127.5 * (x + 1.0)).round() as u8
}

/// Images `[n,h,w,c]` side by side on white in `cols` columns (0: as square as can be), magnified without smoothing.
///
/// # Errors
/// [`Error::Check`] when there is no image, `c` is not 1 or 3, or the shape and the number of values differ.
pub fn image(images: &[f32], shape: [usize; 4], cols: usize, scale: Scale) -> Result<RgbImage> {
    let [n, h, w, c] = check(images, shape)?;
    let cols = if cols == 0 { (n as f64).sqrt().ceil() as usize } else { cols.min(n) };
    let rows = n.div_ceil(cols);
    let (width, height) = (cols * (w + GAP) + GAP, rows * (h + GAP) + GAP);
    let times = match scale {
        Scale::Auto => WIDTH.div_ceil(width).min(16),
        Scale::Times(times) => times.max(1) as usize,
    };
    let sides = [width, height].map(|s| s.checked_mul(times).filter(|&s| s <= 1 << 16).map(|s| s as u32));
    let [Some(full_width), Some(full_height)] = sides else {
        return Err(Error::Check(format!("a grid of {width}×{height} pixels, {times} times magnified, is too large")));
    };
    let pixel = |x: usize, y: usize| {
        let (column, row) = (x / (w + GAP), y / (h + GAP));
        let (Some(x), Some(y)) = ((x % (w + GAP)).checked_sub(GAP), (y % (h + GAP)).checked_sub(GAP)) else {
            return Rgb([255; 3]);
        };
        // Whether a place of the grid holds an image: the last row may be short, and the last gap has none.
        let k = row * cols + column;
        if column >= cols || k >= n {
            return Rgb([255; 3]);
        }
        let at = ((k * h + y) * w + x) * c;
        Rgb([0, 1, 2].map(|channel| quantise(images[at + channel.min(c - 1)])))
    };
    Ok(RgbImage::from_fn(full_width, full_height, |x, y| pixel(x as usize / times, y as usize / times)))
}

/// Images of bytes `[h,w,c]`, each over its lines of text, in rows, as square as can be.
///
/// # Errors
/// [`Error::Check`] when there is no image, `c` is not 1 or 3, or an image has another number of bytes.
pub fn contact_sheet(tiles: &[(Vec<u8>, Vec<String>)], [h, w, c]: [usize; 3]) -> Result<RgbImage> {
    if tiles.is_empty() || h * w == 0 || !(c == 1 || c == 3) {
        return Err(Error::Check(format!("{} images of {h}x{w}x{c} can't be shown: c must be 1 or 3", tiles.len())));
    }
    if let Some((bytes, _)) = tiles.iter().find(|(bytes, _)| bytes.len() != h * w * c) {
        return Err(Error::Check(format!("an image of {h}x{w}x{c} with {} bytes", bytes.len())));
    }
    let lines = tiles.iter().map(|(_, lines)| lines.len()).max().unwrap_or(0);
    let times = TILE.div_ceil(w);
    let (width, height) = (w * times, h * times);
    let (cell_width, cell_height) = (width + 4 * GAP, height + 4 * GAP + lines * (LETTER + GAP));
    let cols = (tiles.len() as f64).sqrt().ceil() as usize;
    let rows = tiles.len().div_ceil(cols);
    let mut page =
        RgbImage::from_pixel((cols * cell_width + GAP) as u32, (rows * cell_height + GAP) as u32, Rgb([255; 3]));
    for (k, (bytes, lines)) in tiles.iter().enumerate() {
        let (left, top) = (GAP + k % cols * cell_width, GAP + k / cols * cell_height);
        for (y, x) in (0..height).flat_map(|y| (0..width).map(move |x| (y, x))) {
            let at = (y / times * w + x / times) * c;
            let pixel = [0, 1, 2].map(|channel: usize| bytes[at + channel.min(c - 1)]);
            page.put_pixel((left + x) as u32, (top + y) as u32, Rgb(pixel));
        }
        for (i, line) in lines.iter().enumerate() {
            caption(&mut page, line, [left, top + height + GAP + i * (LETTER + GAP)], width);
        }
    }
    Ok(page)
}

/// Writes one line of text with its corner at (left, top), cut at `width` pixels and at the picture's edge; letters that the font lacks become question marks.
pub fn caption(page: &mut RgbImage, text: &str, [left, top]: [usize; 2], width: usize) {
    for (i, letter) in text.chars().take(width / LETTER).enumerate() {
        let rows = BASIC_FONTS.get(letter).or_else(|| BASIC_FONTS.get('?')).unwrap_or_default();
        for (y, row) in rows.iter().enumerate() {
            for x in (0..LETTER).filter(|x| row >> x & 1 == 1) {
                let (x, y) = ((left + i * LETTER + x) as u32, (top + y) as u32);
                if x < page.width() && y < page.height() {
                    page.put_pixel(x, y, Rgb([31, 35, 40]));
                }
            }
        }
    }
}

/// Writes [`image()`] as a PNG file.
///
/// # Errors
/// Those of [`image()`] and [`save`].
pub fn write(path: &Path, images: &[f32], shape: [usize; 4], cols: usize, scale: Scale) -> Result<()> {
    save(path, &image(images, shape, cols, scale)?, &Notes::NONE)
}

/// Writes images `[n,h,w,c]` singly, unmagnified, as `00000000.png` and so on, counting from `first`; grey ones as grey PNG.
/// The folder must exist. Gives the paths; when the files reach the disk is left to the system.
///
/// # Errors
/// Those of [`image()`] and [`save`].
pub fn write_each(folder: &Path, images: &[f32], shape: [usize; 4], first: usize) -> Result<Vec<PathBuf>> {
    let [_, h, w, c] = check(images, shape)?;
    let numbered = images.chunks_exact(h * w * c).enumerate();
    numbered
        .map(|(k, values)| {
            let path = folder.join(single_name(first + k));
            write_single(&path, values, [h, w, c], &Notes::NONE).map(|()| path)
        })
        .collect()
}

/// What the single image of a number is called.
pub fn single_name(number: usize) -> String {
    format!("{number:08}.png")
}

/// Writes one image `[h,w,c]`, as [`write_each`] does, with notes.
///
/// # Errors
/// Those of [`image()`] and [`save`].
pub fn write_single(path: &Path, values: &[f32], [h, w, c]: [usize; 3], notes: &Notes) -> Result<()> {
    check(values, [1, h, w, c])?;
    let bytes: Vec<u8> = values.iter().map(|&v| quantise(v)).collect();
    let color = if c == 1 { ColorType::Grayscale } else { ColorType::Rgb };
    files::write_soon(path, WRITING, &png(path, [w as u32, h as u32], color, &bytes, notes)?)
}

/// Writes a PNG file beside its place and moves it there.
///
/// # Errors
/// [`Error::Io`] when the folder is missing or can't be written to.
pub fn save(path: &Path, picture: &RgbImage, notes: &Notes) -> Result<()> {
    files::write(path, WRITING, &png(path, picture.dimensions().into(), ColorType::Rgb, picture, notes)?)
}

/// A picture as the bytes of a PNG file.
///
/// # Errors
/// [`Error::Io`] where it can't be encoded.
pub fn png_of(picture: &RgbImage) -> Result<Vec<u8>> {
    png(Path::new("picture"), picture.dimensions().into(), ColorType::Rgb, picture, &Notes::NONE)
}

/// The bytes of a PNG file.
fn png(path: &Path, size: [u32; 2], color: ColorType, values: &[u8], notes: &Notes) -> Result<Vec<u8>> {
    notes::still(size, color, values, notes).map_err(|e| Error::io(path, "encoding a PNG")(std::io::Error::other(e)))
}

fn check(images: &[f32], shape: [usize; 4]) -> Result<[usize; 4]> {
    let [n, h, w, c] = shape;
    let elems = shape.iter().try_fold(1usize, |n, &e| n.checked_mul(e));
    if n == 0 || h == 0 || w == 0 || !(c == 1 || c == 3) {
        return Err(Error::Check(format!(
            "images of shape {shape:?} can't be shown: [n,h,w,c] with c 1 or 3 is needed"
        )));
    }
    if elems != Some(images.len()) {
        return Err(Error::Check(format!("images of shape {shape:?} with {} values", images.len())));
    }
    Ok(shape)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantising_inverts_the_loader() {
        for byte in 0..=255u8 {
            assert_eq!(quantise(f32::from(byte) / 127.5 - 1.0), byte);
        }
        assert_eq!([-9.0, 9.0, f32::NAN, f32::INFINITY].map(quantise), [0, 255, 0, 255]);
    }

    #[test]
    fn a_grid_has_its_images_in_place() {
        // Three grey images of 1×2 in two columns: cells at x = 2 and 6, y = 2 and 5; the fourth place is white.
        let values = [-1.0, 1.0, 0.0, 0.0, -1.0, -1.0];
        let grid = image(&values, [3, 1, 2, 1], 2, Scale::Times(1)).unwrap();
        assert_eq!(grid.dimensions(), (10, 8));
        let at = |x, y| grid.get_pixel(x, y)[1];
        assert_eq!([at(2, 2), at(3, 2), at(6, 2), at(7, 2)], [0, 255, 128, 128]);
        assert_eq!([at(2, 5), at(3, 5), at(6, 5), at(7, 5)], [0, 0, 255, 255]);
        assert_eq!([at(1, 2), at(4, 2), at(8, 2), at(2, 3)], [255; 4]);
    }

    #[test]
    fn small_grids_are_magnified() {
        let values = vec![0.0; 9 * 32 * 32];
        let auto = image(&values, [9, 32, 32, 1], 0, Scale::Auto).unwrap();
        assert_eq!(auto.dimensions(), (5 * 104, 5 * 104));
        let twice = image(&values, [9, 32, 32, 1], 9, Scale::Times(2)).unwrap();
        assert_eq!(twice.dimensions(), (2 * (9 * 34 + 2), 2 * 36));
        // A pixel becomes a block of equal pixels.
        let one = image(&[1.0, -1.0, 0.0], [1, 1, 1, 3], 1, Scale::Times(3)).unwrap();
        assert!((6..9).all(|x| (6..9).all(|y| one.get_pixel(x, y).0 == [255, 0, 128])));
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let refuse = |values: &[f32], shape| image(values, shape, 0, Scale::Auto).unwrap_err().to_string();
        assert_eq!(refuse(&[0.0; 3], [1, 2, 2, 1]), "check: images of shape [1, 2, 2, 1] with 3 values");
        assert!(refuse(&[], [0, 2, 2, 1]).contains("can't be shown"));
        assert!(refuse(&[0.0; 8], [1, 2, 2, 2]).contains("c 1 or 3"));
        assert!(refuse(&[0.0; 4], [usize::MAX, 2, 2, 1]).contains("with 4 values"));
        assert!(image(&[0.0], [1, 1, 1, 1], 0, Scale::Times(u32::MAX)).is_err());
    }

    #[test]
    fn a_contact_sheet_shows_images_over_their_names() {
        let tiles = [10u8, 200].map(|v| (vec![v; 12], vec!["a".to_owned(), "class".to_owned()]));
        let page = contact_sheet(&tiles, [2, 2, 3]).unwrap();
        assert_eq!([GAP, GAP + TILE + 4 * GAP].map(|x| page.get_pixel(x as u32, GAP as u32)[0]), [10, 200]);
        let dark = |from: usize| (from..from + LETTER).any(|y| (0..20).any(|x| page.get_pixel(x, y as u32)[0] == 31));
        assert!(dark(2 * GAP + TILE) && dark(3 * GAP + TILE + LETTER));
        assert!(contact_sheet(&[], [2, 2, 3]).is_err());
        assert!(contact_sheet(&tiles, [2, 2, 1]).is_err());
    }
}
