//! A trunk with a scalar head: the critic V_ψ and the process reward model R_φ, to be trained
//! ([`ScalarModel`]) or only asked ([`Scorer`]).

use std::marker::PhantomData;
use std::ops::Range;

use dfdx::prelude::{OwnedTape, PutTape, Tape};

use super::arch::{Arch, Dims};
use super::batch::{Batch, parts};
use super::error::ModelError;
use super::optimizer::{Trainable, WeightsMut};
use super::policy::Policy;
use super::precision::Precision;
use super::tensor::{OnTape, Vector, vector};
use super::trunk::{Keep, Place, Values};
use super::tuning::Tuning;
use super::weights::Weights;
use crate::data::{LayoutError, Parameters, Ragged, Seed, Sequence};
use crate::kernels::product::{Shape, WeightLayout};
use crate::kernels::{Buffer, Device, KernelError, bias, embedding, product};
use crate::plugin::value_init::{HEAD_BIAS, HEAD_WEIGHT, head_layout};

/// The head, h · w + b on hidden states h of that width.
#[derive(Clone, Debug)]
struct Head {
    width: usize,
    weight: Place,
    bias: Place,
}

impl Head {
    fn of(weights: &Weights) -> Result<Self, LayoutError> {
        let width = weights.trunk.dims.width;
        Ok(Self { width, weight: weights.place(HEAD_WEIGHT)?, bias: weights.place(HEAD_BIAS)? })
    }

    fn shape(&self, n: usize) -> Shape {
        Shape { rows: n, inputs: self.width, outputs: 1, layout: WeightLayout::InOut }
    }

    /// The number for each hidden state `[n, width]`.
    fn forward(&self, device: &Device, w: Values<'_>, hidden: &Buffer) -> Result<Vec<f32>, KernelError> {
        let n = hidden.len() / self.width;
        let mut numbers = device.scratch(n)?;
        bias::forward(device, w.at(&self.bias), numbers.view_mut())?;
        let (hidden, weight) = (hidden.view(), w.at(&self.weight));
        product::forward(device, self.shape(n), hidden, weight, numbers.view_mut(), true)?;
        device.download(numbers.view())
    }

    /// The gradient of the hidden states from that of the numbers, `d` `[n]`; those of weight and bias are added to dw,
    /// summed over each group by itself.
    fn backward(
        &self,
        device: &Device,
        w: Values<'_>,
        groups: &[Range<usize>],
        hidden: &Buffer,
        d: &Buffer,
        dw: &mut Buffer,
    ) -> Result<Buffer, KernelError> {
        for group in groups {
            let states = hidden.slice(group.start * self.width..group.end * self.width);
            let d = d.slice(group.clone());
            if let Some(dw) = self.weight.gradient(dw) {
                product::backward_weight(device, self.shape(group.len()), states, d, dw)?;
            }
            if let Some(db) = self.bias.gradient(dw) {
                bias::backward(device, d, db)?;
            }
        }
        let mut d_hidden = device.scratch(hidden.len())?;
        let weight = w.at(&self.weight);
        product::backward_input(device, self.shape(d.len()), d.view(), weight, d_hidden.view_mut(), false)?;
        Ok(d_hidden)
    }
}

/// The hidden states of the scored places, `[n, width]`.
fn scored(device: &Device, width: usize, hidden: &Buffer, places: &[u32]) -> Result<Buffer, KernelError> {
    let mut scored = device.scratch(places.len() * width)?;
    embedding::forward(device, width, hidden.view(), &device.indices(places)?, scored.view_mut())?;
    Ok(scored)
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

    /// Its head, on the host: [`HEAD_WEIGHT`] and [`HEAD_BIAS`].
    pub(crate) fn head(&self) -> Result<Parameters, ModelError> {
        self.weights.gather(&head_layout(self.weights.trunk.dims.width))
    }

    /// The number for each scored place, `[n]`.
    ///
    /// # Errors
    /// If a token is not in the vocabulary, or the device fails.
    pub fn values(&self, batch: &Batch) -> Result<Vec<f32>, ModelError> {
        if batch.scored.values().is_empty() {
            return Ok(Vec::new());
        }
        let (trunk, w) = (&self.weights.trunk, self.weights.values());
        let kept = trunk.forward(w, batch, Keep::Nothing)?;
        let (device, width) = (&trunk.device, trunk.dims.width);
        let hidden = scored(device, width, &kept.hidden, batch.scored.values())?;
        Ok(Head::of(&self.weights)?.forward(device, w, &hidden)?)
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
        for part in parts(&lengths, tokens) {
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

    /// A model that begins as `scorer` under this head, of which [`HEAD_WEIGHT`] and [`HEAD_BIAS`] are the tensors, and shares
    /// what it does not train. Where the scorer was trained by the same `tuning`, its adapters go on; otherwise they are
    /// merged. `None` for a scorer on another device, of another shape or precision than the policy.
    ///
    /// # Errors
    /// If the head is that of another shape, or the device fails.
    pub(crate) fn on_scorer(
        scorer: &Scorer,
        policy: &Policy<A>,
        head: &Parameters,
        tuning: &Tuning,
        seed: Seed,
    ) -> Result<Option<Self>, ModelError> {
        let (weights, policy) = (&scorer.weights, &policy.weights);
        let fits = weights.device().is(policy.device())
            && weights.trunk.dims == A::DIMS
            && weights.precision == policy.precision;
        fits.then(|| Ok(Self { weights: weights.going_on(head, tuning, seed)?, arch: PhantomData }))
            .transpose()
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
        let head = Head::of(&self.weights)?;
        let (rows, places) = (batch.tokens(), batch.scored.values().to_vec());
        let hidden = scored(&trunk.device, trunk.dims.width, &kept.hidden, &places)?;
        let numbers = vector(head.forward(&trunk.device, values.get(), &hidden)?);

        let numbers_id = numbers.ghost();
        let (gradient, groups) = (self.weights.gradient(), batch.scored_groups());
        let mut tape: OnTape = OwnedTape::default();
        tape.add_backward_op(move |gradients| {
            let d = gradients.get_or_alloc_mut(&numbers_id)?.clone();
            gradient.accumulate(|sums| {
                let (device, width, w) = (&trunk.device, trunk.dims.width, values.get());
                let d = device.upload(&d)?;
                let d_scored = head.backward(device, w, &groups, &hidden, &d, &mut sums.values)?;
                let (places, mut d_hidden) = (device.indices(&places)?, device.zeros(rows * width)?);
                embedding::backward(device, width, &places, d_scored.view(), d_hidden.view_mut())?;
                trunk.backward(w, kept, &d_hidden, sums)
            });
            Ok(())
        });
        Ok(numbers.put_tape(tape))
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
