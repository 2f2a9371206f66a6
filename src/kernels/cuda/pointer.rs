//! [`Pointer`]: numbers in either precision, as kernels take them.

use cudarc::driver::sys::CUdeviceptr;
use cudarc::driver::{DevicePtr, DevicePtrMut};
use half::bf16;

use super::Cuda;
use crate::kernels::{KernelError, Numbers, NumbersMut};

/// Where numbers lie on a device, and whether they have two bytes each. It outlives no borrow by itself: whoever queues a
/// kernel with it holds the buffer meanwhile.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pointer {
    pub(crate) address: CUdeviceptr,
    pub(crate) bfloat16: bool,
}

impl Pointer {
    /// From number `first` on.
    pub(crate) fn from(self, first: usize) -> Self {
        let width = if self.bfloat16 { size_of::<bf16>() } else { size_of::<f32>() };
        Self { address: self.address + (first * width) as CUdeviceptr, ..self }
    }

    /// The kernel for these numbers, of one for f32 and one for bfloat16.
    pub(crate) fn pick(self, names: [&'static str; 2]) -> &'static str {
        names[usize::from(self.bfloat16)]
    }

    /// The same, where all of `others` must be in the same precision.
    ///
    /// # Errors
    /// [`KernelError::Mixed`] if one is not.
    pub(crate) fn pick_for(
        self,
        op: &'static str,
        others: &[Self],
        names: [&'static str; 2],
    ) -> Result<&'static str, KernelError> {
        match others.iter().all(|other| other.bfloat16 == self.bfloat16) {
            true => Ok(self.pick(names)),
            false => Err(KernelError::Mixed { op }),
        }
    }
}

impl Numbers<'_> {
    /// The numbers, for the CUDA kernel of `op`.
    pub(crate) fn pointer(&self, op: &'static str, cuda: &Cuda) -> Result<Pointer, KernelError> {
        let stream = cuda.stream();
        Ok(match self {
            Self::Float32(view) => {
                Pointer { address: view.cuda(op, cuda)?.device_ptr(stream).0, bfloat16: false }
            }
            Self::Bfloat16(view) => {
                Pointer { address: view.cuda(op, cuda)?.device_ptr(stream).0, bfloat16: true }
            }
        })
    }
}

impl NumbersMut<'_> {
    /// The numbers, for the CUDA kernel of `op`, which may write them as long as they are borrowed.
    pub(crate) fn pointer(self, op: &'static str, cuda: &Cuda) -> Result<Pointer, KernelError> {
        let stream = cuda.stream();
        Ok(match self {
            Self::Float32(view) => {
                Pointer { address: view.cuda(op, cuda)?.device_ptr_mut(stream).0, bfloat16: false }
            }
            Self::Bfloat16(view) => {
                Pointer { address: view.cuda(op, cuda)?.device_ptr_mut(stream).0, bfloat16: true }
            }
        })
    }
}
