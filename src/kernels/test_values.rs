//! Values for the tests of kernels.

use rand::RngExt;

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
