//! An open device: its queue, its faults, and the pipelines that all programs on it share.

use super::adapter::{Facts, choose};
use super::pipeline::Pipelines;
use crate::{Error, Result};
use std::sync::{Arc, Mutex, PoisonError};
use wgpu::{DeviceDescriptor, Features, PollType};

/// A handle to an open device; clones share it.
#[derive(Clone)]
pub struct Device(pub(super) Arc<Inner>);

pub(super) struct Inner {
    pub device: wgpu::Device,
    pub queue: wgpu::Queue,
    pub facts: Facts,
    pub pipelines: Pipelines,
    fault: Arc<Mutex<Option<String>>>,
}

impl Device {
    /// Opens the device `choice` names: `auto` (hardware only), `vulkan`, `metal`, `dx12`, or one of [`super::list`].
    ///
    /// # Errors
    /// [`Error::Device`] if there is none, or it can't do what the kernels need.
    pub fn open(choice: &str) -> Result<Device> {
        pollster::block_on(Device::open_async(choice))
    }

    /// [`Device::open`] without blocking.
    ///
    /// # Errors
    /// As [`Device::open`].
    pub async fn open_async(choice: &str) -> Result<Device> {
        let (adapter, facts) = choose(choice).await?;
        if facts.storage_buffers < 8 {
            let reason = format!("gives a kernel {} storage buffers, 8 are needed", facts.storage_buffers);
            return Err(Error::device(format!("{} ({})", facts.id, facts.name), reason));
        }
        let descriptor = DeviceDescriptor {
            label: Some("danskin"),
            required_features: adapter.features()
                & (Features::TIMESTAMP_QUERY | Features::SUBGROUP | Features::SHADER_F16),
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
        Ok(Device(Arc::new(Inner { device, queue, facts, pipelines: Pipelines::default(), fault })))
    }

    /// What the device is and can do.
    pub fn facts(&self) -> &Facts {
        &self.0.facts
    }

    /// An [`Error::Device`] of this device.
    pub(super) fn error(&self, reason: impl Into<String>) -> Error {
        Error::device(format!("{} ({})", self.0.facts.id, self.0.facts.name), reason)
    }

    /// The first thing that went wrong outside an error scope, if any; everything after it is suspect.
    pub(super) fn check(&self) -> Result<()> {
        match &*self.0.fault.lock().unwrap_or_else(PoisonError::into_inner) {
            Some(text) => Err(self.error(text.clone())),
            None => Ok(()),
        }
    }

    /// Lets finished work call back and frees what it held; waits for `until`, if given.
    pub(super) fn poll(&self, until: Option<&wgpu::SubmissionIndex>) -> Result<()> {
        let poll_type = match until {
            Some(index) => PollType::Wait { submission_index: Some(index.clone()), timeout: None },
            None => PollType::Poll,
        };
        // A device lost while it is waited for makes wgpu panic here instead of calling the handlers above.
        let device = std::panic::AssertUnwindSafe(&self.0.device);
        match std::panic::catch_unwind(move || device.poll(poll_type)) {
            Ok(Ok(_)) => self.check(),
            Ok(Err(error)) => Err(self.error(error.to_string())),
            Err(_) => self.check().and(Err(self.error("the device was lost while it was waited for"))),
        }
    }
}
