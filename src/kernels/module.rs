//! The kernels of `shaders/` as the build left them: checked, imports pasted in, parameter structs reflected.

use crate::{Error, Result};

/// A kernel, or a template that is a kernel as it stands.
#[derive(Debug)]
pub struct Module {
    /// File below `shaders/`.
    pub path: &'static str,
    /// The whole module.
    pub text: &'static str,
    /// (first line of `text`, counted from 0; file below `shaders/`; its line there, counted from 1).
    pub segments: &'static [(usize, &'static str, usize)],
    /// Names of the `override` constants.
    pub overrides: &'static [&'static str],
    /// Workgroup size where no override changes it.
    pub workgroup: [u32; 3],
    /// Which storage bindings, from binding 1 on, are written.
    pub writes: &'static [bool],
}

include!(concat!(env!("OUT_DIR"), "/shaders.rs"));

impl Module {
    /// The kernel of a file below `shaders/`.
    pub fn find(path: &str) -> Result<&'static Module> {
        MODULES.iter().find(|m| m.path == path).ok_or_else(|| Error::Shader {
            place: format!("shaders/{path}"),
            reason: "no such kernel was built into this program".into(),
        })
    }

    /// `shaders/file.wgsl:line` of a line of `text`, counted from 1.
    pub fn locate(&self, line: usize) -> String {
        let line = line.saturating_sub(1);
        match self.segments.iter().rev().find(|s| s.0 <= line) {
            Some((at, file, first)) => format!("shaders/{file}:{}", first + line - at),
            None => format!("shaders/{}", self.path),
        }
    }

    /// The text with marked blocks replaced. A template marks what a launcher may replace:
    ///
    /// ```wgsl
    /// //#begin name
    /// let y = x;
    /// //#end
    /// ```
    ///
    /// Blocks that are not named keep what they hold, so a template is a complete kernel, checked at build time.
    ///
    /// # Errors
    /// If the template has no block of a name.
    pub fn fill(&self, blocks: &[(&str, &str)]) -> Result<String> {
        let mut text = self.text.to_string();
        for (name, body) in blocks {
            let begin = format!("//#begin {name}\n");
            let found = text.find(&begin).and_then(|at| {
                let from = at + begin.len();
                text[from..].find("//#end").map(|len| from..from + len)
            });
            let Some(range) = found else {
                let reason = format!("the template has no block `{name}`");
                return Err(Error::Shader { place: format!("shaders/{}", self.path), reason });
            };
            let newline = if body.is_empty() || body.ends_with('\n') { "" } else { "\n" };
            text.replace_range(range, &format!("{body}{newline}"));
        }
        Ok(text)
    }
}
