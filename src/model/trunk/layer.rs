//! One layer of the trunk, forward and backward.

use std::ops::Range;

use super::places::{LayerPlaces, Place, Values};
use super::{Trunk, copy};
use crate::kernels::attention::Rows;
use crate::kernels::rotary::Direction;
use crate::kernels::{
    Activation, Buffer, Device, Indices, KernelError, Numbers, attention, bias, rms_norm, rotary, swiglu,
};

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
    normed1: Activation,
    pub(super) qkv: Activation,
    attended: Activation,
    log_sum: Buffer,
    middle: Buffer,
    scale2: Buffer,
    normed2: Activation,
    gate_up: Activation,
    activated: Activation,
    /// Inputs of the adapters' second halves, empty without adapters: of queries, keys and values, of what leaves the
    /// heads, of gate and up, of what goes back.
    low: [Activation; 4],
}

impl Layer {
    pub(super) fn new(pass: Pass<'_>, place: &LayerPlaces) -> Result<Self, KernelError> {
        let Pass { trunk, device, positions, .. } = pass;
        let (dims, n) = (&trunk.dims, positions.len());
        let heads = dims.attention();
        let activation = |len| device.activation(trunk.in_bfloat16, len);
        Ok(Self {
            x: device.scratch(n * dims.width)?,
            scale1: device.scratch(n)?,
            normed1: activation(n * dims.width)?,
            qkv: activation(n * heads.qkv_width())?,
            attended: activation(n * heads.out_width())?,
            log_sum: device.scratch(n * heads.queries)?,
            middle: device.scratch(n * dims.width)?,
            scale2: device.scratch(n)?,
            normed2: activation(n * dims.width)?,
            gate_up: activation(n * 2 * dims.hidden)?,
            activated: activation(n * dims.hidden)?,
            low: [
                activation(place.qkv.low(n))?,
                activation(place.attention_out.low(n))?,
                activation(place.gate_up.low(n))?,
                activation(place.down.low(n))?,
            ],
        })
    }

    /// Numbers held.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        let Self { x, scale1, normed1, qkv, attended, log_sum, .. } = self;
        let Self { middle, scale2, normed2, gate_up, activated, low, .. } = self;
        let activations = [normed1, qkv, attended, normed2, gate_up, activated].into_iter().chain(low);
        [x, scale1, log_sum, middle, scale2].into_iter().map(Buffer::len).sum::<usize>()
            + activations.map(Activation::len).sum::<usize>()
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
        let (activated, next) = (self.activated.numbers(), next.view_mut().into());
        place.down.forward(device, w, positions.len(), activated, next, &mut self.low[3], true)
    }

    /// All activations from x, up to what the last product reads.
    fn activate(&mut self, pass: Pass<'_>, place: &LayerPlaces) -> Result<(), KernelError> {
        let Pass { trunk, device, w, rows, positions, .. } = pass;
        let Trunk { dims, rotary: table, .. } = trunk;
        let (heads, n) = (dims.attention(), positions.len());
        let Self { x, scale1, normed1, qkv, attended, log_sum, .. } = self;
        let Self { middle, scale2, normed2, gate_up, activated, low, .. } = self;
        let norm = |x: &Buffer, weight: &Place, normed: &mut Activation, scale: &mut Buffer| {
            let (normed, scale) = (normed.numbers_mut(), scale.view_mut());
            rms_norm::forward(device, dims.width, dims.norm_epsilon, x.view(), w.at(weight), normed, scale)
        };

        norm(x, &place.attention_norm, normed1, scale1)?;
        let (read, made) = (normed1.numbers(), qkv.numbers_mut());
        match &place.qkv_bias {
            Some(bias) => place.qkv.forward_biased(device, w, n, read, w.at(bias), made, &mut low[0])?,
            None => place.qkv.forward(device, w, n, read, made, &mut low[0], false)?,
        }
        let (turned, stride) = (heads.queries + heads.keys, heads.qkv_width());
        rotary::rotate(device, table, Direction::Forward, turned, stride, positions, qkv.numbers_mut())?;
        let (result, kept) = (attended.numbers_mut(), log_sum.view_mut());
        attention::forward(device, heads, rows, qkv.numbers(), result, kept)?;
        copy(device, x, middle)?;
        let (read, sum) = (attended.numbers(), middle.view_mut().into());
        place.attention_out.forward(device, w, n, read, sum, &mut low[1], true)?;

        norm(middle, &place.feed_forward_norm, normed2, scale2)?;
        place.gate_up.forward(device, w, n, normed2.numbers(), gate_up.numbers_mut(), &mut low[2], false)?;
        swiglu::forward(device, dims.hidden, gate_up.numbers(), activated.numbers_mut())
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
        place.down.lower(device, w, positions.len(), self.activated.numbers(), &mut self.low[3])
    }
}

/// Gradients of a layer's activations, whose buffers all layers use in turn.
pub(super) struct Gradients {
    normed: Activation,
    qkv: Activation,
    attended: Activation,
    gate_up: Activation,
    activated: Activation,
}

impl Gradients {
    pub(super) fn new(pass: Pass<'_>) -> Result<Self, KernelError> {
        let Pass { trunk, device, positions, .. } = pass;
        let (dims, n) = (&trunk.dims, positions.len());
        let heads = dims.attention();
        let activation = |len| device.activation(trunk.in_bfloat16, len);
        Ok(Self {
            normed: activation(n * dims.width)?,
            qkv: activation(n * heads.qkv_width())?,
            attended: activation(n * heads.out_width())?,
            gate_up: activation(n * 2 * dims.hidden)?,
            activated: activation(n * dims.hidden)?,
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
        let inputs = (activated, &low[3]);
        place.down.backward(device, w, groups, inputs, dx.view().into(), &mut d.activated, dw)?;
        let (d_activated, d_gate_up) = (d.activated.numbers(), d.gate_up.numbers_mut());
        swiglu::backward(device, dims.hidden, gate_up.numbers(), d_activated, d_gate_up)?;
        let inputs = (normed2, &low[2]);
        place.gate_up.backward(device, w, groups, inputs, d.gate_up.numbers(), &mut d.normed, dw)?;
        norm_backward(pass, middle, &place.feed_forward_norm, scale2, d.normed.numbers(), dx, dw)?;

        // middle ← x + attention(rotate(normed1 W_qkv + b_qkv)) W_out
        let inputs = (attended, &low[1]);
        place.attention_out.backward(device, w, groups, inputs, dx.view().into(), &mut d.attended, dw)?;
        attention::backward(
            device,
            heads,
            rows,
            qkv.numbers(),
            attended.numbers(),
            log_sum.view(),
            d.attended.numbers(),
            d.qkv.numbers_mut(),
        )?;
        let (turned, stride, d_qkv) = (heads.queries + heads.keys, heads.qkv_width(), d.qkv.numbers_mut());
        rotary::rotate(device, table, Direction::Backward, turned, stride, positions, d_qkv)?;
        for group in groups {
            let Some(db) = place.qkv_bias.as_ref().and_then(|place| place.gradient(dw)) else { break };
            let rows = group.start * stride..group.end * stride;
            bias::backward(device, d.qkv.numbers().slice(rows), db)?;
        }
        let inputs = (normed1, &low[0]);
        place.qkv.backward(device, w, groups, inputs, d.qkv.numbers(), &mut d.normed, dw)?;
        norm_backward(pass, x, &place.attention_norm, scale1, d.normed.numbers(), dx, dw)
    }
}

/// Adds the gradient of a norm's input to dx, and that of its weight to dw.
pub(super) fn norm_backward(
    pass: Pass<'_>,
    x: &Buffer,
    weight: &Place,
    scale: &Buffer,
    d_normed: Numbers<'_>,
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
