//! Products with a matrix that may have an adapter: y = x W + s x A B.

use std::ops::Range;

use super::places::{Adapter, Matrix, Values};
use crate::kernels::product::{self, Shape, WeightLayout};
use crate::kernels::{Activation, Buffer, Device, KernelError, Numbers, NumbersMut, View, bfloat16, scale};

impl Matrix {
    fn shape(&self, rows: usize) -> Shape {
        Shape { rows, inputs: self.inputs, outputs: self.outputs, layout: WeightLayout::InOut }
    }

    /// Numbers that [`Matrix::forward`] keeps of n rows: none without an adapter.
    pub(super) fn low(&self, n: usize) -> usize {
        self.adapter.as_ref().map_or(0, |adapter| n * adapter.rank)
    }

    /// y = x W + s x A B, or that added to y. `low` `[n, rank]` becomes s x A, which the backward pass needs.
    pub(super) fn forward(
        &self,
        device: &Device,
        w: Values<'_>,
        n: usize,
        x: Numbers<'_>,
        mut y: NumbersMut<'_>,
        low: &mut Activation,
        accumulate: bool,
    ) -> Result<(), KernelError> {
        product::forward(device, self.shape(n), x, w.weight(&self.weight), y.reborrow(), accumulate)?;
        self.adapt(device, w, n, x, y, low)
    }

    /// y = x W + b + s x A B.
    pub(super) fn forward_biased(
        &self,
        device: &Device,
        w: Values<'_>,
        n: usize,
        x: Numbers<'_>,
        bias: View<'_>,
        mut y: NumbersMut<'_>,
        low: &mut Activation,
    ) -> Result<(), KernelError> {
        product::forward_biased(device, self.shape(n), x, w.weight(&self.weight), bias, y.reborrow())?;
        self.adapt(device, w, n, x, y, low)
    }

    /// y += s x A B, where there is an adapter.
    fn adapt(
        &self,
        device: &Device,
        w: Values<'_>,
        n: usize,
        x: Numbers<'_>,
        y: NumbersMut<'_>,
        low: &mut Activation,
    ) -> Result<(), KernelError> {
        self.lower(device, w, n, x, low)?;
        if let Some(adapter) = &self.adapter {
            let (_, out) = self.shapes(adapter, n);
            let b = w.trained.slice(adapter.b.clone());
            product::forward(device, out, low.numbers(), b, y, true)?;
        }
        Ok(())
    }

    /// s x A, where there is an adapter.
    pub(super) fn lower(
        &self,
        device: &Device,
        w: Values<'_>,
        n: usize,
        x: Numbers<'_>,
        low: &mut Activation,
    ) -> Result<(), KernelError> {
        let Some(adapter) = &self.adapter else { return Ok(()) };
        let (into, _) = self.shapes(adapter, n);
        let a = w.trained.slice(adapter.a.clone());
        product::forward(device, into, x, a, low.numbers_mut(), false)?;
        scale::forward(device, adapter.scale, low.numbers_mut())
    }

    /// dx, and the gradients of what is trained added to dw, from dy and what was kept. The latter are summed over each
    /// group of tokens by itself.
    pub(super) fn backward(
        &self,
        device: &Device,
        w: Values<'_>,
        groups: &[Range<usize>],
        (x, low): (&Activation, &Activation),
        dy: Numbers<'_>,
        dx: &mut Activation,
        dw: &mut Buffer,
    ) -> Result<(), KernelError> {
        // once, for all products that read it
        let rounded = match (x, dy) {
            (Activation::Bfloat16(_), Numbers::Float32(dy)) => {
                let mut rounded = device.scratch(dy.len())?;
                bfloat16::round(device, dy, rounded.view_mut())?;
                Some(rounded)
            }
            _ => None,
        };
        let dy = rounded.as_ref().map_or(dy, |rounded| rounded.view().into());
        let n = dy.len() / self.outputs;
        weight_gradient(device, self.shape(n), groups, (x.numbers(), dy), self.weight.range(), dw)?;
        let weight = w.weight(&self.weight);
        product::backward_input(device, self.shape(n), dy, weight, dx.numbers_mut(), false)?;
        if let Some(adapter) = &self.adapter {
            let (a, b) = (w.trained.slice(adapter.a.clone()), w.trained.slice(adapter.b.clone()));
            let (into, out) = self.shapes(adapter, n);
            weight_gradient(device, out, groups, (low.numbers(), dy), Some(&adapter.b), dw)?;
            let mut d_low = device.activation(matches!(low, Activation::Bfloat16(_)), n * adapter.rank)?;
            product::backward_input(device, out, dy, b, d_low.numbers_mut(), false)?;
            scale::forward(device, adapter.scale, d_low.numbers_mut())?;
            weight_gradient(device, into, groups, (x.numbers(), d_low.numbers()), Some(&adapter.a), dw)?;
            product::backward_input(device, into, d_low.numbers(), a, dx.numbers_mut(), true)?;
        }
        Ok(())
    }

    /// The products with A and with B.
    fn shapes(&self, adapter: &Adapter, n: usize) -> (Shape, Shape) {
        let shape = self.shape(n);
        (Shape { outputs: adapter.rank, ..shape }, Shape { inputs: adapter.rank, ..shape })
    }

    /// W + s A B where there is an adapter, else nothing: W is then what it is.
    pub(in crate::model) fn merged(
        &self,
        device: &Device,
        w: Values<'_>,
    ) -> Result<Option<Buffer>, KernelError> {
        let Some(adapter) = &self.adapter else { return Ok(None) };
        let mut merged = device.scratch(self.inputs * self.outputs)?;
        match w.weight(&self.weight) {
            Numbers::Float32(weight) => device.copy(weight, merged.view_mut())?,
            Numbers::Bfloat16(weight) => bfloat16::widen(device, weight, merged.view_mut())?,
        }
        let mut a = device.scratch(self.inputs * adapter.rank)?;
        device.copy(w.trained.slice(adapter.a.clone()), a.view_mut())?;
        scale::forward(device, adapter.scale, a.view_mut())?;
        let shape = Shape { inputs: adapter.rank, ..self.shape(self.inputs) };
        let b = w.trained.slice(adapter.b.clone());
        product::forward(device, shape, a.view(), b, merged.view_mut(), true)?;
        Ok(Some(merged))
    }
}

/// Adds xᵀ dy of one group of tokens after another to a part of the gradient, if what it is of is trained.
fn weight_gradient(
    device: &Device,
    shape: Shape,
    groups: &[Range<usize>],
    (x, dy): (Numbers<'_>, Numbers<'_>),
    part: Option<&Range<usize>>,
    dw: &mut Buffer,
) -> Result<(), KernelError> {
    let Some(part) = part else { return Ok(()) };
    for group in groups {
        let shape = Shape { rows: group.len(), ..shape };
        let x = x.slice(group.start * shape.inputs..group.end * shape.inputs);
        let dy = dy.slice(group.start * shape.outputs..group.end * shape.outputs);
        product::backward_weight(device, shape, x, dy, dw.slice_mut(part.clone()))?;
    }
    Ok(())
}
