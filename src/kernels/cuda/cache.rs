//! Compiled kernels on disk, so that only the first run on a machine waits for NVRTC.
//!
//! A file is the cubin, then its key (all that the cubin depends on), the key's length in 8 bytes and a
//! CRC-32C of all before it in 4, both little-endian. NVIDIA's tools read such a file: a cubin is an ELF
//! file, which may have more behind it.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// A folder of compiled kernels, or none.
pub(super) struct Cache {
    folder: Option<PathBuf>,
}

impl Cache {
    /// `pspo/kernels` in the user's cache folder: `$XDG_CACHE_HOME`, else `~/.cache`.
    pub(super) fn of_the_user() -> Self {
        // a relative path is to be ignored, says the XDG base directory specification
        let absolute = |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
        let caches = absolute("XDG_CACHE_HOME").or_else(|| Some(absolute("HOME")?.join(".cache")));
        Self { folder: caches.map(|caches| caches.join("pspo").join("kernels")) }
    }

    /// The cubin kept for `key`. None as well if the file is damaged or another key's.
    pub(super) fn load(&self, name: &str, key: &str) -> Option<Vec<u8>> {
        let mut file = std::fs::read(self.path(name, key)?).ok()?;
        let (body, crc) = file.split_last_chunk::<4>()?;
        let (body, len) =
            (crc32c::crc32c(body) == u32::from_le_bytes(*crc)).then_some(body)?.split_last_chunk()?;
        let len = usize::try_from(u64::from_le_bytes(*len)).ok()?;
        let end = body.len().checked_sub(len)?;
        (&body[end..] == key.as_bytes()).then(|| {
            file.truncate(end);
            file
        })
    }

    /// Keeps a cubin. A folder that cannot be written costs the next run its time and nothing else.
    pub(super) fn store(&self, name: &str, key: &str, cubin: &[u8]) {
        let Some(path) = self.path(name, key) else { return };
        let mut file = [cubin, key.as_bytes(), &(key.len() as u64).to_le_bytes()].concat();
        file.extend(crc32c::crc32c(&file).to_le_bytes());
        // written under a name of its own and renamed: other processes see a whole file or none
        static WRITES: AtomicU64 = AtomicU64::new(0);
        let unique = format!("{}-{}.tmp", std::process::id(), WRITES.fetch_add(1, Ordering::Relaxed));
        let unfinished = path.with_extension(unique);
        let _ = path.parent().map(std::fs::create_dir_all);
        if std::fs::write(&unfinished, file).and_then(|()| std::fs::rename(&unfinished, &path)).is_err() {
            let _ = std::fs::remove_file(&unfinished);
        }
    }

    fn path(&self, name: &str, key: &str) -> Option<PathBuf> {
        let stem = Path::new(name).file_stem()?.to_str()?;
        Some(self.folder.as_ref()?.join(format!("{stem}-{:08x}.cubin", crc32c::crc32c(key.as_bytes()))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gives_back_what_was_stored_under_the_same_key_alone() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache { folder: Some(folder.path().join("not").join("yet")) };
        assert_eq!(cache.load("a.cu", "key"), None);
        cache.store("a.cu", "key", b"cubin");
        assert_eq!(cache.load("a.cu", "key").unwrap(), b"cubin");
        assert_eq!(cache.load("a.cu", "another key"), None);

        // even where two keys fall on one file
        let of = |key| cache.path("a.cu", key).unwrap();
        std::fs::copy(of("key"), of("another key")).unwrap();
        assert_eq!(cache.load("a.cu", "another key"), None);
        assert_eq!(std::fs::read_dir(of("key").parent().unwrap()).unwrap().count(), 2, "no unfinished file");
    }

    #[test]
    fn a_damaged_file_is_not_used() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache { folder: Some(folder.path().to_owned()) };
        cache.store("a.cu", "key", b"cubin");
        let path = cache.path("a.cu", "key").unwrap();
        let whole = std::fs::read(&path).unwrap();
        for len in 0..whole.len() {
            std::fs::write(&path, &whole[..len]).unwrap();
            assert_eq!(cache.load("a.cu", "key"), None, "the first {len} bytes");
        }
        for i in 0..whole.len() {
            let mut flipped = whole.clone();
            flipped[i] ^= 1;
            std::fs::write(&path, flipped).unwrap();
            assert_eq!(cache.load("a.cu", "key"), None, "byte {i} changed");
        }
    }

    #[test]
    fn a_folder_that_cannot_be_had_is_no_error() {
        let file = tempfile::NamedTempFile::new().unwrap();
        for folder in [None, Some(file.path().join("below a file"))] {
            let cache = Cache { folder };
            cache.store("a.cu", "key", b"cubin");
            assert_eq!(cache.load("a.cu", "key"), None);
        }
    }
}
