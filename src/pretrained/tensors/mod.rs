//! Named tensors in files: safetensors, whole or in shards, and GGUF.
//!
//! Whatever a file holds, it ends in an `Ok` or in a [`FileError`] that names the file and the tensor or key:
//! nothing is allocated before its size was compared with what the file can hold, and a header that passed
//! describes tensors that lie within the file.

pub mod blocks;
mod dtype;
mod error;
mod file;
pub mod gguf;
mod parts;
pub mod safetensors;
mod unique;

use std::fs::File;
use std::io::Read;
use std::path::Path;

pub use dtype::Dtype;
pub use error::FileError;
pub use gguf::Gguf;
pub use safetensors::SafetensorsFiles;

/// Named tensors, wherever they come from.
///
/// ```
/// use pspo::pretrained::tensors::{self, TensorSource};
///
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("model.safetensors");
/// # let header = br#"{"w":{"dtype":"BF16","shape":[1,2],"data_offsets":[0,4]}}"#;
/// # let len = (header.len() as u64).to_le_bytes();
/// # std::fs::write(&path, [&len[..], header, &[0x80, 0x3f, 0, 0xc0]].concat())?;
/// let source = tensors::open(&path)?;
/// assert_eq!(source.names(), ["w"]);
/// assert_eq!(source.shape("w"), Some(&[1, 2][..]));
/// assert_eq!(source.read("w")?, [1.0, -2.0]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub trait TensorSource: Send + Sync {
    /// All names, sorted.
    fn names(&self) -> Vec<&str>;

    /// A tensor's sides, the outermost first: the elements of its last side lie next to each other. `None` if
    /// there is no such tensor.
    fn shape(&self, name: &str) -> Option<&[usize]>;

    /// How a tensor's elements are stored; `None` if there is no such tensor.
    fn dtype(&self, name: &str) -> Option<Dtype>;

    /// Reads a tensor into `out`, row-major, as many elements as the product of its sides.
    ///
    /// # Errors
    /// If there is no such tensor, `out` has another length, the elements are [`Dtype::Other`], or the file
    /// cannot be read any more.
    fn read_into(&self, name: &str, out: &mut [f32]) -> Result<(), FileError>;

    /// A tensor's elements, row-major.
    ///
    /// # Errors
    /// As [`TensorSource::read_into`].
    fn read(&self, name: &str) -> Result<Vec<f32>, FileError> {
        // What cannot be read is told by `read_into`, which then needs no room.
        let readable = self.dtype(name).is_some_and(|dtype| dtype.block().is_some());
        let elements = match self.shape(name) {
            Some(shape) if readable => shape.iter().product(),
            _ => 0,
        };
        let mut values = vec![0.0; elements];
        self.read_into(name, &mut values)?;
        Ok(values)
    }
}

/// Opens a GGUF file, a safetensors file, an index of such files (`….index.json`), or a folder that has
/// `model.safetensors` or `model.safetensors.index.json`. A GGUF file is known by its first bytes.
///
/// # Errors
/// If a file cannot be read or is not what its format asks for.
pub fn open(path: impl AsRef<Path>) -> Result<Box<dyn TensorSource>, FileError> {
    let path = path.as_ref();
    if path.is_file() {
        let mut magic = [0; 4];
        let read = File::open(path).and_then(|mut file| file.read(&mut magic));
        if read.map_err(FileError::io(path))? == magic.len() && magic == gguf::MAGIC {
            return Ok(Box::new(Gguf::open(path)?));
        }
    }
    Ok(Box::new(SafetensorsFiles::open(path)?))
}
