//! [`Labeler`]: which prefix to ask about next, and the labels in the end.

use std::fmt;

use thiserror::Error;

use crate::data::{Label, Labels, Steps};

/// What is known so far of one response.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answers {
    /// Whether the response itself passes its tests.
    pub passes: bool,
    /// Each question asked so far with its answer, in order.
    pub asked: Vec<Answer>,
}

/// The answer to one question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The prefix asked about, in steps: y≤m.
    pub prefix: usize,
    /// Whether any of its completions passed.
    pub recoverable: bool,
}

impl Answers {
    /// The answer for y≤`prefix`, if it was asked.
    pub fn get(&self, prefix: usize) -> Option<bool> {
        self.asked.iter().find(|answer| answer.prefix == prefix).map(|answer| answer.recoverable)
    }
}

/// What a labeler wants next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// Sample up to `completions` completions of y≤`prefix`, until one passes.
    Ask {
        /// The prefix, from 1 to M − 1 steps.
        prefix: usize,
        /// K, at least 1.
        completions: usize,
    },
    /// Done.
    Labeled(Labels),
}

/// Labels the steps of a response by asking which of its prefixes can still be completed.
///
/// A pure function from the answers so far to the next question. So it needs neither model nor
/// sandbox, is tested against a known oracle in microseconds, and the driver interleaves thousands of
/// searches in one batch of completions.
///
/// # Contract
/// - Asks only about prefixes from 1 to M − 1, never twice about the same, so it ends after at most
///   M − 1 questions. (y≤0 holds by convention, and y≤M is the response itself.)
/// - As many labels as steps; comments are neutral, and only comments.
///
/// [`testkit::labeler`](super::testkit::labeler) tests this.
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not label responses",
    note = "implement `pspo::plugin::Labeler`: one function from the answers so far to the next question"
)]
pub trait Labeler: Send + Sync {
    /// The next question about `steps`, or its labels.
    fn next(&self, steps: &Steps, answers: &Answers) -> Next;
}

/// A labeler's config, as it stands in a config file under its `type`.
#[typetag::serde(tag = "type")]
pub trait LabelerConfig: fmt::Debug + Send + Sync {
    /// Makes the labeler.
    ///
    /// # Errors
    /// If the config's values do not fit together.
    fn build(&self) -> Result<Box<dyn Labeler>, LabelError>;
}

/// A response could not be labelled.
#[derive(Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum LabelError {
    /// The response is blank.
    #[error("an empty response has no steps to label")]
    NoSteps,
    /// The labeler broke its contract.
    #[error("the labeler broke its contract: {0}")]
    Contract(String),
    /// A config value that cannot be.
    #[error("{0}")]
    Config(String),
}

/// A labeler whose promises are tested at every call.
pub struct CheckedLabeler(Box<dyn Labeler>);

impl CheckedLabeler {
    /// Wraps a labeler.
    pub fn new(labeler: impl Labeler + 'static) -> Self {
        Self(Box::new(labeler))
    }

    /// The next question about `steps`, or its labels.
    ///
    /// # Errors
    /// [`LabelError::NoSteps`] for a blank response; [`LabelError::Contract`] for a question that is
    /// out of range or was asked before, and for labels that do not fit the steps.
    pub fn next(&self, steps: &Steps, answers: &Answers) -> Result<Next, LabelError> {
        if steps.is_empty() {
            return Err(LabelError::NoSteps);
        }
        let next = self.0.next(steps, answers);
        let broken = match &next {
            Next::Ask { prefix, .. } if *prefix == 0 || *prefix >= steps.len() => {
                Some(format!("it asked about prefix {prefix} of {} steps", steps.len()))
            }
            Next::Ask { prefix, .. } if answers.get(*prefix).is_some() => {
                Some(format!("it asked twice about prefix {prefix}"))
            }
            Next::Ask { completions: 0, .. } => Some("it asked for 0 completions".to_owned()),
            Next::Ask { .. } => None,
            Next::Labeled(labels) if labels.steps.len() != steps.len() => {
                Some(format!("{} labels for {} steps", labels.steps.len(), steps.len()))
            }
            Next::Labeled(labels) => labels
                .steps
                .iter()
                .enumerate()
                .find(|&(step, &label)| (label == Label::Neutral) != steps.is_comment(step))
                .map(|(step, label)| format!("step {step} (`{}`) is {label:?}", steps.text(step).trim())),
        };
        match broken {
            Some(what) => Err(LabelError::Contract(what)),
            None => Ok(next),
        }
    }
}

impl Labeler for Box<dyn Labeler> {
    fn next(&self, steps: &Steps, answers: &Answers) -> Next {
        self.as_ref().next(steps, answers)
    }
}
