//! Numbers times a constant on CUDA: a thread for each.

use cudarc::driver::PushKernelArg;

use crate::kernels::cuda::{Cuda, NUMBERS, Source, numbers, run};
use crate::kernels::{KernelError, NumbersMut};

pub(in crate::kernels) const SOURCE: &Source = &Source { file: "scale.cu", code: include_str!("scale.cu") };

pub(super) fn forward(
    cuda: &Cuda,
    op: &'static str,
    factor: f32,
    x: NumbersMut<'_>,
) -> Result<(), KernelError> {
    let len = x.len();
    let x = x.pointer(op, cuda)?;
    let kernel = cuda.kernel(SOURCE, x.pick(["scale_forward_float32", "scale_forward_bfloat16"]))?;
    let mut call = cuda.call(&kernel);
    call.arg(&x.address).arg(&len).arg(&factor);
    // SAFETY: the kernel's arguments; the kernel checks its number against the buffer's length.
    unsafe { run(call, numbers(len), NUMBERS) }
}

#[cfg(test)]
mod tests {
    use super::super::forward;
    use crate::kernels::test_values::{activation_of, twins, uniform, wide};

    #[test]
    fn both_devices_agree() {
        for len in [0, 1, 255, 257, 1000] {
            for (bfloat16, tolerance) in [(false, 0.0), (true, 4e-3)] {
                twins([tolerance], |device| {
                    let mut x = activation_of(device, bfloat16, &uniform("x", len))?;
                    forward(device, 0.3, x.numbers_mut())?;
                    Ok([wide(device, x)?])
                });
            }
        }
    }
}
