//! What is wrong with a file of records, and where.

use std::fmt;
use std::path::{Path, PathBuf};

use thiserror::Error;

/// A record of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Place {
    /// The file.
    pub path: PathBuf,
    /// The line of a file of lines or the row of a table, from 1.
    pub record: usize,
}

impl Place {
    pub(super) fn new(path: &Path, record: usize) -> Self {
        Self { path: path.to_owned(), record }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, record {}", self.path.display(), self.record)
    }
}

/// A field of a record that does not fit the others, or is not what it must be.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("the field `{field}` {problem}")]
#[non_exhaustive]
pub struct Flaw {
    /// The field, such as `labels` or `completions[3]`.
    pub field: String,
    /// What is wrong with it, and what would be valid.
    pub problem: String,
}

impl Flaw {
    /// A flaw of `field`.
    pub fn new(field: impl Into<String>, problem: impl Into<String>) -> Self {
        Self { field: field.into(), problem: problem.into() }
    }
}

/// Records cannot be read or written.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum FormatError {
    /// A file cannot be read or written.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A line is no JSON, or no record.
    #[error("{place}: {}{message}", at(field))]
    Json {
        /// Where.
        place: Place,
        /// The field, or `.` for the record itself.
        field: String,
        /// What is wrong.
        message: String,
    },
    /// A line is too long.
    #[error("{place}: longer than {limit} bytes")]
    TooLong {
        /// Where.
        place: Place,
        /// Most bytes of a line.
        limit: u64,
    },
    /// A record's fields do not fit each other.
    #[error("{place}: {flaw}")]
    Flaw {
        /// Where.
        place: Place,
        /// What is wrong.
        flaw: Flaw,
    },
    /// A file is not Parquet, or broken.
    #[cfg(feature = "parquet")]
    #[error("{place}: {source}")]
    Parquet {
        /// The file, and the row that was to be read; 0 for the file itself.
        place: Place,
        /// What is wrong.
        source: parquet::errors::ParquetError,
    },
}

fn at(field: &str) -> String {
    if field == "." { String::new() } else { format!("the field `{field}`: ") }
}
