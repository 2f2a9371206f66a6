//! [`whiten`]: advantages of mean 0 and variance 1.

use crate::data::{Ragged, mean};

/// Added to the variance before its root is taken, so that equal advantages become 0 and not NaN.
pub const EPSILON: f64 = 1e-8;

/// Shifts and scales all elements, over the whole batch, to mean 0 and variance 1:
/// (A − mean) / √(variance + [`EPSILON`]).
///
/// Every token counts once, so a long response counts more than a short one. There is no mask, for
/// rows hold no pad element. The variance is that of the batch itself (divided by n, not n − 1). Sums
/// are taken in f64, and their bits do not depend on the order of the rows. One element alone, and elements that are all equal, become 0; none stay none. A
/// NaN makes all of them NaN.
///
/// ```
/// use pspo::data::Ragged;
/// use pspo::ppo::whiten;
///
/// let advantages: Ragged<f32> = [vec![0.0, 0.0], vec![2.0, 2.0]].into_iter().collect();
/// assert_eq!(whiten(&advantages).values(), [-1.0, -1.0, 1.0, 1.0]);
/// ```
pub fn whiten(advantages: &Ragged<f32>) -> Ragged<f32> {
    let values = || advantages.values().iter().map(|&value| f64::from(value));
    let center = mean(values());
    let variance = mean(values().map(|value| (value - center).powi(2)));
    let scale = (variance + EPSILON).sqrt().recip();
    let mut whitened = advantages.clone();
    for value in whitened.values_mut() {
        *value = ((f64::from(*value) - center) * scale) as f32;
    }
    whitened
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ragged<const N: usize>(rows: [&[f32]; N]) -> Ragged<f32> {
        rows.into_iter().map(<[f32]>::to_vec).collect()
    }

    #[track_caller]
    fn check(advantages: Ragged<f32>, expected: &[f32]) {
        let whitened = whiten(&advantages);
        assert_eq!(whitened.same_rows(&advantages), Ok(()));
        assert_eq!(whitened.values().len(), expected.len());
        for (a, b) in whitened.values().iter().zip(expected) {
            assert!((a - b).abs() < 1e-6, "{a} {b}");
        }
    }

    /// By hand: mean 9/4, variance (81/16 + 3 · 9/16) / 4 = 27/16. By rows the result would be 0.
    #[test]
    fn every_token_of_the_batch_counts_once() {
        let third = 3.0_f32.sqrt();
        check(ragged([&[0.0], &[], &[3.0, 3.0, 3.0]]), &[-third, third / 3.0, third / 3.0, third / 3.0]);
    }

    #[test]
    fn mean_0_and_variance_1() {
        let advantages: Ragged<f32> =
            (0..50).map(|row| (0..row % 7).map(move |t| 1e4 + ((row * 31 + t * 17) % 23) as f32)).collect();
        let whitened = whiten(&advantages);
        let tokens = whitened.values().len() as f64;
        let mean =
            |f: fn(f64) -> f64| whitened.values().iter().map(|&x| f(f64::from(x))).sum::<f64>() / tokens;
        assert!(mean(|x| x).abs() < 1e-6);
        assert!((mean(|x| x * x) - 1.0).abs() < 1e-5);
    }

    #[test]
    fn few_and_equal_tokens() {
        check(ragged([]), &[]);
        check(ragged([&[], &[]]), &[]);
        check(ragged([&[5.0]]), &[0.0]);
        check(ragged([&[0.1, 0.1], &[0.1]]), &[0.0; 3]);
        // Differences far below the root of epsilon are noise and stay small.
        assert!(whiten(&ragged([&[0.0, 1e-7]])).values().iter().all(|value| value.abs() < 1e-2));
    }

    #[test]
    fn the_order_of_rows_changes_no_bit() {
        // Sums of these depend on their order, and what they are off by shows in the small ones.
        let rows = [[1e16, 3.0], [1.0, 2.0], [-1e16, 1.0], [-5.0, 4.0]];
        let ordered = whiten(&rows.into_iter().collect());
        let turned = whiten(&[1, 0, 3, 2].into_iter().map(|row: usize| rows[row]).collect());
        for (row, other) in [1, 0, 3, 2].into_iter().enumerate() {
            assert_eq!(turned.row(row), ordered.row(other));
        }
    }

    #[test]
    fn nan_is_not_hidden() {
        assert!(whiten(&ragged([&[0.0, f32::NAN], &[1.0]])).values().iter().all(|value| value.is_nan()));
    }
}
