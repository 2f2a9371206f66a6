//! What can be wrong with a file of tensors.

use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

use super::Dtype;

/// A file of tensors cannot be read.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum FileError {
    /// The system refused.
    #[error("{}: {source}", file.display())]
    Io {
        /// The file.
        file: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A folder, a pipe or another thing that is no file of a known length.
    #[error("{} is no regular file", .0.display())]
    NotAFile(PathBuf),
    /// A folder without the files that were looked for.
    #[error("{} has neither `model.safetensors` nor `model.safetensors.index.json`", .0.display())]
    NoModel(PathBuf),
    /// The file is not of the format, or is damaged, outside of any one tensor or key.
    #[error("{}: {what}", file.display())]
    Malformed {
        /// The file.
        file: PathBuf,
        /// What was found, and what would be valid.
        what: String,
    },
    /// What the file says of a tensor cannot be.
    #[error("{}: tensor `{tensor}` {what}", file.display())]
    Tensor {
        /// The file.
        file: PathBuf,
        /// The tensor's name.
        tensor: String,
        /// What was found, and what would be valid.
        what: String,
    },
    /// What the file has under a key of its metadata cannot be.
    #[error("{}: metadata key `{key}` {what}", file.display())]
    Key {
        /// The file.
        file: PathBuf,
        /// The key.
        key: String,
        /// What was found, and what would be valid.
        what: String,
    },
    /// A key that is needed and not there.
    #[error("{} has no metadata key `{key}`", file.display())]
    NoKey {
        /// The file.
        file: PathBuf,
        /// The key.
        key: String,
    },
    /// Two tensors of one name.
    #[error("tensor `{tensor}` is twice there: in {}, and in {}", first.display(), second.display())]
    DuplicateTensor {
        /// The tensor's name.
        tensor: String,
        /// A file that has it.
        first: PathBuf,
        /// The file that has it again; it may be the same one.
        second: PathBuf,
    },
    /// An index names a file that is not beside it by a plain name.
    #[error("{}: tensor `{tensor}` is said to be in `{shard}`: a shard is named by the plain name of a file beside the index", index.display())]
    ShardName {
        /// The index.
        index: PathBuf,
        /// A tensor that is said to be there.
        tensor: String,
        /// The name that the index has.
        shard: String,
    },
    /// An index names a file that is not there.
    #[error("{} says that tensor `{tensor}` is in {}, which is not there", index.display(), shard.display())]
    NoShard {
        /// The index.
        index: PathBuf,
        /// A tensor that is said to be there.
        tensor: String,
        /// The file looked for.
        shard: PathBuf,
    },
    /// An index says of a tensor that it is where it is not.
    #[error("{} says that tensor `{tensor}` is in {}, which does not have it", index.display(), shard.display())]
    NotInShard {
        /// The index.
        index: PathBuf,
        /// The tensor's name.
        tensor: String,
        /// The file without it.
        shard: PathBuf,
    },
    /// A tensor that was asked for is not there.
    #[error("{} has no tensor `{tensor}`", file.display())]
    NoTensor {
        /// The file, or the index of several.
        file: PathBuf,
        /// The name asked for.
        tensor: String,
    },
    /// A tensor whose elements are none of the types that are read.
    #[error("{}: tensor `{tensor}` has elements of type {dtype}: {} are read", file.display(), Dtype::NAMES)]
    Elements {
        /// The file.
        file: PathBuf,
        /// The tensor's name.
        tensor: String,
        /// The type, as the file has it.
        dtype: String,
    },
    /// Room for another number of elements than a tensor has.
    #[error("{}: tensor `{tensor}` has {elements} elements, there is room for {room}", file.display())]
    Room {
        /// The file.
        file: PathBuf,
        /// The tensor's name.
        tensor: String,
        /// Its elements.
        elements: usize,
        /// Elements that there is room for.
        room: usize,
    },
}

impl FileError {
    pub(crate) fn io(file: &Path) -> impl Fn(io::Error) -> Self + '_ {
        move |source| Self::Io { file: file.to_owned(), source }
    }

    pub(super) fn malformed(file: &Path, what: impl Into<String>) -> Self {
        Self::Malformed { file: file.to_owned(), what: what.into() }
    }

    pub(super) fn tensor(file: &Path, tensor: &str, what: impl Into<String>) -> Self {
        Self::Tensor { file: file.to_owned(), tensor: tensor.to_owned(), what: what.into() }
    }

    pub(crate) fn key(file: &Path, key: &str, what: impl Into<String>) -> Self {
        Self::Key { file: file.to_owned(), key: key.to_owned(), what: what.into() }
    }

    pub(super) fn no_tensor(file: &Path, tensor: &str) -> Self {
        Self::NoTensor { file: file.to_owned(), tensor: tensor.to_owned() }
    }
}
