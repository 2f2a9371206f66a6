//! The trunk: a decoder of the Llama family, its forward and backward passes written out.
//!
//! For each layer, with x `[N, width]` the residual stream of all N tokens of all rows:
//!
//! ```text
//! x ← x + attention(rotate(norm(x) W_qkv + b_qkv)) W_out
//! x ← x + swiglu(norm(x) W_gate_up) W_down
//! ```
//!
//! where b_qkv is there for models of the Qwen2 family alone, a matrix W may have an adapter of low rank beside it, and a
//! norm at the end, whose result is the hidden state that heads and the output layer read.

mod layer;
mod matrix;
mod places;

use std::ops::Range;

use super::arch::Dims;
use super::batch::Batch;
use super::error::ModelError;
use super::gradient::Sums;
use super::precision::Precision;
use super::tuning::Tuning;
use crate::kernels::attention::Rows;
use crate::kernels::{Buffer, Device, Indices, KernelError, Numbers, embedding, rms_norm, rotary};
use layer::{Gradients, Layer, Pass, norm_backward};
pub(crate) use places::{Finder, Matrix, Place, Places, Values};

/// The trunk of a model: where its tensors are, and how to run it. It holds no parameters itself, so
/// policy, reference, critic and PRM of one shape share it.
#[derive(Debug)]
pub struct Trunk {
    pub(crate) dims: Dims,
    pub(crate) device: Device,
    pub(crate) places: Places,
    /// What of it is trained.
    pub(crate) tuning: Tuning,
    /// Whether its matrices are in bfloat16.
    in_bfloat16: bool,
    pub(crate) rotary: rotary::Table,
}

/// What a forward pass keeps for the backward pass.
#[derive(Debug)]
pub(crate) struct Activations {
    tokens: Indices,
    rows: Rows,
    positions: Indices,
    /// [`Batch::groups`]
    groups: Vec<Range<usize>>,
    /// Of the layers that the backward pass goes through: the last ones.
    layers: Vec<Kept>,
    last: Buffer,
    scale: Buffer,
    /// The hidden states, `[N, width]`.
    pub(crate) hidden: Buffer,
}

/// What is kept of a layer.
#[derive(Debug)]
enum Kept {
    All(Box<Layer>),
    Input(Buffer),
}

/// What a pass keeps for the backward pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Keep {
    /// Every layer's activations.
    All,
    /// What enters each layer, from which the backward pass computes its activations again: less memory, for one more
    /// forward pass.
    Inputs,
    /// Nothing: there is no backward pass.
    Nothing,
}

impl Trunk {
    /// The trunk of that shape, whose tensors stand where `finder` finds them.
    ///
    /// # Errors
    /// If a tensor is missing, or the device has no room for the rotary table.
    pub(crate) fn new(
        device: &Device,
        dims: Dims,
        finder: Finder<'_>,
        tuning: &Tuning,
    ) -> Result<Self, ModelError> {
        let places = Places::new(&dims, finder, tuning)?;
        let rotary =
            rotary::Table::new(device, dims.head_size, dims.positions, dims.rope_theta, dims.rope_scaling)?;
        let in_bfloat16 = finder.precision == Precision::Bfloat16;
        Ok(Self { dims, device: device.clone(), places, tuning: tuning.clone(), in_bfloat16, rotary })
    }

    /// Whether its matrices are in bfloat16.
    #[cfg(feature = "cuda")]
    pub(super) fn in_bfloat16(&self) -> bool {
        self.in_bfloat16
    }

    /// The hidden states of a batch under the parameters `w`.
    ///
    /// # Errors
    /// If a token is not in the vocabulary, or the device fails.
    pub(crate) fn forward(
        &self,
        w: Values<'_>,
        batch: &Batch,
        keep: Keep,
    ) -> Result<Activations, KernelError> {
        self.forward_on(&self.device, w, batch, keep, |_, _| Ok(()))
    }

    /// [`Trunk::forward`] with the threads of `device`, which has the trunk's memory. Layer after layer,
    /// `qkv_made` is shown keys and values, as `[N, qkv_width]`, for a cache.
    pub(super) fn forward_on(
        &self,
        device: &Device,
        w: Values<'_>,
        batch: &Batch,
        keep: Keep,
        mut qkv_made: impl FnMut(usize, Numbers<'_>) -> Result<(), KernelError>,
    ) -> Result<Activations, KernelError> {
        let Self { dims, places, .. } = self;
        let n = batch.tokens.len();
        let tokens = device.indices(&batch.tokens)?;
        let rows = Rows::new(device, &batch.offsets)?;
        let positions = device.indices(&batch.positions)?;
        let groups = batch.groups();
        let pass = Pass { trunk: self, device, w, rows: &rows, positions: &positions, groups: &groups };
        let kept_from = if keep == Keep::Nothing { dims.layers } else { places.lowest() };
        let mut layers = Vec::with_capacity(dims.layers - kept_from);
        let mut x = device.scratch(n * dims.width)?;
        let (table, first) = (w.weight(&places.embedding), x.view_mut());
        embedding::forward(device, dims.width, table, &tokens, first)?;
        // Layers that are not kept use the buffers of one.
        let mut shared = None;
        for (index, place) in places.layers.iter().enumerate() {
            let keep = if index < kept_from { Keep::Nothing } else { keep };
            let mut layer = match shared.take() {
                Some(layer) => layer,
                None => Layer::new(pass, place)?,
            };
            std::mem::swap(&mut layer.x, &mut x);
            if keep != Keep::Nothing {
                x = device.scratch(n * dims.width)?;
            }
            layer.forward(pass, place, &mut x)?;
            qkv_made(index, layer.qkv.numbers())?;
            match keep {
                Keep::All => layers.push(Kept::All(Box::new(layer))),
                Keep::Inputs => {
                    let input = std::mem::replace(&mut layer.x, device.scratch(n * dims.width)?);
                    layers.push(Kept::Input(input));
                    shared = Some(layer);
                }
                Keep::Nothing => shared = Some(layer),
            }
        }
        let mut scale = device.scratch(n)?;
        let mut hidden = device.scratch(n * dims.width)?;
        let (norm, result, kept) = (w.at(&places.norm), hidden.view_mut(), scale.view_mut());
        rms_norm::forward(device, dims.width, dims.norm_epsilon, x.view(), norm, result, kept)?;
        Ok(Activations { tokens, rows, positions, groups, layers, last: x, scale, hidden })
    }

    /// Adds the gradient of what is trained to `sums`, from that of the hidden states `[N, width]`: group by group, so
    /// that its bits are the same whether groups come in one pass or in several.
    ///
    /// # Errors
    /// If the device fails, or the pass kept nothing ([`Keep::Nothing`]).
    pub(crate) fn backward(
        &self,
        w: Values<'_>,
        kept: Activations,
        d_hidden: &Buffer,
        sums: &mut Sums,
    ) -> Result<(), KernelError> {
        let Self { dims, device, places, .. } = self;
        let Activations { tokens, rows, positions, groups, layers, last, scale, .. } = kept;
        let n = tokens.len();
        let needed = dims.layers - places.lowest();
        if layers.len() != needed {
            let got = layers.len();
            return Err(KernelError::Shape { op: "trunk, gradient", buffer: "layers kept", got, needed });
        }
        let pass = Pass { trunk: self, device, w, rows: &rows, positions: &positions, groups: &groups };
        let dw = &mut sums.values;
        let mut dx = device.zeros(n * dims.width)?;
        norm_backward(pass, &last, &places.norm, &scale, d_hidden.view().into(), &mut dx, dw)?;
        let mut gradients = Gradients::new(pass)?;
        let mut again = None;
        for (place, kept) in places.layers.iter().rev().zip(layers.into_iter().rev()) {
            let layer = match kept {
                Kept::All(layer) => layer,
                Kept::Input(x) => {
                    let mut layer = match again.take() {
                        Some(layer) => layer,
                        None => Box::new(Layer::new(pass, place)?),
                    };
                    layer.again(pass, place, x)?;
                    layer
                }
            };
            layer.backward(pass, place, &mut dx, &mut gradients, dw)?;
            again = Some(layer);
        }
        match places.embedding {
            Place::Trained(..) => sums.embedded.add(device, dims.width, tokens.host(), &dx),
            Place::Frozen(_) => Ok(()),
        }
    }
}

/// A copy within one device.
fn copy(device: &Device, from: &Buffer, to: &mut Buffer) -> Result<(), KernelError> {
    device.copy(from.view(), to.view_mut())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Seed;
    use crate::model::tensors::Tensors;
    use crate::model::{Arch, init};

    crate::arch! {
        struct Tiny {
            name: "tiny", vocabulary: 13, width: 8, layers: 3, heads: 2, kv_heads: 1, head_size: 4, hidden: 12,
            positions: 40,
        }
    }

    #[test]
    fn a_pass_keeps_as_many_numbers_per_token_as_stated() {
        let device = Device::cpu();
        let parameters = init::random(Tiny::DIMS.policy_layout(), 3, Seed::root(1));
        let (layout, precision) = (parameters.layout(), Precision::Float32);
        let finder = Finder { trained: layout, whole: layout, precision };
        let trunk = Trunk::new(&device, Tiny::DIMS, finder, &Tuning::Full).unwrap();
        let weights = Tensors::of(&device, device.upload(parameters.values()).unwrap()).unwrap();
        let values = Values { trained: &weights, frozen: None };
        for lengths in [vec![1], vec![40], vec![3; 7], vec![40, 1, 2]] {
            let rows = lengths.iter().map(|&len| (0..len as u32).map(|t| t % 13));
            let mut batch = Batch { offsets: vec![0], ..Batch::default() };
            for row in rows {
                batch.positions.extend(0..row.len() as u32);
                batch.tokens.extend(row);
                batch.offsets.push(batch.tokens.len() as u32);
            }
            let kept = trunk.forward(values, &batch, Keep::All).unwrap();
            let Activations { tokens, rows, positions, groups: _, layers, last, scale, hidden } = kept;
            assert_eq!(
                (tokens.len(), positions.len(), rows.tokens()),
                (batch.tokens(), batch.tokens(), batch.tokens())
            );
            let numbers = |kept| match kept {
                Kept::All(layer) => layer.len(),
                Kept::Input(x) => x.len(),
            };
            let held = [last, scale, hidden].iter().map(Buffer::len).sum::<usize>()
                + layers.into_iter().map(numbers).sum::<usize>();
            assert_eq!(held, batch.tokens() * Tiny::DIMS.kept_per_token());
        }
    }
}
