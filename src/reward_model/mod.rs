//! The general reward model R_RM, for prompts that are not code: one number for a whole response, learned
//! from preferences (section 2 of the method).

#[cfg(test)]
mod tests;
pub mod train;
pub mod trained;

pub use train::{BradleyTerry, BradleyTerryConfig, Preference, RewardModelError, RewardModelUpdate};
pub use trained::RewardModel;
