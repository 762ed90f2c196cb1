//! The one way in which a file is written: whole or not at all.
//!
//! A file is filled under a temporary name beside its place, brought to the disk, and renamed; so whoever reads sees
//! the old file or the new one, whatever is killed, and however full the disk is. Deliberately absent: files that grow
//! line by line, as statistics do.

use crate::{Error, Result};
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

/// How the names of unfinished files start; a killed process may leave one behind.
pub const TEMPORARY: &str = ".unfinished-";

/// Bytes gathered before they go to the system.
const BUFFER: usize = 1 << 20;

/// Puts `bytes` under a name, whole or not at all. The folder must exist.
///
/// # Errors
/// [`Error::Io`] with `action`; what stood there before stands there still.
pub fn write(path: &Path, action: &'static str, bytes: &[u8]) -> Result<()> {
    replace(path, |file| file.write_all(bytes)).map_err(Error::io(path, action))
}

/// [`write()`] for files by the thousand that can be made again: whole whatever is killed, but the system decides when they
/// reach the disk: waiting for it would take longer than making them.
///
/// # Errors
/// As [`write()`].
pub fn write_soon(path: &Path, action: &'static str, bytes: &[u8]) -> Result<()> {
    put(path, false, |file| file.write_all(bytes)).map_err(Error::io(path, action))
}

/// [`write()`] for what is made while it is written.
///
/// # Errors
/// As [`write()`]; what `fill` says.
pub fn write_with(
    path: &Path,
    action: &'static str,
    fill: impl FnOnce(&mut BufWriter<&mut File>) -> io::Result<()>,
) -> Result<()> {
    let fill = |file: &mut File| {
        let mut writer = BufWriter::with_capacity(BUFFER, file);
        fill(&mut writer)?;
        writer.flush()
    };
    replace(path, fill).map_err(Error::io(path, action))
}

/// The same with the system's own error, for callers that have a sentence of their own.
///
/// # Errors
/// Those of the operating system.
pub fn replace(path: &Path, fill: impl FnOnce(&mut File) -> io::Result<()>) -> io::Result<()> {
    put(path, true, fill)
}

/// With `waits`, for the disk.
fn put(path: &Path, waits: bool, fill: impl FnOnce(&mut File) -> io::Result<()>) -> io::Result<()> {
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut builder = tempfile::Builder::new();
    builder.prefix(TEMPORARY);
    // Readable by whoever may read the folder, as any other file (temporary files are private unless told).
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    let mut temporary = builder.tempfile_in(folder)?;
    fill(temporary.as_file_mut())?;
    if waits {
        temporary.as_file().sync_all()?;
    }
    temporary.persist(path)?;
    // The rename, too, must last through a power cut. Windows offers no such thing for folders.
    if waits && cfg!(unix) { File::open(folder)?.sync_all() } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(dir: &Path) -> Vec<String> {
        let mut names: Vec<_> =
            std::fs::read_dir(dir).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn the_old_file_stands_until_the_new_one_is_whole() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.txt");
        write(&path, "writing", b"old").unwrap();
        let full = |file: &mut BufWriter<&mut File>| {
            file.write_all(b"half of the new")?;
            file.flush()?;
            Err(io::Error::from(io::ErrorKind::StorageFull))
        };
        let message = write_with(&path, "writing", full).unwrap_err().to_string();
        assert!(message.starts_with(&format!("{}: writing: ", path.display())), "{message}");
        assert_eq!(std::fs::read(&path).unwrap(), b"old");
        assert_eq!(names(dir.path()), ["a.txt"]);
        write_with(&path, "writing", |file| file.write_all(b"new")).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"new");
        assert!(write(&dir.path().join("no/folder.txt"), "writing", b"").is_err());
        std::fs::create_dir(dir.path().join("taken")).unwrap();
        for write in [write, write_soon] {
            assert!(write(&dir.path().join("taken"), "writing", b"").is_err());
        }
        write_soon(&path, "writing", b"newest").unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"newest");
        assert_eq!(names(dir.path()), ["a.txt", "taken"]);
    }
}
