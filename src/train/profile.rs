//! Where the time of iterations goes: a few of them timed kernel by kernel, and what the host does between them.

use super::trainer::{RNG_WORDS, Trainer};
use crate::Result;
use crate::plan::{Program, Slice, Timeline};
use std::time::Instant;

/// Iterations before the first profiled one: compiled, allocated and warm.
const WARM_UP: u64 = 3;

/// A profiled iteration; times in seconds.
#[derive(Clone, Debug)]
pub struct Iteration {
    /// Its number.
    pub step: u64,
    /// Working out and sending the per-step values.
    pub scalars: f64,
    /// Drawing and sending the reals that the host makes.
    pub reals: f64,
    /// Running its plans, waited for; begins with `timeline.submit`.
    pub run: f64,
    /// What the device did meanwhile.
    pub timeline: Timeline,
}

impl Trainer {
    /// [`Trainer::iterate`], with the same effect, that waits for its end and tells where the time went.
    ///
    /// # Errors
    /// A device that has no timestamps; one that fails.
    pub fn profile(&mut self) -> Result<Iteration> {
        let begin = Instant::now();
        self.write_scalars()?;
        let scalars = begin.elapsed().as_secs_f64();
        self.write_batches()?;
        let reals = begin.elapsed().as_secs_f64() - scalars;
        let schedule = self.schedule(self.step);
        let timeline = self.device.profile(&schedule)?;
        self.step += 1;
        let run = begin.elapsed().as_secs_f64() - scalars - reals;
        Ok(Iteration { step: self.step - 1, scalars, reals, run, timeline })
    }

    /// Waits for everything submitted so far.
    ///
    /// # Errors
    /// A device that fails.
    pub fn wait(&mut self) -> Result<()> {
        self.device.read_u32(RNG_WORDS).map(|_| ())
    }

    /// Whether the device can [`Trainer::profile`].
    ///
    /// # Errors
    /// [`crate::Error::Device`] where it can't.
    pub fn check_profile(&mut self) -> Result<()> {
        self.device.profile(&[]).map(|_| ())
    }
}

/// Something the training thread did.
#[derive(Clone, Debug, PartialEq)]
pub struct Span {
    /// What.
    pub name: &'static str,
    /// Seconds since the profile began.
    pub start: f64,
    /// Seconds it took.
    pub seconds: f64,
}

/// What the profiled iterations of a run took.
#[derive(Clone, Debug)]
pub struct Profile {
    /// The device, for people.
    pub device: String,
    /// What it ran: slices refer to its plans and steps.
    pub program: Program,
    /// Numbers of the profiled iterations.
    pub steps: Vec<u64>,
    /// Every kernel of theirs, in order; starts are in seconds since the profile began.
    pub slices: Vec<Slice>,
    /// What the training thread did, in order.
    pub spans: Vec<Span>,
}

/// Records a [`Profile`] while training goes on.
#[derive(Debug)]
pub(super) struct Profiler {
    wanted: usize,
    skipped: u64,
    begin: Instant,
    profile: Profile,
}

impl Profiler {
    /// Of `wanted` iterations after the warm-up.
    pub fn new(wanted: usize, device: String, program: Program) -> Profiler {
        let profile = Profile { device, program, steps: vec![], slices: vec![], spans: vec![] };
        Profiler { wanted, skipped: 0, begin: Instant::now(), profile }
    }

    /// Whether the iteration that comes next is to be profiled.
    pub fn is_due(&mut self) -> bool {
        if self.skipped < WARM_UP {
            self.skipped += 1;
            return false;
        }
        true
    }

    /// Whether every wanted iteration was recorded.
    pub fn is_complete(&self) -> bool {
        self.profile.steps.len() == self.wanted
    }

    /// What was recorded.
    pub fn finish(self) -> Profile {
        self.profile
    }

    /// An iteration that began at `from`.
    pub fn add(&mut self, iteration: Iteration, from: Instant) {
        let p = &mut self.profile;
        if p.steps.is_empty() {
            self.begin = from;
        }
        p.steps.push(iteration.step);
        let submit = iteration.timeline.submit.min(iteration.run);
        let named = [
            ("write scalars", iteration.scalars),
            ("draw and write reals", iteration.reals),
            ("encode and submit", submit),
            (if submit > 0.0 { "wait for the device" } else { "run" }, iteration.run - submit),
        ];
        let mut start = from.saturating_duration_since(self.begin).as_secs_f64();
        // The clocks of host and device have no common origin. The first kernel is put where its submission ends, or before
        // that (a device need not wait for the call to return), so that the last one ends before the wait for it does.
        let submitted = start + iteration.scalars + iteration.reals;
        let length = iteration.timeline.slices.last().map_or(0.0, |slice| slice.start + slice.seconds);
        let device = (submitted + submit).min(submitted + iteration.run - length).max(submitted);
        let device = device.max(p.slices.last().map_or(0.0, |slice| slice.start + slice.seconds));
        for (name, seconds) in named {
            if seconds > 0.0 {
                p.spans.push(Span { name, start, seconds });
            }
            start += seconds;
        }
        let slices = iteration.timeline.slices.into_iter();
        p.slices.extend(slices.map(|slice| Slice { start: device + slice.start, ..slice }));
    }

    /// Something else that the training thread did since `from`, once recording has begun.
    pub fn span(&mut self, name: &'static str, from: Instant) {
        if !self.profile.steps.is_empty() {
            let start = from.saturating_duration_since(self.begin).as_secs_f64();
            self.profile.spans.push(Span { name, start, seconds: from.elapsed().as_secs_f64() });
        }
    }
}
