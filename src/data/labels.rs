//! Labels of steps, and the classes of responses and prompts that follow from them.

use serde::{Deserialize, Serialize};

/// A step's label, l_m in the method.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Label {
    /// +1: some completion of the prefix that ends here passes.
    Good,
    /// −1: none did.
    Bad,
    /// 0: a comment.
    Neutral,
}

impl Label {
    /// The regression target: +1, −1 or 0.
    pub fn value(self) -> f32 {
        match self {
            Self::Good => 1.0,
            Self::Bad => -1.0,
            Self::Neutral => 0.0,
        }
    }
}

/// How a response stands after labeling.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ResponseClass {
    /// It passes.
    Correct,
    /// It fails, and a prefix of at least one line can be completed to a program that passes.
    Revised,
    /// It fails, and no prefix could be completed.
    Wrong,
}

/// How a prompt stands by the classes of its responses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PromptClass {
    /// All responses are Correct.
    Easy,
    /// Mixed.
    Medium,
    /// All responses are Wrong.
    Hard,
}

impl PromptClass {
    /// The class of a prompt from those of its responses; `None` without a response.
    pub fn of(responses: &[ResponseClass]) -> Option<Self> {
        let first = responses.first()?;
        let uniform = responses.iter().all(|class| class == first);
        Some(match (uniform, first) {
            (true, ResponseClass::Correct) => Self::Easy,
            (true, ResponseClass::Wrong) => Self::Hard,
            _ => Self::Medium,
        })
    }
}

/// The labels of one response, one per step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Labels {
    /// One label per step, in order.
    pub steps: Vec<Label>,
    /// The response's class.
    pub class: ResponseClass,
}

impl Labels {
    /// The first step (from 0) that is labelled bad.
    pub fn first_error(&self) -> Option<usize> {
        self.steps.iter().position(|&label| label == Label::Bad)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ResponseClass::*;

    #[test]
    fn prompts_are_classed_by_their_responses() {
        assert_eq!(PromptClass::of(&[]), None);
        assert_eq!(PromptClass::of(&[Correct, Correct]), Some(PromptClass::Easy));
        assert_eq!(PromptClass::of(&[Wrong]), Some(PromptClass::Hard));
        assert_eq!(PromptClass::of(&[Revised, Revised]), Some(PromptClass::Medium));
        assert_eq!(PromptClass::of(&[Correct, Wrong]), Some(PromptClass::Medium));
    }
}
