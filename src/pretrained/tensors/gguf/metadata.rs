//! The typed keys and values of a GGUF file.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::super::FileError;
use super::cursor::Cursor;

/// How deep arrays may lie within arrays: the format sets no bound, files in use have none within others.
const DEEPEST: u32 = 4;

/// Bytes of the longest key, by the format.
const LONGEST_KEY: usize = 65_535;

/// Bytes of an array's element type and length, which come before its elements.
const ARRAY_HEAD: u64 = 12;

/// A value of the metadata.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
#[allow(missing_docs, reason = "a variant is the type that it is named after")]
pub enum Value {
    U8(u8),
    I8(i8),
    U16(u16),
    I16(i16),
    U32(u32),
    I32(i32),
    F32(f32),
    Bool(bool),
    String(String),
    Array(Array),
    U64(u64),
    I64(i64),
    F64(f64),
}

/// An array of the metadata: its elements are of one type.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
#[allow(missing_docs, reason = "a variant is the type that it is named after")]
pub enum Array {
    U8(Vec<u8>),
    I8(Vec<i8>),
    U16(Vec<u16>),
    I16(Vec<i16>),
    U32(Vec<u32>),
    I32(Vec<i32>),
    F32(Vec<f32>),
    Bool(Vec<bool>),
    String(Vec<String>),
    Array(Vec<Array>),
    U64(Vec<u64>),
    I64(Vec<i64>),
    F64(Vec<f64>),
}

/// All keys with their values.
///
/// The functions that are named after a type give the value of a key that must be there, and be of that type.
#[derive(Clone, Debug, PartialEq)]
pub struct Metadata {
    /// For errors.
    path: PathBuf,
    values: BTreeMap<String, Value>,
}

impl Metadata {
    /// The value of a key, if it is there.
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.values.get(key)
    }

    /// All keys and values, sorted by key.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.values.iter().map(|(key, value)| (key.as_str(), value))
    }

    /// A string.
    ///
    /// # Errors
    /// If the key is not there or has another type.
    pub fn string(&self, key: &str) -> Result<&str, FileError> {
        match self.required(key)? {
            Value::String(text) => Ok(text),
            other => Err(self.unlike(key, other, "a string")),
        }
    }

    /// An integer that is not negative, of any of the integer types.
    ///
    /// # Errors
    /// If the key is not there, has another type or a negative value.
    pub fn uint(&self, key: &str) -> Result<u64, FileError> {
        let value = self.required(key)?;
        let integer = match value {
            Value::U8(value) => Some(u64::from(*value)),
            Value::U16(value) => Some(u64::from(*value)),
            Value::U32(value) => Some(u64::from(*value)),
            Value::U64(value) => Some(*value),
            Value::I8(value) => u64::try_from(*value).ok(),
            Value::I16(value) => u64::try_from(*value).ok(),
            Value::I32(value) => u64::try_from(*value).ok(),
            Value::I64(value) => u64::try_from(*value).ok(),
            _ => None,
        };
        integer.ok_or_else(|| self.unlike(key, value, "an integer that is not negative"))
    }

    /// A floating point number, of either width.
    ///
    /// # Errors
    /// If the key is not there or has another type.
    pub fn float(&self, key: &str) -> Result<f64, FileError> {
        match self.required(key)? {
            Value::F32(value) => Ok(f64::from(*value)),
            Value::F64(value) => Ok(*value),
            other => Err(self.unlike(key, other, "a floating point number")),
        }
    }

    /// A truth value.
    ///
    /// # Errors
    /// If the key is not there or has another type.
    pub fn bool(&self, key: &str) -> Result<bool, FileError> {
        match self.required(key)? {
            Value::Bool(value) => Ok(*value),
            other => Err(self.unlike(key, other, "a truth value")),
        }
    }

    /// An array of strings.
    ///
    /// # Errors
    /// If the key is not there or has another type.
    pub fn strings(&self, key: &str) -> Result<&[String], FileError> {
        match self.required(key)? {
            Value::Array(Array::String(texts)) => Ok(texts),
            other => Err(self.unlike(key, other, "an array of strings")),
        }
    }

    /// An array of 32-bit integers.
    ///
    /// # Errors
    /// If the key is not there or has another type.
    pub fn i32s(&self, key: &str) -> Result<&[i32], FileError> {
        match self.required(key)? {
            Value::Array(Array::I32(values)) => Ok(values),
            other => Err(self.unlike(key, other, "an array of 32-bit integers")),
        }
    }

    fn required(&self, key: &str) -> Result<&Value, FileError> {
        self.get(key).ok_or_else(|| FileError::NoKey { file: self.path.clone(), key: key.to_owned() })
    }

    /// The error of a key that should be `wanted`.
    pub(crate) fn unlike(&self, key: &str, value: &Value, wanted: &str) -> FileError {
        FileError::key(&self.path, key, format!("is {}: it must be {wanted}", value.describe()))
    }

    /// The error of a key whose value cannot be used.
    pub(crate) fn wrong(&self, key: &str, what: impl Into<String>) -> FileError {
        FileError::key(&self.path, key, what)
    }
}

impl Value {
    /// The value in a few words; an array's elements are left out.
    fn describe(&self) -> String {
        match self {
            Self::Array(array) => format!("an array of {}", array.element_name()),
            Self::String(text) => format!("the string {:?}", text.chars().take(60).collect::<String>()),
            other => format!("{other:?}"),
        }
    }
}

impl Array {
    fn element_name(&self) -> &'static str {
        match self {
            Self::U8(_) => "U8",
            Self::I8(_) => "I8",
            Self::U16(_) => "U16",
            Self::I16(_) => "I16",
            Self::U32(_) => "U32",
            Self::I32(_) => "I32",
            Self::F32(_) => "F32",
            Self::Bool(_) => "truth values",
            Self::String(_) => "strings",
            Self::Array(_) => "arrays",
            Self::U64(_) => "U64",
            Self::I64(_) => "I64",
            Self::F64(_) => "F64",
        }
    }
}

/// Reads `count` keys with their values.
pub(super) fn read(cursor: &mut Cursor<'_>, count: u64) -> Result<Metadata, FileError> {
    // A key's length, its value's type and a value of one byte at least.
    let count = cursor.room("metadata keys", count, 8 + 4 + 1)?;
    let mut values = BTreeMap::new();
    for _ in 0..count {
        let key = cursor.string("a metadata key")?;
        if key.len() > LONGEST_KEY {
            let begin: String = key.chars().take(60).collect();
            let what = format!("a metadata key, {begin:?}…, has {} bytes: {LONGEST_KEY} at most", key.len());
            return Err(cursor.malformed(what));
        }
        if values.contains_key(&key) {
            return Err(FileError::key(cursor.path, &key, "is there twice"));
        }
        let value = value(cursor, &key)?;
        values.insert(key, value);
    }
    Ok(Metadata { path: cursor.path.to_owned(), values })
}

fn value(cursor: &mut Cursor<'_>, key: &str) -> Result<Value, FileError> {
    Ok(match cursor.u32()? {
        0 => Value::U8(u8::from_le_bytes(cursor.array()?)),
        1 => Value::I8(i8::from_le_bytes(cursor.array()?)),
        2 => Value::U16(u16::from_le_bytes(cursor.array()?)),
        3 => Value::I16(i16::from_le_bytes(cursor.array()?)),
        4 => Value::U32(cursor.u32()?),
        5 => Value::I32(i32::from_le_bytes(cursor.array()?)),
        6 => Value::F32(f32::from_le_bytes(cursor.array()?)),
        7 => Value::Bool(truth(cursor, key)?),
        8 => Value::String(cursor.string(&format!("the value of `{key}`"))?),
        9 => Value::Array(array(cursor, key, 1)?),
        10 => Value::U64(cursor.u64()?),
        11 => Value::I64(i64::from_le_bytes(cursor.array()?)),
        12 => Value::F64(f64::from_le_bytes(cursor.array()?)),
        other => return Err(unknown_type(cursor, key, other)),
    })
}

fn array(cursor: &mut Cursor<'_>, key: &str, depth: u32) -> Result<Array, FileError> {
    if depth > DEEPEST {
        let what = format!("has arrays within arrays, more than {DEEPEST} deep");
        return Err(FileError::key(cursor.path, key, what));
    }
    let (element, count) = (cursor.u32()?, cursor.u64()?);
    Ok(match element {
        0 => Array::U8(numbers(cursor, key, count, u8::from_le_bytes)?),
        1 => Array::I8(numbers(cursor, key, count, i8::from_le_bytes)?),
        2 => Array::U16(numbers(cursor, key, count, u16::from_le_bytes)?),
        3 => Array::I16(numbers(cursor, key, count, i16::from_le_bytes)?),
        4 => Array::U32(numbers(cursor, key, count, u32::from_le_bytes)?),
        5 => Array::I32(numbers(cursor, key, count, i32::from_le_bytes)?),
        6 => Array::F32(numbers(cursor, key, count, f32::from_le_bytes)?),
        7 => Array::Bool(elements(cursor, key, count, 1, |cursor| truth(cursor, key))?),
        8 => {
            let what = format!("a string of `{key}`");
            Array::String(elements(cursor, key, count, 8, |cursor| cursor.string(&what))?)
        }
        9 => Array::Array(elements(cursor, key, count, ARRAY_HEAD, |cursor| array(cursor, key, depth + 1))?),
        10 => Array::U64(numbers(cursor, key, count, u64::from_le_bytes)?),
        11 => Array::I64(numbers(cursor, key, count, i64::from_le_bytes)?),
        12 => Array::F64(numbers(cursor, key, count, f64::from_le_bytes)?),
        other => return Err(unknown_type(cursor, key, other)),
    })
}

fn numbers<T, const BYTES: usize>(
    cursor: &mut Cursor<'_>,
    key: &str,
    count: u64,
    number: impl Fn([u8; BYTES]) -> T,
) -> Result<Vec<T>, FileError> {
    elements(cursor, key, count, BYTES as u64, |cursor| cursor.array().map(&number))
}

/// `count` elements of at least `bytes` bytes each.
fn elements<'a, T>(
    cursor: &mut Cursor<'a>,
    key: &str,
    count: u64,
    bytes: u64,
    element: impl Fn(&mut Cursor<'a>) -> Result<T, FileError>,
) -> Result<Vec<T>, FileError> {
    let count = cursor.room(&format!("elements of `{key}`"), count, bytes)?;
    let mut elements = Vec::with_capacity(count);
    for _ in 0..count {
        elements.push(element(cursor)?);
    }
    Ok(elements)
}

fn truth(cursor: &mut Cursor<'_>, key: &str) -> Result<bool, FileError> {
    match cursor.array()? {
        [0] => Ok(false),
        [1] => Ok(true),
        [other] => {
            Err(FileError::key(cursor.path, key, format!("has the truth value {other}: it must be 0 or 1")))
        }
    }
}

fn unknown_type(cursor: &Cursor<'_>, key: &str, number: u32) -> FileError {
    FileError::key(cursor.path, key, format!("has a value of type {number}: types are 0 to 12"))
}
