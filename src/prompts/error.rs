//! Why a problem has no prompt.

use thiserror::Error;

use crate::model::TokenizerError;
use crate::model::chat::ChatError;

/// Prompts cannot be made.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum PromptError {
    /// The chat template cannot be read.
    #[error(transparent)]
    Template(#[from] ChatError),
    /// A conversation without a chat template.
    #[error(
        "prompts of type `chat` need a chat template: name a folder that has one as `template`, or start from a \
         model that has one"
    )]
    NoTemplate,
    /// The chat template does not take a problem.
    #[error("problem `{problem}` has no prompt: {source}")]
    Chat {
        /// Its id.
        problem: String,
        /// Why.
        source: ChatError,
    },
    /// An instruction without a place for the problem.
    #[error("the instruction {0:?} has no place for the problem: it must hold `{{prompt}}`")]
    NoPlace(String),
    /// A problem without the field that has its signature.
    #[error(
        "problem `{problem}` has no text `{field}` in its metadata, which the prompt's style takes for a signature"
    )]
    NoSignature {
        /// Its id.
        problem: String,
        /// The field.
        field: String,
    },
    /// A prompt cannot be tokenized.
    #[error(transparent)]
    Tokenizer(#[from] TokenizerError),
}
