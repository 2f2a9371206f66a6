//! Why a model could not be loaded or saved.

use std::path::{Path, PathBuf};

use thiserror::Error;

use super::gguf_tokenizer::GgufTokenizerError;
use super::head::Head;
use super::tensors::FileError;
use crate::data::LayoutError;
use crate::model::chat::ChatError;
use crate::model::{ModelError, TokenizerError};

/// A pretrained model could not be loaded.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum LoadError {
    /// A file of tensors cannot be read.
    #[error(transparent)]
    File(#[from] FileError),
    /// `config.json` or another file beside it cannot be read.
    #[error("{}: {source}", file.display())]
    Io {
        /// The file.
        file: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// `config.json` or another file beside it is not what it must be.
    #[error("{}: {source}", file.display())]
    Json {
        /// The file.
        file: PathBuf,
        /// What is wrong, and where.
        source: serde_json::Error,
    },
    /// A model that is not of a family that the trunk computes.
    #[error("{}: `{key}` is {found}: {needed}", file.display())]
    Unsupported {
        /// The file.
        file: PathBuf,
        /// The key.
        key: &'static str,
        /// Its value.
        found: String,
        /// What can be loaded.
        needed: &'static str,
    },
    /// The model has another head than what it is loaded as: a policy opened as a PRM, or the other way round.
    #[error("{}: the model is {found}, and is loaded as {needed}", file.display())]
    Head {
        /// The file.
        file: PathBuf,
        /// What stands on its trunk.
        found: Head,
        /// What was asked for.
        needed: &'static str,
    },
    /// The model has another shape than the type that it is loaded as.
    #[error(transparent)]
    Shape(#[from] Box<ShapeMismatch>),
    /// A tensor has another shape than the configuration says.
    #[error("{}: tensor `{tensor}` has shape {found:?}, {needed:?} is needed", file.display())]
    Tensor {
        /// The file or folder.
        file: PathBuf,
        /// The tensor.
        tensor: String,
        /// Its shape.
        found: Vec<usize>,
        /// The shape by the configuration.
        needed: Vec<usize>,
    },
    /// A tensor that is needed is not there.
    #[error("{}: tensor `{tensor}` is missing", file.display())]
    Missing {
        /// The file or folder.
        file: PathBuf,
        /// The tensor.
        tensor: String,
    },
    /// A tensor is there that the model does not have.
    #[error("{}: tensor `{tensor}` is not one of a model with this configuration", file.display())]
    Unexpected {
        /// The file or folder.
        file: PathBuf,
        /// The tensor.
        tensor: String,
    },
    /// A tensor has a number that is not finite.
    #[error("{}: tensor `{tensor}` has {value} at {place}, where a finite number is needed", file.display())]
    NotFinite {
        /// The file or folder.
        file: PathBuf,
        /// The tensor.
        tensor: String,
        /// The number.
        value: f32,
        /// Which of the tensor's.
        place: usize,
    },
    /// The tokenizer does not fit the model.
    #[error("{}: the tokenizer's tokens are 0 to {}, the model's 0 to {}", file.display(), tokens - 1, vocabulary - 1)]
    Vocabulary {
        /// The file or folder.
        file: PathBuf,
        /// The number past the tokenizer's last.
        tokens: usize,
        /// Tokens of the model.
        vocabulary: usize,
    },
    /// Nothing says which token ends a response.
    #[error("{} has no `eos_token` to end a response", .0.display())]
    NoEnd(PathBuf),
    /// The tokenizer in a GGUF file.
    #[error(transparent)]
    GgufTokenizer(#[from] GgufTokenizerError),
    /// The tokenizer in `tokenizer.json`.
    #[error(transparent)]
    Tokenizer(#[from] TokenizerError),
    /// The chat template.
    #[error(transparent)]
    Chat(#[from] ChatError),
    /// The sizes do not fit together.
    #[error("{}: {source}", file.display())]
    Sizes {
        /// The file.
        file: PathBuf,
        /// Which, and what they must be.
        source: ModelError,
    },
    /// The device has no room for the model.
    #[error(transparent)]
    Model(#[from] ModelError),
}

/// The model has another shape than the type that it is loaded as.
#[derive(Debug, Error)]
#[error("{}: `{key}` is {found}, and {needed} in the arch `{arch}`; an arch that fits:\n{fitting}", file.display())]
#[non_exhaustive]
pub struct ShapeMismatch {
    /// The file.
    pub file: PathBuf,
    /// The first key that differs, as [`arch!`](crate::arch!) has it.
    pub key: &'static str,
    /// How many keys before it agree.
    pub agreed: usize,
    /// The model's value.
    pub found: String,
    /// The arch's value.
    pub needed: String,
    /// The arch's name.
    pub arch: &'static str,
    /// An arch that the model fits.
    pub fitting: String,
}

/// A model could not be saved.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum SaveError {
    /// The parameters are not those of a model of the shape and kind given.
    #[error(transparent)]
    Layout(#[from] LayoutError),
    /// A file or folder cannot be written.
    #[error("{}: {source}", file.display())]
    Io {
        /// The file or folder.
        file: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The tensors cannot be written.
    #[error("{}: {source}", file.display())]
    Safetensors {
        /// The file.
        file: PathBuf,
        /// What the `safetensors` crate said.
        source: safetensors::SafeTensorError,
    },
    /// The tokenizer cannot be written as JSON.
    #[error(transparent)]
    Tokenizer(#[from] TokenizerError),
}

impl SaveError {
    pub(super) fn io(file: &Path) -> impl FnOnce(std::io::Error) -> Self {
        move |source| Self::Io { file: file.to_owned(), source }
    }
}
