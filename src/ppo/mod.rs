//! Proximal policy optimization: advantages from rewards and values, the losses, and the update.

pub mod gae;
pub mod learner;
pub mod loss;
pub mod whiten;

pub use gae::{Estimates, Gae};
pub use learner::{Experience, Learner, UpdateConfig, UpdateFigures};
pub use loss::{PolicyFigures, PolicyObjective, PolicyTargets, value_loss};
pub use whiten::whiten;
