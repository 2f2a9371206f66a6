//! A file that is read in pieces, at places that were checked against its length.

use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use super::{Dtype, FileError, blocks};

/// Bytes read at once: bounds what reading a tensor needs beside the tensor itself.
const CHUNK: usize = 1 << 20;

/// An open file.
///
/// Files are read at positions and not mapped into memory: a map needs `unsafe` whose condition, that nobody
/// shortens the file meanwhile, no program can see to, and saves nothing here, since every byte is read once
/// and becomes an `f32`.
#[derive(Debug)]
pub(super) struct DataFile {
    pub(super) path: PathBuf,
    /// The file's length in bytes, as it was when it was opened.
    pub(super) len: u64,
    /// Behind a lock, for reading moves the file's position.
    file: Mutex<File>,
}

impl DataFile {
    pub(super) fn open(path: &Path) -> Result<Self, FileError> {
        let error = FileError::io(path);
        // Before it is opened: to open a pipe waits for its other end.
        let metadata = fs::metadata(path).map_err(&error)?;
        if !metadata.is_file() {
            return Err(FileError::NotAFile(path.to_owned()));
        }
        let file = File::open(path).map_err(&error)?;
        Ok(Self { path: path.to_owned(), len: metadata.len(), file: Mutex::new(file) })
    }

    /// What `read` makes of the file from its beginning.
    pub(super) fn scan<T>(
        &self,
        read: impl FnOnce(&mut dyn Read) -> Result<T, FileError>,
    ) -> Result<T, FileError> {
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        file.seek(SeekFrom::Start(0)).map_err(FileError::io(&self.path))?;
        read(&mut *file)
    }

    /// Reads elements of type `dtype`, which begin at byte `begin` and fill `out`.
    ///
    /// `out` is a number of whole blocks.
    pub(super) fn elements(&self, begin: u64, dtype: Dtype, out: &mut [f32]) -> Result<(), FileError> {
        let Some((elements, bytes)) = dtype.block() else { return Ok(()) };
        let blocks = (CHUNK / bytes).min(out.len() / elements);
        let mut buffer = vec![0; blocks * bytes];
        let mut begin = begin;
        for out in out.chunks_mut((blocks * elements).max(1)) {
            let buffer = &mut buffer[..out.len() / elements * bytes];
            self.bytes(begin, buffer)?;
            blocks::dequantize(dtype, buffer, out);
            begin += buffer.len() as u64;
        }
        Ok(())
    }

    fn bytes(&self, begin: u64, out: &mut [u8]) -> Result<(), FileError> {
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        file.seek(SeekFrom::Start(begin))
            .and_then(|_| file.read_exact(out))
            .map_err(FileError::io(&self.path))
    }
}
