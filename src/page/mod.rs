//! Pages that need nothing beside them: no fonts, no files, charts as SVG.
//!
//! May use nothing. Deliberately absent: what the pages are about.

mod charts;

pub use charts::{Chart, Series, short};

const STYLE: &str = "body{font:15px/1.5 system-ui,sans-serif;color:#1f2328;max-width:60rem;margin:2rem auto;padding:0 1rem}\
h1{font-size:1.5rem}h2{font-size:1.1rem;margin-top:2rem}table{border-collapse:collapse}td,th{padding:.25rem .7rem;\
border-bottom:1px solid #d1d9e0;text-align:right}td:first-child,th:first-child{text-align:left}.big{font-size:1.2rem}\
.charts{display:flex;flex-wrap:wrap;gap:1rem}svg{width:28rem;max-width:100%;font:12px system-ui,sans-serif}.warn{background:#fff8c5;\
border-left:4px solid #d4a72c;padding:.4rem .8rem}img{max-width:100%;image-rendering:pixelated}small{color:#59636e}\
input[type=range]{width:100%;max-width:32rem}pre{background:#f6f8fa;padding:.8rem;overflow:auto;font-size:13px}";

/// Everything before the first heading of a page; it ends with `</body></html>`.
pub fn head(title: &str) -> String {
    format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\">\
         <title>{}</title><style>{STYLE}</style></head><body>",
        escape(title)
    )
}

/// Text that stands in a page.
pub fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// The address of a picture that lies in the page itself.
pub fn png_address(png: &[u8]) -> String {
    format!("data:image/png;base64,{}", base64(png))
}

/// Bytes as text (RFC 4648).
fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for three in bytes.chunks(3) {
        let word = three.iter().fold(0u32, |word, byte| word << 8 | u32::from(*byte)) << (8 * (3 - three.len()));
        for i in 0..4 {
            let digit = char::from(DIGITS[(word >> (18 - 6 * i) & 63) as usize]);
            out.push(if i <= three.len() { digit } else { '=' });
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::base64;

    #[test]
    fn base64_as_in_the_standard() {
        for (bytes, text) in [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foobar", "Zm9vYmFy")] {
            assert_eq!(base64(bytes.as_bytes()), text);
        }
    }
}
