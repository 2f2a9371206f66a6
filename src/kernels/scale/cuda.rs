//! Numbers times a constant on CUDA: a thread for each.

use cudarc::driver::PushKernelArg;

use crate::kernels::cuda::{Cuda, NUMBERS, Source, numbers, run};
use crate::kernels::{KernelError, ViewMut};

pub(in crate::kernels) const SOURCE: &Source = &Source { file: "scale.cu", code: include_str!("scale.cu") };

pub(super) fn forward(cuda: &Cuda, op: &'static str, factor: f32, x: ViewMut<'_>) -> Result<(), KernelError> {
    let len = x.len();
    let mut x = x.cuda(op, cuda)?;
    if len == 0 {
        return Ok(());
    }
    let kernel = cuda.kernel(SOURCE, "scale_forward")?;
    let mut call = cuda.call(&kernel);
    call.arg(&mut x).arg(&len).arg(&factor);
    // SAFETY: the kernel's arguments; the kernel checks its number against the buffer's length.
    unsafe { run(call, numbers(len), NUMBERS) }
}

#[cfg(test)]
mod tests {
    use super::super::forward;
    use crate::kernels::test_values::{twins, uniform};

    #[test]
    fn both_devices_agree() {
        for len in [0, 1, 255, 257, 1000] {
            twins([0.0], |device| {
                let mut x = device.upload(&uniform("x", len))?;
                forward(device, 0.3, x.view_mut())?;
                Ok([x])
            });
        }
    }
}
