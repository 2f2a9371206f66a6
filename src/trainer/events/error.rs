//! What can be wrong with events and their files.

use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

/// An event cannot be written, or a log not be read.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum EventError {
    /// A stage or metric with a name that TensorBoard or JSON tools would trip over.
    #[error(
        "`{0}` cannot name a stage or metric: it must begin with a letter from a to z, and hold such \
         letters, digits, `_`, `-`, `.` and `/` alone"
    )]
    Name(String),
    /// One event gives a metric twice.
    #[error("the event of {stage} step {step} gives `{name}` twice")]
    Duplicate {
        /// The stage.
        stage: String,
        /// The step.
        step: u64,
        /// The metric.
        name: String,
    },
    /// A log holds less than a checkpoint says had been written.
    #[error(
        "`{}` holds {got} records, but {needed} had been written when the checkpoint was saved: it is \
         not the log of that run, or it was cut",
        path.display(),
    )]
    Short {
        /// The log.
        path: PathBuf,
        /// Complete records in it.
        got: u64,
        /// Records that there must be.
        needed: u64,
    },
    /// A line that is not an event.
    #[error("line {line} of `{}` is not an event: {source}", path.display())]
    Line {
        /// The log.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What is wrong.
        source: serde_json::Error,
    },
    /// The disk refuses.
    #[error("cannot write or read `{}`: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
}

/// Tells an I/O error its file.
pub(super) fn io_error(path: &Path) -> impl FnOnce(io::Error) -> EventError {
    move |source| EventError::Io { path: path.to_owned(), source }
}
