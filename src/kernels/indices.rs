//! [`Indices`]: tokens, positions and places, which the host knows as well as the device.

use super::{Device, KernelError};

/// Whole numbers that say where something is: on the host, where ops check them, and on the device, where kernels read
/// them.
///
/// ```
/// use pspo::kernels::Device;
///
/// let tokens = Device::cpu().indices(&[3, 1, 4])?;
/// assert_eq!(tokens.host(), [3, 1, 4]);
/// # Ok::<(), pspo::kernels::KernelError>(())
/// ```
#[derive(Debug)]
pub struct Indices {
    numbers: Vec<u32>,
    #[cfg(feature = "cuda")]
    copy: Option<super::cuda::Memory<u32>>,
}

impl Device {
    /// These numbers, on the host and on the device.
    ///
    /// # Errors
    /// If the device has no room.
    pub fn indices(&self, numbers: &[u32]) -> Result<Indices, KernelError> {
        Ok(Indices {
            numbers: numbers.to_vec(),
            #[cfg(feature = "cuda")]
            copy: match self.backend() {
                super::Backend::Cpu(_) => None,
                super::Backend::Cuda(cuda) => Some(cuda.upload(numbers)?),
            },
        })
    }
}

impl Indices {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.numbers.len()
    }

    /// None.
    pub fn is_empty(&self) -> bool {
        self.numbers.is_empty()
    }

    /// The numbers.
    pub fn host(&self) -> &[u32] {
        &self.numbers
    }

    /// The first number that is not below `bound`.
    pub(crate) fn first_from(&self, bound: usize) -> Option<u32> {
        self.numbers.iter().copied().find(|&number| number as usize >= bound)
    }

    /// The numbers as the CUDA kernel of `op` reads them.
    #[cfg(feature = "cuda")]
    pub(crate) fn cuda(
        &self,
        op: &'static str,
        device: &super::cuda::Cuda,
    ) -> Result<cudarc::driver::CudaView<'_, u32>, KernelError> {
        let copy = self.copy.as_ref().ok_or(KernelError::OtherDevice { op })?;
        super::View::Cuda(super::cuda::ViewRef::new(copy, 0..copy.len())).cuda(op, device)
    }
}
