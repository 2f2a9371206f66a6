//! LiveCodeBench's private tests: base64 of zlib of a pickle of a string of JSON.
//!
//! A pickle is a program, and reading one as Python does runs it. Here only those of its instructions are known that
//! make one string: whatever else a pickle holds is refused, not run.

use std::io::Read;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use flate2::read::ZlibDecoder;
use thiserror::Error;

/// Bytes that packed tests of a problem may have when unpacked: the largest of the benchmark have some hundred
/// million.
pub(super) const LARGEST: u64 = 512 << 20;

/// Packed tests that cannot be unpacked.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum PackedError {
    /// Not base64.
    #[error("not base64: {0}")]
    Base64(#[from] base64::DecodeError),
    /// Not compressed by zlib, or cut off.
    #[error("not compressed by zlib: {0}")]
    Zlib(std::io::Error),
    /// Unpacks to more than the limit.
    #[error("more than {limit} bytes when unpacked")]
    TooLarge {
        /// Most bytes.
        limit: u64,
    },
    /// A pickle of something else than a string.
    #[error("byte {at} of the pickle is the instruction {instruction:#04x}: only a pickled string is read")]
    Instruction {
        /// Its place, from 0.
        at: usize,
        /// Its code.
        instruction: u8,
    },
    /// A pickle that ends early, or not where it says.
    #[error("the pickle does not end with its string")]
    CutOff,
    /// Text that is not UTF-8.
    #[error("the pickled string is not UTF-8: {0}")]
    Text(#[from] std::str::Utf8Error),
    /// The string is not JSON.
    #[error("the text is not JSON: {0}")]
    Json(#[from] serde_json::Error),
}

/// The pickled string of `text`, if it has at most `limit` bytes.
pub(super) fn unpack(text: &str, limit: u64) -> Result<String, PackedError> {
    let compressed = BASE64_STANDARD.decode(text.trim())?;
    let mut pickle = Vec::new();
    ZlibDecoder::new(&compressed[..])
        .take(limit.saturating_add(1))
        .read_to_end(&mut pickle)
        .map_err(PackedError::Zlib)?;
    if pickle.len() as u64 > limit {
        return Err(PackedError::TooLarge { limit });
    }
    Ok(unpickle_string(&pickle)?.to_owned())
}

/// The string of a pickle that makes one string and nothing else. The codes are those of Python's `pickletools`.
fn unpickle_string(pickle: &[u8]) -> Result<&str, PackedError> {
    let mut reader = Reader { bytes: pickle, at: 0 };
    let mut string = None;
    loop {
        let at = reader.at;
        let instruction = reader.take(1)?[0];
        match (instruction, string) {
            // PROTO and FRAME, before the string.
            (0x80, None) => _ = reader.take(1)?,
            (0x95, None) => _ = reader.take(8)?,
            // SHORT_BINUNICODE, BINUNICODE, BINUNICODE8.
            (0x8c, None) => string = Some(reader.sized(1)?),
            (b'X', None) => string = Some(reader.sized(4)?),
            (0x8d, None) => string = Some(reader.sized(8)?),
            // MEMOIZE, BINPUT, LONG_BINPUT: for references, of which there are none.
            (0x94, Some(_)) => {}
            (b'q', Some(_)) => _ = reader.take(1)?,
            (b'r', Some(_)) => _ = reader.take(4)?,
            // STOP.
            (b'.', Some(string)) if reader.at == pickle.len() => return Ok(std::str::from_utf8(string)?),
            (b'.', _) => return Err(PackedError::CutOff),
            (instruction, _) => return Err(PackedError::Instruction { at, instruction }),
        }
    }
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> Result<&'a [u8], PackedError> {
        let end = self.at.checked_add(length).ok_or(PackedError::CutOff)?;
        let taken = self.bytes.get(self.at..end).ok_or(PackedError::CutOff)?;
        self.at = end;
        Ok(taken)
    }

    /// Bytes behind their number, which has `width` bytes itself.
    fn sized(&mut self, width: usize) -> Result<&'a [u8], PackedError> {
        let mut number = [0; 8];
        number[..width].copy_from_slice(self.take(width)?);
        let length = usize::try_from(u64::from_le_bytes(number)).map_err(|_| PackedError::CutOff)?;
        self.take(length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pickle_of_a_string_is_read_and_no_other() {
        let long = [b"X\x2c\x01\0\0".as_slice(), &[b'a'; 300], b"q\0."].concat();
        assert_eq!(unpickle_string(&long).unwrap(), "a".repeat(300));
        let framed = b"\x80\x04\x95\x07\0\0\0\0\0\0\0\x8c\x03[1]\x94.";
        assert_eq!(unpickle_string(framed).unwrap(), "[1]");
        for end in 0..framed.len() {
            assert!(matches!(unpickle_string(&framed[..end]), Err(PackedError::CutOff)), "{end}");
        }
        // os.system('true'), as Python 2 pickled it; a string that is dropped; a list; bytes behind the end.
        for (pickle, at) in [
            (&b"cos\nsystem\n(S'true'\ntR."[..], 0),
            (b"\x80\x04\x8c\x011\x94\x8c\x012.", 6),
            (b"\x80\x04]\x94.", 2),
            (b"\x80\x04\x8c\x02os\x94\x8c\x06system\x94\x93\x94.", 7),
        ] {
            let error = unpickle_string(pickle).unwrap_err();
            assert!(matches!(error, PackedError::Instruction { at: place, .. } if place == at), "{error}");
        }
        for pickle in
            [&b"\x80\x04\x8c\x011..\x8c\x011."[..], b".", b"\x8d\xff\xff\xff\xff\xff\xff\xff\xff.", b""]
        {
            assert!(matches!(unpickle_string(pickle), Err(PackedError::CutOff)));
        }
        assert!(matches!(unpickle_string(b"\x8c\x01\xff."), Err(PackedError::Text(_))));
    }
}
