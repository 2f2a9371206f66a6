//! Records as Parquet: a column for each field, in the layout that `pyarrow` and `datasets` read and write.
//!
//! Compressed by Snappy. Text is a column of strings, lists are of the three-level layout of Parquet's
//! specification, whole numbers have 64 bits. Columns that a record does not have are passed over in reading.

mod columns;

use std::any::Any;
use std::fs::File;
use std::marker::PhantomData;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use columns::{Column, Columns};
use parquet::basic::Compression;
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
use parquet::file::reader::FileReader;
use parquet::file::serialized_reader::SerializedFileReader;
use parquet::file::writer::SerializedFileWriter;
use parquet::record::reader::RowIter;
use parquet::schema::parser::parse_message_type;
use serde_json::{Map, Value};

use super::{Flaw, FormatError, Place};
use crate::files::Beside;

/// Rows of a row group, at most: a group is in memory until it is written.
const ROWS: usize = 10_000;
/// Bytes of a row group as JSON, roughly at most.
const BYTES: usize = 64 << 20;

/// Writes records into a Parquet file that is there when all of it is.
///
/// ```
/// use pspo::formats::{ParquetRows, ParquetWriter, StepwiseRow};
///
/// let folder = tempfile::tempdir()?;
/// let path = folder.path().join("steps.parquet");
/// let row = StepwiseRow { prompt: "p".into(), completions: vec!["a".into()], labels: vec![true] };
/// let mut writer = ParquetWriter::create(&path)?;
/// writer.write(&row)?;
/// writer.finish()?; // without, there is no file
/// assert_eq!(ParquetRows::<StepwiseRow>::open(&path)?.collect::<Result<Vec<_>, _>>()?, [row]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct ParquetWriter<T> {
    path: PathBuf,
    writer: SerializedFileWriter<Beside>,
    /// The rows of the group that is not yet written.
    rows: Vec<Map<String, Value>>,
    bytes: usize,
    number: usize,
    record: PhantomData<fn(&T)>,
}

impl<T: Columns> ParquetWriter<T> {
    /// Begins to write a file.
    ///
    /// # Errors
    /// If it cannot be created.
    pub fn create(path: impl AsRef<Path>) -> Result<Self, FormatError> {
        let path = path.as_ref().to_owned();
        let file = Beside::create(&path).map_err(|source| FormatError::Io { path: path.clone(), source })?;
        let failed = |source| FormatError::Parquet { place: Place::new(&path, 0), source };
        let schema = parse_message_type(&columns::message(T::COLUMNS)).map_err(failed)?;
        let properties = WriterProperties::builder().set_compression(Compression::SNAPPY).build();
        let writer =
            SerializedFileWriter::new(file, Arc::new(schema), Arc::new(properties)).map_err(failed)?;
        Ok(Self { writer, rows: Vec::new(), bytes: 0, number: 0, record: PhantomData, path })
    }

    /// Writes a record.
    ///
    /// # Errors
    /// If it would not be read again, or the file cannot be written.
    pub fn write(&mut self, record: &T) -> Result<(), FormatError> {
        self.number += 1;
        let flaw = |flaw| FormatError::Flaw { place: Place::new(&self.path, self.number), flaw };
        record.check().map_err(flaw)?;
        let value = serde_json::to_value(record).map_err(|error| flaw(Flaw::new(".", error.to_string())))?;
        let Value::Object(row) = value else { return Err(flaw(Flaw::new(".", "is no object of fields"))) };
        self.bytes += columns::check(T::COLUMNS, &row).map_err(flaw)?;
        self.rows.push(row);
        if self.rows.len() >= ROWS || self.bytes >= BYTES { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> Result<(), FormatError> {
        let (rows, first) = (std::mem::take(&mut self.rows), self.number);
        self.bytes = 0;
        columns::write_group(&mut self.writer, T::COLUMNS, &rows)
            .map_err(|source| FormatError::Parquet { place: Place::new(&self.path, first), source })
    }

    /// Puts the file in its place.
    ///
    /// # Errors
    /// If that fails; then there is no file, or the earlier one.
    pub fn finish(mut self) -> Result<(), FormatError> {
        if !self.rows.is_empty() {
            self.flush()?;
        }
        let Self { path, writer, .. } = self;
        let file = writer
            .into_inner()
            .map_err(|source| FormatError::Parquet { place: Place::new(&path, 0), source })?;
        file.finish().map_err(|source| FormatError::Io { path, source })
    }
}

/// Reads a Parquet file's records one by one, a page of each column in memory. After an error of the file itself
/// nothing more comes; after one of a record, the next record.
pub struct ParquetRows<T> {
    path: PathBuf,
    rows: RowIter<'static>,
    number: usize,
    over: bool,
    record: PhantomData<fn() -> T>,
}

impl<T: Columns> ParquetRows<T> {
    /// Begins to read a file.
    ///
    /// # Errors
    /// If it cannot be opened, or is no Parquet file.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, FormatError> {
        let path = path.as_ref().to_owned();
        let file = File::open(&path).map_err(|source| FormatError::Io { path: path.clone(), source })?;
        let rows = guarded(|| {
            let reader = SerializedFileReader::new(file)?;
            let wanted = columns::projection(T::COLUMNS, reader.metadata().file_metadata().schema())?;
            RowIter::from_file_into(Box::new(reader)).project(Some(wanted))
        });
        let rows = rows.map_err(|source| FormatError::Parquet { place: Place::new(&path, 0), source })?;
        Ok(Self { path, rows, number: 0, over: false, record: PhantomData })
    }
}

impl<T: Columns> Iterator for ParquetRows<T> {
    type Item = Result<T, FormatError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.over {
            return None;
        }
        self.number += 1;
        let place = Place::new(&self.path, self.number);
        let row = match guarded(|| self.rows.next().transpose()) {
            Ok(Some(row)) => row,
            Ok(None) => {
                self.over = true;
                return None;
            }
            Err(source) => {
                self.over = true;
                return Some(Err(FormatError::Parquet { place, source }));
            }
        };
        let read = columns::json(&row).and_then(|fields| {
            let record: T = serde_path_to_error::deserialize(Value::Object(fields)).map_err(|error| {
                Flaw::new(error.path().to_string(), format!("cannot be read: {}", error.inner()))
            })?;
            record.check().map(|()| record)
        });
        Some(read.map_err(|flaw| FormatError::Flaw { place, flaw }))
    }
}

/// Reads by the `parquet` crate, which panics at some files that are broken.
fn guarded<R>(read: impl FnOnce() -> Result<R, ParquetError>) -> Result<R, ParquetError> {
    // What was read when it panicked is not used again: no more rows are asked for.
    catch_unwind(AssertUnwindSafe(read)).unwrap_or_else(|panic: Box<dyn Any + Send>| {
        let said = panic.downcast_ref::<String>().map(String::as_str);
        let said = said.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no reason given");
        Err(ParquetError::General(format!("the file is broken: {said}")))
    })
}

#[cfg(test)]
mod tests;
