//! TFRecord framing: length, checksum of the length, data, checksum of the data.

use std::io::{self, BufReader, Read};

/// Length and checksum before the data, checksum behind it.
const HEADER: usize = 12;
const FOOTER: usize = 4;

/// One record around `data`.
pub fn frame(data: &[u8]) -> Vec<u8> {
    let length = (data.len() as u64).to_le_bytes();
    let mut record = Vec::with_capacity(HEADER + data.len() + FOOTER);
    record.extend(length);
    record.extend(masked_crc32c(&length).to_le_bytes());
    record.extend(data);
    record.extend(masked_crc32c(data).to_le_bytes());
    record
}

/// The format's checksum: CRC-32C, rotated right by 15 bits plus a constant, so that the checksum of
/// data that holds checksums is no special case.
pub fn masked_crc32c(data: &[u8]) -> u32 {
    crc32c::crc32c(data).rotate_right(15).wrapping_add(0xa282_ead8)
}

/// How many whole records a file begins with, up to `most`, and how many bytes they are.
///
/// A record is whole if all of it is there and both checksums hold.
///
/// # Errors
/// If reading fails; the end of the file is no failure.
pub fn measure(file: impl Read, most: u64) -> io::Result<(u64, u64)> {
    let mut file = BufReader::new(file);
    let (mut records, mut bytes) = (0, 0);
    while records < most {
        match read(&mut file)? {
            Some(data) => bytes += (HEADER + data.len() + FOOTER) as u64,
            None => break,
        }
        records += 1;
    }
    Ok((records, bytes))
}

/// The data of the next record; `None` at the end and at a record that is cut or damaged.
///
/// # Errors
/// If reading fails; the end of the file is no failure.
pub fn read(file: &mut impl Read) -> io::Result<Option<Vec<u8>>> {
    let Some(header) = take(file, HEADER as u64)? else { return Ok(None) };
    let Some((length, _)) = header.split_first_chunk::<8>() else { return Ok(None) };
    if header[8..] != masked_crc32c(length).to_le_bytes() {
        return Ok(None);
    }
    let Some(data) = take(file, u64::from_le_bytes(*length))? else { return Ok(None) };
    let Some(footer) = take(file, FOOTER as u64)? else { return Ok(None) };
    Ok((footer == masked_crc32c(&data).to_le_bytes()).then_some(data))
}

/// Exactly `length` bytes, or `None`. Memory grows with what is there, not with what a damaged length
/// promises.
fn take(file: &mut impl Read, length: u64) -> io::Result<Option<Vec<u8>>> {
    let mut bytes = Vec::new();
    file.take(length).read_to_end(&mut bytes)?;
    Ok((bytes.len() as u64 == length).then_some(bytes))
}
