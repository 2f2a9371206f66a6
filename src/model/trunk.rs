//! The trunk: a decoder of the Llama family, its forward and backward passes written out.
//!
//! For each layer, with x `[N, width]` the residual stream of all N tokens of all rows:
//!
//! ```text
//! x ← x + attention(rotate(norm(x) W_qkv + b_qkv)) W_out
//! x ← x + swiglu(norm(x) W_gate_up) W_down
//! ```
//!
//! where b_qkv is there for models of the Qwen2 family alone, and a norm at the end, whose result is the hidden state that heads and the output layer read.

use std::ops::Range;

use super::arch::Dims;
use super::batch::Batch;
use super::error::ModelError;
use crate::data::Layout;
use crate::kernels::product::{Shape, WeightLayout};
use crate::kernels::rotary::Direction;
use crate::kernels::{
    Buffer, Device, KernelError, attention, bias, embedding, product, rms_norm, rotary, swiglu,
};

/// The trunk of a model: where its tensors are, and how to run it. It holds no parameters itself, so
/// policy, reference, critic and PRM of one shape share it.
#[derive(Debug)]
pub struct Trunk {
    pub(crate) dims: Dims,
    pub(crate) device: Device,
    pub(crate) places: Places,
    pub(crate) rotary: rotary::Table,
}

/// Where the trunk's tensors lie in the flat buffer of parameters.
#[derive(Debug)]
pub(crate) struct Places {
    pub(crate) embedding: Range<usize>,
    pub(crate) layers: Vec<LayerPlaces>,
    pub(crate) norm: Range<usize>,
}

#[derive(Debug)]
pub(crate) struct LayerPlaces {
    pub(crate) attention_norm: Range<usize>,
    pub(crate) qkv: Range<usize>,
    pub(crate) qkv_bias: Option<Range<usize>>,
    pub(crate) attention_out: Range<usize>,
    pub(crate) feed_forward_norm: Range<usize>,
    pub(crate) gate_up: Range<usize>,
    pub(crate) down: Range<usize>,
}

/// What a forward pass keeps for the backward pass.
#[derive(Debug)]
pub struct Activations {
    tokens: Buffer<u32>,
    offsets: Buffer<u32>,
    positions: Buffer<u32>,
    layers: Vec<Layer>,
    last: Buffer,
    scale: Buffer,
    /// The hidden states, `[N, width]`.
    pub hidden: Buffer,
}

/// One layer's activations: x `[N, width]` as it enters, what the norms kept, inputs of each product.
#[derive(Debug)]
struct Layer {
    x: Buffer,
    scale1: Buffer,
    normed1: Buffer,
    qkv: Buffer,
    attended: Buffer,
    log_sum: Buffer,
    middle: Buffer,
    scale2: Buffer,
    normed2: Buffer,
    gate_up: Buffer,
    activated: Buffer,
}

/// Whether a pass keeps what the backward pass needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keep {
    /// Every layer's activations.
    All,
    /// The last layer's alone, whose buffers all layers use in turn.
    Nothing,
}

impl Layer {
    fn new(device: &Device, dims: &Dims, n: usize) -> Result<Self, KernelError> {
        let heads = dims.attention();
        Ok(Self {
            x: device.scratch(n * dims.width)?,
            scale1: device.scratch(n)?,
            normed1: device.scratch(n * dims.width)?,
            qkv: device.scratch(n * heads.qkv_width())?,
            attended: device.scratch(n * heads.out_width())?,
            log_sum: device.scratch(n * heads.queries)?,
            middle: device.scratch(n * dims.width)?,
            scale2: device.scratch(n)?,
            normed2: device.scratch(n * dims.width)?,
            gate_up: device.scratch(n * 2 * dims.hidden)?,
            activated: device.scratch(n * dims.hidden)?,
        })
    }
}

/// The products of a layer over n rows.
struct Products {
    qkv: Shape,
    attention_out: Shape,
    gate_up: Shape,
    down: Shape,
}

impl Products {
    fn new(dims: &Dims, rows: usize) -> Self {
        let shape = |inputs, outputs| Shape { rows, inputs, outputs, layout: WeightLayout::InOut };
        let heads = dims.attention();
        Self {
            qkv: shape(dims.width, heads.qkv_width()),
            attention_out: shape(heads.out_width(), dims.width),
            gate_up: shape(dims.width, 2 * dims.hidden),
            down: shape(dims.hidden, dims.width),
        }
    }
}

impl Trunk {
    /// The trunk of that shape, whose tensors stand in `layout`.
    ///
    /// # Errors
    /// If a tensor is missing, or the device has no room for the rotary table.
    pub fn new(device: &Device, dims: Dims, layout: &Layout) -> Result<Self, ModelError> {
        let layers = (0..dims.layers).map(|layer| {
            let range = |part: &str| layout.range(&format!("trunk.layers.{layer}.{part}"));
            Ok::<_, ModelError>(LayerPlaces {
                attention_norm: range("attention_norm")?,
                qkv: range("qkv")?,
                qkv_bias: dims.qkv_bias.then(|| range("qkv_bias")).transpose()?,
                attention_out: range("attention_out")?,
                feed_forward_norm: range("feed_forward_norm")?,
                gate_up: range("gate_up")?,
                down: range("down")?,
            })
        });
        let places = Places {
            embedding: layout.range("trunk.embedding")?,
            layers: layers.collect::<Result<_, _>>()?,
            norm: layout.range("trunk.norm")?,
        };
        let rotary =
            rotary::Table::new(device, dims.head_size, dims.positions, dims.rope_theta, dims.rope_scaling)?;
        Ok(Self { dims, device: device.clone(), places, rotary })
    }

    /// The hidden states of a batch under the parameters `w`.
    ///
    /// # Errors
    /// If a token is not in the vocabulary, or the device fails.
    pub fn forward(&self, w: &Buffer, batch: &Batch, keep: Keep) -> Result<Activations, KernelError> {
        self.forward_on(&self.device, w, batch, keep, |_, _| Ok(()))
    }

    /// [`Trunk::forward`] with the threads of `device`, which has the trunk's memory. Layer after layer,
    /// `qkv_made` is shown keys and values, as `[N, qkv_width]`, for a cache.
    pub(super) fn forward_on(
        &self,
        device: &Device,
        w: &Buffer,
        batch: &Batch,
        keep: Keep,
        mut qkv_made: impl FnMut(usize, &Buffer) -> Result<(), KernelError>,
    ) -> Result<Activations, KernelError> {
        let Self { dims, places, .. } = self;
        let n = batch.tokens.len();
        let tokens = device.upload(&batch.tokens)?;
        let offsets = device.upload(&batch.offsets)?;
        let positions = device.upload(&batch.positions)?;
        let kept = if keep == Keep::All { dims.layers } else { 1 };
        let mut layers = (0..kept).map(|_| Layer::new(device, dims, n)).collect::<Result<Vec<_>, _>>()?;
        let mut x = device.scratch(n * dims.width)?;
        embedding::forward(
            device,
            dims.width,
            w.slice(places.embedding.clone()),
            tokens.view(),
            x.view_mut(),
        )?;
        for (index, place) in places.layers.iter().enumerate() {
            let layer = &mut layers[index.min(kept - 1)];
            std::mem::swap(&mut layer.x, &mut x);
            self.layer_forward(device, w, place, layer, &offsets, &positions)?;
            qkv_made(index, &layer.qkv)?;
            // The next layer's input is this one's middle plus its feed-forward's result.
            x = if keep == Keep::All { device.scratch(n * dims.width)? } else { x };
            copy(device, &layer.middle, &mut x)?;
            let products = Products::new(dims, n);
            let down = w.slice(place.down.clone());
            product::forward(device, products.down, layer.activated.view(), down, x.view_mut(), true)?;
        }
        let mut scale = device.scratch(n)?;
        let mut hidden = device.scratch(n * dims.width)?;
        let norm = w.slice(places.norm.clone());
        let (hidden_view, scale_view) = (hidden.view_mut(), scale.view_mut());
        rms_norm::forward(device, dims.width, dims.norm_epsilon, x.view(), norm, hidden_view, scale_view)?;
        Ok(Activations { tokens, offsets, positions, layers, last: x, scale, hidden })
    }

    fn layer_forward(
        &self,
        device: &Device,
        w: &Buffer,
        place: &LayerPlaces,
        layer: &mut Layer,
        offsets: &Buffer<u32>,
        positions: &Buffer<u32>,
    ) -> Result<(), KernelError> {
        let Self { dims, rotary: table, .. } = self;
        let (heads, epsilon) = (dims.attention(), dims.norm_epsilon);
        let products = Products::new(dims, positions.len());
        let at = |range: &Range<usize>| w.slice(range.clone());
        let Layer { x, scale1, normed1, qkv, attended, log_sum, middle, scale2, normed2, gate_up, activated } =
            layer;

        let norm = at(&place.attention_norm);
        rms_norm::forward(
            device,
            dims.width,
            epsilon,
            x.view(),
            norm,
            normed1.view_mut(),
            scale1.view_mut(),
        )?;
        if let Some(place) = &place.qkv_bias {
            bias::forward(device, at(place), qkv.view_mut())?;
        }
        let biased = place.qkv_bias.is_some();
        product::forward(device, products.qkv, normed1.view(), at(&place.qkv), qkv.view_mut(), biased)?;
        let (turned, stride) = (heads.queries + heads.keys, heads.qkv_width());
        rotary::rotate(device, table, Direction::Forward, turned, stride, positions.view(), qkv.view_mut())?;
        attention::forward(
            device,
            heads,
            offsets.view(),
            qkv.view(),
            attended.view_mut(),
            log_sum.view_mut(),
        )?;
        copy(device, x, middle)?;
        let out = at(&place.attention_out);
        product::forward(device, products.attention_out, attended.view(), out, middle.view_mut(), true)?;

        let norm = at(&place.feed_forward_norm);
        rms_norm::forward(
            device,
            dims.width,
            epsilon,
            middle.view(),
            norm,
            normed2.view_mut(),
            scale2.view_mut(),
        )?;
        product::forward(
            device,
            products.gate_up,
            normed2.view(),
            at(&place.gate_up),
            gate_up.view_mut(),
            false,
        )?;
        swiglu::forward(device, dims.hidden, gate_up.view(), activated.view_mut())
    }

    /// Adds the gradient of the parameters to `dw`, from that of the hidden states `[N, width]`.
    ///
    /// # Errors
    /// If the device fails, or the pass kept nothing ([`Keep::Nothing`]).
    pub fn backward(
        &self,
        w: &Buffer,
        kept: &Activations,
        d_hidden: &Buffer,
        dw: &mut Buffer,
    ) -> Result<(), KernelError> {
        let Self { dims, device, places, rotary: table } = self;
        let (heads, n) = (dims.attention(), kept.tokens.len());
        if kept.layers.len() != dims.layers {
            let (got, needed) = (kept.layers.len(), dims.layers);
            return Err(KernelError::Shape { op: "trunk, gradient", buffer: "layers kept", got, needed });
        }
        let products = Products::new(dims, n);
        let at = |range: &Range<usize>| w.slice(range.clone());
        let mut dx = device.zeros(n * dims.width)?;
        let mut d_normed = device.scratch(n * dims.width)?;
        let mut d_qkv = device.scratch(n * heads.qkv_width())?;
        let mut d_attended = device.scratch(n * heads.out_width())?;
        let mut d_gate_up = device.scratch(n * 2 * dims.hidden)?;
        let mut d_activated = device.scratch(n * dims.hidden)?;

        rms_norm::backward(
            device,
            dims.width,
            kept.last.view(),
            at(&places.norm),
            kept.scale.view(),
            d_hidden.view(),
            dx.view_mut(),
            dw.slice_mut(places.norm.clone()),
        )?;
        for (place, layer) in places.layers.iter().zip(&kept.layers).rev() {
            // x ← middle + swiglu(normed2 W_gate_up) W_down
            let (shape, activated) = (products.down, layer.activated.view());
            product::backward_weight(device, shape, activated, dx.view(), dw.slice_mut(place.down.clone()))?;
            product::backward_input(
                device,
                shape,
                dx.view(),
                at(&place.down),
                d_activated.view_mut(),
                false,
            )?;
            swiglu::backward(
                device,
                dims.hidden,
                layer.gate_up.view(),
                d_activated.view(),
                d_gate_up.view_mut(),
            )?;
            let (shape, d_y) = (products.gate_up, d_gate_up.view());
            product::backward_weight(
                device,
                shape,
                layer.normed2.view(),
                d_y,
                dw.slice_mut(place.gate_up.clone()),
            )?;
            product::backward_input(device, shape, d_y, at(&place.gate_up), d_normed.view_mut(), false)?;
            rms_norm::backward(
                device,
                dims.width,
                layer.middle.view(),
                at(&place.feed_forward_norm),
                layer.scale2.view(),
                d_normed.view(),
                dx.view_mut(),
                dw.slice_mut(place.feed_forward_norm.clone()),
            )?;

            // middle ← x + attention(rotate(normed1 W_qkv)) W_out
            let (shape, attended) = (products.attention_out, layer.attended.view());
            product::backward_weight(
                device,
                shape,
                attended,
                dx.view(),
                dw.slice_mut(place.attention_out.clone()),
            )?;
            product::backward_input(
                device,
                shape,
                dx.view(),
                at(&place.attention_out),
                d_attended.view_mut(),
                false,
            )?;
            attention::backward(
                device,
                heads,
                kept.offsets.view(),
                layer.qkv.view(),
                layer.attended.view(),
                layer.log_sum.view(),
                d_attended.view(),
                d_qkv.view_mut(),
            )?;
            let (turned, stride) = (heads.queries + heads.keys, heads.qkv_width());
            let positions = kept.positions.view();
            rotary::rotate(device, table, Direction::Backward, turned, stride, positions, d_qkv.view_mut())?;
            if let Some(place) = &place.qkv_bias {
                bias::backward(device, d_qkv.view(), dw.slice_mut(place.clone()))?;
            }
            let (shape, d_y) = (products.qkv, d_qkv.view());
            product::backward_weight(
                device,
                shape,
                layer.normed1.view(),
                d_y,
                dw.slice_mut(place.qkv.clone()),
            )?;
            product::backward_input(device, shape, d_y, at(&place.qkv), d_normed.view_mut(), false)?;
            rms_norm::backward(
                device,
                dims.width,
                layer.x.view(),
                at(&place.attention_norm),
                layer.scale1.view(),
                d_normed.view(),
                dx.view_mut(),
                dw.slice_mut(place.attention_norm.clone()),
            )?;
        }
        let d_table = dw.slice_mut(places.embedding.clone());
        embedding::backward(device, dims.width, kept.tokens.view(), dx.view(), d_table)
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
        let trunk = Trunk::new(&device, Tiny::DIMS, parameters.layout()).unwrap();
        let weights = device.upload(parameters.values()).unwrap();
        for lengths in [vec![1], vec![40], vec![3; 7], vec![40, 1, 2]] {
            let rows = lengths.iter().map(|&len| (0..len as u32).map(|t| t % 13));
            let mut batch = Batch { offsets: vec![0], ..Batch::default() };
            for row in rows {
                batch.positions.extend(0..row.len() as u32);
                batch.tokens.extend(row);
                batch.offsets.push(batch.tokens.len() as u32);
            }
            let kept = trunk.forward(&weights, &batch, Keep::All).unwrap();
            let Activations { tokens, offsets, positions, layers, last, scale, hidden } = kept;
            assert_eq!(
                (tokens.len(), positions.len(), offsets.len()),
                (batch.tokens(), batch.tokens(), lengths.len() + 1)
            );
            let numbers = |layer: Layer| {
                let Layer {
                    x,
                    scale1,
                    normed1,
                    qkv,
                    attended,
                    log_sum,
                    middle,
                    scale2,
                    normed2,
                    gate_up,
                    activated,
                } = layer;
                [x, scale1, normed1, qkv, attended, log_sum, middle, scale2, normed2, gate_up, activated]
                    .iter()
                    .map(Buffer::len)
                    .sum::<usize>()
            };
            let held = [last, scale, hidden].iter().map(Buffer::len).sum::<usize>()
                + layers.into_iter().map(numbers).sum::<usize>();
            assert_eq!(held, batch.tokens() * Tiny::DIMS.kept_per_token());
        }
    }
}
