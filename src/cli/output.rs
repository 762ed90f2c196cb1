//! Printed lines and numbers for people. A closed pipe (`danskin plan | head`) is no error here: what can't be shown is
//! dropped, and training goes on.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::fmt::Display;
use std::io::Write;

/// A line on stdout.
pub fn line(text: impl Display) {
    let _ = writeln!(std::io::stdout().lock(), "{text}");
}

/// `error: …` on stderr.
pub fn error(error: impl Display) {
    let _ = writeln!(std::io::stderr().lock(), "error: {error}");
}

/// `warning: …` on stderr.
pub fn warning(text: impl Display) {
    let _ = writeln!(std::io::stderr().lock(), "warning: {text}");
}

/// A bar for work of known length, shown where stdout is a terminal.
pub fn counter(what: &str) -> ProgressBar {
    let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stdout());
    match ProgressStyle::with_template(&format!("{what} {{bar:32}} {{pos}}/{{len}}  {{eta}}  {{msg}}")) {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}

/// Moves a [`counter`].
pub fn count(bar: &ProgressBar, done: usize, total: usize) {
    bar.set_length(total as u64);
    bar.set_position(done as u64);
}

/// What a [`counter`] says beside its numbers.
pub fn note(bar: &ProgressBar, text: String) {
    bar.set_message(text);
}

/// A bar for an attack on images, which moves within a batch; shown where stdout is a terminal.
pub fn attack_bar(what: &str) -> ProgressBar {
    let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stdout()).with_message(what.to_owned());
    match ProgressStyle::with_template("{msg} {bar:32} {prefix} images  ETA {eta}") {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}

/// Moves an [`attack_bar`]: so many images, with a share of those under way, are done of so many.
pub fn attacked(bar: &ProgressBar, done: f64, total: usize) {
    bar.set_length(1000 * total as u64);
    bar.set_position((1000.0 * done) as u64);
    bar.set_prefix(format!("{done:.0}/{total}"));
}

/// Bytes with a binary unit: `1.50 GiB`.
pub fn bytes(count: u64) -> String {
    const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    if count < 1024 {
        return format!("{count} B");
    }
    let power = (count.ilog2() as usize / 10).min(UNITS.len());
    let value = count as f64 / f64::powi(1024.0, power as i32);
    format!("{value:.2} {}", UNITS[power - 1])
}

/// Seconds in the two units that matter: `42 s`, `3 min 05 s`, `2 h 07 min`, `5 d 11 h`; `?` where they are not known.
pub fn duration(seconds: f64) -> String {
    if !seconds.is_finite() || seconds < 0.0 {
        return "?".into();
    }
    let s = seconds.round() as u64;
    match s {
        0..60 => format!("{s} s"),
        60..3600 => format!("{} min {:02} s", s / 60, s % 60),
        3600..86_400 => format!("{} h {:02} min", s / 3600, s / 60 % 60),
        _ => format!("{} d {:02} h", s / 86_400, s / 3600 % 24),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_for_people() {
        for (count, text) in
            [(0, "0 B"), (1023, "1023 B"), (1024, "1.00 KiB"), (1_610_612_736, "1.50 GiB"), (u64::MAX, "16384.00 PiB")]
        {
            assert_eq!(bytes(count), text);
        }
        for (seconds, text) in [
            (0.4, "0 s"),
            (59.6, "1 min 00 s"),
            (185.0, "3 min 05 s"),
            (7620.0, "2 h 07 min"),
            (471_600.0, "5 d 11 h"),
            (f64::NAN, "?"),
            (f64::INFINITY, "?"),
            (-1.0, "?"),
        ] {
            assert_eq!(duration(seconds), text);
        }
    }
}
