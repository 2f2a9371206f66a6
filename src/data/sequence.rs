//! A prompt and the response to it, as tokens.

use serde::{Deserialize, Serialize};

/// One row for the trunk: the prompt's tokens, then the response's.
///
/// The end-of-sequence token, where one was sampled, is the response's last token.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Sequence {
    /// The prompt, never empty: the model needs a token to predict the first response token from.
    pub prompt: Vec<u32>,
    /// The response, up to and including the first end-of-sequence token.
    pub response: Vec<u32>,
}

impl Sequence {
    /// Prompt and response together.
    pub fn len(&self) -> usize {
        self.prompt.len() + self.response.len()
    }

    /// No token at all.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// All tokens, prompt first.
    pub fn tokens(&self) -> impl Iterator<Item = u32> + '_ {
        self.prompt.iter().chain(&self.response).copied()
    }
}
