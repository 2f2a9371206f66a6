//! Study 4's record: how labels differ from the truth, and what they cost.

use std::sync::Arc;

use pspo::data::{Label, Labels, Problem};
use serde::{Deserialize, Serialize};

use crate::data::PrmData;
use crate::truth::Truth;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LabelRecord {
    pub seed: u64,
    pub rows: Vec<LabelRow>,
}

/// Counts over the responses that a labeler labelled.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct LabelRow {
    pub labeler: String,
    /// K.
    pub completions_asked: usize,
    /// All that were labelled, those that pass among them, which cost no completion.
    pub responses: usize,
    pub over: Differences,
    pub onward: Differences,
    pub completions: usize,
    pub completion_tokens: usize,
    pub fed_tokens: usize,
    pub verdicts: usize,
}

/// How labels of failing responses differ from one truth.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Differences {
    /// Those of which the truth is known.
    pub failing: usize,
    /// Of these, those whose first bad line is the right one.
    pub exact: usize,
    /// Lines of code of these that are good in truth, and those of them that are labelled bad.
    pub good_lines: usize,
    pub good_as_bad: usize,
    /// Those that are bad in truth, and those of them that are labelled good.
    pub bad_lines: usize,
    pub bad_as_good: usize,
}

impl LabelRow {
    pub fn differences(&self, truth: Truth) -> &Differences {
        match truth {
            Truth::Over => &self.over,
            Truth::Onward => &self.onward,
        }
    }

    /// Counts the labels of responses to `problems`.
    pub fn count(&mut self, problems: &[Arc<Problem>], data: &PrmData) {
        self.completions += data.cost.completions;
        self.completion_tokens += data.cost.completion_tokens;
        self.fed_tokens += data.cost.fed_tokens;
        self.verdicts += data.cost.verdicts;
        for (problem, responses) in problems.iter().zip(&data.prompts) {
            self.responses += responses.len();
            for (truth, differences) in [(Truth::Over, &mut self.over), (Truth::Onward, &mut self.onward)] {
                let Some(oracle) = truth.oracle(problem) else { continue };
                for (response, _) in responses.iter().filter(|(response, _)| !response.passes) {
                    let Ok(truth) = oracle.labels(&response.steps, false) else { continue };
                    differences.count(&truth, &response.labels);
                }
            }
        }
    }
}

impl Differences {
    /// Counts a failing response.
    fn count(&mut self, truth: &Labels, given: &Labels) {
        self.failing += 1;
        self.exact += usize::from(truth.first_error() == given.first_error());
        for pair in truth.steps.iter().zip(&given.steps) {
            match pair {
                (Label::Good, given) => {
                    self.good_lines += 1;
                    self.good_as_bad += usize::from(*given == Label::Bad);
                }
                (Label::Bad, given) => {
                    self.bad_lines += 1;
                    self.bad_as_good += usize::from(*given == Label::Good);
                }
                _ => {}
            }
        }
    }
}
