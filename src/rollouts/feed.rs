//! What the engine samples, for whom, and what it cost.

use std::num::NonZeroUsize;
use std::sync::Arc;

use crate::data::Seed;
use crate::model::{ModelError, Prefix, TokenizerError};

/// Rows to be sampled that continue the same tokens. As long as they draw the same, they are computed once.
#[derive(Clone, Debug)]
pub struct Job {
    /// Who asks, as the feed knows it.
    pub id: usize,
    /// Keys and values of at least the first `shared` tokens.
    pub prefix: Arc<Prefix>,
    /// Tokens of the prefix that the rows continue, without `last`.
    pub shared: usize,
    /// The last token of what is continued: it is fed first.
    pub last: u32,
    /// Tokens of the response that are among them already: stop sequences may begin in their text.
    pub begun: Vec<u32>,
    /// The rows, each with its own stream of random numbers: so its tokens depend on no other row.
    pub streams: Vec<Seed>,
    /// So many rows are begun, in their order, and another whenever one of them has ended and the job is still wanted.
    pub at_a_time: NonZeroUsize,
    /// Each row is cut after this many new tokens.
    pub max_new_tokens: usize,
}

/// A sampled row.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Completion {
    /// The new tokens, up to and including the end-of-sequence token or the one that completes a stop sequence. None,
    /// where what was begun holds one already.
    pub tokens: Vec<u32>,
    /// Log-probability of each, as in [`Drawn`](super::Drawn).
    pub log_probs: Vec<f32>,
    /// Whether the end-of-sequence token was drawn or a stop sequence completed: a row cut at the length limit has
    /// neither.
    pub finished: bool,
}

/// Where jobs come from and completions go to.
pub trait Feed {
    /// What can go wrong in the feed itself.
    type Error: From<ModelError> + From<TokenizerError>;

    /// The next job, or `None` while there is none. Asked again after each completion.
    ///
    /// # Errors
    /// Ends the run.
    fn next(&mut self) -> Result<Option<Job>, Self::Error>;

    /// Takes the completion of a row, by its place in the job of that id.
    ///
    /// # Errors
    /// Ends the run.
    fn finished(&mut self, id: usize, row: usize, completion: Completion) -> Result<(), Self::Error>;

    /// All completions of one step have been taken: what is better done with several at once is done here.
    ///
    /// # Errors
    /// Ends the run.
    fn step_ended(&mut self) -> Result<(), Self::Error> {
        Ok(())
    }

    /// Whether a job's other rows are still wanted; asked after each completion. Those that are not are dropped.
    fn wanted(&self, id: usize) -> bool;
}

/// What a run cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Tokens drawn by the rows that were begun, those of dropped rows included.
    pub tokens: usize,
    /// Tokens fed to the decoder, each a step of one of its rows: fewer than were drawn, as rows of a job that have
    /// drawn the same are one.
    pub fed: usize,
    /// Rows that were begun.
    pub rows: usize,
    /// Rows that were dropped before their end.
    pub dropped: usize,
}
