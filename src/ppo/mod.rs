//! Proximal policy optimization: advantages from rewards and values, the losses, and the update.

pub mod experience;
pub mod gae;
pub mod learner;
pub mod loss;
pub mod whiten;

pub use experience::Experience;
pub use gae::{Estimates, Gae};
pub use learner::{Learner, UpdateConfig, UpdateFigures};
pub use loss::{PolicyFigures, PolicyObjective, PolicyTargets, value_loss};
pub use whiten::whiten;
