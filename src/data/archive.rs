//! Zip archives as a source of files. Nothing is extracted to disk, so names lead nowhere; sizes are not believed.

use std::fs::File;
use std::io::{BufReader, ErrorKind, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use zip::read::{ZipArchiveMetadata, ZipReadOptions};
use zip::result::ZipError;

use super::decode::MAX_FILE;
use crate::{Error, Result};

/// An archive whose directory has been read. Entries are read through handles of their own, from any thread.
#[derive(Clone, Debug)]
pub(super) struct Archive {
    path: PathBuf,
    directory: Arc<ZipArchiveMetadata>,
}

impl Archive {
    /// Reads the directory of the archive at `path`.
    pub fn open(path: &Path) -> Result<Archive> {
        let file = File::open(path).map_err(|e| Error::data(path, format!("can't be opened: {e}")))?;
        let archive = zip::ZipArchive::new(BufReader::new(file)).map_err(|e| match e {
            ZipError::Io(e) => Error::data(path, format!("can't be read: {e}")),
            e => Error::data(
                path,
                format!("not a zip archive, or a damaged one ({e}); a folder or a whole zip is needed"),
            ),
        })?;
        Ok(Archive { path: path.to_owned(), directory: archive.metadata() })
    }

    /// Number and name of every file in the archive, in the archive's order, with `/` between folders.
    pub fn files(&self) -> Vec<(u32, String)> {
        let entry = |i: usize| self.directory.entry(i).ok().filter(|e| !e.is_dir());
        let name = |i| entry(i).and_then(|e| Some(e.name().ok()?.replace('\\', "/")));
        (0..self.directory.len()).filter_map(|i| Some((i as u32, name(i)?))).collect()
    }

    /// Number of the file of this name at the root of the archive.
    pub fn find(&self, name: &str) -> Option<u32> {
        self.files().into_iter().find(|(_, n)| n == name).map(|(i, _)| i)
    }

    /// Size and checksum of entry `i` as the directory has them.
    pub fn promise(&self, i: u32) -> Option<(u64, u32)> {
        self.directory.entry(i as usize).ok().map(|e| (e.size(), e.crc32()))
    }

    /// The decompressed bytes of entry `i`, whose checksum and size were checked.
    pub fn read(&self, i: u32) -> Result<Vec<u8>, String> {
        let size = self.directory.entry(i as usize).map_err(reason)?.size();
        if size > MAX_FILE {
            return Err(format!("its {size} bytes are more than the limit of {} MiB", MAX_FILE >> 20));
        }
        let mut bytes = Vec::new();
        let mut read = Ok(0);
        // One byte more than declared is enough to catch an entry that holds more than it says.
        self.stream(i, &mut |entry| read = entry.take(size + 1).read_to_end(&mut bytes))?;
        read.map_err(|e| match e.kind() {
            ErrorKind::Unsupported => METHOD.into(),
            _ => format!("damaged in the archive: {e}"),
        })?;
        if bytes.len() as u64 != size {
            return Err(format!("the archive promises {size} bytes and holds {}", bytes.len()));
        }
        Ok(bytes)
    }

    /// Hands entry `i` over to be read from its start.
    pub fn stream(&self, i: u32, then: &mut dyn FnMut(&mut dyn Read)) -> Result<(), String> {
        let entry = self.directory.entry(i as usize).map_err(reason)?;
        let file = File::open(&self.path).map_err(|e| format!("the archive can't be opened: {e}"))?;
        let mut file = BufReader::new(file);
        then(&mut entry.with_reader(&mut file, ZipReadOptions::new()).map_err(reason)?);
        Ok(())
    }
}

const METHOD: &str = "is compressed by a method this program does not read: store or deflate it";

fn reason(error: ZipError) -> String {
    match error {
        ZipError::UnsupportedArchive(ZipError::PASSWORD_REQUIRED) => "it is encrypted".into(),
        ZipError::CompressionMethodNotSupported(_) => METHOD.into(),
        other => format!("damaged in the archive: {other}"),
    }
}
