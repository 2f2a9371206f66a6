//! A trunk with a scalar head: the critic V_ψ and the process reward model R_φ.

use std::marker::PhantomData;

use dfdx::prelude::{
    BroadcastTo, Const, HasShape, OwnedTape, PutTape, Rank0, ReshapeTo, Tape, TensorFromVec, TryMatMul,
};

use super::arch::Arch;
use super::batch::Batch;
use super::error::ModelError;
use super::optimizer::{Trainable, WeightsMut};
use super::tensor::{Cpu, NoneTape, OnTape, Tensor, Vector};
use super::trunk::{Activations, Keep};
use super::weights::Weights;
use crate::data::{Parameters, Ragged, Sequence};
use crate::kernels::{Device, embedding};
use crate::plugin::value_init::{HEAD_BIAS, HEAD_WEIGHT};

/// One number for each scored place of a batch: h · w + b, on the trunk's hidden state h.
#[derive(Clone, Debug)]
pub struct ScalarModel<A: Arch> {
    weights: Weights,
    arch: PhantomData<A>,
}

/// The hidden states of the n scored places.
type Hidden<A, T> = Tensor<(usize, <A as Arch>::Width), f32, Cpu, T>;

/// The head, as dfdx tensors of the parameters' current values.
struct Head<A: Arch> {
    weight: Tensor<(A::Width, Const<1>), f32, Cpu>,
    bias: Tensor<Rank0, f32, Cpu>,
}

impl<A: Arch> Head<A> {
    fn forward<T: Tape<f32, Cpu>>(&self, hidden: Hidden<A, T>) -> Vector<T> {
        let n = hidden.shape().0;
        let scores: Tensor<(usize, Const<1>), f32, Cpu, T> = hidden.matmul(self.weight.clone());
        let bias: Vector = self.bias.clone().broadcast_like(&(n,));
        scores.reshape_like(&(n,)) + bias
    }
}

impl<A: Arch> ScalarModel<A> {
    /// A model with these parameters.
    ///
    /// # Errors
    /// If they are those of another shape.
    pub fn new(device: &Device, parameters: &Parameters) -> Result<Self, ModelError> {
        parameters.layout().must_equal(&A::DIMS.scalar_layout())?;
        Ok(Self { weights: Weights::new(device, A::DIMS, parameters)?, arch: PhantomData })
    }

    /// The parameters, on the host.
    ///
    /// # Errors
    /// If the device fails.
    pub fn parameters(&self) -> Result<Parameters, ModelError> {
        self.weights.download()
    }

    /// Takes these parameters in place of its own.
    ///
    /// # Errors
    /// If they are those of another shape; the model is as before then.
    pub fn set_parameters(&mut self, parameters: &Parameters) -> Result<(), ModelError> {
        parameters.layout().must_equal(&A::DIMS.scalar_layout())?;
        self.weights.upload(parameters)
    }

    /// The gradient that backward passes have added up since the last update, in the parameters' order.
    ///
    /// # Errors
    /// If the device fails.
    pub fn gradient(&self) -> Result<Vec<f32>, ModelError> {
        Ok(self.weights.gradient().download()?)
    }

    fn head(&self) -> Result<Head<A>, ModelError> {
        let values = |name| -> Result<Vec<f32>, ModelError> {
            let place = self.weights.layout.range(name)?;
            Ok(self.weights.device().download(self.weights.values.slice(place))?)
        };
        let host = Cpu::default();
        let weight = host.tensor_from_vec(values(HEAD_WEIGHT)?, (A::Width::default(), Const));
        Ok(Head { weight, bias: host.tensor_from_vec(values(HEAD_BIAS)?, ()) })
    }

    /// The hidden states of the scored places, on the host.
    fn hidden(&self, kept: &Activations, batch: &Batch) -> Result<Hidden<A, NoneTape>, ModelError> {
        let device = self.weights.device();
        let (width, n) = (A::DIMS.width, batch.scored.values().len());
        let places = device.upload(batch.scored.values())?;
        let mut hidden = device.scratch(n * width)?;
        embedding::forward(device, width, kept.hidden.view(), places.view(), hidden.view_mut())?;
        let hidden = device.download(hidden.view())?;
        Ok(Cpu::default().tensor_from_vec(hidden, (n, A::Width::default())))
    }

    /// The model's number for each scored place, `[n]`, on a tape.
    ///
    /// # Errors
    /// If no place is scored or a token is not in the vocabulary, or the device fails.
    pub fn values(&self, batch: &Batch) -> Result<Vector<OnTape>, ModelError> {
        if batch.scored.values().is_empty() {
            return Err(ModelError::NothingScored);
        }
        let trunk = self.weights.trunk.clone();
        let values = self.weights.values.clone();
        let kept = trunk.forward(&values, batch, Keep::All)?;
        let hidden = self.hidden(&kept, batch)?;
        let head = self.head()?;

        let hidden_id = hidden.ghost();
        let (weight_id, bias_id) = (head.weight.ghost(), head.bias.ghost());
        let (weight_place, bias_place) =
            (self.weights.layout.range(HEAD_WEIGHT)?, self.weights.layout.range(HEAD_BIAS)?);
        let gradient = self.weights.gradient();
        let (rows, places) = (batch.tokens(), batch.scored.values().to_vec());
        let mut tape: OnTape = OwnedTape::default();
        // First on the tape, so last to run backward: the head's gradients are complete by then.
        tape.add_backward_op(move |gradients| {
            let d_scored = gradients.get_or_alloc_mut(&hidden_id)?.clone();
            let d_weight = gradients.get_or_alloc_mut(&weight_id)?.clone();
            let d_bias = gradients.get_or_alloc_mut(&bias_id)?.clone();
            gradient.accumulate(|dw| {
                let (device, width) = (&trunk.device, trunk.dims.width);
                device.add(&d_weight, dw, weight_place)?;
                device.add(&d_bias, dw, bias_place)?;
                let (places, d_scored) = (device.upload(&places)?, device.upload(&d_scored)?);
                let mut d_hidden = device.zeros(rows * width)?;
                embedding::backward(device, width, places.view(), d_scored.view(), d_hidden.view_mut())?;
                trunk.backward(&values, &kept, &d_hidden, dw)
            });
            Ok(())
        });
        Ok(head.forward(hidden.put_tape(tape)))
    }

    /// The model's number for each scored place, `[n]`, without a tape.
    ///
    /// # Errors
    /// If a token is not in the vocabulary, or the device fails.
    pub fn values_no_grad(&self, batch: &Batch) -> Result<Vec<f32>, ModelError> {
        if batch.scored.values().is_empty() {
            return Ok(Vec::new()); // a dfdx tensor of no elements cannot be read
        }
        let kept = self.weights.trunk.forward(&self.weights.values, batch, Keep::Nothing)?;
        let hidden = self.hidden(&kept, batch)?;
        Ok(self.head()?.forward(hidden).as_vec())
    }

    /// The model's numbers at chosen response tokens (from 0) of each row, without a tape: row by row as
    /// [`Batch::at`], in passes of at most `tokens` tokens, or of one row where it is longer.
    ///
    /// # Errors
    /// If a row has no prompt or is longer than the model's positions, a place is not within its response,
    /// or a token is not in the vocabulary, or the device fails.
    pub fn values_at(
        &self,
        rows: &[(&Sequence, &[usize])],
        tokens: usize,
    ) -> Result<Ragged<f32>, ModelError> {
        for (row, (sequence, places)) in rows.iter().enumerate() {
            Batch::check(&A::DIMS, row, sequence, places)?;
        }
        let mut values = Ragged::new();
        let mut rest = rows;
        while !rest.is_empty() {
            let mut sum = 0;
            let fits = rest.iter().take_while(|(sequence, _)| {
                sum += sequence.len();
                sum <= tokens
            });
            let (now, later) = rest.split_at(fits.count().max(1));
            let batch = Batch::at(&A::DIMS, now.iter().copied())?;
            let numbers = batch.scored.with_values(self.values_no_grad(&batch)?);
            for row in numbers.expect("one number for each scored place").iter() {
                values.push(row.iter().copied());
            }
            rest = later;
        }
        Ok(values)
    }
}

impl<A: Arch> Trainable for ScalarModel<A> {
    fn weights(&mut self) -> WeightsMut<'_> {
        WeightsMut(&mut self.weights)
    }
}
