//! Programs that fit: planned again with recomputation where memory is short.

use super::Device;
use crate::gpu::human;
use crate::plan::{Executor, Program};
use crate::{Error, Result};
use std::fmt;

/// When intermediate values are made again instead of kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Recompute {
    /// Never.
    Off,
    /// Where the program does not fit otherwise.
    #[default]
    Auto,
    /// Always.
    On,
}

/// How a program may be made to fit.
#[derive(Clone, Copy, Debug, Default)]
pub struct Fit {
    /// When values are made again.
    pub recompute: Recompute,
    /// Most bytes a program may take, beside what the device has anyway.
    pub limit: Option<u64>,
}

/// What recomputation does to a program.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Recomputed {
    /// Steps that are repeated.
    pub steps: usize,
    /// Bytes of work memory without it …
    pub before: u64,
    /// … and with it.
    pub after: u64,
    /// Additional floating-point operations, as a share of those without.
    pub extra: f64,
}

/// A program on a device, and what it was planned as.
pub struct Fitted<T> {
    /// What `plan` returned.
    pub planned: T,
    /// The device with the program loaded.
    pub executor: Box<dyn Executor>,
    /// What is made again, if anything is.
    pub recomputed: Option<Recomputed>,
}

impl Recomputed {
    /// The difference between a program and the same one with recomputation; `None` if there is none.
    pub fn between(plain: &Program, again: &Program) -> Option<Recomputed> {
        let steps = |p: &Program| p.plans.iter().map(|plan| plan.steps.len()).sum::<usize>();
        let (before, after) = (plain.work_bytes(), again.work_bytes());
        let extra = again.flops() as f64 / plain.flops().max(1) as f64 - 1.0;
        let steps = steps(again).saturating_sub(steps(plain));
        (after < before).then_some(Recomputed { steps, before, after, extra })
    }
}

impl fmt::Display for Recomputed {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let (steps, before, after) = (self.steps, human(self.before), human(self.after));
        let extra = 100.0 * self.extra;
        let s = if steps == 1 { "" } else { "s" };
        write!(
            f,
            "recomputing {steps} activation{s}: {before} of work memory become {after} for {extra:.0} % more arithmetic"
        )
    }
}

impl Device {
    /// Plans with measured schedules (see [`Device::tuned`]) and loads what was planned. `plan` is told whether to plan with
    /// recomputation (`plan::Options::recompute`): it is where `fit` says so.
    ///
    /// # Errors
    /// Those of `plan`; a program that does not fit; a device that fails.
    pub fn fitted<T>(
        &self,
        fit: &Fit,
        program: impl Fn(&T) -> &Program,
        plan: impl Fn(&Device, bool) -> Result<T>,
    ) -> Result<Fitted<T>> {
        let (device, plain) = self.tuned(&program, |device| plan(device, false))?;
        let load = |planned: &T| device.load_within(program(planned).clone(), fit.limit);
        let refused = match fit.recompute {
            Recompute::On => None,
            Recompute::Auto | Recompute::Off => match load(&plain) {
                Err(Error::Memory { device, reason }) if fit.recompute == Recompute::Off => {
                    return Err(Error::memory(device, format!("{reason}, or set plan.recompute=auto")));
                }
                Err(error @ Error::Memory { .. }) => Some(error),
                loaded => return Ok(Fitted { executor: loaded?, planned: plain, recomputed: None }),
            },
        };
        // The same shapes: what was measured holds for the second plan too.
        let again = plan(&device, true)?;
        let recomputed = Recomputed::between(program(&plain), program(&again));
        match (recomputed, refused) {
            (None, Some(error)) => Err(error),
            (None, None) => Ok(Fitted { executor: load(&plain)?, planned: plain, recomputed }),
            (Some(done), _) => match load(&again) {
                Err(Error::Memory { device, reason }) => {
                    Err(Error::memory(device, format!("{reason} (this is after {done})")))
                }
                loaded => Ok(Fitted { executor: loaded?, planned: again, recomputed }),
            },
        }
    }
}
