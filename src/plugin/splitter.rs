//! [`StepSplitter`]: where a response's steps are.

use std::fmt;

use thiserror::Error;

use crate::data::{Step, StepError, Steps};

/// Splits a program into steps, usually its lines.
///
/// # Contract
/// - The spans tile the program: they begin at 0, each begins where the one before it ends, and the
///   last ends at the program's end. Blank lines belong to the step before them, and before the first
///   step to the first. A blank program has no steps.
/// - A step that holds nothing but a comment is [`StepKind::Comment`](crate::data::StepKind): its
///   label is neutral. `x = 1  # note` is code, and so is a line inside a string.
/// - Deterministic, and total: a program with a syntax error, cut in the middle of a line or of a
///   string, is split as well.
///
/// [`testkit::splitter`](super::testkit::splitter) tests this.
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not split programs into steps",
    note = "implement `pspo::plugin::StepSplitter`, or wrap a closure: `pspo::plugin::splitter_fn(|program| ..)`"
)]
pub trait StepSplitter: Send + Sync {
    /// The steps of `program`, as spans that tile it.
    ///
    /// # Errors
    /// If the splitter cannot do its work; never because the program is bad.
    fn split(&self, program: &str) -> Result<Vec<Step>, SplitError>;
}

/// A splitter's config, as it stands in a config file under its `type`.
#[typetag::serde(tag = "type")]
pub trait SplitterConfig: fmt::Debug + Send + Sync {
    /// Makes the splitter.
    ///
    /// # Errors
    /// If it cannot be made.
    fn build(&self) -> Result<Box<dyn StepSplitter>, SplitError>;
}

/// A response could not be split.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum SplitError {
    /// The splitter broke its contract.
    #[error("the splitter broke its contract: {0}")]
    Contract(#[from] StepError),
    /// A config value that cannot be.
    #[error("{0}")]
    Config(String),
    /// The splitter failed.
    #[error("the splitter failed: {0}")]
    Failed(String),
}

/// A splitter whose promises are tested at every call.
pub struct CheckedSplitter(Box<dyn StepSplitter>);

impl CheckedSplitter {
    /// Wraps a splitter.
    pub fn new(splitter: impl StepSplitter + 'static) -> Self {
        Self(Box::new(splitter))
    }

    /// The steps of `program`, proven to tile it.
    ///
    /// # Errors
    /// [`SplitError::Contract`] if they do not.
    pub fn split(&self, program: &str) -> Result<Steps, SplitError> {
        Ok(Steps::new(program, self.0.split(program)?)?)
    }
}

impl StepSplitter for Box<dyn StepSplitter> {
    fn split(&self, program: &str) -> Result<Vec<Step>, SplitError> {
        self.as_ref().split(program)
    }
}

/// A splitter from a closure.
///
/// ```
/// use pspo::data::{Step, StepKind};
/// use pspo::plugin::{StepSplitter, splitter_fn};
///
/// let whole = splitter_fn(|program: &str| {
///     Ok(vec![Step { span: 0..program.len(), kind: StepKind::Code }])
/// });
/// assert_eq!(whole.split("x = 1")?[0].span, 0..5);
/// # Ok::<(), pspo::plugin::SplitError>(())
/// ```
pub fn splitter_fn<F>(split: F) -> impl StepSplitter
where
    F: Fn(&str) -> Result<Vec<Step>, SplitError> + Send + Sync,
{
    struct FromFn<F>(F);
    impl<F: Fn(&str) -> Result<Vec<Step>, SplitError> + Send + Sync> StepSplitter for FromFn<F> {
        fn split(&self, program: &str) -> Result<Vec<Step>, SplitError> {
            (self.0)(program)
        }
    }
    FromFn(split)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::StepKind;

    #[test]
    fn a_splitter_that_drops_bytes_is_caught() {
        let lossy = splitter_fn(|_| Ok(vec![Step { span: 0..2, kind: StepKind::Code }]));
        let error = CheckedSplitter::new(lossy).split("a\nb").unwrap_err();
        assert!(error.to_string().contains("dropped bytes 2..3"), "{error}");
    }
}
