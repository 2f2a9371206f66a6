//! Means with their 95 % confidence intervals.

use std::f64::consts::PI;
use std::fmt;

use rand::RngExt;
use serde::Serialize;

use super::{StatisticsError, finite};
use crate::data::Seed;

/// A mean, and where it lies with 95 % confidence.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Interval {
    /// The mean.
    pub mean: f64,
    /// The interval's lower end.
    pub low: f64,
    /// The interval's upper end.
    pub high: f64,
    /// How many values the mean is of.
    pub count: usize,
}

impl fmt::Display for Interval {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = f.precision().unwrap_or(3);
        let Self { mean, low, high, .. } = self;
        write!(f, "{mean:.digits$} [{low:.digits$}, {high:.digits$}]")
    }
}

/// The mean over runs with different seeds: Student's t, for a few independent values that are
/// roughly normal.
///
/// ```
/// use pspo::eval::statistics::mean_over_seeds;
///
/// let pass_at_1 = mean_over_seeds(&[0.40, 0.42, 0.44])?;
/// assert_eq!(pass_at_1.to_string(), "0.420 [0.370, 0.470]");
/// # Ok::<(), pspo::eval::StatisticsError>(())
/// ```
///
/// # Errors
/// With fewer than two values, or one that is not finite.
pub fn mean_over_seeds(values: &[f64]) -> Result<Interval, StatisticsError> {
    let count = values.len();
    if count < 2 {
        return Err(StatisticsError::TooFew { what: "an interval over seeds", got: count, needed: 2 });
    }
    finite(values.iter().copied())?;
    let mean = values.iter().sum::<f64>() / count as f64;
    let variance = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / (count - 1) as f64;
    let half = student_t_95(count - 1) * (variance / count as f64).sqrt();
    Ok(Interval { mean, low: mean - half, high: mean + half, count })
}

/// The mean over problems, with the percentile bootstrap: the spread of the means of `resamples`
/// draws of as many problems, with replacement. It supposes nothing about how the values are
/// distributed. For the difference of two policies, give the differences problem by problem.
///
/// 10,000 resamples leave each end uncertain by a hundredth of the interval.
///
/// # Errors
/// Without values or resamples, or with a value that is not finite.
pub fn bootstrap_mean(values: &[f64], resamples: usize, seed: &Seed) -> Result<Interval, StatisticsError> {
    let count = values.len();
    for (what, got) in [("a bootstrap over problems", count), ("a bootstrap's resampling", resamples)] {
        if got == 0 {
            return Err(StatisticsError::TooFew { what, got, needed: 1 });
        }
    }
    finite(values.iter().copied())?;
    let mut rng = seed.rng();
    let mut means: Vec<f64> = (0..resamples)
        .map(|_| (0..count).map(|_| values[rng.random_range(0..count)]).sum::<f64>() / count as f64)
        .collect();
    means.sort_by(f64::total_cmp);
    let mean = values.iter().sum::<f64>() / count as f64;
    Ok(Interval { mean, low: quantile(&means, 0.025), high: quantile(&means, 0.975), count })
}

/// The quantile of sorted values, linear between neighbours.
pub(super) fn quantile(sorted: &[f64], share: f64) -> f64 {
    let at = share * (sorted.len() - 1) as f64;
    let (below, above) = (sorted[at.floor() as usize], sorted[at.ceil() as usize]);
    below + (above - below) * at.fract()
}

/// The t with P(|T| ≤ t) = 0.95, by bisection.
fn student_t_95(degrees: usize) -> f64 {
    // 12.706 at one degree of freedom is the largest, 1.96 the limit.
    let (mut low, mut high) = (1.9, 13.0);
    for _ in 0..60 {
        let middle = (low + high) / 2.0;
        if within(middle, degrees) < 0.95 { low = middle } else { high = middle }
    }
    (low + high) / 2.0
}

/// P(|T| ≤ t) for a whole number of degrees of freedom: the finite series of Abramowitz and Stegun,
/// "Handbook of Mathematical Functions", 26.7.3 and 26.7.4.
fn within(t: f64, degrees: usize) -> f64 {
    let angle = (t / (degrees as f64).sqrt()).atan();
    let (sin, cos) = angle.sin_cos();
    // Odd: cos, 2/3 cos³, (2·4)/(3·5) cos⁵, …; even: 1, 1/2 cos², (1·3)/(2·4) cos⁴, …
    let odd = degrees % 2;
    let mut term = if odd == 1 { cos } else { 1.0 };
    let mut sum = 0.0;
    for power in (odd..degrees - 1).step_by(2) {
        sum += term;
        term *= cos * cos * (power + 1) as f64 / (power + 2) as f64;
    }
    if odd == 1 { 2.0 / PI * (angle + sin * sum) } else { sin * sum }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_t_quantile_agrees_with_the_tables() {
        for (degrees, t) in [
            (1, 12.7062),
            (2, 4.30265),
            (3, 3.18245),
            (4, 2.77645),
            (5, 2.57058),
            (9, 2.26216),
            (30, 2.04227),
            (120, 1.97993),
        ] {
            assert!((student_t_95(degrees) - t).abs() < 1e-5 * t, "{degrees}: {}", student_t_95(degrees));
        }
    }

    #[test]
    fn an_interval_over_seeds_by_hand() {
        // Deviations −2, 0, 2: variance 8/2 = 4, standard error 2/√3.
        let interval = mean_over_seeds(&[1.0, 3.0, 5.0]).unwrap();
        assert_eq!((interval.mean, interval.count), (3.0, 3));
        assert!((interval.high - (3.0 + 4.30265 * 2.0 / 3_f64.sqrt())).abs() < 1e-4);
        assert!((interval.mean - interval.low - (interval.high - interval.mean)).abs() < 1e-12);
        let equal = mean_over_seeds(&[0.5; 4]).unwrap();
        assert_eq!((equal.low, equal.high), (0.5, 0.5));
    }

    #[test]
    fn a_bootstrap_of_coins_is_the_binomial_spread() {
        // 100 problems, half pass: the standard error is 0.05, the interval about ±0.098.
        let values: Vec<f64> = (0..100).map(|at| f64::from(at % 2)).collect();
        let seed = Seed::root(1).child("bootstrap");
        let interval = bootstrap_mean(&values, 10_000, &seed).unwrap();
        assert_eq!(interval.mean, 0.5);
        assert!((interval.low - 0.402).abs() < 0.01 && (interval.high - 0.598).abs() < 0.01, "{interval}");
        assert_eq!(bootstrap_mean(&values, 10_000, &seed), Ok(interval));
        assert_eq!(bootstrap_mean(&[0.25], 10, &seed).unwrap().to_string(), "0.250 [0.250, 0.250]");
    }

    #[test]
    fn the_quantile_is_linear_between_neighbours() {
        assert_eq!(quantile(&[0.0, 1.0, 2.0, 3.0, 4.0], 0.5), 2.0);
        assert_eq!(quantile(&[0.0, 10.0], 0.975), 9.75);
        assert_eq!(quantile(&[7.0], 0.025), 7.0);
    }

    #[test]
    fn too_little_to_say_is_an_error() {
        assert!(matches!(mean_over_seeds(&[1.0]), Err(StatisticsError::TooFew { got: 1, .. })));
        assert_eq!(
            mean_over_seeds(&[1.0, f64::INFINITY]),
            Err(StatisticsError::NonFinite { index: 1, value: f64::INFINITY })
        );
        let seed = Seed::root(1);
        assert!(bootstrap_mean(&[], 10, &seed).is_err());
        assert!(bootstrap_mean(&[1.0], 0, &seed).is_err());
        assert!(bootstrap_mean(&[f64::NAN], 10, &seed).is_err());
    }
}
