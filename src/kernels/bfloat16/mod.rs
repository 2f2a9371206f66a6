//! bfloat16, the upper half of an f32: to it, and back.
//!
//! Weights can be held so, in two bytes each. Nothing is computed in it: products widen the weights that they read,
//! which is exact, and sum in f32.

mod cpu;
#[cfg(feature = "cuda")]
pub(super) mod cuda;

use half::bf16;

use super::{Device, KernelError, View, ViewMut, dispatch};

pub(crate) use cpu::{round_host, widen_host};

/// To the nearest bfloat16, of two that are as near to the even one; NaN stays NaN.
///
/// # Errors
/// If the lengths differ, or a buffer is not this device's.
pub fn round(device: &Device, from: View<'_>, to: ViewMut<'_, bf16>) -> Result<(), KernelError> {
    const OP: &str = "round to bfloat16";
    to.expect(OP, "to", from.len())?;
    dispatch!(device,
        cpu(threads) => round_host(threads, from.host(OP)?, to.host(OP)?),
        cuda(cuda) => cuda::convert(cuda, OP, from.into(), to.into()),
    )
}

/// The same numbers as f32.
///
/// # Errors
/// If the lengths differ, or a buffer is not this device's.
pub fn widen(device: &Device, from: View<'_, bf16>, to: ViewMut<'_>) -> Result<(), KernelError> {
    const OP: &str = "widen bfloat16";
    to.expect(OP, "to", from.len())?;
    dispatch!(device,
        cpu(threads) => widen_host(threads, from.host(OP)?, to.host(OP)?),
        cuda(cuda) => cuda::convert(cuda, OP, from.into(), to.into()),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::test_values::uniform;

    #[test]
    fn numbers_are_rounded_as_the_crate_half_rounds_them() {
        let device = Device::cpu();
        let bits = |bits: u32| f32::from_bits(bits);
        let special = [
            bits(0x3f80_8000), // half-way between two, of which the lower is even
            bits(0x3f81_8000), // half-way, and the upper is even
            bits(0x3f80_8001),
            bits(0x3f80_7fff),
            bits(0x7f7f_ffff), // the largest: infinity
            bits(0x0000_0001), // the smallest
            bits(0x0000_8000),
            bits(0x7f80_0001), // NaN whose upper half alone would be infinity
            f32::NAN,
            f32::INFINITY,
            f32::NEG_INFINITY,
            -0.0,
        ];
        for len in [0, 1, 31, 33, 70_000] {
            let numbers: Vec<f32> = special.into_iter().chain(uniform("numbers", len)).collect();
            let mut rounded = device.zeros::<bf16>(numbers.len()).unwrap();
            round(&device, View::Host(&numbers), rounded.view_mut()).unwrap();
            let rounded = rounded.view().host("test").unwrap();
            let mut wide = vec![7.0; numbers.len()];
            widen(&device, View::Host(rounded), ViewMut::Host(&mut wide)).unwrap();
            for ((number, rounded), wide) in numbers.iter().zip(rounded).zip(wide) {
                let needed = bf16::from_f32(*number);
                assert!(needed == *rounded || needed.is_nan() && rounded.is_nan(), "{number}: {rounded}");
                assert!(wide.to_bits() == u32::from(rounded.to_bits()) << 16);
            }
        }
        let error = round(&device, View::Host(&[0.0]), ViewMut::Host(&mut [])).unwrap_err();
        assert_eq!(error.to_string(), "round to bfloat16: `to` holds 0 numbers, 1 are needed");
    }
}
