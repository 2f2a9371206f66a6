//! [`general_reward`]: a trained reward model as a trainer's R_RM.

use super::error::TrainerError;
use super::ppo::RewardModel;
use crate::model::Arch;
use crate::reward_model;

/// R_RM from a model that was trained on preferences: its reward of each response, brought by `scale` to what
/// unit tests give, from 0 to 1. Preferences fix rewards up to a constant and bound them nowhere, so one that
/// is taken as it is may outweigh all tests of a mixed batch.
///
/// ```
/// use pspo::model::Arch;
/// use pspo::reward_model::RewardModel;
/// use pspo::trainer::{TrainerBuilder, general_reward};
///
/// fn with_chat<A: Arch>(builder: TrainerBuilder<A>, trained: RewardModel<A>) -> TrainerBuilder<A> {
///     // The chance that the response is preferred to one of reward 0.
///     builder.reward_model(general_reward(trained, |reward| 1.0 / (1.0 + (-reward).exp())))
/// }
/// ```
pub fn general_reward<A: Arch>(
    model: reward_model::RewardModel<A>,
    scale: impl Fn(f32) -> f32 + Send + Sync + 'static,
) -> RewardModel {
    Box::new(move |rows| {
        let rewards = model.score(rows.iter().copied());
        let rewards = rewards.map_err(|error| TrainerError::RewardModel(error.to_string()))?;
        Ok(rewards.into_iter().map(&scale).collect())
    })
}
