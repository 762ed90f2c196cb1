//! Choosing a device: a hardware GPU where there is one, else the host, or what the user named.
//!
//! Uses `gpu`, `host`, `kernels` and `plan`. The layers above see only `plan::Executor`.

use crate::plan::{Executor, Options, Program, Work};
use crate::{Error, Result, gpu, host, kernels};

/// A device that a program can be loaded on.
#[derive(Clone, Debug)]
pub enum Device {
    /// The processor, all cores.
    Host,
    /// A GPU adapter, by the name that [`gpu`] resolves: `vulkan:1`.
    Gpu(String),
}

impl Device {
    /// Resolves `auto` (a hardware GPU, else the host), `host`, or an adapter name such as `vulkan`, `vulkan:1`, `metal`.
    /// With the device comes a sentence when `auto` fell back to the host.
    ///
    /// # Errors
    /// No adapter of that name.
    pub fn select(name: &str) -> Result<(Device, Option<String>)> {
        match name {
            "host" => Ok((Device::Host, None)),
            "auto" => Ok(match gpu::hardware_adapter() {
                Some(adapter) => (Device::Gpu(adapter), None),
                None => {
                    let threads = host::default_threads();
                    let notice = format!("no hardware GPU found: training on the host with {threads} threads");
                    (Device::Host, Some(notice))
                }
            }),
            other => {
                gpu::find_adapter(other)?;
                Ok((Device::Gpu(other.to_owned()), None))
            }
        }
    }

    /// Plan options for this device.
    pub fn options(&self, fuse: bool) -> Options {
        let scratch: fn(&Work) -> usize = match self {
            Device::Host => |_| 0,
            Device::Gpu(_) => kernels::scratch,
        };
        Options { fuse, scratch }
    }

    /// Loads a program: buffers, pipelines and bind groups are made here, once.
    ///
    /// # Errors
    /// A program that needs more memory than the device has, or a kernel that does not compile on it.
    pub fn load(&self, program: Program) -> Result<Box<dyn Executor>> {
        match self {
            Device::Host => {
                let bytes = program.buffers.iter().map(|b| 4 * b.len as u64).sum();
                if let Some(free) = available_memory().filter(|&free| bytes > free) {
                    return Err(Error::device(
                        "host",
                        format!(
                            "the model needs {} MiB and {} MiB are free: lower train.batch or the model's widths",
                            bytes >> 20,
                            free >> 20
                        ),
                    ));
                }
                Ok(Box::new(host::Host::new(program, None)?))
            }
            Device::Gpu(name) => Ok(Box::new(gpu::Gpu::new(name, program)?)),
        }
    }
}

/// Bytes of memory the operating system can hand out, where it says so.
fn available_memory() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find(|l| l.starts_with("MemAvailable:"))?;
    let kib: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kib * 1024)
}
