//! Kernels over buffers of 16-bit floats: the same text with other storage types, converted where it loads and stores.
//!
//! Arithmetic stays in 32 bits. A rewrite of the text and not a second set of kernels: a binding's element type is the
//! program's choice, and no kernel's maths depends on it.

use crate::{Error, Result};
use std::collections::HashMap;

/// The text of a kernel whose storage bindings (from 1 on) hold 16-bit floats where `half` is set.
///
/// # Errors
/// [`Error::Graph`] for a binding whose elements are not floats.
pub fn with_halves(text: &str, half: &[bool]) -> Result<String> {
    let aliases = aliases(text);
    let mut out = text.to_string();
    for number in (1..=half.len()).filter(|n| half[n - 1]) {
        let Some((name, element)) = binding(&out, number) else {
            return Err(Error::Graph(format!("a kernel without binding {number} can't hold 16-bit floats there")));
        };
        let wide = aliases.get(element.as_str()).unwrap_or(&element).clone();
        let narrow = match wide.as_str() {
            "f32" => "f16",
            "vec4<f32>" => "vec4<f16>",
            other => return Err(Error::Graph(format!("binding {number} of a kernel holds {other}, not floats"))),
        };
        let declared = format!("{name}: array<{element}>");
        out = out.replacen(&declared, &format!("{name}: array<{narrow}>"), 1);
        out = convert(&out, &name, &wide, narrow);
    }
    Ok(format!("enable f16;\n{out}"))
}

/// Names of types that the text declares.
fn aliases(text: &str) -> HashMap<&str, String> {
    let lines = text.lines().filter_map(|line| line.trim().strip_prefix("alias ")?.strip_suffix(';'));
    lines.filter_map(|line| line.split_once(" = ")).map(|(name, ty)| (name, ty.to_string())).collect()
}

/// Variable and element type of a storage binding.
fn binding(text: &str, number: usize) -> Option<(String, String)> {
    let place = format!("@group(0) @binding({number}) var<storage");
    let line = text.lines().find(|line| line.trim_start().starts_with(&place))?;
    let (name, rest) = line.split_once("> ")?.1.split_once(": array<")?;
    Some((name.to_string(), rest.trim_end().strip_suffix(">;")?.to_string()))
}

/// Wraps each `name[…]` in a conversion to `wide`, and what is assigned to one in a conversion to `narrow`.
fn convert(text: &str, name: &str, wide: &str, narrow: &str) -> String {
    let (mut out, mut rest) = (String::new(), text);
    let opening = format!("{name}[");
    while let Some(at) = rest.find(&opening) {
        let inside_a_word = rest[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == '.');
        let comment = rest[..at].rsplit('\n').next().is_some_and(|line| line.contains("//"));
        let close = at + name.len() + matching(&rest[at + name.len()..]);
        if inside_a_word || comment {
            out += &rest[..at + opening.len()];
            rest = &rest[at + opening.len()..];
            continue;
        }
        // The index may itself read the array.
        let index = convert(&rest[at + opening.len()..close], name, wide, narrow);
        out += &rest[..at];
        let after = &rest[close + 1..];
        let assigned = after.trim_start().strip_prefix('=').filter(|value| !value.starts_with('='));
        match assigned.and_then(|value| value.split_once(';')) {
            Some((value, next)) => {
                let value = convert(value, name, wide, narrow);
                out += &format!("{name}[{index}] = {narrow}({});", value.trim());
                rest = next;
            }
            None => {
                out += &format!("{wide}({name}[{index}])");
                rest = after;
            }
        }
    }
    out + rest
}

/// Where the bracket that `text` starts with closes.
fn matching(text: &str) -> usize {
    let mut depth = 0;
    for (i, c) in text.char_indices() {
        match c {
            '[' => depth += 1,
            ']' if depth == 1 => return i,
            ']' => depth -= 1,
            _ => {}
        }
    }
    text.len() - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loads_and_stores_are_converted() {
        let text = "alias V = vec4<f32>;\n\
                    @group(0) @binding(1) var<storage, read> x: array<f32>;\n\
                    @group(0) @binding(2) var<storage, read> max: array<f32>;\n\
                    @group(0) @binding(3) var<storage, read_write> out: array<V>;\n\
                    // x[i] is read\n\
                    let a = V(x[i[2]], x[u32(x[0])], p.x[1], max[3]);\n\
                    out[at] = a == V(0.0);\n";
        let half = with_halves(text, &[true, false, true]).unwrap();
        assert!(half.starts_with("enable f16;\n"));
        for line in [
            "x: array<f16>;",
            "max: array<f32>;",
            "out: array<vec4<f16>>;",
            "// x[i] is read",
            "let a = V(f32(x[i[2]]), f32(x[u32(f32(x[0]))]), p.x[1], max[3]);",
            "out[at] = vec4<f16>(a == V(0.0));",
        ] {
            assert!(half.contains(line), "{line} is not in\n{half}");
        }
        assert!(with_halves(text, &[false, false, false, true]).is_err());
    }
}
