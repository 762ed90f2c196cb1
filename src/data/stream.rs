//! Batches of a set too large for memory, decoded while the device works on the one before.
//!
//! A batch is a pure function of the rule and its step, so a stream may start at any step, and gives what
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

/// A thread that decodes batches ahead of their use.
#[derive(Debug)]
pub struct Stream {
    index: Arc<Index>,
    rule: DrawRule,
    /// `None` only while the stream is dropped: closing it ends the thread.
    requests: Option<Sender<u32>>,
    batches: Receiver<Result<Vec<f32>>>,
    /// Steps that were requested and not received yet, in order.
    under_way: VecDeque<u32>,
    thread: Option<JoinHandle<()>>,
}

impl Stream {
    /// Starts a stream over an index, best one that went through [`Index::check`]. Phases that draw with different
    /// streams share the index.
    ///
    /// # Errors
    /// [`Error::Io`] when the system gives no thread.
    pub fn start(index: &Arc<Index>, rule: DrawRule) -> Result<Stream> {
        let (requests, steps) = channel::<u32>();
        let (done, batches) = channel();
        let source = Arc::clone(index);
        let work = move || {
            // Ends when either side of the stream is gone.
            while let Ok(step) = steps.recv() {
                if done.send(decode(&source, &rule, step)).is_err() {
                    break;
                }
            }
        };
        let thread = thread::Builder::new().name("data".into()).spawn(work);
        let thread = Some(thread.map_err(Error::io(&index.name, "starting the reading thread"))?);
        let index = Arc::clone(index);
        Ok(Stream { index, rule, requests: Some(requests), batches, under_way: VecDeque::new(), thread })
    }

    /// The batch of `step`, `[n, size, size, channels]` in [-1,1]. The ones after it are decoded meanwhile, so steps in order
    /// are fast; any other order gives the same values.
    ///
    /// # Errors
    /// [`Error::Data`] for an image that can't be read, or no longer.
    pub fn batch(&mut self, step: u32) -> Result<Vec<f32>> {
        if self.under_way.front() != Some(&step) {
            while !self.under_way.is_empty() {
                let _unwanted = self.receive()?;
            }
            self.request(step)?;
        }
        let next = self.under_way.back().map_or(step, |&last| last);
        for ahead in (1..).map_while(|i| next.checked_add(i)).take((AHEAD + 1).saturating_sub(self.under_way.len())) {
            self.request(ahead)?;
        }
        self.receive()?
    }

    /// The labels of the batch of `step`, `[n]`, where the set has any.
    pub fn labels(&self, step: u32) -> Option<Vec<f32>> {
        let labels = self.index.labels.as_ref()?;
        Some(self.rule.picks(step, self.index.count).map(|(k, _)| labels[k] as f32).collect())
    }

    fn request(&mut self, step: u32) -> Result<()> {
        let sent = self.requests.as_ref().is_some_and(|r| r.send(step).is_ok());
        self.under_way.push_back(step);
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

fn decode(index: &Index, rule: &DrawRule, step: u32) -> Result<Vec<f32>> {
    let (size, channels) = (index.size, index.channels);
    let elems = size * size * channels;
    let mut out = vec![0.0; rule.n * elems];
    let picks: Vec<_> = rule.picks(step, index.count).collect();
    out.par_chunks_exact_mut(elems).zip(picks).try_for_each(|(out, (k, flip))| {
        write_floats(&index.pixels(k)?, flip, size, channels, out);
        Ok(())
    })?;
    Ok(out)
}
