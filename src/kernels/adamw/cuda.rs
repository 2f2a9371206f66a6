//! AdamW on CUDA: a thread for each number; the norm in parts of a fixed length.

use cudarc::driver::PushKernelArg;

use super::Step;
use crate::kernels::cuda::{Cuda, NUMBERS, Source, numbers, run};
use crate::kernels::{KernelError, View, ViewMut};

pub(in crate::kernels) const SOURCE: &Source = &Source { file: "adamw.cu", code: include_str!("adamw.cu") };

/// Threads of a block of the norm.
const THREADS: u32 = 256;
/// Numbers of a part of the norm. Fixed, so that the order of summation is the same on all devices.
const PART: usize = 16_384;

pub(super) fn step(
    cuda: &Cuda,
    op: &'static str,
    step: Step,
    gradient: View<'_>,
    weights: ViewMut<'_>,
    first: ViewMut<'_>,
    second: ViewMut<'_>,
) -> Result<(), KernelError> {
    let len = gradient.len();
    let (gradient, mut weights) = (gradient.cuda(op, cuda)?, weights.cuda(op, cuda)?);
    let (mut first, mut second) = (first.cuda(op, cuda)?, second.cuda(op, cuda)?);
    let Step { learning_rate, beta1, beta2, epsilon, weight_decay, gradient_scale, number } = step;
    let correction = |beta: f32| (1.0 / (1.0 - f64::from(beta).powi(number as i32))) as f32;
    let (correct1, correct2) = (correction(beta1), correction(beta2));
    let kernel = cuda.kernel(SOURCE, "adamw_step")?;
    let mut call = cuda.call(&kernel);
    call.arg(&gradient).arg(&mut weights).arg(&mut first).arg(&mut second).arg(&len);
    call.arg(&learning_rate).arg(&beta1).arg(&beta2).arg(&epsilon).arg(&weight_decay).arg(&gradient_scale);
    call.arg(&correct1).arg(&correct2);
    // SAFETY: the kernel's arguments; the op has checked that the buffers have one length, against which
    // the kernel checks its number.
    unsafe { run(call, numbers(len), NUMBERS) }
}

pub(super) fn squared_norm(cuda: &Cuda, op: &'static str, gradient: View<'_>) -> Result<f64, KernelError> {
    let len = gradient.len();
    let gradient = gradient.cuda(op, cuda)?;
    if len == 0 {
        return Ok(0.0);
    }
    let count = len.div_ceil(PART);
    let mut parts = cuda.scratch::<f64>(count)?;
    let kernel = cuda.kernel(SOURCE, "adamw_squared_norm_parts")?;
    let mut call = cuda.call(&kernel);
    call.arg(&gradient).arg(&mut parts).arg(&len).arg(&PART);
    // SAFETY: the kernel's arguments; a block writes one of the `count` parts and ends the last at `len`.
    unsafe { run(call, (count, 1), THREADS) }?;
    Ok(cuda.read(&parts)?.iter().sum())
}

#[cfg(test)]
mod tests {
    use super::super::{Step, squared_norm, step};
    use crate::kernels::cuda::test_device;
    use crate::kernels::test_values::{assert_close, uniform};
    use crate::kernels::{Buffer, Device};

    const LENGTHS: [usize; 8] = [0, 1, 31, 33, 257, 16_384, 16_385, 100_001];

    /// The weights and both moments after three steps.
    fn three_steps(device: &Device, len: usize) -> [Vec<f32>; 3] {
        let mut weights = device.upload(&uniform("w", len)).unwrap();
        let (mut first, mut second) = (device.zeros(len).unwrap(), device.zeros(len).unwrap());
        for number in 1..=3 {
            let gradient = device.upload(&uniform(&format!("g{number}"), len)).unwrap();
            let config = Step {
                learning_rate: 0.01,
                beta1: 0.9,
                beta2: 0.95,
                epsilon: 1e-8,
                weight_decay: 0.1,
                gradient_scale: 0.5,
                number,
            };
            let (m, v) = (first.view_mut(), second.view_mut());
            step(device, config, gradient.view(), weights.view_mut(), m, v).unwrap();
        }
        let download = |buffer: &Buffer| device.download(buffer.view()).unwrap();
        [&weights, &first, &second].map(download)
    }

    #[test]
    fn both_devices_make_the_same_steps() {
        let Some(cuda) = test_device() else { return };
        for len in LENGTHS {
            for (got, exact) in three_steps(&cuda, len).iter().zip(&three_steps(&Device::cpu(), len)) {
                assert_close(got, exact, 1e-5);
            }
        }
    }

    #[test]
    fn both_devices_have_the_same_norm_and_cuda_to_the_bit() {
        let Some(cuda) = test_device() else { return };
        for len in LENGTHS {
            let values = uniform("g", len);
            let norm = |device: &Device| {
                let buffer = device.upload(&values).unwrap();
                squared_norm(device, buffer.view()).unwrap()
            };
            let (got, exact) = (norm(&cuda), norm(&Device::cpu()));
            assert!((got - exact).abs() <= 1e-12 * exact, "{len}: {got}, not {exact}");
            assert_eq!(got.to_bits(), norm(&cuda).to_bits());
        }
    }

    #[test]
    fn a_part_of_a_buffer_is_stepped_alone() {
        let Some(cuda) = test_device() else { return };
        let config = Step {
            learning_rate: 0.5,
            beta1: 0.9,
            beta2: 0.95,
            epsilon: 1e-8,
            weight_decay: 0.0,
            gradient_scale: 1.0,
            number: 1,
        };
        let gradient = cuda.upload(&[1.0; 9]).unwrap();
        let (mut w, mut m, mut v) = (cuda.zeros(9).unwrap(), cuda.zeros(9).unwrap(), cuda.zeros(9).unwrap());
        let part = 3..5;
        step(
            &cuda,
            config,
            gradient.slice(part.clone()),
            w.slice_mut(part.clone()),
            m.slice_mut(part.clone()),
            v.slice_mut(part),
        )
        .unwrap();
        let needed = [0.0, 0.0, 0.0, -0.5, -0.5, 0.0, 0.0, 0.0, 0.0];
        assert_close(&cuda.download(w.view()).unwrap(), &needed, 1e-6);
    }
}
