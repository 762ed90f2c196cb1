//! A configuration as text: every setting in force, with a comment, in a form that [`Config::read`] reads back.

use super::{Config, KEYS};
use std::fmt::Write;
use toml::{Table, Value};

/// Column at which comments start.
const COMMENT: usize = 32;

impl Config {
    /// Every setting in force as TOML with one comment each. Optional settings without a value appear as comments.
    pub fn to_toml(&self) -> String {
        let table = self.table();
        let mut text = format!("preset = {}\n", Value::from(self.preset.as_str()));
        let mut section = "";
        for key in KEYS {
            let (head, name) = key.name.split_once('.').unwrap_or(("", key.name));
            if head != section {
                section = head;
                let _ = write!(text, "\n[{section}]\n");
            }
            let setting = match lookup(&table, key.name) {
                Some(value) => format!("{name} = {}", spelled(value)),
                None => format!("# {name} is not set"),
            };
            let _ = writeln!(text, "{setting:COMMENT$}  # {}", key.about);
        }
        text
    }

    /// The value of a setting as it would be written, for messages.
    pub(super) fn value(&self, key: &str) -> String {
        lookup(&self.table(), key).map_or("is not set".into(), spelled)
    }

    /// As TOML; empty only where a path is not Unicode, which no file or command line can make.
    pub(super) fn table(&self) -> Table {
        Table::try_from(self).unwrap_or_default()
    }
}

/// A value as TOML; small numbers as people write them, `2e-4` and not `0.0002`.
fn spelled(value: &Value) -> String {
    match value {
        Value::Float(v) if *v != 0.0 && v.abs() < 1e-2 => format!("{v:e}"),
        _ => value.to_string(),
    }
}

/// The value of a dotted name.
pub(super) fn lookup<'a>(table: &'a Table, key: &str) -> Option<&'a Value> {
    let (section, name) = key.split_once('.')?;
    table.get(section)?.get(name)
}
