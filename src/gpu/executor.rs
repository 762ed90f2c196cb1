//! A program loaded on a device.

use super::device::Device;
use super::memory::{allocate, check_region};
use super::readback::Reads;
use super::replay::{Launch, prepare};
use crate::kernels::{self, Dispatch};
use crate::plan::{Counters, Element, Executor, Program, ReadId, Region, Step, Timeline};
use crate::{Error, Result};
use wgpu::{CommandEncoderDescriptor, ComputePassDescriptor};

/// A GPU with a program loaded: buffers made, kernels compiled, launches prepared. Buffers start as zeros.
pub struct Gpu {
    pub(super) device: Device,
    program: Program,
    buffers: Vec<wgpu::Buffer>,
    plans: Vec<Vec<Launch>>,
    reads: Reads,
    counters: Counters,
}

impl Gpu {
    /// Opens the device `choice` names (see [`Device::open`]) and loads a program.
    ///
    /// # Errors
    /// [`Error::Device`] if there is no such device or memory is short, [`Error::Shader`] if a kernel does not compile,
    /// [`Error::Graph`] if the program asks for what no kernel does.
    pub fn new(choice: &str, program: Program) -> Result<Gpu> {
        Gpu::load(Device::open(choice)?, program)
    }

    /// Loads a program on an open device; compiled kernels are shared with other programs there.
    ///
    /// # Errors
    /// As [`Gpu::new`].
    pub fn load(device: Device, program: Program) -> Result<Gpu> {
        Gpu::load_with(device, program, kernels::lower)
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
        Ok(Gpu { device, program, buffers, plans: prepared.plans, reads: Reads::default(), counters })
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
        let device = &self.device.0;
        let mut encoder = device.device.create_command_encoder(&CommandEncoderDescriptor { label: Some("run") });
        let mut pass = encoder.begin_compute_pass(&ComputePassDescriptor::default());
        let (mut dispatches, mut current) = (0, None);
        for (_, launch) in self.launches(schedule)? {
            if current != Some(&launch.pipeline) {
                pass.set_pipeline(&launch.pipeline);
                current = Some(&launch.pipeline);
            }
            pass.set_bind_group(0, &launch.group, &[]);
            let [x, y, z] = launch.workgroups;
            pass.dispatch_workgroups(x, y, z);
            dispatches += 1;
        }
        drop(pass);
        device.queue.submit([encoder.finish()]);
        self.counters.dispatches += dispatches;
        self.counters.submissions += 1;
        self.device.poll(None)
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
