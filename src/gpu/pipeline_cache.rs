//! What the driver made of our kernels, kept from one start to the next. Vulkan only: elsewhere drivers keep it themselves.
//!
//! The file holds the fingerprints of the kernels and the driver's data, sealed with adapter, driver and our version.

use super::adapter::Facts;
use crate::cache;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use wgpu::{Features, PipelineCacheDescriptor};

/// Longest data of a driver that keeps nothing here (Mesa's software driver has a cache of its own): wgpu's header of 64
/// bytes and Vulkan's of 32.
const EMPTY: usize = 96;

/// The cache of a device; empty where there is no folder or no such feature.
#[derive(Default)]
pub(super) struct PipelineCache {
    driver: Option<wgpu::PipelineCache>,
    path: PathBuf,
    key: String,
    held: Mutex<BTreeSet<u64>>,
    /// The file brought something to the driver.
    is_filled: bool,
}

impl PipelineCache {
    /// Opens the cache in `folder`; with a sentence where its file had to be set aside.
    pub fn open(device: &wgpu::Device, facts: &Facts, folder: Option<&Path>) -> (PipelineCache, Option<String>) {
        let Some(folder) = folder.filter(|_| device.features().contains(Features::PIPELINE_CACHE)) else {
            return (PipelineCache::default(), None);
        };
        let key = facts.key();
        let path = folder.join(cache::name("pipelines", &key, "bin"));
        let (found, problem) = match cache::unseal(&path, &key) {
            Ok(found) => (found.as_deref().and_then(split).map(|(held, data)| (held, data.to_vec())), None),
            Err(reason) => {
                (None, Some(format!("{}: {reason}; it is made again from compiled kernels", path.display())))
            }
        };
        let (held, data) = found.unzip();
        let is_filled = data.as_ref().is_some_and(|data: &Vec<u8>| data.len() > EMPTY);
        let descriptor = PipelineCacheDescriptor { label: Some("danskin"), data: data.as_deref(), fallback: true };
        // SAFETY: the data is what this adapter and driver gave to this version of this program: it was sealed with their
        // names, and every byte of it is covered by the length and the checksum that were just compared.
        let driver = unsafe { device.create_pipeline_cache(&descriptor) };
        let held = Mutex::new(held.unwrap_or_default());
        (PipelineCache { driver: Some(driver), path, key, held, is_filled }, problem)
    }

    /// What pipelines are made with.
    pub fn driver(&self) -> Option<&wgpu::PipelineCache> {
        self.driver.as_ref()
    }

    /// How many of these kernels the driver found in the file.
    pub fn count(&self, prints: &[u64]) -> usize {
        if self.is_filled { self.known(prints) } else { 0 }
    }

    /// How many of these kernels were made in this start or one before.
    fn known(&self, prints: &[u64]) -> usize {
        let held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        prints.iter().filter(|print| held.contains(print)).count()
    }

    /// Writes the cache if one of these kernels is new to it.
    ///
    /// # Errors
    /// A sentence: where it can't be written.
    pub fn keep(&self, prints: &[u64]) -> Result<(), String> {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let before = held.len();
        held.extend(prints);
        let Some(driver) = self.driver.as_ref().filter(|_| held.len() > before) else { return Ok(()) };
        let Some(data) = driver.get_data() else { return Ok(()) };
        cache::seal(&self.path, &self.key, &join(&held, &data))
            .map_err(|e| format!("{}: compiled kernels can't be kept for the next start: {e}", self.path.display()))
    }
}

fn join(held: &BTreeSet<u64>, data: &[u8]) -> Vec<u8> {
    let count = (held.len() as u64).to_le_bytes();
    let prints = held.iter().flat_map(|print| print.to_le_bytes());
    count.into_iter().chain(prints).chain(data.iter().copied()).collect()
}

fn split(bytes: &[u8]) -> Option<(BTreeSet<u64>, &[u8])> {
    let (count, rest) = bytes.split_first_chunk::<8>()?;
    let len = usize::try_from(u64::from_le_bytes(*count)).ok()?.checked_mul(8)?;
    let (prints, data) = rest.split_at_checked(len)?;
    let (prints, _) = prints.as_chunks::<8>();
    Some((prints.iter().map(|print| u64::from_le_bytes(*print)).collect(), data))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_is_known_at_the_next_start() {
        let dir = tempfile::tempdir().unwrap();
        let adapters = crate::gpu::list();
        let first = adapters.first().expect("a GPU driver, or a software one, is installed");
        let device = crate::gpu::Device::open(&first.id).unwrap();
        let open = |facts: &Facts| PipelineCache::open(&device.0.device, facts, Some(dir.path()));
        let (cache, problem) = open(first);
        assert_eq!(problem, None);
        if cache.driver().is_none() {
            return; // Drivers keep kernels themselves there.
        }
        assert_eq!(cache.known(&[1, 2, 3]), 0);
        cache.keep(&[1, 2]).unwrap();
        let (again, problem) = open(first);
        assert_eq!((again.known(&[1, 2, 3]), problem), (2, None));
        again.keep(&[1, 3]).unwrap();
        assert_eq!(open(first).0.known(&[1, 2, 3]), 3);
        let newer = Facts { driver: "another version".into(), ..first.clone() };
        let (other, problem) = open(&newer);
        assert_eq!((other.known(&[1, 2, 3]), problem), (0, None), "what another driver made is not looked at");
        // A kernel that is known writes nothing.
        let path = std::fs::read_dir(dir.path()).unwrap().next().unwrap().unwrap().path();
        std::fs::remove_file(&path).unwrap();
        again.keep(&[3]).unwrap();
        assert!(!path.exists());
        again.keep(&[4]).unwrap();
        assert!(path.exists());
    }

    #[test]
    fn fingerprints_and_data_come_apart_again() {
        let held = BTreeSet::from([3, u64::MAX, 70]);
        let bytes = join(&held, b"driver data");
        assert_eq!(split(&bytes), Some((held, &b"driver data"[..])));
        assert_eq!(split(&bytes[..20]), None);
        assert_eq!(split(b""), None);
    }
}
