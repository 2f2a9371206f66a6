//! Rotary positions on CUDA: a block for each row.

use cudarc::driver::PushKernelArg;
use cudarc::driver::sys::CUdeviceptr;

use super::{Direction, Table};
use crate::kernels::cuda::{Cuda, Source, run};
use crate::kernels::{Buffer, Indices, KernelError, Numbers, NumbersMut};

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
    x: NumbersMut<'_>,
) -> Result<(), KernelError> {
    let (rows, x) = (positions.len(), x.pointer(op, cuda)?);
    let positions = positions.cuda(op, cuda)?;
    let (cosines, sines) = table.on_cuda(op, cuda)?;
    let (heads, half) = (heads as u32, (table.head_size / 2) as u32);
    let sign = if direction == Direction::Forward { 1.0_f32 } else { -1.0 };
    let kernel = cuda.kernel(SOURCE, x.pick(["rotary_rotate_float32", "rotary_rotate_bfloat16"]))?;
    let mut call = cuda.call(&kernel);
    call.arg(&cosines)
        .arg(&sines)
        .arg(&positions)
        .arg(&x.address)
        .arg(&heads)
        .arg(&half)
        .arg(&stride)
        .arg(&sign);
    // SAFETY: the kernel's arguments; the op has checked that x has a row of `stride`, which holds the heads, for each
    // position, and that the table has each position; all are borrowed, and each row has a block.
    unsafe { run(call, (rows, 1), THREADS) }
}

impl Table {
    /// Cosines and sines, each `[positions, head size / 2]`, for the kernel of `op`.
    pub(in crate::kernels) fn on_cuda(
        &self,
        op: &'static str,
        cuda: &Cuda,
    ) -> Result<(CUdeviceptr, CUdeviceptr), KernelError> {
        let at =
            |angles: &Buffer| Ok::<_, KernelError>(Numbers::from(angles.view()).pointer(op, cuda)?.address);
        Ok((at(&self.cos)?, at(&self.sin)?))
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Direction, Scaling, Table, rotate};
    use crate::kernels::test_values::{activation_of, twins, uniform, wide};

    #[test]
    fn both_devices_agree() {
        for (n, heads, head_size, stride) in [(0, 1, 2, 2), (1, 1, 2, 2), (31, 3, 6, 25), (33, 5, 64, 448)] {
            for direction in [Direction::Forward, Direction::Backward] {
                // multiplied and added at once on CUDA
                for (bfloat16, tolerance) in [(false, 1e-6), (true, 4e-3)] {
                    twins([tolerance], |device| {
                        let table = Table::new(device, head_size, 500, 100.0, Scaling::None)?;
                        let places: Vec<u32> = (0..n as u32).map(|i| i * 13 % 500).collect();
                        let positions = device.indices(&places)?;
                        let mut x = activation_of(device, bfloat16, &uniform("x", n * stride))?;
                        rotate(device, &table, direction, heads, stride, &positions, x.numbers_mut())?;
                        Ok([wide(device, x)?])
                    });
                }
            }
        }
    }
}
