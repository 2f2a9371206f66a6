//! What a batch of responses is worth: outcomes, and the rewards of steps.

use super::Trainer;
use crate::data::{Sequence, Task};
use crate::model::Arch;
use crate::trainer::error::TrainerError;
use crate::trainer::judged::JudgedRollout;

/// A response's rewards, before the KL term.
pub(super) struct Rewarded {
    pub(super) judged: JudgedRollout,
    pub(super) outcome: f32,
    pub(super) step_rewards: Vec<f32>,
}

impl Rewarded {
    /// Whether its outcome is known. One that could not be judged teaches nothing and counts nowhere.
    pub(super) fn is_judged(&self) -> bool {
        self.judged.passes.is_some() || self.judged.problem.task == Task::Chat
    }
}

impl<A: Arch> Trainer<A> {
    pub(super) fn reward(&self, judged: Vec<JudgedRollout>) -> Result<Vec<Rewarded>, TrainerError> {
        let chat: Vec<&Sequence> = judged
            .iter()
            .filter(|row| row.problem.task == Task::Chat && !row.rollout.sequence.response.is_empty())
            .map(|row| &row.rollout.sequence)
            .collect();
        let general = match &self.reward_model {
            Some(model) if !chat.is_empty() => model(&chat)?,
            _ => Vec::new(),
        };
        if general.len() != chat.len() {
            let (got, needed) = (general.len(), chat.len());
            return Err(TrainerError::RewardModel(format!("it gave {got} numbers for {needed} responses")));
        }
        if let Some(reward) = general.iter().find(|reward| !reward.is_finite()) {
            return Err(TrainerError::RewardModel(format!("it gave {reward}: a reward must be finite")));
        }
        let mut general = general.into_iter();
        // Dense rewards are for lines of code.
        let scored = |row: &JudgedRollout| row.problem.task == Task::Code && !row.steps.is_empty();
        let mut scores = match (&self.dense, &self.prm) {
            (Some(_), Some(prm)) => {
                let scored = judged.iter().filter(|row| scored(row));
                let inputs: Vec<_> = scored.map(JudgedRollout::prm_input).collect();
                prm.scores(&inputs)?.into_iter()
            }
            _ => Vec::new().into_iter(),
        };
        let mut rewarded = Vec::with_capacity(judged.len());
        for row in judged {
            let passes = row.passes.unwrap_or(false);
            let step_rewards = match &self.dense {
                Some(dense) if scored(&row) => {
                    let scores = scores.next().expect("one row of scores per scored response");
                    dense.step_rewards(&row.steps, &scores, passes)?
                }
                _ => Vec::new(),
            };
            let outcome = match row.problem.task {
                // A prompt that leaves no room for a response is left out of what is learned from.
                Task::Chat if row.rollout.sequence.response.is_empty() => 0.0,
                Task::Chat => general.next().expect("one number per response, as checked"),
                // Without a verdict it is masked, whatever stands here.
                Task::Code => {
                    row.verdict.as_ref().map_or(0.0, |verdict| self.outcome.of(verdict, row.rollout.finished))
                }
            };
            rewarded.push(Rewarded { judged: row, outcome, step_rewards });
        }
        Ok(rewarded)
    }
}
