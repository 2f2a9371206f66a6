//! AdamW (Loshchilov and Hutter, 2019), and the norm of a gradient.

mod cpu;
#[cfg(feature = "cuda")]
pub(super) mod cuda;

use super::{Device, KernelError, View, ViewMut, dispatch};

/// What one step of AdamW is made with.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Step {
    /// Step size.
    pub learning_rate: f32,
    /// Decay of the first moment's mean.
    pub beta1: f32,
    /// Decay of the second moment's mean.
    pub beta2: f32,
    /// Added to the root of the second moment.
    pub epsilon: f32,
    /// Decoupled weight decay: w −= learning_rate · weight_decay · w.
    pub weight_decay: f32,
    /// The gradient is multiplied by this first: clipping of its norm.
    pub gradient_scale: f32,
    /// The step's number, from 1, for the correction of the moments' bias.
    pub number: u32,
}

/// m ← β₁m + (1−β₁)g, v ← β₂v + (1−β₂)g², w −= η (m̂ / (√v̂ + ε) + decay · w), over n numbers.
///
/// # Errors
/// If the buffers differ in length.
pub fn step(
    device: &Device,
    step: Step,
    gradient: View<'_>,
    weights: ViewMut<'_>,
    first: ViewMut<'_>,
    second: ViewMut<'_>,
) -> Result<(), KernelError> {
    const OP: &str = "adamw";
    weights.expect(OP, "weights", gradient.len())?;
    first.expect(OP, "first", gradient.len())?;
    second.expect(OP, "second", gradient.len())?;
    dispatch!(device,
        cpu(threads) => cpu::step(
            threads, step, gradient.host(OP)?, weights.host(OP)?, first.host(OP)?, second.host(OP)?,
        ),
        cuda(cuda) => cuda::step(cuda, OP, step, gradient, weights, first, second),
    )
}

/// Σ g², in f64 and in a fixed order.
///
/// # Errors
/// If the buffer is on another device.
pub fn squared_norm(device: &Device, gradient: View<'_>) -> Result<f64, KernelError> {
    const OP: &str = "squared_norm";
    let norm;
    dispatch!(device,
        cpu(threads) => norm = cpu::squared_norm(threads, gradient.host(OP)?),
        cuda(cuda) => cuda::squared_norm(cuda, OP, gradient),
    )
    .map(|()| norm)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::test_values::{assert_close, uniform};

    #[test]
    fn three_steps_agree_with_the_definition() {
        for len in [0, 1, 31, 33, 40_000] {
            let mut w = uniform("w", len);
            let (mut m, mut v) = (vec![0.0; len], vec![0.0; len]);
            let mut exact: Vec<[f64; 3]> = w.iter().map(|&w| [f64::from(w), 0.0, 0.0]).collect();
            for number in 1..=3 {
                let g = uniform(&format!("g{number}"), len);
                let config = Step {
                    learning_rate: 0.01,
                    beta1: 0.9,
                    beta2: 0.95,
                    epsilon: 1e-8,
                    weight_decay: 0.1,
                    gradient_scale: 0.5,
                    number,
                };
                let mutable = |x| ViewMut::Host(x);
                step(
                    &Device::cpu(),
                    config,
                    View::Host(&g),
                    mutable(&mut w),
                    mutable(&mut m),
                    mutable(&mut v),
                )
                .unwrap();
                for ([w, m, v], &g) in exact.iter_mut().zip(&g) {
                    let g = f64::from(g) * 0.5;
                    *m = 0.9 * *m + 0.1 * g;
                    *v = 0.95 * *v + 0.05 * g * g;
                    let n = number as i32;
                    let update =
                        (*m / (1.0 - 0.9_f64.powi(n))) / ((*v / (1.0 - 0.95_f64.powi(n))).sqrt() + 1e-8);
                    *w -= 0.01 * (update + 0.1 * *w);
                }
            }
            let needed: Vec<f32> = exact.iter().map(|[w, ..]| *w as f32).collect();
            assert_close(&w, &needed, 1e-5);
        }
    }

    #[test]
    fn the_norm_is_exact_enough() {
        let g = uniform("g", 100_001);
        let exact: f64 = g.iter().map(|&g| f64::from(g).powi(2)).sum();
        let got = squared_norm(&Device::cpu(), View::Host(&g)).unwrap();
        assert!((got - exact).abs() < 1e-9 * exact);
    }
}
