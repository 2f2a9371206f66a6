//! What a GGUF file says of its tensors, and whether they fit the file.

use super::super::parts::{Part, Parts};
use super::super::{Dtype, FileError};
use super::cursor::Cursor;
use super::metadata::Metadata;

/// Sides of a tensor, at most: as many as ggml knows.
const MOST_SIDES: u32 = 4;

/// Where each tensor's data begins, if the file does not say, is a multiple of this.
const ALIGNMENT: u64 = 32;

/// Reads what the file says of `count` tensors, and where their data are.
pub(super) fn read(cursor: &mut Cursor<'_>, count: u64, metadata: &Metadata) -> Result<Parts, FileError> {
    // The length of a name, the number of sides, type and offset.
    let count = cursor.room("tensors", count, 8 + 4 + 4 + 8)?;
    let mut parts = Parts::new();
    for _ in 0..count {
        let name = cursor.string("a tensor's name")?;
        if parts.contains_key(&name) {
            let (first, second) = (cursor.path.to_owned(), cursor.path.to_owned());
            return Err(FileError::DuplicateTensor { tensor: name, first, second });
        }
        let part = info(cursor, &name)?;
        parts.insert(name, part);
    }
    place(cursor, &mut parts, alignment(metadata)?)?;
    Ok(parts)
}

/// One tensor. Where it begins is still an offset into the data.
fn info(cursor: &mut Cursor<'_>, name: &str) -> Result<Part, FileError> {
    let path = cursor.path;
    let wrong = |what: String| FileError::tensor(path, name, what);
    let sides = cursor.u32()?;
    if sides > MOST_SIDES {
        return Err(wrong(format!("has {sides} sides: {MOST_SIDES} at most")));
    }
    let mut shape = Vec::new();
    for _ in 0..sides {
        let side = cursor.u64()?;
        shape.push(usize::try_from(side).map_err(|_| wrong(format!("has a side of {side} elements")))?);
    }
    shape.reverse();
    let dtype = dtype(cursor.u32()?).map_err(|stored| FileError::Elements {
        file: path.to_owned(),
        tensor: name.to_owned(),
        dtype: stored,
    })?;
    Ok(Part { shape, dtype, stored: dtype.to_string(), begin: cursor.u64()? })
}

/// The type with a number; an error has the name or the number of a type that is not read.
fn dtype(number: u32) -> Result<Dtype, String> {
    Ok(match number {
        0 => Dtype::F32,
        1 => Dtype::F16,
        2 => Dtype::Q4_0,
        3 => Dtype::Q4_1,
        6 => Dtype::Q5_0,
        7 => Dtype::Q5_1,
        8 => Dtype::Q8_0,
        12 => Dtype::Q4_K,
        13 => Dtype::Q5_K,
        14 => Dtype::Q6_K,
        30 => Dtype::BF16,
        10 => return Err("Q2_K".to_owned()),
        11 => return Err("Q3_K".to_owned()),
        20 => return Err("IQ4_NL".to_owned()),
        23 => return Err("IQ4_XS".to_owned()),
        other => return Err(format!("number {other} of ggml")),
    })
}

fn alignment(metadata: &Metadata) -> Result<u64, FileError> {
    const KEY: &str = "general.alignment";
    if metadata.get(KEY).is_none() {
        return Ok(ALIGNMENT);
    }
    let alignment = metadata.uint(KEY)?;
    if !alignment.is_power_of_two() || alignment < 8 {
        return Err(metadata.wrong(KEY, format!("is {alignment}: it must be a power of two, 8 or more")));
    }
    Ok(alignment)
}

/// Turns offsets into the data, which begin behind the cursor, into places in the file.
fn place(cursor: &Cursor<'_>, parts: &mut Parts, alignment: u64) -> Result<(), FileError> {
    if parts.is_empty() {
        return Ok(());
    }
    let data = cursor.at.checked_next_multiple_of(alignment).filter(|&data| data <= cursor.len).ok_or_else(
        || cursor.malformed(format!("its data should begin behind byte {}, where it ends", cursor.at)),
    )?;
    let space = cursor.len - data;
    let mut spans = Vec::with_capacity(parts.len());
    for (name, part) in parts.iter_mut() {
        let wrong = |what: String| Err(FileError::tensor(cursor.path, name, what));
        let Some(bytes) = bytes(part) else {
            return wrong(format!(
                "has the shape {:?} of {}, which is too large or does not end with a block",
                part.shape, part.dtype
            ));
        };
        let offset = part.begin;
        if offset % alignment != 0 {
            return wrong(format!(
                "begins at byte {offset} of the data: it must be a multiple of {alignment}"
            ));
        }
        let end = offset.checked_add(bytes).filter(|&end| end <= space);
        let Some(end) = end else {
            return wrong(format!("has {bytes} bytes from {offset} of the data, which has {space}"));
        };
        if bytes > 0 {
            spans.push((offset, end, name.clone()));
        }
        part.begin = data + offset;
    }
    // Otherwise a small file could stand for endless tensors.
    spans.sort_unstable();
    for pair in spans.windows(2) {
        if let [(_, end, first), (begin, _, second)] = pair
            && begin < end
        {
            let what =
                format!("begins at byte {begin} of the data, within tensor `{first}`, which ends at {end}");
            return Err(FileError::tensor(cursor.path, second, what));
        }
    }
    Ok(())
}

/// The bytes of a tensor; `None` if they cannot be counted, or a row is no number of whole blocks.
fn bytes(part: &Part) -> Option<u64> {
    let (elements, bytes) = part.dtype.block()?;
    let row = part.shape.last().copied().unwrap_or(1);
    if row % elements != 0 {
        return None;
    }
    let count = part.shape.iter().try_fold(1_usize, |product, &side| product.checked_mul(side))?;
    u64::try_from((count / elements).checked_mul(bytes)?).ok()
}
