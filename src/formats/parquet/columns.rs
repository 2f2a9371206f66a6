//! Fields as columns, both ways.

use std::io::Write;

use parquet::data_type::{BoolType, ByteArray, ByteArrayType, FloatType, Int64Type};
use parquet::errors::ParquetError;
use parquet::file::writer::{SerializedColumnWriter, SerializedFileWriter};
use parquet::record::{Field, Row};
use parquet::schema::types::Type;
use serde_json::{Map, Value};

use crate::formats::{Flaw, LabelRecord, PreferenceRow, Record, RolloutRecord, StepwiseRow};

/// What a column holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Column {
    /// A string.
    Text,
    /// True or false.
    Flag,
    /// True, false or null.
    MaybeFlag,
    /// A list of strings.
    Texts,
    /// A list of true and false.
    Flags,
    /// A list of whole numbers.
    Integers,
    /// A list of numbers of 32 bits.
    Reals,
}

/// Records with a column for each field.
pub trait Columns: Record {
    /// The fields, by the names that serde gives them, in their order in the file.
    const COLUMNS: &'static [(&'static str, Column)];
}

impl Columns for StepwiseRow {
    const COLUMNS: &'static [(&'static str, Column)] =
        &[("prompt", Column::Text), ("completions", Column::Texts), ("labels", Column::Flags)];
}

/// Of text alone: messages have no column here.
impl Columns for PreferenceRow {
    const COLUMNS: &'static [(&'static str, Column)] =
        &[("prompt", Column::Text), ("chosen", Column::Text), ("rejected", Column::Text)];
}

impl Columns for RolloutRecord {
    const COLUMNS: &'static [(&'static str, Column)] = &[
        ("schema", Column::Text),
        ("problem", Column::Text),
        ("prompt", Column::Text),
        ("response", Column::Text),
        ("prompt_tokens", Column::Integers),
        ("response_tokens", Column::Integers),
        ("token_ends", Column::Integers),
        ("log_probs", Column::Reals),
        ("finished", Column::Flag),
        ("passes", Column::MaybeFlag),
    ];
}

impl Columns for LabelRecord {
    const COLUMNS: &'static [(&'static str, Column)] = &[
        ("schema", Column::Text),
        ("problem", Column::Text),
        ("prompt", Column::Text),
        ("program", Column::Text),
        ("step_ends", Column::Integers),
        ("comments", Column::Flags),
        ("labels", Column::Integers),
        ("step_tokens", Column::Integers),
        ("class", Column::Text),
        ("passes", Column::Flag),
    ];
}

/// The schema in Parquet's own notation.
pub(super) fn message(columns: &[(&str, Column)]) -> String {
    let column = |(name, column): &(&str, Column)| {
        let list = |element: &str| {
            format!("required group {name} (LIST) {{ repeated group list {{ required {element}; }} }}")
        };
        match column {
            Column::Text => format!("required binary {name} (STRING);"),
            Column::Flag => format!("required boolean {name};"),
            Column::MaybeFlag => format!("optional boolean {name};"),
            Column::Texts => list("binary element (STRING)"),
            Column::Flags => list("boolean element"),
            Column::Integers => list("int64 element"),
            Column::Reals => list("float element"),
        }
    };
    format!("message record {{ {} }}", columns.iter().map(column).collect::<Vec<_>>().join(" "))
}

/// The part of a file's schema that has these columns; one that it lacks is named by who misses it.
pub(super) fn projection(columns: &[(&str, Column)], schema: &Type) -> Result<Type, ParquetError> {
    let wanted = |field: &&std::sync::Arc<Type>| columns.iter().any(|(name, _)| *name == field.name());
    let fields = schema.get_fields().iter().filter(wanted).cloned().collect();
    Type::group_type_builder(schema.name()).with_fields(fields).build()
}

/// Whether a row's fields are what its columns hold; roughly its bytes.
pub(super) fn check(columns: &[(&str, Column)], row: &Map<String, Value>) -> Result<usize, Flaw> {
    let mut bytes = 0;
    for (name, column) in columns {
        let value = row.get(*name).unwrap_or(&Value::Null);
        let list = |of: fn(&Value) -> bool| value.as_array().is_some_and(|items| items.iter().all(of));
        let (fits, needed) = match column {
            Column::Text => (value.is_string(), "text"),
            Column::Flag => (value.is_boolean(), "true or false"),
            Column::MaybeFlag => (value.is_boolean() || value.is_null(), "true, false or null"),
            Column::Texts => (list(Value::is_string), "a list of texts"),
            Column::Flags => (list(Value::is_boolean), "a list of true and false"),
            Column::Integers => (list(Value::is_i64), "a list of whole numbers below 2^63"),
            Column::Reals => (list(Value::is_number), "a list of numbers"),
        };
        if !fits {
            return Err(Flaw::new(*name, format!("must be {needed} in a Parquet file")));
        }
        bytes += match value {
            Value::String(text) => text.len(),
            Value::Array(items) => items.iter().map(|item| item.as_str().map_or(8, str::len)).sum(),
            _ => 1,
        };
    }
    Ok(bytes)
}

/// Writes checked rows as a row group.
pub(super) fn write_group<W: Write + Send>(
    writer: &mut SerializedFileWriter<W>,
    columns: &[(&str, Column)],
    rows: &[Map<String, Value>],
) -> Result<(), ParquetError> {
    let mut group = writer.next_row_group()?;
    for (name, column) in columns {
        let Some(mut writer) = group.next_column()? else { break };
        write_column(&mut writer, *column, rows.iter().map(|row| row.get(*name).unwrap_or(&Value::Null)))?;
        writer.close()?;
    }
    group.close().map(drop)
}

fn write_column<'a>(
    writer: &mut SerializedColumnWriter<'_>,
    column: Column,
    values: impl Iterator<Item = &'a Value> + Clone,
) -> Result<(), ParquetError> {
    let text = |value: &Value| value.as_str().map(ByteArray::from);
    let items = || values.clone().flat_map(|value| value.as_array().into_iter().flatten());
    let levels = || Levels::of(values.clone());
    match column {
        Column::Text => {
            let texts: Vec<_> = values.filter_map(text).collect();
            writer.typed::<ByteArrayType>().write_batch(&texts, None, None)?;
        }
        Column::Flag => {
            let flags: Vec<_> = values.filter_map(Value::as_bool).collect();
            writer.typed::<BoolType>().write_batch(&flags, None, None)?;
        }
        Column::MaybeFlag => {
            let defined: Vec<_> = values.clone().map(|value| i16::from(!value.is_null())).collect();
            let flags: Vec<_> = values.filter_map(Value::as_bool).collect();
            writer.typed::<BoolType>().write_batch(&flags, Some(&defined), None)?;
        }
        Column::Texts => {
            let (texts, Levels { defined, repeated }) =
                (items().filter_map(text).collect::<Vec<_>>(), levels());
            writer.typed::<ByteArrayType>().write_batch(&texts, Some(&defined), Some(&repeated))?;
        }
        Column::Flags => {
            let (flags, Levels { defined, repeated }) =
                (items().filter_map(Value::as_bool).collect::<Vec<_>>(), levels());
            writer.typed::<BoolType>().write_batch(&flags, Some(&defined), Some(&repeated))?;
        }
        Column::Integers => {
            let (numbers, Levels { defined, repeated }) =
                (items().filter_map(Value::as_i64).collect::<Vec<_>>(), levels());
            writer.typed::<Int64Type>().write_batch(&numbers, Some(&defined), Some(&repeated))?;
        }
        Column::Reals => {
            // They were f32 before they were JSON.
            let numbers: Vec<_> = items().filter_map(|item| Some(item.as_f64()? as f32)).collect();
            let Levels { defined, repeated } = levels();
            writer.typed::<FloatType>().write_batch(&numbers, Some(&defined), Some(&repeated))?;
        }
    }
    Ok(())
}

/// Definition and repetition levels of a column of lists, as Dremel (Melnik et al., 2010) has them: an item is
/// defined (1) and, but for the first of its list, repeated (1); an empty list has one entry that is neither.
struct Levels {
    defined: Vec<i16>,
    repeated: Vec<i16>,
}

impl Levels {
    fn of<'a>(lists: impl Iterator<Item = &'a Value>) -> Self {
        let mut levels = Self { defined: Vec::new(), repeated: Vec::new() };
        for list in lists {
            let items = list.as_array().map_or(0, Vec::len);
            levels.defined.extend(std::iter::repeat_n(i16::from(items > 0), items.max(1)));
            levels.repeated.extend((0..items.max(1)).map(|item| i16::from(item > 0)));
        }
        levels
    }
}

/// A row as JSON.
pub(super) fn json(row: &Row) -> Result<Map<String, Value>, Flaw> {
    row.get_column_iter().map(|(name, field)| Ok((name.clone(), value(name, field)?))).collect()
}

fn value(name: &str, field: &Field) -> Result<Value, Flaw> {
    Ok(match field {
        Field::Null => Value::Null,
        Field::Bool(flag) => Value::from(*flag),
        Field::Byte(number) => Value::from(*number),
        Field::Short(number) => Value::from(*number),
        Field::Int(number) => Value::from(*number),
        Field::Long(number) => Value::from(*number),
        Field::UByte(number) => Value::from(*number),
        Field::UShort(number) => Value::from(*number),
        Field::UInt(number) => Value::from(*number),
        Field::ULong(number) => Value::from(*number),
        Field::Float(number) => Value::from(*number),
        Field::Double(number) => Value::from(*number),
        Field::Str(text) => Value::from(text.as_str()),
        Field::ListInternal(list) => {
            list.elements().iter().map(|element| value(name, element)).collect::<Result<_, _>>()?
        }
        other => return Err(Flaw::new(name, format!("holds {other}, which is no value of this record"))),
    })
}
