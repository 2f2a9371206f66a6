//! The process reward model R_φ: trained on labelled lines (section 4 of the method), and what it is then,
//! a [`ProcessRewardModel`](crate::plugin::ProcessRewardModel).

pub mod metrics;
mod objective;
#[cfg(test)]
mod tests;
pub mod train;
pub mod trained;

pub use crate::data::Objective;
pub use metrics::HeldOut;
pub use train::{PrmExample, PrmTraining, PrmTrainingConfig, PrmTrainingError, PrmUpdate};
pub use trained::TrainedPrm;
