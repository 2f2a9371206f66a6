//! One layer of the trunk, forward and backward.

use std::ops::Range;

use super::places::{LayerPlaces, Place, Values};
use super::{Trunk, copy};
use crate::kernels::attention::Rows;
use crate::kernels::rotary::Direction;
use crate::kernels::{Buffer, Device, Indices, KernelError, attention, bias, rms_norm, rotary, swiglu};
use crate::model::arch::Dims;

/// What a pass over all tokens of a batch runs on.
#[derive(Clone, Copy)]
pub(super) struct Pass<'a> {
    pub(super) trunk: &'a Trunk,
    /// The trunk's, or one with its memory and other threads.
    pub(super) device: &'a Device,
    pub(super) w: Values<'a>,
    pub(super) rows: &'a Rows,
    pub(super) positions: &'a Indices,
    /// Tokens over which gradients of parameters are summed by themselves.
    pub(super) groups: &'a [Range<usize>],
}

/// A layer's activations: x `[N, width]` as it enters, what the norms kept, inputs of each product.
#[derive(Debug)]
pub(super) struct Layer {
    pub(super) x: Buffer,
    scale1: Buffer,
    normed1: Buffer,
    pub(super) qkv: Buffer,
    attended: Buffer,
    log_sum: Buffer,
    middle: Buffer,
    scale2: Buffer,
    normed2: Buffer,
    gate_up: Buffer,
    activated: Buffer,
    /// Inputs of the adapters' second halves, empty without adapters: of queries, keys and values, of what leaves the
    /// heads, of gate and up, of what goes back.
    low: [Buffer; 4],
}

impl Layer {
    pub(super) fn new(
        device: &Device,
        dims: &Dims,
        place: &LayerPlaces,
        n: usize,
    ) -> Result<Self, KernelError> {
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
            low: [
                place.qkv.low(device, n)?,
                place.attention_out.low(device, n)?,
                place.gate_up.low(device, n)?,
                place.down.low(device, n)?,
            ],
        })
    }

    /// Numbers held.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        let Self { x, scale1, normed1, qkv, attended, log_sum, .. } = self;
        let Self { middle, scale2, normed2, gate_up, activated, low, .. } = self;
        [x, scale1, normed1, qkv, attended, log_sum, middle, scale2, normed2, gate_up, activated]
            .into_iter()
            .chain(low)
            .map(Buffer::len)
            .sum()
    }

    /// From x to the next layer's.
    pub(super) fn forward(
        &mut self,
        pass: Pass<'_>,
        place: &LayerPlaces,
        next: &mut Buffer,
    ) -> Result<(), KernelError> {
        self.activate(pass, place)?;
        let Pass { device, w, positions, .. } = pass;
        copy(device, &self.middle, next)?;
        place.down.forward(device, w, positions.len(), &self.activated, next, &mut self.low[3], true)
    }

    /// All activations from x, up to what the last product reads.
    fn activate(&mut self, pass: Pass<'_>, place: &LayerPlaces) -> Result<(), KernelError> {
        let Pass { trunk, device, w, rows, positions, .. } = pass;
        let Trunk { dims, rotary: table, .. } = trunk;
        let (heads, n) = (dims.attention(), positions.len());
        let Self { x, scale1, normed1, qkv, attended, log_sum, .. } = self;
        let Self { middle, scale2, normed2, gate_up, activated, low, .. } = self;
        let norm = |x: &Buffer, weight: &Place, normed: &mut Buffer, scale: &mut Buffer| {
            let (normed, scale) = (normed.view_mut(), scale.view_mut());
            rms_norm::forward(device, dims.width, dims.norm_epsilon, x.view(), w.at(weight), normed, scale)
        };

        norm(x, &place.attention_norm, normed1, scale1)?;
        if let Some(place) = &place.qkv_bias {
            bias::forward(device, w.at(place), qkv.view_mut())?;
        }
        let biased = place.qkv_bias.is_some();
        place.qkv.forward(device, w, n, normed1, qkv, &mut low[0], biased)?;
        let (turned, stride) = (heads.queries + heads.keys, heads.qkv_width());
        rotary::rotate(device, table, Direction::Forward, turned, stride, positions, qkv.view_mut())?;
        let (result, kept) = (attended.view_mut(), log_sum.view_mut());
        attention::forward(device, heads, rows, qkv.view(), result, kept)?;
        copy(device, x, middle)?;
        place.attention_out.forward(device, w, n, attended, middle, &mut low[1], true)?;

        norm(middle, &place.feed_forward_norm, normed2, scale2)?;
        place.gate_up.forward(device, w, n, normed2, gate_up, &mut low[2], false)?;
        swiglu::forward(device, dims.hidden, gate_up.view(), activated.view_mut())
    }

    /// All that [`Layer::forward`] had left here, from what entered the layer then.
    pub(super) fn again(
        &mut self,
        pass: Pass<'_>,
        place: &LayerPlaces,
        x: Buffer,
    ) -> Result<(), KernelError> {
        self.x = x;
        self.activate(pass, place)?;
        let Pass { device, w, positions, .. } = pass;
        place.down.lower(device, w, positions.len(), &self.activated, &mut self.low[3])
    }
}

/// Gradients of a layer's activations, whose buffers all layers use in turn.
pub(super) struct Gradients {
    normed: Buffer,
    qkv: Buffer,
    attended: Buffer,
    gate_up: Buffer,
    activated: Buffer,
}

impl Gradients {
    pub(super) fn new(device: &Device, dims: &Dims, n: usize) -> Result<Self, KernelError> {
        let heads = dims.attention();
        Ok(Self {
            normed: device.scratch(n * dims.width)?,
            qkv: device.scratch(n * heads.qkv_width())?,
            attended: device.scratch(n * heads.out_width())?,
            gate_up: device.scratch(n * 2 * dims.hidden)?,
            activated: device.scratch(n * dims.hidden)?,
        })
    }
}

impl Layer {
    /// From the gradient of what left the layer, dx becomes that of what entered it; those of the parameters are added
    /// to dw.
    pub(super) fn backward(
        &self,
        pass: Pass<'_>,
        place: &LayerPlaces,
        dx: &mut Buffer,
        gradients: &mut Gradients,
        dw: &mut Buffer,
    ) -> Result<(), KernelError> {
        let Pass { trunk, device, w, rows, positions, groups } = pass;
        let Trunk { dims, rotary: table, .. } = trunk;
        let heads = dims.attention();
        let Self { x, scale1, normed1, qkv, attended, log_sum, .. } = self;
        let Self { middle, scale2, normed2, gate_up, activated, low, .. } = self;
        let d = gradients;

        // next ← middle + swiglu(normed2 W_gate_up) W_down
        place.down.backward(device, w, groups, (activated, &low[3]), dx, &mut d.activated, dw)?;
        let (d_activated, d_gate_up) = (d.activated.view(), d.gate_up.view_mut());
        swiglu::backward(device, dims.hidden, gate_up.view(), d_activated, d_gate_up)?;
        place.gate_up.backward(device, w, groups, (normed2, &low[2]), &d.gate_up, &mut d.normed, dw)?;
        norm_backward(pass, middle, &place.feed_forward_norm, scale2, &d.normed, dx, dw)?;

        // middle ← x + attention(rotate(normed1 W_qkv + b_qkv)) W_out
        place.attention_out.backward(device, w, groups, (attended, &low[1]), dx, &mut d.attended, dw)?;
        attention::backward(
            device,
            heads,
            rows,
            qkv.view(),
            attended.view(),
            log_sum.view(),
            d.attended.view(),
            d.qkv.view_mut(),
        )?;
        let (turned, stride, d_qkv) = (heads.queries + heads.keys, heads.qkv_width(), d.qkv.view_mut());
        rotary::rotate(device, table, Direction::Backward, turned, stride, positions, d_qkv)?;
        for group in groups {
            let Some(db) = place.qkv_bias.as_ref().and_then(|place| place.gradient(dw)) else { break };
            bias::backward(device, d.qkv.slice(group.start * stride..group.end * stride), db)?;
        }
        place.qkv.backward(device, w, groups, (normed1, &low[0]), &d.qkv, &mut d.normed, dw)?;
        norm_backward(pass, x, &place.attention_norm, scale1, &d.normed, dx, dw)
    }
}

/// Adds the gradient of a norm's input to dx, and that of its weight to dw.
pub(super) fn norm_backward(
    pass: Pass<'_>,
    x: &Buffer,
    weight: &Place,
    scale: &Buffer,
    d_normed: &Buffer,
    dx: &mut Buffer,
    dw: &mut Buffer,
) -> Result<(), KernelError> {
    let Pass { trunk, device, w, groups, .. } = pass;
    let width = trunk.dims.width;
    // The gradient of a weight that stays is computed as well: it costs next to nothing.
    let mut nowhere = match weight {
        Place::Trained(..) => None,
        Place::Frozen(_) => Some(device.zeros(width)?),
    };
    for group in groups {
        let dw = match &mut nowhere {
            Some(nowhere) => nowhere.view_mut(),
            None => weight.gradient(dw).expect("a trained weight has a gradient"),
        };
        let rows = group.start * width..group.end * width;
        let (x, scale, d_normed) =
            (x.slice(rows.clone()), scale.slice(group.clone()), d_normed.slice(rows.clone()));
        rms_norm::backward(device, width, x, w.at(weight), scale, d_normed, dx.slice_mut(rows), dw)?;
    }
    Ok(())
}
