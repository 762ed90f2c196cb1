//! Ctrl-C (and SIGTERM): the first asks for an orderly stop, the second leaves at once.

use super::output;
use crate::{Error, Result};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// Exit code of a program that was interrupted.
const INTERRUPTED: i32 = 130;

/// Starts to listen, once in a process: who asks again hears the same. The flag becomes true at the first interrupt; a second one ends
/// the process.
///
/// Errors: the system offers no way to listen, or someone else listens already.
pub fn watch() -> Result<Arc<AtomicBool>> {
    static STOP: Mutex<Option<Arc<AtomicBool>>> = Mutex::new(None);
    let mut known = STOP.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(stop) = &*known {
        return Ok(stop.clone());
    }
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
    *known = Some(stop.clone());
    Ok(stop)
}
