//! What can be wrong with a checkpoint.

use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

/// A checkpoint cannot be saved or loaded.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum CheckpointError {
    /// Nothing to load.
    #[error("there is no checkpoint in `{}`", dir.display())]
    NotFound {
        /// The folder.
        dir: PathBuf,
    },
    /// Nothing to roll back to.
    #[error("`{}` holds one save alone: there is none before it to go back to", dir.display())]
    NoPrevious {
        /// The folder.
        dir: PathBuf,
    },
    /// A file is not what was saved.
    #[error(
        "checkpoint file `{}` is damaged{}: {what}. Restore it from a copy, or go back to the save \
         before it with `Checkpoint::roll_back`",
        file.display(),
        tensor.as_ref().map(|tensor| format!(" at tensor `{tensor}`")).unwrap_or_default(),
    )]
    Damaged {
        /// The file.
        file: PathBuf,
        /// The first tensor in it that is not what was saved, where that can be told.
        tensor: Option<String>,
        /// What is wrong.
        what: String,
    },
    /// Written by another version of this library.
    #[error("checkpoint file `{}` has format {got}, this version of pspo reads format {known}", file.display())]
    Format {
        /// The file.
        file: PathBuf,
        /// Its format.
        got: u64,
        /// The format that can be read.
        known: u64,
    },
    /// A group's name that cannot be a file's.
    #[error(
        "`{0}` cannot name a group of tensors: it must begin with a letter from a to z, and hold such \
         letters, digits, `_`, `-` and `.` alone"
    )]
    GroupName(String),
    /// Two groups of one name.
    #[error("two groups of tensors are named `{0}`: names must be unique within a checkpoint")]
    DuplicateGroup(String),
    /// Two tensors of one name.
    #[error("two tensors of group `{group}` are named `{tensor}`: names must be unique within a group")]
    DuplicateTensor {
        /// The group.
        group: String,
        /// The tensor.
        tensor: String,
    },
    /// A tensor whose name means something else in a safetensors file.
    #[error("a tensor of group `{group}` is named `__metadata__`, which safetensors keeps for itself")]
    ReservedTensor {
        /// The group.
        group: String,
    },
    /// A group that the checkpoint does not have.
    #[error("the checkpoint has no group of tensors named `{name}`: it has {known}")]
    NoGroup {
        /// The group asked for.
        name: String,
        /// Those there are.
        known: String,
    },
    /// A group that is no whole model.
    #[error(
        "group `{group}` holds what was trained of a model, adapters or some layers, and not all of it: save the whole model \
         with `pretrained::Saving`, which reads adapters in"
    )]
    Part {
        /// The group.
        group: String,
    },
    /// The disk refuses.
    #[error("cannot {action} `{}`: {source}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
}

/// Tells an I/O error what was tried.
pub(super) fn io_error(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> CheckpointError {
    move |source| CheckpointError::Io { action, path: path.to_owned(), source }
}

/// An error about a whole file.
pub(super) fn damaged(file: &Path, what: impl Into<String>) -> CheckpointError {
    CheckpointError::Damaged { file: file.to_owned(), tensor: None, what: what.into() }
}

/// The bytes of a file that must be there.
pub(super) fn read_file(path: &Path) -> Result<Vec<u8>, CheckpointError> {
    std::fs::read(path).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => damaged(path, "it is missing"),
        _ => io_error("read", path)(error),
    })
}
