//! Files that make the next start faster: where they lie, and how they are read and written so that a torn, foreign or
//! outdated one is never believed.
//!
//! Everything here may be deleted at any time. Deliberately absent: what the files hold; `gpu` keeps compiled kernels,
//! `device` measured schedules.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// Names another folder for the cache; an empty value means none.
pub const FOLDER: &str = "DANSKIN_CACHE_DIR";

/// First bytes of a sealed file.
const MAGIC: &[u8; 8] = b"danskin\x01";
/// Magic, length of the key, length of the data (u64 each), CRC-32C of key and data.
const HEADER: usize = 8 + 8 + 8 + 4;

/// The user's cache folder of this program, which may not exist yet; `None` where there is none.
///
/// `DANSKIN_CACHE_DIR`, else the platform's: `$XDG_CACHE_HOME/danskin` or `~/.cache/danskin`, on Apple
/// `~/Library/Caches/danskin`, on Windows `%LOCALAPPDATA%\danskin`.
pub fn folder() -> Option<PathBuf> {
    find(|name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from))
        .filter(|_| std::env::var_os(FOLDER).is_none_or(|value| !value.is_empty()))
}

fn find(variable: impl Fn(&str) -> Option<PathBuf>) -> Option<PathBuf> {
    if let Some(folder) = variable(FOLDER) {
        return Some(folder);
    }
    // The base directory specification has relative paths ignored.
    let xdg = variable("XDG_CACHE_HOME").filter(|path| path.is_absolute());
    let base = if cfg!(windows) {
        variable("LOCALAPPDATA")
    } else if cfg!(target_vendor = "apple") {
        xdg.or_else(|| Some(variable("HOME")?.join("Library/Caches")))
    } else {
        xdg.or_else(|| Some(variable("HOME")?.join(".cache")))
    };
    Some(base?.join("danskin"))
}

/// A file name for things that hold for one `key` only: `pipelines-0123456789abcdef.bin`.
pub fn name(what: &str, key: &str, extension: &str) -> String {
    format!("{what}-{:016x}.{extension}", fingerprint(key.as_bytes()))
}

/// FNV-1a of 64 bits: the same on every machine and in every version.
pub fn fingerprint(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, &b| (hash ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3))
}

/// The data of a sealed file; `None` where there is no file.
///
/// # Errors
/// A clause for people: why the file can't be used.
pub fn unseal(path: &Path, key: &str) -> Result<Option<Vec<u8>>, String> {
    let bytes = match std::fs::read(path) {
        Ok(bytes) => bytes,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(e.to_string()),
    };
    let Some((header, rest)) = bytes.split_at_checked(HEADER).filter(|(header, _)| header.starts_with(MAGIC)) else {
        return Err("it is not one of this program's cache files".into());
    };
    let number = |at: usize| header[at..at + 8].iter().rev().fold(0u64, |n, &b| n << 8 | u64::from(b));
    let (key_len, data_len) = (number(8), number(16));
    if key_len.checked_add(data_len) != Some(rest.len() as u64) {
        return Err(format!("it holds {} bytes where its header promises another number", rest.len()));
    }
    if header[24..] != crc32c::crc32c(rest).to_le_bytes() {
        return Err("its checksum does not match".into());
    }
    let (found, data) = rest.split_at(key_len as usize);
    if found != key.as_bytes() {
        return Err(format!("it was written for {}", String::from_utf8_lossy(found)));
    }
    Ok(Some(data.to_vec()))
}

/// Writes `data` so that [`unseal`] with the same key gives it back.
///
/// # Errors
/// Those of [`replace`].
pub fn seal(path: &Path, key: &str, data: &[u8]) -> io::Result<()> {
    let body = [key.as_bytes(), data].concat();
    let lengths = [key.len(), data.len()].map(|len| (len as u64).to_le_bytes()).concat();
    replace(path, &[MAGIC, &lengths[..], &crc32c::crc32c(&body).to_le_bytes(), &body].concat())
}

/// Writes a file beside its place and moves it there, so that other processes see the old one or the new one; makes
/// the folder.
///
/// # Errors
/// Those of the operating system.
pub fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    std::fs::create_dir_all(path.parent().unwrap_or(Path::new(".")))?;
    crate::files::replace(path, |file| file.write_all(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_folder_is_the_users_or_the_one_named() {
        let with = |pairs: &[(&str, &str)]| {
            find(|name| pairs.iter().find(|(n, _)| *n == name).map(|(_, value)| PathBuf::from(value)))
        };
        assert_eq!(with(&[(FOLDER, "here"), ("HOME", "/home/a")]), Some(PathBuf::from("here")));
        assert_eq!(with(&[]), None);
        #[cfg(all(unix, not(target_vendor = "apple")))]
        {
            assert_eq!(with(&[("HOME", "/home/a")]), Some(PathBuf::from("/home/a/.cache/danskin")));
            let xdg = [("HOME", "/home/a"), ("XDG_CACHE_HOME", "/c")];
            assert_eq!(with(&xdg), Some(PathBuf::from("/c/danskin")));
            let relative = [("HOME", "/home/a"), ("XDG_CACHE_HOME", "c")];
            assert_eq!(with(&relative), Some(PathBuf::from("/home/a/.cache/danskin")));
        }
    }

    #[test]
    fn only_what_was_sealed_comes_back() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("deep/er/file.bin");
        assert_eq!(unseal(&path, "a key"), Ok(None));
        seal(&path, "a key", b"some data").unwrap();
        assert_eq!(unseal(&path, "a key").unwrap().as_deref(), Some(&b"some data"[..]));
        assert_eq!(unseal(&path, "other").unwrap_err(), "it was written for a key");
        let whole = std::fs::read(&path).unwrap();
        // Cut anywhere, or one bit turned anywhere, it is refused.
        for at in 0..whole.len() {
            std::fs::write(&path, &whole[..at]).unwrap();
            assert!(unseal(&path, "a key").is_err(), "cut to {at}");
            let mut turned = whole.clone();
            turned[at] ^= 1 << (at % 8);
            std::fs::write(&path, &turned).unwrap();
            assert!(unseal(&path, "a key").is_err(), "bit of byte {at}");
        }
        std::fs::write(&path, [whole.as_slice(), b"more"].concat()).unwrap();
        assert!(unseal(&path, "a key").is_err());
        assert_eq!(std::fs::read_dir(path.parent().unwrap()).unwrap().count(), 1, "no temporary file is left");
    }
}
