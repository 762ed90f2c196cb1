//! Where the time goes: a schedule run with a pass and two timestamps around every launch. Slower than a normal run, which
//! is one pass; the ratios are what it is for.

use super::executor::Gpu;
use super::replay::Launch;
use crate::Result;
use crate::plan::{Slice, Timeline};
use std::time::Instant;
use wgpu::{
    BufferDescriptor, BufferUsages, CommandEncoderDescriptor, ComputePassDescriptor, ComputePassTimestampWrites,
    QUERY_RESOLVE_BUFFER_ALIGNMENT, QUERY_SIZE, QuerySetDescriptor, QueryType,
};

/// Launches a submission; a query set holds two timestamps for each.
const PART: usize = 1024;

impl Gpu {
    /// [`crate::plan::Executor::profile`].
    pub(super) fn timeline(&self, schedule: &[(usize, u32)]) -> Result<Timeline> {
        if !self.device.facts().timestamps {
            return Err(self.device.error("has no timestamps, which profiling needs"));
        }
        let launches: Vec<(usize, &Launch)> = self.launches(schedule)?.collect();
        let (mut timeline, mut origin) = (Timeline::default(), None);
        for part in launches.chunks(PART) {
            let (submit, ticks) = self.time(part)?;
            timeline.submit += submit;
            let period = f64::from(self.device.0.queue.get_timestamp_period()) * 1e-9;
            for (&(plan, launch), ticks) in part.iter().zip(ticks.chunks_exact(2)) {
                let origin = *origin.get_or_insert(ticks[0]);
                // A device may begin a pass before the one before it has ended; what is told is when it ran alone.
                let begin = timeline.slices.last().map_or(0.0, |s: &Slice| s.start + s.seconds);
                let start = (ticks[0].saturating_sub(origin) as f64 * period).max(begin);
                let end = (ticks[1].saturating_sub(origin) as f64 * period).max(start);
                let (step, part, kernel) = (launch.step, launch.part, launch.label.clone());
                timeline.slices.push(Slice { plan, step, part, kernel, start, seconds: end - start });
            }
        }
        Ok(timeline)
    }

    /// Seconds to record and submit, and two timestamps per launch.
    pub(super) fn time(&self, launches: &[(usize, &Launch)]) -> Result<(f64, Vec<u64>)> {
        let begin = Instant::now();
        let (device, queue) = (&self.device.0.device, &self.device.0.queue);
        let count = 2 * launches.len() as u32;
        let set = device.create_query_set(&QuerySetDescriptor { label: None, ty: QueryType::Timestamp, count });
        let size = (u64::from(count) * u64::from(QUERY_SIZE)).next_multiple_of(QUERY_RESOLVE_BUFFER_ALIGNMENT);
        let buffer =
            |usage| device.create_buffer(&BufferDescriptor { label: None, size, usage, mapped_at_creation: false });
        let resolved = buffer(BufferUsages::QUERY_RESOLVE | BufferUsages::COPY_SRC);
        let staging = buffer(BufferUsages::MAP_READ | BufferUsages::COPY_DST);
        let mut encoder = device.create_command_encoder(&CommandEncoderDescriptor { label: Some("profile") });
        for ((_, launch), first) in launches.iter().zip((0..).step_by(2)) {
            let mut pass = encoder.begin_compute_pass(&ComputePassDescriptor {
                label: Some(&launch.label),
                timestamp_writes: Some(ComputePassTimestampWrites {
                    query_set: &set,
                    beginning_of_pass_write_index: Some(first),
                    end_of_pass_write_index: Some(first + 1),
                }),
            });
            pass.set_pipeline(&launch.pipeline);
            pass.set_bind_group(0, &launch.group, &[]);
            let [x, y, z] = launch.workgroups;
            pass.dispatch_workgroups(x, y, z);
        }
        encoder.resolve_query_set(&set, 0..count, &resolved, 0);
        encoder.copy_buffer_to_buffer(&resolved, 0, &staging, 0, size);
        let submission = queue.submit([encoder.finish()]);
        let submit = begin.elapsed().as_secs_f64();
        staging.map_async(wgpu::MapMode::Read, .., |_| {});
        self.device.poll(Some(&submission))?;
        let view = staging.get_mapped_range(..).map_err(|e| self.device.error(e.to_string()))?;
        let mut ticks: Vec<u64> = bytemuck::pod_collect_to_vec(&view[..]);
        ticks.truncate(2 * launches.len());
        Ok((submit, ticks))
    }
}
