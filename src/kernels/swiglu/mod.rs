//! SwiGLU (Shazeer, 2020): a = silu(g) u with silu(g) = g / (1 + e^−g).

mod cpu;
#[cfg(feature = "cuda")]
pub(super) mod cuda;

use super::{Device, KernelError, Numbers, NumbersMut, dispatch};

/// a `[n, hidden]` from `gate_up` `[n, 2 hidden]`, in whose rows the gate stands before the factor.
///
/// # Errors
/// If a buffer has another length.
pub fn forward<'a, 'y>(
    device: &Device,
    hidden: usize,
    gate_up: impl Into<Numbers<'a>>,
    a: impl Into<NumbersMut<'y>>,
) -> Result<(), KernelError> {
    const OP: &str = "swiglu";
    let (gate_up, a) = (gate_up.into(), a.into());
    gate_up.expect(OP, "gate_up", 2 * a.len())?;
    a.expect(OP, "a", a.len() / hidden * hidden)?;
    dispatch!(device,
        cpu(threads) => cpu::forward(threads, hidden, gate_up.float32(OP)?, a.host(OP)?),
        cuda(cuda) => cuda::forward(cuda, OP, hidden, gate_up, a),
    )
}

/// The gradient of `gate_up` from `gate_up` and `da` `[n, hidden]`, written to `d_gate_up`.
///
/// # Errors
/// If a buffer has another length.
pub fn backward<'a, 'd>(
    device: &Device,
    hidden: usize,
    gate_up: impl Into<Numbers<'a>>,
    da: impl Into<Numbers<'a>>,
    d_gate_up: impl Into<NumbersMut<'d>>,
) -> Result<(), KernelError> {
    const OP: &str = "swiglu, gradient";
    let (gate_up, da, d_gate_up) = (gate_up.into(), da.into(), d_gate_up.into());
    gate_up.expect(OP, "gate_up", 2 * da.len())?;
    da.expect(OP, "da", da.len() / hidden * hidden)?;
    d_gate_up.expect(OP, "d_gate_up", 2 * da.len())?;
    dispatch!(device,
        cpu(threads) => cpu::backward(threads, hidden, gate_up.float32(OP)?, da.float32(OP)?, d_gate_up.host(OP)?),
        cuda(cuda) => cuda::backward(cuda, OP, hidden, gate_up, da, d_gate_up),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::test_values::{assert_close, assert_gradient, uniform, weighted};
    use crate::kernels::{View, ViewMut};

    fn run(hidden: usize, gate_up: &[f32]) -> Vec<f32> {
        let mut a = vec![f32::NAN; gate_up.len() / 2];
        forward(&Device::cpu(), hidden, View::Host(gate_up), ViewMut::Host(&mut a)).unwrap();
        a
    }

    #[test]
    fn agrees_with_the_definition_and_its_gradient_with_differences() {
        for (n, hidden) in [(0, 4), (1, 1), (3, 31), (300, 33)] {
            let x: Vec<f32> = uniform("x", 2 * n * hidden).iter().map(|v| v * 5.0).collect();
            let exact: Vec<f32> = x
                .chunks(2 * hidden)
                .flat_map(|row| (0..hidden).map(|j| row[j] / (1.0 + (-row[j]).exp()) * row[hidden + j]))
                .collect();
            assert_close(&run(hidden, &x), &exact, 1e-5);
            let da = uniform("da", n * hidden);
            let mut dx = vec![f32::NAN; x.len()];
            backward(&Device::cpu(), hidden, View::Host(&x), View::Host(&da), ViewMut::Host(&mut dx))
                .unwrap();
            assert_gradient(&x, &dx, 5e-3, |x| weighted(&run(hidden, x), &da));
        }
    }
}
