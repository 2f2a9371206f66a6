//! A product's bias on CUDA: a block for each row; db in two passes.

use cudarc::driver::PushKernelArg;

use crate::kernels::cuda::columns::{self, Parts};
use crate::kernels::cuda::{Cuda, Source, run};
use crate::kernels::{KernelError, Numbers, NumbersMut, View, ViewMut};

pub(in crate::kernels) const SOURCE: &Source = &Source { file: "bias.cu", code: include_str!("bias.cu") };

const THREADS: u32 = 128;

pub(super) fn forward(
    cuda: &Cuda,
    op: &'static str,
    bias: View<'_>,
    y: NumbersMut<'_>,
) -> Result<(), KernelError> {
    let width = bias.len();
    let rows = y.len() / width.max(1);
    let (bias, y) = (bias.cuda(op, cuda)?, y.pointer(op, cuda)?);
    let kernel = cuda.kernel(SOURCE, y.pick(["bias_forward_float32", "bias_forward_bfloat16"]))?;
    let mut call = cuda.call(&kernel);
    call.arg(&bias).arg(&y.address).arg(&width);
    // SAFETY: the kernel's arguments; the op has checked that y consists of rows of `width`, and each has a block.
    unsafe { run(call, (rows, 1), THREADS) }
}

pub(super) fn backward(
    cuda: &Cuda,
    op: &'static str,
    dy: Numbers<'_>,
    db: ViewMut<'_>,
) -> Result<(), KernelError> {
    let width = db.len();
    let rows = dy.len() / width.max(1);
    let (dy, mut db) = (dy.pointer(op, cuda)?, db.cuda(op, cuda)?);
    if rows == 0 {
        return Ok(());
    }
    let cut = Parts::of(rows, width);
    let mut parts = cut.room(cuda)?;
    let kernel =
        cuda.kernel(SOURCE, dy.pick(["bias_backward_parts_float32", "bias_backward_parts_bfloat16"]))?;
    let mut call = cuda.call(&kernel);
    call.arg(&dy.address).arg(&mut parts).arg(&rows).arg(&width).arg(&cut.rows);
    // SAFETY: the kernel's arguments; `parts` has a row for each part, the last of which the kernel ends at `rows`, and
    // the kernel checks its column.
    unsafe { run(call, cut.blocks(), columns::THREADS) }?;
    cut.add(cuda, &parts, &mut db)
}

#[cfg(test)]
mod tests {
    use super::super::{backward, forward};
    use crate::kernels::test_values::{activation_of, twins, uniform, wide};

    #[test]
    fn both_devices_agree() {
        // 10,000 rows make parts of more rows than the least
        for (n, width) in [(0, 3), (1, 1), (31, 33), (33, 129), (10_000, 3)] {
            for bfloat16 in [false, true] {
                // a result in bfloat16 is off by half of its last bit, of 8; db sums the rows in another order
                twins([if bfloat16 { 4e-3 } else { 0.0 }, 1e-4], |device| {
                    let bias = device.upload(&uniform("b", width))?;
                    let mut y = activation_of(device, bfloat16, &vec![f32::NAN; n * width])?;
                    forward(device, bias.view(), y.numbers_mut())?;
                    let dy = activation_of(device, bfloat16, &uniform("dy", n * width))?;
                    let mut db = device.upload(&vec![1.0; width])?;
                    backward(device, dy.numbers(), db.view_mut())?;
                    Ok([wide(device, y)?, db])
                });
            }
        }
    }
}
