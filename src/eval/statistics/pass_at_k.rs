//! pass@k from n ≥ k samples.

use super::StatisticsError;

/// The chance that at least one of `k` samples passes, estimated without bias from `samples` of which
/// `passed` pass: 1 − C(n−c, k) / C(n, k), of Chen et al., "Evaluating Large Language Models Trained on
/// Code" (arXiv 2107.03374), equation 1. Their product form is used, which does not overflow.
///
/// ```
/// use pspo::eval::statistics::pass_at_k;
///
/// assert_eq!(pass_at_k(10, 4, 1)?, 0.4);
/// # Ok::<(), pspo::eval::StatisticsError>(())
/// ```
///
/// # Errors
/// If `k` is not from 1 to `samples`, or `passed` is above `samples`.
pub fn pass_at_k(samples: usize, passed: usize, k: usize) -> Result<f64, StatisticsError> {
    if k == 0 || k > samples || passed > samples {
        return Err(StatisticsError::PassAtK { samples, passed, k });
    }
    if k == 1 {
        // The product says the same, one rounding further from c/n.
        return Ok(passed as f64 / samples as f64);
    }
    if samples - passed < k {
        return Ok(1.0);
    }
    let none = (samples - passed + 1..=samples).map(|i| 1.0 - k as f64 / i as f64).product::<f64>();
    Ok(1.0 - none)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_the_share_of_subsets_with_a_pass() {
        // By hand: C(3,2)/C(5,2) = 3/10; C(4,3)/C(6,3) = 4/20; C(2,3) = 0.
        assert!((pass_at_k(5, 2, 2).unwrap() - 0.7).abs() < 1e-15);
        assert!((pass_at_k(6, 2, 3).unwrap() - 0.8).abs() < 1e-15);
        assert_eq!(pass_at_k(4, 2, 3), Ok(1.0));
        assert_eq!(pass_at_k(7, 0, 7), Ok(0.0));
        assert_eq!(pass_at_k(7, 7, 2), Ok(1.0));
        assert_eq!(pass_at_k(3, 1, 1), Ok(1.0 / 3.0));
    }

    #[test]
    fn many_samples_do_not_overflow() {
        // C(1000000, 500000) has 300,000 digits. With c = 1 the answer is k/n.
        assert!((pass_at_k(1_000_000, 1, 500_000).unwrap() - 0.5).abs() < 1e-12);
    }

    #[test]
    fn counts_that_cannot_be_are_errors() {
        for (samples, passed, k) in [(0, 0, 0), (0, 0, 1), (5, 2, 0), (5, 2, 6), (5, 6, 1)] {
            assert_eq!(pass_at_k(samples, passed, k), Err(StatisticsError::PassAtK { samples, passed, k }));
        }
    }
}
