//! A product's bias on CUDA: a block for each row; db in two passes.

use cudarc::driver::PushKernelArg;

use crate::kernels::cuda::columns::{self, Parts};
use crate::kernels::cuda::{Cuda, Source, run};
use crate::kernels::{KernelError, View, ViewMut};

pub(in crate::kernels) const SOURCE: &Source = &Source { file: "bias.cu", code: include_str!("bias.cu") };

const THREADS: u32 = 128;

pub(super) fn forward(
    cuda: &Cuda,
    op: &'static str,
    bias: View<'_>,
    y: ViewMut<'_>,
) -> Result<(), KernelError> {
    let width = bias.len();
    let rows = y.len() / width.max(1);
    let (bias, mut y) = (bias.cuda(op, cuda)?, y.cuda(op, cuda)?);
    if rows == 0 {
        return Ok(());
    }
    let kernel = cuda.kernel(SOURCE, "bias_forward")?;
    let mut call = cuda.call(&kernel);
    call.arg(&bias).arg(&mut y).arg(&width);
    // SAFETY: the kernel's arguments; the op has checked that y consists of rows of `width`, and each has a block.
    unsafe { run(call, (rows, 1), THREADS) }
}

pub(super) fn backward(
    cuda: &Cuda,
    op: &'static str,
    dy: View<'_>,
    db: ViewMut<'_>,
) -> Result<(), KernelError> {
    let width = db.len();
    let rows = dy.len() / width.max(1);
    let (dy, mut db) = (dy.cuda(op, cuda)?, db.cuda(op, cuda)?);
    if rows == 0 {
        return Ok(());
    }
    let cut = Parts::of(rows, width);
    let mut parts = cut.room(cuda)?;
    let kernel = cuda.kernel(SOURCE, "bias_backward_parts")?;
    let mut call = cuda.call(&kernel);
    call.arg(&dy).arg(&mut parts).arg(&rows).arg(&width).arg(&cut.rows);
    // SAFETY: the kernel's arguments; `parts` has a row for each part, the last of which the kernel ends at `rows`, and
    // the kernel checks its column.
    unsafe { run(call, cut.blocks(), columns::THREADS) }?;
    cut.add(cuda, &parts, &mut db)
}

#[cfg(test)]
mod tests {
    use super::super::{backward, forward};
    use crate::kernels::test_values::{poisoned, twins, uniform};

    #[test]
    fn both_devices_agree() {
        // 10,000 rows make parts of more rows than the least
        for (n, width) in [(0, 3), (1, 1), (31, 33), (33, 129), (10_000, 3)] {
            // db sums the rows in another order
            twins([0.0, 1e-4], |device| {
                let bias = device.upload(&uniform("b", width))?;
                let mut y = poisoned(device, n * width)?;
                forward(device, bias.view(), y.view_mut())?;
                let (dy, mut db) =
                    (device.upload(&uniform("dy", n * width))?, device.upload(&vec![1.0; width])?);
                backward(device, dy.view(), db.view_mut())?;
                Ok([y, db])
            });
        }
    }
}
