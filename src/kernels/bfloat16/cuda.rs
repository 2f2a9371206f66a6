//! bfloat16 on CUDA: a thread for each number.

use cudarc::driver::PushKernelArg;

use crate::kernels::cuda::{Cuda, NUMBERS, Pointer, Source, numbers, run};
use crate::kernels::{KernelError, Numbers, NumbersMut};

pub(in crate::kernels) const SOURCE: &Source =
    &Source { file: "bfloat16.cu", code: include_str!("bfloat16.cu") };

/// From one precision to the other; `to` has the length of `from`.
pub(super) fn convert(
    cuda: &Cuda,
    op: &'static str,
    from: Numbers<'_>,
    to: NumbersMut<'_>,
) -> Result<(), KernelError> {
    let (len, from, to) = (from.len(), from.pointer(op, cuda)?, to.pointer(op, cuda)?);
    let name = if from.bfloat16 { "bfloat16_widen" } else { "bfloat16_round" };
    // SAFETY: the op has checked the lengths, and both are borrowed.
    unsafe { call(cuda, name, from, to, len) }
}

/// Rounds `len` numbers in f32.
///
/// # Safety
/// There are as many at both places, borrowed until this returns.
pub(in crate::kernels) unsafe fn round_at(
    cuda: &Cuda,
    from: Pointer,
    to: Pointer,
    len: usize,
) -> Result<(), KernelError> {
    debug_assert!(!from.bfloat16 && to.bfloat16);
    // SAFETY: by the caller's promise.
    unsafe { call(cuda, "bfloat16_round", from, to, len) }
}

/// # Safety
/// As [`round_at`], in the precisions of the kernel of that name.
unsafe fn call(
    cuda: &Cuda,
    name: &'static str,
    from: Pointer,
    to: Pointer,
    len: usize,
) -> Result<(), KernelError> {
    let kernel = cuda.kernel(SOURCE, name)?;
    let mut call = cuda.call(&kernel);
    call.arg(&from.address).arg(&to.address).arg(&len);
    // SAFETY: the kernel's arguments; it checks its number against the length, which is that of both.
    unsafe { run(call, numbers(len), NUMBERS) }
}

#[cfg(test)]
mod tests {
    use super::super::{round, widen};
    use crate::kernels::test_values::{poisoned, twins, uniform};

    #[test]
    fn both_devices_round_to_the_same_bits() {
        // halfway to either side, the largest, beyond it, subnormal, infinite, signed zero
        let special = [1.0 + 1.0 / 256.0, 1.0 + 3.0 / 256.0, f32::MAX, 3.39e38, 1e-40, f32::INFINITY, -0.0];
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
