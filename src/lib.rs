#![doc = include_str!("../README.md")]

pub mod data;
pub mod eval;
pub mod plugin;
pub mod report;
pub mod trainer;

#[doc(hidden)]
pub use inventory as __inventory;
