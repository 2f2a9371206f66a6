//! A trunk with a scalar head: the critic V_ψ and the process reward model R_φ, to be trained
//! ([`ScalarModel`]) or only asked ([`Scorer`]).

use std::marker::PhantomData;

use dfdx::prelude::{
    BroadcastTo, Const, Dim, HasShape, OwnedTape, PutTape, Rank0, ReshapeTo, Tape, TensorFromVec, TryMatMul,
};

use super::arch::{Arch, Dims};
use super::batch::{Batch, micro_batches};
use super::error::ModelError;
use super::optimizer::{Trainable, WeightsMut};
use super::policy::Policy;
use super::precision::Precision;
use super::tensor::{Cpu, NoneTape, OnTape, Tensor, Vector};
use super::trunk::{Activations, Keep};
use super::tuning::Tuning;
use super::weights::Weights;
use crate::data::{Parameters, Ragged, Seed, Sequence};
use crate::kernels::{Device, embedding};
use crate::plugin::value_init::{HEAD_BIAS, HEAD_WEIGHT};

/// The hidden states of the n scored places, of width `W`.
type Hidden<W, T> = Tensor<(usize, W), f32, Cpu, T>;

/// The head, as dfdx tensors of the parameters' current values.
struct Head<W: Dim> {
    weight: Tensor<(W, Const<1>), f32, Cpu>,
    bias: Tensor<Rank0, f32, Cpu>,
}

impl<W: Dim> Head<W> {
    fn read(weights: &Weights, width: W) -> Result<Self, ModelError> {
        let values = |name| -> Result<Vec<f32>, ModelError> {
            let place = weights.place(name)?;
            Ok(weights.device().download(weights.values().at(&place))?)
        };
        let host = Cpu::default();
        let weight = host.tensor_from_vec(values(HEAD_WEIGHT)?, (width, Const));
        Ok(Self { weight, bias: host.tensor_from_vec(values(HEAD_BIAS)?, ()) })
    }

    fn forward<T: Tape<f32, Cpu>>(&self, hidden: Hidden<W, T>) -> Vector<T> {
        let n = hidden.shape().0;
        let scores: Tensor<(usize, Const<1>), f32, Cpu, T> = hidden.matmul(self.weight.clone());
        let bias: Vector = self.bias.clone().broadcast_like(&(n,));
        scores.reshape_like(&(n,)) + bias
    }
}

/// The hidden states of the scored places, on the host.
fn hidden<W: Dim>(
    weights: &Weights,
    kept: &Activations,
    batch: &Batch,
    width: W,
) -> Result<Hidden<W, NoneTape>, ModelError> {
    let device = weights.device();
    let (size, n) = (width.size(), batch.scored.values().len());
    let places = device.upload(batch.scored.values())?;
    let mut hidden = device.scratch(n * size)?;
    embedding::forward(device, size, kept.hidden.view(), places.view(), hidden.view_mut())?;
    let hidden = device.download(hidden.view())?;
    Ok(Cpu::default().tensor_from_vec(hidden, (n, width)))
}

/// A trunk with a scalar head that is only asked, of a shape that need not be known before the program runs.
#[derive(Clone, Debug)]
pub struct Scorer {
    weights: Weights,
}

impl Scorer {
    /// A scorer with these parameters.
    ///
    /// # Errors
    /// If the sizes do not fit together, or the parameters are those of another shape.
    pub fn new(device: &Device, dims: Dims, parameters: &Parameters) -> Result<Self, ModelError> {
        dims.check()?;
        parameters.layout().must_equal(&dims.scalar_layout())?;
        Ok(Self { weights: Weights::new(device, dims, parameters, Precision::Float32)? })
    }

    /// All parameters, on the host; adapters are merged into the matrices that they stand beside.
    ///
    /// # Errors
    /// If the device fails.
    pub fn parameters(&self) -> Result<Parameters, ModelError> {
        self.weights.download()
    }

    /// The number for each scored place, `[n]`.
    ///
    /// # Errors
    /// If a token is not in the vocabulary, or the device fails.
    pub fn values(&self, batch: &Batch) -> Result<Vec<f32>, ModelError> {
        if batch.scored.values().is_empty() {
            return Ok(Vec::new()); // a dfdx tensor of no elements cannot be read
        }
        let trunk = &self.weights.trunk;
        let kept = trunk.forward(self.weights.values(), batch, Keep::Nothing)?;
        let width = trunk.dims.width;
        let hidden = hidden(&self.weights, &kept, batch, width)?;
        Ok(Head::read(&self.weights, width)?.forward(hidden).as_vec())
    }

    /// The numbers at chosen response tokens (from 0) of each row: row by row as [`Batch::at`], in passes of
    /// at most `tokens` tokens, or of one row where it is longer.
    ///
    /// # Errors
    /// If a row has no prompt or is longer than the model's positions, a place is not within its response,
    /// or a token is not in the vocabulary, or the device fails.
    pub fn values_at(
        &self,
        rows: &[(&Sequence, &[usize])],
        tokens: usize,
    ) -> Result<Ragged<f32>, ModelError> {
        let dims = &self.weights.trunk.dims;
        for (row, (sequence, places)) in rows.iter().enumerate() {
            Batch::check(dims, row, sequence, places)?;
        }
        let lengths: Vec<usize> = rows.iter().map(|(sequence, _)| sequence.len()).collect();
        let mut values = Ragged::new();
        for part in micro_batches(&lengths, tokens) {
            let batch = Batch::at(dims, rows[part].iter().copied())?;
            let numbers = batch.scored.with_values(self.values(&batch)?);
            for row in numbers.expect("one number for each scored place").iter() {
                values.push(row.iter().copied());
            }
        }
        Ok(values)
    }
}

/// One number for each scored place of a batch: h · w + b, on the trunk's hidden state h.
#[derive(Clone, Debug)]
pub struct ScalarModel<A: Arch> {
    weights: Weights,
    arch: PhantomData<A>,
}

impl<A: Arch> ScalarModel<A> {
    /// A model with these parameters.
    ///
    /// # Errors
    /// If they are those of another shape.
    pub fn new(device: &Device, parameters: &Parameters) -> Result<Self, ModelError> {
        Self::new_in(device, parameters, Precision::Float32)
    }

    /// A model with these parameters, its matrices held in that precision.
    ///
    /// # Errors
    /// If they are those of another shape.
    pub fn new_in(
        device: &Device,
        parameters: &Parameters,
        precision: Precision,
    ) -> Result<Self, ModelError> {
        parameters.layout().must_equal(&A::DIMS.scalar_layout())?;
        let weights = Weights::new(device, A::DIMS, parameters, precision)?;
        Ok(Self { weights, arch: PhantomData })
    }

    /// A model whose parameters `read` gives by name, tensor by tensor.
    pub(crate) fn read<E: From<ModelError>>(
        device: &Device,
        precision: Precision,
        read: impl FnMut(&str, &mut [f32]) -> Result<(), E>,
    ) -> Result<Self, E> {
        let weights = Weights::read(device, A::DIMS, A::DIMS.scalar_layout(), precision, read)?;
        Ok(Self { weights, arch: PhantomData })
    }

    /// A model that begins as the trunk of `policy`, which shares what neither of them trains, under this head: of which
    /// [`HEAD_WEIGHT`] and [`HEAD_BIAS`] are the tensors. `policy` was [tuned](Policy::tuned) with the same `tuning` and its
    /// adapters have not been updated since.
    ///
    /// # Errors
    /// If the head is that of another shape, or the device has no room.
    pub(crate) fn on_policy(
        policy: &Policy<A>,
        head: &Parameters,
        tuning: &Tuning,
        seed: Seed,
    ) -> Result<Self, ModelError> {
        let weights = policy.weights.under_head(A::DIMS.scalar_layout(), head, tuning, seed)?;
        Ok(Self { weights, arch: PhantomData })
    }

    /// How its matrices are held.
    pub fn precision(&self) -> Precision {
        self.weights.precision
    }

    /// All parameters, on the host; adapters are merged into the matrices that they stand beside.
    ///
    /// # Errors
    /// If the device fails.
    pub fn parameters(&self) -> Result<Parameters, ModelError> {
        self.weights.download()
    }

    /// The model as it is now, to be trained by itself. Shares the parameters until one of the two is updated.
    pub fn fork(&self) -> Self {
        Self { weights: self.weights.fork(), arch: PhantomData }
    }

    /// The same model with `tuning` in place of what was trained of it; what no longer is stays as it is now, rounded to its
    /// [precision](Precision). `seed` draws
    /// the adapters of [`Tuning::Lora`].
    ///
    /// # Errors
    /// If the tuning does not fit the shape, or the device has no room.
    pub fn tuned(&self, tuning: &Tuning, seed: Seed) -> Result<Self, ModelError> {
        Ok(Self { weights: self.weights.tuned(tuning, seed)?, arch: PhantomData })
    }

    /// What is trained, on the host: all parameters, or those that its [`Tuning`] names.
    ///
    /// # Errors
    /// If the device fails.
    pub fn trained(&self) -> Result<Parameters, ModelError> {
        self.weights.download_trained()
    }

    /// Takes these parameters in place of what is trained.
    ///
    /// # Errors
    /// If they are those of another shape or tuning; the model is as before then.
    pub fn set_trained(&mut self, parameters: &Parameters) -> Result<(), ModelError> {
        self.weights.set_trained(parameters)
    }

    /// Whether a backward pass computes each layer's activations again from what entered the layer, which takes less
    /// memory and one more forward pass; the numbers are the same. By default it does not.
    pub fn set_recompute(&mut self, recompute: bool) {
        self.weights.keep = if recompute { Keep::Inputs } else { Keep::All };
    }

    /// Shares what is not trained with a policy, where the two are equal in that. A copy on the device is let go of then.
    ///
    /// # Errors
    /// If the device fails.
    pub fn share_frozen(&mut self, policy: &Policy<A>) -> Result<(), ModelError> {
        self.weights.share_frozen(&policy.weights)
    }

    /// The gradient that backward passes have added up since the last update, in the order of what is trained.
    ///
    /// # Errors
    /// If the device fails.
    pub fn gradient(&self) -> Result<Vec<f32>, ModelError> {
        Ok(self.weights.gradient().download()?)
    }

    /// The same model, to be asked and not trained.
    pub fn scorer(&self) -> Scorer {
        Scorer { weights: self.weights.clone() }
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
        let values = self.weights.shared_values();
        let kept = trunk.forward(values.get(), batch, self.weights.keep)?;
        let hidden = hidden(&self.weights, &kept, batch, A::Width::default())?;
        let head = Head::read(&self.weights, A::Width::default())?;

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
                trunk.backward(values.get(), kept, &d_hidden, dw)
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
        self.scorer().values(batch)
    }
}

impl<A: Arch> Trainable for ScalarModel<A> {
    fn weights(&mut self) -> WeightsMut<'_> {
        WeightsMut(&mut self.weights)
    }
}
