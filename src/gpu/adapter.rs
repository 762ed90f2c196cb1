//! Which GPUs there are, what each can do, and how one is chosen.

use crate::{Error, Result};
use wgpu::{Adapter, Backend, Backends, DeviceType, Features, Instance, InstanceDescriptor, MemoryBudgetThresholds};

/// What an adapter is and what it can do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// What `--device` calls it: `vulkan:0`.
    pub id: String,
    /// The device's own name.
    pub name: String,
    /// Driver and version.
    pub driver: String,
    /// `discrete`, `integrated`, `virtual`, `software` or `other`.
    pub kind: &'static str,
    /// Largest buffer, in bytes.
    pub max_buffer: u64,
    /// Largest range a kernel can be given, in bytes.
    pub max_binding: u64,
    /// Workgroup memory, in bytes.
    pub workgroup_memory: u32,
    /// Threads of a workgroup.
    pub workgroup_threads: u32,
    /// Storage buffers a kernel can be given.
    pub storage_buffers: u32,
    /// 16-bit floats in kernels.
    pub f16: bool,
    /// Least and greatest subgroup size, where subgroup operations exist.
    pub subgroups: Option<[u32; 2]>,
    /// Timestamps around passes, which profiling needs.
    pub timestamps: bool,
    /// Cooperative-matrix shapes: `16x16x16 F16→F32`.
    pub cooperative_matrix: Vec<String>,
}

impl Facts {
    fn of(id: String, adapter: &Adapter) -> Facts {
        let (info, limits, features) = (adapter.get_info(), adapter.limits(), adapter.features());
        let driver = [info.driver.as_str(), info.driver_info.as_str()].map(str::trim);
        let shapes = adapter.cooperative_matrix_properties();
        Facts {
            id,
            name: info.name,
            driver: driver.into_iter().filter(|s| !s.is_empty()).collect::<Vec<_>>().join(" "),
            kind: kind(info.device_type),
            max_buffer: limits.max_buffer_size,
            max_binding: limits.max_storage_buffer_binding_size,
            workgroup_memory: limits.max_compute_workgroup_storage_size,
            workgroup_threads: limits.max_compute_invocations_per_workgroup,
            storage_buffers: limits.max_storage_buffers_per_shader_stage,
            f16: features.contains(Features::SHADER_F16),
            subgroups: features
                .contains(Features::SUBGROUP)
                .then_some([info.subgroup_min_size, info.subgroup_max_size]),
            timestamps: features.contains(Features::TIMESTAMP_QUERY),
            cooperative_matrix: shapes
                .iter()
                .map(|s| format!("{}x{}x{} {:?}→{:?}", s.m_size, s.n_size, s.k_size, s.ab_type, s.cr_type))
                .collect(),
        }
    }

    /// What a cache file holds for: this adapter with this driver and this version of the program.
    pub fn key(&self) -> String {
        let backend = self.id.split(':').next().unwrap_or_default();
        format!("danskin {}, {backend}, {}, {}", env!("CARGO_PKG_VERSION"), self.name, self.driver)
    }

    /// One line for people.
    pub fn describe(&self) -> String {
        format!("{} {} ({}, {})", self.id, self.name, self.kind, self.driver)
    }

    /// Runs on the processor: right for checking results, slow for training.
    pub fn is_software(&self) -> bool {
        self.kind == "software"
    }
}

fn kind(device_type: DeviceType) -> &'static str {
    match device_type {
        DeviceType::DiscreteGpu => "discrete",
        DeviceType::IntegratedGpu => "integrated",
        DeviceType::VirtualGpu => "virtual",
        DeviceType::Cpu => "software",
        DeviceType::Other => "other",
    }
}

/// Every adapter of every back end, hardware before software.
pub fn list() -> Vec<Facts> {
    pollster::block_on(enumerate()).into_iter().map(|(_, facts)| facts).collect()
}

async fn enumerate() -> Vec<(Adapter, Facts)> {
    let instance = Instance::new(InstanceDescriptor {
        backends: Backends::VULKAN | Backends::METAL | Backends::DX12 | Backends::BROWSER_WEBGPU,
        // Past this share of the memory the driver grants, creating a buffer fails cleanly; without it some drivers spill
        // into main memory and run an order of magnitude slower without a word.
        memory_budget_thresholds: MemoryBudgetThresholds { for_resource_creation: Some(97), for_device_loss: None },
        ..InstanceDescriptor::new_without_display_handle()
    });
    let mut adapters = instance.enumerate_adapters(Backends::all()).await;
    adapters.sort_by_key(|a| match a.get_info().device_type {
        DeviceType::DiscreteGpu => 0,
        DeviceType::IntegratedGpu => 1,
        DeviceType::VirtualGpu => 2,
        DeviceType::Other => 3,
        DeviceType::Cpu => 4,
    });
    let mut counts = std::collections::BTreeMap::<&str, usize>::new();
    adapters
        .into_iter()
        .map(|adapter| {
            let name = backend(adapter.get_info().backend);
            let count = counts.entry(name).or_default();
            let facts = Facts::of(format!("{name}:{count}"), &adapter);
            *count += 1;
            (adapter, facts)
        })
        .collect()
}

fn backend(backend: Backend) -> &'static str {
    match backend {
        Backend::Vulkan => "vulkan",
        Backend::Metal => "metal",
        Backend::Dx12 => "dx12",
        Backend::Gl => "gl",
        Backend::BrowserWebGpu => "webgpu",
        Backend::Noop => "noop",
    }
}

/// The adapter `choice` names: `auto` (hardware only), a back end (`vulkan`: its first adapter, hardware before
/// software), or one of [`list`] (`vulkan:1`).
///
/// # Errors
/// [`Error::Device`] with the adapters there are, or how to get one.
pub(super) async fn choose(choice: &str) -> Result<(Adapter, Facts)> {
    let adapters = enumerate().await;
    let all: Vec<String> = adapters.iter().map(|(_, f)| format!("{} ({}, {})", f.id, f.name, f.kind)).collect();
    let wanted = |f: &Facts| match choice {
        "auto" => !f.is_software(),
        _ => f.id == choice || f.id.split(':').next() == Some(choice),
    };
    if let Some(at) = adapters.iter().position(|(_, facts)| wanted(facts)) {
        return adapters.into_iter().nth(at).ok_or_else(|| Error::device(choice, "vanished"));
    }
    let reason = match (all.is_empty(), choice) {
        (true, _) => "no GPU driver was found; `host` needs none, and a software Vulkan driver \
                      (Debian and Ubuntu: mesa-vulkan-drivers) runs every kernel slowly"
            .to_string(),
        (false, "auto") => {
            format!("no hardware GPU was found; there is {}, and `host` needs no driver", all.join(", "))
        }
        (false, _) => format!("there is no such device; there is {}", all.join(", ")),
    };
    Err(Error::device(choice, reason))
}
