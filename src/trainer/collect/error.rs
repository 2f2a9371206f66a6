//! Why responses are not labelled: one by one, or all of them.

use std::sync::Arc;

use thiserror::Error;

use crate::model::{ModelError, TokenizerError};
use crate::plugin::{LabelError, SplitError, VerifyError};
use crate::steps::StepTokenError;
use crate::verify::TooManyErrors;

/// Why one response was left out, while the others were labelled.
#[derive(Clone, Debug, Error)]
#[non_exhaustive]
pub enum SkipReason {
    /// The response is blank.
    #[error("the response is empty: it has no steps to label")]
    Empty,
    /// It has no program: prose alone, or a block in another language.
    #[error("the response holds no program: it has no steps to label")]
    NoProgram,
    /// There is nothing to judge its completions by.
    #[error("problem `{0}` has no unit tests: only responses to code problems are labelled")]
    NotCode(String),
    /// The verifier could not judge the response itself.
    #[error("the response could not be judged: {0}")]
    Unjudged(Arc<VerifyError>),
    /// No completion of a prefix passed, and at least one could not be judged.
    #[error("whether the first {prefix} steps are recoverable could not be judged: {source}")]
    UnjudgedPrefix {
        /// The prefix, in steps.
        prefix: usize,
        /// Why the last completion that was not judged was not.
        source: Arc<VerifyError>,
    },
}

/// Labels cannot be collected.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum CollectError {
    /// A response to a problem that is not there.
    #[error("response {rollout} answers problem {problem}, but there are {problems} problems (from 0)")]
    NoProblem {
        /// The response's place, from 0.
        rollout: usize,
        /// The problem's place.
        problem: usize,
        /// Problems there are.
        problems: usize,
    },
    /// A response's tokens and their ends do not belong together.
    #[error("response {rollout} has {tokens} tokens, but the ends of {ends}: each token needs its end")]
    TokenEnds {
        /// The response's place, from 0.
        rollout: usize,
        /// Its tokens.
        tokens: usize,
        /// Its tokens' ends.
        ends: usize,
    },
    /// A response could not be split.
    #[error("response {rollout} could not be split into steps: {source}")]
    Split {
        /// The response's place, from 0.
        rollout: usize,
        /// Why not.
        source: SplitError,
    },
    /// A response's tokens do not spell its text.
    #[error("response {rollout}: {source}")]
    StepTokens {
        /// The response's place, from 0.
        rollout: usize,
        /// What does not fit.
        source: StepTokenError,
    },
    /// The labeler broke its contract.
    #[error("response {rollout} could not be labelled: {source}")]
    Label {
        /// The response's place, from 0.
        rollout: usize,
        /// What it did.
        source: LabelError,
    },
    /// Too many programs could not be judged.
    #[error(transparent)]
    Verifier(#[from] TooManyErrors),
    /// The model failed.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// The tokenizer failed.
    #[error(transparent)]
    Tokenizer(#[from] TokenizerError),
}
