//! [`Tensors`]: the values that a model computes with.

use std::ops::Range;
use std::sync::Arc;

use half::bf16;

use super::precision::{Precision, Spot};
use crate::data::Layout;
use crate::kernels::{Buffer, Device, KernelError, Numbers, View, ViewMut, bfloat16};

/// The values of a layout's tensors on a device, each at its [`Spot`]. Clones share them.
#[derive(Clone, Debug)]
pub(crate) struct Tensors {
    float32: Arc<Buffer>,
    bfloat16: Arc<Buffer<bf16>>,
}

impl Tensors {
    /// Values that `read` gives by name, one tensor after another: no more than one of them is ever whole in f32 beside
    /// what is made.
    pub(crate) fn read<E: From<KernelError>>(
        device: &Device,
        precision: Precision,
        layout: &Layout,
        mut read: impl FnMut(&str, &mut [f32]) -> Result<(), E>,
    ) -> Result<Self, E> {
        let mut made = Self::room(device, precision, layout)?;
        let (float32, bfloat16) = made.own(device)?;
        let mut values = Vec::new();
        for (name, place, spot) in precision.spots(layout) {
            match spot {
                Spot::Float32(range) => match float32.slice_mut(range) {
                    ViewMut::Host(to) => read(name, to)?,
                    #[cfg(feature = "cuda")]
                    to => {
                        values.clear();
                        values.resize(place.len(), 0.0);
                        read(name, &mut values)?;
                        device.copy(device.upload(&values)?.view(), to)?;
                    }
                },
                Spot::Bfloat16(range) => {
                    values.clear();
                    values.resize(place.len(), 0.0);
                    read(name, &mut values)?;
                    let to = bfloat16.slice_mut(range);
                    match &to {
                        ViewMut::Host(_) => bfloat16::round(device, View::Host(&values), to)?,
                        #[cfg(feature = "cuda")]
                        _ => bfloat16::round(device, device.upload(&values)?.view(), to)?,
                    }
                }
            }
        }
        Ok(made)
    }

    /// All values in f32, as they stand in the layout.
    pub(crate) fn of(device: &Device, float32: Buffer) -> Result<Self, KernelError> {
        Ok(Self { float32: Arc::new(float32), bfloat16: Arc::new(device.scratch(0)?) })
    }

    /// The values of masters in f32, which stand as in the layout, those of matrices rounded.
    pub(crate) fn of_masters(
        device: &Device,
        precision: Precision,
        layout: &Layout,
        masters: &Buffer,
    ) -> Result<Self, KernelError> {
        let mut made = Self::room(device, precision, layout)?;
        made.round(device, precision, layout, masters)?;
        Ok(made)
    }

    /// Values to be written.
    fn room(device: &Device, precision: Precision, layout: &Layout) -> Result<Self, KernelError> {
        let (mut float32, mut bfloat16) = (0, 0);
        for (.., spot) in precision.spots(layout) {
            match spot {
                Spot::Float32(range) => float32 = range.end,
                Spot::Bfloat16(range) => bfloat16 = range.end,
            }
        }
        let (float32, bfloat16) = (device.scratch(float32)?, device.scratch(bfloat16)?);
        Ok(Self { float32: Arc::new(float32), bfloat16: Arc::new(bfloat16) })
    }

    /// Takes the values of masters, as [`Tensors::of_masters`].
    pub(crate) fn round(
        &mut self,
        device: &Device,
        precision: Precision,
        layout: &Layout,
        masters: &Buffer,
    ) -> Result<(), KernelError> {
        let (float32, bfloat16) = self.own(device)?;
        for (_, place, spot) in precision.spots(layout) {
            match spot {
                Spot::Float32(range) => device.copy(masters.slice(place), float32.slice_mut(range))?,
                Spot::Bfloat16(range) => {
                    bfloat16::round(device, masters.slice(place), bfloat16.slice_mut(range))?;
                }
            }
        }
        Ok(())
    }

    /// Both buffers, to be written whole: others in their place, where a clone shares them.
    fn own(&mut self, device: &Device) -> Result<(&mut Buffer, &mut Buffer<bf16>), KernelError> {
        if Arc::get_mut(&mut self.float32).is_none() {
            self.float32 = Arc::new(device.scratch(self.float32.len())?);
        }
        if Arc::get_mut(&mut self.bfloat16).is_none() {
            self.bfloat16 = Arc::new(device.scratch(self.bfloat16.len())?);
        }
        let own = "the buffers are this model's alone";
        Ok((Arc::get_mut(&mut self.float32).expect(own), Arc::get_mut(&mut self.bfloat16).expect(own)))
    }

    /// Whether none is rounded: the values are their own masters then.
    pub(crate) fn are_exact(&self) -> bool {
        self.bfloat16.is_empty()
    }

    /// Those in f32, to be changed: a copy first, where a clone shares them.
    pub(crate) fn float32_mut(&mut self, device: &Device) -> Result<&mut Buffer, KernelError> {
        unshared(device, &mut self.float32)
    }

    /// A part of those in f32.
    pub(crate) fn slice(&self, range: Range<usize>) -> View<'_> {
        self.float32.slice(range)
    }

    /// The tensor at a spot.
    pub(crate) fn at(&self, spot: &Spot) -> Numbers<'_> {
        match spot {
            Spot::Float32(range) => self.float32.slice(range.clone()).into(),
            Spot::Bfloat16(range) => self.bfloat16.slice(range.clone()).into(),
        }
    }

    /// The tensor at a spot, on the host.
    pub(crate) fn download(&self, device: &Device, spot: &Spot) -> Result<Vec<f32>, KernelError> {
        match self.at(spot) {
            Numbers::Float32(view) => device.download(view),
            Numbers::Bfloat16(view) => Ok(device.download(view)?.into_iter().map(bf16::to_f32).collect()),
        }
    }
}

/// A shared buffer, to be changed: a copy first, where it is shared indeed.
pub(crate) fn unshared<'a>(
    device: &Device,
    shared: &'a mut Arc<Buffer>,
) -> Result<&'a mut Buffer, KernelError> {
    if Arc::get_mut(shared).is_none() {
        let mut own = device.zeros(shared.len())?;
        device.copy(shared.view(), own.view_mut())?;
        *shared = Arc::new(own);
    }
    Ok(Arc::get_mut(shared).expect("the copy is this model's alone"))
}
