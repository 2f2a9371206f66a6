//! Where a file's tensors lie within it, once that was checked.

use std::collections::BTreeMap;

use super::file::DataFile;
use super::{Dtype, FileError};

/// One tensor of a file.
#[derive(Clone, Debug)]
pub(super) struct Part {
    /// Sides, the outermost first. Their product does not overflow.
    pub(super) shape: Vec<usize>,
    pub(super) dtype: Dtype,
    /// The type as the file calls it.
    pub(super) stored: String,
    /// The first byte in the file. All of the tensor's bytes lie within the file.
    pub(super) begin: u64,
}

/// The tensors of a file by their names.
pub(super) type Parts = BTreeMap<String, Part>;

impl Part {
    pub(super) fn elements(&self) -> usize {
        self.shape.iter().product()
    }

    /// Reads the tensor, which `name` names in errors.
    pub(super) fn read(&self, file: &DataFile, name: &str, out: &mut [f32]) -> Result<(), FileError> {
        let (path, tensor) = (file.path.clone(), name.to_owned());
        if self.dtype == Dtype::Other {
            return Err(FileError::Elements { file: path, tensor, dtype: self.stored.clone() });
        }
        let (elements, room) = (self.elements(), out.len());
        if elements != room {
            return Err(FileError::Room { file: path, tensor, elements, room });
        }
        file.elements(self.begin, self.dtype, out)
    }
}
