//! [`mean`]: a mean that does not depend on the order of its terms.

/// The mean, 0 of no terms. They are added from the least to the largest, so that its bits do not depend on the order
/// in which they come.
///
/// ```
/// use pspo::data::mean;
///
/// let terms = [1e16, 3.0, -1e16, 1.0];
/// assert_eq!(mean(terms), mean([3.0, 1e16, 1.0, -1e16]));
/// ```
pub fn mean(terms: impl IntoIterator<Item = f64>) -> f64 {
    let mut terms: Vec<f64> = terms.into_iter().collect();
    if terms.is_empty() {
        return 0.0;
    }
    terms.sort_unstable_by(f64::total_cmp);
    terms.iter().sum::<f64>() / terms.len() as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_changes_no_bit() {
        let mut terms: Vec<f64> = (0..100).map(|i| f64::from(i * 37 % 101).sqrt() - 5.0).collect();
        let expected = mean(terms.iter().copied());
        assert!((expected - 1.73).abs() < 0.1, "{expected}");
        for _ in 0..99 {
            terms.rotate_left(1);
            terms.swap(0, 50);
            assert_eq!(mean(terms.iter().copied()).to_bits(), expected.to_bits());
        }
        assert_eq!(mean([]), 0.0);
        assert!(mean([1.0, f64::NAN]).is_nan());
    }
}
