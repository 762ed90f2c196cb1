//! PNG files with notes: text that says what a picture shows and how it was made, as image programs list it.

use png::{BitDepth, ColorType, Compression, Encoder, EncodingError, Filter};

/// Lines of text inside a PNG file, a keyword and a value each: tEXt where it is plain ASCII, else iTXt (PNG specification,
/// third edition, 11.3.3).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Notes(Vec<(&'static str, String)>);

impl Notes {
    /// No text.
    pub const NONE: Notes = Notes(vec![]);

    /// The same with one more line; `keyword` is 1 to 79 letters.
    pub fn with(mut self, keyword: &'static str, value: impl ToString) -> Notes {
        self.0.push((keyword, value.to_string()));
        self
    }

    /// The same with one more line where there is something to say.
    pub fn with_some(self, keyword: &'static str, value: Option<impl ToString>) -> Notes {
        match value {
            Some(value) => self.with(keyword, value),
            None => self,
        }
    }
}

/// An encoder of 8-bit pictures in memory, with these notes.
pub(super) fn encoder<'a>(
    bytes: &'a mut Vec<u8>,
    [width, height]: [u32; 2],
    color: ColorType,
    notes: &Notes,
) -> Result<Encoder<'static, &'a mut Vec<u8>>, EncodingError> {
    let mut encoder = Encoder::new(bytes, width, height);
    encoder.set_color(color);
    encoder.set_depth(BitDepth::Eight);
    encoder.set_compression(Compression::Balanced);
    encoder.set_filter(Filter::Adaptive);
    for (keyword, value) in &notes.0 {
        let (keyword, value) = ((*keyword).to_owned(), value.clone());
        match value.is_ascii() {
            true => encoder.add_text_chunk(keyword, value)?,
            false => encoder.add_itxt_chunk(keyword, value)?,
        }
    }
    Ok(encoder)
}

/// A still picture as the bytes of a PNG file.
pub(super) fn still(size: [u32; 2], color: ColorType, values: &[u8], notes: &Notes) -> Result<Vec<u8>, EncodingError> {
    let mut bytes = vec![];
    let mut writer = encoder(&mut bytes, size, color, notes)?.write_header()?;
    writer.write_image_data(values)?;
    writer.finish()?;
    Ok(bytes)
}
