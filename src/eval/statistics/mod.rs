//! Statistics of evaluation. Where there is nothing to compute from, the answer is an error and not
//! a number.

mod crossed;
mod first_error;
mod interval;
mod pass_at_k;
mod scores;

use thiserror::Error;

pub use crossed::Crossed;
pub use first_error::{FirstError, first_error, predicted_first_error};
pub use interval::{Interval, bootstrap_mean, mean_over_seeds};
pub use pass_at_k::pass_at_k;
pub use scores::{auroc, label_accuracy};

/// A statistic cannot be computed.
#[derive(Clone, Debug, Error, PartialEq)]
#[non_exhaustive]
pub enum StatisticsError {
    /// Too few values.
    #[error("{what} needs at least {needed} values, not {got}")]
    TooFew {
        /// The statistic.
        what: &'static str,
        /// Values given.
        got: usize,
        /// Values needed.
        needed: usize,
    },
    /// Two lists that belong together have different lengths.
    #[error("{left} {left_name} and {right} {right_name} do not belong together: there must be one for each")]
    Lengths {
        /// Length of the first.
        left: usize,
        /// What the first is.
        left_name: &'static str,
        /// Length of the second.
        right: usize,
        /// What the second is.
        right_name: &'static str,
    },
    /// NaN or an infinity.
    #[error("value {index} is {value}: it must be finite")]
    NonFinite {
        /// Its place, from 0.
        index: usize,
        /// The value.
        value: f64,
    },
    /// A comparison of two classes of which one is empty.
    #[error("{what} compares {left} and {right}, and there are only {present}")]
    OneClass {
        /// The statistic.
        what: &'static str,
        /// The first class.
        left: &'static str,
        /// The second class.
        right: &'static str,
        /// The one there is.
        present: &'static str,
    },
    /// Counts that cannot be.
    #[error(
        "pass@{k} of {passed} passing among {samples} samples: k must be from 1 to the number of samples, \
         and no more can pass than there are"
    )]
    PassAtK {
        /// n.
        samples: usize,
        /// c.
        passed: usize,
        /// k.
        k: usize,
    },
}

fn same_length<T, U>(
    (left, left_name): (&[T], &'static str),
    (right, right_name): (&[U], &'static str),
) -> Result<(), StatisticsError> {
    let (left, right) = (left.len(), right.len());
    if left == right { Ok(()) } else { Err(StatisticsError::Lengths { left, left_name, right, right_name }) }
}

fn finite(values: impl IntoIterator<Item = f64>) -> Result<(), StatisticsError> {
    match values.into_iter().enumerate().find(|(_, value)| !value.is_finite()) {
        Some((index, value)) => Err(StatisticsError::NonFinite { index, value }),
        None => Ok(()),
    }
}
