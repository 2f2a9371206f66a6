//! The weights of all products as decoding reads them, once for each new token of all rows.

use super::trunk::{Matrix, Place, Trunk, Values};
use std::ops::Range;

use crate::kernels::product::{Packed, Shape, WeightLayout};
use crate::kernels::{Buffer, Device, KernelError, Numbers, Threads, ViewMut, scale};

/// The weights of all products.
#[derive(Debug)]
pub(super) struct PackedWeights {
    pub(super) layers: Vec<PackedLayer>,
    pub(super) output: Packed,
}

#[derive(Debug)]
pub(super) struct PackedLayer {
    pub(super) qkv: PackedMatrix,
    pub(super) attention_out: PackedMatrix,
    pub(super) gate_up: PackedMatrix,
    pub(super) down: PackedMatrix,
}

/// A matrix and its adapter: merged where the matrix is in f32; beside it where it is in bfloat16, since rounding the sum
/// would lose what a short training has changed.
#[derive(Debug)]
pub(super) struct PackedMatrix {
    weight: Packed,
    adapter: Option<PackedAdapter>,
}

#[derive(Debug)]
struct PackedAdapter {
    a: Packed,
    b: Packed,
    rank: usize,
    scale: f32,
}

/// Room that products use.
#[derive(Debug, Default)]
pub(super) struct Product {
    pub(super) x: Vec<f32>,
    low: Vec<f32>,
}

impl PackedWeights {
    pub(super) fn new(trunk: &Trunk, w: Values<'_>, output: &Place) -> Result<Self, KernelError> {
        let dims = &trunk.dims;
        let matrix = |matrix: &Matrix| PackedMatrix::new(&trunk.device, matrix, w);
        let layers = trunk.places.layers.iter().map(|place| {
            Ok(PackedLayer {
                qkv: matrix(&place.qkv)?,
                attention_out: matrix(&place.attention_out)?,
                gate_up: matrix(&place.gate_up)?,
                down: matrix(&place.down)?,
            })
        });
        let layers = layers.collect::<Result<_, KernelError>>()?;
        let layout = if dims.tied { WeightLayout::OutIn } else { WeightLayout::InOut };
        Ok(Self { layers, output: pack([dims.width, dims.vocabulary], layout, w.weight(output))? })
    }
}

fn pack(
    [inputs, outputs]: [usize; 2],
    layout: WeightLayout,
    weight: Numbers<'_>,
) -> Result<Packed, KernelError> {
    let shape = Shape { rows: 0, inputs, outputs, layout };
    Ok(Packed::new(Threads::Pool, shape, weight.host("decode")?))
}

impl PackedMatrix {
    fn new(device: &Device, matrix: &Matrix, w: Values<'_>) -> Result<Self, KernelError> {
        let Matrix { inputs, outputs, weight, adapter } = matrix;
        let (inputs, outputs) = (*inputs, *outputs);
        let pack = |sizes, weight| pack(sizes, WeightLayout::InOut, weight);
        match (w.weight(weight), adapter) {
            (weight, None) => Ok(Self { weight: pack([inputs, outputs], weight)?, adapter: None }),
            (Numbers::Float32(weight), Some(_)) => {
                let merged = matrix.merged(device, w)?;
                let weight = merged.as_ref().map_or(weight, Buffer::view);
                Ok(Self { weight: pack([inputs, outputs], weight.into())?, adapter: None })
            }
            (weight @ Numbers::Bfloat16(_), Some(adapter)) => {
                let rank = adapter.rank;
                let half = |range: &Range<usize>| w.trained.slice(range.clone()).into();
                let adapter = PackedAdapter {
                    a: pack([inputs, rank], half(&adapter.a))?,
                    b: pack([rank, outputs], half(&adapter.b))?,
                    rank,
                    scale: adapter.scale,
                };
                Ok(Self { weight: pack([inputs, outputs], weight)?, adapter: Some(adapter) })
            }
        }
    }

    /// y = x W + s x A B, or that added to y, for x `[rows, inputs]`. A row's numbers depend on that row alone.
    pub(super) fn forward(
        &self,
        threads: Threads,
        device: &Device,
        x: &[f32],
        y: &mut [f32],
        accumulate: bool,
        room: &mut Product,
    ) -> Result<(), KernelError> {
        self.weight.forward(threads, x, y, accumulate, &mut room.x);
        let Some(PackedAdapter { a, b, rank, scale }) = &self.adapter else { return Ok(()) };
        room.low.resize(x.len() / self.weight.inputs() * rank, 0.0);
        a.forward(threads, x, &mut room.low, false, &mut room.x);
        scale::forward(device, *scale, ViewMut::Host(&mut room.low))?;
        b.forward(threads, &room.low, y, true, &mut room.x);
        Ok(())
    }
}
