//! A place in a file from which numbers and strings are read, and which knows how much is behind it.

use std::io::{BufReader, Read};
use std::path::Path;

use super::super::FileError;

pub(super) struct Cursor<'a> {
    input: BufReader<&'a mut dyn Read>,
    pub(super) path: &'a Path,
    /// Bytes read so far.
    pub(super) at: u64,
    /// Bytes of the file.
    pub(super) len: u64,
}

impl<'a> Cursor<'a> {
    pub(super) fn new(input: &'a mut dyn Read, path: &'a Path, len: u64) -> Self {
        Self { input: BufReader::new(input), path, at: 0, len }
    }

    /// Whether `count` things of at least `bytes` bytes each can still come.
    ///
    /// Gives the count as one of things in memory, for which room may then be made.
    pub(super) fn room(&self, what: &str, count: u64, bytes: u64) -> Result<usize, FileError> {
        let left = self.len - self.at;
        if count > left / bytes {
            return Err(self.malformed(format!(
                "{count} {what} are said to come at byte {}, each of {bytes} bytes or more, and {left} bytes are left",
                self.at
            )));
        }
        // At most the length of the file, which may be more than memory can have.
        usize::try_from(count).map_err(|_| self.malformed(format!("{count} {what} are too many to count")))
    }

    pub(super) fn bytes(&mut self, out: &mut [u8]) -> Result<(), FileError> {
        let wanted = out.len() as u64;
        if wanted > self.len - self.at {
            let (at, len) = (self.at, self.len);
            return Err(self.malformed(format!("it ends at byte {len}, within {wanted} bytes from {at}")));
        }
        self.input.read_exact(out).map_err(FileError::io(self.path))?;
        self.at += wanted;
        Ok(())
    }

    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], FileError> {
        let mut out = [0; N];
        self.bytes(&mut out)?;
        Ok(out)
    }

    pub(super) fn u32(&mut self) -> Result<u32, FileError> {
        self.array().map(u32::from_le_bytes)
    }

    pub(super) fn u64(&mut self) -> Result<u64, FileError> {
        self.array().map(u64::from_le_bytes)
    }

    /// A string; `what` says what it is, in errors.
    pub(super) fn string(&mut self, what: &str) -> Result<String, FileError> {
        let begin = self.at;
        let len = self.u64()?;
        let mut bytes = vec![0; self.room(&format!("bytes of {what}"), len, 1)?];
        self.bytes(&mut bytes)?;
        String::from_utf8(bytes)
            .map_err(|error| self.malformed(format!("{what} at byte {begin} is not UTF-8 ({error})")))
    }

    pub(super) fn malformed(&self, what: impl Into<String>) -> FileError {
        FileError::malformed(self.path, what)
    }
}
