//! The folder of a run's checkpoints: names, the newest one that can be read, and which ones are kept.

use super::Checkpoint;
use crate::files::{self, TEMPORARY};
use crate::{Error, Result};
use std::path::{Path, PathBuf};

/// The file that names the checkpoint marked good.
const MARK: &str = "good";

/// The file that names the best checkpoint, and what it is asked for by.
const BEST: &str = "best";

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

/// Images and file of the newest checkpoint by name, unread; `None` where there is none, or no folder.
///
/// Errors: [`Error::Io`].
pub fn newest(folder: &Path) -> Result<Option<(u64, PathBuf)>> {
    if folder.exists() { Ok(list(folder)?.pop()) } else { Ok(None) }
}

/// The checkpoint that `asked` names: thousands of images (`12.032`, or `12` for the only one of that thousand), `best` for the one
/// [marked so](mark_best), or a file.
///
/// Errors: [`Error::Checkpoint`] where there is none such, with those there are; one that can't be read; [`Error::Io`].
pub fn find(folder: &Path, asked: &str) -> Result<Latest> {
    let all = list(folder)?;
    let as_file = Path::new(asked);
    let path = match thousands(asked) {
        None if asked == BEST => match marked_best(folder) {
            Some(path) => path,
            None => return Err(Error::checkpoint(folder, "names no best checkpoint: the run measured none")),
        },
        None => as_file.to_path_buf(),
        Some((images, exact)) => {
            let fits = |at: u64| at == images || (!exact && at / 1000 == images / 1000);
            let fitting: Vec<_> = all.iter().filter(|(at, _)| fits(*at)).collect();
            // A round number means itself where there is such a checkpoint.
            match fitting.iter().find(|(at, _)| *at == images).or(match fitting.as_slice() {
                [only] => Some(only),
                _ => None,
            }) {
                Some((_, path)) => path.clone(),
                None if fitting.is_empty() => {
                    let there = listed(all.iter());
                    return Err(Error::checkpoint(folder, format!("holds no checkpoint at {asked} kimg; {there}")));
                }
                None => {
                    let there = listed(fitting.into_iter());
                    return Err(Error::checkpoint(
                        folder,
                        format!("holds several checkpoints at {asked} kimg; {there}"),
                    ));
                }
            }
        }
    };
    let images = images_of(&path).unwrap_or(0);
    let checkpoint = match Checkpoint::load(&path) {
        Err(Error::Io { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {
            let reason = format!("is no file, and not thousands of images such as 12.032; {}", listed(all.iter()));
            return Err(Error::checkpoint(path, reason));
        }
        loaded => loaded?,
    };
    Ok(Latest { path, images, checkpoint, warnings: vec![] })
}

/// Images that `12.032` or `12` means, and whether all digits were given.
fn thousands(text: &str) -> Option<(u64, bool)> {
    let (whole, rest) = text.split_once('.').unwrap_or((text, ""));
    let digits = |t: &str| t.bytes().all(|b| b.is_ascii_digit());
    let exact = text.contains('.');
    if whole.is_empty() || !digits(whole) || !digits(rest) || rest.len() > 3 || (exact && rest.is_empty()) {
        return None;
    }
    let images = whole.parse::<u64>().ok()?.checked_mul(1000)?;
    let rest = format!("{rest:0<3}").parse::<u64>().ok()?;
    Some((images.checked_add(rest)?, exact))
}

/// `there are 0.000, 6.016 and 12.032`, at most the newest ten.
fn listed<'a>(all: impl ExactSizeIterator<Item = &'a (u64, PathBuf)>) -> String {
    const MOST: usize = 10;
    let (count, left_out) = (all.len(), all.len().saturating_sub(MOST));
    let names = all.skip(left_out).map(|(images, _)| format!("{}.{:03}", images / 1000, images % 1000));
    let names = names.collect::<Vec<_>>().join(", ");
    match (count, left_out) {
        (0, _) => "there is none".into(),
        (1, _) => format!("there is {names}"),
        (_, 0) => format!("there are {names}"),
        _ => format!("the newest of {count} are {names}"),
    }
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
    mark(path, MARK)
}

fn mark(path: &Path, mark: &str) -> Result<()> {
    let (Some(images), Some(folder)) = (images_of(path), path.parent()) else {
        return Err(Error::checkpoint(path, "is not named as a checkpoint and can't be marked"));
    };
    let name = file_name(images);
    files::write(&folder.join(mark), "marking a checkpoint", name.as_bytes())
}

/// The checkpoint marked good, where there is one and it still exists.
pub fn marked_good(folder: &Path) -> Option<PathBuf> {
    marked(folder, MARK)
}

/// Marks a checkpoint as the best, in place of any other: [`prune`] keeps it however old it gets.
///
/// Errors: as [`mark_good`].
pub fn mark_best(path: &Path) -> Result<()> {
    mark(path, BEST)
}

/// The checkpoint marked best, where there is one and it still exists.
pub fn marked_best(folder: &Path) -> Option<PathBuf> {
    marked(folder, BEST)
}

/// The best checkpoint where one is marked and can be read, else the newest that can.
///
/// Errors: as [`latest_good`].
pub fn best_or_latest(folder: &Path) -> Result<Latest> {
    match marked_best(folder).map(|path| find(folder, &path.to_string_lossy())) {
        Some(Ok(best)) => Ok(best),
        _ => latest_good(folder),
    }
}

fn marked(folder: &Path, mark: &str) -> Option<PathBuf> {
    let name = std::fs::read_to_string(folder.join(mark)).ok()?;
    let path = folder.join(name.trim());
    (images_of(&path).is_some() && path.parent() == Some(folder) && path.is_file()).then_some(path)
}

/// Removes all checkpoints but the newest `keep` (at least one) and those marked good and best, and unfinished files of
/// processes that were killed. Call it only where no other process saves.
///
/// Errors: [`Error::Io`].
pub fn prune(folder: &Path, keep: usize) -> Result<()> {
    let marked = [marked_good(folder), marked_best(folder)];
    let checkpoints = list(folder)?;
    let old = checkpoints.len().saturating_sub(keep.max(1));
    let old =
        checkpoints.into_iter().take(old).map(|(_, path)| path).filter(|path| !marked.contains(&Some(path.clone())));
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
    fn thousands_as_typed() {
        for (text, meant) in [
            ("12", Some((12_000, false))),
            ("12.032", Some((12_032, true))),
            ("12.5", Some((12_500, true))),
            ("0", Some((0, false))),
            ("000012.032", Some((12_032, true))),
            ("12.", None),
            (".5", None),
            ("12.0321", None),
            ("1e3", None),
            ("-1", None),
            ("", None),
            ("000012.032.safetensors", None),
            ("99999999999999999999", None),
            ("18446744073709551615", None),
        ] {
            assert_eq!(thousands(text), meant, "{text}");
        }
    }

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
