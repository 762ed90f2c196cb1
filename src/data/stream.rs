//! Batches of a set too large for memory, decoded while the device works on the one before.
//!
//! A batch is a pure function of the rule, its position and its step, so a stream may start anywhere, and gives what
//! [`DataSet::batch`](super::DataSet::batch) would.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{self, JoinHandle};

use rayon::prelude::*;

use super::draw::write_floats;
use super::{DrawRule, Index};
use crate::{Error, Result};

/// Batches decoded ahead of the one that was asked for.
const AHEAD: usize = 2;

/// Batches that are in memory at once.
pub(super) const HELD: usize = AHEAD + 1;

/// Where a batch stands: images drawn before it, and its step.
type At = (u64, u32);

/// A thread that decodes batches ahead of their use.
#[derive(Debug)]
pub struct Stream {
    index: Arc<Index>,
    rule: DrawRule,
    /// `None` only while the stream is dropped: closing it ends the thread.
    requests: Option<Sender<At>>,
    batches: Receiver<Result<Vec<f32>>>,
    /// What was requested and not received yet, in order.
    under_way: VecDeque<At>,
    /// What was asked for last.
    last: Option<At>,
    thread: Option<JoinHandle<()>>,
}

impl Stream {
    /// Starts a stream over an index, best one that went through [`Index::check`]. Phases that draw with different
    /// streams share the index.
    ///
    /// # Errors
    /// [`Error::Io`] when the system gives no thread.
    pub fn start(index: &Arc<Index>, rule: DrawRule) -> Result<Stream> {
        let (requests, steps) = channel::<At>();
        let (done, batches) = channel();
        let source = Arc::clone(index);
        let work = move || {
            // Ends when either side of the stream is gone.
            while let Ok(at) = steps.recv() {
                if done.send(decode(&source, &rule, at)).is_err() {
                    break;
                }
            }
        };
        let thread = thread::Builder::new().name("data".into()).spawn(work);
        let thread = Some(thread.map_err(Error::io(&index.name, "starting the reading thread"))?);
        let index = Arc::clone(index);
        Ok(Stream { index, rule, requests: Some(requests), batches, under_way: VecDeque::new(), last: None, thread })
    }

    /// The batch of `step` that starts after `first` images, `[n, size, size, channels]` in [-1,1]. The ones after it are
    /// decoded meanwhile: those that start n images later each, at steps as far apart as the last two. Any other order
    /// gives the same values, more slowly.
    ///
    /// # Errors
    /// [`Error::Data`] for an image that can't be read, or no longer.
    pub fn batch(&mut self, first: u64, step: u32) -> Result<Vec<f32>> {
        let n = self.rule.n as u64;
        let before = self.last.replace((first, step)).filter(|(f, _)| f.wrapping_add(n) == first);
        let stride = before.map_or(1, |(_, s)| step.wrapping_sub(s));
        if self.under_way.front() != Some(&(first, step)) {
            while !self.under_way.is_empty() {
                let _unwanted = self.receive()?;
            }
            self.request((first, step))?;
        }
        while self.under_way.len() <= AHEAD {
            let (first, step) = self.under_way.back().copied().unwrap_or((first, step));
            self.request((first.wrapping_add(n), step.wrapping_add(stride)))?;
        }
        self.receive()?
    }

    /// The labels of the batch that starts after `first` images, `[n]`, where the set has any.
    pub fn labels(&self, first: u64) -> Option<Vec<f32>> {
        let labels = self.index.labels.as_ref()?;
        Some(self.rule.numbers(first, self.index.count).map(|k| labels[k] as f32).collect())
    }

    fn request(&mut self, at: At) -> Result<()> {
        let sent = self.requests.as_ref().is_some_and(|r| r.send(at).is_ok());
        self.under_way.push_back(at);
        if sent { Ok(()) } else { Err(self.stopped()) }
    }

    fn receive(&mut self) -> Result<Result<Vec<f32>>> {
        self.under_way.pop_front();
        self.batches.recv().map_err(|_| self.stopped())
    }

    fn stopped(&self) -> Error {
        Error::data(&self.index.name, "the thread that reads images has stopped")
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.requests = None;
        // Batches that nobody wants are dropped here, so the thread's last sends don't wait or pile up.
        while self.batches.recv().is_ok() {}
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn decode(index: &Index, rule: &DrawRule, (first, step): At) -> Result<Vec<f32>> {
    let (size, channels) = (index.size, index.channels);
    let elems = size * size * channels;
    let mut out = vec![0.0; rule.n * elems];
    let picks: Vec<_> = rule.picks(first, step, index.count).collect();
    out.par_chunks_exact_mut(elems).zip(picks).try_for_each(|(out, pick)| {
        write_floats(&index.pixels(pick.image)?, &pick, size, channels, out);
        Ok(())
    })?;
    Ok(out)
}
