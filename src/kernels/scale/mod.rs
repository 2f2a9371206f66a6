//! Numbers times a constant: an adapter's α / r.

mod cpu;
#[cfg(feature = "cuda")]
pub(super) mod cuda;

use super::{Device, KernelError, NumbersMut, dispatch};

/// x ← factor · x. It is its own gradient: dx = factor · dy.
///
/// # Errors
/// If the buffer is not this device's.
pub fn forward<'x>(device: &Device, factor: f32, x: impl Into<NumbersMut<'x>>) -> Result<(), KernelError> {
    const OP: &str = "scale";
    let x = x.into();
    dispatch!(device,
        cpu(threads) => cpu::forward(threads, factor, x.host(OP)?),
        cuda(cuda) => cuda::forward(cuda, OP, factor, x),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::ViewMut;
    use crate::kernels::test_values::uniform;

    #[test]
    fn every_number_is_multiplied() {
        for n in [0, 1, 31, 100_003] {
            let x = uniform("x", n);
            for device in [Device::cpu(), Device::cpu_single_thread()] {
                let mut scaled = x.clone();
                forward(&device, 2.5, ViewMut::Host(&mut scaled)).unwrap();
                assert_eq!(scaled, x.iter().map(|x| 2.5 * x).collect::<Vec<_>>());
            }
        }
    }
}
