//! Files that are complete or not there at all, whenever the machine stops.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

/// Writes a file beside `path` and renames it into place, both made durable.
pub(crate) fn write_atomically(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = Beside::create(path)?;
    file.write_all(bytes)?;
    file.finish()
}

/// A file that is written beside `path` and renamed into place when it is done. Dropped before, it is removed.
pub(crate) struct Beside {
    path: PathBuf,
    beside: PathBuf,
    /// Until it is done.
    file: Option<BufWriter<File>>,
}

impl Beside {
    pub(crate) fn create(path: &Path) -> io::Result<Self> {
        let mut beside = path.as_os_str().to_owned();
        beside.push(".tmp");
        let beside = PathBuf::from(beside);
        let file = Some(BufWriter::new(File::create(&beside)?));
        Ok(Self { path: path.to_owned(), beside, file })
    }

    /// Renames the file into place, both made durable.
    pub(crate) fn finish(mut self) -> io::Result<()> {
        let Some(file) = self.file.take() else { return Ok(()) };
        let done = file.into_inner().map_err(io::IntoInnerError::into_error).and_then(|file| {
            file.sync_all()?;
            fs::rename(&self.beside, &self.path)?;
            sync_dir(parent(&self.path))
        });
        if done.is_err() {
            let _ = fs::remove_file(&self.beside);
        }
        done
    }
}

impl Write for Beside {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.file {
            Some(file) => file.write(bytes),
            None => Err(io::ErrorKind::BrokenPipe.into()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.as_mut().map_or(Ok(()), Write::flush)
    }
}

impl Drop for Beside {
    fn drop(&mut self) {
        if self.file.take().is_some() {
            let _ = fs::remove_file(&self.beside);
        }
    }
}

/// Makes the names in a folder durable, as `fsync` of a file does its content.
pub(crate) fn sync_dir(dir: &Path) -> io::Result<()> {
    // Elsewhere a folder cannot be opened as a file, and a rename is durable without it.
    if cfg!(unix) { File::open(dir)?.sync_all() } else { Ok(()) }
}

/// The folder that holds `path`.
pub(crate) fn parent(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}
