//! One group of tensors in one safetensors file.

use std::collections::HashSet;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, Metadata, TensorInfo};

use super::error::{CheckpointError, damaged, io_error, read_file};
use super::manifest::{Group, Tensor};
use crate::data::{Layout, Parameters};

const F32: usize = size_of::<f32>();

/// Numbers converted at once: bounds the memory of a save beside the parameters themselves.
const CHUNK: usize = 1 << 16;

/// Writes a group, tensor by tensor in the order of its layout.
///
/// The header is the crate's; the bytes are written here, because `serialize_to_file` reorders the
/// tensors, leaves the file readable for its owner alone and does not sync it.
pub(super) fn write(save: &Path, name: &str, parameters: &Parameters) -> Result<Group, CheckpointError> {
    let path = path(save, name)?;
    let failed = |error: std::io::Error| io_error("write", &path)(error);
    let header = header(name, parameters.layout(), &path)?;

    let file = File::create(&path).map_err(failed)?;
    let mut out = BufWriter::new(&file);
    out.write_all(&(header.len() as u64).to_le_bytes()).map_err(failed)?;
    out.write_all(&header).map_err(failed)?;
    let mut tensors = Vec::new();
    let mut bytes = Vec::with_capacity(CHUNK * F32);
    for (name, shape, range) in parameters.layout().iter() {
        let mut crc32c = 0;
        for chunk in parameters.values()[range].chunks(CHUNK) {
            bytes.clear();
            bytes.extend(chunk.iter().flat_map(|value| value.to_le_bytes()));
            crc32c = crc32c::crc32c_append(crc32c, &bytes);
            out.write_all(&bytes).map_err(failed)?;
        }
        tensors.push(Tensor { name: name.to_owned(), shape: shape.to_vec(), crc32c });
    }
    out.flush().map_err(failed)?;
    drop(out);
    file.sync_all().map_err(failed)?;
    let bytes = (size_of::<u64>() + header.len() + parameters.values().len() * F32) as u64;
    Ok(Group { name: name.to_owned(), bytes, tensors })
}

/// Reads a group and compares it with what was written.
pub(super) fn read(save: &Path, group: &Group) -> Result<Parameters, CheckpointError> {
    let path = path(save, &group.name)?;
    let bytes = read_file(&path)?;
    if bytes.len() as u64 != group.bytes {
        let what = format!("it has {} of {} bytes", bytes.len(), group.bytes);
        let tensor = cut_tensor(group, bytes.len() as u64);
        return Err(CheckpointError::Damaged { file: path, tensor, what });
    }
    let file = SafeTensors::deserialize(&bytes)
        .map_err(|error| damaged(&path, format!("its header cannot be read ({error})")))?;

    let mut layout = Layout::default();
    let mut values = Vec::with_capacity(bytes.len() / F32);
    for Tensor { name, shape, crc32c } in &group.tensors {
        let damaged = |what: &str| CheckpointError::Damaged {
            file: path.clone(),
            tensor: Some(name.clone()),
            what: what.to_owned(),
        };
        let view = file.tensor(name).map_err(|_| damaged("the header does not list it"))?;
        if view.dtype() != Dtype::F32 || view.shape() != shape {
            return Err(damaged("the header lists it with another type or shape"));
        }
        if crc32c::crc32c(view.data()) != *crc32c {
            return Err(damaged("its content differs from its checksum"));
        }
        layout.push(name, shape);
        let (numbers, _) = view.data().as_chunks::<F32>();
        values.extend(numbers.iter().map(|&number| f32::from_le_bytes(number)));
    }
    Parameters::new(layout, values).map_err(|error| damaged(&path, error.to_string()))
}

/// The safetensors header of a layout, padded to 8 bytes with blanks as the format asks.
fn header(group: &str, layout: &Layout, path: &Path) -> Result<Vec<u8>, CheckpointError> {
    let mut names = HashSet::new();
    let mut infos = Vec::new();
    for (name, shape, range) in layout.iter() {
        if name == "__metadata__" {
            return Err(CheckpointError::ReservedTensor { group: group.to_owned() });
        }
        if !names.insert(name) {
            let (group, tensor) = (group.to_owned(), name.to_owned());
            return Err(CheckpointError::DuplicateTensor { group, tensor });
        }
        let data_offsets = (range.start * F32, range.end * F32);
        infos.push((name.to_owned(), TensorInfo { dtype: Dtype::F32, shape: shape.to_vec(), data_offsets }));
    }
    let failed = |error| io_error("write", path)(std::io::Error::other(error));
    let metadata = Metadata::new(None, infos).map_err(failed)?;
    let mut header = serde_json::to_vec(&metadata).map_err(|error| failed(error.into()))?;
    header.resize(header.len().next_multiple_of(8), b' ');
    Ok(header)
}

/// The first tensor that a file of `len` bytes does not hold in full; `None` if even the header is
/// cut, or nothing is.
fn cut_tensor(group: &Group, len: u64) -> Option<String> {
    let sizes = group
        .tensors
        .iter()
        .map(|tensor| tensor.shape.iter().fold(F32 as u64, |size, &side| size.saturating_mul(side as u64)));
    let data = sizes.clone().fold(0, u64::saturating_add);
    let mut end = group.bytes.checked_sub(data).filter(|&header| header <= len)?;
    let mut ends = sizes.map(|size| {
        end = end.saturating_add(size);
        end
    });
    ends.position(|end| end > len).map(|tensor| group.tensors[tensor].name.clone())
}

/// The group's file; its name is checked on the way out as on the way in, for it becomes a path.
fn path(save: &Path, group: &str) -> Result<PathBuf, CheckpointError> {
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_-.".contains(&byte);
    if !group.starts_with(|first: char| first.is_ascii_lowercase()) || !group.bytes().all(allowed) {
        return Err(CheckpointError::GroupName(group.to_owned()));
    }
    Ok(save.join(format!("{group}.safetensors")))
}
