//! Reads that don't stall: copies into a small pool of mappable buffers, collected when the device has got there.
//! Waiting for one blocks the thread, so in a browser only `try_finish` may be used.

use super::device::Device;
use crate::plan::ReadId;
use crate::{Error, Result};
use std::collections::HashMap;
use std::sync::mpsc::{Receiver, TryRecvError, channel};
use wgpu::{
    Buffer, BufferAsyncError, BufferDescriptor, BufferUsages, CommandEncoderDescriptor, MapMode, SubmissionIndex,
};

struct Pending {
    staging: Buffer,
    bytes: u64,
    submission: SubmissionIndex,
    mapped: Receiver<Result<(), BufferAsyncError>>,
}

/// Reads under way, and staging buffers to reuse.
#[derive(Default)]
pub(super) struct Reads {
    free: Vec<Buffer>,
    pending: HashMap<u64, Pending>,
    begun: u64,
}

impl Reads {
    /// Copies a range after everything submitted so far. The flag says whether a staging buffer had to be made.
    pub fn begin(&mut self, device: &Device, source: &Buffer, offset: u64, bytes: u64) -> (ReadId, bool) {
        // The smallest that fits; powers of two keep the pool small.
        let fits = self.free.iter().enumerate().filter(|(_, b)| b.size() >= bytes).min_by_key(|(_, b)| b.size());
        let reused = fits.map(|(i, _)| i).map(|i| self.free.swap_remove(i));
        let made = reused.is_none();
        let staging = reused.unwrap_or_else(|| {
            device.0.device.create_buffer(&BufferDescriptor {
                label: Some("read-back"),
                size: bytes.next_power_of_two().max(4096).min(device.0.device.limits().max_buffer_size.max(bytes)),
                usage: BufferUsages::MAP_READ | BufferUsages::COPY_DST,
                mapped_at_creation: false,
            })
        });
        let mut encoder =
            device.0.device.create_command_encoder(&CommandEncoderDescriptor { label: Some("read-back") });
        encoder.copy_buffer_to_buffer(source, offset, &staging, 0, bytes);
        let submission = device.0.queue.submit([encoder.finish()]);
        let (send, mapped) = channel();
        // The receiver is gone only if the read was dropped with its device.
        staging.map_async(MapMode::Read, 0..bytes, move |result| drop(send.send(result)));
        self.begun += 1;
        self.pending.insert(self.begun, Pending { staging, bytes, submission, mapped });
        (ReadId(self.begun), made)
    }

    /// The words of a read; `None` while it is under way, which `wait` rules out.
    pub fn collect(&mut self, device: &Device, read: ReadId, wait: bool) -> Result<Option<Vec<u32>>> {
        let Some(pending) = self.pending.get(&read.0) else {
            return Err(Error::Graph(format!("read {} was not begun or is already finished", read.0)));
        };
        device.poll(wait.then_some(&pending.submission))?;
        // Another thread's poll may be the one that calls back, so even after waiting the message can be on its way.
        let message = match wait {
            true => pending.mapped.recv().ok(),
            false => match pending.mapped.try_recv() {
                Err(TryRecvError::Empty) => return Ok(None),
                message => message.ok(),
            },
        };
        let mapped = matches!(message, Some(Ok(())));
        let Some(pending) = self.pending.remove(&read.0).filter(|_| mapped) else {
            return Err(device.error("a read-back failed; the device may be lost"));
        };
        let view = pending.staging.get_mapped_range(0..pending.bytes).map_err(|e| device.error(e.to_string()))?;
        let words = bytemuck::pod_collect_to_vec(&view[..]);
        drop(view);
        pending.staging.unmap();
        self.free.push(pending.staging);
        Ok(Some(words))
    }
}
