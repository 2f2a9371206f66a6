//! Attention in bfloat16 on the tensor cores of a CUDA device.

use cudarc::driver::CudaFunction;

use super::Heads;
use super::cuda::SIZES;
use super::rows::TILE;
use crate::kernels::KernelError;
use crate::kernels::cuda::{Cuda, Pointer, Source};

pub(in crate::kernels) const SOURCE: &Source = &Source { file: "mma.cu", code: include_str!("mma.cu") };

/// What a row has more than its numbers in shared memory (`cuda/factors.cuh`).
pub(super) const PADDING: usize = 8;
/// Threads of a block.
pub(super) const THREADS: u32 = 128;

/// A kernel for each of [`SIZES`], and the tiles that it holds in shared memory.
pub(super) struct Kernel {
    names: [&'static str; 4],
    tiles: usize,
}

pub(super) const FORWARD: Kernel =
    Kernel { names: ["mma_forward_16", "mma_forward_32", "mma_forward_64", "mma_forward_128"], tiles: 5 };
pub(super) const BACKWARD_KEYS: Kernel = Kernel {
    names: ["mma_backward_keys_16", "mma_backward_keys_32", "mma_backward_keys_64", "mma_backward_keys_128"],
    tiles: 4,
};
pub(super) const BACKWARD_QUERIES: Kernel = Kernel {
    names: [
        "mma_backward_queries_16",
        "mma_backward_queries_32",
        "mma_backward_queries_64",
        "mma_backward_queries_128",
    ],
    tiles: 4,
};

impl Kernel {
    /// The kernel for such heads and numbers, and its bytes of shared memory; `None` where there is none: the kernels of
    /// `attention.cu` are for all.
    pub(super) fn of(
        &self,
        cuda: &Cuda,
        heads: Heads,
        numbers: &[Pointer],
    ) -> Result<Option<(CudaFunction, u32)>, KernelError> {
        // rows are copied 16 bytes at a time
        let fits = heads.size.is_multiple_of(8)
            && numbers.iter().all(|numbers| numbers.bfloat16 && numbers.address.is_multiple_of(16));
        let Some(place) = SIZES.iter().position(|&held| heads.size <= held).filter(|_| fits) else {
            return Ok(None);
        };
        let shared = (self.tiles * TILE * (SIZES[place] + PADDING) * size_of::<u16>()) as u32;
        Ok(Some((cuda.kernel_with_shared(SOURCE, self.names[place], shared)?, shared)))
    }
}
