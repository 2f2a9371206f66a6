//! The bias of a product: y = x W + b is a product that is added to rows of b, and db is the sum of the rows of dy.

mod cpu;
#[cfg(feature = "cuda")]
pub(super) mod cuda;

use super::{Device, KernelError, Numbers, NumbersMut, View, ViewMut, dispatch};

/// Every row of y `[n, width]` becomes the bias `[width]`: a product is then added to it.
///
/// # Errors
/// If y does not consist of such rows.
pub fn forward<'y>(device: &Device, bias: View<'_>, y: impl Into<NumbersMut<'y>>) -> Result<(), KernelError> {
    const OP: &str = "bias";
    let y = y.into();
    let (width, len) = (bias.len(), y.len());
    y.expect(OP, "y", len.next_multiple_of(width.max(1)))?;
    dispatch!(device,
        cpu(threads) => cpu::forward(threads, bias.host(OP)?, y.host(OP)?),
        cuda(cuda) => cuda::forward(cuda, OP, bias, y),
    )
}

/// db `[width]` += Σ dy over the rows of dy `[n, width]`.
///
/// # Errors
/// If dy does not consist of such rows.
pub fn backward<'a>(device: &Device, dy: impl Into<Numbers<'a>>, db: ViewMut<'_>) -> Result<(), KernelError> {
    const OP: &str = "bias, gradient";
    let dy = dy.into();
    let (width, len) = (db.len(), dy.len());
    dy.expect(OP, "dy", len.next_multiple_of(width.max(1)))?;
    dispatch!(device,
        cpu(threads) => cpu::backward(threads, dy.float32(OP)?, db.host(OP)?),
        cuda(cuda) => cuda::backward(cuda, OP, dy, db),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::test_values::{assert_close, uniform};

    #[test]
    fn rows_become_the_bias_and_its_gradient_is_their_sum() {
        for (n, width) in [(0, 3), (1, 1), (31, 33), (300, 5)] {
            let (bias, dy) = (uniform("b", width), uniform("dy", n * width));
            for device in [Device::cpu(), Device::cpu_single_thread()] {
                let mut y = vec![f32::NAN; n * width];
                forward(&device, View::Host(&bias), ViewMut::Host(&mut y)).unwrap();
                assert_eq!(y, bias.repeat(n));
                let mut db = vec![1.0; width];
                backward(&device, View::Host(&dy), ViewMut::Host(&mut db)).unwrap();
                let sum = |column: usize| 1.0 + dy.iter().skip(column).step_by(width).sum::<f32>();
                assert_close(&db, &(0..width).map(sum).collect::<Vec<_>>(), 1e-4);
            }
        }
    }

    #[test]
    fn rows_of_another_width_are_an_error() {
        let error = forward(&Device::cpu(), View::Host(&[0.0; 3]), ViewMut::Host(&mut [0.0; 7])).unwrap_err();
        assert_eq!(error.to_string(), "bias: `y` holds 7 numbers, 9 are needed");
        let error =
            backward(&Device::cpu(), View::Host(&[0.0; 7]), ViewMut::Host(&mut [0.0; 3])).unwrap_err();
        assert_eq!(error.to_string(), "bias, gradient: `dy` holds 7 numbers, 9 are needed");
    }
}
