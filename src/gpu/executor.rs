//! A program loaded on a device.

use super::device::Device;
use super::memory::{allocate, check_region};
use super::readback::Reads;
use super::replay::{Launch, prepare};
use super::watchdog::{SUBMISSION_SECONDS, split};
use crate::kernels::{self, Dispatch};
use crate::plan::{Counters, Element, Executor, Program, ReadId, Region, Step, Timeline};
use crate::{Error, Result};
use std::collections::VecDeque;
use wgpu::{CommandBuffer, CommandEncoderDescriptor, ComputePassDescriptor, SubmissionIndex};

/// Submissions that may be on their way at once. Two keep a device busy; more let the host run ahead of it for nothing, and
/// an interrupt would have to wait for all of them.
const IN_FLIGHT: usize = 8;

/// A GPU with a program loaded: buffers made, kernels compiled, launches prepared. Buffers start as zeros.
pub struct Gpu {
    pub(super) device: Device,
    program: Program,
    buffers: Vec<wgpu::Buffer>,
    pub(super) plans: Vec<Vec<Launch>>,
    reads: Reads,
    pub(super) counters: Counters,
    /// Most estimated seconds of a submission, where the driver may reset a device that is busy for long.
    pub(super) limit: Option<f64>,
    in_flight: VecDeque<SubmissionIndex>,
}

impl Gpu {
    /// Opens the device `choice` names (see [`Device::open`]) and loads a program.
    ///
    /// # Errors
    /// [`Error::Device`] if there is no such device, [`Error::Memory`] if memory is short, [`Error::Shader`] if a kernel does not compile,
    /// [`Error::Graph`] if the program asks for what no kernel does.
    pub fn new(choice: &str, program: Program) -> Result<Gpu> {
        Gpu::load(Device::open(choice)?, program)
    }

    /// Loads a program on an open device; compiled kernels are shared with other programs there.
    ///
    /// # Errors
    /// As [`Gpu::new`].
    pub fn load(device: Device, program: Program) -> Result<Gpu> {
        let tuning = device.tuning().clone();
        Gpu::load_with(device, program, |step| kernels::lower_with(&tuning, step))
    }

    /// Loads a program whose steps `lower` turns into launches: how tests and benches run one rung of a kernel's ladder.
    ///
    /// # Errors
    /// As [`Gpu::new`].
    pub fn load_with(device: Device, program: Program, lower: impl Fn(&Step) -> Result<Vec<Dispatch>>) -> Result<Gpu> {
        pollster::block_on(Gpu::load_async(device, program, lower))
    }

    /// [`Gpu::load_with`] without blocking.
    ///
    /// # Errors
    /// As [`Gpu::new`].
    pub async fn load_async(
        device: Device,
        program: Program,
        lower: impl Fn(&Step) -> Result<Vec<Dispatch>>,
    ) -> Result<Gpu> {
        device.check()?;
        let buffers = allocate(&device, &program).await?;
        let prepared = prepare(&device, &program, &buffers, lower).await?;
        let counters = Counters {
            buffers: buffers.len() as u64 + 1,
            bind_groups: prepared.bind_groups,
            pipelines: prepared.pipelines,
            ..Counters::default()
        };
        // A software adapter has nobody who waits for its screen.
        let limit = (!device.facts().is_software()).then_some(SUBMISSION_SECONDS);
        let (plans, reads, in_flight) = (prepared.plans, Reads::default(), VecDeque::new());
        Ok(Gpu { device, program, buffers, plans, reads, counters, limit, in_flight })
    }

    /// Sets how many estimated seconds of work go into one submission; `None` for all of a run. Unless set, half a second
    /// on a hardware adapter, whose driver may reset it when it is busy for long, and no limit on a software one.
    pub fn set_submission_seconds(&mut self, limit: Option<f64>) {
        self.limit = limit;
    }

    /// Records a schedule without submitting it, and returns its launches: what a run costs the host.
    ///
    /// # Errors
    /// A plan that is not in the program.
    pub fn encode(&self, schedule: &[(usize, u32)]) -> Result<u64> {
        let launches: Vec<&Launch> = self.launches(schedule)?.map(|(_, launch)| launch).collect();
        drop(self.record(&launches));
        Ok(launches.len() as u64)
    }

    /// One pass of these launches.
    pub(super) fn record(&self, launches: &[&Launch]) -> CommandBuffer {
        let device = &self.device.0.device;
        let mut encoder = device.create_command_encoder(&CommandEncoderDescriptor { label: Some("run") });
        let mut pass = encoder.begin_compute_pass(&ComputePassDescriptor::default());
        let mut current = None;
        for launch in launches {
            if current != Some(&launch.pipeline) {
                pass.set_pipeline(&launch.pipeline);
                current = Some(&launch.pipeline);
            }
            pass.set_bind_group(0, &launch.group, &[]);
            let [x, y, z] = launch.workgroups;
            pass.dispatch_workgroups(x, y, z);
        }
        drop(pass);
        encoder.finish()
    }

    /// Submits launches, and waits for the device where the host is too far ahead of it.
    pub(super) fn submit(&mut self, commands: CommandBuffer, launches: u64) -> Result<()> {
        self.in_flight.push_back(self.device.0.queue.submit([commands]));
        self.counters.dispatches += launches;
        self.counters.submissions += 1;
        // In a browser nothing may wait.
        let ahead = self.in_flight.len() > IN_FLIGHT && !cfg!(target_arch = "wasm32");
        let oldest = if ahead { self.in_flight.pop_front() } else { None };
        self.device.poll(oldest.as_ref())
    }

    /// The launches of a schedule, in order, each with its plan.
    pub(super) fn launches<'a>(
        &'a self,
        schedule: &'a [(usize, u32)],
    ) -> Result<impl Iterator<Item = (usize, &'a Launch)>> {
        if let Some((plan, _)) = schedule.iter().find(|(plan, _)| *plan >= self.plans.len()) {
            return Err(Error::Graph(format!("there is no plan {plan} in a program of {}", self.plans.len())));
        }
        let plans = &self.plans;
        Ok(schedule.iter().flat_map(move |&(plan, times)| {
            (0..times).flat_map(move |_| plans[plan].iter().map(move |launch| (plan, launch)))
        }))
    }

    /// Waits until everything submitted so far has run.
    pub(super) fn wait(&self) -> Result<()> {
        self.device.wait()
    }

    fn upload(&mut self, region: Region, element: Element, values: &[u32]) -> Result<()> {
        check_region(&self.program, region)?;
        let buffer = &self.program.buffers[region.buffer];
        if buffer.element != element || values.len() != region.len {
            return Err(Error::Graph(format!(
                "write of {} {element:?} values to {} of the {:?} buffer `{}`",
                values.len(),
                region.len,
                buffer.element,
                buffer.name
            )));
        }
        let target = &self.buffers[region.buffer];
        self.device.0.queue.write_buffer(target, 4 * region.offset as u64, bytemuck::cast_slice(values));
        self.device.check()
    }
}

impl Executor for Gpu {
    fn describe(&self) -> String {
        self.device.facts().describe()
    }

    fn program(&self) -> &Program {
        &self.program
    }

    fn run(&mut self, schedule: &[(usize, u32)]) -> Result<()> {
        if self.needs_measuring(schedule)? {
            return self.measured_run(schedule);
        }
        let launches: Vec<&Launch> = self.launches(schedule)?.map(|(_, launch)| launch).collect();
        let parts = split(&launches, self.limit, |launch| launch.seconds.unwrap_or(0.0)).into_iter();
        let parts: Vec<(CommandBuffer, u64)> = parts.map(|part| (self.record(part), part.len() as u64)).collect();
        parts.into_iter().try_for_each(|(commands, launches)| self.submit(commands, launches))
    }

    fn profile(&mut self, schedule: &[(usize, u32)]) -> Result<Timeline> {
        self.timeline(schedule)
    }

    fn write(&mut self, region: Region, values: &[f32]) -> Result<()> {
        self.upload(region, Element::F32, bytemuck::cast_slice(values))
    }

    fn write_u32(&mut self, region: Region, values: &[u32]) -> Result<()> {
        self.upload(region, Element::U32, values)
    }

    fn begin_read(&mut self, region: Region) -> Result<ReadId> {
        check_region(&self.program, region)?;
        self.device.check()?;
        let source = &self.buffers[region.buffer];
        let (offset, bytes) = (4 * region.offset as u64, 4 * region.len as u64);
        let (read, made) = self.reads.begin(&self.device, source, offset, bytes);
        self.counters.read_backs += 1;
        self.counters.submissions += 1;
        self.counters.buffers += u64::from(made);
        Ok(read)
    }

    fn try_finish(&mut self, read: ReadId) -> Result<Option<Vec<u32>>> {
        self.reads.collect(&self.device, read, false)
    }

    fn finish(&mut self, read: ReadId) -> Result<Vec<u32>> {
        let words = self.reads.collect(&self.device, read, true)?;
        words.ok_or_else(|| self.device.error("a read-back did not finish"))
    }

    fn counters(&self) -> Counters {
        self.counters
    }
}
