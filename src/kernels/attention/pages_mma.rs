//! Attention of new tokens over pages in bfloat16, on the tensor cores.

use cudarc::driver::CudaFunction;

use super::mma::PADDING;
use super::pages::{SIZES, SPLIT};
use crate::kernels::KernelError;
use crate::kernels::cuda::{Cuda, Source};

pub(in crate::kernels) const SOURCE: &Source =
    &Source { file: "pages_mma.cu", code: include_str!("pages_mma.cu") };

/// Query heads of a block.
pub(super) const GROUP: usize = 16;
/// Kernels by the numbers of a head in a page.
const ATTEND: [&str; 3] = ["pages_mma_attend_32", "pages_mma_attend_64", "pages_mma_attend_128"];

/// Tokens whose keys and values a block holds at once.
const HELD: [usize; 3] = [SPLIT, SPLIT, SPLIT / 2];

/// The kernel for heads of that place among [`SIZES`], and its bytes of shared memory: queries, keys and values.
pub(super) fn kernel(cuda: &Cuda, place: usize) -> Result<(CudaFunction, u32), KernelError> {
    let shared = ((GROUP + 2 * HELD[place]) * (SIZES[place] + PADDING) * size_of::<u16>()) as u32;
    Ok((cuda.kernel_with_shared(SOURCE, ATTEND[place], shared)?, shared))
}
