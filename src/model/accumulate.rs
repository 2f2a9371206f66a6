//! A batch in several passes: gradients add up, and memory is that of one pass.

use std::num::NonZeroUsize;
use std::ops::Range;

use super::batch::micro_batches;
use super::error::ModelError;
use super::optimizer::{Trainable, clear_gradient};

/// Tokens of a pass by default.
pub(crate) const MICRO_BATCH_TOKENS: NonZeroUsize = NonZeroUsize::new(8192).unwrap();

/// Runs `pass`, forward and backward, for one part after another of rows of these lengths, cut by [`micro_batches`] to
/// `tokens` tokens, and returns the sum of the losses. `pass` divides by what the *whole* batch has, not its
/// part: so the sum is the mean over the batch however it is cut (checklist, 9).
///
/// # Errors
/// That of the first pass that fails; what the others had added to the model's gradient is forgotten then.
pub(crate) fn accumulate<M: Trainable>(
    model: &mut M,
    lengths: &[usize],
    tokens: NonZeroUsize,
    mut pass: impl FnMut(&M, Range<usize>) -> Result<f32, ModelError>,
) -> Result<f32, ModelError> {
    let mut loss = 0.0;
    for part in micro_batches(lengths, tokens.get()) {
        match pass(model, part) {
            Ok(part) => loss += f64::from(part),
            Err(error) => {
                clear_gradient(model);
                return Err(error);
            }
        }
    }
    Ok(loss as f32)
}
