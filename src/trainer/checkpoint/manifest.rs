//! `checkpoint.json`: the state, and what the tensor files must hold.

use std::fs::File;
use std::io::Write;
use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::error::{CheckpointError, damaged, io_error, read_file};

/// The file's name.
pub(super) const MANIFEST: &str = "checkpoint.json";

const FORMAT: u64 = 1;

/// What the file says.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Manifest {
    pub groups: Vec<Group>,
    pub state: Value,
}

/// One file of tensors.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Group {
    pub name: String,
    /// The file's size.
    pub bytes: u64,
    /// In the order of the layout and of the file, which a safetensors header need not keep.
    pub tensors: Vec<Tensor>,
}

/// One tensor.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Tensor {
    pub name: String,
    pub shape: Vec<usize>,
    /// Of its bytes in the file.
    pub crc32c: u32,
}

/// The whole file. The checksum is of `checkpoint` as compact JSON, so that it does not depend on how
/// the file is laid out for people.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Envelope<T> {
    format: u64,
    crc32c: u32,
    checkpoint: T,
}

pub(super) fn write(save: &Path, manifest: Manifest) -> Result<(), CheckpointError> {
    let path = save.join(MANIFEST);
    let failed = |error: std::io::Error| io_error("write", &path)(error);
    let crc32c = checksum(&manifest).map_err(|error| failed(error.into()))?;
    let envelope = Envelope { format: FORMAT, crc32c, checkpoint: manifest };
    let mut bytes = serde_json::to_vec_pretty(&envelope).map_err(|error| failed(error.into()))?;
    bytes.push(b'\n');
    let mut file = File::create(&path).map_err(failed)?;
    file.write_all(&bytes).and_then(|()| file.sync_all()).map_err(failed)
}

pub(super) fn read(save: &Path) -> Result<Manifest, CheckpointError> {
    let path = save.join(MANIFEST);
    let bytes = read_file(&path)?;
    let envelope: Envelope<Value> =
        serde_json::from_slice(&bytes).map_err(|error| damaged(&path, error.to_string()))?;
    if envelope.format != FORMAT {
        return Err(CheckpointError::Format { file: path, got: envelope.format, known: FORMAT });
    }
    if checksum(&envelope.checkpoint).ok() != Some(envelope.crc32c) {
        return Err(damaged(&path, "its content differs from its checksum"));
    }
    serde_json::from_value(envelope.checkpoint).map_err(|error| damaged(&path, error.to_string()))
}

fn checksum(content: &impl Serialize) -> Result<u32, serde_json::Error> {
    // By way of a value, which orders the keys of both ways alike.
    Ok(crc32c::crc32c(&serde_json::to_vec(&serde_json::to_value(content)?)?))
}
