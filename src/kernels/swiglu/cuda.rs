//! SwiGLU on CUDA: a block for each row.

use cudarc::driver::PushKernelArg;

use crate::kernels::cuda::{Cuda, Source, run};
use crate::kernels::{KernelError, Numbers, NumbersMut};

pub(in crate::kernels) const SOURCE: &Source = &Source { file: "swiglu.cu", code: include_str!("swiglu.cu") };

const THREADS: u32 = 256;

pub(super) fn forward(
    cuda: &Cuda,
    op: &'static str,
    hidden: usize,
    gate_up: Numbers<'_>,
    a: NumbersMut<'_>,
) -> Result<(), KernelError> {
    let rows = a.len() / hidden.max(1);
    let (gate_up, a) = (gate_up.pointer(op, cuda)?, a.pointer(op, cuda)?);
    let name = a.pick_for(op, &[gate_up], ["swiglu_forward_float32", "swiglu_forward_bfloat16"])?;
    let kernel = cuda.kernel(SOURCE, name)?;
    let mut call = cuda.call(&kernel);
    call.arg(&gate_up.address).arg(&a.address).arg(&hidden);
    // SAFETY: the kernel's arguments; the op has checked that the buffers are rows of `hidden` and of twice that, and each
    // row has a block.
    unsafe { run(call, (rows, 1), THREADS) }
}

pub(super) fn backward(
    cuda: &Cuda,
    op: &'static str,
    hidden: usize,
    gate_up: Numbers<'_>,
    da: Numbers<'_>,
    d_gate_up: NumbersMut<'_>,
) -> Result<(), KernelError> {
    let rows = da.len() / hidden.max(1);
    let (gate_up, da) = (gate_up.pointer(op, cuda)?, da.pointer(op, cuda)?);
    let d_gate_up = d_gate_up.pointer(op, cuda)?;
    let names = ["swiglu_backward_float32", "swiglu_backward_bfloat16"];
    let name = d_gate_up.pick_for(op, &[gate_up, da], names)?;
    let kernel = cuda.kernel(SOURCE, name)?;
    let mut call = cuda.call(&kernel);
    call.arg(&gate_up.address).arg(&da.address).arg(&d_gate_up.address).arg(&hidden);
    // SAFETY: as above.
    unsafe { run(call, (rows, 1), THREADS) }
}

#[cfg(test)]
mod tests {
    use super::super::{backward, forward};
    use crate::kernels::KernelError;
    use crate::kernels::cuda::test_device;
    use crate::kernels::test_values::{activation_of, twins, uniform, wide};

    #[test]
    fn both_devices_agree() {
        for (n, hidden) in [(0, 4), (1, 1), (3, 31), (33, 300), (5, 2056)] {
            let gate_up: Vec<f32> = uniform("x", 2 * n * hidden).iter().map(|x| 8.0 * x).collect();
            for (bfloat16, tolerance) in [(false, 1e-5), (true, 4e-3)] {
                twins([tolerance; 2], |device| {
                    let activation = |values: &[f32]| activation_of(device, bfloat16, values);
                    let (x, da) = (activation(&gate_up)?, activation(&uniform("da", n * hidden))?);
                    let mut a = activation(&vec![f32::NAN; n * hidden])?;
                    let mut dx = activation(&vec![f32::NAN; 2 * n * hidden])?;
                    forward(device, hidden, x.numbers(), a.numbers_mut())?;
                    backward(device, hidden, x.numbers(), da.numbers(), dx.numbers_mut())?;
                    Ok([wide(device, a)?, wide(device, dx)?])
                });
            }
        }
    }

    #[test]
    fn two_precisions_are_an_error() {
        let Some(device) = test_device() else { return };
        let x = activation_of(&device, false, &[1.0, 2.0]).unwrap();
        let mut a = activation_of(&device, true, &[0.0]).unwrap();
        let error = forward(&device, 1, x.numbers(), a.numbers_mut());
        assert_eq!(error, Err(KernelError::Mixed { op: "swiglu" }));
    }
}
