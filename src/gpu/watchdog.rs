//! Drivers reset a device that works on one submission for seconds (Windows after two). The first run of a plan measures its
//! launches; later ones go out in as few submissions as stay clear of that, for most models one.

use super::executor::Gpu;
use super::notice::Notice;
use super::replay::Launch;
use crate::Result;
use std::time::Instant;

/// Most estimated seconds of a submission on a hardware adapter.
pub(super) const SUBMISSION_SECONDS: f64 = 0.5;
/// Launches of the first submission of a run that is measured …
const FIRST: usize = 32;
/// … and most launches of a later one.
const MOST: usize = 1024;

/// Cuts `items` into runs of at most `most` seconds, as long as they can be; one that is longer stands alone.
pub(super) fn split<T>(items: &[T], most: Option<f64>, seconds: impl Fn(&T) -> f64) -> Vec<&[T]> {
    let Some(most) = most else { return vec![items] };
    let (mut parts, mut start, mut spent) = (vec![], 0, 0.0);
    for (i, item) in items.iter().enumerate() {
        let next = seconds(item);
        if i > start && spent + next > most {
            parts.push(&items[start..i]);
            (start, spent) = (i, 0.0);
        }
        spent += next;
    }
    parts.push(&items[start..]);
    parts
}

impl Gpu {
    /// Whether a schedule holds a plan whose launches have no times yet, on a device that needs them.
    pub(super) fn needs_measuring(&self, schedule: &[(usize, u32)]) -> Result<bool> {
        Ok(self.limit.is_some() && self.launches(schedule)?.any(|(_, launch)| launch.seconds.is_none()))
    }

    /// Runs a schedule in short submissions and notes how long each launch takes; warns of one that alone is too long.
    pub(super) fn measured_run(&mut self, schedule: &[(usize, u32)]) -> Result<()> {
        let limit = self.limit.unwrap_or(f64::INFINITY);
        let indices = |&(plan, times): &(usize, u32)| {
            let len = self.plans[plan].len();
            (0..times).flat_map(move |_| (0..len).map(move |launch| (plan, launch)))
        };
        let order: Vec<(usize, usize)> = schedule.iter().flat_map(indices).collect();
        let (mut at, mut count) = (0, FIRST);
        while at < order.len() {
            let part = &order[at..order.len().min(at + count)];
            let seconds = self.timed(part)?;
            let sum: f64 = seconds.iter().sum();
            // Twice as many where that stays far below the limit, fewer where it was passed.
            count = if sum > limit { (count / 2).max(1) } else { count };
            count = if sum < limit / 4.0 { (2 * count).min(MOST) } else { count };
            for (&(plan, launch), seconds) in part.iter().zip(seconds) {
                let launch = &mut self.plans[plan][launch];
                let is_first_long = seconds > limit && launch.seconds.is_none_or(|before| before <= limit);
                launch.seconds = Some(launch.seconds.unwrap_or(0.0).max(seconds));
                if is_first_long {
                    let text = format!(
                        "{}: one launch took {seconds:.2} s; drivers reset a device that is busy for about 2 s: a smaller \
                         train.batch shortens it",
                        launch.label
                    );
                    self.device.notify(Notice::Warning(text));
                }
            }
            at += part.len();
        }
        Ok(())
    }

    /// Runs launches as one submission and returns the seconds of each: by timestamps, else an equal share of the whole.
    fn timed(&mut self, part: &[(usize, usize)]) -> Result<Vec<f64>> {
        let launch = |&(plan, launch): &(usize, usize)| (plan, &self.plans[plan][launch]);
        let launches: Vec<(usize, &Launch)> = part.iter().map(launch).collect();
        if self.device.facts().timestamps {
            let (_, ticks) = self.time(&launches)?;
            let period = f64::from(self.device.0.queue.get_timestamp_period()) * 1e-9;
            self.counters.dispatches += part.len() as u64;
            self.counters.submissions += 1;
            return Ok(ticks.chunks_exact(2).map(|t| t[1].saturating_sub(t[0]) as f64 * period).collect());
        }
        let launches: Vec<&Launch> = launches.into_iter().map(|(_, launch)| launch).collect();
        let (commands, count) = (self.record(&launches), launches.len());
        let start = Instant::now();
        self.submit(commands, count as u64)?;
        self.wait()?;
        Ok(vec![start.elapsed().as_secs_f64() / count as f64; count])
    }
}

#[cfg(test)]
mod tests {
    use super::split;

    #[test]
    fn submissions_are_as_long_as_they_can_be() {
        let lens = |times: &[f64], most| split(times, most, |t| *t).iter().map(|part| part.len()).collect::<Vec<_>>();
        assert_eq!(lens(&[0.1, 0.1, 0.2, 0.1, 0.3, 0.25], Some(0.5)), [4, 1, 1]);
        assert_eq!(lens(&[0.1; 12], Some(0.55)), [5, 5, 2]);
        assert_eq!(lens(&[0.1; 12], None), [12]);
        // One that is too long by itself takes nothing with it.
        assert_eq!(lens(&[0.1, 0.9, 0.1, 0.1], Some(0.5)), [1, 1, 2]);
        assert_eq!(lens(&[2.0], Some(0.5)), [1]);
        assert_eq!(lens(&[], Some(0.5)), [0]);
        assert_eq!(lens(&[0.0; 1000], Some(0.5)), [1000]);
    }
}
