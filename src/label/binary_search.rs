//! [`BinarySearch`]: algorithm 1 of the method.

use std::num::NonZeroUsize;

use serde::{Deserialize, Serialize};

use super::label_steps;
use crate::data::Steps;
use crate::plugin::{Answers, LabelError, Labeler, LabelerConfig, Next};

crate::card! {
    kind: Labeler,
    name: "binary_search",
    summary: "Finds the last prefix that best-of-K can complete by binary search: about log2(M) questions.",
    example: "type = \"binary_search\"\ncompletions = 20",
}

/// Searches the boundary between recoverable and unrecoverable prefixes by halving.
///
/// Takes it that an unrecoverable prefix stays so when extended, which is true, and that K completions
/// tell one from the other, which is an estimate: a recoverable prefix none of whose K completions
/// passes moves the first error too far to the front. It asks ⌈log₂ M⌉ questions at most, and none
/// about a response that passes or has one line.
///
/// ```
/// use pspo::data::Label::{Bad, Good};
/// use pspo::label::BinarySearch;
/// use pspo::plugin::{CheckedLabeler, CheckedSplitter, testkit};
/// use pspo::steps::Lines;
///
/// let steps = CheckedSplitter::new(Lines::python()).split("a\nb\nc\nd\ne\n")?;
/// let labeler = CheckedLabeler::new(BinarySearch::best_of(20));
/// let (labels, questions) = testkit::label_with(&labeler, &steps, false, |prefix, _| prefix <= 3);
/// assert_eq!(labels.steps, [Good, Good, Good, Bad, Bad]);
/// assert_eq!(questions, 3);
/// # Ok::<(), pspo::plugin::SplitError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BinarySearch {
    /// K: how many completions of a prefix are tried.
    pub completions: NonZeroUsize,
}

impl BinarySearch {
    /// A search with `completions` completions per prefix, checked at compile time when it stands in a
    /// constant.
    ///
    /// # Panics
    /// If `completions` is 0.
    #[track_caller]
    pub const fn best_of(completions: usize) -> Self {
        Self { completions: NonZeroUsize::new(completions).expect("completions must be at least 1") }
    }
}

/// K = 20, as in the paper.
impl Default for BinarySearch {
    fn default() -> Self {
        Self::best_of(20)
    }
}

impl Labeler for BinarySearch {
    fn next(&self, steps: &Steps, answers: &Answers) -> Next {
        if answers.passes {
            return Next::Labeled(label_steps(steps, true, steps.len()));
        }
        let (mut lo, mut hi) = (0, steps.len());
        while hi > lo + 1 {
            let middle = usize::midpoint(lo, hi);
            match answers.get(middle) {
                Some(true) => lo = middle,
                Some(false) => hi = middle,
                None => return Next::Ask { prefix: middle, completions: self.completions.get() },
            }
        }
        Next::Labeled(label_steps(steps, false, lo))
    }
}

#[typetag::serde(name = "binary_search")]
impl LabelerConfig for BinarySearch {
    fn build(&self) -> Result<Box<dyn Labeler>, LabelError> {
        Ok(Box::new(*self))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{ResponseClass, StepKind};
    use crate::plugin::testkit::{self, label_with, lines_of};
    use crate::plugin::{CheckedLabeler, Kind, build};

    #[test]
    fn the_contract_holds() {
        testkit::labeler(BinarySearch::default());
    }

    #[test]
    fn the_first_error_is_found_with_log2_questions() {
        let labeler = CheckedLabeler::new(BinarySearch::best_of(3));
        for lines in 1..=33_usize {
            let steps = lines_of(&vec![StepKind::Code; lines]);
            for error in 0..lines {
                let (labels, questions) = label_with(&labeler, &steps, false, |prefix, completions| {
                    assert_eq!(completions, 3);
                    prefix <= error
                });
                assert_eq!(labels.first_error(), Some(error));
                assert_eq!(labels.class == ResponseClass::Wrong, error == 0);
                assert!(questions <= lines.next_power_of_two().ilog2() as usize, "{questions} of {lines}");
            }
            let (labels, questions) = label_with(&labeler, &steps, true, |_, _| unreachable!());
            assert_eq!((labels.first_error(), labels.class, questions), (None, ResponseClass::Correct, 0));
        }
    }

    #[test]
    fn it_asks_what_algorithm_1_asks() {
        let steps = lines_of(&[StepKind::Code; 12]);
        let labeler = CheckedLabeler::new(BinarySearch::default());
        let asked = |answer: fn(usize) -> bool| {
            let mut asked = Vec::new();
            let (labels, _) = label_with(&labeler, &steps, false, |prefix, _| {
                asked.push(prefix);
                answer(prefix)
            });
            (asked, labels.first_error())
        };
        assert_eq!(asked(|prefix| prefix <= 7), (vec![6, 9, 7, 8], Some(7)));
        assert_eq!(asked(|_| false), (vec![6, 3, 1], Some(0)));
        assert_eq!(asked(|_| true), (vec![6, 9, 10, 11], Some(11)));
        // Sampling missed at 6: the error is put before it, though 7 would have passed.
        assert_eq!(asked(|prefix| prefix != 6 && prefix <= 7), (vec![6, 3, 4, 5], Some(5)));
    }

    #[test]
    fn a_config_is_read_and_checked() {
        let read =
            |table| build::<Box<dyn LabelerConfig>>(Kind::Labeler, table).map(|config| format!("{config:?}"));
        let table = serde_json::json!({"type": "binary_search", "completions": 8});
        assert_eq!(read(table).unwrap(), format!("{:?}", BinarySearch::best_of(8)));
        assert_eq!(
            read(serde_json::json!({"type": "binary_search"})).unwrap(),
            format!("{:?}", BinarySearch::best_of(20))
        );
        let error = read(serde_json::json!({"type": "binary_search", "completions": 0})).unwrap_err();
        assert!(error.to_string().contains("invalid value: integer `0`, expected a nonzero"), "{error}");
    }
}
