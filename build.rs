//! Checks every shader while the crate is built, and turns it into Rust.
//!
//! `shaders/**/*.wgsl` is one kernel per file with the entry point `main`; `shaders/shared/` holds imports, pulled in by a
//! line `#import shared/name.wgsl`. Each kernel is pasted together, parsed and validated by naga, and its `struct Params`
//! becomes a `#[repr(C)]` struct with the padding WGSL asks for. A mistake fails the build with the file and line of the
//! source as written. The kernels' text travels inside the program: nothing is compiled or read on a user's machine.

use naga::valid::{Capabilities, ValidationFlags, Validator};
use naga::{AddressSpace, ArraySize, Handle, Module, ScalarKind, StorageAccess, Type, TypeInner};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs};

type Result<T> = std::result::Result<T, String>;

/// A file pasted into a kernel: lines from `at` on (0-based) are its lines from `line` on (1-based).
struct Segment {
    at: usize,
    file: String,
    line: usize,
}

/// A kernel with its imports pasted in.
struct Source {
    text: String,
    segments: Vec<Segment>,
}

fn main() {
    println!("cargo::rerun-if-changed=shaders");
    println!("cargo::rerun-if-changed=build.rs");
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR")).join("shaders.rs");
    match generate(Path::new("shaders")) {
        Ok(text) => fs::write(&out, text).expect("cargo's output folder can be written"),
        Err(message) => {
            for line in message.lines() {
                println!("cargo::error={line}");
            }
        }
    }
}

/// The Rust text of all kernels, or what is wrong with them.
fn generate(root: &Path) -> Result<String> {
    let mut files = BTreeMap::new();
    collect(root, root, &mut files)?;
    let (mut table, mut structs, mut errors) = (String::new(), String::new(), String::new());
    for path in files.keys().filter(|p| !p.starts_with("shared/")) {
        match kernel(path, &files) {
            Ok((row, params)) => {
                table += &row;
                structs += &params;
            }
            Err(message) => errors += &format!("{message}\n"),
        }
    }
    if !errors.is_empty() {
        return Err(errors);
    }
    Ok(format!(
        "/// Every kernel of `shaders/`, by path.\npub static MODULES: &[Module] = &[\n{table}];\n\n\
         /// One `Params` a kernel, laid out as its shader lays it out.\n#[allow(missing_docs)]\npub mod params {{\n{structs}}}\n"
    ))
}

/// Reads every `.wgsl` file below `dir`, keyed by its path below `root`.
fn collect(root: &Path, dir: &Path, files: &mut BTreeMap<String, String>) -> Result<()> {
    let list = fs::read_dir(dir).map_err(|e| format!("{}: {e}", dir.display()))?;
    for entry in list {
        let path = entry.map_err(|e| format!("{}: {e}", dir.display()))?.path();
        if path.is_dir() {
            collect(root, &path, files)?;
        } else if path.extension().is_some_and(|e| e == "wgsl") {
            let text = fs::read_to_string(&path).map_err(|e| format!("{}: {e}", path.display()))?;
            let below = path.strip_prefix(root).expect("entries lie below the folder they were listed from");
            files.insert(below.to_string_lossy().replace('\\', "/"), text);
        }
    }
    Ok(())
}

/// One kernel: its row of the table and its module of `params`.
fn kernel(path: &str, files: &BTreeMap<String, String>) -> Result<(String, String)> {
    let mut source = Source { text: String::new(), segments: vec![] };
    paste(path, files, &mut vec![], &mut source)?;
    let module = naga::front::wgsl::parse_str(&source.text).map_err(|e| {
        let notes: String = e.labels().map(|(_, label)| format!(" ({label})")).collect();
        source.complain(e.location(&source.text), &format!("{}{notes}", e.message()))
    })?;
    Validator::new(ValidationFlags::all(), Capabilities::all()).validate(&module).map_err(|e| {
        let mut reason = e.as_inner().to_string();
        let mut cause = std::error::Error::source(e.as_inner());
        while let Some(inner) = cause {
            reason += &format!(": {inner}");
            cause = inner.source();
        }
        source.complain(e.location(&source.text), &reason)
    })?;
    let place = format!("shaders/{path}");
    let entry = match module.entry_points.as_slice() {
        [entry] if entry.name == "main" && entry.stage == naga::ShaderStage::Compute => entry,
        _ => return Err(format!("{place}: must have one entry point, `@compute fn main`")),
    };
    let writes = bindings(&module).map_err(|e| format!("{place}: {e}"))?;
    let params = params_struct(&module, path).map_err(|e| format!("{place}: {e}"))?;
    let overrides: Vec<&str> = module.overrides.iter().filter_map(|(_, o)| o.name.as_deref()).collect();
    let lines: String = source.segments.iter().map(|s| format!("({}, {:?}, {}), ", s.at, s.file, s.line)).collect();
    let row = format!(
        "    Module {{\n        path: {path:?},\n        text: {:?},\n        segments: &[{lines}],\n        \
         overrides: &{overrides:?},\n        workgroup: {:?},\n        writes: &{writes:?},\n    }},\n",
        source.text, entry.workgroup_size
    );
    Ok((row, params))
}

/// Appends `file` to `source`, each import once and where it is asked for first.
fn paste(file: &str, files: &BTreeMap<String, String>, seen: &mut Vec<String>, source: &mut Source) -> Result<()> {
    let mut fresh = true;
    for (i, line) in files[file].lines().enumerate() {
        if let Some(import) = line.trim().strip_prefix("#import ").map(str::trim) {
            if !import.starts_with("shared/") || !files.contains_key(import) {
                let known: Vec<&str> = files.keys().filter(|f| f.starts_with("shared/")).map(String::as_str).collect();
                let known = known.join(", ");
                return Err(format!("shaders/{file}:{}: unknown import `{import}`; there are {known}", i + 1));
            }
            if !seen.iter().any(|s| s == import) {
                seen.push(import.to_string());
                paste(import, files, seen, source)?;
            }
            fresh = true;
            continue;
        }
        if fresh {
            let at = source.text.lines().count();
            source.segments.push(Segment { at, file: file.to_string(), line: i + 1 });
            fresh = false;
        }
        source.text += line;
        source.text.push('\n');
    }
    Ok(())
}

impl Source {
    /// `shaders/file:line:column: reason`, in the file as written.
    fn complain(&self, at: Option<naga::SourceLocation>, reason: &str) -> String {
        let Some(at) = at else { return format!("shaders/{}: {reason}", self.segments[0].file) };
        let line = at.line_number as usize - 1;
        let segment = self.segments.iter().rev().find(|s| s.at <= line).unwrap_or(&self.segments[0]);
        format!("shaders/{}:{}:{}: {reason}", segment.file, segment.line + line - segment.at, at.line_position)
    }
}

/// Which storage bindings are written; checks that binding 0 is `Params` and that storage follows without a gap.
fn bindings(module: &Module) -> Result<Vec<bool>> {
    let mut found = BTreeMap::new();
    for (_, var) in module.global_variables.iter() {
        let Some(binding) = &var.binding else { continue };
        if binding.group != 0 || found.insert(binding.binding, var.space).is_some() {
            return Err("bindings must be distinct and in group 0".into());
        }
    }
    let mut writes = vec![];
    for (expected, (number, space)) in found.into_iter().enumerate() {
        match space {
            AddressSpace::Uniform if number == 0 => {}
            AddressSpace::Storage { access } if number > 0 && number as usize == expected => {
                writes.push(access.contains(StorageAccess::STORE));
            }
            _ => return Err("binding 0 must be `var<uniform> p: Params`, storage must follow from 1 on".into()),
        }
    }
    Ok(writes)
}

/// `pub mod family_file { pub struct Params {…} }` for the shader's `struct Params`.
fn params_struct(module: &Module, path: &str) -> Result<String> {
    let is_params = |t: &Type| t.name.as_deref() == Some("Params");
    let Some((_, ty)) = module.types.iter().find(|(_, t)| is_params(t)) else {
        return Err("must have a `struct Params`, bound as a uniform at group 0 binding 0".into());
    };
    let TypeInner::Struct { members, span } = &ty.inner else { return Err("`Params` must be a struct".into()) };
    let (mut fields, mut end, mut gaps) = (String::new(), 0, 0);
    let mut pad = |fields: &mut String, from: u32, to: u32| {
        if to > from {
            let _ = writeln!(fields, "        pub _gap{gaps}: [u32; {}],", (to - from) / 4);
            gaps += 1;
        }
    };
    for member in members {
        let name = member.name.as_deref().unwrap_or_default();
        let (rust, size) = rust_type(module, member.ty).map_err(|e| format!("Params.{name}: {e}"))?;
        pad(&mut fields, end, member.offset);
        let _ = writeln!(fields, "        pub {name}: {rust},");
        end = member.offset + size;
    }
    pad(&mut fields, end, span.next_multiple_of(16));
    let name = path.trim_end_matches(".wgsl").replace(['/', '-'], "_");
    Ok(format!(
        "    pub mod {name} {{\n        #[repr(C)]\n        #[derive(Clone, Copy, Debug, bytemuck::Pod, bytemuck::Zeroable)]\n        \
         pub struct Params {{\n{fields}        }}\n        impl Default for Params {{\n            \
         fn default() -> Params {{\n                bytemuck::Zeroable::zeroed()\n            }}\n        }}\n    }}\n"
    ))
}

/// The Rust type with the same bytes, and how many they are.
fn rust_type(module: &Module, ty: Handle<Type>) -> Result<(String, u32)> {
    match &module.types[ty].inner {
        TypeInner::Scalar(s) => Ok((scalar(*s)?.into(), 4)),
        TypeInner::Vector { size, scalar: s } => {
            let count = *size as u32;
            Ok((format!("[{}; {count}]", scalar(*s)?), 4 * count))
        }
        TypeInner::Array { base, size: ArraySize::Constant(count), stride } => {
            let (rust, bytes) = rust_type(module, *base)?;
            if bytes != *stride {
                return Err("array elements must fill their stride (16 bytes in a uniform)".into());
            }
            Ok((format!("[{rust}; {count}]"), bytes * count.get()))
        }
        _ => Err("must be a scalar, a vector, or an array of these".into()),
    }
}

fn scalar(scalar: naga::Scalar) -> Result<&'static str> {
    match (scalar.kind, scalar.width) {
        (ScalarKind::Float, 4) => Ok("f32"),
        (ScalarKind::Uint, 4) => Ok("u32"),
        (ScalarKind::Sint, 4) => Ok("i32"),
        _ => Err("must be made of f32, u32 and i32".into()),
    }
}
