//! Evaluation: how good a policy or a process reward model is, and how sure that is.

pub mod buckets;
pub mod statistics;

pub use buckets::{Bucket, BucketError, LengthBuckets};
pub use statistics::{Interval, StatisticsError};
