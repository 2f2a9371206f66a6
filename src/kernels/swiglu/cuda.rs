//! SwiGLU on CUDA: a block for each row.

use cudarc::driver::PushKernelArg;

use crate::kernels::cuda::{Cuda, Source, run};
use crate::kernels::{KernelError, View, ViewMut};

pub(in crate::kernels) const SOURCE: &Source = &Source { file: "swiglu.cu", code: include_str!("swiglu.cu") };

const THREADS: u32 = 256;

pub(super) fn forward(
    cuda: &Cuda,
    op: &'static str,
    hidden: usize,
    gate_up: View<'_>,
    a: ViewMut<'_>,
) -> Result<(), KernelError> {
    let rows = a.len() / hidden.max(1);
    let (gate_up, mut a) = (gate_up.cuda(op, cuda)?, a.cuda(op, cuda)?);
    if rows == 0 {
        return Ok(());
    }
    let kernel = cuda.kernel(SOURCE, "swiglu_forward")?;
    let mut call = cuda.call(&kernel);
    call.arg(&gate_up).arg(&mut a).arg(&hidden);
    // SAFETY: the kernel's arguments; the op has checked that the buffers are rows of `hidden` and of twice that, and each
    // row has a block.
    unsafe { run(call, (rows, 1), THREADS) }
}

pub(super) fn backward(
    cuda: &Cuda,
    op: &'static str,
    hidden: usize,
    gate_up: View<'_>,
    da: View<'_>,
    d_gate_up: ViewMut<'_>,
) -> Result<(), KernelError> {
    let rows = da.len() / hidden.max(1);
    let (gate_up, da) = (gate_up.cuda(op, cuda)?, da.cuda(op, cuda)?);
    let mut d_gate_up = d_gate_up.cuda(op, cuda)?;
    if rows == 0 {
        return Ok(());
    }
    let kernel = cuda.kernel(SOURCE, "swiglu_backward")?;
    let mut call = cuda.call(&kernel);
    call.arg(&gate_up).arg(&da).arg(&mut d_gate_up).arg(&hidden);
    // SAFETY: as above.
    unsafe { run(call, (rows, 1), THREADS) }
}

#[cfg(test)]
mod tests {
    use super::super::{backward, forward};
    use crate::kernels::test_values::{poisoned, twins, uniform};

    #[test]
    fn both_devices_agree() {
        for (n, hidden) in [(0, 4), (1, 1), (3, 31), (33, 300)] {
            let gate_up: Vec<f32> = uniform("x", 2 * n * hidden).iter().map(|x| 8.0 * x).collect();
            twins([1e-5; 2], |device| {
                let (x, da) = (device.upload(&gate_up)?, device.upload(&uniform("da", n * hidden))?);
                let (mut a, mut dx) = (poisoned(device, n * hidden)?, poisoned(device, 2 * n * hidden)?);
                forward(device, hidden, x.view(), a.view_mut())?;
                backward(device, hidden, x.view(), da.view(), dx.view_mut())?;
                Ok([a, dx])
            });
        }
    }
}
