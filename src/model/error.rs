//! What can go wrong in a model.

use thiserror::Error;

use super::arch::Dims;
use crate::data::LayoutError;
use crate::kernels::KernelError;

/// A model could not be made, run or trained.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ModelError {
    /// A kernel failed.
    #[error(transparent)]
    Kernel(#[from] KernelError),
    /// Sizes that do not fit together.
    #[error("this is not the shape of a model: {fault}, but it is {dims:?}")]
    Dims {
        /// The sizes.
        dims: Box<Dims>,
        /// What is wrong with them.
        fault: &'static str,
    },
    /// More layers to be trained than there are.
    #[error("{layers} upper layers are to be trained, the model has {all}")]
    UpperLayers {
        /// Layers asked for.
        layers: usize,
        /// Layers that there are.
        all: usize,
    },
    /// Adapters beside no matrix.
    #[error("adapters need a matrix to stand beside: `targets` is empty")]
    NoTargets,
    /// Parameters of another shape.
    #[error("these parameters are not those of this model: {0}")]
    Layout(#[from] LayoutError),
    /// A row without a prompt: there is nothing to predict its first token from.
    #[error("row {row} has an empty prompt")]
    EmptyPrompt {
        /// The row, from 0.
        row: usize,
    },
    /// A row longer than the model's positions.
    #[error("row {row} has {len} tokens, the model has {positions} positions")]
    TooLong {
        /// The row, from 0.
        row: usize,
        /// Its length.
        len: usize,
        /// The model's positions.
        positions: usize,
    },
    /// A response without the token that is to be scored.
    #[error("row {row} is to be scored at response token {place} (from 0), its response has {len} tokens")]
    NoSuchToken {
        /// The row, from 0.
        row: usize,
        /// The token asked for, from 0.
        place: usize,
        /// The response's tokens.
        len: usize,
    },
    /// A batch without a scored place.
    #[error("no place of this batch is scored: an objective needs at least one")]
    NothingScored,
    /// A loss that is not finite. The parameters are as before.
    #[error("the loss is {0}: nothing was updated")]
    Loss(f32),
    /// A gradient that is not finite. The parameters are as before.
    #[error("the gradient's norm is {0}: nothing was updated")]
    Gradient(f64),
    /// dfdx failed.
    #[error("the objective failed: {0}")]
    Objective(String),
}

impl ModelError {
    /// The error with its row's number, which is one in the part that was run, told as one in the whole.
    pub(crate) fn renumbered(mut self, whole: impl Fn(usize) -> usize) -> Self {
        if let Self::EmptyPrompt { row } | Self::TooLong { row, .. } | Self::NoSuchToken { row, .. } =
            &mut self
        {
            *row = whole(*row);
        }
        self
    }
}
