//! [`Pinned`]: numbers on the host that the device reads without a copy in between.

use std::sync::Arc;

use cudarc::driver::{CudaSlice, CudaStream, DeviceRepr, PinnedHostSlice, ValidAsZeroBits};

use super::{Cuda, driver};
use crate::kernels::KernelError;

/// Numbers on the host, of one stream of the device, which may read them long after a copy is queued: whoever writes or
/// frees them waits for it. (cudarc's own type leaves that to events, which a device of one stream has none of.)
pub(crate) struct Pinned<T> {
    numbers: PinnedHostSlice<T>,
    stream: Arc<CudaStream>,
}

impl<T> Drop for Pinned<T> {
    fn drop(&mut self) {
        // a stream that failed reads no more
        let _ = self.stream.synchronize();
    }
}

impl<T: ValidAsZeroBits> Pinned<T> {
    /// The numbers, once the device has read them.
    pub(crate) fn host_slice(&mut self) -> Result<&mut [T], KernelError> {
        driver("waiting for a CUDA device", self.stream.synchronize())?;
        driver("waiting for a CUDA device", self.numbers.as_mut_slice())
    }
}

impl Cuda {
    /// `len` zeros on the host.
    pub(crate) fn pinned<T: DeviceRepr + ValidAsZeroBits>(
        &self,
        len: usize,
    ) -> Result<Pinned<T>, KernelError> {
        // SAFETY: it is filled below.
        let made = unsafe { self.shared.context.alloc_pinned::<T>(len) };
        let made = driver("allocating for a CUDA device", made)?;
        let place = driver("allocating for a CUDA device", made.as_ptr())?.cast_mut();
        // SAFETY: there is room for `len` numbers, and zeros are numbers of that type.
        unsafe { place.write_bytes(0, len) };
        Ok(Pinned { numbers: made, stream: self.stream.clone() })
    }

    /// Copies numbers to memory of the device that has as many.
    pub(crate) fn write<T: DeviceRepr>(
        &self,
        numbers: &Pinned<T>,
        to: &mut CudaSlice<T>,
    ) -> Result<(), KernelError> {
        driver("copying to a CUDA device", self.stream.memcpy_htod(&numbers.numbers, to))
    }
}
