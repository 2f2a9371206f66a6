//! Means by length: Pass@1 of short programs and of long ones.

use serde::Serialize;
use thiserror::Error;

use super::statistics::{Interval, StatisticsError, bootstrap_mean};
use crate::data::Seed;

/// Ranges of lengths, in lines or tokens, that together hold every length.
///
/// ```
/// use pspo::eval::LengthBuckets;
///
/// let buckets = LengthBuckets::new(&[4, 8])?;
/// // For each problem its length, and the share of its samples that pass.
/// let by_length = buckets.means([(2, 1.0), (4, 0.5), (5, 0.25)]);
/// let rows: Vec<_> = by_length.iter().map(|row| (row.label.as_str(), row.count, row.mean)).collect();
/// assert_eq!(rows, [("0–4", 2, Some(0.75)), ("5–8", 1, Some(0.25)), ("9 and more", 0, None)]);
/// # Ok::<(), pspo::eval::BucketError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LengthBuckets {
    last: Vec<usize>,
}

/// One bucket's mean.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Bucket {
    /// Its range, for tables.
    pub label: String,
    /// How many values fell into it.
    pub count: usize,
    /// Their mean; `None` without any.
    pub mean: Option<f64>,
}

/// Bounds that do not make buckets.
#[derive(Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum BucketError {
    /// A bound that is not above the one before it.
    #[error("bucket bound {bound} follows {before}: each must be above the one before it")]
    Order {
        /// The bound before.
        before: usize,
        /// The bound.
        bound: usize,
    },
}

impl LengthBuckets {
    /// Buckets that end with these lengths, in rising order, and one for all that is longer.
    ///
    /// # Errors
    /// If the lengths do not rise.
    pub fn new(last: &[usize]) -> Result<Self, BucketError> {
        match last.windows(2).find(|pair| pair[1] <= pair[0]) {
            Some(pair) => Err(BucketError::Order { before: pair[0], bound: pair[1] }),
            None => Ok(Self { last: last.to_vec() }),
        }
    }

    /// The mean of the values in each bucket, given each value with its length.
    pub fn means(&self, values: impl IntoIterator<Item = (usize, f64)>) -> Vec<Bucket> {
        let mean = |of: &[f64]| (!of.is_empty()).then(|| of.iter().sum::<f64>() / of.len() as f64);
        self.groups(values)
            .into_iter()
            .enumerate()
            .map(|(at, of)| Bucket { label: self.label(at), count: of.len(), mean: mean(&of) })
            .collect()
    }

    /// The mean of the values in each bucket with its confidence interval, by [`bootstrap_mean`] with
    /// `resamples`: a label for each bucket, and `None` where it is empty.
    ///
    /// # Errors
    /// Without resamples, or with a value that is not finite.
    pub fn intervals(
        &self,
        values: impl IntoIterator<Item = (usize, f64)>,
        resamples: usize,
        seed: &Seed,
    ) -> Result<Vec<(String, Option<Interval>)>, StatisticsError> {
        let groups = self.groups(values).into_iter().enumerate();
        let interval = |at, of: &[f64]| bootstrap_mean(of, resamples, &seed.index(at as u64));
        groups
            .map(|(at, of)| Ok((self.label(at), (!of.is_empty()).then(|| interval(at, &of)).transpose()?)))
            .collect()
    }

    fn groups(&self, values: impl IntoIterator<Item = (usize, f64)>) -> Vec<Vec<f64>> {
        let mut groups = vec![Vec::new(); self.last.len() + 1];
        for (length, value) in values {
            groups[self.last.partition_point(|&last| last < length)].push(value);
        }
        groups
    }

    fn label(&self, at: usize) -> String {
        let first = if at == 0 { 0 } else { self.last[at - 1].saturating_add(1) };
        match self.last.get(at) {
            Some(&last) if first == last => first.to_string(),
            Some(last) => format!("{first}–{last}"),
            None if at == 0 => "all".to_owned(),
            None => format!("{first} and more"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_length_falls_into_one_bucket() {
        let buckets = LengthBuckets::new(&[0, 3, 5]).unwrap();
        let rows = buckets.means((0..8).map(|length| (length, length as f64)));
        let rows: Vec<_> = rows.iter().map(|row| (row.label.as_str(), row.count, row.mean)).collect();
        assert_eq!(
            rows,
            [("0", 1, Some(0.0)), ("1–3", 3, Some(2.0)), ("4–5", 2, Some(4.5)), ("6 and more", 2, Some(6.5))]
        );
        let all = LengthBuckets::new(&[]).unwrap().means([(9, 1.0), (0, 0.0)]);
        assert_eq!(all, [Bucket { label: "all".into(), count: 2, mean: Some(0.5) }]);
    }

    #[test]
    fn bounds_must_rise() {
        assert_eq!(LengthBuckets::new(&[4, 4]), Err(BucketError::Order { before: 4, bound: 4 }));
        assert!(LengthBuckets::new(&[8, 4]).is_err());
    }
}
