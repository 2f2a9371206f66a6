//! The header of a safetensors file, and whether it fits the file.

use std::io::Read;

use safetensors::tensor::{Dtype as Stored, TensorInfo};

use super::super::file::DataFile;
use super::super::parts::{Part, Parts};
use super::super::unique::Unique;
use super::super::{Dtype, FileError};

/// Bytes of the longest header, as in the format's own library.
pub(super) const LONGEST: u64 = 100_000_000;

/// Bytes of the header's length, which the file begins with.
const LEN: u64 = 8;

pub(super) fn read(file: &DataFile) -> Result<Parts, FileError> {
    let malformed = |what: String| FileError::malformed(&file.path, what);
    if file.len < LEN {
        return Err(malformed(format!(
            "{} bytes are no safetensors file, which has {LEN} at least",
            file.len
        )));
    }
    let json = file.scan(|input| {
        let mut len = [0; LEN as usize];
        input.read_exact(&mut len).map_err(FileError::io(&file.path))?;
        let len = u64::from_le_bytes(len);
        let longest = LONGEST.min(file.len - LEN);
        if len > longest {
            return Err(malformed(format!("its header is said to have {len} bytes, of at most {longest}")));
        }
        let mut json = Vec::new();
        input.take(len).read_to_end(&mut json).map_err(FileError::io(&file.path))?;
        Ok(json)
    })?;
    let Unique(mut infos) = serde_json::from_slice::<Unique<TensorInfo>>(&json)
        .map_err(|error| malformed(format!("its header is not one of safetensors: {error}")))?;

    infos.sort_by_key(|(_, info)| info.data_offsets);
    let data = LEN + json.len() as u64;
    let mut parts = Parts::new();
    // The format has no holes, and no two tensors share bytes: one begins where the one before it ends.
    let mut expected = 0;
    for (name, info) in infos {
        let (begin, end) = (info.data_offsets.0 as u64, info.data_offsets.1 as u64);
        let wrong = |what: String| Err(FileError::tensor(&file.path, &name, what));
        let Some(bytes) = bytes(&info) else {
            return wrong(format!(
                "has the shape {:?}, which is too large or ends within a byte",
                info.shape
            ));
        };
        if begin != expected || begin.checked_add(bytes) != Some(end) {
            return wrong(format!(
                "is said to be in bytes {begin}..{end}: {} elements of {} begin at {expected} and have {bytes} \
                 bytes",
                info.shape.iter().product::<usize>(),
                info.dtype,
            ));
        }
        if end > file.len - data {
            return wrong(format!("ends at byte {end}, of {} behind the header", file.len - data));
        }
        expected = end;
        let dtype = match info.dtype {
            Stored::F32 => Dtype::F32,
            Stored::F16 => Dtype::F16,
            Stored::BF16 => Dtype::BF16,
            _ => Dtype::Other,
        };
        let stored = info.dtype.to_string();
        parts.insert(name, Part { shape: info.shape, dtype, stored, begin: data + begin });
    }
    if expected != file.len - data {
        let behind = file.len - data;
        return Err(malformed(format!(
            "{behind} bytes are behind its header, which has tensors of {expected}"
        )));
    }
    Ok(parts)
}

/// The bytes of a tensor; `None` if they are no whole number, or more than can be counted.
fn bytes(info: &TensorInfo) -> Option<u64> {
    let elements = info.shape.iter().try_fold(1_usize, |product, &side| product.checked_mul(side))?;
    let bits = elements.checked_mul(info.dtype.bitsize())?;
    u64::try_from(bits).ok().filter(|bits| bits % 8 == 0).map(|bits| bits / 8)
}
