//! [`LabelCounts`]: how many responses and prompts there are of each class.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::data::{PromptClass, ResponseClass};

/// How many responses are Correct, Revised and Wrong, and how many prompts Easy, Medium and Hard.
///
/// ```
/// use pspo::data::ResponseClass::{Correct, Revised, Wrong};
/// use pspo::label::LabelCounts;
///
/// let prompts = [vec![Correct, Correct], vec![Revised, Wrong], vec![Wrong]];
/// let counts: LabelCounts = prompts.iter().collect();
/// assert_eq!(
///     counts.to_string(),
///     "Correct 2, Revised 1, Wrong 2 (responses); Easy 1, Medium 1, Hard 1 (prompts)",
/// );
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LabelCounts {
    /// Responses that pass.
    pub correct: usize,
    /// Responses that fail and have a prefix that can be completed.
    pub revised: usize,
    /// Responses that fail and have none.
    pub wrong: usize,
    /// Prompts all of whose responses are Correct.
    pub easy: usize,
    /// Prompts with mixed responses.
    pub medium: usize,
    /// Prompts all of whose responses are Wrong.
    pub hard: usize,
}

impl LabelCounts {
    /// Counts one more prompt by its responses; without a response it is none.
    pub fn add_prompt(&mut self, responses: &[ResponseClass]) {
        for response in responses {
            *match response {
                ResponseClass::Correct => &mut self.correct,
                ResponseClass::Revised => &mut self.revised,
                ResponseClass::Wrong => &mut self.wrong,
            } += 1;
        }
        match PromptClass::of(responses) {
            Some(PromptClass::Easy) => self.easy += 1,
            Some(PromptClass::Medium) => self.medium += 1,
            Some(PromptClass::Hard) => self.hard += 1,
            None => {}
        }
    }

    /// Responses of any class.
    pub fn responses(&self) -> usize {
        self.correct + self.revised + self.wrong
    }

    /// Prompts of any class.
    pub fn prompts(&self) -> usize {
        self.easy + self.medium + self.hard
    }
}

impl<R: AsRef<[ResponseClass]>> FromIterator<R> for LabelCounts {
    fn from_iter<I: IntoIterator<Item = R>>(prompts: I) -> Self {
        let mut counts = Self::default();
        for responses in prompts {
            counts.add_prompt(responses.as_ref());
        }
        counts
    }
}

impl fmt::Display for LabelCounts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { correct, revised, wrong, easy, medium, hard } = self;
        write!(
            f,
            "Correct {correct}, Revised {revised}, Wrong {wrong} (responses); Easy {easy}, Medium {medium}, \
             Hard {hard} (prompts)"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ResponseClass::{Correct, Revised, Wrong};

    #[test]
    fn every_response_and_prompt_counts_once() {
        let prompts: [&[_]; 6] = [&[Correct; 3], &[Wrong; 4], &[Revised], &[Correct, Wrong], &[], &[Wrong]];
        let counts: LabelCounts = prompts.into_iter().collect();
        let expected = LabelCounts { correct: 4, revised: 1, wrong: 6, easy: 1, medium: 2, hard: 2 };
        assert_eq!(counts, expected);
        assert_eq!((counts.responses(), counts.prompts()), (11, 5));
    }
}
