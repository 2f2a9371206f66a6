//! [`PpoConfig`]: all numbers of a training.

use std::num::NonZeroUsize;

use serde::{Deserialize, Serialize};

use crate::data::numbers::{KlCoefficient, LengthPenalty};
use crate::model::Tuning;
use crate::ppo::{Gae, UpdateConfig};
use crate::rollouts::Sampling;
use crate::trainer::error::TrainerError;
use crate::trainer::kl_control::KlControl;

/// How to train.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PpoConfig {
    /// Iterations: a batch of rollouts and an update each.
    pub iterations: usize,
    /// Prompts per iteration.
    pub prompts: NonZeroUsize,
    /// Responses per prompt.
    pub responses: NonZeroUsize,
    /// How responses are sampled: with top-p 1 and without top-k (checklist, 1), or no trainer is made.
    pub sampling: Sampling,
    /// β of the KL term in the reward.
    pub kl: KlControl,
    /// Taken off a response that was cut at the length limit.
    pub cut_penalty: LengthPenalty,
    /// Discount and λ of the advantages.
    pub gae: Gae,
    /// The update.
    pub update: UpdateConfig,
    /// What of policy and critic is trained. [`Tuning::Full`] leaves a policy that was [tuned](crate::model::Policy::tuned) before as it
    /// is. What policy, reference and critic have in common and do not train they share.
    pub tuning: Tuning,
    /// Whether passes compute activations again in place of keeping them: see [`Policy::set_recompute`](crate::model::Policy::set_recompute).
    pub recompute: bool,
}

impl Default for PpoConfig {
    fn default() -> Self {
        const BETA: KlCoefficient = KlCoefficient::new(0.02);
        const NONE: LengthPenalty = LengthPenalty::new(0.0);
        let count = |n| NonZeroUsize::new(n).expect("the constants here are not 0");
        Self {
            iterations: 100,
            prompts: count(64),
            responses: count(4),
            sampling: Sampling::default(),
            kl: KlControl::Fixed(BETA),
            cut_penalty: NONE,
            gae: Gae::default(),
            update: UpdateConfig::default(),
            tuning: Tuning::default(),
            recompute: false,
        }
    }
}

impl PpoConfig {
    /// Checks that what is sampled is what the update takes it for (checklist, 1).
    pub(crate) fn check(&self) -> Result<(), TrainerError> {
        let Sampling { top_p, top_k, .. } = self.sampling;
        let (key, value, valid) = match top_k {
            Some(top_k) => ("top_k", top_k.to_string(), "without top_k"),
            None if top_p.get() < 1.0 => ("top_p", top_p.get().to_string(), "with top_p = 1"),
            None => return Ok(()),
        };
        Err(TrainerError::Sampling { key, value, valid })
    }
}
