//! bfloat16 on CUDA: a thread for each number.

use cudarc::driver::{CudaView, CudaViewMut, PushKernelArg};
use half::bf16;

use crate::kernels::KernelError;
use crate::kernels::cuda::{Cuda, NUMBERS, Source, numbers, run};

pub(in crate::kernels) const SOURCE: &Source =
    &Source { file: "bfloat16.cu", code: include_str!("bfloat16.cu") };

/// `to` has the length of `from`.
pub(in crate::kernels) fn round(
    cuda: &Cuda,
    from: &CudaView<'_, f32>,
    to: &mut CudaViewMut<'_, bf16>,
) -> Result<(), KernelError> {
    let len = from.len();
    debug_assert_eq!(len, to.len());
    if len == 0 {
        return Ok(());
    }
    let kernel = cuda.kernel(SOURCE, "bfloat16_round")?;
    let mut call = cuda.call(&kernel);
    call.arg(from).arg(to).arg(&len);
    // SAFETY: the kernel's arguments; both buffers have the length against which the kernel checks its number.
    unsafe { run(call, numbers(len), NUMBERS) }
}

/// `to` has the length of `from`.
pub(in crate::kernels) fn widen(
    cuda: &Cuda,
    from: &CudaView<'_, bf16>,
    to: &mut CudaViewMut<'_, f32>,
) -> Result<(), KernelError> {
    let len = from.len();
    debug_assert_eq!(len, to.len());
    if len == 0 {
        return Ok(());
    }
    let kernel = cuda.kernel(SOURCE, "bfloat16_widen")?;
    let mut call = cuda.call(&kernel);
    call.arg(from).arg(to).arg(&len);
    // SAFETY: as above.
    unsafe { run(call, numbers(len), NUMBERS) }
}

#[cfg(test)]
mod tests {
    use super::super::{round, widen};
    use crate::kernels::test_values::{poisoned, twins, uniform};

    #[test]
    fn both_devices_round_to_the_same_bits() {
        // halfway to either side, the largest, beyond it, subnormal, infinite, signed zero
        let special = [1.003_906_25, 1.011_718_75, f32::MAX, 3.39e38, 1e-40, f32::INFINITY, -0.0];
        for len in [0, 1, 31, 257, 1000] {
            let values = [&uniform("x", len)[..], &special].concat();
            twins([0.0], |device| {
                let x = device.upload(&values)?;
                let mut rounded = device.scratch(values.len())?;
                round(device, x.view(), rounded.view_mut())?;
                let mut wide = poisoned(device, values.len())?;
                widen(device, rounded.view(), wide.view_mut())?;
                // the difference of two infinities would be NaN
                let finite: Vec<f32> =
                    device.download(wide.view())?.iter().map(|w| w.clamp(-3.4e38, 3.4e38)).collect();
                Ok([device.upload(&finite)?])
            });
        }
    }
}
