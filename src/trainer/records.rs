//! What a run makes as records for files.

use super::collect::LabeledResponse;
use super::judged::JudgedRollout;
use crate::data::Problem;
use crate::formats::{LabelRecord, RolloutRecord, RolloutSchema};

impl JudgedRollout {
    /// The rollout's record; `prompt` is the text that was asked, as [`Exchange::text`](crate::prompts::Exchange::text)
    /// makes it.
    pub fn record(&self, prompt: impl Into<String>) -> RolloutRecord {
        let rollout = &self.rollout;
        RolloutRecord {
            schema: RolloutSchema::default(),
            problem: self.problem.id.clone(),
            prompt: prompt.into(),
            response: rollout.text.clone(),
            prompt_tokens: rollout.sequence.prompt.clone(),
            response_tokens: rollout.sequence.response.clone(),
            token_ends: rollout.token_ends.clone(),
            log_probs: rollout.log_probs.clone(),
            finished: rollout.finished,
            passes: self.passes,
        }
    }
}

impl LabeledResponse {
    /// The record of its labels; `problem` is its problem, `prompt` the text that was asked.
    pub fn record(&self, problem: &Problem, prompt: impl Into<String>) -> LabelRecord {
        let Self { steps, step_tokens, labels, passes, .. } = self;
        LabelRecord::new(problem.id.as_str(), prompt, steps, step_tokens, labels, *passes)
    }
}
