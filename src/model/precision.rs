//! [`Precision`]: how many bytes a weight takes, and which tensors are weights in this sense.

use std::ops::Range;

use serde::{Deserialize, Serialize};

use crate::data::{Layout, LayoutError};
use crate::plugin::value_init::HEAD_WEIGHT;

/// How a model's matrices are held in memory, or numbers are written to files.
///
/// In memory [`Precision::Bfloat16`] holds the trunk's matrices, the embedding table and the output layer in two bytes a
/// number. What is trained of them has a master in f32, which the optimizer changes, checkpoints save, and the model
/// computes with rounded; what is not trained has two bytes alone. All else stays f32: norms, biases, a scalar head, adapters,
/// gradients, activations, and every sum.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Precision {
    /// As they are, in four bytes. `float32` or `f32` in a config file.
    #[default]
    #[serde(alias = "f32")]
    Float32,
    /// Rounded to the nearest bfloat16, of two that are as near to the even one: in two bytes, with 8 bits of precision.
    /// `bfloat16` or `bf16` in a config file.
    #[serde(alias = "bf16")]
    Bfloat16,
}

/// Where a tensor is among values of two precisions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Spot {
    Float32(Range<usize>),
    Bfloat16(Range<usize>),
}

impl Precision {
    /// Whether a tensor is held in two bytes: a matrix of the model itself.
    fn rounds(self, name: &str, shape: &[usize]) -> bool {
        let adapter = name.ends_with(".lora_a") || name.ends_with(".lora_b");
        self == Self::Bfloat16 && shape.len() == 2 && name != HEAD_WEIGHT && !adapter
    }

    /// The layout's tensors in order: name, place in the layout, and spot. Spots of either kind follow one another.
    pub(crate) fn spots(self, layout: &Layout) -> impl Iterator<Item = (&str, Range<usize>, Spot)> {
        let (mut float32, mut bfloat16) = (0, 0);
        layout.iter().map(move |(name, shape, place)| {
            let rounds = self.rounds(name, shape);
            let end = if rounds { &mut bfloat16 } else { &mut float32 };
            let range = *end..*end + place.len();
            *end = range.end;
            (name, place, if rounds { Spot::Bfloat16(range) } else { Spot::Float32(range) })
        })
    }
}

impl Precision {
    /// The spot of the tensor named `name`, and its place in the layout.
    pub(crate) fn spot(self, layout: &Layout, name: &str) -> Result<(Spot, Range<usize>), LayoutError> {
        let found = self.spots(layout).find(|(tensor, ..)| *tensor == name);
        let (_, place, spot) = found.ok_or_else(|| LayoutError::Missing(name.to_owned()))?;
        Ok((spot, place))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Arch, Dims};

    crate::arch! {
        struct Small {
            name: "small", vocabulary: 5, width: 4, layers: 1, heads: 2, kv_heads: 1, head_size: 2, hidden: 3,
            positions: 6, qkv_bias: true,
        }
    }

    #[test]
    fn matrices_are_rounded_and_nothing_else() {
        let dims: Dims = Small::DIMS;
        let rounded = |layout: &Layout| -> Vec<String> {
            let spots = Precision::Bfloat16.spots(layout);
            spots
                .filter(|(.., spot)| matches!(spot, Spot::Bfloat16(_)))
                .map(|(name, ..)| {
                    name.trim_start_matches("trunk.").trim_start_matches("layers.0.").to_owned()
                })
                .collect()
        };
        let trunk = ["embedding", "qkv", "attention_out", "gate_up", "down"];
        assert_eq!(rounded(&dims.policy_layout()), [&trunk[..], &["output.weight"]].concat());
        assert_eq!(rounded(&dims.scalar_layout()), trunk);
        let layout = dims.policy_layout();
        for (_, place, spot) in Precision::Float32.spots(&layout) {
            assert_eq!(spot, Spot::Float32(place));
        }
    }

    #[test]
    fn both_names_are_read() {
        let read = |name: &str| serde_json::from_value::<Precision>(name.into());
        assert_eq!(
            (read("bf16").unwrap(), read("bfloat16").unwrap()),
            (Precision::Bfloat16, Precision::Bfloat16)
        );
        assert_eq!(
            (read("f32").unwrap(), read("float32").unwrap()),
            (Precision::Float32, Precision::Float32)
        );
        let error = read("f16").unwrap_err().to_string();
        assert!(
            error.starts_with("unknown variant `f16`, expected one of") && error.contains("`bf16`"),
            "{error}"
        );
    }
}
