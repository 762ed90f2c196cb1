//! The buffers of a program, and checks of what touches them.

use super::device::Device;
use crate::plan::{ALIGN, Buffer, Program, Region};
use crate::{Error, Result};
use wgpu::{BufferDescriptor, BufferUsages, ErrorFilter};

/// Creates a buffer for each of the program's, all zeros.
///
/// # Errors
/// [`Error::Memory`] with the buffer and the bytes asked for, if it passes a limit or memory is short.
pub(super) async fn allocate(device: &Device, program: &Program) -> Result<Vec<wgpu::Buffer>> {
    let limits = device.0.device.limits();
    let bytes = |b: &Buffer| b.bytes().max(4);
    let total: u64 = program.buffers.iter().map(bytes).sum();
    let mut buffers = Vec::with_capacity(program.buffers.len());
    for buffer in &program.buffers {
        let size = bytes(buffer);
        if size > limits.max_buffer_size {
            let most = human(limits.max_buffer_size);
            let reason = format!(
                "buffer `{}` of {}: a buffer can have at most {most}; lower train.batch or the model's widths",
                buffer.name,
                human(size)
            );
            return Err(device.short(reason));
        }
        let scopes = [ErrorFilter::Internal, ErrorFilter::OutOfMemory].map(|f| device.0.device.push_error_scope(f));
        buffers.push(device.0.device.create_buffer(&BufferDescriptor {
            label: Some(&buffer.name),
            size,
            usage: BufferUsages::STORAGE | BufferUsages::COPY_SRC | BufferUsages::COPY_DST,
            mapped_at_creation: false,
        }));
        // Scopes end in the reverse order of their beginning.
        for scope in scopes.into_iter().rev() {
            if let Some(error) = scope.pop().await {
                return Err(device.short(format!(
                    "buffer `{}` of {}, {} in all, was refused ({error}); lower train.batch or the model's widths",
                    buffer.name,
                    human(size),
                    human(total)
                )));
            }
        }
    }
    device.check()?;
    Ok(buffers)
}

/// Bytes for people: `1.5 MiB`.
pub(crate) fn human(bytes: u64) -> String {
    match bytes {
        0..1024 => format!("{bytes} bytes"),
        1024..1_048_576 => format!("{:.1} KiB", bytes as f64 / 1024.0),
        1_048_576..1_073_741_824 => format!("{:.1} MiB", bytes as f64 / 1_048_576.0),
        _ => format!("{:.1} GiB", bytes as f64 / 1_073_741_824.0),
    }
}

/// Checks that a region is a range of its buffer that starts where bindings may start.
pub(super) fn check_region(program: &Program, region: Region) -> Result<()> {
    let Some(buffer) = program.buffers.get(region.buffer) else {
        return Err(Error::Graph(format!("{region:?}: there is no such buffer")));
    };
    if !region.offset.is_multiple_of(ALIGN) || region.len == 0 || region.offset + region.len > buffer.len {
        let (name, len) = (&buffer.name, buffer.len);
        return Err(Error::Graph(format!(
            "{region:?}: must be a range of buffer `{name}` of {len} elements and start at a multiple of {ALIGN}"
        )));
    }
    Ok(())
}
