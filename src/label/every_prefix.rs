//! [`EveryPrefix`]: the baseline that asks about every prefix.

use std::num::NonZeroUsize;

use serde::{Deserialize, Serialize};

use super::label_steps;
use crate::data::Steps;
use crate::plugin::{Answers, LabelError, Labeler, LabelerConfig, Next};

crate::card! {
    kind: Labeler,
    name: "every_prefix",
    summary: "Asks about every prefix in turn, M - 1 questions: the exactness that K completions allow.",
    example: "type = \"every_prefix\"\ncompletions = 20",
}

/// Asks about the prefixes 1 to M − 1 in turn, all of them, and takes the last that is recoverable.
///
/// It does not stop at the first prefix that no completion passes. That would be cheaper, but less
/// exact than the search that it is the baseline of: each prefix on the way to the error could be
/// missed by all K completions, and early ones, with much left to complete, are missed the most. Nor
/// does it label each line by its own prefix's answer alone: a completion that passes proves every
/// shorter prefix recoverable, while K that fail prove nothing. So the last recoverable prefix is the
/// best that can be said with K completions per prefix, and what [`BinarySearch`](super::BinarySearch)
/// is measured against.
///
/// ```
/// use pspo::label::EveryPrefix;
/// use pspo::plugin::{CheckedLabeler, testkit};
///
/// let steps = testkit::lines_of(&[pspo::data::StepKind::Code; 5]);
/// let labeler = CheckedLabeler::new(EveryPrefix::best_of(20));
/// // The completions of y≤2 all fail by bad luck, one of y≤3 passes.
/// let answer = |prefix, _| [1, 3].contains(&prefix);
/// let (labels, questions) = testkit::label_with(&labeler, &steps, false, answer);
/// assert_eq!(labels.first_error(), Some(3));
/// assert_eq!(questions, 4);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EveryPrefix {
    /// K: how many completions of a prefix are tried.
    pub completions: NonZeroUsize,
}

impl EveryPrefix {
    /// `completions` completions per prefix, checked at compile time when it stands in a constant.
    ///
    /// # Panics
    /// If `completions` is 0.
    #[track_caller]
    pub const fn best_of(completions: usize) -> Self {
        Self { completions: NonZeroUsize::new(completions).expect("completions must be at least 1") }
    }
}

/// K = 20, as in the paper.
impl Default for EveryPrefix {
    fn default() -> Self {
        Self::best_of(20)
    }
}

impl Labeler for EveryPrefix {
    fn next(&self, steps: &Steps, answers: &Answers) -> Next {
        if answers.passes {
            return Next::Labeled(label_steps(steps, true, steps.len()));
        }
        if let Some(prefix) = (1..steps.len()).find(|&prefix| answers.get(prefix).is_none()) {
            return Next::Ask { prefix, completions: self.completions.get() };
        }
        let last = (1..steps.len()).rev().find(|&prefix| answers.get(prefix) == Some(true));
        Next::Labeled(label_steps(steps, false, last.unwrap_or(0)))
    }
}

#[typetag::serde(name = "every_prefix")]
impl LabelerConfig for EveryPrefix {
    fn build(&self) -> Result<Box<dyn Labeler>, LabelError> {
        Ok(Box::new(*self))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::StepKind;
    use crate::plugin::testkit::{self, label_with, lines_of};
    use crate::plugin::{CheckedLabeler, Kind, build};

    #[test]
    fn the_contract_holds() {
        testkit::labeler(EveryPrefix::default());
    }

    #[test]
    fn it_asks_about_every_prefix_in_turn() {
        let labeler = CheckedLabeler::new(EveryPrefix::best_of(3));
        for lines in 1..=9 {
            let steps = lines_of(&vec![StepKind::Code; lines]);
            for error in 0..lines {
                let mut asked = Vec::new();
                let (labels, _) = label_with(&labeler, &steps, false, |prefix, completions| {
                    assert_eq!(completions, 3);
                    asked.push(prefix);
                    prefix <= error
                });
                assert_eq!(asked, (1..lines).collect::<Vec<_>>());
                assert_eq!(labels.first_error(), Some(error));
            }
            let (labels, questions) = label_with(&labeler, &steps, true, |_, _| unreachable!());
            assert_eq!((labels.first_error(), questions), (None, 0));
        }
    }

    #[test]
    fn a_config_is_read() {
        let table = serde_json::json!({"type": "every_prefix", "completions": 8});
        let config: Box<dyn LabelerConfig> = build(Kind::Labeler, table).unwrap();
        assert_eq!(format!("{config:?}"), format!("{:?}", EveryPrefix::best_of(8)));
    }
}
