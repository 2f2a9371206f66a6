//! Proximal policy optimization: advantages from rewards and values.

pub mod gae;
pub mod whiten;

pub use gae::{Estimates, Gae};
pub use whiten::whiten;
