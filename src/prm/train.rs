//! [`PrmTraining`]: a scalar model learns the labels of lines.

use std::num::NonZeroUsize;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::objective;
use super::trained::TrainedPrm;
use crate::data::numbers::LearningRate;
use crate::data::{Label, Labels, Objective, Parameters, Seed, Sequence};
use crate::model::{
    AdamW, AdamWConfig, Arch, Batch, MICRO_BATCH_TOKENS, ModelError, ScalarModel, accumulate, backward,
    schedule,
};

/// How to train a PRM.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PrmTrainingConfig {
    /// Updates.
    pub steps: usize,
    /// Responses per update.
    pub batch: NonZeroUsize,
    /// Tokens, prompts included, of one forward and backward pass, which takes whole groups of rows (of
    /// [`GROUP_TOKENS`](crate::model::GROUP_TOKENS)) and at least one. Bounds memory; parameters are the same to the bit.
    pub micro_batch_tokens: NonZeroUsize,
    /// Largest step size: it rises over `warmup` updates and falls along a cosine to a tenth.
    pub learning_rate: LearningRate,
    /// Updates over which the step size rises.
    pub warmup: usize,
    /// The loss.
    pub objective: Objective,
    /// The optimizer's constants.
    pub optimizer: AdamWConfig,
}

impl Default for PrmTrainingConfig {
    fn default() -> Self {
        Self {
            steps: 500,
            batch: const { NonZeroUsize::new(64).unwrap() },
            micro_batch_tokens: MICRO_BATCH_TOKENS,
            learning_rate: const { LearningRate::new(1e-3) },
            warmup: 20,
            objective: Objective::Mse,
            optimizer: AdamWConfig::default(),
        }
    }
}

/// One labelled response.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PrmExample {
    /// Prompt and response as tokens.
    pub sequence: Sequence,
    /// For each step, the response token (from 0) that contains its line's end.
    pub step_tokens: Vec<usize>,
    /// The steps' labels.
    pub labels: Labels,
}

/// A PRM cannot be trained on what it was given, or its training could not go on.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum PrmTrainingError {
    /// No example to learn from.
    #[error("there is no labelled response to learn from: the selection of PRM data may have kept none")]
    NoExamples,
    /// A blank response.
    #[error("example {example} has no steps: a blank response cannot be labelled")]
    NoSteps {
        /// The example, from 0.
        example: usize,
    },
    /// Labels of another response.
    #[error("example {example} has {labels} labels and {step_tokens} tokens that end steps: one for each")]
    Labels {
        /// The example, from 0.
        example: usize,
        /// Labels given.
        labels: usize,
        /// Tokens given.
        step_tokens: usize,
    },
    /// The model cannot take an example, or failed.
    #[error(transparent)]
    Model(#[from] ModelError),
}

/// One update's figures.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PrmUpdate {
    /// The objective, a mean over the lines of the batch.
    pub loss: f32,
    /// Norm of the gradient before clipping.
    pub gradient_norm: f64,
    /// Lines in the batch.
    pub lines: usize,
}

/// Training of a PRM in progress.
#[derive(Debug)]
pub struct PrmTraining<A: Arch> {
    config: PrmTrainingConfig,
    model: ScalarModel<A>,
    optimizer: AdamW,
    examples: Vec<PrmExample>,
    order: Vec<usize>,
    seed: Seed,
    step: usize,
}

impl<A: Arch> PrmTraining<A> {
    /// Trains `model`, in the method the baseline's critic, on `examples`, drawn without replacement in
    /// epochs that `seed` shuffles; the order that they come in changes nothing.
    ///
    /// # Errors
    /// If there is no example, or one has no steps, not one label for each, or does not fit the model; or
    /// the device has no room.
    pub fn new(
        config: PrmTrainingConfig,
        mut model: ScalarModel<A>,
        examples: Vec<PrmExample>,
        seed: Seed,
    ) -> Result<Self, PrmTrainingError> {
        if examples.is_empty() {
            return Err(PrmTrainingError::NoExamples);
        }
        for (example, PrmExample { sequence, step_tokens: places, labels }) in examples.iter().enumerate() {
            let (labels, step_tokens) = (labels.steps.len(), places.len());
            if labels != step_tokens {
                return Err(PrmTrainingError::Labels { example, labels, step_tokens });
            }
            if labels == 0 {
                return Err(PrmTrainingError::NoSteps { example });
            }
            Batch::check(&A::DIMS, example, sequence, places)?;
        }
        let optimizer = AdamW::new(config.optimizer, &mut model)?;
        let order = schedule::order(examples.len(), |a, b| {
            let ([a, b], labels) =
                ([a, b].map(|row| &examples[row]), |row: &PrmExample| row.labels.steps.clone());
            let start = (&a.sequence, &a.step_tokens).cmp(&(&b.sequence, &b.step_tokens));
            let label = |label| label as u8;
            start.then_with(|| labels(a).into_iter().map(label).cmp(labels(b).into_iter().map(label)))
        });
        Ok(Self { config, model, optimizer, examples, order, seed, step: 0 })
    }

    /// Updates so far.
    pub fn steps_done(&self) -> usize {
        self.step
    }

    /// Updates in all.
    pub fn steps(&self) -> usize {
        self.config.steps
    }

    /// The model, the optimizer's two moments and its steps: what a checkpoint keeps.
    ///
    /// # Errors
    /// If the device fails.
    pub fn state(&self) -> Result<(Parameters, Parameters, Parameters, u32), ModelError> {
        let (first, second, steps) = self.optimizer.state()?;
        Ok((self.model.trained()?, first, second, steps))
    }

    /// Goes on from a state after `step` updates.
    ///
    /// # Errors
    /// If it is that of another model.
    pub fn restore(
        &mut self,
        step: usize,
        model: &Parameters,
        moments: (&Parameters, &Parameters),
        optimizer_steps: u32,
    ) -> Result<(), ModelError> {
        self.model.set_trained(model)?;
        self.optimizer.restore(moments.0, moments.1, optimizer_steps)?;
        self.step = step;
        Ok(())
    }

    /// What the model's number for a line means.
    pub fn objective(&self) -> Objective {
        self.config.objective
    }

    /// Whether all updates are done.
    pub fn is_done(&self) -> bool {
        self.step >= self.config.steps
    }

    /// One update: the prediction at the token that ends each line, against the line's label (equation 2,
    /// as a mean over the lines of the batch).
    ///
    /// # Errors
    /// If the loss or the gradient is not finite; the model is as before then.
    pub fn step(&mut self) -> Result<PrmUpdate, PrmTrainingError> {
        let PrmTrainingConfig { steps, batch, micro_batch_tokens, learning_rate, warmup, objective, .. } =
            self.config;
        let drawn = schedule::draw(self.seed, &self.order, batch, self.step);
        let rows: Vec<&PrmExample> = drawn.iter().map(|&row| &self.examples[row]).collect();
        let lengths: Vec<usize> = rows.iter().map(|row| row.sequence.len()).collect();
        let lines = rows.iter().map(|row| row.labels.steps.len()).sum();
        let loss = accumulate(&mut self.model, &lengths, micro_batch_tokens, |model, part| {
            let rows = rows[part].iter();
            let labels: Vec<Label> = rows.clone().flat_map(|row| row.labels.steps.iter().copied()).collect();
            let batch = Batch::at(&A::DIMS, rows.map(|row| (&row.sequence, row.step_tokens.as_slice())))?;
            backward(objective::loss(objective, model.values(&batch)?, &labels, lines))
        })?;
        let learning_rate = schedule::learning_rate(learning_rate, warmup, steps, self.step);
        let gradient_norm = self.optimizer.step(&mut self.model, learning_rate)?;
        self.step += 1;
        Ok(PrmUpdate { loss, gradient_norm, lines })
    }

    /// The model as it is.
    pub fn model(&self) -> &ScalarModel<A> {
        &self.model
    }

    /// The trained PRM.
    pub fn into_prm(self) -> TrainedPrm<A> {
        TrainedPrm::new(self.model, self.config.objective)
    }
}
