//! A configuration as text: every setting in force, with a comment, in a form that [`Config::read`] reads back.

use super::{Config, DataSource, KEYS, Key, Kind};
use std::fmt::Write;
use std::path::PathBuf;
use toml::{Table, Value};

/// Column at which comments start.
const COMMENT: usize = 32;

impl Config {
    /// Every setting in force as TOML with one comment each. Optional settings without a value appear as comments. The
    /// data path is written in full, so that the text means the same wherever it is read.
    pub fn to_toml(&self) -> String {
        self.written(|key| key.about.to_string())
    }

    /// [`Config::to_toml`] for people who choose: each comment also tells what a setting may hold, and the preset's value
    /// where another is in force.
    pub fn explained(&self) -> String {
        let preset = Config::preset(&self.preset).map(|preset| preset.table()).unwrap_or_default();
        let table = self.table();
        self.written(|key| {
            let mut text = key.about.to_string();
            if let Kind::Choice(words) | Kind::Words(words) = key.kind {
                let _ = write!(text, ": {}", words.join(", "));
            }
            let own = lookup(&preset, key.name);
            if own != lookup(&table, key.name) {
                let _ = write!(text, " (preset: {})", own.map_or("not set".into(), spelled));
            }
            text
        })
    }

    fn written(&self, comment: impl Fn(&Key) -> String) -> String {
        let mut table = self.table();
        if let (Some(path), Some(Value::Table(data))) = (self.full_path(), table.get_mut("data"))
            && let Some(path) = path.to_str()
        {
            data.insert("path".into(), path.into());
        }
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
            let _ = writeln!(text, "{setting:COMMENT$}  # {}", comment(key));
        }
        text
    }

    /// Where the data lies, whatever the working folder is.
    fn full_path(&self) -> Option<PathBuf> {
        let path = self.data.path.as_ref()?;
        Some(std::path::absolute(path).unwrap_or_else(|_| path.clone()))
    }

    /// How the run folder is called, before its number: the preset, and the data where it is not the preset's own, as in
    /// `faces32-photos` for `--data photos.zip`.
    pub fn run_name(&self) -> String {
        let own = Config::preset(&self.preset).is_ok_and(|preset| preset.data.source == self.data.source);
        let data = match self.data.source {
            DataSource::Path => {
                let path = self.full_path();
                safe(path.as_deref().and_then(|path| path.file_stem()?.to_str()).unwrap_or_default())
            }
            _ if own => return self.preset.clone(),
            other => other.name().to_string(),
        };
        format!("{}-{data}", self.preset)
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

/// A name that any file system takes: letters, digits, `_` and `-`, at most 40 of them.
fn safe(name: &str) -> String {
    let plain = |c: char| if c.is_alphanumeric() || c == '_' { c } else { '-' };
    let name: String = name.chars().map(plain).take(40).collect();
    let name = name.trim_matches('-');
    if name.is_empty() { "data".into() } else { name.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn run_folders_are_named_for_recipe_and_data() {
        for (preset, data, name) in [
            ("faces32", None, "faces32"),
            ("ring8", None, "ring8"),
            ("digits32", Some("some/mnist/"), "digits32-mnist"),
            ("faces64", Some("/a b/My photos (2).zip"), "faces64-My-photos--2"),
            ("faces32", Some("/"), "faces32-data"),
            ("faces32", Some("x/--.zip"), "faces32-data"),
        ] {
            let mut config = Config::preset(preset).unwrap();
            if let Some(path) = data {
                (config.data.source, config.data.path) = (DataSource::Path, Some(path.into()));
            }
            assert_eq!(config.run_name(), name);
        }
        let mut config = Config::preset("ring8").unwrap();
        config.data.source = DataSource::Grid25;
        assert_eq!(config.run_name(), "ring8-grid25");
    }
}
