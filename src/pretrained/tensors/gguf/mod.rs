//! GGUF, versions 2 and 3: typed metadata and tensors in one file
//! ([format](https://github.com/ggml-org/ggml/blob/master/docs/gguf.md)).
//!
//! | what | how, little-endian |
//! |---|---|
//! | magic, version | `GGUF`, `u32` |
//! | counts of tensors and of keys | `u64`, `u64` |
//! | the metadata: for each key | string, `u32` type, value |
//! | for each tensor | string, `u32` number of sides, sides as `u64`, `u32` type, `u64` offset |
//! | the data | from the next multiple of `general.alignment` (32 where it is not given) |
//!
//! A string is its length, `u64`, and that many bytes of UTF-8; an array its elements' type, `u32`, their
//! number, `u64`, and the elements. A tensor's sides come innermost first, other than everywhere else here.

mod cursor;
mod infos;
mod metadata;

use std::path::Path;

use super::file::DataFile;
use super::parts::Parts;
use super::{Dtype, FileError, TensorSource};
use cursor::Cursor;
pub use metadata::{Array, Metadata, Value};

/// The first bytes of a GGUF file.
pub(super) const MAGIC: [u8; 4] = *b"GGUF";

/// A GGUF file: its metadata and its tensors.
///
/// ```no_run
/// use pspo::pretrained::tensors::{Gguf, TensorSource};
///
/// let file = Gguf::open("SmolLM2-135M-Instruct.Q4_1.gguf")?;
/// assert_eq!(file.metadata().string("general.architecture")?, "llama");
/// assert_eq!(file.metadata().uint("llama.block_count")?, 30);
/// assert_eq!(file.shape("token_embd.weight"), Some(&[49152, 576][..]));
/// let embeddings: Vec<f32> = file.read("token_embd.weight")?;
/// # Ok::<(), pspo::pretrained::tensors::FileError>(())
/// ```
#[derive(Debug)]
pub struct Gguf {
    file: DataFile,
    metadata: Metadata,
    tensors: Parts,
}

impl Gguf {
    /// Opens a file and reads all but its tensors' data.
    ///
    /// # Errors
    /// If the file cannot be read, is no GGUF file of version 2 or 3 in little-endian byte order, is damaged, is
    /// one of several of a split model, or has a tensor of a type that is not read.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, FileError> {
        let file = DataFile::open(path.as_ref())?;
        let (metadata, tensors) = file.scan(|input| {
            let mut cursor = Cursor::new(input, &file.path, file.len);
            let (tensors, keys) = counts(&mut cursor)?;
            let metadata = metadata::read(&mut cursor, keys)?;
            if metadata.get("split.count").is_some() && metadata.uint("split.count")? > 1 {
                let what = "says that the model is split over several files: join them, by `llama-gguf-split --merge`";
                return Err(FileError::key(&file.path, "split.count", what));
            }
            let tensors = infos::read(&mut cursor, tensors, &metadata)?;
            Ok((metadata, tensors))
        })?;
        Ok(Self { file, metadata, tensors })
    }

    /// The file's metadata.
    pub fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    /// Where the file is.
    pub fn path(&self) -> &Path {
        &self.file.path
    }
}

/// The head of the file: how many tensors and how many keys it has.
fn counts(cursor: &mut Cursor<'_>) -> Result<(u64, u64), FileError> {
    let magic = cursor.array()?;
    if magic != MAGIC {
        return Err(
            cursor.malformed(format!("it begins with {magic:?}, a GGUF file with {MAGIC:?} (\"GGUF\")"))
        );
    }
    let version = cursor.u32()?;
    match version {
        2 | 3 => {}
        _ if (1..=3).contains(&version.swap_bytes()) => {
            return Err(cursor.malformed("it is in big-endian byte order: little-endian files are read"));
        }
        _ => return Err(cursor.malformed(format!("it is of version {version} of GGUF: 2 and 3 are read"))),
    }
    Ok((cursor.u64()?, cursor.u64()?))
}

impl TensorSource for Gguf {
    fn names(&self) -> Vec<&str> {
        self.tensors.keys().map(String::as_str).collect()
    }

    fn shape(&self, name: &str) -> Option<&[usize]> {
        self.tensors.get(name).map(|part| part.shape.as_slice())
    }

    fn dtype(&self, name: &str) -> Option<Dtype> {
        self.tensors.get(name).map(|part| part.dtype)
    }

    fn read_into(&self, name: &str, out: &mut [f32]) -> Result<(), FileError> {
        let part = self.tensors.get(name).ok_or_else(|| FileError::no_tensor(&self.file.path, name))?;
        part.read(&self.file, name, out)
    }
}
