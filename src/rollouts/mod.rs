//! Rollouts: responses and completions sampled from a policy, many rows at a time.

mod engine;
mod feed;
mod sample;
mod sampling;
mod tree;

#[cfg(test)]
mod tests;

pub use engine::run;
pub use feed::{Completion, Feed, Job, Stats};
pub(crate) use sample::DEVICE_SLOTS;
pub use sample::{Rollout, RolloutError, sample};
pub use sampling::{Drawn, Sampling};
