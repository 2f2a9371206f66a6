//! Rotary positions on CUDA: a block for each row.

use cudarc::driver::PushKernelArg;

use super::{Direction, Table};
use crate::kernels::cuda::{Cuda, Source, run};
use crate::kernels::{Indices, KernelError, ViewMut};

pub(in crate::kernels) const SOURCE: &Source = &Source { file: "rotary.cu", code: include_str!("rotary.cu") };

const THREADS: u32 = 128;

pub(super) fn rotate(
    cuda: &Cuda,
    op: &'static str,
    table: &Table,
    direction: Direction,
    heads: usize,
    stride: usize,
    positions: &Indices,
    x: ViewMut<'_>,
) -> Result<(), KernelError> {
    let (rows, mut x) = (positions.len(), x.cuda(op, cuda)?);
    let (cosines, sines) = (table.cos.view().cuda(op, cuda)?, table.sin.view().cuda(op, cuda)?);
    let (heads, half) = (heads as u32, (table.head_size / 2) as u32);
    if rows == 0 || heads * half == 0 {
        return Ok(());
    }
    let positions = positions.cuda(op, cuda)?;
    let sign = if direction == Direction::Forward { 1.0_f32 } else { -1.0 };
    let kernel = cuda.kernel(SOURCE, "rotary_rotate")?;
    let mut call = cuda.call(&kernel);
    call.arg(&cosines).arg(&sines).arg(&positions).arg(&mut x).arg(&heads).arg(&half).arg(&stride).arg(&sign);
    // SAFETY: the kernel's arguments; the op has checked that x has a row of `stride`, which holds the heads, for each
    // position, and that the table has each position.
    unsafe { run(call, (rows, 1), THREADS) }
}

#[cfg(test)]
mod tests {
    use super::super::{Direction, Scaling, Table, rotate};
    use crate::kernels::test_values::{twins, uniform};

    #[test]
    fn both_devices_agree() {
        for (n, heads, head_size, stride) in [(0, 1, 2, 2), (1, 1, 2, 2), (31, 3, 6, 25), (33, 5, 64, 448)] {
            // multiplied and added at once on CUDA
            twins([1e-6; 2], |device| {
                let table = Table::new(device, head_size, 500, 100.0, Scaling::None)?;
                let places: Vec<u32> = (0..n as u32).map(|i| i * 13 % 500).collect();
                let positions = device.indices(&places)?;
                let mut x = device.upload(&uniform("x", n * stride))?;
                rotate(device, &table, Direction::Forward, heads, stride, &positions, x.view_mut())?;
                let mut back = device.upload(&device.download(x.view())?)?;
                rotate(device, &table, Direction::Backward, heads, stride, &positions, back.view_mut())?;
                Ok([x, back])
            });
        }
    }
}
