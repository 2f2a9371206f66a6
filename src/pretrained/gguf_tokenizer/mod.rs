//! The tokenizer that a GGUF file has in its metadata: byte-level BPE, which GGUF calls `gpt2`.
//!
//! | key | what |
//! |---|---|
//! | `tokenizer.ggml.model` | the algorithm: `gpt2` is read |
//! | `tokenizer.ggml.pre` | the name of how text is cut into words, see [`Pre`] |
//! | `tokenizer.ggml.tokens` | the tokens by id; bytes as the characters that stand for them in GPT-2 |
//! | `tokenizer.ggml.token_type` | for each: 1 normal, 2 unknown, 3 control, 4 user-defined, 5 unused, 6 byte |
//! | `tokenizer.ggml.merges` | pairs of tokens with a blank between, the first to merge first |
//! | `tokenizer.ggml.eos_token_id` | the token that ends a response |
//!
//! Control tokens become special ones: they have no text, and no text is encoded as them. User-defined tokens
//! are found in text before it is cut into words. Tokens of type unused at the end of the list, with which the
//! vocabulary is filled up to a round number, are left out, as in the tokenizers that such files were made from.
//!
//! The result is that of the model's own `tokenizer.json`: its bytes that no token has are dropped from text, as
//! there.

mod json;
mod pre;

use thiserror::Error;

use super::tensors::{FileError, Gguf};
use crate::model::{Tokenizer, TokenizerError};
pub use pre::Pre;

/// A GGUF file has no tokenizer that can be used.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum GgufTokenizerError {
    /// A key is missing, has another type or a value that cannot be.
    #[error(transparent)]
    File(#[from] FileError),
    /// Another algorithm than byte-level BPE.
    #[error(
        "the tokenizer in {file} is of the kind `{model}`: byte-level BPE (`gpt2`) is read; take the model's \
         `tokenizer.json`"
    )]
    Model {
        /// The file.
        file: String,
        /// `tokenizer.ggml.model`.
        model: String,
    },
    /// Text is cut into words in a way that is not known here.
    #[error(
        "the tokenizer in {file} cuts text into words by `{pre}`: known are {}; take the model's `tokenizer.json`",
        Pre::NAMES
    )]
    Pre {
        /// The file.
        file: String,
        /// `tokenizer.ggml.pre`.
        pre: String,
    },
    /// The tokenizer could not be made of its parts.
    #[error(transparent)]
    Tokenizer(#[from] TokenizerError),
}

/// The file's tokenizer; a response ends with the token of `tokenizer.ggml.eos_token_id`, and prompts begin with that of
/// `bos_token_id` where `add_bos_token` says so.
///
/// ```no_run
/// use pspo::pretrained::{gguf_tokenizer, tensors::Gguf};
///
/// let file = Gguf::open("SmolLM2-135M-Instruct.Q4_1.gguf")?;
/// let tokenizer = gguf_tokenizer::tokenizer(&file)?;
/// assert_eq!(tokenizer.vocabulary(), 49_152);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// If the file has no byte-level BPE, one that cuts text in a way that is not known here, or parts that do not
/// fit together.
pub fn tokenizer(file: &Gguf) -> Result<Tokenizer, GgufTokenizerError> {
    const BEGINS: &str = "tokenizer.ggml.add_bos_token";
    let metadata = file.metadata();
    let tokens = metadata.strings(json::TOKENS)?;
    let token = |key: &str| {
        let id = metadata.uint(key)?;
        usize::try_from(id).ok().and_then(|id| tokens.get(id)).ok_or_else(|| {
            metadata.wrong(key, format!("is {id}: the tokenizer has {} tokens, from 0", tokens.len()))
        })
    };
    let tokenizer = tokenizer_with_end(file, token("tokenizer.ggml.eos_token_id")?)?;
    match metadata.get(BEGINS).is_some() && metadata.bool(BEGINS)? {
        true => Ok(tokenizer.with_begin(token("tokenizer.ggml.bos_token_id")?)?),
        false => Ok(tokenizer),
    }
}

/// The file's tokenizer; a response ends with the token whose text is `end`.
///
/// # Errors
/// As [`tokenizer`], and if there is no such token.
pub fn tokenizer_with_end(file: &Gguf, end: &str) -> Result<Tokenizer, GgufTokenizerError> {
    let metadata = file.metadata();
    let path = || file.path().display().to_string();
    let model = metadata.string("tokenizer.ggml.model")?;
    if model != "gpt2" {
        return Err(GgufTokenizerError::Model { file: path(), model: model.to_owned() });
    }
    let name = metadata.string("tokenizer.ggml.pre")?;
    let pre =
        Pre::named(name).ok_or_else(|| GgufTokenizerError::Pre { file: path(), pre: name.to_owned() })?;
    let json = json::build(metadata, pre)?;
    Ok(Tokenizer::from_json(&json.to_string(), end)?)
}
