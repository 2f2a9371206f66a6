//! The policy: trunk and output layer, as one differentiable op.

use std::cell::RefCell;
use std::marker::PhantomData;
use std::rc::Rc;

use dfdx::prelude::{Gradients, HasErr, OwnedTape, PutTape, Tape};

use super::arch::{Arch, EMBEDDING};
use super::batch::Batch;
use super::decode::Decoder;
use super::error::ModelError;
use super::init;
use super::optimizer::{Trainable, WeightsMut};
use super::precision::Precision;
use super::tensor::{Cpu, OnTape, Vector, vector};
use super::trunk::{Keep, Place};
use super::tuning::Tuning;
use super::weights::Weights;
use crate::data::numbers::Temperature;
use crate::data::{Parameters, Seed};
use crate::kernels::product::WeightLayout;
use crate::kernels::token_log_prob::{self, OutputLayer};
use crate::kernels::{Buffer, Device, Indices, KernelError, Numbers, embedding};

/// π_θ: a decoder of shape `A` that gives every token of a response its probability.
#[derive(Clone, Debug)]
pub struct Policy<A: Arch> {
    pub(super) weights: Weights,
    arch: PhantomData<A>,
}

/// What a policy says of the n response tokens of a batch, for an objective.
#[derive(Debug)]
pub struct LogProbs {
    /// log π of each token, `[n]`. Carries the tape.
    pub log_probs: Vector<OnTape>,
    /// Entropy of the distribution that each was drawn from, `[n]`, in nats. Carries the tape too.
    pub entropy: Vector<OnTape>,
}

/// What a policy says of the n response tokens of a batch, as plain numbers.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LogProbValues {
    /// log π of each token, `[n]`.
    pub log_probs: Vec<f32>,
    /// Entropy of the distribution that each was drawn from, `[n]`, in nats.
    pub entropy: Vec<f32>,
}

impl<A: Arch> Policy<A> {
    /// A policy with random parameters, those of [`init::random`].
    ///
    /// # Errors
    /// If the device has no room.
    pub fn random(device: &Device, seed: Seed) -> Result<Self, ModelError> {
        Self::new(device, &init::random(A::DIMS.policy_layout(), A::DIMS.layers, seed))
    }

    /// A policy with these parameters.
    ///
    /// # Errors
    /// If they are those of another shape.
    pub fn new(device: &Device, parameters: &Parameters) -> Result<Self, ModelError> {
        parameters.layout().must_equal(&A::DIMS.policy_layout())?;
        let weights = Weights::new(device, A::DIMS, parameters, Precision::Float32)?;
        Ok(Self { weights, arch: PhantomData })
    }

    /// A policy whose parameters `read` gives by name, tensor by tensor.
    pub(crate) fn read<E: From<ModelError>>(
        device: &Device,
        precision: Precision,
        read: impl FnMut(&str, &mut [f32]) -> Result<(), E>,
    ) -> Result<Self, E> {
        let weights = Weights::read(device, A::DIMS, A::DIMS.policy_layout(), precision, read)?;
        Ok(Self { weights, arch: PhantomData })
    }

    /// The same policy with its matrices held in that precision. Adapters are merged into the matrices that they stand
    /// beside, and all parameters are trained: [tune](Policy::tuned) it afterwards.
    ///
    /// ```
    /// use pspo::data::Seed;
    /// use pspo::kernels::Device;
    /// use pspo::model::{Policy, Precision};
    ///
    /// # pspo::arch! {
    /// #     struct Small {
    /// #         name: "small", vocabulary: 300, width: 16, layers: 2, heads: 2, kv_heads: 1, head_size: 8, hidden: 24,
    /// #         positions: 64,
    /// #     }
    /// # }
    /// let policy = Policy::<Small>::random(&Device::cpu(), Seed::root(1))?;
    /// let half = policy.in_precision(Precision::Bfloat16)?;
    /// let parameters = half.parameters()?;
    /// assert_ne!(parameters, policy.parameters()?, "rounded");
    /// assert_eq!(half.in_precision(Precision::Float32)?.parameters()?, parameters);
    /// # Ok::<(), pspo::model::ModelError>(())
    /// ```
    ///
    /// # Errors
    /// If the device has no room.
    pub fn in_precision(&self, precision: Precision) -> Result<Self, ModelError> {
        Ok(Self { weights: self.weights.in_precision(precision)?, arch: PhantomData })
    }

    /// Where it computes.
    pub fn device(&self) -> &Device {
        self.weights.device()
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

    /// The policy as it is now, to be the reference or a policy that is trained by itself. Shares the
    /// parameters until one of the two is updated.
    pub fn fork(&self) -> Self {
        Self { weights: self.weights.fork(), arch: PhantomData }
    }

    /// The same policy with `tuning` in place of what was trained of it; what no longer is stays as it is now, rounded to its
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

    /// The gradient that backward passes have added up since the last update, in the order of what is trained.
    ///
    /// # Errors
    /// If the device fails.
    pub fn gradient(&self) -> Result<Vec<f32>, ModelError> {
        Ok(self.weights.gradient().download()?)
    }

    /// For decoding with these parameters.
    ///
    /// # Errors
    /// If decoding is not yet supported on this device.
    pub fn decoder(&self) -> Result<Decoder<'_>, ModelError> {
        Ok(Decoder::new(&self.weights.trunk, self.weights.values(), &self.output_weight())?)
    }

    fn output_layer(&self, temperature: Temperature) -> OutputLayer {
        let layout = if A::DIMS.tied { WeightLayout::OutIn } else { WeightLayout::InOut };
        let (width, vocabulary) = (A::DIMS.width, A::DIMS.vocabulary);
        OutputLayer { width, vocabulary, layout, temperature: temperature.get() }
    }

    fn output_weight(&self) -> Place {
        let name = if A::DIMS.tied { EMBEDDING } else { "output.weight" };
        self.weights.place(name).expect("the layout was checked when the policy was made")
    }

    /// log π and entropy of the response tokens of a batch, on a tape: logits are divided by the
    /// temperature that the responses were sampled at (checklist, 1).
    ///
    /// # Errors
    /// If no token is scored or one is not in the vocabulary, or the device fails.
    pub fn log_probs(&self, batch: &Batch, temperature: Temperature) -> Result<LogProbs, ModelError> {
        if batch.targets.is_empty() {
            return Err(ModelError::NothingScored);
        }
        let device = self.weights.device();
        let trunk = self.weights.trunk.clone();
        let values = self.weights.shared_values();
        let kept = trunk.forward(values.get(), batch, self.weights.keep)?;
        let scored = Scored::new(device, A::DIMS.width, &kept.hidden, batch)?;
        let (layer, output) = (self.output_layer(temperature), self.output_weight());
        let mut results = scored.run(device, layer, values.get().weight(&output), Keep::All)?;
        let LogProbValues { log_probs, entropy } = results.download(device)?;
        let (log_probs, entropy) = (vector(log_probs), vector(entropy));

        let (log_probs_id, entropy_id) = (log_probs.ghost(), entropy.ghost());
        let gradient = self.weights.gradient();
        let device = device.clone();
        let (rows, n, groups) = (batch.tokens(), scored.targets.len(), batch.scored_groups());
        let pass = move |gradients: &mut Gradients<f32, Cpu>| {
            let d_log_probs = gradients.get_or_alloc_mut(&log_probs_id)?.clone();
            let d_entropy = gradients.get_or_alloc_mut(&entropy_id)?.clone();
            gradient.accumulate(|sums| {
                let width = trunk.dims.width;
                let (d_log_probs, d_entropy) = (device.upload(&d_log_probs)?, device.upload(&d_entropy)?);
                let mut d_scored = device.scratch(n * width)?;
                token_log_prob::backward(
                    &device,
                    layer,
                    scored.hidden.view(),
                    values.get().weight(&output),
                    &scored.targets,
                    (results.entropy.view(), results.log_sum.view()),
                    (d_log_probs.view(), d_entropy.view()),
                    &groups,
                    d_scored.view_mut(),
                    output.gradient(&mut sums.values),
                    results.logits.as_mut().map(Buffer::view_mut),
                )?;
                let mut d_hidden = device.zeros(rows * width)?;
                let d_all = d_hidden.view_mut();
                embedding::backward(&device, width, &scored.places, d_scored.view(), d_all)?;
                trunk.backward(values.get(), kept, &d_hidden, sums)
            });
            Ok(())
        };
        let (first, second) = both_tapes(pass);
        Ok(LogProbs { log_probs: log_probs.put_tape(first), entropy: entropy.put_tape(second) })
    }

    /// log π and entropy of the response tokens of a batch, without a tape.
    ///
    /// # Errors
    /// If a token is not in the vocabulary, or the device fails.
    pub fn log_probs_no_grad(
        &self,
        batch: &Batch,
        temperature: Temperature,
    ) -> Result<LogProbValues, ModelError> {
        let device = self.weights.device();
        let kept = self.weights.trunk.forward(self.weights.values(), batch, Keep::Nothing)?;
        let scored = Scored::new(device, A::DIMS.width, &kept.hidden, batch)?;
        let output = self.weights.values().weight(&self.output_weight());
        scored.run(device, self.output_layer(temperature), output, Keep::Nothing)?.download(device)
    }
}

impl<A: Arch> Trainable for Policy<A> {
    fn weights(&mut self) -> WeightsMut<'_> {
        WeightsMut(&mut self.weights)
    }
}

/// One backward pass for two results, on a tape each: whichever of them an objective uses, the pass runs
/// once, after everything that was computed from either.
fn both_tapes(
    pass: impl FnOnce(&mut Gradients<f32, Cpu>) -> Result<(), <Cpu as HasErr>::Err> + 'static,
) -> (OnTape, OnTape) {
    let pass = Rc::new(RefCell::new(Some(pass)));
    let tape = || {
        let pass = pass.clone();
        let mut tape: OnTape = OwnedTape::default();
        tape.add_backward_op(move |gradients| match pass.borrow_mut().take() {
            Some(pass) => pass(gradients),
            None => Ok(()),
        });
        tape
    };
    (tape(), tape())
}

/// The hidden states at the scored places, `[n, width]`, and the tokens that follow them.
struct Scored {
    hidden: Buffer,
    places: Indices,
    targets: Indices,
}

impl Scored {
    fn new(device: &Device, width: usize, hidden: &Buffer, batch: &Batch) -> Result<Self, KernelError> {
        let places = device.indices(batch.scored.values())?;
        let mut at = device.scratch(places.len() * width)?;
        embedding::forward(device, width, hidden.view(), &places, at.view_mut())?;
        Ok(Self { hidden: at, places, targets: device.indices(&batch.targets)? })
    }

    fn run(
        &self,
        device: &Device,
        layer: OutputLayer,
        weight: Numbers<'_>,
        keep: Keep,
    ) -> Result<Results, KernelError> {
        let n = self.targets.len();
        let kept = keep == Keep::All && layer.keeps(n);
        let mut logits = kept.then(|| device.scratch(n * layer.vocabulary)).transpose()?;
        let (mut log_probs, mut entropy, mut log_sum) =
            (device.scratch(n)?, device.scratch(n)?, device.scratch(n)?);
        let (hidden, targets) = (self.hidden.view(), &self.targets);
        let results = (log_probs.view_mut(), entropy.view_mut(), log_sum.view_mut());
        let kept = logits.as_mut().map(Buffer::view_mut);
        token_log_prob::forward(
            device, layer, hidden, weight, targets, results.0, results.1, results.2, kept,
        )?;
        Ok(Results { log_probs, entropy, log_sum, logits })
    }
}

struct Results {
    log_probs: Buffer,
    entropy: Buffer,
    log_sum: Buffer,
    logits: Option<Buffer>,
}

impl Results {
    fn download(&self, device: &Device) -> Result<LogProbValues, ModelError> {
        let log_probs = device.download(self.log_probs.view())?;
        Ok(LogProbValues { log_probs, entropy: device.download(self.entropy.view())? })
    }
}
