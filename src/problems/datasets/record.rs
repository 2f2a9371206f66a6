//! Records of a file: JSON objects, and where they stand.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use flate2::bufread::MultiGzDecoder;
use serde_json::{Map, Value};

use super::DatasetError;

/// Bytes of a record, at most: private tests of LiveCodeBench have up to some hundred million.
const LARGEST: u64 = 1 << 30;

/// Where something stands.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Place {
    /// The file.
    pub path: PathBuf,
    /// The line of a file of lines, or the number of an array's element, from 1.
    pub line: Option<usize>,
    /// The problem's id, if it was found.
    pub task: Option<String>,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.path.display())?;
        if let Some(line) = self.line {
            write!(f, ", record {line}")?;
        }
        if let Some(task) = &self.task {
            write!(f, ", `{task}`")?;
        }
        Ok(())
    }
}

/// A JSON object whose fields are taken one by one. What is left is the problem's metadata.
#[derive(Debug)]
pub(super) struct Record {
    pub fields: Map<String, Value>,
    pub place: Place,
}

impl Record {
    pub fn wrong(&self, field: &str, needed: impl Into<String>) -> DatasetError {
        DatasetError::Field { place: self.place.clone(), field: field.into(), needed: needed.into() }
    }

    pub fn text(&self, field: &str) -> Result<&str, DatasetError> {
        self.fields.get(field).and_then(Value::as_str).ok_or_else(|| self.wrong(field, "a string"))
    }

    pub fn take_text(&mut self, field: &str) -> Result<String, DatasetError> {
        match self.fields.remove(field) {
            Some(Value::String(text)) => Ok(text),
            _ => Err(self.wrong(field, "a string")),
        }
    }

    /// A list of strings; an absent field is an empty one.
    pub fn texts(&self, field: &str) -> Result<Vec<String>, DatasetError> {
        let Some(value) = self.fields.get(field) else { return Ok(Vec::new()) };
        texts(value).ok_or_else(|| self.wrong(field, "a list of strings"))
    }

    pub fn into_metadata(self) -> BTreeMap<String, Value> {
        self.fields.into_iter().collect()
    }
}

pub(super) fn texts(value: &Value) -> Option<Vec<String>> {
    value.as_array()?.iter().map(|item| item.as_str().map(str::to_owned)).collect()
}

/// Gives every record of a file to `read`: JSON lines or one array, plain or compressed by gzip.
pub(super) fn records<T>(
    path: &Path,
    mut read: impl FnMut(Record) -> Result<T, DatasetError>,
) -> Result<Vec<T>, DatasetError> {
    let io = |source| DatasetError::Io { path: path.into(), source };
    let mut reader = open(path).map_err(io)?;
    let mut place = Place { path: path.into(), line: None, task: None };
    let mut found = Vec::new();
    let mut line = Vec::new();
    for number in 1.. {
        line.clear();
        if reader.by_ref().take(LARGEST).read_until(b'\n', &mut line).map_err(io)? == 0 {
            break;
        }
        place.line = Some(number);
        let too_long = line.len() as u64 == LARGEST;
        let blank = line.trim_ascii().is_empty();
        if found.is_empty() && line.trim_ascii_start().starts_with(b"[") {
            reader.by_ref().take(LARGEST).read_to_end(&mut line).map_err(io)?;
            if line.len() as u64 >= LARGEST {
                return Err(DatasetError::TooLong { place, limit: LARGEST });
            }
            place.line = None;
            let array: Vec<Map<_, _>> = serde_json::from_slice(&line)
                .map_err(|source| DatasetError::Json { place: place.clone(), source })?;
            for (number, fields) in (1..).zip(array) {
                found.push(read(Record { fields, place: Place { line: Some(number), ..place.clone() } })?);
            }
            break;
        }
        if too_long {
            return Err(DatasetError::TooLong { place, limit: LARGEST });
        }
        if !blank {
            let fields = serde_json::from_slice(&line)
                .map_err(|source| DatasetError::Json { place: place.clone(), source })?;
            found.push(read(Record { fields, place: place.clone() })?);
        }
    }
    Ok(found)
}

/// A file's text, decompressed if need be: by its first bytes, since names of downloads lie.
fn open(path: &Path) -> std::io::Result<Box<dyn BufRead>> {
    let mut file = BufReader::new(File::open(path)?);
    Ok(match file.fill_buf()?.starts_with(&[0x1f, 0x8b]) {
        true => Box::new(BufReader::new(MultiGzDecoder::new(file))),
        false => Box::new(file),
    })
}
