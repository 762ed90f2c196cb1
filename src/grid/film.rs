//! Pictures that move: animated PNG and GIF, chosen by the file's ending. The same frames give the same bytes.
//!
//! Deliberately absent: animated WebP, of which no encoder without C is at hand; video.

use super::notes::{Notes, encoder};
use crate::{Error, Result, files};
use image::codecs::gif::{GifEncoder, Repeat};
use image::{Delay, DynamicImage, Frame, RgbImage};
use png::{ColorType, EncodingError};
use std::io;
use std::path::Path;
use std::time::Duration;

/// What errors call it.
const WRITING: &str = "writing a film";

/// Frames per second that a film may have: a GIF counts hundredths of a second, and viewers slow down what shows less than two.
pub const FPS: std::ops::RangeInclusive<u16> = 1..=50;

/// How much time the palette of a GIF's frame takes: 1 is best, 30 fastest.
const PALETTE_SPEED: i32 = 10;

/// What a film can be written as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FilmFormat {
    /// Exact colours; players of PNG that know no films show the first frame.
    Apng,
    /// 256 colours per frame, and times in hundredths of a second: 30 frames per second become 33.
    Gif,
}

impl FilmFormat {
    /// By the ending of a file: `.png` and `.apng`, `.gif`.
    ///
    /// # Errors
    /// Any other ending, as a sentence without the file's name.
    pub fn of(path: &Path) -> std::result::Result<FilmFormat, &'static str> {
        let ending = path.extension().map(|e| e.to_string_lossy().to_lowercase());
        match ending.as_deref() {
            Some("png" | "apng") => Ok(FilmFormat::Apng),
            Some("gif") => Ok(FilmFormat::Gif),
            Some("webp") => Err("films are not written as WebP; end it in .png or .apng (exact colours) or .gif"),
            _ => Err("a film must end in .png, .apng or .gif"),
        }
    }
}

/// Writes frames of one size that repeat for ever, `fps` of them per second; notes go into PNG alone.
///
/// # Errors
/// [`Error::Check`]: no frames, or of several sizes, or an ending that says no format; [`Error::Io`].
pub fn film(path: &Path, frames: &[RgbImage], fps: u16, notes: &Notes) -> Result<()> {
    let format = FilmFormat::of(path).map_err(|reason| Error::Check(format!("{}: {reason}", path.display())))?;
    let size = frames.first().map(RgbImage::dimensions);
    if size.is_none() || frames.iter().any(|frame| Some(frame.dimensions()) != size) || !FPS.contains(&fps) {
        return Err(Error::Check(format!("{} frames at {fps} per second make no film", frames.len())));
    }
    let bytes = match format {
        FilmFormat::Apng => apng(frames, fps, notes).map_err(io::Error::other),
        FilmFormat::Gif => gif(frames, fps).map_err(io::Error::other),
    };
    files::write(path, WRITING, &bytes.map_err(Error::io(path, "encoding a film"))?)
}

fn apng(frames: &[RgbImage], fps: u16, notes: &Notes) -> std::result::Result<Vec<u8>, EncodingError> {
    let mut bytes = vec![];
    let (width, height) = frames[0].dimensions();
    let mut encoder = encoder(&mut bytes, [width, height], ColorType::Rgb, notes)?;
    encoder.set_animated(frames.len() as u32, 0)?;
    encoder.set_frame_delay(1, fps)?;
    let mut writer = encoder.write_header()?;
    frames.iter().try_for_each(|frame| writer.write_image_data(frame))?;
    writer.finish()?;
    Ok(bytes)
}

fn gif(frames: &[RgbImage], fps: u16) -> image::ImageResult<Vec<u8>> {
    let mut bytes = vec![];
    let mut encoder = GifEncoder::new_with_speed(&mut bytes, PALETTE_SPEED);
    encoder.set_repeat(Repeat::Infinite)?;
    let hundredths = (100.0 / f64::from(fps)).round() as u64;
    let delay = Delay::from_saturating_duration(Duration::from_millis(10 * hundredths));
    for frame in frames {
        let frame = DynamicImage::from(frame.clone()).into_rgba8();
        encoder.encode_frame(Frame::from_parts(frame, 0, 0, delay))?;
    }
    drop(encoder);
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::codecs::{gif::GifDecoder, png::PngDecoder};
    use image::{AnimationDecoder, Rgb};
    use std::io::Cursor;

    /// Frames of few colours, so that a palette holds them all.
    fn frames() -> Vec<RgbImage> {
        (0..3u8).map(|k| RgbImage::from_fn(5, 4, |x, y| Rgb([80 * k, 60 * x as u8, 60 * y as u8]))).collect()
    }

    #[test]
    fn films_come_back_frame_by_frame() {
        let dir = tempfile::tempdir().unwrap();
        for (name, fps, millis) in [("a.png", 25, 40.0), ("a.apng", 8, 125.0), ("a.gif", 25, 40.0), ("b.gif", 30, 30.0)]
        {
            let path = dir.path().join(name);
            film(&path, &frames(), fps, &Notes::NONE.with("seeds", "0-3")).unwrap();
            let bytes = std::fs::read(&path).unwrap();
            film(&path, &frames(), fps, &Notes::NONE.with("seeds", "0-3")).unwrap();
            assert_eq!(std::fs::read(&path).unwrap(), bytes, "{name}: the same bytes");
            let read: Vec<Frame> = match name.ends_with("gif") {
                true => GifDecoder::new(Cursor::new(bytes)).unwrap().into_frames().collect_frames().unwrap(),
                false => {
                    let decoder = PngDecoder::new(Cursor::new(bytes)).unwrap();
                    decoder.apng().unwrap().into_frames().collect_frames().unwrap()
                }
            };
            assert_eq!(read.len(), 3, "{name}");
            for (read, made) in read.iter().zip(frames()) {
                let (above, below) = read.delay().numer_denom_ms();
                assert_eq!(f64::from(above) / f64::from(below), millis, "{name}");
                assert_eq!(DynamicImage::from(read.buffer().clone()).into_rgb8(), made, "{name}");
            }
        }
    }

    #[test]
    fn what_makes_no_film_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let sentence = |name: &str, frames: &[RgbImage], fps| {
            film(&dir.path().join(name), frames, fps, &Notes::NONE).unwrap_err().to_string()
        };
        assert!(sentence("a.webp", &frames(), 25).contains("end it in .png or .apng (exact colours) or .gif"));
        assert!(sentence("a.mp4", &frames(), 25).contains("must end in .png, .apng or .gif"));
        assert!(sentence("a.gif", &[], 25).contains("make no film"));
        assert!(sentence("a.gif", &frames(), 0).contains("make no film"));
        assert!(sentence("a.gif", &[RgbImage::new(1, 1), RgbImage::new(2, 1)], 9).contains("make no film"));
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    }
}
