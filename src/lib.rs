#![doc = include_str!("../README.md")]

pub mod data;
pub mod label;
pub mod plugin;
pub mod ppo;
pub mod reward;
pub mod steps;

#[doc(hidden)]
pub use inventory as __inventory;
