//! Opening a device for a command: the user's cache folder, measured schedules, and how far preparations are.

use super::args::TuningArgs;
use super::device::DeviceChoice;
use super::output;
use crate::device::{Device, Listener, Notice, Setup};
use crate::{Result, cache};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::IsTerminal;
use std::sync::{Arc, Mutex, PoisonError};

/// The device of a command; says where `auto` fell back to the host.
///
/// # Errors
/// No such device; a file of schedules that can't be used.
pub fn open(choice: DeviceChoice, tuning: &TuningArgs) -> Result<Device> {
    let setup = Setup { listener: Some(listener()), ..quiet(tuning) };
    let (device, notice) = Device::select_with(&choice.to_string(), setup)?;
    notice.iter().for_each(output::line);
    Ok(device)
}

/// What a device is opened with where nothing but warnings is to be shown.
pub fn quiet(tuning: &TuningArgs) -> Setup {
    let warn = |notice| {
        if let Notice::Warning(text) = notice {
            output::warning(text);
        }
    };
    Setup {
        cache: cache::folder(),
        autotune: tuning.autotune,
        tuning: tuning.tuning.clone(),
        listener: Some(Arc::new(warn)),
    }
}

/// Shows a bar on a terminal, and elsewhere a line when something is done.
fn listener() -> Listener {
    let bar: Mutex<Option<ProgressBar>> = Mutex::new(None);
    let shown = std::io::stdout().is_terminal();
    Arc::new(move |notice| {
        let mut bar = bar.lock().unwrap_or_else(PoisonError::into_inner);
        match notice {
            Notice::Compiling { done, total } if shown => step(&mut bar, "kernels", done, total, String::new()),
            Notice::Tuning { done, total, shape } if shown && done < total => {
                step(&mut bar, "schedules", done, total, shape);
            }
            Notice::Compiling { .. } => {}
            Notice::Compiled { total, cached, seconds } => {
                clear(&mut bar);
                if !shown {
                    output::line(compiled(total, cached, seconds));
                }
            }
            Notice::Tuning { done, total, .. } => {
                if done == total {
                    clear(&mut bar);
                    output::line(format_args!("schedules of {total} shapes measured"));
                }
            }
            Notice::Warning(text) => match &*bar {
                Some(bar) => bar.suspend(|| output::warning(text)),
                None => output::warning(text),
            },
        }
    })
}

fn step(bar: &mut Option<ProgressBar>, what: &'static str, done: usize, total: usize, text: String) {
    let bar = bar.get_or_insert_with(|| {
        let bar = ProgressBar::with_draw_target(Some(total as u64), ProgressDrawTarget::stdout());
        match ProgressStyle::with_template("{prefix} {bar:32} {pos}/{len}  {msg}") {
            Ok(style) => bar.with_style(style),
            Err(_) => bar,
        }
    });
    bar.set_prefix(what);
    bar.set_message(text);
    bar.set_length(total as u64);
    // Threads may report out of order.
    bar.set_position(bar.position().max(done as u64));
}

fn clear(bar: &mut Option<ProgressBar>) {
    if let Some(bar) = bar.take() {
        bar.finish_and_clear();
    }
}

/// `57 kernels compiled in 4.1 s, 40 of them from the cache`
fn compiled(total: usize, cached: usize, seconds: f64) -> String {
    let from_cache = if cached > 0 { format!(", {cached} of them from the cache") } else { String::new() };
    format!("{total} kernels compiled in {seconds:.1} s{from_cache}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_in_words() {
        assert_eq!(compiled(57, 40, 4.14), "57 kernels compiled in 4.1 s, 40 of them from the cache");
        assert_eq!(compiled(57, 0, 0.0), "57 kernels compiled in 0.0 s");
    }
}
