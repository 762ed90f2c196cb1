//! One kernel launch as data.

use crate::plan::Region;

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
