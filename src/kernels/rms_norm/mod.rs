//! RMSNorm (Zhang and Sennrich, 2019): y_j = x_j r w_j with r = 1 / √(mean(x²) + ε), for each row.

mod cpu;
#[cfg(feature = "cuda")]
pub(super) mod cuda;

use super::{Device, KernelError, Numbers, NumbersMut, View, ViewMut, dispatch};

/// y from x, both `[n, width]`, and the weight `[width]`; r of each row is kept in `scale` `[n]` for the
/// backward pass.
///
/// # Errors
/// If a buffer has another length, or the width is 0.
pub fn forward<'y>(
    device: &Device,
    width: usize,
    epsilon: f32,
    x: View<'_>,
    weight: View<'_>,
    y: impl Into<NumbersMut<'y>>,
    scale: ViewMut<'_>,
) -> Result<(), KernelError> {
    const OP: &str = "rms_norm";
    let y = y.into();
    weight.expect(OP, "weight", width.max(1))?;
    y.expect(OP, "y", x.len())?;
    scale.expect(OP, "scale", x.len() / width)?;
    x.expect(OP, "x", scale.len() * width)?;
    dispatch!(device,
        cpu(threads) => cpu::forward(
            threads, width, epsilon, x.host(OP)?, weight.host(OP)?, y.host(OP)?, scale.host(OP)?,
        ),
        cuda(cuda) => cuda::forward(cuda, OP, width, epsilon, x, weight, y, scale),
    )
}

/// dx += the gradient of x, dw += that of the weight, from dy and what [`forward`] kept:
/// dx_j = r (dy_j w_j − x_j r² mean_k(dy_k w_k x_k)), dw_j = Σ_rows dy_j x_j r.
///
/// # Errors
/// If a buffer has another length, or the width is 0.
pub fn backward<'a>(
    device: &Device,
    width: usize,
    x: View<'_>,
    weight: View<'_>,
    scale: View<'_>,
    dy: impl Into<Numbers<'a>>,
    dx: ViewMut<'_>,
    dw: ViewMut<'_>,
) -> Result<(), KernelError> {
    const OP: &str = "rms_norm, gradient";
    let dy = dy.into();
    weight.expect(OP, "weight", width.max(1))?;
    dw.expect(OP, "dw", width)?;
    scale.expect(OP, "scale", x.len() / width)?;
    x.expect(OP, "x", scale.len() * width)?;
    dy.expect(OP, "dy", x.len())?;
    dx.expect(OP, "dx", x.len())?;
    dispatch!(device,
        cpu(threads) => cpu::backward(
            threads, width, x.host(OP)?, weight.host(OP)?, scale.host(OP)?, dy.float32(OP)?, dx.host(OP)?, dw.host(OP)?,
        ),
        cuda(cuda) => cuda::backward(cuda, OP, width, x, weight, scale, dy, dx, dw),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::test_values::{assert_close, assert_gradient, uniform, weighted};

    fn run(x: &[f32], w: &[f32]) -> (Vec<f32>, Vec<f32>) {
        let (mut y, mut scale) = (vec![f32::NAN; x.len()], vec![f32::NAN; x.len() / w.len()]);
        let device = Device::cpu();
        let (yv, sv) = (ViewMut::Host(&mut y), ViewMut::Host(&mut scale));
        forward(&device, w.len(), 1e-5, View::Host(x), View::Host(w), yv, sv).unwrap();
        (y, scale)
    }

    #[test]
    fn a_width_of_0_is_an_error() {
        let (x, mut y, mut scale): ([f32; 0], [f32; 0], [f32; 0]) = ([], [], []);
        let (yv, sv) = (ViewMut::Host(&mut y), ViewMut::Host(&mut scale));
        let error = forward(&Device::cpu(), 0, 1e-5, View::Host(&x), View::Host(&x), yv, sv).unwrap_err();
        assert_eq!(error.to_string(), "rms_norm: `weight` holds 0 numbers, 1 are needed");
    }

    #[test]
    fn agrees_with_the_definition_and_its_gradient_with_differences() {
        for (n, width) in [(0, 4), (1, 1), (3, 31), (300, 33), (5, 64)] {
            let (x, w, dy) = (uniform("x", n * width), uniform("w", width), uniform("dy", n * width));
            let (y, scale) = run(&x, &w);
            let exact: Vec<f32> = x
                .chunks(width)
                .flat_map(|row| {
                    let mean = row.iter().map(|&v| f64::from(v).powi(2)).sum::<f64>() / width as f64;
                    let r = 1.0 / (mean + 1e-5).sqrt();
                    row.iter()
                        .zip(&w)
                        .map(move |(&v, &w)| (f64::from(v) * r * f64::from(w)) as f32)
                        .collect::<Vec<_>>()
                })
                .collect();
            assert_close(&y, &exact, 1e-5);

            let (mut dx, mut dw) = (vec![0.0; x.len()], vec![0.0; width]);
            let (dxv, dwv) = (ViewMut::Host(&mut dx), ViewMut::Host(&mut dw));
            let v = View::Host;
            backward(&Device::cpu(), width, v(&x), v(&w), v(&scale), v(&dy), dxv, dwv).unwrap();
            if width > 1 {
                assert_gradient(&x, &dx, 5e-3, |x| weighted(&run(x, &w).0, &dy));
            }
            assert_gradient(&w, &dw, 5e-3, |w| weighted(&run(&x, w).0, &dy));
        }
    }
}
