//! [`Experience`]: what an update learns from.

use std::cmp::Ordering;

use crate::data::numbers::Temperature;
use crate::data::{Ragged, Sequence};
use crate::model::schedule;

/// A batch of responses with all that the update needs: one number per response token in each ragged
/// array.
#[derive(Clone, Debug)]
pub struct Experience {
    /// Prompts and responses.
    pub sequences: Vec<Sequence>,
    /// log π of the sampler, at `temperature`.
    pub log_probs: Ragged<f32>,
    /// log π_ref.
    pub reference_log_probs: Ragged<f32>,
    /// The critic's values when the responses were sampled.
    pub values: Ragged<f32>,
    /// A, whitened.
    pub advantages: Ragged<f32>,
    /// What the critic should have said.
    pub returns: Ragged<f32>,
    /// The temperature of sampling.
    pub temperature: Temperature,
}

impl Experience {
    /// The numbers of the rows in an order of their own, whatever order they came in: by prompt, response, and the
    /// numbers that stand beside them. Rows that are equal in all stand in for each other.
    pub(super) fn order(&self) -> Vec<usize> {
        let beside =
            [&self.log_probs, &self.reference_log_probs, &self.values, &self.advantages, &self.returns];
        schedule::order(self.sequences.len(), |a, b| {
            let start = self.sequences[a].cmp(&self.sequences[b]);
            beside.iter().fold(start, |order, rows| order.then_with(|| compare(rows.row(a), rows.row(b))))
        })
    }
}

/// An order that tells numbers apart by their bits.
fn compare(a: &[f32], b: &[f32]) -> Ordering {
    a.iter().map(|number| number.to_bits()).cmp(b.iter().map(|number| number.to_bits()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_told_apart_by_all_that_they_have() {
        let row = |token: u32| Sequence { prompt: vec![1], response: vec![token, 2] };
        let numbers = |rows: [[f32; 2]; 4]| rows.into_iter().collect::<Ragged<f32>>();
        let zeros = numbers([[0.0; 2]; 4]);
        let experience = Experience {
            sequences: vec![row(4), row(3), row(4), row(3)],
            log_probs: numbers([[0.5, 0.0], [0.5, 0.0], [0.25, 0.0], [0.5, 0.0]]),
            reference_log_probs: zeros.clone(),
            values: zeros.clone(),
            advantages: zeros,
            returns: numbers([[0.0, 0.0], [0.0, 2.0], [0.0, 9.0], [0.0, 1.0]]),
            temperature: const { Temperature::new(1.0) },
        };
        assert_eq!(experience.order(), [3, 1, 2, 0]);
    }
}
