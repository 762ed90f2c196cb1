//! Choosing a device: a hardware GPU where there is one, else the host, or what the user named.
//!
//! Uses `gpu`, `host`, `kernels` and `plan`. The layers above see only `plan::Executor`.

mod fit;
mod memory;

use crate::plan::{Executor, Options, Precision, Program, Scratch};
use crate::{Error, Result, gpu, host, kernels};
use std::sync::Arc;

pub use self::fit::{Fit, Fitted, Recompute, Recomputed};
pub use crate::gpu::{Autotune, Listener, Notice, Setup};

/// A device that a program can be loaded on.
#[derive(Clone)]
pub enum Device {
    /// The processor, all cores.
    Host,
    /// An open GPU; programs loaded on it share their compiled kernels.
    Gpu(gpu::Device),
}

impl Device {
    /// Resolves `auto` (a hardware GPU, else the host), `host`, or an adapter name such as `vulkan`, `vulkan:1`, `metal`.
    /// With the device comes a sentence when `auto` fell back to the host. Nothing is kept on the disk.
    ///
    /// # Errors
    /// No adapter of that name.
    pub fn select(name: &str) -> Result<(Device, Option<String>)> {
        Device::select_with(name, Setup::default())
    }

    /// [`Device::select`] with a cache folder, measured schedules and a listener; the host needs none of them.
    ///
    /// # Errors
    /// As [`Device::select`]; a file of schedules that can't be used.
    pub fn select_with(name: &str, setup: Setup) -> Result<(Device, Option<String>)> {
        match name {
            "host" => Ok((Device::Host, None)),
            "auto" => match gpu::list().iter().find(|facts| !facts.is_software()) {
                Some(facts) => Ok((Device::Gpu(gpu::Device::open_with(&facts.id, setup)?), None)),
                None => {
                    let notice =
                        format!("no hardware GPU found: using the host, {} threads", rayon::current_num_threads());
                    Ok((Device::Host, Some(notice)))
                }
            },
            adapter => Ok((Device::Gpu(gpu::Device::open_with(adapter, setup)?), None)),
        }
    }

    /// One line for people: what programs loaded on it describe themselves as.
    pub fn describe(&self) -> String {
        match self {
            Device::Host => host::describe(rayon::current_num_threads()),
            Device::Gpu(device) => device.facts().describe(),
        }
    }

    /// Plan options for this device.
    pub fn options(&self, fuse: bool) -> Options {
        let scratch: Scratch = match self {
            Device::Host => Arc::new(|_| 0),
            Device::Gpu(device) => {
                let tuning = device.tuning().clone();
                Arc::new(move |work| kernels::scratch_with(&tuning, work))
            }
        };
        Options { fuse, scratch, ..Options::default() }
    }

    /// Says whether the device can store values in this precision.
    ///
    /// # Errors
    /// [`Error::Device`] where it has no 16-bit floats.
    pub fn check_precision(&self, precision: Precision) -> Result<()> {
        match (self, precision) {
            (_, Precision::F32) => Ok(()),
            (Device::Host, Precision::F16) => Err(Error::device(
                "host",
                "it computes in 32 bits: precision f16 needs a GPU with 16-bit floats; leave it at f32",
            )),
            (Device::Gpu(device), Precision::F16) if !device.facts().f16 => Err(Error::device(
                self.name(),
                "its kernels have no 16-bit floats, which precision f16 needs; leave it at f32",
            )),
            _ => Ok(()),
        }
    }

    /// Plans with measured schedules: `plan` is called with a device whose options it plans for, and again with the device
    /// that was tuned for its shapes, if there was something to measure. The program must be loaded on the device returned.
    ///
    /// # Errors
    /// Those of `plan`; a device that fails.
    pub fn tuned<T>(
        &self,
        program: impl Fn(&T) -> &Program,
        plan: impl Fn(&Device) -> Result<T>,
    ) -> Result<(Device, T)> {
        let planned = plan(self)?;
        let Device::Gpu(device) = self else { return Ok((self.clone(), planned)) };
        match device.tune(program(&planned))? {
            None => Ok((self.clone(), planned)),
            Some(tuned) => {
                let tuned = Device::Gpu(tuned);
                let planned = plan(&tuned)?;
                Ok((tuned, planned))
            }
        }
    }

    /// The schedules that a program of this device runs by, in the form of `danskin tune --export`: given to
    /// [`Setup::tuning`] with nothing measured, they make the same program again. `None` for the host, which has none.
    pub fn schedules(&self, program: &Program) -> Option<String> {
        match self {
            Device::Host => None,
            Device::Gpu(device) => Some(device.in_force(program).to_json(&device.facts().key())),
        }
    }

    /// Loads a program: buffers, pipelines and bind groups are made here, once.
    ///
    /// # Errors
    /// [`Error::Memory`] for a program that needs more memory than the device has; a kernel that does not compile on it.
    pub fn load(&self, program: Program) -> Result<Box<dyn Executor>> {
        self.load_within(program, None)
    }

    /// [`Device::load`] for programs of at most `limit` bytes, beside what the device can hold anyway.
    ///
    /// # Errors
    /// As [`Device::load`].
    pub fn load_within(&self, program: Program, limit: Option<u64>) -> Result<Box<dyn Executor>> {
        let free = match self {
            Device::Host => [memory::available(), limit].into_iter().flatten().min(),
            Device::Gpu(_) => limit,
        };
        let bytes = program.bytes();
        if let Some(free) = free.filter(|&free| bytes > free) {
            let (device, need, free) = (self.name(), bytes >> 20, free >> 20);
            return Err(Error::memory(
                device,
                format!("the model needs {need} MiB and {free} MiB are free: lower train.batch or the model's widths"),
            ));
        }
        Ok(match self {
            Device::Host => Box::new(host::Host::<f32>::new(program, None)?),
            Device::Gpu(device) => Box::new(gpu::Gpu::load(device.clone(), program)?),
        })
    }

    /// What errors call it.
    fn name(&self) -> String {
        match self {
            Device::Host => "host".into(),
            Device::Gpu(device) => format!("{} ({})", device.facts().id, device.facts().name),
        }
    }
}

/// A line per device, the one that `auto` takes marked, with what it can do.
pub fn list() -> Vec<String> {
    let adapters = gpu::list();
    let auto = adapters.iter().position(|facts| !facts.is_software());
    let mark = |chosen: bool| if chosen { "*" } else { " " };
    let yes = |can: bool| if can { "yes" } else { "no" };
    let mut lines: Vec<String> = adapters
        .iter()
        .enumerate()
        .map(|(i, f)| {
            let subgroups = f.subgroups.map_or("none".to_owned(), |[least, most]| format!("{least}-{most}"));
            let matrices = match f.cooperative_matrix.as_slice() {
                [] => "none".to_owned(),
                shapes => shapes.join(", "),
            };
            format!(
                "{} {}  {} ({}, {})\n      buffers to {} MiB, bindings to {} MiB, workgroup memory {} KiB, {} threads; \
                 f16 {}, subgroups {subgroups}, timestamps {}, cooperative matrices {matrices}",
                mark(auto == Some(i)),
                f.id,
                f.name,
                f.kind,
                f.driver,
                f.max_buffer >> 20,
                f.max_binding >> 20,
                f.workgroup_memory >> 10,
                f.workgroup_threads,
                yes(f.f16),
                yes(f.timestamps),
            )
        })
        .collect();
    lines.push(format!("{} host  {} threads", mark(auto.is_none()), rayon::current_num_threads()));
    lines.push("* is what --device auto takes; software adapters are never taken unasked".to_owned());
    lines
}
