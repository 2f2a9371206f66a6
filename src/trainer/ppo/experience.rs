//! From rewards to what the update learns from, one number per token.

use super::Trainer;
use super::report::{Figures, explained_variance};
use super::rewards::Rewarded;
use crate::data::{Ragged, Sequence, mean};
use crate::model::{Arch, Batch, parts};
use crate::ppo::{Experience, whiten};
use crate::reward::{KlEstimator, ResponseReward, token_rewards};
use crate::trainer::error::TrainerError;

impl<A: Arch> Trainer<A> {
    /// Everything that the update needs, one number per token. Responses that could not be judged are
    /// left out.
    pub(super) fn experience(
        &self,
        rows: &[Rewarded],
    ) -> Result<Option<(Experience, Figures)>, TrainerError> {
        let kept: Vec<&Rewarded> = rows
            .iter()
            .filter(|row| row.is_judged() && !row.judged.rollout.sequence.response.is_empty())
            .collect();
        if kept.is_empty() {
            return Ok(None);
        }
        let sequences: Vec<Sequence> = kept.iter().map(|row| row.judged.rollout.sequence.clone()).collect();
        let log_probs: Ragged<f32> = kept.iter().map(|row| row.judged.rollout.log_probs.clone()).collect();
        let temperature = self.config.sampling.temperature;
        let lengths: Vec<usize> = sequences.iter().map(Sequence::len).collect();
        let (mut reference, mut values) = (Vec::new(), Vec::new());
        for part in parts(&lengths, self.config.update.micro_batch_tokens.get()) {
            let batch = Batch::responses(&A::DIMS, &sequences[part])?;
            reference.extend(self.reference.log_probs_no_grad(&batch, temperature)?.log_probs);
            values.extend(self.learner.critic.values_no_grad(&batch)?);
        }
        let reference_log_probs = log_probs.with_values(reference)?;
        let values = log_probs.with_values(values)?;
        let responses: Vec<ResponseReward<'_>> = kept
            .iter()
            .map(|row| ResponseReward {
                outcome: row.outcome,
                finished: row.judged.rollout.finished,
                step_tokens: if row.step_rewards.is_empty() { &[] } else { &row.judged.step_tokens },
                step_rewards: &row.step_rewards,
            })
            .collect();
        let (beta, penalty) = (self.kl.coefficient(), self.config.cut_penalty);
        let rewards = token_rewards(&log_probs, &reference_log_probs, &responses, beta, penalty)?;
        let estimates = self.config.gae.estimate(&rewards, &values)?;
        let kl = KlEstimator::K1.per_response(&log_probs, &reference_log_probs)?;
        let figures = Figures {
            kl: mean(kl.iter().copied()),
            returns: mean(estimates.returns.values().iter().map(|&r| f64::from(r))),
            advantage: mean(estimates.advantages.values().iter().map(|&a| f64::from(a))),
            explained_variance: explained_variance(estimates.returns.values(), values.values()),
        };
        let experience = Experience {
            sequences,
            log_probs,
            reference_log_probs,
            values,
            advantages: whiten(&estimates.advantages),
            returns: estimates.returns,
            temperature,
        };
        Ok(Some((experience, figures)))
    }
}
