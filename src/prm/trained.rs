//! [`TrainedPrm`]: a scalar model as the process reward model that it was trained to be.

use std::any::Any;
use std::borrow::Cow;
use std::marker::PhantomData;
use std::num::NonZeroUsize;

use super::metrics::HeldOut;
use super::train::PrmExample;
use crate::data::{Objective, Parameters, Sequence};
use crate::kernels::Device;
use crate::model::{Arch, Dims, ModelError, ScalarModel, Scorer};
use crate::plugin::{PrmError, PrmInput, ProcessRewardModel};

/// R_φ: the score of a step is read at the token that ends its line, so steps that end within one token
/// share theirs.
///
/// `A` is its shape, which a critic that starts from it must have too; `()` where the shape is known at run
/// time alone, as of a PRM that a config file names.
#[derive(Debug)]
pub struct TrainedPrm<A> {
    scorer: Scorer,
    objective: Objective,
    batch_tokens: NonZeroUsize,
    shape: PhantomData<fn() -> A>,
}

impl<A: Arch> TrainedPrm<A> {
    /// The PRM of a model that was trained with `objective`.
    pub fn new(model: ScalarModel<A>, objective: Objective) -> Self {
        Self::of(model.scorer(), objective)
    }
}

impl TrainedPrm<()> {
    /// The PRM with these parameters, of a model of shape `dims` that was trained with `objective`.
    ///
    /// # Errors
    /// If the sizes do not fit together, the parameters are those of another shape, or the device fails.
    pub fn of_shape(
        device: &Device,
        dims: Dims,
        parameters: &Parameters,
        objective: Objective,
    ) -> Result<Self, ModelError> {
        Ok(Self::of(Scorer::new(device, dims, parameters)?, objective))
    }
}

impl<A> TrainedPrm<A> {
    fn of(scorer: Scorer, objective: Objective) -> Self {
        let batch_tokens = const { NonZeroUsize::new(16_384).unwrap() };
        Self { scorer, objective, batch_tokens, shape: PhantomData }
    }

    /// Scores in passes of at most `tokens` tokens, which bounds the memory (16,384 otherwise).
    pub fn with_batch_tokens(self, tokens: NonZeroUsize) -> Self {
        Self { batch_tokens: tokens, ..self }
    }

    /// Scores labelled responses, to be compared with their labels.
    ///
    /// # Errors
    /// If an example does not fit the model or has not one label for each step, or the device fails.
    pub fn judge(&self, examples: &[PrmExample]) -> Result<HeldOut, PrmError> {
        let rows: Vec<_> =
            examples.iter().map(|example| (&example.sequence, example.step_tokens.as_slice())).collect();
        HeldOut::new(self.score(&rows)?, examples.iter().map(|example| example.labels.steps.clone()))
    }

    fn score(&self, rows: &[(&Sequence, &[usize])]) -> Result<Vec<Vec<f32>>, PrmError> {
        let numbers = self.scorer.values_at(rows, self.batch_tokens.get());
        let numbers = numbers.map_err(|error| PrmError::Failed(error.to_string()))?;
        let score = |row: &[f32]| row.iter().map(|&number| self.objective.score(number)).collect();
        Ok(numbers.iter().map(score).collect())
    }
}

impl<A> ProcessRewardModel for TrainedPrm<A> {
    fn scores(&self, responses: &[PrmInput<'_>]) -> Result<Vec<Vec<f32>>, PrmError> {
        let rows: Vec<_> = responses.iter().map(|input| (input.sequence, input.step_tokens)).collect();
        self.score(&rows)
    }

    /// The head's number is the score with [`Objective::Mse`], its logit with [`Objective::CrossEntropy`].
    fn parameters(&self) -> Result<Option<Cow<'_, Parameters>>, PrmError> {
        let parameters = self.scorer.parameters().map_err(|error| PrmError::Failed(error.to_string()))?;
        Ok(Some(Cow::Owned(parameters)))
    }

    fn on_device(&self) -> Option<&dyn Any> {
        Some(&self.scorer)
    }
}
