//! Supervised fine-tuning: the policy learns given responses by heart; what it becomes is π_ref.

use std::num::NonZeroUsize;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::data::numbers::{LearningRate, Temperature};
use crate::data::{Parameters, Seed, Sequence};
use crate::model::tensor::{SumTo, vector};
use crate::model::{
    AdamW, AdamWConfig, Arch, Batch, MICRO_BATCH_TOKENS, ModelError, Policy, accumulate, backward, schedule,
};

/// How to fine-tune.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SftConfig {
    /// Updates.
    pub steps: usize,
    /// Examples per update.
    pub batch: NonZeroUsize,
    /// Tokens, prompts included, of one forward and backward pass, which takes whole groups of rows (of
    /// [`GROUP_TOKENS`](crate::model::GROUP_TOKENS)) and at least one. Bounds memory; parameters are the same to the bit.
    pub micro_batch_tokens: NonZeroUsize,
    /// Largest step size: it rises over `warmup` updates and falls along a cosine to a tenth.
    pub learning_rate: LearningRate,
    /// Updates over which the step size rises.
    pub warmup: usize,
    /// The optimizer's constants.
    pub optimizer: AdamWConfig,
}

impl Default for SftConfig {
    fn default() -> Self {
        const RATE: LearningRate = LearningRate::new(3e-3);
        let batch = NonZeroUsize::new(64).expect("64 is not 0");
        Self {
            steps: 1000,
            batch,
            micro_batch_tokens: MICRO_BATCH_TOKENS,
            learning_rate: RATE,
            warmup: 50,
            optimizer: AdamWConfig::default(),
        }
    }
}

/// Fine-tuning could not begin or go on.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum SftError {
    /// No example to learn from.
    #[error("there is no example to learn from: supervised fine-tuning needs problems with solutions")]
    NoExamples,
    /// The model failed.
    #[error(transparent)]
    Model(#[from] ModelError),
}

/// One update's figures.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SftStep {
    /// Mean of −log π over the response tokens of the batch, in nats.
    pub loss: f32,
    /// Norm of the gradient before clipping.
    pub gradient_norm: f64,
    /// Response tokens in the batch.
    pub tokens: usize,
}

/// Supervised fine-tuning in progress.
#[derive(Debug)]
pub struct Sft<A: Arch> {
    config: SftConfig,
    policy: Policy<A>,
    optimizer: AdamW,
    examples: Vec<Sequence>,
    order: Vec<usize>,
    seed: Seed,
    step: usize,
}

impl<A: Arch> Sft<A> {
    /// Fine-tunes `policy` on `examples`, drawn without replacement in epochs that `seed` shuffles; the order that they
    /// come in changes nothing.
    ///
    /// # Errors
    /// If there is no example, or the device has no room.
    pub fn new(
        config: SftConfig,
        mut policy: Policy<A>,
        examples: Vec<Sequence>,
        seed: Seed,
    ) -> Result<Self, SftError> {
        if examples.is_empty() {
            return Err(SftError::NoExamples);
        }
        let optimizer = AdamW::new(config.optimizer, &mut policy)?;
        let order = schedule::order(examples.len(), |a, b| examples[a].cmp(&examples[b]));
        Ok(Self { config, policy, optimizer, examples, order, seed, step: 0 })
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
    /// If an example of the batch has no prompt or is longer than the model's positions, no example has a response, or
    /// the loss or the gradient is not finite; the policy is as before then.
    pub fn step(&mut self) -> Result<SftStep, SftError> {
        const ONE: Temperature = Temperature::new(1.0);
        let SftConfig { steps, batch, micro_batch_tokens, learning_rate, warmup, .. } = self.config;
        let rows = schedule::draw(self.seed, &self.order, batch, self.step);
        let sequences: Vec<&Sequence> = rows.iter().map(|&row| &self.examples[row]).collect();
        let lengths: Vec<usize> = sequences.iter().map(|sequence| sequence.len()).collect();
        let tokens: usize = sequences.iter().map(|sequence| sequence.response.len()).sum();
        if tokens == 0 {
            return Err(ModelError::NothingScored.into());
        }
        let loss = accumulate(&mut self.policy, &lengths, micro_batch_tokens, |policy, part| {
            let batch = Batch::responses(&A::DIMS, sequences[part.clone()].iter().copied())
                .map_err(|error| error.renumbered(|row| rows[part.start + row]))?;
            let scored = batch.scored().values().len();
            if scored == 0 {
                return Ok(0.0);
            }
            let log_probs = policy.log_probs(&batch, ONE)?.log_probs;
            backward((log_probs * vector(vec![-1.0 / tokens as f32; scored])).sum())
        })?;
        let learning_rate = schedule::learning_rate(learning_rate, warmup, steps, self.step);
        let gradient_norm = self.optimizer.step(&mut self.policy, learning_rate)?;
        self.step += 1;
        Ok(SftStep { loss, gradient_norm, tokens })
    }

    /// Updates in all.
    pub fn steps(&self) -> usize {
        self.config.steps
    }

    /// The policy, the optimizer's two moments and its steps: what a checkpoint keeps.
    ///
    /// # Errors
    /// If the device fails.
    pub fn state(&self) -> Result<(Parameters, Parameters, Parameters, u32), ModelError> {
        let (first, second, steps) = self.optimizer.state()?;
        Ok((self.policy.trained()?, first, second, steps))
    }

    /// Goes on from a state after `step` updates.
    ///
    /// # Errors
    /// If it is that of another model.
    pub fn restore(
        &mut self,
        step: usize,
        policy: &Parameters,
        moments: (&Parameters, &Parameters),
        optimizer_steps: u32,
    ) -> Result<(), ModelError> {
        self.policy.set_trained(policy)?;
        self.optimizer.restore(moments.0, moments.1, optimizer_steps)?;
        self.step = step;
        Ok(())
    }

    /// The policy as it is.
    pub fn policy(&self) -> &Policy<A> {
        &self.policy
    }

    /// The fine-tuned policy.
    pub fn into_policy(self) -> Policy<A> {
        self.policy
    }
}

#[cfg(test)]
mod tests;
