#![doc = include_str!("../README.md")]

mod prior;
mod prm_prior;
#[cfg(test)]
mod tests;

pub use prior::Prior;
pub use prm_prior::PrmPrior;
