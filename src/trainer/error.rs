//! What stops a run.

use thiserror::Error;

use super::{CheckpointError, CollectError, CriticTrunk, RunFolderError, events::EventError};
use crate::data::{ProblemError, RaggedError};
use crate::eval::StatisticsError;
use crate::model::{ModelError, TokenizerError};
use crate::plugin::{LabelError, PluginError, PrmError, SplitError, ValueInitError, VerifyError};
use crate::prm::PrmTrainingError;
use crate::prompts::PromptError;
use crate::reward::RewardError;
use crate::rollouts::RolloutError;
use crate::sft::SftError;
use crate::steps::StepTokenError;
use crate::verify::{JobsError, TooManyErrors};

/// A trainer could not be made or go on.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum TrainerError {
    /// There is nothing to train on.
    #[error("the problem set is empty: a trainer needs at least one problem")]
    NoProblems,
    /// A problem's reward needs a part that the trainer does not have.
    #[error(
        "problem `{0}` is no code problem (its task is `chat`), and the trainer has no general reward \
         model: call `.reward_model(..)`"
    )]
    NoRewardModel(String),
    /// Dense rewards without a process reward model.
    #[error("dense rewards need a process reward model: call `.prm(..)`, or name one under `[prm]`")]
    NoPrm,
    /// A share of tests as the reward, by a verifier that may not run them all.
    #[error(
        "the outcome reward counts the tests that pass, but the verifier does not say that it runs all of \
         them: give it `run_all = true` where it has that, or implement `Verifier::counts_all`; the outcome \
         rewards \"binary\" and \"levels\" do not count tests"
    )]
    UncountedTests,
    /// Responses for training that would not be drawn from the policy's own distribution.
    #[error(
        "sampling.{key} is {value}: the update takes log-probabilities under the whole distribution, so \
         responses for training are drawn from all of it, {valid}"
    )]
    Sampling {
        /// `top_p` or `top_k`.
        key: &'static str,
        /// The value given.
        value: String,
        /// What would be valid, in words.
        valid: &'static str,
    },
    /// A tokenizer for another vocabulary.
    #[error("the tokenizer has {tokenizer} tokens, the policy {policy}: the policy needs at least as many")]
    Vocabulary {
        /// Tokens of the tokenizer.
        tokenizer: usize,
        /// The policy's vocabulary.
        policy: usize,
    },
    /// More checkpoints than steps.
    #[error("stage `{stage}` cannot keep {count} checkpoints: it has {total} steps, and at most one of each")]
    Keep {
        /// The stage.
        stage: String,
        /// Checkpoints asked for.
        count: u64,
        /// The stage's steps.
        total: u64,
    },
    /// A critic's adapters are not for the trunk that they would stand on.
    #[error(
        "the checkpoint's critic has adapters on {found}, and this training's on {needed}: go on with the same `value_init` \
         and PRM, on the same device"
    )]
    CriticTrunk {
        /// The checkpoint's.
        found: CriticTrunk,
        /// This training's.
        needed: CriticTrunk,
    },
    /// A checkpoint's state is not this stage's.
    #[error("the checkpoint is not one of this stage: {0}")]
    State(#[from] serde_json::Error),
    /// The general reward model failed.
    #[error("the general reward model failed: {0}")]
    RewardModel(String),
    /// Rows that should be of the same lengths are not.
    #[error(transparent)]
    Rows(#[from] RaggedError),
    /// The model failed.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// The tokenizer failed.
    #[error(transparent)]
    Tokenizer(#[from] TokenizerError),
    /// A problem has no prompt.
    #[error(transparent)]
    Prompt(#[from] PromptError),
    /// Sampling failed.
    #[error(transparent)]
    Rollout(#[from] RolloutError),
    /// The verifier failed too often.
    #[error(transparent)]
    Verify(#[from] TooManyErrors),
    /// The verifier's threads could not be started.
    #[error(transparent)]
    Jobs(#[from] JobsError),
    /// A verifier could not be made.
    #[error(transparent)]
    Verifier(#[from] VerifyError),
    /// The splitter failed.
    #[error(transparent)]
    Split(#[from] SplitError),
    /// A step's last token was not found.
    #[error(transparent)]
    StepTokens(#[from] StepTokenError),
    /// The labeler failed.
    #[error(transparent)]
    Label(#[from] LabelError),
    /// The process reward model failed.
    #[error(transparent)]
    Prm(#[from] PrmError),
    /// The critic could not be made.
    #[error(transparent)]
    ValueInit(#[from] ValueInitError),
    /// A reward could not be given.
    #[error(transparent)]
    Reward(#[from] RewardError),
    /// Fine-tuning failed.
    #[error(transparent)]
    Sft(#[from] SftError),
    /// PRM training failed.
    #[error(transparent)]
    PrmTraining(#[from] PrmTrainingError),
    /// Labels could not be collected.
    #[error(transparent)]
    Collect(#[from] CollectError),
    /// A statistic could not be taken.
    #[error(transparent)]
    Statistics(#[from] StatisticsError),
    /// The problems cannot be used.
    #[error(transparent)]
    Problems(#[from] ProblemError),
    /// A plugin could not be built.
    #[error(transparent)]
    Plugin(#[from] PluginError),
    /// A checkpoint could not be saved or loaded.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// An event could not be written.
    #[error(transparent)]
    Event(#[from] EventError),
    /// The run folder cannot be used.
    #[error(transparent)]
    RunFolder(#[from] RunFolderError),
}
