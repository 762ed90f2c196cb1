//! Long schedules in parts, for a person who waits: between two of them somebody hears how far the work is, and may stop it.
//!
//! A part is a run of plans as they would have run anyway, and what they leave for each other stays on the device: where a schedule is cut
//! changes no bit.

use crate::Result;
use crate::plan::Plan;
use std::time::Instant;

/// Seconds that a part should take.
const SECONDS: f64 = 0.5;
/// Share of the work in the first part, when nothing is known of the device.
const FIRST: f64 = 1.0 / 64.0;
/// Operations that a step costs even where it does nothing.
const LAUNCH: f64 = 1e5;

/// How much of a schedule goes out at once.
pub(super) struct Pace {
    /// Estimated operations of a run of each plan.
    work: Vec<f64>,
    /// Of a whole schedule.
    total: f64,
    /// Most of them in the next part.
    most: f64,
}

impl Pace {
    pub(super) fn new(plans: &[Plan], schedule: &[(usize, u32)]) -> Pace {
        let of = |plan: &Plan| plan.steps.iter().map(|step| step.flops as f64 + LAUNCH).sum();
        let work: Vec<f64> = plans.iter().map(of).collect();
        let total = schedule.iter().map(|&(plan, times)| f64::from(times) * work[plan]).sum();
        Pace { work, total, most: total * FIRST }
    }

    /// Runs a schedule part by part: `part` runs one and waits for it. `heard` hears the share of the work that is done after each but the
    /// last, and says whether to go on; returns whether everything ran.
    pub(super) fn run(
        &mut self,
        schedule: &[(usize, u32)],
        mut part: impl FnMut(&[(usize, u32)]) -> Result<()>,
        heard: &mut dyn FnMut(f64) -> bool,
    ) -> Result<bool> {
        let (mut left, mut done) = (schedule.to_vec(), 0.0);
        left.reverse();
        while !left.is_empty() {
            let (next, work) = self.next(&mut left);
            let from = Instant::now();
            part(&next)?;
            let seconds = from.elapsed().as_secs_f64().max(1e-6);
            // Not faster than fourfold: the first parts of a schedule may be unlike those that follow.
            self.most = work * (SECONDS / seconds).clamp(0.25, 4.0);
            done += work;
            if !left.is_empty() && !heard(done / self.total.max(1.0)) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Takes the next part from the end of what is left, which is in reverse order, with the work it is.
    fn next(&self, left: &mut Vec<(usize, u32)>) -> (Vec<(usize, u32)>, f64) {
        let (mut part, mut work) = (vec![], 0.0);
        while let Some((plan, times)) = left.pop() {
            let each = self.work[plan];
            let fits = ((self.most - work) / each.max(1.0)).floor();
            // Something always runs.
            let least = u32::from(part.is_empty());
            let now = if fits >= f64::from(times) { times } else { (fits.max(0.0) as u32).max(least).min(times) };
            if now > 0 {
                part.push((plan, now));
                work += f64::from(now) * each;
            }
            if now < times {
                left.push((plan, times - now));
                break;
            }
        }
        (part, work)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pace(work: &[f64], most: f64) -> Pace {
        Pace { work: work.to_vec(), total: 100.0, most }
    }

    #[test]
    fn parts_hold_what_fits_and_at_least_one_run() {
        let cut = |most: f64| {
            let (pace, mut left, mut parts) = (pace(&[1.0, 10.0], most), vec![(0, 3), (1, 5), (0, 1)], vec![]);
            left.reverse();
            while !left.is_empty() {
                parts.push(pace.next(&mut left).0);
            }
            parts
        };
        assert_eq!(cut(1e9), [vec![(0, 3), (1, 5), (0, 1)]]);
        assert_eq!(cut(25.0), [vec![(0, 3), (1, 2)], vec![(1, 2)], vec![(1, 1), (0, 1)]]);
        assert_eq!(
            cut(0.5),
            [
                vec![(0, 1)],
                vec![(0, 1)],
                vec![(0, 1)],
                vec![(1, 1)],
                vec![(1, 1)],
                vec![(1, 1)],
                vec![(1, 1)],
                vec![(1, 1)],
                vec![(0, 1)]
            ]
        );
    }

    #[test]
    fn whoever_listens_may_stop_it() {
        let (mut ran, mut heard) = (0, vec![]);
        let mut slow = pace(&[10.0], 10.0);
        let whole = slow.run(
            &[(0, 10)],
            |part| {
                ran += part[0].1;
                std::thread::sleep(std::time::Duration::from_millis(20));
                Ok(())
            },
            &mut |share| {
                heard.push(share);
                heard.len() < 2
            },
        );
        // Twenty milliseconds are far below what a part may take: the second is four times as long.
        assert!(!whole.unwrap());
        assert_eq!((ran, heard), (5, vec![0.1, 0.5]));
        assert!(slow.run(&[(0, 3)], |_| Ok(()), &mut |_| true).unwrap());
    }
}
