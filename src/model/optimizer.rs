//! AdamW over a model's parameters, and the step from a loss to gradients.

use serde::{Deserialize, Serialize};

use super::error::ModelError;
use super::tensor::Loss;
pub use super::weights::Trainable;
use super::weights::Weights;
use crate::data::numbers::{AdamEpsilon, GradientNorm, MomentDecay, WeightDecay};
use crate::data::{Layout, LayoutError, Parameters};
use crate::kernels::adamw::{self, Step};
use crate::kernels::{Buffer, Device};

/// AdamW's constants.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AdamWConfig {
    /// Decay of the first moment's mean.
    pub beta1: MomentDecay,
    /// Decay of the second moment's mean.
    pub beta2: MomentDecay,
    /// Added to the root of the second moment.
    pub epsilon: AdamEpsilon,
    /// Decoupled weight decay, for matrices alone: norms and biases are not decayed.
    pub weight_decay: WeightDecay,
    /// Gradients of a larger norm are scaled down to it.
    pub gradient_norm: GradientNorm,
}

impl Default for AdamWConfig {
    fn default() -> Self {
        const DECAY: WeightDecay = WeightDecay::new(0.0);
        const NORM: GradientNorm = GradientNorm::new(1.0);
        Self {
            beta1: const { MomentDecay::new(0.9) },
            beta2: const { MomentDecay::new(0.95) },
            epsilon: const { AdamEpsilon::new(1e-8) },
            weight_decay: DECAY,
            gradient_norm: NORM,
        }
    }
}

/// A model's parameters and gradient, as the optimizer sees them.
#[derive(Debug)]
pub struct WeightsMut<'a>(pub(super) &'a mut Weights);

/// A gradient that was found finite, with its norm: what [`AdamW::take`] gives and [`AdamW::apply`] uses.
#[derive(Debug)]
pub struct CheckedGradient {
    /// `None` where no backward pass has run.
    values: Option<Buffer>,
    norm: f64,
}

/// Forgets what backward passes have added up: after one that failed, so that the next update is not made
/// of a part of this one.
pub fn clear_gradient(model: &mut impl Trainable) {
    let WeightsMut(weights) = model.weights();
    weights.gradient().clear();
}

/// AdamW's state for one model.
#[derive(Debug)]
pub struct AdamW {
    config: AdamWConfig,
    device: Device,
    layout: Layout,
    first: Buffer,
    second: Buffer,
    steps: u32,
}

impl AdamW {
    /// An optimizer at its start for models with this one's parameters.
    ///
    /// # Errors
    /// If the device has no room.
    pub fn new(config: AdamWConfig, model: &mut impl Trainable) -> Result<Self, ModelError> {
        let WeightsMut(weights) = model.weights();
        let (device, layout) = (weights.device().clone(), weights.layout.as_ref().clone());
        let (first, second) = (device.zeros(layout.len())?, device.zeros(layout.len())?);
        Ok(Self { config, device, layout, first, second, steps: 0 })
    }

    /// Updates the model by the gradient that backward passes have added up, clears it, and returns the
    /// gradient's norm before clipping.
    ///
    /// # Errors
    /// If a backward pass failed, or the gradient is not finite. The parameters are as before then, and
    /// the gradient is cleared.
    pub fn step(&mut self, model: &mut impl Trainable, learning_rate: f32) -> Result<f64, ModelError> {
        let gradient = self.take(model)?;
        self.apply(model, gradient, learning_rate)
    }

    /// Takes out the gradient that backward passes have added up, checked: [`AdamW::apply`] updates the model
    /// by it. Where several models are updated together, take all gradients before the first is applied.
    ///
    /// # Errors
    /// If a backward pass failed, or the gradient is not finite. The gradient is cleared then.
    pub fn take(&self, model: &mut impl Trainable) -> Result<CheckedGradient, ModelError> {
        let WeightsMut(weights) = model.weights();
        let Some(values) = weights.gradient().take()? else {
            return Ok(CheckedGradient { values: None, norm: 0.0 });
        };
        let norm = adamw::squared_norm(&self.device, values.view())?.sqrt();
        if !norm.is_finite() {
            return Err(ModelError::Gradient(norm));
        }
        Ok(CheckedGradient { values: Some(values), norm })
    }

    /// Updates the model by a gradient that was taken from it, and returns the gradient's norm before
    /// clipping.
    ///
    /// # Errors
    /// If the device fails.
    pub fn apply(
        &mut self,
        model: &mut impl Trainable,
        CheckedGradient { values, norm }: CheckedGradient,
        learning_rate: f32,
    ) -> Result<f64, ModelError> {
        let WeightsMut(weights) = model.weights();
        let Some(gradient) = values else { return Ok(0.0) };
        let bound = f64::from(self.config.gradient_norm.get());
        let AdamWConfig { beta1, beta2, epsilon, weight_decay, .. } = self.config;
        self.steps += 1;
        let step = Step {
            learning_rate,
            beta1: beta1.get(),
            beta2: beta2.get(),
            epsilon: epsilon.get(),
            weight_decay: 0.0,
            gradient_scale: if norm > bound { (bound / norm) as f32 } else { 1.0 },
            number: self.steps,
        };
        let values = weights.trained_mut()?;
        for (_, shape, range) in self.layout.iter() {
            let weight_decay = if shape.len() > 1 { weight_decay.get() } else { 0.0 };
            adamw::step(
                &self.device,
                Step { weight_decay, ..step },
                gradient.slice(range.clone()),
                values.slice_mut(range.clone()),
                self.first.slice_mut(range.clone()),
                self.second.slice_mut(range),
            )?;
        }
        weights.settle()?;
        weights.gradient().begin(gradient)?;
        Ok(norm)
    }

    /// The state, for a checkpoint: both moments and the number of steps.
    ///
    /// # Errors
    /// If the device fails.
    pub fn state(&self) -> Result<(Parameters, Parameters, u32), ModelError> {
        let download = |buffer: &Buffer| -> Result<Parameters, ModelError> {
            Ok(Parameters::new(self.layout.clone(), self.device.download(buffer.view())?)?)
        };
        Ok((download(&self.first)?, download(&self.second)?, self.steps))
    }

    /// Continues from a state that [`AdamW::state`] gave.
    ///
    /// # Errors
    /// If it is that of another model.
    pub fn restore(&mut self, first: &Parameters, second: &Parameters, steps: u32) -> Result<(), ModelError> {
        for moments in [first, second] {
            if moments.layout() != &self.layout {
                let (got, needed) = (moments.values().len(), self.layout.len());
                return Err(LayoutError::Length { got, needed }.into());
            }
        }
        self.first = self.device.upload(first.values())?;
        self.second = self.device.upload(second.values())?;
        self.steps = steps;
        Ok(())
    }
}

/// Runs a loss backward: gradients are added to those of the models that it was computed from. Returns
/// the loss.
///
/// # Errors
/// [`ModelError::Loss`] if the loss is NaN or infinite; no gradient is added then.
pub fn backward(loss: Loss) -> Result<f32, ModelError> {
    use dfdx::prelude::{AsArray, Backward};
    let value = loss.array();
    if !value.is_finite() {
        return Err(ModelError::Loss(value));
    }
    loss.try_backward().map_err(|error| ModelError::Objective(format!("{error:?}")))?;
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn constants_that_would_divide_by_zero_are_refused() {
        let read = |json: &str| serde_json::from_str::<AdamWConfig>(json);
        assert_eq!(read(r#"{"beta1": 0.9}"#).unwrap(), AdamWConfig::default());
        for (json, message) in [
            (r#"{"beta1": 1}"#, "moment decay 1 is out of bounds: it must be at least 0 and below 1"),
            (r#"{"beta2": -0.5}"#, "moment decay -0.5 is out of bounds"),
            (r#"{"epsilon": 0}"#, "AdamW's epsilon 0 is out of bounds: it must be above 0 and finite"),
        ] {
            let error = read(json).unwrap_err().to_string();
            assert!(error.starts_with(message), "{error}");
        }
    }
}
