//! [`ProcessRewardModel`]: a score for every step.

use std::any::Any;
use std::borrow::Cow;
use std::fmt;

use thiserror::Error;

use crate::data::{Parameters, Problem, Sequence, Steps};

/// One response to be scored.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct PrmInput<'a> {
    /// The problem.
    pub problem: &'a Problem,
    /// The response's steps.
    pub steps: &'a Steps,
    /// Prompt and response as tokens.
    pub sequence: &'a Sequence,
    /// For each step, the response token (from 0) that contains its line's end.
    pub step_tokens: &'a [usize],
}

impl<'a> PrmInput<'a> {
    /// One response to be scored. `step_tokens` has one response token per step.
    pub fn new(
        problem: &'a Problem,
        steps: &'a Steps,
        sequence: &'a Sequence,
        step_tokens: &'a [usize],
    ) -> Self {
        Self { problem, steps, sequence, step_tokens }
    }
}

/// Scores every step of a response: R_φ(x, y≤m).
///
/// # Contract
/// - One finite score in [−1, 1] per step.
/// - A step's score depends on the prompt and the text up to that step alone, never on what follows.
/// - The score of one response does not depend on the others in the batch.
///
/// [`testkit::prm`](super::testkit::prm) tests this.
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not score steps",
    note = "implement `pspo::plugin::ProcessRewardModel`: one score in [-1, 1] per step"
)]
pub trait ProcessRewardModel: Send + Sync {
    /// The scores of each response's steps, in order.
    ///
    /// # Errors
    /// If a response cannot be scored.
    fn scores(&self, responses: &[PrmInput<'_>]) -> Result<Vec<Vec<f32>>, PrmError>;

    /// The trunk and scalar head behind the scores, where that is what the model is: a critic may
    /// start from it. Whoever has them on a device alone fetches them at each call.
    ///
    /// # Errors
    /// If they cannot be fetched.
    fn parameters(&self) -> Result<Option<Cow<'_, Parameters>>, PrmError> {
        Ok(None)
    }

    /// The same on its device, a [`Scorer`](crate::model::Scorer), where it is there: a critic that starts from it may
    /// share its trunk. Anything else counts as `None`, the default.
    fn on_device(&self) -> Option<&dyn Any> {
        None
    }
}

/// A process reward model's config, as it stands in a config file under its `type`.
#[typetag::serde(tag = "type")]
pub trait PrmConfig: fmt::Debug + Send + Sync {
    /// Makes the model.
    ///
    /// # Errors
    /// If it cannot be made, for example because its checkpoint is missing.
    fn build(&self) -> Result<Box<dyn ProcessRewardModel>, PrmError>;
}

/// Responses could not be scored.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum PrmError {
    /// The model broke its contract.
    #[error("the process reward model broke its contract: {0}")]
    Contract(String),
    /// The model cannot score this.
    #[error("the process reward model does not support this: {0}")]
    Unsupported(String),
    /// The model failed.
    #[error("the process reward model failed: {0}")]
    Failed(String),
}

/// A process reward model whose promises are tested at every call.
pub struct CheckedPrm(Box<dyn ProcessRewardModel>);

impl CheckedPrm {
    /// Wraps a model.
    pub fn new(prm: impl ProcessRewardModel + 'static) -> Self {
        Self(Box::new(prm))
    }

    /// The scores of each response's steps, in order.
    ///
    /// # Errors
    /// As [`ProcessRewardModel::scores`]; [`PrmError::Contract`] if a score is missing, superfluous,
    /// not finite or outside [−1, 1].
    pub fn scores(&self, responses: &[PrmInput<'_>]) -> Result<Vec<Vec<f32>>, PrmError> {
        let scores = self.0.scores(responses)?;
        if scores.len() != responses.len() {
            let (got, needed) = (scores.len(), responses.len());
            return Err(PrmError::Contract(format!("scores for {got} of {needed} responses")));
        }
        for (row, (scores, input)) in scores.iter().zip(responses).enumerate() {
            if scores.len() != input.steps.len() {
                let (got, needed) = (scores.len(), input.steps.len());
                return Err(PrmError::Contract(format!(
                    "{got} scores for the {needed} steps of response {row}"
                )));
            }
            if let Some(score) = scores.iter().find(|score| !(-1.0..=1.0).contains(*score)) {
                return Err(PrmError::Contract(format!("score {score} of response {row} is not in [-1, 1]")));
            }
        }
        Ok(scores)
    }

    /// See [`ProcessRewardModel::parameters`].
    ///
    /// # Errors
    /// Those of [`ProcessRewardModel::parameters`].
    pub fn parameters(&self) -> Result<Option<Cow<'_, Parameters>>, PrmError> {
        self.0.parameters()
    }

    /// See [`ProcessRewardModel::on_device`].
    pub fn on_device(&self) -> Option<&dyn Any> {
        self.0.on_device()
    }
}

impl ProcessRewardModel for Box<dyn ProcessRewardModel> {
    fn scores(&self, responses: &[PrmInput<'_>]) -> Result<Vec<Vec<f32>>, PrmError> {
        self.as_ref().scores(responses)
    }

    fn parameters(&self) -> Result<Option<Cow<'_, Parameters>>, PrmError> {
        self.as_ref().parameters()
    }

    fn on_device(&self) -> Option<&dyn Any> {
        self.as_ref().on_device()
    }
}
