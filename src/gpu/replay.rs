//! Plans made ready for replay: every launch with its pipeline, parameters and bind group, prepared once.

use super::device::Device;
use super::memory::{check_region, human};
use super::pipeline::Key;
use crate::kernels::{Dispatch, Module, Source};
use crate::plan::{Program, Step};
use crate::{Error, Result};
use std::collections::HashMap;
use wgpu::{BindGroupDescriptor, BindGroupEntry, BindingResource, BufferBinding, BufferDescriptor, BufferUsages};

/// A launch that only needs to be recorded.
pub(super) struct Launch {
    pub pipeline: wgpu::ComputePipeline,
    pub group: wgpu::BindGroup,
    pub workgroups: [u32; 3],
    /// Seconds on the device, once they were measured.
    pub seconds: Option<f64>,
    /// The tensor it makes and the kernel that does: `conv_x %41 (conv/input_gradient.wgsl)`.
    pub label: String,
    /// The step of its plan, and which of the step's launches it is.
    pub step: usize,
    pub part: usize,
}

/// All plans of a program.
pub(super) struct Prepared {
    pub plans: Vec<Vec<Launch>>,
    pub bind_groups: u64,
    pub pipelines: u64,
}

/// Lowers, checks and prepares every step.
pub(super) async fn prepare(
    device: &Device,
    program: &Program,
    buffers: &[wgpu::Buffer],
    lower: impl Fn(&Step) -> Result<Vec<Dispatch>>,
) -> Result<Prepared> {
    let mut lowered = vec![];
    for (plan, steps) in program.plans.iter().map(|p| &p.steps).enumerate() {
        for (number, step) in steps.iter().enumerate() {
            for (part, dispatch) in lower(step)?.into_iter().enumerate() {
                let label = format!("{} ({})", step.label, path(&dispatch.source));
                check(device, program, &dispatch).map_err(|e| match e {
                    Error::Graph(reason) => Error::Graph(format!("{label}: {reason}")),
                    other => other,
                })?;
                lowered.push(((plan, number, part), label, dispatch));
            }
        }
    }
    let keys: Vec<Key> = lowered.iter().map(|(_, _, dispatch)| Key::of(dispatch, program)).collect();
    let (pipelines, compiled) = device.pipelines(&keys).await?;
    let (uniform, offsets) = upload_params(device, lowered.iter().map(|(_, _, d)| d.params.as_slice()));
    let mut plans: Vec<Vec<Launch>> = program.plans.iter().map(|_| vec![]).collect();
    for ((((plan, step, part), label, dispatch), pipeline), offset) in lowered.into_iter().zip(pipelines).zip(offsets) {
        let params = BufferBinding { buffer: &uniform, offset, size: (dispatch.params.len() as u64).try_into().ok() };
        let storage = dispatch.bindings.iter().map(|b| {
            let element = program.buffers[b.region.buffer].element.bytes();
            BufferBinding {
                buffer: &buffers[b.region.buffer],
                offset: (element * b.region.offset) as u64,
                size: ((element * b.region.len).next_multiple_of(4) as u64).try_into().ok(),
            }
        });
        let entries: Vec<BindGroupEntry> = std::iter::once(params)
            .chain(storage)
            .zip(0..)
            .map(|(range, binding)| BindGroupEntry { binding, resource: BindingResource::Buffer(range) })
            .collect();
        let descriptor = BindGroupDescriptor { label: Some(&label), layout: &pipeline.layout, entries: &entries };
        let group = device.0.device.create_bind_group(&descriptor);
        plans[plan].push(Launch {
            pipeline: pipeline.pipeline,
            group,
            workgroups: dispatch.workgroups,
            seconds: None,
            label,
            step,
            part,
        });
    }
    device.check()?;
    let bind_groups = plans.iter().map(|p| p.len() as u64).sum();
    Ok(Prepared { plans, bind_groups, pipelines: compiled })
}

fn path(source: &Source) -> &'static str {
    match source {
        Source::File(path) => path,
        Source::Generated { template, .. } => template,
    }
}

/// One uniform buffer with every distinct parameter block, and where each launch finds its own.
fn upload_params<'a>(device: &Device, blocks: impl Iterator<Item = &'a [u8]>) -> (wgpu::Buffer, Vec<u64>) {
    let align = device.0.device.limits().min_uniform_buffer_offset_alignment as usize;
    let (mut bytes, mut known, mut offsets) = (vec![], HashMap::new(), vec![]);
    for block in blocks {
        let offset = *known.entry(block).or_insert_with(|| {
            let offset = bytes.len();
            bytes.extend_from_slice(block);
            bytes.resize(bytes.len().next_multiple_of(align), 0u8);
            offset as u64
        });
        offsets.push(offset);
    }
    let buffer = device.0.device.create_buffer(&BufferDescriptor {
        label: Some("params"),
        size: bytes.len().max(align) as u64,
        usage: BufferUsages::UNIFORM | BufferUsages::COPY_DST,
        mapped_at_creation: false,
    });
    device.0.queue.write_buffer(&buffer, 0, &bytes);
    (buffer, offsets)
}

/// What wgpu accepts silently on some back ends, refuses on others, or reports without a name.
fn check(device: &Device, program: &Program, dispatch: &Dispatch) -> Result<()> {
    let limits = device.0.device.limits();
    for binding in &dispatch.bindings {
        check_region(program, binding.region)?;
        let bytes = (program.buffers[binding.region.buffer].element.bytes() * binding.region.len) as u64;
        if bytes > limits.max_storage_buffer_binding_size {
            let name = &program.buffers[binding.region.buffer].name;
            let most = human(limits.max_storage_buffer_binding_size);
            let reason = format!("{} of buffer `{name}`: a kernel can be given at most {most}", human(bytes));
            return Err(device.error(reason));
        }
    }
    for (i, a) in dispatch.bindings.iter().enumerate() {
        for b in &dispatch.bindings[..i] {
            let same = a.region.buffer == b.region.buffer;
            let clash = (a.write || b.write) && a.region.overlaps(&b.region) || a.write != b.write;
            if same && clash {
                let name = &program.buffers[a.region.buffer].name;
                return Err(Error::Graph(format!("reads and writes buffer `{name}` in one launch")));
            }
        }
    }
    if dispatch.bindings.len() > limits.max_storage_buffers_per_shader_stage as usize {
        return Err(Error::Graph(format!("binds {} buffers to one launch", dispatch.bindings.len())));
    }
    if dispatch.workgroups.iter().any(|&n| n == 0 || n > limits.max_compute_workgroups_per_dimension) {
        return Err(Error::Graph(format!("launches {:?} workgroups", dispatch.workgroups)));
    }
    if let Source::File(path) = dispatch.source {
        let writes: Vec<bool> = dispatch.bindings.iter().map(|b| b.write).collect();
        if Module::find(path)?.writes != writes {
            return Err(Error::Graph("binds other buffers than the kernel declares".into()));
        }
    }
    Ok(())
}
