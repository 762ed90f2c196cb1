//! Ctrl-C (and SIGTERM): the first asks for an orderly stop, the second leaves at once.

use super::output;
use crate::{Error, Result};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Exit code of a program that was interrupted.
const INTERRUPTED: i32 = 130;

/// Starts to listen, once in a process. The flag becomes true at the first interrupt; a second one ends the process.
///
/// Errors: the system offers no way to listen, or someone listens already.
pub fn watch() -> Result<Arc<AtomicBool>> {
    let stop = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&stop);
    // The handler runs on a thread of its own, so it may print and exit.
    let handler = move || {
        if flag.swap(true, Ordering::SeqCst) {
            std::process::exit(INTERRUPTED);
        }
        output::warning("stopping after this step; press Ctrl-C again to leave at once");
    };
    ctrlc::set_handler(handler).map_err(|e| Error::Training(format!("can't listen for Ctrl-C: {e}")))?;
    Ok(stop)
}
