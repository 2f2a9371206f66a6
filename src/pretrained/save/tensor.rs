//! A file's tensor, made of the trunk's when it is written.

use std::borrow::Cow;

use half::bf16;
use safetensors::Dtype;
use safetensors::tensor::View;

use crate::model::Precision;
use crate::pretrained::names::{Order, Source};

impl Precision {
    /// The name of torch's type.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Float32 => "float32",
            Self::Bfloat16 => "bfloat16",
        }
    }

    fn bytes(self, values: impl Iterator<Item = f32>) -> Vec<u8> {
        match self {
            Self::Float32 => values.flat_map(f32::to_le_bytes).collect(),
            Self::Bfloat16 => values.flat_map(|value| bf16::from_f32(value).to_le_bytes()).collect(),
        }
    }
}

/// A file's tensor, made of the trunk's when it is written.
pub(super) struct Tensor<'a> {
    pub(super) source: &'a Source,
    /// The trunk's tensor, of which the file's is a part.
    pub(super) values: &'a [f32],
    pub(super) columns: usize,
    pub(super) precision: Precision,
}

impl View for Tensor<'_> {
    fn dtype(&self) -> Dtype {
        match self.precision {
            Precision::Float32 => Dtype::F32,
            Precision::Bfloat16 => Dtype::BF16,
        }
    }

    fn shape(&self) -> &[usize] {
        &self.source.shape
    }

    fn data(&self) -> Cow<'_, [u8]> {
        let Self { source, values, columns, precision } = self;
        Cow::Owned(match source.order {
            Order::Kept => precision.bytes(values.iter().copied()),
            order => precision.bytes((0..source.shape[0]).flat_map(|row| {
                let column = source.column + order.place(row);
                values.chunks_exact(*columns).map(move |row| row[column])
            })),
        })
    }

    fn data_len(&self) -> usize {
        self.source.shape.iter().product::<usize>() * self.dtype().bitsize() / 8
    }
}
