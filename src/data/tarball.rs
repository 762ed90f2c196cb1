//! Tar archives, plain or gzipped, as a source of files. Nothing is extracted under a name, so names lead nowhere.
//!
//! A plain archive is read where it lies. What is needed of a gzipped one, which can't be read at a place, is
//! decompressed once into a temporary file without a name, which ends with the program.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::path::Path;
use std::sync::Arc;

use flate2::bufread::MultiGzDecoder;

use super::decode::MAX_FILE;
use super::positioned::read_at;
use crate::{Error, Result};

/// An archive whose entries are known: by name, the place and the size of each.
#[derive(Clone, Debug)]
pub(super) struct Tarball {
    file: Arc<File>,
    entries: BTreeMap<String, (u64, u64)>,
}

impl Tarball {
    /// Whether a file is to be read as a tar archive: by its first bytes, once decompressed if need be, or by its ending.
    pub fn is_file(path: &Path) -> bool {
        let name = path.file_name().map(|n| n.to_string_lossy().to_ascii_lowercase()).unwrap_or_default();
        if [".tar", ".tar.gz", ".tgz"].iter().any(|ending| name.ends_with(ending)) {
            return true;
        }
        let mut start = [0; 262];
        let Ok(file) = File::open(path) else { return false };
        let read = match name.ends_with(".gz") {
            true => MultiGzDecoder::new(BufReader::new(file)).read_exact(&mut start),
            false => BufReader::new(file).read_exact(&mut start),
        };
        read.is_ok() && &start[257..] == b"ustar"
    }

    /// Reads the headers of the archive at `path`; of a gzipped one the files whose names `wanted` accepts are kept.
    ///
    /// # Errors
    /// [`Error::Data`] for a file that is no archive, or is damaged or cut short.
    pub fn open(path: &Path, wanted: impl Fn(&str) -> bool) -> Result<Tarball> {
        let open = || File::open(path).map_err(|e| Error::data(path, format!("can't be opened: {e}")));
        let mut magic = [0; 2];
        let zipped = open()?.read_exact(&mut magic).is_ok() && magic == [0x1F, 0x8B];
        let listed = if zipped { unpacked(open()?, wanted) } else { listed(open()?) };
        listed.map_err(|e| {
            let hint = "a whole .tar or .tar.gz is needed";
            Error::data(path, format!("not a tar archive, or a damaged one ({e}); {hint}"))
        })
    }

    /// Names of its files in their order.
    pub fn names(&self) -> impl Iterator<Item = &String> {
        self.entries.keys()
    }

    /// Size of the file of this name.
    pub fn size(&self, name: &str) -> Option<u64> {
        self.entries.get(name).map(|(_, size)| *size)
    }

    /// Bytes of the file of this name.
    pub fn read(&self, name: &str) -> Result<Vec<u8>, String> {
        let (at, size) = *self.entries.get(name).ok_or("is not in the archive")?;
        if size > MAX_FILE * 2 {
            return Err(format!("its {size} bytes are more than the limit of {} MiB", MAX_FILE >> 19));
        }
        let mut bytes = vec![0; size as usize];
        read_at(&self.file, &mut bytes, at).map_err(|e| format!("can't be read in the archive: {e}"))?;
        Ok(bytes)
    }
}

/// A name of an archive as others have it: without a leading `./`, with `/` between folders.
fn tidy(name: &[u8]) -> String {
    let name = String::from_utf8_lossy(name).replace('\\', "/");
    name.trim_start_matches("./").to_owned()
}

fn listed(file: File) -> io::Result<Tarball> {
    let length = file.metadata()?.len();
    let mut archive = tar::Archive::new(BufReader::new(&file));
    let mut entries = BTreeMap::new();
    for entry in archive.entries_with_seek()? {
        let entry = entry?;
        if !entry.header().entry_type().is_file() {
            continue;
        }
        let (name, at, size) = (tidy(&entry.path_bytes()), entry.raw_file_position(), entry.size());
        if at.checked_add(size).is_none_or(|end| end > length) {
            return Err(io::Error::other(format!("cut short in {name}")));
        }
        // As with tar itself, the last of several files of one name counts.
        entries.insert(name, (at, size));
    }
    Ok(Tarball { file: Arc::new(file), entries })
}

fn unpacked(file: File, wanted: impl Fn(&str) -> bool) -> io::Result<Tarball> {
    let mut archive = tar::Archive::new(MultiGzDecoder::new(BufReader::with_capacity(1 << 20, file)));
    let mut out = BufWriter::with_capacity(1 << 20, tempfile::tempfile()?);
    let mut entries = BTreeMap::new();
    let mut at = 0;
    for entry in archive.entries()? {
        let mut entry = entry?;
        let (name, size) = (tidy(&entry.path_bytes()), entry.size());
        if !entry.header().entry_type().is_file() || !wanted(&name) {
            continue;
        }
        let written = io::copy(&mut entry, &mut out)?;
        if written != size {
            return Err(io::Error::other(format!("cut short in {name}")));
        }
        entries.insert(name, (at, size));
        at += size;
    }
    out.flush()?;
    let file = out.into_inner().map_err(io::IntoInnerError::into_error)?;
    Ok(Tarball { file: Arc::new(file), entries })
}
