//! [`Weight`]: a weight as ops read it, in four bytes a number or in two.

use half::bf16;

use super::{KernelError, View};

/// A weight, to be read.
#[derive(Clone, Copy, Debug)]
pub enum Weight<'a> {
    /// In four bytes a number.
    Float32(View<'a>),
    /// In two.
    Bfloat16(View<'a, bf16>),
}

impl<'a> From<View<'a>> for Weight<'a> {
    fn from(view: View<'a>) -> Self {
        Self::Float32(view)
    }
}

impl<'a> From<View<'a, bf16>> for Weight<'a> {
    fn from(view: View<'a, bf16>) -> Self {
        Self::Bfloat16(view)
    }
}

impl<'a> Weight<'a> {
    /// The number of elements.
    pub fn len(&self) -> usize {
        match self {
            Self::Float32(view) => view.len(),
            Self::Bfloat16(view) => view.len(),
        }
    }

    /// No elements.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The host's slice, for the CPU kernel of `op`.
    pub(crate) fn host(self, op: &'static str) -> Result<HostWeight<'a>, KernelError> {
        Ok(match self {
            Self::Float32(view) => HostWeight::Float32(view.host(op)?),
            Self::Bfloat16(view) => HostWeight::Bfloat16(view.host(op)?),
        })
    }
}

/// A [`Weight`] on the host.
#[derive(Clone, Copy, Debug)]
pub(crate) enum HostWeight<'a> {
    Float32(&'a [f32]),
    Bfloat16(&'a [bf16]),
}

impl HostWeight<'_> {
    /// What comes from element `start` on.
    pub(crate) fn from(self, start: usize) -> Self {
        match self {
            Self::Float32(numbers) => Self::Float32(&numbers[start..]),
            Self::Bfloat16(numbers) => Self::Bfloat16(&numbers[start..]),
        }
    }

    pub(crate) fn len(self) -> usize {
        match self {
            Self::Float32(numbers) => numbers.len(),
            Self::Bfloat16(numbers) => numbers.len(),
        }
    }
}
