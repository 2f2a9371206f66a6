//! RMSNorm on CUDA: a warp for each row; dw in two passes, over parts of the rows and then over the parts.

use cudarc::driver::PushKernelArg;

use crate::kernels::cuda::{Cuda, Source, run};
use crate::kernels::{KernelError, View, ViewMut};

pub(in crate::kernels) const SOURCE: &Source =
    &Source { file: "rms_norm.cu", code: include_str!("rms_norm.cu") };

/// Rows, each of one warp, of a block.
const BLOCK_ROWS: usize = 8;
const ROW_THREADS: u32 = 32 * BLOCK_ROWS as u32;
/// Columns, each of one thread, of a block.
const BLOCK_COLUMNS: usize = 128;
const COLUMN_THREADS: u32 = BLOCK_COLUMNS as u32;
/// Rows of a part of dw at the least, and parts at the most: enough blocks for a large device, and few
/// enough parts that the second pass is short. Nothing of the device decides, so that the order of
/// summation is the same on all.
const PART_ROWS: usize = 32;
const PARTS: usize = 256;

pub(super) fn forward(
    cuda: &Cuda,
    op: &'static str,
    width: usize,
    epsilon: f32,
    x: View<'_>,
    weight: View<'_>,
    y: ViewMut<'_>,
    scale: ViewMut<'_>,
) -> Result<(), KernelError> {
    let rows = scale.len();
    let (x, weight) = (x.cuda(op, cuda)?, weight.cuda(op, cuda)?);
    let (mut y, mut scale) = (y.cuda(op, cuda)?, scale.cuda(op, cuda)?);
    if rows == 0 {
        return Ok(());
    }
    let kernel = cuda.kernel(SOURCE, "rms_norm_forward")?;
    let mut call = cuda.call(&kernel);
    call.arg(&x).arg(&weight).arg(&mut y).arg(&mut scale).arg(&rows).arg(&width).arg(&epsilon);
    // SAFETY: the kernel's arguments; the op has checked the buffers against rows and width, and the
    // kernel checks its row.
    unsafe { run(call, (rows.div_ceil(BLOCK_ROWS), 1), ROW_THREADS) }
}

pub(super) fn backward(
    cuda: &Cuda,
    op: &'static str,
    width: usize,
    x: View<'_>,
    weight: View<'_>,
    scale: View<'_>,
    dy: View<'_>,
    dx: ViewMut<'_>,
    dw: ViewMut<'_>,
) -> Result<(), KernelError> {
    let rows = scale.len();
    let (x, weight, scale) = (x.cuda(op, cuda)?, weight.cuda(op, cuda)?, scale.cuda(op, cuda)?);
    let (dy, mut dx, mut dw) = (dy.cuda(op, cuda)?, dx.cuda(op, cuda)?, dw.cuda(op, cuda)?);
    if rows == 0 {
        return Ok(());
    }

    let kernel = cuda.kernel(SOURCE, "rms_norm_backward_x")?;
    let mut call = cuda.call(&kernel);
    call.arg(&x).arg(&weight).arg(&scale).arg(&dy).arg(&mut dx).arg(&rows).arg(&width);
    // SAFETY: the kernel's arguments; the op has checked the buffers against rows and width, and the
    // kernel checks its row.
    unsafe { run(call, (rows.div_ceil(BLOCK_ROWS), 1), ROW_THREADS) }?;

    let part_rows = rows.div_ceil(PARTS).max(PART_ROWS);
    let count = rows.div_ceil(part_rows);
    let columns = width.div_ceil(BLOCK_COLUMNS);
    let mut parts = cuda.scratch::<f32>(count * width)?;
    let kernel = cuda.kernel(SOURCE, "rms_norm_backward_weight_parts")?;
    let mut call = cuda.call(&kernel);
    call.arg(&x).arg(&scale).arg(&dy).arg(&mut parts).arg(&rows).arg(&width).arg(&part_rows);
    // SAFETY: the kernel's arguments; `parts` has a row for each of the `count` parts, the last of which
    // the kernel ends at `rows`, and the kernel checks its column.
    unsafe { run(call, (columns, count), COLUMN_THREADS) }?;

    let kernel = cuda.kernel(SOURCE, "rms_norm_backward_weight_sum")?;
    let mut call = cuda.call(&kernel);
    call.arg(&parts).arg(&mut dw).arg(&count).arg(&width);
    // SAFETY: as above.
    unsafe { run(call, (columns, 1), COLUMN_THREADS) }
}

#[cfg(test)]
mod tests {
    use super::super::{backward, forward};
    use crate::kernels::cuda::test_device;
    use crate::kernels::test_values::{assert_close, uniform};
    use crate::kernels::{Buffer, Device};

    /// y, scale, dx and dw.
    fn run(device: &Device, rows: usize, width: usize) -> [Vec<f32>; 4] {
        let upload = |name, len| device.upload(&uniform(name, len)).unwrap();
        let (x, w, dy) = (upload("x", rows * width), upload("w", width), upload("dy", rows * width));
        // what a gradient is added to is not zero
        let (mut dx, mut dw) = (upload("dx", rows * width), upload("dw", width));
        let (mut y, mut scale) = (device.zeros(rows * width).unwrap(), device.zeros(rows).unwrap());
        forward(device, width, 1e-5, x.view(), w.view(), y.view_mut(), scale.view_mut()).unwrap();
        backward(device, width, x.view(), w.view(), scale.view(), dy.view(), dx.view_mut(), dw.view_mut())
            .unwrap();
        let download = |buffer: &Buffer| device.download(buffer.view()).unwrap();
        [&y, &scale, &dx, &dw].map(download)
    }

    #[test]
    fn both_devices_agree_and_cuda_with_itself() {
        let Some(cuda) = test_device() else { return };
        // 10,000 rows make parts of more rows than the least
        for rows in [0, 1, 7, 31, 33, 300, 10_000] {
            for width in [1, 31, 32, 33, 64, 129, 576] {
                let got = run(&cuda, rows, width);
                let exact = run(&Device::cpu(), rows, width);
                // dx cancels, and dw sums the rows in another order
                for ((got, exact), tolerance) in got.iter().zip(&exact).zip([1e-5, 1e-5, 1e-4, 1e-4]) {
                    assert_close(got, exact, tolerance);
                }
                assert_eq!(got, run(&cuda, rows, width), "{rows} rows of {width}");
            }
        }
    }
}
