//! Event files that TensorBoard reads.
//!
//! A file is a row of TFRecords ([`record`]), each an `Event` in protocol-buffer encoding
//! ([`message`]). Metrics appear under the tag `stage/metric`, timings under `stage/seconds/part`;
//! messages are left out. Values are f32 there, as `simple_value` is. NaN and infinities stay what
//! they are: TensorBoard marks them. The wall time in these files is the one thing of them that a
//! seed does not repeat.

pub mod message;
pub mod record;

use std::fs::{File, OpenOptions};
use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use super::error::io_error;
use super::{Body, Event, EventError, EventSink};

/// Writes one event file.
pub struct TensorBoard {
    path: PathBuf,
    file: File,
    records: u64,
}

impl TensorBoard {
    /// Opens or creates the file and cuts it to its first `keep` records. TensorBoard finds it if its
    /// name holds `tfevents`.
    ///
    /// # Errors
    /// If it has fewer whole records than that, or cannot be opened and cut.
    pub fn open(path: &Path, keep: u64) -> Result<Self, EventError> {
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path);
        let mut file = file.map_err(io_error(path))?;
        let (got, kept) = record::measure(&file, keep).map_err(io_error(path))?;
        if got < keep {
            return Err(EventError::Short { path: path.to_owned(), got, needed: keep });
        }
        file.set_len(kept).map_err(io_error(path))?;
        file.seek(SeekFrom::Start(kept)).map_err(io_error(path))?;
        let mut board = Self { path: path.to_owned(), file, records: keep };
        if keep == 0 {
            board.write(&message::file_version(wall_time()))?;
        }
        Ok(board)
    }

    fn write(&mut self, message: &[u8]) -> Result<(), EventError> {
        self.file.write_all(&record::frame(message)).map_err(io_error(&self.path))?;
        self.records += 1;
        Ok(())
    }
}

impl EventSink for TensorBoard {
    fn emit(&mut self, event: &Event) -> Result<(), EventError> {
        let (values, prefix) = match &event.body {
            Body::Metrics(values) => (values, format!("{}/", event.stage)),
            Body::Seconds(values) => (values, format!("{}/seconds/", event.stage)),
            Body::Message(_) | Body::About(_) => return Ok(()),
        };
        let values: Vec<_> =
            values.iter().map(|(name, value)| (format!("{prefix}{name}"), *value as f32)).collect();
        self.write(&message::scalars(wall_time(), event.step, &values))
    }

    fn mark(&mut self) -> Result<Option<(&'static str, u64)>, EventError> {
        self.file.sync_data().map_err(io_error(&self.path))?;
        Ok(Some(("tensorboard", self.records)))
    }
}

fn wall_time() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64()
}

#[cfg(test)]
mod tests;
