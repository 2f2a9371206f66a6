//! [`Matching`]: when an answer counts as the one expected.

use serde::{Deserialize, Serialize};

/// When what a program prints or returns counts as what was expected.
///
/// A benchmark has one rule for all its problems. How text and values are compared by it is told at
/// [`matches_output`](crate::verify::matches_output) and [`matches_value`](crate::verify::matches_value).
///
/// ```
/// use pspo::data::Matching;
///
/// let rule: Matching = serde_json::from_str(r#"{"rule": "numbers", "absolute": 1e-6}"#)?;
/// assert_eq!(rule, Matching::Numbers { absolute: 1e-6, relative: 0.0 });
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(tag = "rule", rename_all = "snake_case", deny_unknown_fields)]
#[non_exhaustive]
pub enum Matching {
    /// The same lines, up to white space at their ends; values equal and of the same type.
    #[default]
    Exact,
    /// The same words, whatever white space is between them; values as in [`Matching::Exact`].
    Words,
    /// LiveCodeBench's rule: the same number of lines, each equal but for white space around it, or a sequence
    /// of equal decimal numbers. Values equal as Python's `==` has it, tuples being lists.
    DecimalLines,
    /// CodeContests' rule: the same words, in capitals or not, where a number with a fraction or an exponent
    /// matches one that is off by less than 10⁻⁵. Values as in [`Matching::Exact`].
    LooseWords,
    /// The same words, where a number matches one that is off by at most `absolute`, or by at most `relative`
    /// of the number expected. In values likewise, tuples being lists.
    Numbers {
        /// Largest difference.
        #[serde(default)]
        absolute: f64,
        /// Largest difference as a part of the expected number's size.
        #[serde(default)]
        relative: f64,
    },
    /// A program of the problem's decides, for problems with many right answers.
    Checker {
        /// Python code that defines `check(stdin, expected, printed)`, which returns whether `printed` is right.
        code: String,
    },
}

impl Matching {
    /// Whether this is [`Matching::Exact`].
    pub fn is_exact(&self) -> bool {
        *self == Self::Exact
    }

    /// Whether a tuple, which a program may return where JSON can only say a list, counts as that list.
    pub fn tuples_are_lists(&self) -> bool {
        matches!(self, Self::DecimalLines | Self::Numbers { .. })
    }
}
