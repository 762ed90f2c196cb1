//! Compiled kernels, one a (source, overrides, bindings), shared by all programs of a device.

use super::device::Device;
use super::notice::Notice;
use crate::kernels::{Dispatch, Module, Source, for_lanes, with_halves};
use crate::plan::{Element, Program};
use crate::{Error, Result, cache};
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use wgpu::{
    BindGroupLayout, BindGroupLayoutDescriptor, BindGroupLayoutEntry, BindingType, BufferBindingType,
    CompilationMessageType, ComputePipelineDescriptor, ErrorFilter, PipelineCompilationOptions,
    PipelineLayoutDescriptor, ShaderModuleDescriptor, ShaderRuntimeChecks, ShaderSource, ShaderStages,
};

/// What makes two launches share a pipeline.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) struct Key {
    source: Source,
    /// Override values by their bits.
    overrides: Vec<(&'static str, u64)>,
    writes: Vec<bool>,
    /// Bindings that hold 16-bit floats.
    half: Vec<bool>,
}

impl Key {
    pub(super) fn of(dispatch: &Dispatch, program: &Program) -> Key {
        Key {
            source: dispatch.source.clone(),
            overrides: dispatch.overrides.iter().map(|&(name, value)| (name, value.to_bits())).collect(),
            writes: dispatch.bindings.iter().map(|b| b.write).collect(),
            half: dispatch.bindings.iter().map(|b| program.buffers[b.region.buffer].element == Element::F16).collect(),
        }
    }

    fn text(&self) -> &str {
        match &self.source {
            Source::File(path) => Module::find(path).map_or("", |module| module.text),
            Source::Generated { text, .. } => text,
        }
    }

    /// About how long it takes to compile: tiles with overrides are unrolled and hold shared memory.
    fn cost(&self) -> usize {
        self.text().len() * (1 + self.overrides.len())
    }

    /// What the driver compiles, as a number that is the same in every run.
    fn fingerprint(&self) -> u64 {
        let rest = format!("{:?} {:?} {:?}", self.overrides, self.writes, self.half);
        cache::fingerprint(&[self.text().as_bytes(), rest.as_bytes()].concat())
    }
}

#[derive(Clone)]
pub(super) struct Pipeline {
    pub pipeline: wgpu::ComputePipeline,
    pub layout: BindGroupLayout,
}

/// The pipelines and bind-group layouts of a device.
#[derive(Default)]
pub(super) struct Pipelines {
    compiled: Mutex<HashMap<Key, Pipeline>>,
    layouts: Mutex<HashMap<Vec<bool>, BindGroupLayout>>,
}

impl Pipelines {
    fn known(&self, key: &Key) -> Option<Pipeline> {
        self.compiled.lock().unwrap_or_else(PoisonError::into_inner).get(key).cloned()
    }
}

impl Device {
    /// The pipelines of `keys`, in order, and how many had to be compiled; those are compiled on all cores.
    pub(super) async fn pipelines(&self, keys: &[Key]) -> Result<(Vec<Pipeline>, u64)> {
        let mut missing: Vec<&Key> = keys.iter().filter(|k| self.0.pipelines.known(k).is_none()).collect();
        let mut seen = std::collections::HashSet::new();
        missing.retain(|key| seen.insert(*key));
        if !missing.is_empty() {
            // The longest first: a long one that starts last would leave the other cores idle.
            missing.sort_by_key(|key| std::cmp::Reverse(key.cost()));
            // A browser has no such clock.
            let start = (!cfg!(target_arch = "wasm32")).then(std::time::Instant::now);
            let prints: Vec<u64> = missing.iter().map(|key| key.fingerprint()).collect();
            let cached = self.0.cache.count(&prints);
            self.compile_all(&missing).await?;
            let (total, seconds) = (missing.len(), start.map_or(0.0, |start| start.elapsed().as_secs_f64()));
            self.notify(Notice::Compiled { total, cached, seconds });
            if let Err(problem) = self.0.cache.keep(&prints) {
                self.notify(Notice::Warning(problem));
            }
        }
        let all: Option<Vec<Pipeline>> = keys.iter().map(|key| self.0.pipelines.known(key)).collect();
        let all = all.ok_or_else(|| self.error("a compiled pipeline vanished"))?;
        Ok((all, missing.len() as u64))
    }

    #[cfg(target_arch = "wasm32")]
    async fn compile_all(&self, missing: &[&Key]) -> Result<()> {
        for (done, key) in missing.iter().enumerate() {
            self.compile(key).await?;
            self.notify(Notice::Compiling { done: done + 1, total: missing.len() });
        }
        Ok(())
    }

    /// On all cores: drivers compile where they are called. Every core takes the next kernel when it is done with one.
    #[cfg(not(target_arch = "wasm32"))]
    async fn compile_all(&self, missing: &[&Key]) -> Result<()> {
        use std::sync::atomic::{AtomicUsize, Ordering};
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        let (next, done, total) = (AtomicUsize::new(0), AtomicUsize::new(0), missing.len());
        let work = || {
            while let Some(key) = missing.get(next.fetch_add(1, Ordering::Relaxed)) {
                if let Err(error) = pollster::block_on(self.compile(key)) {
                    // The others stop after what they are at.
                    next.store(total, Ordering::Relaxed);
                    return Err(error);
                }
                self.notify(Notice::Compiling { done: 1 + done.fetch_add(1, Ordering::Relaxed), total });
            }
            Ok(())
        };
        std::thread::scope(|scope| {
            let workers: Vec<_> = (0..threads.min(total)).map(|_| scope.spawn(work)).collect();
            let died = |_| Err(self.error("a compiling thread died"));
            workers.into_iter().try_for_each(|worker| worker.join().unwrap_or_else(died))
        })
    }

    /// Binding 0 is the uniform, storage follows.
    fn layout(&self, writes: &[bool]) -> BindGroupLayout {
        let mut layouts = self.0.pipelines.layouts.lock().unwrap_or_else(PoisonError::into_inner);
        let make = || {
            let storage = writes.iter().map(|&write| BufferBindingType::Storage { read_only: !write });
            let entries: Vec<BindGroupLayoutEntry> = std::iter::once(BufferBindingType::Uniform)
                .chain(storage)
                .enumerate()
                .map(|(binding, ty)| BindGroupLayoutEntry {
                    binding: binding as u32,
                    visibility: ShaderStages::COMPUTE,
                    ty: BindingType::Buffer { ty, has_dynamic_offset: false, min_binding_size: None },
                    count: None,
                })
                .collect();
            self.0.device.create_bind_group_layout(&BindGroupLayoutDescriptor { label: None, entries: &entries })
        };
        layouts.entry(writes.to_vec()).or_insert_with(make).clone()
    }

    /// Compiles one kernel. Error scopes are a thread's own, so threads don't see each other's mistakes.
    async fn compile(&self, key: &Key) -> Result<()> {
        let (path, text) = match &key.source {
            Source::File(path) => (*path, Module::find(path)?.text),
            Source::Generated { template, text } => (*template, text.as_str()),
        };
        let halves = key.half.contains(&true).then(|| with_halves(text, &key.half)).transpose()?;
        let text = for_lanes(halves.as_deref().unwrap_or(text), self.0.facts.subgroups);
        let device = &self.0.device;
        let scope = device.push_error_scope(ErrorFilter::Validation);
        let descriptor = ShaderModuleDescriptor { label: Some(path), source: ShaderSource::Wgsl(text) };
        let checks = if checked() { ShaderRuntimeChecks::checked() } else { ShaderRuntimeChecks::unchecked() };
        // SAFETY: the kernels are this crate's own. Each one compares its index with the extent in its parameters before
        // it touches memory, its loops end by such an extent, its divisors are extents of at least 1, and the plan's regions
        // are the size the extents say; the tests run every kernel with these checks on. They cost 10 to 100 times on
        // some kernels: wgpu would add a counter to every loop.
        let module = unsafe { device.create_shader_module_trusted(descriptor, checks) };
        if let Some(error) = scope.pop().await {
            return Err(shader_error(path, &key.source, &module, &error.to_string()).await);
        }
        let scope = device.push_error_scope(ErrorFilter::Validation);
        let internal = device.push_error_scope(ErrorFilter::Internal);
        let layout = self.layout(&key.writes);
        let pipeline_layout = device.create_pipeline_layout(&PipelineLayoutDescriptor {
            label: Some(path),
            bind_group_layouts: &[Some(&layout)],
            immediate_size: 0,
        });
        let constants: Vec<(&str, f64)> = key.overrides.iter().map(|&(n, bits)| (n, f64::from_bits(bits))).collect();
        let pipeline = device.create_compute_pipeline(&ComputePipelineDescriptor {
            label: Some(path),
            layout: Some(&pipeline_layout),
            module: &module,
            entry_point: Some("main"),
            compilation_options: PipelineCompilationOptions {
                constants: &constants,
                zero_initialize_workgroup_memory: checked(),
            },
            cache: self.0.cache.driver(),
        });
        let errors = [internal.pop().await, scope.pop().await];
        if let Some(error) = errors.into_iter().flatten().next() {
            return Err(Error::Shader { place: format!("shaders/{path}"), reason: error.to_string() });
        }
        let mut compiled = self.0.pipelines.compiled.lock().unwrap_or_else(PoisonError::into_inner);
        compiled.insert(key.clone(), Pipeline { pipeline, layout });
        Ok(())
    }
}

/// Whether wgpu's own bounds checks, loop limits and zeroing stay on: in debug builds, and on request.
fn checked() -> bool {
    cfg!(debug_assertions) || std::env::var_os("DANSKIN_CHECKED_SHADERS").is_some_and(|v| v == "1")
}

/// The compiler's first message at the file and line of the source.
async fn shader_error(path: &str, source: &Source, module: &wgpu::ShaderModule, fallback: &str) -> Error {
    let info = module.get_compilation_info().await;
    let message = info.messages.into_iter().find(|m| m.message_type == CompilationMessageType::Error);
    let line = message.as_ref().and_then(|m| m.location).map(|at| at.line_number as usize);
    let place = match (source, line) {
        (Source::File(path), Some(line)) => {
            Module::find(path).map_or_else(|_| format!("shaders/{path}"), |module| module.locate(line))
        }
        (Source::Generated { template, text }, Some(line)) => {
            let text = text.lines().nth(line.saturating_sub(1)).unwrap_or_default();
            format!("shaders/{template} as filled, line {line} `{}`", text.trim())
        }
        (_, None) => format!("shaders/{path}"),
    };
    Error::Shader { place, reason: message.map_or(fallback.to_string(), |m| m.message) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gpu::list;

    fn compile(source: Source) -> String {
        let adapters = list();
        let device =
            Device::open(&adapters.first().expect("a GPU driver, or a software one, is installed").id).unwrap();
        let key = Key { source, overrides: vec![], writes: vec![false, true], half: vec![false; 2] };
        pollster::block_on(device.pipelines(&[key])).err().expect("does not compile").to_string()
    }

    #[test]
    fn errors_name_file_and_line() {
        let template = Module::find("pointwise/chain.wgsl").unwrap();
        let text = template.fill(&[("chain", "let value = nonsense;")]).unwrap();
        let error = compile(Source::Generated { template: template.path, text });
        assert!(error.contains("shaders/pointwise/chain.wgsl as filled, line"), "{error}");
        assert!(error.contains("`let value = nonsense;`"), "{error}");
        // A kernel with other bindings than the launch has.
        let error = compile(Source::File("index/gather.wgsl"));
        assert!(error.contains("shaders/index/gather.wgsl"), "{error}");
        let error = compile(Source::File("no/such.wgsl"));
        assert!(error.contains("shaders/no/such.wgsl"), "{error}");
    }

    #[test]
    fn lines_lead_back_to_the_file_they_were_written_in() {
        let module = Module::find("index/gather.wgsl").unwrap();
        for (line, text) in module.text.lines().enumerate() {
            let place = module.locate(line + 1);
            let (file, number) = place.rsplit_once(':').unwrap();
            let source = std::fs::read_to_string(file).unwrap();
            assert_eq!(source.lines().nth(number.parse::<usize>().unwrap() - 1).unwrap(), text, "{place}");
        }
        assert!(Module::find("index/gather.wgsl").unwrap().fill(&[("nothing", "")]).is_err());
    }
}
