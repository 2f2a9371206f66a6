//! [`Numbers`] and [`NumbersMut`]: numbers in four bytes each or in two.

use std::ops::Range;

use half::bf16;

use super::{Buffer, Device, KernelError, View, ViewMut};

/// Numbers in either precision, to be read. Ops widen those in bfloat16 and compute in f32.
#[derive(Clone, Copy, Debug)]
pub enum Numbers<'a> {
    /// In four bytes a number.
    Float32(View<'a>),
    /// In two.
    Bfloat16(View<'a, bf16>),
}

/// Numbers in either precision, to be written: rounded as they are stored, where they have two bytes.
#[derive(Debug)]
pub enum NumbersMut<'a> {
    /// In four bytes a number.
    Float32(ViewMut<'a>),
    /// In two.
    Bfloat16(ViewMut<'a, bf16>),
}

impl<'a> From<View<'a>> for Numbers<'a> {
    fn from(view: View<'a>) -> Self {
        Self::Float32(view)
    }
}

impl<'a> From<View<'a, bf16>> for Numbers<'a> {
    fn from(view: View<'a, bf16>) -> Self {
        Self::Bfloat16(view)
    }
}

impl<'a> From<ViewMut<'a>> for NumbersMut<'a> {
    fn from(view: ViewMut<'a>) -> Self {
        Self::Float32(view)
    }
}

impl<'a> From<ViewMut<'a, bf16>> for NumbersMut<'a> {
    fn from(view: ViewMut<'a, bf16>) -> Self {
        Self::Bfloat16(view)
    }
}

impl<'a> Numbers<'a> {
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
    pub(crate) fn host(self, op: &'static str) -> Result<HostNumbers<'a>, KernelError> {
        Ok(match self {
            Self::Float32(view) => HostNumbers::Float32(view.host(op)?),
            Self::Bfloat16(view) => HostNumbers::Bfloat16(view.host(op)?),
        })
    }

    /// The host's slice, for a CPU kernel of `op` that reads f32 alone.
    pub(crate) fn float32(self, op: &'static str) -> Result<&'a [f32], KernelError> {
        match self {
            Self::Float32(view) => view.host(op),
            Self::Bfloat16(_) => Err(KernelError::Unsupported { op }),
        }
    }

    /// A part.
    ///
    /// # Panics
    /// If the range is not within them, as slice indexing does.
    #[must_use]
    pub fn slice(self, range: Range<usize>) -> Self {
        match self {
            Self::Float32(view) => Self::Float32(view.slice(range)),
            Self::Bfloat16(view) => Self::Bfloat16(view.slice(range)),
        }
    }

    /// Checks the length that the contract of `op` asks of `buffer`.
    pub(crate) fn expect(
        &self,
        op: &'static str,
        buffer: &'static str,
        needed: usize,
    ) -> Result<(), KernelError> {
        match self {
            Self::Float32(view) => view.expect(op, buffer, needed),
            Self::Bfloat16(view) => view.expect(op, buffer, needed),
        }
    }
}

impl<'a> NumbersMut<'a> {
    /// The same, for a shorter time.
    pub fn reborrow(&mut self) -> NumbersMut<'_> {
        match self {
            Self::Float32(view) => NumbersMut::Float32(view.reborrow()),
            Self::Bfloat16(view) => NumbersMut::Bfloat16(view.reborrow()),
        }
    }

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

    /// The host's slice, for a CPU kernel of `op`, all of which write f32.
    pub(crate) fn host(self, op: &'static str) -> Result<&'a mut [f32], KernelError> {
        match self {
            Self::Float32(view) => view.host(op),
            Self::Bfloat16(_) => Err(KernelError::Unsupported { op }),
        }
    }

    /// Checks the length that the contract of `op` asks of `buffer`.
    pub(crate) fn expect(
        &self,
        op: &'static str,
        buffer: &'static str,
        needed: usize,
    ) -> Result<(), KernelError> {
        match self {
            Self::Float32(view) => view.expect(op, buffer, needed),
            Self::Bfloat16(view) => view.expect(op, buffer, needed),
        }
    }
}

/// [`Numbers`] on the host.
#[derive(Clone, Copy, Debug)]
pub(crate) enum HostNumbers<'a> {
    Float32(&'a [f32]),
    Bfloat16(&'a [bf16]),
}

impl HostNumbers<'_> {
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

/// Activations, in the precision that a device computes a model's in: what products read and write.
#[derive(Debug)]
pub(crate) enum Activation {
    Float32(Buffer),
    Bfloat16(Buffer<bf16>),
}

impl Device {
    /// Activations of any value, for an op to write: in bfloat16 if the model's weights are and the device multiplies in
    /// it, which the CPU does not.
    pub(crate) fn activation(&self, bfloat16: bool, len: usize) -> Result<Activation, KernelError> {
        match bfloat16 && self.multiplies_in_bfloat16() {
            true => Ok(Activation::Bfloat16(self.scratch(len)?)),
            false => Ok(Activation::Float32(self.scratch(len)?)),
        }
    }
}

impl Activation {
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.numbers().len()
    }

    /// To be read.
    pub(crate) fn numbers(&self) -> Numbers<'_> {
        match self {
            Self::Float32(buffer) => buffer.view().into(),
            Self::Bfloat16(buffer) => buffer.view().into(),
        }
    }

    /// A part, to be written.
    #[cfg(feature = "cuda")]
    pub(crate) fn slice_mut(&mut self, range: Range<usize>) -> NumbersMut<'_> {
        match self {
            Self::Float32(buffer) => buffer.slice_mut(range).into(),
            Self::Bfloat16(buffer) => buffer.slice_mut(range).into(),
        }
    }

    /// To be written.
    pub(crate) fn numbers_mut(&mut self) -> NumbersMut<'_> {
        match self {
            Self::Float32(buffer) => buffer.view_mut().into(),
            Self::Bfloat16(buffer) => buffer.view_mut().into(),
        }
    }
}
