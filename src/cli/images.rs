//! The images that `attack` and `eval` look at, and what they are to the run: what it has learned from, or not.

use super::output;
use crate::config::{Config, DataSource};
use crate::data::{self, DataSet, Spec, Split};
use crate::train::Feed;
use crate::{Error, Result};
use std::path::Path;

/// Images of a run's size: those at `path`, where one is given, else its own; with `test` those that it does not learn from, `count` of them
/// where they are rendered. With their name for people: `faces (training images)`.
///
/// # Errors
/// Those of [`data::load`]; a set that has no test part.
pub fn load(
    config: &Config,
    path: Option<&Path>,
    test: bool,
    [size, channels]: [usize; 2],
    count: usize,
) -> Result<(DataSet, String)> {
    let source = match path {
        Some(path) => data::Source::Path(path.into()),
        None if test => Feed::held_out(config, count)?,
        None => Feed::source(config)?,
    };
    let rendered = path.is_none() && config.data.source == DataSource::Faces;
    let split = if test && !rendered { Split::Test } else { Split::Train };
    let bar = output::counter("data");
    let spec = Spec { channels, split, ..Spec::new(source, size) };
    let set = data::load(&spec, &|done, total| output::count(&bar, done, total));
    bar.finish_and_clear();
    let set = set?;
    let part = match (test, rendered) {
        (true, true) => " (another population)",
        (true, false) => " (test part)",
        (false, _) if path.is_none_or(|path| is_its_own(config, path)) => " (training images)",
        (false, _) => "",
    };
    let name = format!("{}{part}", set.name);
    Ok((set, name))
}

/// Whether a path is the one that the run learns from.
fn is_its_own(config: &Config, path: &Path) -> bool {
    let own = config.data.path.as_deref().filter(|_| config.data.source == DataSource::Path);
    own.is_some_and(|own| own == path || matches!((own.canonicalize(), path.canonicalize()), (Ok(a), Ok(b)) if a == b))
}

/// Refuses a set without labels.
///
/// # Errors
/// One sentence that names the set.
pub fn labels(set: &DataSet) -> Result<&[u32]> {
    set.labels.as_deref().ok_or_else(|| Error::data(&set.name, "its images have no labels to compare with"))
}
