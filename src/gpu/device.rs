//! An open device: its queue, its faults, and the pipelines that all programs on it share.

use super::adapter::{Facts, choose};
use super::notice::{Listener, Notice};
use super::pipeline::Pipelines;
use super::pipeline_cache::PipelineCache;
use super::tune::TuningFile;
use crate::kernels::Tuning;
use crate::{Error, Result};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use wgpu::{DeviceDescriptor, Features, PollType};

/// A handle to an open device; clones share it.
#[derive(Clone)]
pub struct Device(pub(super) Arc<Inner>, Arc<Tuning>);

pub(super) struct Inner {
    pub device: wgpu::Device,
    pub queue: wgpu::Queue,
    pub facts: Facts,
    pub pipelines: Pipelines,
    pub cache: PipelineCache,
    pub tuning_file: TuningFile,
    autotune: Autotune,
    /// Measured since the device was opened.
    tuned: Mutex<Tuning>,
    listener: Option<Listener>,
    fault: Arc<Mutex<Option<String>>>,
}

/// When schedules of matrix products and convolutions are measured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Autotune {
    /// Never: every shape gets the schedule with the least estimated time.
    #[default]
    Off,
    /// Shapes that are not in the cache yet, once. A software adapter takes what the cache holds and measures nothing.
    Cached,
    /// Every shape again, on a software adapter too.
    Full,
}

impl std::str::FromStr for Autotune {
    type Err = String;

    fn from_str(text: &str) -> Result<Autotune, String> {
        match text {
            "off" => Ok(Autotune::Off),
            "cached" => Ok(Autotune::Cached),
            "full" => Ok(Autotune::Full),
            _ => Err("must be off, cached or full".into()),
        }
    }
}

/// What a device is opened with. The default leaves nothing on the disk and says nothing.
#[derive(Clone, Default)]
pub struct Setup {
    /// Folder for what makes the next start faster; made when it is needed.
    pub cache: Option<PathBuf>,
    /// Whether schedules are measured.
    pub autotune: Autotune,
    /// A file with schedules, written by `danskin tune --export`, that go before all others.
    pub tuning: Option<PathBuf>,
    /// Hears how far preparations are.
    pub listener: Option<Listener>,
}

impl Device {
    /// Opens the device `choice` names: `auto` (hardware only), `vulkan`, `metal`, `dx12`, or one of [`super::list`].
    ///
    /// # Errors
    /// [`Error::Device`] if there is none, or it can't do what the kernels need.
    pub fn open(choice: &str) -> Result<Device> {
        Device::open_with(choice, Setup::default())
    }

    /// [`Device::open`] with a cache and a listener.
    ///
    /// # Errors
    /// As [`Device::open`].
    pub fn open_with(choice: &str, setup: Setup) -> Result<Device> {
        pollster::block_on(Device::open_async(choice, setup))
    }

    /// [`Device::open_with`] without blocking.
    ///
    /// # Errors
    /// As [`Device::open`].
    pub async fn open_async(choice: &str, setup: Setup) -> Result<Device> {
        let (adapter, facts) = choose(choice).await?;
        if facts.storage_buffers < 8 {
            let reason = format!("gives a kernel {} storage buffers, 8 are needed", facts.storage_buffers);
            return Err(Error::device(format!("{} ({})", facts.id, facts.name), reason));
        }
        let descriptor = DeviceDescriptor {
            label: Some("danskin"),
            required_features: adapter.features()
                & (Features::TIMESTAMP_QUERY | Features::PIPELINE_CACHE | Features::SUBGROUP | Features::SHADER_F16),
            required_limits: adapter.limits(),
            ..DeviceDescriptor::default()
        };
        let opened = adapter.request_device(&descriptor).await;
        let (device, queue) =
            opened.map_err(|e| Error::device(format!("{} ({})", facts.id, facts.name), e.to_string()))?;
        let fault = Arc::new(Mutex::new(None));
        let note = |fault: &Mutex<Option<String>>, text: String| {
            fault.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(text);
        };
        let uncaptured = fault.clone();
        device.on_uncaptured_error(Arc::new(move |error| note(&uncaptured, error.to_string())));
        let lost = fault.clone();
        device.set_device_lost_callback(move |reason, text| {
            if reason != wgpu::DeviceLostReason::Destroyed {
                note(&lost, format!("the device was lost: {text}; a driver reset or a too long kernel does that"));
            }
        });
        let (cache, problem) = PipelineCache::open(&device, &facts, setup.cache.as_deref());
        let mut problems: Vec<String> = problem.into_iter().collect();
        let folder = setup.cache.as_deref().filter(|_| setup.autotune != Autotune::Off);
        let (tuning_file, measured, problem) = TuningFile::open(facts.key(), folder);
        problems.extend(problem);
        let cores = || std::thread::available_parallelism().map_or(1, usize::from);
        let mut tuning = if facts.is_software() { Tuning::of(cores()) } else { Tuning::default() };
        tuning.merge(&measured);
        let mut tuned = Tuning::default();
        if let Some(path) = &setup.tuning {
            let (given, problem) = read_tuning(path, &tuning_file.key)?;
            problems.extend(problem);
            tuning.merge(&given);
            tuned = given;
        }
        let inner = Inner {
            pipelines: Pipelines::default(),
            tuned: Mutex::new(tuned),
            autotune: setup.autotune,
            listener: setup.listener,
            device,
            queue,
            facts,
            cache,
            tuning_file,
            fault,
        };
        let device = Device(Arc::new(inner), Arc::new(tuning));
        problems.into_iter().for_each(|text| device.notify(Notice::Warning(text)));
        Ok(device)
    }

    /// Whether schedules are measured.
    pub(super) fn autotune(&self) -> Autotune {
        self.0.autotune
    }

    /// What was given or measured since the device was opened.
    pub(super) fn tuned(&self) -> Tuning {
        self.0.tuned.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Remembers what was measured.
    pub(super) fn note_tuned(&self, measured: &Tuning) {
        self.0.tuned.lock().unwrap_or_else(PoisonError::into_inner).merge(measured);
    }

    /// The same device with other schedules for the programs that are planned for it and loaded on it.
    pub fn with_tuning(&self, tuning: Tuning) -> Device {
        Device(self.0.clone(), Arc::new(tuning))
    }

    /// The schedules of programs planned for this handle.
    pub fn tuning(&self) -> &Arc<Tuning> {
        &self.1
    }

    /// Tells the listener.
    pub fn notify(&self, notice: Notice) {
        if let Some(listener) = &self.0.listener {
            listener(notice);
        }
    }

    /// What the device is and can do.
    pub fn facts(&self) -> &Facts {
        &self.0.facts
    }

    /// An [`Error::Device`] of this device.
    pub(super) fn error(&self, reason: impl Into<String>) -> Error {
        Error::device(format!("{} ({})", self.0.facts.id, self.0.facts.name), reason)
    }

    /// An [`Error::Memory`] of this device.
    pub(super) fn short(&self, reason: impl Into<String>) -> Error {
        Error::memory(format!("{} ({})", self.0.facts.id, self.0.facts.name), reason)
    }

    /// The first thing that went wrong outside an error scope, if any; everything after it is suspect.
    pub(super) fn check(&self) -> Result<()> {
        match &*self.0.fault.lock().unwrap_or_else(PoisonError::into_inner) {
            Some(text) => Err(self.error(text.clone())),
            None => Ok(()),
        }
    }

    /// Waits until everything submitted so far has run.
    pub(super) fn wait(&self) -> Result<()> {
        self.poll_as(PollType::Wait { submission_index: None, timeout: None })
    }

    /// Lets finished work call back and frees what it held; waits for `until`, if given.
    pub(super) fn poll(&self, until: Option<&wgpu::SubmissionIndex>) -> Result<()> {
        self.poll_as(match until {
            Some(index) => PollType::Wait { submission_index: Some(index.clone()), timeout: None },
            None => PollType::Poll,
        })
    }

    fn poll_as(&self, poll_type: PollType) -> Result<()> {
        // A device lost while it is waited for makes wgpu panic here instead of calling the handlers above.
        let device = std::panic::AssertUnwindSafe(&self.0.device);
        match std::panic::catch_unwind(move || device.poll(poll_type)) {
            Ok(Ok(_)) => self.check(),
            Ok(Err(error)) => Err(self.error(error.to_string())),
            Err(_) => self.check().and(Err(self.error("the device was lost while it was waited for"))),
        }
    }
}

/// The schedules of an exported file; with a sentence where they were measured on another device than `key`.
fn read_tuning(path: &Path, key: &str) -> Result<(Tuning, Option<String>)> {
    let text = std::fs::read_to_string(path).map_err(Error::io(path, "reading the schedules"))?;
    let refuse = |reason| Error::setting("command line", "--tuning", path.display(), reason);
    let (tuning, device) = Tuning::from_json(&text).map_err(refuse)?;
    let other = device != key;
    let note = format!("{}: was measured on {device}, this is {key}: right, and perhaps slow", path.display());
    Ok((tuning, other.then_some(note)))
}
