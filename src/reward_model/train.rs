//! [`BradleyTerry`]: a scalar model learns which of two responses is preferred.

use std::num::NonZeroUsize;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::trained::{RewardModel, last_token};
use crate::data::numbers::LearningRate;
use crate::data::{Seed, Sequence};
use crate::model::tensor::{Loss, OnTape, SumTo, Vector, vector};
use crate::model::{
    AdamW, AdamWConfig, Arch, Batch, MICRO_BATCH_TOKENS, ModelError, ScalarModel, accumulate, backward,
    schedule,
};

/// How to train a reward model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BradleyTerryConfig {
    /// Updates.
    pub steps: usize,
    /// Pairs per update.
    pub batch: NonZeroUsize,
    /// Tokens, prompts included, of one forward and backward pass; a pair is not divided. Bounds memory; results change by the
    /// rounding of sums alone, as the gradients of passes are added up.
    pub micro_batch_tokens: NonZeroUsize,
    /// Largest step size: it rises over `warmup` updates and falls along a cosine to a tenth.
    pub learning_rate: LearningRate,
    /// Updates over which the step size rises.
    pub warmup: usize,
    /// The optimizer's constants.
    pub optimizer: AdamWConfig,
}

impl Default for BradleyTerryConfig {
    fn default() -> Self {
        Self {
            steps: 500,
            batch: const { NonZeroUsize::new(32).unwrap() },
            micro_batch_tokens: MICRO_BATCH_TOKENS,
            learning_rate: const { LearningRate::new(1e-3) },
            warmup: 20,
            optimizer: AdamWConfig::default(),
        }
    }
}

/// Two responses to one prompt, of which the first is preferred.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Preference {
    /// The prompt's tokens.
    pub prompt: Vec<u32>,
    /// The preferred response.
    pub chosen: Vec<u32>,
    /// The other response.
    pub rejected: Vec<u32>,
}

/// A reward model cannot be trained on what it was given, cannot score a response, or failed.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum RewardModelError {
    /// No pair to learn from.
    #[error("there is no preference to learn from")]
    NoPreferences,
    /// A response without the token that its reward is read at.
    #[error("{what} {row} is an empty response: its reward is read at its last token")]
    EmptyResponse {
        /// What the number counts: `preference` or `row`.
        what: &'static str,
        /// The number, from 0.
        row: usize,
    },
    /// The model cannot take a response, or failed.
    #[error(transparent)]
    Model(#[from] ModelError),
}

/// One update's figures.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RewardModelUpdate {
    /// Mean of −ln σ(r_chosen − r_rejected) over the pairs of the batch.
    pub loss: f32,
    /// Share of the pairs whose chosen response had the higher reward before the update.
    pub accuracy: f32,
    /// Norm of the gradient before clipping.
    pub gradient_norm: f64,
}

/// Training of a reward model in progress, by the model of Bradley and Terry (1952):
/// P(chosen is preferred) = σ(r_chosen − r_rejected).
#[derive(Debug)]
pub struct BradleyTerry<A: Arch> {
    config: BradleyTerryConfig,
    model: ScalarModel<A>,
    optimizer: AdamW,
    /// Chosen and rejected.
    pairs: Vec<[Sequence; 2]>,
    order: Vec<usize>,
    seed: Seed,
    step: usize,
}

impl<A: Arch> BradleyTerry<A> {
    /// Trains `model` on `preferences`, drawn without replacement in epochs that `seed` shuffles; the order that they
    /// come in changes nothing.
    ///
    /// # Errors
    /// If there is no preference, or one has an empty response or prompt or is longer than the model's
    /// positions; or the device has no room.
    pub fn new(
        config: BradleyTerryConfig,
        mut model: ScalarModel<A>,
        preferences: Vec<Preference>,
        seed: Seed,
    ) -> Result<Self, RewardModelError> {
        if preferences.is_empty() {
            return Err(RewardModelError::NoPreferences);
        }
        let mut pairs = Vec::with_capacity(preferences.len());
        for (row, Preference { prompt, chosen, rejected }) in preferences.into_iter().enumerate() {
            let pair = [
                Sequence { prompt: prompt.clone(), response: chosen },
                Sequence { prompt, response: rejected },
            ];
            for sequence in &pair {
                let last = last_token(sequence)
                    .ok_or(RewardModelError::EmptyResponse { what: "preference", row })?;
                Batch::check(&A::DIMS, row, sequence, &[last])?;
            }
            pairs.push(pair);
        }
        let optimizer = AdamW::new(config.optimizer, &mut model)?;
        let order = schedule::order(pairs.len(), |a, b| pairs[a].cmp(&pairs[b]));
        Ok(Self { config, model, optimizer, pairs, order, seed, step: 0 })
    }

    /// Updates so far.
    pub fn steps_done(&self) -> usize {
        self.step
    }

    /// Whether all updates are done.
    pub fn is_done(&self) -> bool {
        self.step >= self.config.steps
    }

    /// One update.
    ///
    /// # Errors
    /// If the loss or the gradient is not finite; the model is as before then.
    pub fn step(&mut self) -> Result<RewardModelUpdate, RewardModelError> {
        let BradleyTerryConfig { steps, batch, micro_batch_tokens, learning_rate, warmup, .. } = self.config;
        let drawn = schedule::draw(self.seed, &self.order, batch, self.step);
        let pairs: Vec<&[Sequence; 2]> = drawn.iter().map(|&pair| &self.pairs[pair]).collect();
        let lengths: Vec<usize> =
            pairs.iter().map(|[chosen, rejected]| chosen.len() + rejected.len()).collect();
        let mut right = 0;
        let loss = accumulate(&mut self.model, &lengths, micro_batch_tokens, |model, part| {
            let rewards = |side: usize| {
                let rows = pairs[part.clone()].iter().map(|pair| &pair[side]);
                let last: Vec<_> = rows.clone().map(|row| [row.response.len() - 1]).collect();
                let batch = Batch::at(&A::DIMS, rows.zip(&last).map(|(row, last)| (row, last.as_slice())))?;
                model.values(&batch)
            };
            let margins = rewards(0)? - rewards(1)?;
            right += margins.as_vec().iter().filter(|&&margin| margin > 0.0).count();
            backward(loss(margins, pairs.len()))
        })?;
        let learning_rate = schedule::learning_rate(learning_rate, warmup, steps, self.step);
        let gradient_norm = self.optimizer.step(&mut self.model, learning_rate)?;
        self.step += 1;
        Ok(RewardModelUpdate { loss, accuracy: right as f32 / drawn.len() as f32, gradient_norm })
    }

    /// The model as it is.
    pub fn model(&self) -> &ScalarModel<A> {
        &self.model
    }

    /// The trained reward model.
    pub fn into_reward_model(self) -> RewardModel<A> {
        RewardModel::new(self.model)
    }
}

/// The sum of −ln σ over the margins r_chosen − r_rejected, divided by the `pairs` of the whole batch.
fn loss(margins: Vector<OnTape>, pairs: usize) -> Loss {
    let preferred = vector(vec![1.0; margins.as_vec().len()]);
    margins.bce_with_logits(preferred).sum() * (1.0 / pairs as f32) // with target 1 it is −ln σ
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::tensor::Trace;
    use dfdx::prelude::{AsArray, Backward};

    #[test]
    fn the_loss_by_hand() {
        let margins = vector(vec![0.5, -2.0]);
        let loss = loss(margins.leaky_trace(), 2);
        // −ln σ(0.5) = 0.474077, −ln σ(−2) = 2.126928; derivatives (σ − 1)/2.
        assert!((loss.array() - 2.601005 / 2.0).abs() < 1e-6);
        let gradient = loss.backward().get(&margins).as_vec();
        assert!((gradient[0] - (0.622459 - 1.0) / 2.0).abs() < 1e-6);
        assert!((gradient[1] - (0.119203 - 1.0) / 2.0).abs() < 1e-6);
    }
}
