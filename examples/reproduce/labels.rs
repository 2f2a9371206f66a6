//! Study 4's record: how labels differ from the truth, and what they cost.

use std::sync::Arc;

use pspo::data::{Label, Problem};
use pspo::problems::Oracle;
use serde::{Deserialize, Serialize};

use crate::data::PrmData;

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
    /// All that were labelled.
    pub responses: usize,
    /// Those that fail, of which the truth is known.
    pub failing: usize,
    /// Of these, those whose first bad line is the right one.
    pub exact: usize,
    /// Lines of code of these that are good in truth, and those of them that are labelled bad.
    pub good_lines: usize,
    pub good_as_bad: usize,
    /// Those that are bad in truth, and those of them that are labelled good.
    pub bad_lines: usize,
    pub bad_as_good: usize,
    pub completions: usize,
    pub completion_tokens: usize,
    pub fed_tokens: usize,
    pub verdicts: usize,
}

impl LabelRow {
    /// Counts the labels of responses to `problems`.
    pub fn count(&mut self, problems: &[Arc<Problem>], data: &PrmData) {
        self.completions += data.cost.completions;
        self.completion_tokens += data.cost.completion_tokens;
        self.fed_tokens += data.cost.fed_tokens;
        self.verdicts += data.cost.verdicts;
        for (problem, responses) in problems.iter().zip(&data.prompts) {
            self.responses += responses.len();
            let Ok(oracle) = Oracle::new(problem) else { continue };
            for (response, _) in responses.iter().filter(|(response, _)| !response.passes) {
                let Ok(truth) = oracle.labels(&response.steps, false) else { continue };
                self.failing += 1;
                self.exact += usize::from(truth.first_error() == response.labels.first_error());
                for pair in truth.steps.iter().zip(&response.labels.steps) {
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
    }
}

impl LabelRow {
    /// Adds the counts of another seed.
    pub fn add(&mut self, other: &Self) {
        self.responses += other.responses;
        self.failing += other.failing;
        self.exact += other.exact;
        self.good_lines += other.good_lines;
        self.good_as_bad += other.good_as_bad;
        self.bad_lines += other.bad_lines;
        self.bad_as_good += other.bad_as_good;
        self.completions += other.completions;
        self.completion_tokens += other.completion_tokens;
        self.fed_tokens += other.fed_tokens;
        self.verdicts += other.verdicts;
    }
}
