//! Means and gains over runs and problems at once.

use rand::RngExt;

use super::interval::{Interval, quantile};
use super::{StatisticsError, finite};
use crate::data::Seed;

/// A value for each of several runs on each of several problems, such as the share of samples that pass.
#[derive(Clone, Debug, PartialEq)]
pub struct Crossed {
    /// By run, then by problem.
    values: Vec<f64>,
    runs: usize,
    problems: usize,
}

impl Crossed {
    /// The values of each run, all on the same problems in the same order.
    ///
    /// # Errors
    /// Without runs or problems, if a run has other problems than the first, or a value is not finite.
    pub fn new(runs: &[Vec<f64>]) -> Result<Self, StatisticsError> {
        let problems = runs.first().map_or(0, Vec::len);
        for (what, got) in [("an interval over runs and problems", runs.len()), ("a run", problems)] {
            if got == 0 {
                return Err(StatisticsError::TooFew { what, got, needed: 1 });
            }
        }
        if let Some(other) = runs.iter().find(|run| run.len() != problems) {
            let (left, right) = (problems, other.len());
            let (left_name, right_name) = ("problems of the first run", "problems of another");
            return Err(StatisticsError::Lengths { left, left_name, right, right_name });
        }
        finite(runs.iter().flatten().copied())?;
        Ok(Self { values: runs.concat(), runs: runs.len(), problems })
    }

    /// The mean over all runs and problems.
    pub fn mean(&self) -> f64 {
        self.values.iter().sum::<f64>() / self.values.len() as f64
    }

    /// The mean with its 95 % interval, by the percentile bootstrap over runs and problems: each resample draws as many
    /// runs and, from these, as many problems, with replacement. Problems count as drawn too, so that the interval speaks
    /// of problems like these and not of these alone.
    ///
    /// ```
    /// use pspo::data::Seed;
    /// use pspo::eval::statistics::Crossed;
    ///
    /// // Two runs on three problems.
    /// let pass_at_1 = Crossed::new(&[vec![1.0, 0.5, 0.0], vec![1.0, 0.25, 0.25]])?;
    /// let interval = pass_at_1.interval(1000, &Seed::root(1))?;
    /// assert!(interval.low < interval.mean && interval.mean == 0.5 && interval.mean < interval.high);
    /// # Ok::<(), pspo::eval::StatisticsError>(())
    /// ```
    ///
    /// # Errors
    /// Without resamples.
    pub fn interval(&self, resamples: usize, seed: &Seed) -> Result<Interval, StatisticsError> {
        self.resampled(resamples, seed, self.mean(), |weights| self.weighted(weights))
    }

    /// The relative gain over `base`, mean / mean of `base` − 1, with its 95 % interval. It is paired: run i of both is
    /// drawn together, as they have the same seed, and so is each problem. A resample in which `base` is 0 is left out.
    ///
    /// # Errors
    /// Without resamples, if `base` has another number of runs or problems, or a mean of 0.
    pub fn gain_over(&self, base: &Self, resamples: usize, seed: &Seed) -> Result<Interval, StatisticsError> {
        for (left, left_name, right, right_name) in [
            (self.runs, "runs", base.runs, "runs of the base"),
            (self.problems, "problems", base.problems, "problems of the base"),
        ] {
            if left != right {
                return Err(StatisticsError::Lengths { left, left_name, right, right_name });
            }
        }
        let gain = self.mean() / base.mean() - 1.0;
        finite([gain])?;
        self.resampled(resamples, seed, gain, |weights| self.weighted(weights) / base.weighted(weights) - 1.0)
    }

    /// The sum over all values, each as often as its run times its problem was drawn, by their number.
    fn weighted(&self, (runs, problems): (&[f64], &[f64])) -> f64 {
        let row = |run: &[f64]| run.iter().zip(problems).map(|(value, weight)| value * weight).sum::<f64>();
        let rows = self.values.chunks(self.problems).zip(runs).filter(|(_, weight)| **weight > 0.0);
        rows.map(|(run, weight)| weight * row(run)).sum::<f64>() / self.values.len() as f64
    }

    fn resampled(
        &self,
        resamples: usize,
        seed: &Seed,
        mean: f64,
        statistic: impl Fn((&[f64], &[f64])) -> f64,
    ) -> Result<Interval, StatisticsError> {
        if resamples == 0 {
            return Err(StatisticsError::TooFew { what: "a bootstrap's resampling", got: 0, needed: 1 });
        }
        let mut rng = seed.rng();
        let mut draw = |count: usize| {
            let mut weights = vec![0.0; count];
            (0..count).for_each(|_| weights[rng.random_range(0..count)] += 1.0);
            weights
        };
        let mut values: Vec<f64> = (0..resamples)
            .map(|_| {
                let (runs, problems) = (draw(self.runs), draw(self.problems));
                statistic((&runs, &problems))
            })
            .filter(|value| value.is_finite())
            .collect();
        if values.is_empty() {
            return Err(StatisticsError::TooFew { what: "resamples with a finite value", got: 0, needed: 1 });
        }
        values.sort_by(f64::total_cmp);
        let (low, high) = (quantile(&values, 0.025), quantile(&values, 0.975));
        Ok(Interval { mean, low, high, count: self.values.len() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RESAMPLES: usize = 4000;

    fn normal(seed: &Seed, count: usize) -> Vec<f64> {
        let mut rng = seed.rng();
        let mut unit = || rng.random::<f64>().max(1e-12);
        let value = |_| (-2.0 * unit().ln()).sqrt() * (std::f64::consts::TAU * unit()).cos();
        (0..count).map(value).collect()
    }

    /// Values with an effect of the run, one of the problem and noise, each of the given spread.
    fn drawn(seed: &Seed, (runs, problems): (usize, usize), spread: [f64; 3]) -> Vec<Vec<f64>> {
        let by_problem = normal(&seed.child("problems"), problems);
        let run = |(run, effect): (usize, f64)| {
            let noise = normal(&seed.child("noise").index(run as u64), problems);
            let value = |(of_problem, noise): (&f64, f64)| {
                1.0 + spread[0] * effect + spread[1] * of_problem + spread[2] * noise
            };
            by_problem.iter().zip(noise).map(value).collect()
        };
        normal(&seed.child("runs"), runs).into_iter().enumerate().map(run).collect()
    }

    #[test]
    fn an_interval_covers_what_varies_over_runs_and_over_problems() {
        // Of a mean over n runs and m problems the variance is a²/n + b²/m + c²/(nm).
        for (spread, variance) in [
            ([0.3, 0.0, 0.1], 0.09 / 20.0 + 0.01 / 800.0),
            ([0.0, 0.3, 0.1], 0.09 / 40.0 + 0.01 / 800.0),
            ([0.2, 0.3, 0.1], 0.04 / 20.0 + 0.09 / 40.0 + 0.01 / 800.0),
        ] {
            // The mean over many draws of the values, as one draw's spread is off by a sixth.
            let width = |trial: u64| {
                let seed = Seed::root(5).index(trial);
                let values = Crossed::new(&drawn(&seed, (20, 40), spread)).unwrap();
                let interval = values.interval(500, &seed).unwrap();
                interval.high - interval.low
            };
            let mean = (0..40).map(width).sum::<f64>() / 40.0;
            let needed = 2.0 * 1.96 * f64::sqrt(variance);
            assert!((mean / needed - 1.0).abs() < 0.1, "{spread:?}: {mean}, {needed} is needed");
        }
    }

    #[test]
    fn a_gain_is_paired_by_run_and_problem() {
        let seed = Seed::root(6);
        let base = drawn(&seed, (10, 50), [0.2, 0.3, 0.0]);
        // A tenth more on each: whatever varies, the gain does not.
        let more: Vec<Vec<f64>> = base.iter().map(|run| run.iter().map(|v| 1.1 * v).collect()).collect();
        let (more, base) = (Crossed::new(&more).unwrap(), Crossed::new(&base).unwrap());
        let gain = more.gain_over(&base, RESAMPLES, &seed).unwrap();
        assert!((gain.low - 0.1).abs() < 1e-9 && (gain.high - 0.1).abs() < 1e-9, "{gain:?}");
        let alone = more.interval(RESAMPLES, &seed).unwrap();
        assert!(alone.high - alone.low > 0.1, "{alone:?}");
    }

    #[test]
    fn what_cannot_be_compared_is_an_error() {
        let of = |runs: &[&[f64]]| Crossed::new(&runs.iter().map(|run| run.to_vec()).collect::<Vec<_>>());
        assert!(of(&[]).is_err() && of(&[&[]]).is_err() && of(&[&[f64::NAN]]).is_err());
        let error = of(&[&[1.0, 2.0], &[1.0]]).unwrap_err().to_string();
        assert!(
            error.starts_with("2 problems of the first run and 1 problems of another do not belong together")
        );
        let (one, two) = (of(&[&[1.0]]).unwrap(), of(&[&[1.0], &[0.0]]).unwrap());
        assert!(one.gain_over(&two, 9, &Seed::root(1)).is_err());
        assert!(one.gain_over(&of(&[&[0.0]]).unwrap(), 9, &Seed::root(1)).is_err());
        assert!(one.interval(0, &Seed::root(1)).is_err());
    }
}
