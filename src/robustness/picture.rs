//! Images, what was done to them, and what the model says, side by side with captions.

use crate::grid::{LETTER, caption as write, quantise};
use crate::{Error, Result};
use image::{Rgb, RgbImage};

/// Times that a change is enlarged, so that it shows.
const TIMES: f32 = 10.0;
/// An image is magnified to at least this width, so that captions have room.
const WIDTH: usize = 192;
const GAP: usize = 6;

/// A row per example: the image, ten times the change on grey, the adversarial image, with captions under the first and the last.
/// `images` and `adversarial` are `[n,h,w,c]` in [-1, 1], `captions` two per example.
///
/// # Errors
/// [`Error::Check`] where lengths don't fit together.
pub fn triptych(
    images: &[f32],
    adversarial: &[f32],
    [h, w, c]: [usize; 3],
    captions: &[[String; 2]],
) -> Result<RgbImage> {
    let (n, elems) = (captions.len(), h * w * c);
    if n == 0 || elems == 0 || images.len() != n * elems || adversarial.len() != n * elems || !matches!(c, 1 | 3) {
        let (images, adversarial) = (images.len(), adversarial.len());
        let reason = format!("{n} captions for {images} and {adversarial} numbers of images of {h}x{w}x{c}");
        return Err(Error::Check(reason));
    }
    let times = WIDTH.div_ceil(w).max(1);
    let (width, height) = (w * times, h * times);
    let (cell_width, cell_height) = (width + GAP, height + GAP + LETTER + GAP);
    let mut page = RgbImage::from_pixel((3 * cell_width + GAP) as u32, (n * cell_height + GAP) as u32, Rgb([255; 3]));
    for (k, captions) in captions.iter().enumerate() {
        let (image, example) = (&images[k * elems..(k + 1) * elems], &adversarial[k * elems..(k + 1) * elems]);
        let change: Vec<f32> = image.iter().zip(example).map(|(a, b)| TIMES * (b - a)).collect();
        for (column, values) in [image, &change, example].into_iter().enumerate() {
            let (left, top) = (GAP + column * cell_width, GAP + k * cell_height);
            for y in 0..height {
                for x in 0..width {
                    let at = (y / times * w + x / times) * c;
                    let pixel = [0, 1, 2].map(|channel| quantise(values[at + channel.min(c - 1)]));
                    page.put_pixel((left + x) as u32, (top + y) as u32, Rgb(pixel));
                }
            }
            let caption = match column {
                0 => captions[0].as_str(),
                1 => "change x 10",
                _ => captions[1].as_str(),
            };
            write(&mut page, caption, [left, top + height + GAP], width);
        }
    }
    Ok(page)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_shows_image_change_and_example() {
        let (images, adversarial) = ([0.0; 4], [0.05, 0.0, 0.0, 0.0]);
        let captions = [["7 (99 %)".to_owned(), "3 (80 %)".to_owned()]];
        let page = triptych(&images, &adversarial, [2, 2, 1], &captions).unwrap();
        let side = WIDTH / 2;
        let at = |column: usize, x: usize, y: usize| {
            page.get_pixel((GAP + column * (WIDTH + GAP) + x * side) as u32, (GAP + y * side) as u32)[0]
        };
        assert_eq!([at(0, 0, 0), at(1, 0, 0), at(1, 1, 1), at(2, 0, 0)], [128, 191, 128, 134]);
        // Letters are there, below the first image.
        let dark = |x: u32| (GAP + WIDTH + GAP..page.height() as usize).any(|y| page.get_pixel(x, y as u32)[0] < 100);
        assert!((GAP as u32..GAP as u32 + 64).any(dark));
        assert!(triptych(&images, &adversarial[1..], [2, 2, 1], &captions).is_err());
    }
}
