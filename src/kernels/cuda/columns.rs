//! Sums over the rows of a matrix: over parts of the rows at first, and then over the parts.

use cudarc::driver::{CudaSlice, CudaViewMut, PushKernelArg};

use super::{Cuda, Source, run};
use crate::kernels::KernelError;

pub(super) const SOURCE: &Source = &Source { file: "columns.cu", code: include_str!("columns.cu") };

/// Columns, each of one thread, of a block.
const BLOCK: usize = 128;
/// Threads of a block of either pass.
pub(in crate::kernels) const THREADS: u32 = BLOCK as u32;
/// Rows of a part at the least, and parts at the most: enough blocks for a large device, and few enough parts that the
/// second pass is short. Nothing of the device decides, so that the order of summation is the same on all.
const PART_ROWS: usize = 32;
const PARTS: usize = 256;

/// How `rows` rows of `width` numbers are cut.
#[derive(Clone, Copy, Debug)]
pub(in crate::kernels) struct Parts {
    /// Rows of a part; the last may have fewer.
    pub(in crate::kernels) rows: usize,
    /// Parts.
    pub(in crate::kernels) count: usize,
    width: usize,
}

impl Parts {
    pub(in crate::kernels) fn of(rows: usize, width: usize) -> Self {
        let part_rows = rows.div_ceil(PARTS).max(PART_ROWS);
        Self { rows: part_rows, count: rows.div_ceil(part_rows), width }
    }

    /// Room for the sums of the parts, `[count, width]`.
    pub(in crate::kernels) fn room(self, cuda: &Cuda) -> Result<CudaSlice<f32>, KernelError> {
        cuda.scratch(self.count * self.width)
    }

    /// Blocks of the first pass: those of the columns, and the parts.
    pub(in crate::kernels) fn blocks(self) -> (usize, usize) {
        (self.width.div_ceil(BLOCK), self.count)
    }

    /// The second pass: sum `[width]` += Σ parts.
    pub(in crate::kernels) fn add(
        self,
        cuda: &Cuda,
        parts: &CudaSlice<f32>,
        sum: &mut CudaViewMut<'_, f32>,
    ) -> Result<(), KernelError> {
        let kernel = cuda.kernel(SOURCE, "columns_add_parts")?;
        let mut call = cuda.call(&kernel);
        call.arg(parts).arg(sum).arg(&self.count).arg(&self.width);
        // SAFETY: the kernel's arguments; `parts` is `room`, callers give a sum of `width` numbers, and the kernel checks
        // its column.
        unsafe { run(call, (self.blocks().0, 1), THREADS) }
    }
}
