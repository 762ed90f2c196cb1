//! Every kernel as the drivers get it: written by naga as SPIR-V, MSL and HLSL, whatever machine the tests run on, and the SPIR-V
//! validated by `spirv-val` where that is installed.

use danskin::check::variants::{Kernel, kernels};
use danskin::config::{Config, Overrides, Task, presets};
use danskin::kernels::{MODULES, Module, Source, for_lanes, lower, scratch, with_halves};
use danskin::plan::{Options, Precision};
use danskin::train::{Resident, Settings};
use naga::back::{PipelineConstants, hlsl, msl, pipeline_constants::process_overrides, spv};
use naga::proc::{BoundsCheckPolicies, BoundsCheckPolicy};
use naga::valid::{Capabilities, ModuleInfo, ValidationFlags, Validator};
use std::collections::{HashMap, HashSet};
use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

/// The kernels of a preset's program, of every precision it can be in.
fn kernels_of(preset: &str) -> HashSet<Kernel> {
    // Nothing is read: presets that want a path get one.
    let set = vec!["data.path=nowhere".to_owned()];
    let overrides = Overrides { preset: Some(preset.to_owned()), set, ..Overrides::default() };
    let mut config = Config::layered(&overrides).unwrap();
    if config.model.classes == 0 {
        config.model.classes = if config.train.task == Task::Classifier { 10 } else { 0 };
    }
    let settings = Settings::new(&config).unwrap_or_else(|e| panic!("{preset}: {e}"));
    let resident = Resident::of(&config, &settings.game);
    let mut found = HashSet::new();
    for precision in [Precision::F32, Precision::F16] {
        let options = Options { scratch: Arc::new(scratch), precision, ..Options::default() };
        let program = settings.plan(resident, options).unwrap_or_else(|e| panic!("{preset}: {e}")).program;
        for step in program.plans.iter().flat_map(|plan| &plan.steps) {
            found.extend(lower(step).unwrap().iter().map(|launch| Kernel::of(launch, &program)));
        }
    }
    found
}

/// A kernel's name and text for a device whose subgroups have `subgroups` lanes.
fn text(kernel: &Kernel, subgroups: Option<[u32; 2]>) -> (String, String) {
    let (path, text) = match &kernel.source {
        Source::File(path) => (*path, Module::find(path).unwrap().text),
        Source::Generated { template, text } => (*template, text.as_str()),
    };
    let halves = kernel.halves.contains(&true).then(|| with_halves(text, &kernel.halves).unwrap());
    let text = for_lanes(halves.as_deref().unwrap_or(text), subgroups).into_owned();
    let constants = kernel.overrides.iter().map(|(name, bits)| format!("{name} {}", f64::from_bits(*bits)));
    let lanes = if subgroups.is_some() { ", eight lanes" } else { "" };
    let widths = if kernel.halves.contains(&true) { ", 16 bits" } else { "" };
    (format!("{path} [{}]{widths}{lanes}", constants.collect::<Vec<_>>().join(", ")), text)
}

/// A module without constants to be filled in, as a driver's compiler reads it.
struct Emitted {
    module: naga::Module,
    info: ModuleInfo,
}

const STAGE: naga::ShaderStage = naga::ShaderStage::Compute;

impl Emitted {
    fn new(text: &str, kernel: &Kernel) -> Result<Emitted, String> {
        let module = naga::front::wgsl::parse_str(text).map_err(|e| e.emit_to_string(text))?;
        let info = Validator::new(ValidationFlags::all(), Capabilities::all()).validate(&module);
        let info = info.map_err(|e| e.emit_to_string(text))?;
        let constants: PipelineConstants =
            kernel.overrides.iter().map(|(name, bits)| ((*name).to_owned(), f64::from_bits(*bits))).collect();
        let filled = process_overrides(&module, &info, Some((STAGE, "main")), &constants);
        let (module, info) = filled.map_err(|e| e.to_string())?;
        Ok(Emitted { module: module.into_owned(), info: info.into_owned() })
    }

    /// As wgpu writes it for a Vulkan 1.1 driver, with its checks or without, as kernels run.
    fn spirv(&self, checked: bool) -> Result<Vec<u32>, String> {
        let buffer = if checked { BoundsCheckPolicy::Restrict } else { BoundsCheckPolicy::Unchecked };
        let options = spv::Options {
            lang_version: (1, 3),
            bounds_check_policies: BoundsCheckPolicies { index: buffer, buffer, ..BoundsCheckPolicies::default() },
            force_loop_bounding: checked,
            ..spv::Options::default()
        };
        let entry = spv::PipelineOptions { shader_stage: STAGE, entry_point: "main".into() };
        spv::write_vec(&self.module, &self.info, &options, Some(&entry)).map_err(|e| e.to_string())
    }

    fn msl(&self) -> Result<String, String> {
        let options = msl::Options { lang_version: (2, 4), ..msl::Options::default() };
        let entry =
            msl::PipelineOptions { entry_point: Some((STAGE, "main".into())), ..msl::PipelineOptions::default() };
        let (text, info) = msl::write_string(&self.module, &self.info, &options, &entry).map_err(|e| e.to_string())?;
        info.entry_point_names.into_iter().try_for_each(|name| name.map(|_| ()).map_err(|e| e.to_string()))?;
        Ok(text)
    }

    /// For the compiler of Windows itself, or for the newer one where the kernel asks for what that alone knows.
    fn hlsl(&self, modern: bool) -> Result<String, String> {
        let shader_model = if modern { hlsl::ShaderModel::V6_2 } else { hlsl::ShaderModel::V5_1 };
        let options = hlsl::Options { shader_model, ..hlsl::Options::default() };
        let entry = hlsl::PipelineOptions { entry_point: Some((STAGE, "main".into())) };
        let mut text = String::new();
        let info = hlsl::Writer::new(&mut text, &options, &entry).write(&self.module, &self.info, None);
        let info = info.map_err(|e| e.to_string())?;
        info.entry_point_names.into_iter().try_for_each(|name| name.map(|_| ()).map_err(|e| e.to_string()))?;
        Ok(text)
    }
}

/// Everything that may be compiled somewhere: what presets run, and all variants; the kernels of eight lanes too.
fn all() -> Vec<(String, String, Kernel, bool)> {
    let mut found = kernels().unwrap();
    presets().for_each(|preset| found.extend(kernels_of(preset)));
    // What nothing above launches: peaks of the benchmarks.
    for module in MODULES {
        let own = |k: &Kernel| matches!(&k.source, Source::File(path) if *path == module.path);
        if !found.iter().any(own) {
            let halves = vec![false; module.writes.len()];
            found.insert(Kernel { source: Source::File(module.path), overrides: vec![], halves });
        }
    }
    let mut all = vec![];
    for kernel in found {
        let (plain, own) = text(&kernel, None);
        let (name, lanes) = text(&kernel, Some([8, 8]));
        if lanes != own {
            all.push((name, lanes, kernel.clone(), true));
        }
        let modern = kernel.halves.contains(&true);
        all.push((plain, own, kernel, modern));
    }
    all.sort_by(|a, b| (&a.0, &a.1).cmp(&(&b.0, &b.1)));
    all
}

/// Writes a kernel in all three languages; a writer that panics refuses it too.
fn emit(text: &str, kernel: &Kernel, modern: bool) -> Result<(), String> {
    let written = std::panic::catch_unwind(|| {
        let emitted = Emitted::new(text, kernel)?;
        let spirv = emitted.spirv(false).map_err(|e| format!("SPIR-V: {e}"))?;
        let msl = emitted.msl().map_err(|e| format!("MSL: {e}"))?;
        let hlsl = emitted.hlsl(modern).map_err(|e| format!("HLSL: {e}"))?;
        let found = spirv.len() > 5 && msl.contains("kernel void main_(") && hlsl.contains("void main(");
        found.then_some(()).ok_or_else(|| "has no entry point".to_owned())
    });
    written.unwrap_or_else(|_| Err("a writer panicked".into()))
}

#[test]
fn every_kernel_is_written_for_vulkan_metal_and_direct3d() {
    let (all, mut problems) = (all(), String::new());
    for (name, text, kernel, modern) in &all {
        if let Err(reason) = emit(text, kernel, *modern) {
            let _ = writeln!(problems, "{name}: {reason}");
        }
    }
    println!("{} kernels written in three languages", all.len());
    assert!(all.len() > 800, "only {} kernels were found", all.len());
    assert!(problems.is_empty(), "{problems}");
}

/// What `spirv-val` says against a module.
fn validate(words: &[u32], path: &Path) -> Result<(), String> {
    let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
    std::fs::write(path, bytes).unwrap();
    let output = Command::new("spirv-val").args(["--target-env", "vulkan1.1"]).arg(path).output().unwrap();
    let reason = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    if output.status.success() { Ok(()) } else { Err(reason) }
}

/// What naga can't see: whether a module keeps all rules of SPIR-V and of Vulkan.
#[test]
fn every_kernel_is_valid_spirv() {
    if Command::new("spirv-val").arg("--version").output().is_err() {
        println!("skipped: spirv-val is not installed (Debian and Ubuntu: spirv-tools)");
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("kernel.spv");
    let (mut modules, mut problems) = (HashMap::new(), String::new());
    for (name, text, kernel, _) in &all() {
        let emitted = Emitted::new(text, kernel).unwrap_or_else(|e| panic!("{name}: {e}"));
        for checked in [false, true] {
            let words = emitted.spirv(checked).unwrap_or_else(|e| panic!("{name}: {e}"));
            modules
                .entry(words)
                .or_insert_with(|| format!("{name}, {}", if checked { "checked" } else { "unchecked" }));
        }
    }
    for (words, name) in &modules {
        if let Err(reason) = validate(words, &path) {
            let _ = writeln!(problems, "{name}: {reason}");
        }
    }
    println!("{} modules validated", modules.len());
    assert!(problems.is_empty(), "{problems}");
    // A module that lacks its last instruction is none.
    let whole = modules.keys().next().unwrap();
    assert!(validate(&whole[..whole.len() - 1], &path).is_err());
}

#[test]
fn a_kernel_that_a_target_refuses_is_seen() {
    let kernel = Kernel { source: Source::File("matmul/naive.wgsl"), overrides: vec![], halves: vec![] };
    let text = |number: &str| {
        format!(
            "@group(0) @binding(0) var<storage, read_write> x: array<{number}>;
             @compute @workgroup_size(1) fn main() {{ x[0] = x[1]; }}"
        )
    };
    assert_eq!(emit(&text("f32"), &kernel, false), Ok(()));
    assert!(emit(&text("f64"), &kernel, false).is_err(), "Metal has no 64-bit floats");
    assert!(emit(&text("nonsense"), &kernel, false).is_err());
}
