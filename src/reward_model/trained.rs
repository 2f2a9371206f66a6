//! [`RewardModel`]: a scalar model that gives a whole response its reward.

use std::num::NonZeroUsize;

use super::train::RewardModelError;
use crate::data::{Parameters, Sequence};
use crate::model::{Arch, ModelError, ScalarModel};

/// R_RM: the reward of a response, read at its last token.
///
/// Preferences fix rewards up to a constant and bound them nowhere: a trainer that mixes them with unit
/// tests' must bring them to a scale.
#[derive(Debug)]
pub struct RewardModel<A: Arch> {
    model: ScalarModel<A>,
    batch_tokens: NonZeroUsize,
}

impl<A: Arch> RewardModel<A> {
    /// The reward model with this trunk and head.
    pub fn new(model: ScalarModel<A>) -> Self {
        Self { model, batch_tokens: const { NonZeroUsize::new(16_384).unwrap() } }
    }

    /// Scores in passes of at most `tokens` tokens, which bounds the memory (16,384 otherwise).
    pub fn with_batch_tokens(self, tokens: NonZeroUsize) -> Self {
        Self { batch_tokens: tokens, ..self }
    }

    /// The reward of each response, in order.
    ///
    /// # Errors
    /// If a response is empty or does not fit the model, or the device fails.
    pub fn score<'a>(
        &self,
        rows: impl IntoIterator<Item = &'a Sequence>,
    ) -> Result<Vec<f32>, RewardModelError> {
        let last = |(row, sequence)| match last_token(sequence) {
            Some(last) => Ok((sequence, [last])),
            None => Err(RewardModelError::EmptyResponse { what: "row", row }),
        };
        let rows = rows.into_iter().enumerate().map(last).collect::<Result<Vec<_>, _>>()?;
        let places: Vec<_> = rows.iter().map(|(sequence, last)| (*sequence, last.as_slice())).collect();
        Ok(self.model.scorer().values_at(&places, self.batch_tokens.get())?.values().to_vec())
    }

    /// The trunk and head, on the host, for a checkpoint.
    ///
    /// # Errors
    /// If the device fails.
    pub fn parameters(&self) -> Result<Parameters, ModelError> {
        self.model.parameters()
    }
}

/// The last response token, from 0.
pub(super) fn last_token(sequence: &Sequence) -> Option<usize> {
    sequence.response.len().checked_sub(1)
}
