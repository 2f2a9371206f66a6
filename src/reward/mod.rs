//! The reward of every token: outcome, KL to the reference, and the PRM's judgement of each line.
//!
//! [`OutcomeReward`] says what a verdict is worth, [`DenseReward`] turns a PRM's scores into rewards of steps (equation 3 of the method),
//! [`token_rewards`] puts them on tokens beside the outcome and the KL term, [`kl`] estimates that
//! term and adapts its coefficient.

pub mod dense;
pub mod grade;
pub mod kl;
pub mod per_token;

pub use dense::{DenseReward, Neutral, Normalization};
pub use grade::OutcomeReward;
pub use kl::{AdaptiveKl, KlEstimator};
pub use per_token::{ResponseReward, token_rewards};

use thiserror::Error;

use crate::data::RaggedError;

/// A reward that cannot be given, or a config of one that cannot be.
#[derive(Debug, Error, PartialEq)]
#[non_exhaustive]
pub enum RewardError {
    /// The dense reward could lift a failing response to a passing one.
    #[error(
        "reward weights {pass} for passing and {fail} for failing responses let a failing one return as \
         much as a passing one: 1 - weight_pass must be above weight_fail + {outcome}, the most that tests \
         alone give a failing one"
    )]
    Order {
        /// λ of a passing response.
        pass: f32,
        /// λ of a failing one.
        fail: f32,
        /// The outcome reward's ceiling for failing responses.
        outcome: f32,
    },
    /// Scores of comments are summed but not counted in what the sum is divided by.
    #[error(
        "normalization = \"code_lines\" needs neutral = \"zero\": divided by the number of code lines, \
         trusted scores of comments would have no bound"
    )]
    TrustedComments,
    /// Not one score per step.
    #[error("the PRM gave {got} scores for {needed} steps")]
    ScoreCount {
        /// Scores given.
        got: usize,
        /// Steps there are.
        needed: usize,
    },
    /// A score that the PRM's contract excludes.
    #[error("the PRM's score of step {step} is {score}: it must be from -1 to 1")]
    Score {
        /// The step, from 0.
        step: usize,
        /// Its score.
        score: f32,
    },
    /// Rows that should be of the same lengths are not.
    #[error(transparent)]
    Rows(#[from] RaggedError),
    /// Not one outcome per row.
    #[error("{got} responses have a reward, {needed} have log-probabilities")]
    ResponseCount {
        /// Rewards given.
        got: usize,
        /// Rows of log-probabilities.
        needed: usize,
    },
    /// A response without a token has none to put its reward on.
    #[error("response {0} has no token: it needs at least the end-of-sequence token")]
    NoTokens(usize),
    /// Not one token per step reward.
    #[error("response {row} has {rewards} step rewards on {tokens} step tokens")]
    StepCount {
        /// The response, from 0.
        row: usize,
        /// Step rewards given.
        rewards: usize,
        /// Step tokens given.
        tokens: usize,
    },
    /// A step ends at a token that the response does not have.
    #[error("a step of response {row} ends at token {token}, but the response has {len} tokens")]
    StepToken {
        /// The response, from 0.
        row: usize,
        /// The token, from 0.
        token: usize,
        /// Tokens there are.
        len: usize,
    },
    /// The reward of a token is not a finite number.
    #[error(
        "the reward of token {token} of response {row} is {reward} (log-probability {policy} by the policy, \
         {reference} by the reference)"
    )]
    NotFinite {
        /// The response, from 0.
        row: usize,
        /// The token, from 0.
        token: usize,
        /// The reward.
        reward: f32,
        /// log π_old.
        policy: f32,
        /// log π_ref.
        reference: f32,
    },
    /// A KL divergence that cannot steer its coefficient.
    #[error("the measured KL divergence is {0}: it must be finite to adapt the KL coefficient")]
    Kl(f32),
    /// An adaptive coefficient of 0, which no factor changes.
    #[error("an adaptive KL coefficient cannot start from 0: it is changed by factors alone")]
    ZeroCoefficient,
}
