//! Values for the tests of kernels.

use rand::RngExt;

#[cfg(feature = "cuda")]
use half::bf16;

#[cfg(feature = "cuda")]
use super::{Activation, Buffer, Device, KernelError};
use crate::data::Seed;

/// `len` numbers in [−1, 1), the same for the same name.
pub(crate) fn uniform(name: &str, len: usize) -> Vec<f32> {
    let mut rng = Seed::root(0).child(name).rng();
    (0..len).map(|_| rng.random_range(-1.0..1.0)).collect()
}

/// Asserts that two vectors agree to `tolerance` relative to the larger of 1 and the exact value.
#[track_caller]
pub(crate) fn assert_close(got: &[f32], exact: &[f32], tolerance: f32) {
    assert_eq!(got.len(), exact.len());
    for (i, (g, e)) in got.iter().zip(exact).enumerate() {
        assert!((g - e).abs() <= tolerance * e.abs().max(1.0), "element {i} is {g}, not {e}");
    }
}

/// Asserts that `gradient` is that of `loss` at `x`, by central differences at up to 40 places.
#[track_caller]
pub(crate) fn assert_gradient(
    x: &[f32],
    gradient: &[f32],
    tolerance: f32,
    mut loss: impl FnMut(&[f32]) -> f64,
) {
    assert_eq!(x.len(), gradient.len());
    let stride = x.len().div_ceil(40).max(1);
    let mut moved = x.to_vec();
    for i in (0..x.len()).step_by(stride) {
        let step = 4e-3;
        moved[i] = x[i] + step;
        let above = loss(&moved);
        moved[i] = x[i] - step;
        let below = loss(&moved);
        moved[i] = x[i];
        let numeric = ((above - below) / f64::from(2.0 * step)) as f32;
        let error = (numeric - gradient[i]).abs();
        assert!(error <= tolerance * gradient[i].abs().max(1.0), "at {i}: {} but {numeric}", gradient[i]);
    }
}

/// Σ w_i y_i in f64: a loss whose gradient with respect to y is w.
pub(crate) fn weighted(y: &[f32], w: &[f32]) -> f64 {
    y.iter().zip(w).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum()
}

/// NaNs, for an op to write: one that it forgets is seen.
#[cfg(feature = "cuda")]
pub(crate) fn poisoned(device: &Device, len: usize) -> Result<Buffer, KernelError> {
    device.upload(&vec![f32::NAN; len])
}

/// These values as activations: rounded, where they are to be in bfloat16, on the CPU as well, which holds them in f32.
#[cfg(feature = "cuda")]
pub(crate) fn activation_of(
    device: &Device,
    bfloat16: bool,
    values: &[f32],
) -> Result<Activation, KernelError> {
    let rounded: Vec<f32> = values.iter().map(|&value| bf16::from_f32(value).to_f32()).collect();
    match device.activation(bfloat16, 0)? {
        Activation::Float32(_) => {
            Ok(Activation::Float32(device.upload(if bfloat16 { &rounded } else { values })?))
        }
        Activation::Bfloat16(_) => {
            let mut buffer = device.scratch(values.len())?;
            super::bfloat16::round(device, device.upload(&rounded)?.view(), buffer.view_mut())?;
            Ok(Activation::Bfloat16(buffer))
        }
    }
}

/// Activations as f32.
#[cfg(feature = "cuda")]
pub(crate) fn wide(device: &Device, activation: Activation) -> Result<Buffer, KernelError> {
    match activation {
        Activation::Float32(buffer) => Ok(buffer),
        Activation::Bfloat16(buffer) => {
            let mut wide = device.scratch(buffer.len())?;
            super::bfloat16::widen(device, buffer.view(), wide.view_mut())?;
            Ok(wide)
        }
    }
}

/// Asserts that `run` gives the same on the CPU and on a CUDA device, each result to its tolerance, and on the latter the
/// same bits again. Skipped where there is no such device.
#[cfg(feature = "cuda")]
#[track_caller]
pub(crate) fn twins<const RESULTS: usize>(
    tolerances: [f32; RESULTS],
    run: impl Fn(&Device) -> Result<[Buffer; RESULTS], KernelError>,
) {
    let Some(cuda) = super::cuda::test_device() else { return };
    let numbers =
        |device: &Device| run(device).unwrap().map(|buffer| device.download(buffer.view()).unwrap());
    let (got, exact) = (numbers(&cuda), numbers(&Device::cpu()));
    for ((got, exact), tolerance) in got.iter().zip(&exact).zip(tolerances) {
        assert_close(got, exact, tolerance);
    }
    let bits = |results: [Vec<f32>; RESULTS]| {
        results.map(|numbers| numbers.into_iter().map(f32::to_bits).collect::<Vec<_>>())
    };
    assert_eq!(bits(got), bits(numbers(&cuda)));
}
