//! The folder of a run's checkpoints: names, the newest one that can be read, and which ones are kept.

use super::Checkpoint;
use crate::{Error, Result};
use std::io::Write;
use std::path::{Path, PathBuf};

/// How the names of unfinished files start.
pub(in crate::train) const TEMPORARY: &str = ".unfinished-";

/// The file that names the checkpoint marked good.
const MARK: &str = "good";

/// Name of the checkpoint after so many real images: thousands with six digits and three decimals.
pub fn file_name(images: u64) -> String {
    format!("{:06}.{:03}.safetensors", images / 1000, images % 1000)
}

/// Real images seen at a checkpoint, from its name; `None` for any other file.
pub fn images_of(path: &Path) -> Option<u64> {
    let name = path.file_name()?.to_str()?;
    let digits = name.strip_suffix(".safetensors")?.replacen('.', "", 1);
    let images = digits.parse().ok()?;
    (file_name(images) == name).then_some(images)
}

/// A checkpoint that was read, and what was passed over to find it.
#[derive(Clone, Debug)]
pub struct Latest {
    /// Its file.
    pub path: PathBuf,
    /// Real images seen.
    pub images: u64,
    /// What it holds.
    pub checkpoint: Checkpoint,
    /// A sentence on each newer file that can't be read.
    pub warnings: Vec<String>,
}

/// The newest checkpoint in `folder` that can be read.
///
/// Errors: [`Error::Io`]; [`Error::Checkpoint`] where there is none, with the reason for the newest.
pub fn latest_good(folder: &Path) -> Result<Latest> {
    let mut warnings = Vec::new();
    for (images, path) in list(folder)?.into_iter().rev() {
        match Checkpoint::load(&path) {
            Ok(checkpoint) => return Ok(Latest { path, images, checkpoint, warnings }),
            Err(error) => warnings.push(error.to_string()),
        }
    }
    let reason = match warnings.as_slice() {
        [] => {
            let hint = "the run was stopped before the first; remove its folder and start it again";
            format!("holds no checkpoint yet: {hint}")
        }
        [only] => format!("holds no checkpoint that can be read; the only one: {only}"),
        [newest, ..] => format!("holds {} checkpoints and none can be read; the newest: {newest}", warnings.len()),
    };
    Err(Error::checkpoint(folder, reason))
}

/// Marks a checkpoint as good, in place of any other: [`prune`] keeps it however old it gets.
///
/// Errors: [`Error::Checkpoint`] for a path that is no checkpoint; [`Error::Io`].
pub fn mark_good(path: &Path) -> Result<()> {
    let (Some(images), Some(folder)) = (images_of(path), path.parent()) else {
        return Err(Error::checkpoint(path, "is not named as a checkpoint and can't be marked"));
    };
    let name = file_name(images);
    super::write_whole(&folder.join(MARK), "marking a checkpoint", |file| file.write_all(name.as_bytes()))
}

/// The checkpoint marked good, where there is one and it still exists.
pub fn marked_good(folder: &Path) -> Option<PathBuf> {
    let name = std::fs::read_to_string(folder.join(MARK)).ok()?;
    let path = folder.join(name.trim());
    (images_of(&path).is_some() && path.parent() == Some(folder) && path.is_file()).then_some(path)
}

/// Removes all checkpoints but the newest `keep` (at least one) and the one marked good, and unfinished files of
/// processes that were killed. Call it only where no other process saves.
///
/// Errors: [`Error::Io`].
pub fn prune(folder: &Path, keep: usize) -> Result<()> {
    let marked = marked_good(folder);
    let checkpoints = list(folder)?;
    let old = checkpoints.len().saturating_sub(keep.max(1));
    let old = checkpoints.into_iter().take(old).map(|(_, path)| path).filter(|path| marked.as_ref() != Some(path));
    let unfinished = files(folder)?
        .into_iter()
        .filter(|path| path.file_name().and_then(|n| n.to_str()).is_some_and(|name| name.starts_with(TEMPORARY)));
    for path in old.chain(unfinished) {
        std::fs::remove_file(&path).map_err(Error::io(&path, "removing an old checkpoint"))?;
    }
    Ok(())
}

/// Checkpoints by the number of images, oldest first.
fn list(folder: &Path) -> Result<Vec<(u64, PathBuf)>> {
    let mut found: Vec<_> = files(folder)?.into_iter().filter_map(|path| Some((images_of(&path)?, path))).collect();
    found.sort();
    Ok(found)
}

fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let io = || Error::io(folder, "listing the checkpoints");
    std::fs::read_dir(folder).map_err(io())?.map(|entry| Ok(entry.map_err(io())?.path())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers() {
        for (images, name) in [
            (0, "000000.000.safetensors"),
            (64, "000000.064.safetensors"),
            (1_234_567, "001234.567.safetensors"),
            (1_000_000_001, "1000000.001.safetensors"),
        ] {
            assert_eq!(file_name(images), name);
            assert_eq!(images_of(Path::new(name)), Some(images));
        }
        for name in ["1.5.safetensors", "000001.safetensors", "000001.0000.safetensors", "good", "a.b.safetensors", ""]
        {
            assert_eq!(images_of(Path::new(name)), None, "{name}");
        }
    }
}
