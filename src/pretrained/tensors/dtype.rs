//! How the elements of a tensor are stored.

use std::fmt;

/// The type of a tensor's elements in its file.
///
/// The quantized types are ggml's: a tensor is a row of blocks, a block some elements that share their
/// scales. [`super::blocks`] has their layouts.
///
/// ```
/// use pspo::pretrained::tensors::Dtype;
///
/// // 32 elements: a scale of two bytes, and four bits for each.
/// assert_eq!(Dtype::Q4_0.block(), Some((32, 18)));
/// assert_eq!(Dtype::Q4_0.to_string(), "Q4_0");
/// ```
#[allow(non_camel_case_types, reason = "the names that the formats have")]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Dtype {
    /// 32-bit floating point.
    F32,
    /// IEEE 754 half precision.
    F16,
    /// The upper half of an `F32`.
    BF16,
    /// 4 bits and a scale.
    Q4_0,
    /// 4 bits, a scale and a minimum.
    Q4_1,
    /// 5 bits and a scale.
    Q5_0,
    /// 5 bits, a scale and a minimum.
    Q5_1,
    /// 8 bits and a scale.
    Q8_0,
    /// 4 bits, in superblocks of 256 elements whose scales and minima are quantized.
    Q4_K,
    /// 5 bits, as `Q4_K`.
    Q5_K,
    /// 6 bits, in superblocks of 256 elements whose scales are quantized.
    Q6_K,
    /// Any other: a mask of truth values, say. Such a tensor has a name and a shape, but reading it is an
    /// error.
    Other,
}

impl Dtype {
    pub(super) const NAMES: &str = "F32, F16, BF16, Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, Q4_K, Q5_K and Q6_K";

    /// Elements of a block, and its bytes; `None` for [`Dtype::Other`].
    pub const fn block(self) -> Option<(usize, usize)> {
        Some(match self {
            Self::F32 => (1, 4),
            Self::F16 | Self::BF16 => (1, 2),
            Self::Q4_0 => (32, 2 + 16),
            Self::Q4_1 => (32, 2 + 2 + 16),
            Self::Q5_0 => (32, 2 + 4 + 16),
            Self::Q5_1 => (32, 2 + 2 + 4 + 16),
            Self::Q8_0 => (32, 2 + 32),
            Self::Q4_K => (256, 2 + 2 + 12 + 128),
            Self::Q5_K => (256, 2 + 2 + 12 + 32 + 128),
            Self::Q6_K => (256, 128 + 64 + 16 + 2),
            Self::Other => return None,
        })
    }
}

impl fmt::Display for Dtype {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Other => f.write_str("another type"),
            named => write!(f, "{named:?}"),
        }
    }
}
