//! One kernel launch as data.

use crate::plan::Region;

/// Workgroups along x above which a launch is folded into rows of this many (`shaders/shared/index.wgsl`).
pub const FOLD: u32 = 65_535;

/// `count` workgroups as a grid: one row, or rows of [`FOLD`] whose last is cut short by the kernel's own bound.
pub fn fold(count: usize) -> [u32; 3] {
    match u32::try_from(count) {
        Ok(count) if count <= FOLD => [count.max(1), 1, 1],
        _ => [FOLD, count.div_ceil(FOLD as usize).min(u32::MAX as usize) as u32, 1],
    }
}

/// Where the WGSL of a launch comes from.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Source {
    /// A file below `shaders/`, validated at build time: `matmul/tiled.wgsl`.
    File(&'static str),
    /// Text made at plan time from a template below `shaders/` and hand-written snippets.
    Generated {
        /// The template's file.
        template: &'static str,
        /// The whole module.
        text: String,
    },
}

/// A storage binding of a launch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Binding {
    /// What is bound; its offset is a multiple of `plan::ALIGN`.
    pub region: Region,
    /// `read_write` in the shader.
    pub write: bool,
}

/// One kernel launch. In the shader, group 0 binding 0 is `var<uniform> p: Params`; storage bindings follow from 1 on in the
/// order of `bindings`. The entry point is `main`.
#[derive(Clone, Debug, PartialEq)]
pub struct Dispatch {
    /// The module.
    pub source: Source,
    /// Values of the module's `override` constants.
    pub overrides: Vec<(&'static str, f64)>,
    /// Bytes of `Params`, laid out by the struct that the build reflected from the shader.
    pub params: Vec<u8>,
    /// Storage bindings from 1 on.
    pub bindings: Vec<Binding>,
    /// Workgroups along x, y, z; each ≤ 65,535.
    pub workgroups: [u32; 3],
}

impl Binding {
    /// A region the kernel reads.
    pub fn read(region: Region) -> Binding {
        Binding { region, write: false }
    }

    /// A region the kernel writes, or reads and writes.
    pub fn write(region: Region) -> Binding {
        Binding { region, write: true }
    }
}

impl Dispatch {
    /// A launch without overrides.
    pub fn new<P: bytemuck::Pod>(source: Source, params: P, bindings: Vec<Binding>, workgroups: [u32; 3]) -> Dispatch {
        Dispatch { source, overrides: vec![], params: bytemuck::bytes_of(&params).to_vec(), bindings, workgroups }
    }

    /// A launch of a file below `shaders/`, without overrides.
    pub fn file<P: bytemuck::Pod>(
        path: &'static str,
        params: P,
        bindings: Vec<Binding>,
        workgroups: [u32; 3],
    ) -> Dispatch {
        Dispatch::new(Source::File(path), params, bindings, workgroups)
    }

    /// The same with these overrides.
    pub fn with(self, overrides: Vec<(&'static str, f64)>) -> Dispatch {
        Dispatch { overrides, ..self }
    }
}
