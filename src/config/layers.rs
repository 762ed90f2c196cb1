//! Layering: base values → preset → file → `--set` → flags, each value with the place it came from.

use super::key;
use super::{Config, PRESETS, presets};
use crate::{Error, Result};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use toml::{Table, Value};

/// Place name of everything typed.
const COMMAND_LINE: &str = "command line";

/// The preset that an empty command line means.
const FIRST_PRESET: &str = "faces32";

/// What a command line says about a configuration.
#[derive(Clone, Debug, Default)]
pub struct Overrides {
    /// Name of the preset; the file's, or `faces32`, unless given.
    pub preset: Option<String>,
    /// `--config`.
    pub file: Option<PathBuf>,
    /// `--set`, each `key=value`.
    pub set: Vec<String>,
    /// `--data`: the name of a built-in source, or a path.
    pub data: Option<String>,
    /// `--kimg`.
    pub kimg: Option<f64>,
    /// `--batch`.
    pub batch: Option<u32>,
    /// `--precision`.
    pub precision: Option<String>,
    /// `--seed`, at most 2⁶³ − 1.
    pub seed: Option<u64>,
}

impl Config {
    /// Layers everything a command line names and validates the result; the warnings are sentences for people.
    ///
    /// Errors: an unreadable file, an unknown or badly typed setting, or settings that do not go together.
    pub fn load(overrides: &Overrides) -> Result<(Config, Vec<String>)> {
        let config = Config::layered(overrides)?;
        let warnings = config.validate()?;
        Ok((config, warnings))
    }

    /// [`Config::load`] without the rules on what goes together, and without what a run needs beside: a data path.
    ///
    /// Errors: an unreadable file, an unknown or badly typed setting.
    pub fn layered(overrides: &Overrides) -> Result<Config> {
        let mut layers = match &overrides.file {
            Some(path) => Layers::file(path, overrides.preset.as_deref())?,
            None => Layers::preset(overrides.preset.as_deref().unwrap_or(FIRST_PRESET), COMMAND_LINE)?,
        };
        layers.typed(overrides)?;
        layers.finish()
    }

    /// The configuration a run was started with. One that was imported may not know yet where its data lies.
    ///
    /// Errors: as [`Config::load`].
    pub fn read(path: &Path) -> Result<Config> {
        let config = Layers::file(path, None)?.finish()?;
        config.validate_without_data()?;
        Ok(config)
    }
}

/// Where a value came from. Later layers are larger.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Origin {
    layer: Layer,
    /// For messages: `preset ring8`, the name of a file, `command line`.
    pub place: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Layer {
    Base,
    Preset,
    File,
    CommandLine,
}

impl Origin {
    fn command_line() -> Origin {
        Origin { layer: Layer::CommandLine, place: COMMAND_LINE.into() }
    }
}

/// A configuration under construction.
pub(super) struct Layers {
    table: Table,
    origins: BTreeMap<String, Origin>,
}

impl Layers {
    /// Base values and a preset over them; `place` is where its name came from.
    pub fn preset(name: &str, place: &str) -> Result<Layers> {
        let Some((_, text)) = PRESETS.iter().find(|(n, _)| *n == name) else {
            let names: Vec<_> = presets().collect();
            let hint = format!("no such preset; there are {}", names.join(", "));
            return Err(Error::setting(place, "preset", format!("{name:?}"), hint));
        };
        let mut layers = Layers { table: Table::new(), origins: BTreeMap::new() };
        layers.table.insert("preset".into(), name.into());
        let base = Origin { layer: Layer::Base, place: "base values".into() };
        layers.merge(parse(include_str!("presets/base.toml"), &base.place)?, &base)?;
        let preset = Origin { layer: Layer::Preset, place: format!("preset {name}") };
        layers.merge(parse(text, &preset.place)?, &preset)?;
        Ok(layers)
    }

    /// A file over its preset; `preset` is what the command line named.
    pub fn file(path: &Path, preset: Option<&str>) -> Result<Layers> {
        let place = path.display().to_string();
        let text = std::fs::read_to_string(path).map_err(Error::io(path, "reading the configuration"))?;
        let mut table = parse(&text, &place)?;
        let named = match table.remove("preset") {
            Some(Value::String(name)) => Some(name),
            Some(other) => return Err(Error::setting(place, "preset", other, "must be a text in quotes")),
            None => None,
        };
        let mut layers = match (preset, named) {
            (Some(typed), Some(named)) if typed != named => {
                let hint = format!("the command line names {typed}; leave one of the two out");
                return Err(Error::setting(place, "preset", format!("{named:?}"), hint));
            }
            (Some(typed), _) => Layers::preset(typed, COMMAND_LINE)?,
            (None, Some(named)) => Layers::preset(&named, &place)?,
            (None, None) => {
                let hint = "name one in the file or on the command line";
                return Err(Error::setting(place, "preset", "is not set", hint));
            }
        };
        layers.merge(table, &Origin { layer: Layer::File, place })?;
        Ok(layers)
    }

    /// What was typed: `--set`, then flags.
    pub fn typed(&mut self, overrides: &Overrides) -> Result<()> {
        for assignment in &overrides.set {
            self.assign(assignment)?;
        }
        let is_built_in = |name: &str| ["faces", "ring8", "grid25"].contains(&name);
        if let Some(data) = &overrides.data {
            if is_built_in(data) {
                self.flag("data.source", Some(data.as_str().into()))?;
            } else {
                // Digits are stacked wherever they lie.
                let source = self.table.get("data").and_then(|data| data.get("source")).and_then(Value::as_str);
                if source != Some("stacked-mnist") {
                    self.flag("data.source", Some("path".into()))?;
                }
                self.flag("data.path", Some(data.as_str().into()))?;
            }
        }
        self.flag("train.kimg", overrides.kimg.map(Value::from))?;
        self.flag("train.batch", overrides.batch.map(Value::from))?;
        self.flag("train.precision", overrides.precision.clone().map(Value::from))?;
        self.flag("train.seed", overrides.seed.map(|s| Value::from(i64::try_from(s).unwrap_or(-1))))
    }

    /// The value of a flag that was given.
    fn flag(&mut self, key: &str, value: Option<Value>) -> Result<()> {
        match value {
            Some(value) => self.put(key, &value, &Origin::command_line()),
            None => Ok(()),
        }
    }

    /// Every value of `table` over what is here.
    fn merge(&mut self, table: Table, origin: &Origin) -> Result<()> {
        let place = origin.place.as_str();
        for (section, value) in table {
            let known = key::sections().contains(&section.as_str());
            match value {
                Value::Table(values) if known => {
                    for (name, value) in values {
                        self.put(&format!("{section}.{name}"), &value, origin)?;
                    }
                }
                Value::Table(_) => {
                    let hint = format!("no such section; there are {}", key::sections().join(", "));
                    return Err(Error::setting(place, format!("[{section}]"), "is not known", hint));
                }
                value if known => {
                    let hint = format!("is a section: write [{section}] and its settings below");
                    return Err(Error::setting(place, section, value, hint));
                }
                value => return Err(Error::setting(place, &section, value, key::suggest(&section))),
            }
        }
        Ok(())
    }

    /// `key=value` as typed.
    fn assign(&mut self, assignment: &str) -> Result<()> {
        let Some((name, text)) = assignment.split_once('=') else {
            return Err(Error::setting(COMMAND_LINE, "--set", assignment, "must be key=value"));
        };
        let (name, text) = (name.trim(), text.trim());
        if name == "preset" {
            return Err(Error::setting(COMMAND_LINE, name, text, "is named without --set: danskin train NAME"));
        }
        let Some(key) = key::find(name) else {
            return Err(Error::setting(COMMAND_LINE, name, text, key::suggest(name)));
        };
        self.put(name, &key.kind.read(text), &Origin::command_line())
    }

    /// One value, checked.
    fn put(&mut self, name: &str, value: &Value, origin: &Origin) -> Result<()> {
        let place = origin.place.as_str();
        let Some(key) = key::find(name) else {
            return Err(Error::setting(place, name, value, key::suggest(name)));
        };
        let value = key.kind.check(value).map_err(|hint| Error::setting(place, name, value, hint))?;
        let (section, own) = name.split_once('.').unwrap_or((name, ""));
        let section = self.table.entry(section).or_insert_with(|| Value::Table(Table::new()));
        if let Value::Table(values) = section {
            values.insert(own.into(), value);
        }
        self.origins.insert(name.into(), origin.clone());
        Ok(())
    }

    /// The typed configuration.
    pub fn finish(self) -> Result<Config> {
        // Every value was checked on its way in, so only a gap between `KEYS` and the structs could fail here.
        let mut config: Config = Value::Table(self.table).try_into().map_err(|e: toml::de::Error| {
            Error::setting("configuration", "can't be read", e.message(), "it is incomplete")
        })?;
        config.origins = self.origins;
        Ok(config)
    }
}

/// TOML text as a table; a mistake is named with its line.
fn parse(text: &str, place: &str) -> Result<Table> {
    text.parse::<Table>().map_err(|e| {
        let upto = e.span().map_or(0, |span| span.start.min(text.len()));
        let line = 1 + text.as_bytes()[..upto].iter().filter(|b| **b == b'\n').count();
        let message = e.message().lines().collect::<Vec<_>>().join(", ");
        Error::setting(place, "line", line, format!("is not valid TOML: {message}"))
    })
}
