//! RMSNorm on CUDA: a block for each row, where a row alone must not wait for itself, and a warp for dx; dw in two passes,
//! over parts of the rows and then over the parts.

use cudarc::driver::PushKernelArg;

use crate::kernels::cuda::columns::{self, Parts};
use crate::kernels::cuda::{Cuda, Source, run};
use crate::kernels::{KernelError, Numbers, NumbersMut, View, ViewMut};

pub(in crate::kernels) const SOURCE: &Source =
    &Source { file: "rms_norm.cu", code: include_str!("rms_norm.cu") };

/// Threads of a row in the forward pass.
const ROW_THREADS: u32 = 128;
/// Rows of a block, each of one warp, in the backward pass.
const BLOCK_ROWS: usize = 8;
const BLOCK_THREADS: u32 = 32 * BLOCK_ROWS as u32;

pub(super) fn forward(
    cuda: &Cuda,
    op: &'static str,
    width: usize,
    epsilon: f32,
    x: View<'_>,
    weight: View<'_>,
    y: NumbersMut<'_>,
    scale: ViewMut<'_>,
) -> Result<(), KernelError> {
    let rows = scale.len();
    let (x, weight) = (x.cuda(op, cuda)?, weight.cuda(op, cuda)?);
    let (y, mut scale) = (y.pointer(op, cuda)?, scale.cuda(op, cuda)?);
    let kernel = cuda.kernel(SOURCE, y.pick(["rms_norm_forward_float32", "rms_norm_forward_bfloat16"]))?;
    let mut call = cuda.call(&kernel);
    call.arg(&x).arg(&weight).arg(&y.address).arg(&mut scale).arg(&width).arg(&epsilon);
    // SAFETY: the kernel's arguments; the op has checked the buffers against rows and width, and each row has a block.
    unsafe { run(call, (rows, 1), ROW_THREADS) }
}

pub(super) fn backward(
    cuda: &Cuda,
    op: &'static str,
    width: usize,
    x: View<'_>,
    weight: View<'_>,
    scale: View<'_>,
    dy: Numbers<'_>,
    dx: ViewMut<'_>,
    dw: ViewMut<'_>,
) -> Result<(), KernelError> {
    let rows = scale.len();
    let (x, weight, scale) = (x.cuda(op, cuda)?, weight.cuda(op, cuda)?, scale.cuda(op, cuda)?);
    let (dy, mut dx, mut dw) = (dy.pointer(op, cuda)?, dx.cuda(op, cuda)?, dw.cuda(op, cuda)?);
    if rows == 0 {
        return Ok(());
    }

    let kernel =
        cuda.kernel(SOURCE, dy.pick(["rms_norm_backward_x_float32", "rms_norm_backward_x_bfloat16"]))?;
    let mut call = cuda.call(&kernel);
    call.arg(&x).arg(&weight).arg(&scale).arg(&dy.address).arg(&mut dx).arg(&rows).arg(&width);
    // SAFETY: the kernel's arguments; the op has checked the buffers against rows and width, and the
    // kernel checks its row.
    unsafe { run(call, (rows.div_ceil(BLOCK_ROWS), 1), BLOCK_THREADS) }?;

    let cut = Parts::of(rows, width);
    let mut parts = cut.room(cuda)?;
    let names = ["rms_norm_backward_weight_parts_float32", "rms_norm_backward_weight_parts_bfloat16"];
    let kernel = cuda.kernel(SOURCE, dy.pick(names))?;
    let mut call = cuda.call(&kernel);
    call.arg(&x).arg(&scale).arg(&dy.address).arg(&mut parts).arg(&rows).arg(&width).arg(&cut.rows);
    // SAFETY: the kernel's arguments; `parts` has a row for each part, the last of which the kernel ends at
    // `rows`, and the kernel checks its column.
    unsafe { run(call, cut.blocks(), columns::THREADS) }?;
    cut.add(cuda, &parts, &mut dw)
}

#[cfg(test)]
mod tests {
    use super::super::{backward, forward};
    use crate::kernels::test_values::{activation_of, poisoned, twins, uniform, wide};

    #[test]
    fn both_devices_agree() {
        // 10,000 rows make parts of more rows than the least
        for rows in [0, 1, 7, 33, 300, 10_000] {
            for width in [1, 31, 33, 64, 129, 576] {
                if rows * width > 1_000_000 {
                    continue;
                }
                // dx cancels, and dw sums the rows in another order
                for (bfloat16, of_y) in [(false, 1e-5), (true, 4e-3)] {
                    twins([of_y, 1e-5, 1e-4, 1e-4], |device| {
                        let upload = |name, len| device.upload(&uniform(name, len));
                        let (x, w) = (upload("x", rows * width)?, upload("w", width)?);
                        let dy = activation_of(device, bfloat16, &uniform("dy", rows * width))?;
                        // what a gradient is added to is not zero
                        let (mut dx, mut dw) = (upload("dx", rows * width)?, upload("dw", width)?);
                        let mut y = activation_of(device, bfloat16, &vec![f32::NAN; rows * width])?;
                        let mut scale = poisoned(device, rows)?;
                        forward(device, width, 1e-5, x.view(), w.view(), y.numbers_mut(), scale.view_mut())?;
                        let (x, w, scale_view) = (x.view(), w.view(), scale.view());
                        backward(
                            device,
                            width,
                            x,
                            w,
                            scale_view,
                            dy.numbers(),
                            dx.view_mut(),
                            dw.view_mut(),
                        )?;
                        Ok([wide(device, y)?, scale, dx, dw])
                    });
                }
            }
        }
    }
}
