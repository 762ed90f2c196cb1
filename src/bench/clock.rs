//! The timing protocol: the first call apart, two warm-ups, then samples until there are enough, each one waited for.

use crate::Result;
use serde::Serialize;
use std::time::Instant;

/// Calls between the first and the first sample.
const WARM_UPS: usize = 2;
/// Samples even where they take longer than they may.
const FEWEST: usize = 3;
/// Where other processes took more than this share of the cores, times can't be relied on.
const BUSY: f64 = 0.05;

/// When there are enough samples.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// At least this many …
    pub samples: usize,
    /// … and at least this many seconds of them …
    pub least_s: f64,
    /// … but no more than so many seconds, once there are three.
    pub most_s: f64,
    /// Exactly this many, however long they take.
    pub exactly: Option<usize>,
}

impl Limits {
    /// At least five samples and two seconds, at most `most_s` seconds.
    pub fn of(most_s: f64) -> Limits {
        Limits { samples: 5, least_s: 2.0, most_s, exactly: None }
    }

    fn is_enough(&self, samples: usize, seconds: f64) -> bool {
        match self.exactly {
            Some(count) => samples >= count,
            None if samples < FEWEST => false,
            None => seconds >= self.most_s || samples >= self.samples && seconds >= self.least_s,
        }
    }
}

/// What was measured; times in seconds.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Timing {
    /// The middle sample.
    pub median_s: f64,
    /// The fastest sample.
    pub min_s: f64,
    /// Samples.
    pub reps: usize,
    /// The first call of all, with everything that is done only once.
    pub first_s: f64,
    /// Mean time of all cores that a sample took from this process, where the system tells.
    pub cpu_s: Option<f64>,
    /// One-minute load of the machine at the start, where the system tells.
    pub load1: Option<f64>,
    /// Share of the machine's cores that other processes took while samples were taken, where the system tells.
    pub others_cpu: Option<f64>,
}

impl Timing {
    /// The same for one of `count` equal parts of a sample.
    pub fn shared_by(self, count: u32) -> Timing {
        let share = |s: f64| s / f64::from(count);
        Timing { median_s: share(self.median_s), min_s: share(self.min_s), cpu_s: self.cpu_s.map(share), ..self }
    }
}

/// Samples `run`, which does one thing and waits for its end. `first_s` is what the first call took, done before.
///
/// # Errors
/// That of `run`.
pub fn sample(limits: &Limits, first_s: f64, run: &mut dyn FnMut() -> Result<()>) -> Result<Timing> {
    let load1 = load();
    let begin = Instant::now();
    for _ in 0..WARM_UPS {
        if begin.elapsed().as_secs_f64() < limits.most_s {
            run()?;
        }
    }
    let before = Ticks::now();
    let (mut samples, mut total) = (vec![], 0.0);
    while !limits.is_enough(samples.len(), total) {
        let begin = Instant::now();
        run()?;
        let seconds = begin.elapsed().as_secs_f64();
        samples.push(seconds);
        total += seconds;
    }
    let used = before.zip(Ticks::now()).map(|(from, to)| to.since(&from));
    samples.sort_by(f64::total_cmp);
    let reps = samples.len();
    Ok(Timing {
        median_s: samples[reps / 2],
        min_s: samples[0],
        reps,
        first_s,
        cpu_s: used.as_ref().map(|u| u.own / TICKS_A_SECOND / reps as f64),
        load1,
        others_cpu: used.as_ref().map(Ticks::others),
    })
}

/// The share of the cores that other processes took, where it is large enough to disturb.
pub fn disturbance(others_cpu: Option<f64>) -> Option<f64> {
    others_cpu.filter(|share| *share > BUSY)
}

/// Times one call.
///
/// # Errors
/// That of `run`.
pub fn time<T>(run: impl FnOnce() -> Result<T>) -> Result<(T, f64)> {
    let begin = Instant::now();
    let value = run()?;
    Ok((value, begin.elapsed().as_secs_f64()))
}

/// Linux counts processor time in hundredths of a second.
const TICKS_A_SECOND: f64 = 100.0;

/// Processor time in hundredths of a second.
#[derive(Clone, Copy, Debug)]
struct Ticks {
    /// Of all cores.
    all: f64,
    /// Of all cores that were busy.
    busy: f64,
    /// Of this process.
    own: f64,
}

impl Ticks {
    fn now() -> Option<Ticks> {
        let number = |field: &str| field.parse::<f64>().ok();
        let machine = std::fs::read_to_string("/proc/stat").ok()?;
        // user nice system idle iowait irq softirq steal
        let line: Option<Vec<f64>> = machine.lines().next()?.split_whitespace().skip(1).take(8).map(number).collect();
        let line = line.filter(|l| l.len() == 8)?;
        let process = std::fs::read_to_string("/proc/self/stat").ok()?;
        // User and system time are the 14th and 15th field; a name in brackets may hold spaces.
        let mut fields = process.rsplit(')').next()?.split_whitespace().skip(11);
        let own = number(fields.next()?)? + number(fields.next()?)?;
        let all: f64 = line.iter().sum();
        Some(Ticks { all, busy: all - line[3] - line[4], own })
    }

    fn since(&self, from: &Ticks) -> Ticks {
        Ticks { all: self.all - from.all, busy: self.busy - from.busy, own: self.own - from.own }
    }

    /// Share of all cores that other processes took.
    fn others(&self) -> f64 {
        ((self.busy - self.own) / self.all.max(1.0)).max(0.0)
    }
}

fn load() -> Option<f64> {
    std::fs::read_to_string("/proc/loadavg").ok()?.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_end_by_count_or_time() {
        let limits = Limits { samples: 5, least_s: 2.0, most_s: 20.0, exactly: None };
        for (samples, seconds, enough) in
            [(2, 100.0, false), (3, 19.0, false), (3, 21.0, true), (5, 1.9, false), (5, 2.1, true), (4, 3.0, false)]
        {
            assert_eq!(limits.is_enough(samples, seconds), enough, "{samples} in {seconds} s");
        }
        let exact = Limits { exactly: Some(2), ..limits };
        assert!(!exact.is_enough(1, 100.0) && exact.is_enough(2, 0.0));
    }

    #[test]
    fn the_first_call_and_the_warm_ups_are_no_samples() {
        let mut calls = 0;
        let limits = Limits { exactly: Some(4), ..Limits::of(20.0) };
        let timing = sample(&limits, 7.0, &mut || {
            calls += 1;
            Ok(())
        });
        let timing = timing.unwrap();
        assert_eq!((calls, timing.reps, timing.first_s), (WARM_UPS + 4, 4, 7.0));
        assert!(timing.min_s <= timing.median_s);
    }

    #[test]
    fn others_are_what_is_busy_and_not_own() {
        let from = Ticks { all: 1000.0, busy: 600.0, own: 100.0 };
        let to = Ticks { all: 1200.0, busy: 750.0, own: 200.0 };
        assert_eq!(to.since(&from).others(), 0.25);
        // Ticks of a process are not counted at the moment those of the machine are.
        assert_eq!(Ticks { all: 100.0, busy: 99.0, own: 101.0 }.others(), 0.0);
    }
}
