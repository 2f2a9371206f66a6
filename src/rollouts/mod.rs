//! Rollouts: responses and completions sampled from a policy, many rows at a time.

mod engine;
mod sample;
mod sampling;

pub use engine::{Completion, Feed, Job, Stats, run};
pub use sample::{Rollout, RolloutError, sample};
pub use sampling::{Drawn, Sampling};
