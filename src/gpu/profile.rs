//! Where the time goes: a schedule run with a pass and two timestamps around every launch. Slower than a normal run, which
//! is one pass; the ratios are what it is for.

use super::executor::Gpu;
use super::replay::Launch;
use crate::Result;
use wgpu::{
    BufferDescriptor, BufferUsages, CommandEncoderDescriptor, ComputePassDescriptor, ComputePassTimestampWrites,
    QUERY_RESOLVE_BUFFER_ALIGNMENT, QUERY_SIZE, QuerySetDescriptor, QueryType,
};

/// Launches a submission; a query set holds two timestamps for each.
const PART: usize = 1024;

impl Gpu {
    /// Runs plans in order, each `times` times, and returns (launch, seconds on the device) of every launch. The effect on
    /// buffers is that of `run`; counters don't move.
    ///
    /// # Errors
    /// [`crate::Error::Device`] if the device has no timestamps.
    pub fn profile(&mut self, schedule: &[(usize, u32)]) -> Result<Vec<(String, f64)>> {
        if !self.device.facts().timestamps {
            return Err(self.device.error("has no timestamps, which profiling needs"));
        }
        let launches: Vec<&Launch> = self.launches(schedule)?.collect();
        let mut times = Vec::with_capacity(launches.len());
        for part in launches.chunks(PART) {
            let seconds = self.time(part)?;
            times.extend(part.iter().zip(seconds).map(|(launch, s)| (launch.label.clone(), s)));
        }
        Ok(times)
    }

    pub(super) fn time(&self, launches: &[&Launch]) -> Result<Vec<f64>> {
        let (device, queue) = (&self.device.0.device, &self.device.0.queue);
        let count = 2 * launches.len() as u32;
        let set = device.create_query_set(&QuerySetDescriptor { label: None, ty: QueryType::Timestamp, count });
        let size = (u64::from(count) * u64::from(QUERY_SIZE)).next_multiple_of(QUERY_RESOLVE_BUFFER_ALIGNMENT);
        let buffer =
            |usage| device.create_buffer(&BufferDescriptor { label: None, size, usage, mapped_at_creation: false });
        let resolved = buffer(BufferUsages::QUERY_RESOLVE | BufferUsages::COPY_SRC);
        let staging = buffer(BufferUsages::MAP_READ | BufferUsages::COPY_DST);
        let mut encoder = device.create_command_encoder(&CommandEncoderDescriptor { label: Some("profile") });
        for (launch, first) in launches.iter().zip((0..).step_by(2)) {
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
        staging.map_async(wgpu::MapMode::Read, .., |_| {});
        self.device.poll(Some(&submission))?;
        let view = staging.get_mapped_range(..).map_err(|e| self.device.error(e.to_string()))?;
        let ticks: Vec<u64> = bytemuck::pod_collect_to_vec(&view[..]);
        let period = f64::from(queue.get_timestamp_period()) * 1e-9;
        Ok(ticks.chunks_exact(2).take(launches.len()).map(|t| t[1].saturating_sub(t[0]) as f64 * period).collect())
    }
}
